"""Numbered notices: a department issues and reads its own, the station those of hand-ons, and everybody checks one."""

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import UUID7, Field

from doorstep.contracts.codes import Action, Department
from doorstep.kit import idempotency
from doorstep.kit.policy import Forbidden, Resource
from doorstep.kit.service import PrincipalDep, ServiceDep, SessionDep, Visibility, WhyDep, attempts, visible_to
from doorstep.referral import queries
from doorstep.referral.api.commands import digest
from doorstep.referral.api.departments import access_of
from doorstep.referral.domain.numbered_notices import Kind
from doorstep.referral.domain.parts import LEAD, MOST_PARTS
from doorstep.referral.errors import NoticeUnknown
from doorstep.referral.operations import numbered_notices
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.duties import take_duty
from doorstep.referral.schemas import Answer, Body
from doorstep.referral.settings import issuing_office

router = APIRouter(prefix="/api", tags=["notices"])

PDF = "application/pdf"
_AS_PDF: dict[int | str, dict[str, Any]] = {200: {"content": {PDF: {"schema": {"type": "string", "format": "binary"}}}}}
_HEX = re.compile(r"[0-9a-fA-F]{64}")


class NoticeBody(Body):
    """Which notice a department issues."""

    id: UUID7
    kind: Literal[Kind.ACCEPTANCE, Kind.REFUSAL, Kind.COMPLETION]


class HandOnBody(Body):
    """The station's notice that a request, or a part of it that is not the lead's, was handed on."""

    id: UUID7
    part: Annotated[int, Field(ge=1, le=MOST_PARTS)] = LEAD


class NoticeAnswer(Answer):
    """A notice that was issued; its number stands on it alone."""

    notice_id: UUID
    kind: Kind
    issued_at: datetime


class CheckBody(Body):
    """What stands on a notice: its number, and the hash in its QR code or of its file."""

    number: Annotated[str, Field(pattern=r"^[A-Za-z0-9 -]{16,40}$")]
    hash: Annotated[str, Field(pattern=r"^([0-9a-fA-F]{64}|[A-Za-z0-9_-]{43})$", description="SHA-256.")]


class CheckAnswer(Answer):
    """Whether there is such a notice, and nothing else."""

    genuine: bool


@router.post("/departments/{department}/requests/{ref}/notices")
@attempts(Action.ISSUE_NOTICE, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def issue(
    department: Department,
    ref: UUID,
    body: NoticeBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> NoticeAnswer:
    """Issue a notice of the request's state; of each kind there is one, and issued again it is that one."""
    allowed = service.policy.authorize(principal, "transition-task", Resource("request", department=department))
    target = digest(service.vault, body, department, ref)
    await idempotency.claim(session, principal, body.id, target, answer={"ref": str(ref)})
    issued = await numbered_notices.issue_notice(
        session,
        vault=service.vault,
        access=Access(principal, policies=allowed.policies),
        task=await queries.lock_department_task(session, department, ref),
        notice_id=body.id,
        kind=Kind(body.kind),
        office=issuing_office(service),
        now=datetime.now(UTC),
    )
    return NoticeAnswer(notice_id=issued.notice_id, kind=issued.kind, issued_at=issued.issued_at)


@router.get("/departments/{department}/requests/{ref}/notices/{kind}", response_class=Response, responses=_AS_PDF)
@attempts(Action.READ_REQUEST, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def read(
    department: Department,
    ref: UUID,
    kind: Kind,
    service: ServiceDep,
    principal: PrincipalDep,
    why: WhyDep,
    session: SessionDep,
) -> Response:
    """A notice that the department issued, as PDF. The case is the request's `ref`."""
    access = access_of(service, principal, "read-request", department, why.purpose)
    if kind is Kind.HAND_ON:
        raise NoticeUnknown
    task = await queries.department_task(session, department, ref)
    found = await numbered_notices.read_notice(
        session, vault=service.vault, access=replace(access, case=why.case), task=task, kind=kind
    )
    return Response(found.file, media_type=PDF)


@router.post("/requests/{request_id}/notices", response_class=Response, responses=_AS_PDF)
@attempts(Action.ISSUE_NOTICE, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def issue_hand_on(
    request_id: UUID, body: HandOnBody, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> Response:
    """The station's notice, as PDF, to which department a request was handed on."""
    service.policy.authorize(principal, "direct-request", Resource("request"))
    station = principal.station
    if station is None:
        raise Forbidden("direct-request")
    policies = await take_duty(
        session,
        vault=service.vault,
        policy=service.policy,
        principal=principal,
        action="direct-request",
        station=station,
        request_id=request_id,
    )
    target = digest(service.vault, body, request_id)
    await idempotency.claim(session, principal, body.id, target, answer={"request_id": str(request_id)})
    tasks = await queries.lock_station_tasks(session, station, request_id)
    issued = await numbered_notices.issue_notice(
        session,
        vault=service.vault,
        access=Access(principal, policies=policies),
        task=next((one for one in tasks if one.part == body.part), None),
        notice_id=body.id,
        kind=Kind.HAND_ON,
        office=issuing_office(service),
        now=datetime.now(UTC),
    )
    return Response(issued.file, media_type=PDF)


@router.post("/notices/check")
@visible_to(Visibility.PUBLIC)
async def check(body: CheckBody, service: ServiceDep, session: SessionDep) -> CheckAnswer:
    """Whether a number and a hash are those of a notice of this station: yes or no, and nothing else."""
    raw = bytes.fromhex(body.hash) if _HEX.fullmatch(body.hash) else base64.urlsafe_b64decode(f"{body.hash}=")
    genuine = await numbered_notices.is_genuine(session, vault=service.vault, number=body.number, digest=raw)
    return CheckAnswer(genuine=genuine)
