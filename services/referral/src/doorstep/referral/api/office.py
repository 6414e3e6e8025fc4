"""What the officers of a department ask at their inbox: pages, bulk acceptance, who works on what, who stands in."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from doorstep.contracts.codes import Action, BusinessStatus, Department, TaskState
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.policy import Resource
from doorstep.kit.problems import Fault, Problem
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    attempts,
    visible_to,
)
from doorstep.referral import queries
from doorstep.referral.api.commands import digest
from doorstep.referral.api.departments import access_of
from doorstep.referral.api.office_answers import (
    Acceptances,
    AcceptancesBody,
    Accepted,
    Deputies,
    DeputyBody,
    EndBody,
    HandlerAnswer,
    HandlerBody,
    InboxPage,
    Officer,
    ReassignmentsAnswer,
    ReassignmentsBody,
    deputies_view,
    inbox_page,
    kept,
    told_again,
)
from doorstep.referral.api.refusals import code_of, is_logged
from doorstep.referral.errors import Refusal
from doorstep.referral.operations import accepting, handling
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.inbox import Asked, read_inbox

router = APIRouter(prefix="/api/departments/{department}", tags=["office"])


@router.get("/inbox", response_model_exclude_none=True)
@attempts(Action.LIST_REQUESTS)
@visible_to(Visibility.DEPARTMENT)
async def inbox(
    department: Department,
    service: ServiceDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    state: Annotated[TaskState | None, Query()] = None,
    business_status: Annotated[BusinessStatus | None, Query()] = None,
    office: Annotated[UUID | None, Query(description="An office of the service directory.")] = None,
    due_before: Annotated[AwareDatetime | None, Query()] = None,
    late: Annotated[bool | None, Query()] = None,
    open_only: Annotated[
        bool | None, Query(alias="open", description="Those that are not closed, or that are.")
    ] = None,
    handler: Annotated[Officer | None, Query(description="me, nobody, standing-in, or an officer.")] = None,
    after: Annotated[UUID | None, Query(description="The `next` of the page before.")] = None,
) -> InboxPage:
    """A page of the department's inbox, oldest first, without names or places, and counts of what the caller may see.

    Who serves in an office of the directory sees that office's requests and those of none.
    """
    access = access_of(service, principal, "list-requests", department, purpose)
    asked = Asked(state, business_status, office, due_before, late, open_only, handler, after)
    now = datetime.now(UTC)
    found = await read_inbox(session, vault=service.vault, access=access, department=department, asked=asked, now=now)
    officers = await handling.members(session, department, principal) if principal.heads else []
    return inbox_page(found, principal, officers)


@router.post("/acceptances", response_model_exclude_none=True)
@attempts(Action.TRANSITION_TASK)
@visible_to(Visibility.DEPARTMENT)
async def accept(
    department: Department,
    body: AcceptancesBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> Acceptances:
    """Accept several requests, each for itself: the good ones take effect, the others have their refusal's code."""
    access = _access(service, principal, "transition-task", department)
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, department))
    if replay is not None:
        return told_again(replay.answer)
    found = await accepting.accept_requests(
        session,
        vault=service.vault,
        access=access,
        department=department,
        seen=[(one.ref, one.version) for one in body.requests],
        now=datetime.now(UTC),
    )
    told = []
    for one in body.requests:
        became = found[one.ref]
        if isinstance(became, Refusal):
            code = code_of(became)
            told.append(Accepted(ref=one.ref, refused=code))
            if is_logged(became):
                await accepting.log_refused(session, vault=service.vault, access=access, ref=one.ref, code=code)
        else:
            told.append(Accepted(ref=one.ref, state=became.state, version=became.version))
    answer = Acceptances(requests=tuple(told))
    await idempotency.keep(session, body.id, kept(answer))
    return answer


@router.post("/requests/{ref}/handler", response_model_exclude_none=True)
@attempts(Action.GIVE_REQUEST, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def give(
    department: Department,
    ref: UUID,
    body: HandlerBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> HandlerAnswer:
    """Take a request, or give it back; the head of the office gives it to any officer of it."""
    own = body.handler in (None, principal.subject) and not principal.heads
    access = _access(service, principal, "take-request" if own else "give-request", department)
    target = digest(service.vault, body, department, ref)
    if await idempotency.claim(session, principal, body.id, target, answer={"ref": str(ref)}) is None:
        await handling.give_request(
            session,
            vault=service.vault,
            access=access,
            department=department,
            ref=ref,
            to=body.handler,
            now=datetime.now(UTC),
        )
    return HandlerAnswer(ref=ref, handler=body.handler)


@router.post("/reassignments")
@attempts(Action.GIVE_REQUEST)
@visible_to(Visibility.DEPARTMENT)
async def reassign(
    department: Department,
    body: ReassignmentsBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> ReassignmentsAnswer:
    """Give all open requests of an officer who is away to another, or back to nobody; the head of the office does."""
    access = _access(service, principal, "give-request", department)
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, department))
    if replay is not None:
        return ReassignmentsAnswer.model_validate(replay.answer)
    given = await handling.reassign_requests(
        session,
        vault=service.vault,
        access=access,
        department=department,
        officer=body.officer,
        to=body.handler,
        now=datetime.now(UTC),
    )
    answer = ReassignmentsAnswer(given=given, more=given == handling.MOST_AT_ONCE)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@router.get("/deputies")
@attempts(Action.NAME_DEPUTY)
@visible_to(Visibility.DEPARTMENT)
async def list_deputies(
    department: Department, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> Deputies:
    """Who stands in for the caller, and for whom they do; for the head, for all of the office."""
    _access(service, principal, "name-deputy", department)
    return deputies_view(await handling.deputies(session, department, principal, datetime.now(UTC)))


@router.post("/deputies")
@attempts(Action.NAME_DEPUTY)
@visible_to(Visibility.DEPARTMENT)
async def name_deputy(
    department: Department,
    body: DeputyBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> Deputies:
    """Have a deputy stand in for the caller for a span; the head of the office does it for an officer who is away."""
    officer = body.officer or principal.subject
    access = _access(service, principal, "name-deputy" if officer == principal.subject else "give-request", department)
    now = datetime.now(UTC)
    if body.until <= now:
        fault = Fault("/until", "须晚于现在", "must be later than now")
        raise Problem(422, "invalid", "时段已过。", "That time is over.", faults=[fault])
    named = handling.Deputy(body.id, officer, body.deputy, body.since, body.until)
    if await idempotency.claim(session, principal, body.id, digest(service.vault, body, department), answer={}) is None:
        await handling.name_deputy(session, vault=service.vault, access=access, department=department, named=named)
    return deputies_view(await handling.deputies(session, department, principal, now))


@router.post("/deputies/{deputy_id}/end")
@attempts(Action.NAME_DEPUTY)
@visible_to(Visibility.DEPARTMENT)
async def end_deputy(
    department: Department,
    deputy_id: UUID,
    body: EndBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> Deputies:
    """End a deputy's time now."""
    access = _access(service, principal, "name-deputy", department)
    now = datetime.now(UTC)
    target = digest(service.vault, body, department, deputy_id)
    if await idempotency.claim(session, principal, body.id, target, answer={}) is None:
        await handling.end_deputy(
            session, vault=service.vault, access=access, department=department, deputy_id=deputy_id, now=now
        )
    return deputies_view(await handling.deputies(session, department, principal, now))


def _access(service: Service, principal: Principal, action: str, department: Department) -> Access:
    """What policy lets somebody do at their department's inbox. Raises Forbidden."""
    allowed = service.policy.authorize(principal, action, Resource("request", department=department))
    return Access(principal, policies=allowed.policies)
