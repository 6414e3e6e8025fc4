"""What departments ask: their own requests, steps on them, and their keys."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from doorstep.contracts.codes import Action, Department, Purpose, TaskState
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.delivery import encrypt_for, public_key
from doorstep.kit.policy import CaseKind, Resource
from doorstep.kit.problems import Fault, Problem
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    WhyDep,
    attempts,
    visible_to,
)
from doorstep.referral import queries, views
from doorstep.referral.api.commands import IfMatch, digest, etag, version_seen
from doorstep.referral.api.parts import StepBody
from doorstep.referral.operations import reading
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.keys import register_department_key
from doorstep.referral.operations.tasks import Wish, transition_task
from doorstep.referral.schemas import (
    DepartmentRequest,
    DepartmentRequests,
    KeyAnswer,
    KeyBody,
    TransitionAnswer,
)

router = APIRouter(prefix="/api/departments/{department}", tags=["departments"])

ROTATION_AHEAD = timedelta(days=90)
KeyId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


@router.put("/keys/{kid}")
@attempts(Action.REGISTER_KEY)
@visible_to(Visibility.DEPARTMENT)
async def put_key(
    department: Department,
    kid: KeyId,
    body: KeyBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> KeyAnswer:
    """Publish the public key that the department's feed is to be encrypted for, from now or from `use_from` on."""
    allowed = service.policy.authorize(principal, "register-key", Resource("department-key", department=department))
    if body.kid not in (None, kid):
        fault = Fault("/kid", "须与地址中的编号一致", "must be the one in the address")
        raise Problem(422, "invalid", "密钥编号不一致。", "The key ids differ.", faults=[fault])
    now = datetime.now(UTC)
    jwk = {"kty": body.kty, "crv": body.crv, "x": body.x, "kid": kid}
    try:
        encrypt_for(public_key(jwk), b"")
    except ValueError:
        fault = Fault("/x", "此公钥不能用于加密", "nothing can be encrypted for this key")
        raise Problem(422, "invalid", "公钥无效。", "The public key is not valid.", faults=[fault]) from None
    registered = await register_department_key(
        session,
        vault=service.vault,
        access=Access(principal, policies=allowed.policies),
        department=department,
        kid=kid,
        jwk=jwk,
        now=now,
        use_from=_use_from(body, now),
    )
    return KeyAnswer(department=department, kid=kid, registered=registered)


def _use_from(body: KeyBody, now: datetime) -> datetime | None:
    """From when the key is used, None for at once. Raises a Problem for a time further away than a rotation takes."""
    if body.use_from is None or body.use_from <= now:
        return None
    if body.use_from > now + ROTATION_AHEAD:
        fault = Fault("/use_from", "须在 90 天之内", "must be within 90 days")
        raise Problem(422, "invalid", "启用时间过晚。", "The key would come into use too late.", faults=[fault])
    return body.use_from


@router.get("/requests", response_model_exclude_none=True)
@attempts(Action.LIST_REQUESTS)
@visible_to(Visibility.DEPARTMENT)
async def list_requests(
    department: Department,
    service: ServiceDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    state: Annotated[TaskState | None, Query()] = None,
    after: Annotated[UUID | None, Query()] = None,
) -> DepartmentRequests:
    """A page of the department's own requests, oldest first; each is its own case."""
    page = await reading.list_department_requests(
        session,
        vault=service.vault,
        access=access_of(service, principal, "list-requests", department, purpose),
        department=department,
        state=state,
        after=after,
        now=datetime.now(UTC),
    )
    return views.department_requests(page)


@router.get("/requests/{ref}", response_model_exclude_none=True)
@attempts(Action.READ_REQUEST, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def read_request(
    department: Department,
    ref: UUID,
    response: Response,
    service: ServiceDep,
    principal: PrincipalDep,
    why: WhyDep,
    session: SessionDep,
) -> DepartmentRequest:
    """One of the department's own requests with its history; its version is the ETag. The case is its `ref`."""
    access = access_of(service, principal, "read-request", department, why.purpose)
    shown = await reading.read_department_request(
        session,
        vault=service.vault,
        access=replace(access, case=why.case),
        department=department,
        ref=ref,
        now=datetime.now(UTC),
    )
    response.headers["ETag"] = etag(shown.task.version)
    return views.department_request(shown)


@router.post("/requests/{ref}/transitions")
@attempts(Action.TRANSITION_TASK, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def transition(
    department: Department,
    ref: UUID,
    body: StepBody,
    response: Response,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
    if_match: IfMatch = None,
) -> TransitionAnswer:
    """A step of the department with its own request, on the version that it saw."""
    resource = Resource("request", department=department)
    allowed = service.policy.authorize(principal, "transition-task", resource)
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, department, ref))
    if replay is not None:
        answer = TransitionAnswer.model_validate(replay.answer)
    else:
        moved = await transition_task(
            session,
            vault=service.vault,
            access=Access(principal, policies=allowed.policies),
            department=department,
            ref=ref,
            wish=_wish(body, version_seen(if_match)),
            now=datetime.now(UTC),
        )
        answer = views.transition_answer(moved)
        await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    response.headers["ETag"] = etag(answer.version)
    return answer


def _wish(body: StepBody, version: int) -> Wish:
    made = None if body.appointment is None else body.appointment.appointment()
    said = (body.business_status, body.reason, body.outcome, body.note)
    attests = tuple(one.attested() for one in body.attests)
    return Wish(
        body.to, version, *said, progress=body.progress, appointment=made, attests=attests, template=body.template
    )


def access_of(service: Service, principal: Principal, action: str, department: Department, purpose: Purpose) -> Access:
    """What policy lets a department do with its own requests, and see of them. Raises Forbidden."""
    thing = Resource("request", department=department)
    allowed = service.policy.authorize(principal, action, thing, purpose=purpose, case=CaseKind.REQUEST)
    sight = service.policy.sight(principal, "request", purpose=purpose, department=department)
    return Access(principal, purpose, allowed.policies, sight=sight)
