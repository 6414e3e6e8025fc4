"""What a resident says of how they were treated: complains by the follow code, and by another sees the answer."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Path, Response
from pydantic import AfterValidator, Field, StringConstraints

from doorstep.contracts.codes import Role
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.service import ServiceDep, SessionDep, Visibility, visible_to
from doorstep.referral.api.commands import digest
from doorstep.referral.api.residents import Code, OfRequestBody
from doorstep.referral.domain.complaints import About, Complaint, ComplaintFinding, Treatment
from doorstep.referral.operations import complaining
from doorstep.referral.operations.access import follower
from doorstep.referral.schemas import Answer, Text

router = APIRouter(prefix="/api/follow", tags=["residents"])

ComplaintCode = Annotated[str, Path(description="The code that the complaint was answered with, this once.")]


def _each_once(treatment: tuple[Treatment, ...]) -> tuple[Treatment, ...]:
    if len(set(treatment)) < len(treatment):
        raise ValueError("不能重复", "names something twice")
    return treatment


StaffId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class ComplaintBody(OfRequestBody):
    """How you were treated over a request, by the station or the department that had it; words only if you wish.

    `staff` are the numbers on the badges of whom you name: they neither read nor answer it.
    """

    about: About
    treatment: Annotated[
        tuple[Treatment, ...], Field(min_length=1, max_length=len(Treatment)), AfterValidator(_each_once)
    ]
    text: Text | None = None
    staff: Annotated[tuple[StaffId, ...], Field(max_length=5)] = ()


class ComplaintMade(Answer):
    """The complaint was received, and is answered until then. Who keeps `complaint_code` sees it, and nobody else."""

    complaint_code: str
    ref: UUID
    due_by: datetime


class ComplaintView(Answer):
    """A complaint: about whom, until when it is answered, and once it is, what was found."""

    ref: UUID
    about: About
    made_at: datetime
    due_by: datetime
    overdue: bool
    answered_at: datetime | None = None
    finding: ComplaintFinding | None = None
    answer: str | None = None


@router.post("/{code}/complaints", status_code=201)
@visible_to(Visibility.SUBJECT)
async def complain(code: Code, body: ComplaintBody, service: ServiceDep, session: SessionDep) -> ComplaintMade:
    """Complain of how you were treated; answered within fifteen working days by somebody who had no part."""
    index = service.vault.follow_index(code)
    resident = Principal(follower(index), Role.RESIDENT, "resident")
    replay = await idempotency.claim(session, resident, body.id, digest(service.vault, body, "complain"))
    if replay is not None:
        made = await complaining.made_before(
            session, vault=service.vault, follow_index=index, complaint_id=UUID(replay.answer["complaint_id"])
        )
        return ComplaintMade(complaint_code=made.code, ref=body.ref, due_by=made.due_by)
    complaint_id = uuid4()  # another than the command's, which nobody but its sender is to know
    made = await complaining.complain(
        session,
        vault=service.vault,
        follow_index=index,
        ref=body.ref,
        complaint_id=complaint_id,
        content=Complaint(about=body.about, treatment=body.treatment, text=body.text),
        staff=body.staff,
        now=datetime.now(UTC),
    )
    await idempotency.keep(session, body.id, {"request": str(made.request_id), "complaint_id": str(complaint_id)})
    return ComplaintMade(complaint_code=made.code, ref=body.ref, due_by=made.due_by)


@router.get("/{code}/complaints/{complaint_code}", response_model_exclude_none=True)
@visible_to(Visibility.SUBJECT)
async def see_complaint(
    code: Code, complaint_code: ComplaintCode, service: ServiceDep, session: SessionDep
) -> ComplaintView:
    """What became of your complaint, by both codes; not what it said. Where one is unknown there is none."""
    index, now = service.vault.follow_index(code), datetime.now(UTC)
    one = await complaining.own_complaint(session, vault=service.vault, follow_index=index, code=complaint_code)
    return ComplaintView(
        ref=one.ref,
        about=one.about,
        made_at=one.made_at,
        due_by=one.due_by,
        overdue=one.answer is None and now > one.due_by,
        answered_at=one.answered_at,
        finding=None if one.answer is None else one.answer.finding,
        answer=None if one.answer is None else one.answer.text,
    )


@router.post("/{code}/complaints/{complaint_code}/withdrawal", status_code=204)
@visible_to(Visibility.SUBJECT)
async def take_back(code: Code, complaint_code: ComplaintCode, service: ServiceDep, session: SessionDep) -> Response:
    """Take a complaint back, at once: it is deleted. Again, or by an unknown code, it is answered likewise."""
    index = service.vault.follow_index(code)
    await complaining.take_back(session, vault=service.vault, follow_index=index, code=complaint_code)
    return Response(status_code=204)
