"""What the station owes whoever asked that a human look again: the queue, and answers."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import UUID7

from doorstep.contracts.codes import Action, LookFinding
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.policy import Forbidden, Resource
from doorstep.kit.service import PrincipalDep, PurposeDep, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.referral import queries
from doorstep.referral.api.commands import digest
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.looking import answer_look, list_looks
from doorstep.referral.schemas import Answer, Body

router = APIRouter(prefix="/api/requests", tags=["station"])


class OwedLook(Answer):
    """A request at which somebody else than before looks again: ids and times alone."""

    look_id: UUID
    request_id: UUID
    record_id: UUID
    asked_at: datetime
    due_by: datetime
    overdue: bool


class OwedLooks(Answer):
    """What waits for a human, the first due first."""

    looks: tuple[OwedLook, ...]


class LookAnswerBody(Body):
    """What was found: `stands`, `opened-anew`, or `record-to-be-corrected`."""

    id: UUID7
    finding: LookFinding


class LookAnswered(Answer):
    """The look is answered; `opened_anew` says that a linked request waits for a department."""

    look_id: UUID
    finding: LookFinding
    opened_anew: bool


@router.get("/looks")
@attempts(Action.LIST_LOOKS)
@visible_to(Visibility.STATION)
async def see_owed_looks(
    service: ServiceDep, principal: PrincipalDep, purpose: PurposeDep, session: SessionDep
) -> OwedLooks:
    """The requests that residents want looked at again, without content; a reviewer reads them by their record."""
    decision = service.policy.authorize(principal, Action.LIST_LOOKS, Resource("look"), purpose=purpose)
    access, now = Access(principal, purpose, decision.policies), datetime.now(UTC)
    found = await list_looks(session, vault=service.vault, access=access, station=_station(principal))
    return OwedLooks(
        looks=tuple(
            OwedLook(
                look_id=one.look_id,
                request_id=one.request_id,
                record_id=one.record_id,
                asked_at=one.asked_at,
                due_by=one.due_by,
                overdue=now > one.due_by,
            )
            for one in found
        )
    )


@router.post("/{request_id}/looks/{look_id}/answer")
@attempts(Action.ANSWER_LOOK, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def answer(
    request_id: UUID,
    look_id: UUID,
    body: LookAnswerBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> LookAnswered:
    """Answer, as a reviewer or supervisor who had no part in the record; the resident is told, and sees the finding."""
    decision = service.policy.authorize(principal, Action.ANSWER_LOOK, Resource("look"))
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, request_id, look_id))
    if replay is not None:
        return LookAnswered.model_validate(replay.answer)
    opened = await answer_look(
        session,
        vault=service.vault,
        access=Access(principal, policies=decision.policies),
        station=_station(principal),
        request_id=request_id,
        look_id=look_id,
        finding=body.finding,
        now=datetime.now(UTC),
    )
    answered = LookAnswered(look_id=look_id, finding=body.finding, opened_anew=opened)
    await idempotency.keep(session, body.id, {"request": str(request_id), **answered.model_dump(mode="json")})
    return answered


def _station(principal: Principal) -> str:
    """Where the caller serves; raises Forbidden for somebody of no station."""
    if principal.station is None:
        raise Forbidden("no station")
    return principal.station
