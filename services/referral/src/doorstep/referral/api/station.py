"""What the station asks: the requests that it stays responsible for, and steps on them."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, Purpose, Role, TaskState
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.edge import why
from doorstep.kit.policy import CaseKind, Forbidden, Resource
from doorstep.kit.problems import Fault, Problem
from doorstep.kit.service import (
    CaseDep,
    PrincipalDep,
    PurposeDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    attempts,
    visible_to,
)
from doorstep.referral import queries, views
from doorstep.referral.api.commands import IfMatch, digest, etag, version_seen
from doorstep.referral.operations import acknowledging, reading
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.duties import take_duty
from doorstep.referral.operations.handing_on import Route, hand_on_request
from doorstep.referral.operations.tasks import Moved, Wish, transition_request
from doorstep.referral.schemas import (
    OwedErasure,
    OwedErasures,
    StationRequests,
    StationTransitionAnswer,
    StationTransitionBody,
)

router = APIRouter(prefix="/api/requests", tags=["station"])


class Queue(StrEnum):
    """What waits for a human at the station."""

    UNROUTED = "unrouted"
    REJECTED = "rejected"


_WAITING = {Queue.UNROUTED: TaskState.DRAFT, Queue.REJECTED: TaskState.REJECTED}


@router.get("")
@attempts(Action.LIST_REQUESTS, "record_id", queries.subjects_of_record)
@visible_to(Visibility.STATION)
async def list_requests(
    service: ServiceDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
    case: CaseDep,
    session: SessionDep,
    record_id: Annotated[UUID | None, Query()] = None,
    queue: Annotated[Queue | None, Query()] = None,
) -> StationRequests:
    """What came of a record (`record_id`), or what waits for a human (`queue`): exactly one of the two is named.

    What came of a record is read for a case; in a queue each request is its own.
    """
    emergency = record_id is not None and purpose is Purpose.EMERGENCY
    kind, now = CaseKind.BREAK_GLASS if emergency else CaseKind.REQUEST, datetime.now(UTC)
    allowed = service.policy.authorize(principal, "list-requests", Resource("request"), purpose=purpose, case=kind)
    if record_id is not None and queue is None:
        found = await reading.list_record_requests(
            session,
            vault=service.vault,
            policy=service.policy,
            principal=principal,
            why=why(purpose, case),
            station=_station(principal),
            record_id=record_id,
            now=now,
        )
    elif queue is not None and record_id is None:
        access, station = Access(principal, purpose, allowed.policies), _station(principal)
        found = await reading.list_queue(
            session, vault=service.vault, access=access, station=station, state=_WAITING[queue], now=now
        )
    else:
        zh, en = "请指定 record_id 或 queue 其中之一。", "Name either record_id or queue."
        raise Problem(422, "invalid", zh, en, faults=[Fault("/query/record_id", zh, en)])
    return views.station_requests(found)


@router.get("/unerased")
@attempts(Action.LIST_UNERASED)
@visible_to(Visibility.STATION)
async def read_unerased(service: ServiceDep, principal: PrincipalDep, session: SessionDep) -> OwedErasures:
    """What departments have not said in time to have deleted: counts, and the oldest by the departments' refs."""
    service.policy.authorize(principal, "list-unerased", Resource("request"))
    counts, rows = await acknowledging.list_unerased(session, station=_station(principal), now=datetime.now(UTC))
    return OwedErasures(
        counts=counts,
        requests=tuple(
            OwedErasure(
                department=Department(row.department),
                ref=row.ref,
                withdrawn_at=row.withdrawn_at,
                delete_by=row.delete_by,
            )
            for row in rows
        ),
    )


@router.post("/{request_id}/transitions")
@attempts(Action.TRANSITION_TASK, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def transition(
    request_id: UUID,
    body: StationTransitionBody,
    response: Response,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
    if_match: IfMatch = None,
) -> StationTransitionAnswer:
    """The station cancels, corrects or hands on a request; a supervisor, as arbiter, only hands on."""
    arbiter = principal.role is Role.SUPERVISOR and body.to is TaskState.REQUESTED
    action = "assign-request" if arbiter else "direct-request"
    service.policy.authorize(principal, action, Resource("request"))
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, request_id))
    if replay is not None:
        answer = StationTransitionAnswer.model_validate(replay.answer)
    else:
        version = version_seen(if_match)
        policies = await take_duty(
            session,
            vault=service.vault,
            policy=service.policy,
            principal=principal,
            action=action,
            station=_station(principal),
            request_id=request_id,
        )
        access = Access(principal, policies=policies)
        moved = await _carry_out(service, session, access, request_id, body, version, arbiter)
        answer = views.station_transition_answer(moved)
        await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    response.headers["ETag"] = etag(answer.version)
    return answer


async def _carry_out(
    service: Service,
    session: AsyncSession,
    access: Access,
    request_id: UUID,
    body: StationTransitionBody,
    version: int,
    arbiter: bool,
) -> Moved:
    station, now = _station(access.principal), datetime.now(UTC)
    if body.department is not None:
        route = Route(body.department, version, arbiter, body.note, body.part)
        return await hand_on_request(
            session, vault=service.vault, access=access, station=station, request_id=request_id, route=route, now=now
        )
    wish = Wish(body.to, version, body.business_status, body.reason, None, body.note, part=body.part)
    return await transition_request(
        session, vault=service.vault, access=access, station=station, request_id=request_id, wish=wish, now=now
    )


def _station(principal: Principal) -> str:
    """Where the caller serves; raises Forbidden for somebody of no station."""
    if principal.station is None:
        raise Forbidden("no station")
    return principal.station
