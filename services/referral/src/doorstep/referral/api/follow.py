"""What a resident asks without a token: the follow code is the secret, kept nowhere but as a blind index."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import UUID7, Field, StrictBool, StrictInt

from doorstep.contracts.codes import Role, TaskState
from doorstep.contracts.intake import SafeContact
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.service import ServiceDep, SessionDep, Visibility, visible_to
from doorstep.referral.api.commands import digest
from doorstep.referral.operations import following
from doorstep.referral.operations.access import follower
from doorstep.referral.operations.following import FollowedRow
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


class Followed(Answer):
    """A request as its resident sees it from outside: a state, no content.

    A confidential one is there alone if its person named a safe contact, and says by what and when they are reached.
    """

    ref: UUID
    state: TaskState
    reached_by: Reached | None = None


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
    """The states of the code's requests, without content. An unknown code has none, likewise."""
    found = await following.follow(session, vault=service.vault, follow_index=service.vault.follow_index(code))
    return FollowedRequests(requests=tuple(_followed(row, safe) for row, safe in found))


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


def _followed(row: FollowedRow, safe: SafeContact | None) -> Followed:
    reached = None
    if safe is not None:
        reached = Reached(channel=safe.channel, hours_from=safe.hours_from, hours_to=safe.hours_to)
    return Followed(ref=row.ref, state=row.state, reached_by=reached)
