"""What the station asks of one request beside steps: parts for other departments, and appointments."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import UUID7, AwareDatetime, Field, StrictBool, model_validator

from doorstep.contracts.codes import Action, BusinessStatus, Department, Progress
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.policy import Forbidden, Resource
from doorstep.kit.service import PrincipalDep, Service, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.referral import queries, views
from doorstep.referral.api.commands import IfMatch, digest, etag, version_seen
from doorstep.referral.domain.appointments import Appointment, Place
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.domain.parts import MOST_PARTS
from doorstep.referral.domain.templates import NAME
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.appointments import Call, make_appointment
from doorstep.referral.operations.duties import take_duty
from doorstep.referral.operations.parts import NewPart, add_part
from doorstep.referral.schemas import Answer, Body, StationTransitionAnswer, Text, TransitionBody

router = APIRouter(prefix="/api/requests", tags=["station"])

PartNumber = Annotated[int, Field(ge=1, le=MOST_PARTS, description="Which part; needed where there are several.")]


TemplateName = Annotated[str, Field(pattern=NAME, description="A template of the department, as code@version.")]


class AppointmentBody(Body):
    """A window of time of at most eight hours, and a place by its code; seconds are left out."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    place: Place

    def appointment(self) -> Appointment:
        """In the words of the domain."""
        starts_at, ends_at = (whole_minute(at.astimezone(UTC)) for at in (self.starts_at, self.ends_at))
        return Appointment(starts_at=starts_at, ends_at=ends_at, place=self.place)


class StepBody(TransitionBody):
    """A department's step with its task; the state again with `progress` is an interim report."""

    progress: Progress | None = None
    appointment: AppointmentBody | None = None
    template: TemplateName | None = None

    @model_validator(mode="after")
    def _an_appointment_is_one_that_was_made(self) -> "StepBody":
        if self.appointment is not None and self.business_status is not BusinessStatus.APPOINTMENT_SCHEDULED:
            raise ValueError(
                "预约时间须与业务状态 appointment-scheduled 一起提交",
                "an appointment goes with the business status appointment-scheduled",
            )
        return self


class PartBody(Body):
    """What is asked of which department: a need type of its own. Where it rests on consent, the resident was asked."""

    id: UUID7
    department: Department
    need_type: Annotated[str, Field(max_length=64, json_schema_extra={"enum": sorted(NEED_TYPES)})]
    consented: StrictBool = False
    note: Text | None = None


class PartAnswer(Answer):
    """The part that was added is the last: as many there are."""

    request_id: UUID
    part: int


class CallBody(Body):
    """An appointment that the station makes or moves; without one the resident cannot come, and the next is open."""

    id: UUID7
    part: PartNumber | None = None
    appointment: AppointmentBody | None = None
    for_resident: StrictBool = False
    note: Text | None = None


@router.post("/{request_id}/parts", status_code=201)
@attempts(Action.ADD_PART, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def add(
    request_id: UUID,
    body: PartBody,
    response: Response,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
    if_match: IfMatch = None,
) -> PartAnswer:
    """Add a part to an open request, for another department; If-Match names how many parts were seen."""
    service.policy.authorize(principal, "direct-request", Resource("request"))
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, "part", request_id))
    if replay is not None:
        answer = PartAnswer.model_validate(replay.answer)
    else:
        new = NewPart(body.department, body.need_type, version_seen(if_match), body.consented, body.note)
        station, now = station_of(principal), datetime.now(UTC)
        access = await station_access(service, session, principal, request_id)
        added = await add_part(
            session, vault=service.vault, access=access, station=station, request_id=request_id, new=new, now=now
        )
        answer = PartAnswer(request_id=added.request_id, part=added.part)
        await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    response.headers["ETag"] = etag(answer.part)
    return answer


@router.post("/{request_id}/appointments")
@attempts(Action.TRANSITION_TASK, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def appoint(
    request_id: UUID,
    body: CallBody,
    response: Response,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
    if_match: IfMatch = None,
) -> StationTransitionAnswer:
    """Make or move an appointment of a part, also for a resident who cannot come; on the version that was seen."""
    service.policy.authorize(principal, "direct-request", Resource("request"))
    sent = digest(service.vault, body, "appointment", request_id)
    replay = await idempotency.claim(session, principal, body.id, sent)
    if replay is not None:
        answer = StationTransitionAnswer.model_validate(replay.answer)
    else:
        made = None if body.appointment is None else body.appointment.appointment()
        call = Call(made, version_seen(if_match), body.for_resident, body.part, body.note)
        station, now = station_of(principal), datetime.now(UTC)
        access = await station_access(service, session, principal, request_id)
        moved = await make_appointment(
            session, vault=service.vault, access=access, station=station, request_id=request_id, call=call, now=now
        )
        answer = views.station_transition_answer(moved)
        await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    response.headers["ETag"] = etag(answer.version)
    return answer


async def station_access(service: Service, session: SessionDep, principal: Principal, request_id: UUID) -> Access:
    """The caller as who they are on the request's record. Raises Forbidden where they have another duty there."""
    policies = await take_duty(
        session,
        vault=service.vault,
        policy=service.policy,
        principal=principal,
        action="direct-request",
        station=station_of(principal),
        request_id=request_id,
    )
    return Access(principal, policies=policies)


def station_of(principal: Principal) -> str:
    """Where the caller serves; raises Forbidden for somebody of no station."""
    if principal.station is None:
        raise Forbidden("no station")
    return principal.station
