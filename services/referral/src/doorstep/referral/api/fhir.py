"""What a department's system asks that speaks FHIR R4: its own request as a Bundle, and steps as a Task."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse

from doorstep.contracts.codes import Action, Department
from doorstep.kit import idempotency
from doorstep.kit.policy import Resource
from doorstep.kit.problems import FHIR_TYPE
from doorstep.kit.service import (
    PrincipalDep,
    ServiceDep,
    SessionDep,
    Visibility,
    WhyDep,
    attempts,
    visible_to,
)
from doorstep.referral import queries, views
from doorstep.referral.api.commands import IfMatch, digest, etag, version_seen
from doorstep.referral.api.departments import access_of
from doorstep.referral.api.fhir_bundle import bundle, moved_task
from doorstep.referral.api.fhir_task import Address, TaskBody, step_id, wish_of
from doorstep.referral.operations import reading
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.tasks import transition_task
from doorstep.referral.schemas import TransitionAnswer

router = APIRouter(prefix="/api/departments/{department}", tags=["departments"])

TaskSent = Annotated[TaskBody, Body(media_type=FHIR_TYPE)]


class FhirResponse(JSONResponse):
    """A resource of FHIR."""

    media_type = FHIR_TYPE


@router.get("/requests/{ref}/fhir", response_class=FhirResponse)
@attempts(Action.READ_REQUEST, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def read_request_in_fhir(
    department: Department,
    ref: UUID,
    service: ServiceDep,
    principal: PrincipalDep,
    why: WhyDep,
    session: SessionDep,
) -> FhirResponse:
    """One of the department's own requests as a Bundle of Task and ServiceRequest; its version is the ETag."""
    access = access_of(service, principal, "read-request", department, why.purpose)
    shown = await reading.read_department_request(
        session,
        vault=service.vault,
        access=replace(access, case=why.case),
        department=department,
        ref=ref,
        now=datetime.now(UTC),
    )
    request = views.department_request(shown)
    return FhirResponse(bundle(department, request), headers={"ETag": _weak(request.version)})


@router.post("/requests/{ref}/fhir", response_class=FhirResponse)
@attempts(Action.TRANSITION_TASK, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def step_in_fhir(
    department: Department,
    ref: UUID,
    body: TaskSent,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
    if_match: IfMatch = None,
) -> FhirResponse:
    """A step of the department with its own request, said by a Task, on the version that it saw."""
    resource = Resource("request", department=department)
    allowed = service.policy.authorize(principal, "transition-task", resource)
    command_id = step_id(body, Address(department, ref))
    sent = digest(service.vault, body, "fhir", department, ref)
    replay = await idempotency.claim(session, principal, command_id, sent)
    if replay is not None:
        answer = TransitionAnswer.model_validate(replay.answer)
    else:
        moved = await transition_task(
            session,
            vault=service.vault,
            access=Access(principal, policies=allowed.policies),
            department=department,
            ref=ref,
            wish=wish_of(body, version_seen(_strong(if_match))),
            now=datetime.now(UTC),
        )
        answer = views.transition_answer(moved)
        await idempotency.keep(session, command_id, answer.model_dump(mode="json"))
    return FhirResponse(moved_task(answer), headers={"ETag": _weak(answer.version)})


def _weak(version: int) -> str:
    """The entity tag of a version as FHIR writes it (R4, section 3.1.0.5)."""
    return f"W/{etag(version)}"


def _strong(if_match: str | None) -> str | None:
    """If-Match as the rest of the API reads it: FHIR writes a weak entity tag and means exactly that version."""
    return None if if_match is None else if_match.strip().removeprefix("W/")
