"""What the station owes whoever complains: the queue, what each says, and answers."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import UUID7

from doorstep.contracts.codes import Action, Department
from doorstep.kit import idempotency
from doorstep.kit.edge import case_kind
from doorstep.kit.policy import CaseKind, Resource
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    ServiceDep,
    SessionDep,
    Visibility,
    WhyDep,
    attempts,
    visible_to,
)
from doorstep.referral import queries
from doorstep.referral.api.commands import digest
from doorstep.referral.api.parts import station_of
from doorstep.referral.domain.complaints import About, ComplaintAnswer, ComplaintFinding, Treatment
from doorstep.referral.operations import complaining
from doorstep.referral.operations.access import Access
from doorstep.referral.schemas import Answer, Body, Text

router = APIRouter(prefix="/api/requests", tags=["station"])


class OwedComplaint(Answer):
    """A complaint that waits for an answer: ids and times alone."""

    complaint_id: UUID
    request_id: UUID
    made_at: datetime
    due_by: datetime
    overdue: bool


class OwedComplaints(Answer):
    """What waits for an answer of somebody who had no part, the first due first."""

    complaints: tuple[OwedComplaint, ...]


class ComplaintRead(Answer):
    """What a complaint says, and which departments had the request; the answer, if it has one."""

    complaint_id: UUID
    request_id: UUID
    made_at: datetime
    due_by: datetime
    overdue: bool
    about: About
    treatment: tuple[Treatment, ...]
    text: str | None = None
    departments: tuple[Department, ...]
    answered_at: datetime | None = None
    finding: ComplaintFinding | None = None
    answer: str | None = None


class ComplaintAnswerBody(Body):
    """What was found, and, if wished, words for the person; they are sealed for them."""

    id: UUID7
    finding: ComplaintFinding
    text: Text | None = None


class ComplaintAnswered(Answer):
    """The complaint is answered."""

    complaint_id: UUID
    finding: ComplaintFinding


@router.get("/complaints")
@attempts(Action.LIST_COMPLAINTS)
@visible_to(Visibility.STATION)
async def see_owed_complaints(
    service: ServiceDep, principal: PrincipalDep, purpose: PurposeDep, session: SessionDep
) -> OwedComplaints:
    """The complaints that wait at the station for a supervisor who had no part in them, without what they say."""
    decision = service.policy.authorize(principal, Action.LIST_COMPLAINTS, Resource("complaint"), purpose=purpose)
    access, now = Access(principal, purpose, decision.policies), datetime.now(UTC)
    found = await complaining.list_complaints(
        session, vault=service.vault, access=access, station=station_of(principal)
    )
    return OwedComplaints(
        complaints=tuple(
            OwedComplaint(
                complaint_id=one.complaint_id,
                request_id=one.request_id,
                made_at=one.made_at,
                due_by=one.due_by,
                overdue=now > one.due_by,
            )
            for one in found
        )
    )


@router.get("/{request_id}/complaints/{complaint_id}", response_model_exclude_none=True)
@attempts(Action.READ_COMPLAINT, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def read(
    request_id: UUID,
    complaint_id: UUID,
    service: ServiceDep,
    principal: PrincipalDep,
    why: WhyDep,
    session: SessionDep,
) -> ComplaintRead:
    """What a complaint says, for a supervisor who is to answer it. The case is the request."""
    allowed = service.policy.authorize(
        principal, Action.READ_COMPLAINT, Resource("complaint"), purpose=why.purpose, case=CaseKind.REQUEST
    )
    own = {request_id: CaseKind.REQUEST}
    await case_kind(session, service.vault, principal, why.case, file_id=None, own=own)
    one = await complaining.read_complaint(
        session,
        vault=service.vault,
        access=Access(principal, why.purpose, allowed.policies, why.case),
        station=station_of(principal),
        request_id=request_id,
        complaint_id=complaint_id,
    )
    return ComplaintRead(
        complaint_id=complaint_id,
        request_id=request_id,
        made_at=one.made_at,
        due_by=one.due_by,
        overdue=one.answer is None and datetime.now(UTC) > one.due_by,
        about=one.content.about,
        treatment=one.content.treatment,
        text=one.content.text,
        departments=one.departments,
        answered_at=one.answered_at,
        finding=None if one.answer is None else one.answer.finding,
        answer=None if one.answer is None else one.answer.text,
    )


@router.post("/{request_id}/complaints/{complaint_id}/answer")
@attempts(Action.ANSWER_COMPLAINT, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def answer(
    request_id: UUID,
    complaint_id: UUID,
    body: ComplaintAnswerBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> ComplaintAnswered:
    """Answer, as a supervisor who had no part in the record and is not named; the resident is told, and sees it."""
    decision = service.policy.authorize(principal, Action.ANSWER_COMPLAINT, Resource("complaint"))
    sent = digest(service.vault, body, request_id, complaint_id)
    replay = await idempotency.claim(session, principal, body.id, sent)
    if replay is not None:
        return ComplaintAnswered(complaint_id=complaint_id, finding=body.finding)  # of the same body: no other is kept
    await complaining.answer_complaint(
        session,
        vault=service.vault,
        access=Access(principal, policies=decision.policies),
        station=station_of(principal),
        request_id=request_id,
        complaint_id=complaint_id,
        answer=ComplaintAnswer(finding=body.finding, text=body.text),
        now=datetime.now(UTC),
    )
    await idempotency.keep(session, body.id, {"request": str(request_id), "complaint_id": str(complaint_id)})
    return ComplaintAnswered(complaint_id=complaint_id, finding=body.finding)
