"""What a resident asks without a token: the follow code is the secret, kept nowhere but as a blind index."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import UUID7, Field, StrictBool, StrictInt

from doorstep.contracts.codes import Role, TaskState
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.service import ServiceDep, SessionDep, Visibility, visible_to
from doorstep.referral.api.commands import digest
from doorstep.referral.domain.appointments import Place
from doorstep.referral.operations import following
from doorstep.referral.operations.access import follower
from doorstep.referral.operations.ratings import rate_request
from doorstep.referral.schemas import Answer, Body

router = APIRouter(prefix="/api/follow", tags=["residents"])

Code = Annotated[str, Path(description="The code on the receipt.")]


class RatingBody(Body):
    """What the resident thought: solved or not, and 1 to 5 stars."""

    id: UUID7
    ref: UUID
    solved: StrictBool
    stars: Annotated[StrictInt, Field(ge=1, le=5)]


class Reached(Answer):
    """By what a person is reached, in which hours of local time; neither the number nor the cover."""

    channel: str
    hours_from: str
    hours_to: str


class Meeting(Answer):
    """When and where somebody meets the resident; about what is not said."""

    starts_at: datetime
    ends_at: datetime
    place: Place


class Followed(Answer):
    """A request as its resident sees it from outside: a state, no content, and the appointments that are not over.

    A confidential one is there alone if its person named a safe contact, and says by what and when they are reached;
    of it, and of what a department with a telling name has or had, no appointment is shown.
    """

    ref: UUID
    state: TaskState
    reached_by: Reached | None = None
    appointments: tuple[Meeting, ...] | None = None


class FollowedRequests(Answer):
    """What a follow code shows; an unknown code shows nothing, likewise."""

    requests: tuple[Followed, ...]


class RatingAnswer(Answer):
    """A rating was taken; `reopened` says that a linked request was opened."""

    ref: UUID
    reopened: bool


@router.get("/{code}", response_model_exclude_none=True)
@visible_to(Visibility.SUBJECT)
async def follow(code: Code, service: ServiceDep, session: SessionDep) -> FollowedRequests:
    """The states of the code's requests, and appointments, without content. An unknown code has none, likewise."""
    index, now = service.vault.follow_index(code), datetime.now(UTC)
    found = await following.follow(session, vault=service.vault, follow_index=index, now=now)
    return FollowedRequests(requests=tuple(_followed(one) for one in found))


@router.post("/{code}/ratings")
@visible_to(Visibility.SUBJECT)
async def rate(code: Code, body: RatingBody, service: ServiceDep, session: SessionDep) -> RatingAnswer:
    """Rate a request once; "not solved", within seven days of closing, opens a linked one."""
    index = service.vault.follow_index(code)
    resident = Principal(follower(index), Role.RESIDENT, "resident")
    replay = await idempotency.claim(session, resident, body.id, digest(service.vault, body))
    if replay is not None:
        return RatingAnswer.model_validate(replay.answer)
    rated = await rate_request(
        session,
        vault=service.vault,
        follow_index=index,
        ref=body.ref,
        solved=body.solved,
        stars=body.stars,
        now=datetime.now(UTC),
    )
    answer = RatingAnswer(ref=body.ref, reopened=rated.reopened)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


def _followed(one: following.Followed) -> Followed:
    reached, safe = None, one.safe
    if safe is not None:
        reached = Reached(channel=safe.channel, hours_from=safe.hours_from, hours_to=safe.hours_to)
    met = tuple(Meeting(starts_at=each.starts_at, ends_at=each.ends_at, place=each.place) for each in one.appointments)
    return Followed(ref=one.row.ref, state=one.row.state, reached_by=reached, appointments=met or None)
