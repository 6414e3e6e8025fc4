"""What the station answers for until it is closed, what is late of it, and what departments say of missing papers."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from doorstep.contracts.codes import Action, Department, Role
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.policy import CaseKind, Forbidden, Resource
from doorstep.kit.service import PrincipalDep, PurposeDep, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.referral import queries, views
from doorstep.referral.api.commands import IfMatch, digest, etag, version_seen
from doorstep.referral.api.deadline_answers import (
    CallAnswer,
    LateRequests,
    MissingPapersAnswer,
    MissingPapersBody,
    OpenRequests,
    PromiseBody,
    ReminderAnswer,
    ReminderBody,
    late_requests,
    missing_papers_answer,
    open_requests,
    reminder_answer,
)
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.calling import acknowledge_call
from doorstep.referral.operations.duties import take_duty
from doorstep.referral.operations.listing import list_late, list_open
from doorstep.referral.operations.missing_papers import list_missing_papers
from doorstep.referral.operations.promising import go_on_against_promise
from doorstep.referral.operations.reminding import remind_department
from doorstep.referral.schemas import TransitionAnswer

router = APIRouter(tags=["deadlines"])


@router.get("/api/requests/open", response_model_exclude_none=True)
@attempts(Action.LIST_REQUESTS)
@visible_to(Visibility.STATION)
async def see_open(
    service: ServiceDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    after: Annotated[UUID | None, Query()] = None,
) -> OpenRequests:
    """Every request that the station answers for and that is open: who has it, what is next, until when, how late."""
    thing = Resource("request", station=principal.station)
    allowed = service.policy.authorize(principal, "list-requests", thing, purpose=purpose, case=CaseKind.REQUEST)
    access, station = Access(principal, purpose, allowed.policies), _station(principal)
    page = await list_open(
        session, vault=service.vault, access=access, station=station, after=after, now=datetime.now(UTC)
    )
    return open_requests(page)


@router.get("/api/requests/late", response_model_exclude_none=True)
@attempts(Action.LIST_LATE)
@visible_to(Visibility.STATION)
async def see_late(
    service: ServiceDep, principal: PrincipalDep, purpose: PurposeDep, session: SessionDep
) -> LateRequests:
    """What was announced as due and stands: figures, and ids without content; to a supervisor the longest overdue."""
    thing = Resource("request", station=principal.station)
    policies = service.policy.authorize(principal, Action.LIST_LATE, thing, purpose=purpose).policies
    access, station = Access(principal, purpose, policies), _station(principal)
    supervises = principal.role is Role.SUPERVISOR
    found = await list_late(session, vault=service.vault, access=access, station=station, supervises=supervises)
    return late_requests(found)


@router.post("/api/requests/{request_id}/reminders")
@attempts(Action.REMIND_DEPARTMENT, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def remind(
    request_id: UUID, body: ReminderBody, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> ReminderAnswer:
    """Remind the department that has a request, or a part of it, at most once a day."""
    service.policy.authorize(principal, "direct-request", Resource("request"))
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, request_id))
    if replay is not None:
        return ReminderAnswer.model_validate(replay.answer)
    station = _station(principal)
    policies = await take_duty(
        session,
        vault=service.vault,
        policy=service.policy,
        principal=principal,
        action="direct-request",
        station=station,
        request_id=request_id,
    )
    access, now = Access(principal, policies=policies), datetime.now(UTC)
    reminded = await remind_department(
        session,
        vault=service.vault,
        access=access,
        station=station,
        request_id=request_id,
        part=body.part,
        now=now,
    )
    answer = reminder_answer(reminded)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@router.post("/api/requests/{request_id}/call-acknowledgement")
@attempts(Action.ACKNOWLEDGE_CALL, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def acknowledge(
    request_id: UUID, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> CallAnswer:
    """Say that one knows of a request that is to be answered within the hour: nobody is called of it any more."""
    allowed = service.policy.authorize(principal, Action.ACKNOWLEDGE_CALL, Resource("request"))
    access, now = Access(principal, policies=allowed.policies), datetime.now(UTC)
    since = await acknowledge_call(
        session, vault=service.vault, access=access, station=_station(principal), request_id=request_id, now=now
    )
    return CallAnswer(request_id=request_id, acknowledged_at=since)


@router.post("/api/departments/{department}/requests/{ref}/missing-papers", response_model_exclude_none=True)
@attempts(Action.LIST_MISSING_PAPERS, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def tell_missing_papers(
    department: Department,
    ref: UUID,
    body: MissingPapersBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
    if_match: IfMatch = None,
) -> MissingPapersAnswer:
    """List all papers that a request on hold waits for, once; its completion is paused for 15 days at most."""
    allowed = service.policy.authorize(principal, "transition-task", Resource("request", department=department))
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, department, ref))
    if replay is not None:  # which papers is not kept: the same command names the same
        return MissingPapersAnswer.model_validate({**replay.answer, "papers": sorted(set(body.papers))})
    noticed = await list_missing_papers(
        session,
        vault=service.vault,
        access=Access(principal, policies=allowed.policies),
        department=department,
        ref=ref,
        version=version_seen(if_match),
        papers=body.papers,
        now=datetime.now(UTC),
    )
    answer = missing_papers_answer(noticed)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json", exclude={"papers"}))
    return answer


@router.post("/api/departments/{department}/requests/{ref}/promise")
@attempts(Action.TRANSITION_TASK, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def go_on(
    department: Department,
    ref: UUID,
    body: PromiseBody,
    response: Response,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
    if_match: IfMatch = None,
) -> TransitionAnswer:
    """Go on with a request that waits for papers, since its resident promises to bring them until a day."""
    allowed = service.policy.authorize(principal, "transition-task", Resource("request", department=department))
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, department, ref))
    if replay is not None:
        answer = TransitionAnswer.model_validate(replay.answer)
    else:
        moved = await go_on_against_promise(
            session,
            vault=service.vault,
            access=Access(principal, policies=allowed.policies),
            department=department,
            ref=ref,
            version=version_seen(if_match),
            papers=body.papers,
            until=body.until,
            now=datetime.now(UTC),
        )
        answer = views.transition_answer(moved)
        await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    response.headers["ETag"] = etag(answer.version)
    return answer


def _station(principal: Principal) -> str:
    """Where the caller serves; raises Forbidden for somebody of no station."""
    if principal.station is None:
        raise Forbidden("no station")
    return principal.station
