"""Conferences over HTTP: the station calls one, departments that take part read and write what is for them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import UUID7, AfterValidator, AwareDatetime, Field, StrictBool

from doorstep.contracts.codes import Action, Department
from doorstep.kit import idempotency
from doorstep.kit.edge import case_kind
from doorstep.kit.policy import CaseKind, Resource
from doorstep.kit.service import (
    PrincipalDep,
    ServiceDep,
    SessionDep,
    Visibility,
    WhyDep,
    attempts,
    visible_to,
)
from doorstep.referral import queries
from doorstep.referral.api.commands import IfMatch, digest, version_seen
from doorstep.referral.api.departments import access_of
from doorstep.referral.api.parts import PartNumber, station_access, station_of
from doorstep.referral.domain.conferences import KINDS, Minute, Plan
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.domain.parts import LEAD
from doorstep.referral.operations import conferences
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.conferences import Calling, Conference, Entry
from doorstep.referral.schemas import Answer, Body, Text

router = APIRouter(tags=["conferences"])

_Time = Callable[[datetime], datetime]


def _kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError("没有这类信息", "is no kind of fact")
    return name


Kind = Annotated[str, Field(max_length=32, json_schema_extra={"enum": sorted(KINDS)}), AfterValidator(_kind)]


class ConferenceBody(Body):
    """Which parts are to confer, the lead's among them, and when."""

    id: UUID7
    parts: Annotated[frozenset[PartNumber], Field(min_length=2)]
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class MinuteBody(Body):
    """An entry: which kinds of fact it is about, and for which departments; without any for all who take part."""

    id: UUID7
    about: Annotated[tuple[Kind, ...], Field(max_length=len(KINDS))] = ()
    departments: Annotated[tuple[Department, ...], Field(min_length=1, max_length=len(Department))] | None = None
    text: Text


class StationMinuteBody(MinuteBody):
    """An entry of the station's; it may close the conference."""

    closes: StrictBool = False


class ConferenceAnswer(Answer):
    """The request whose conference it is, by the id by which it was asked for, and the conference."""

    request: UUID
    conference: UUID


class MinuteView(Answer):
    """An entry of the minutes; without a department it is the station's."""

    at: datetime
    by: Department | None = None
    about: tuple[str, ...]
    text: str


class ConferenceView(Answer):
    """A conference, under an id of the reader's own, and of its minutes what is for them."""

    conference: UUID
    called_at: datetime
    starts_at: datetime
    ends_at: datetime
    closed_at: datetime | None = None
    lead: Department | None = None
    departments: tuple[Department, ...]
    minutes: tuple[MinuteView, ...]


class Conferences(Answer):
    """The conferences on a request, the oldest first."""

    conferences: tuple[ConferenceView, ...]


@router.post("/api/requests/{request_id}/conferences", status_code=201)
@attempts(Action.CALL_CONFERENCE, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def call(
    request_id: UUID,
    body: ConferenceBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
    if_match: IfMatch = None,
) -> ConferenceAnswer:
    """Call a conference of parts of a request; If-Match names how many parts were seen."""
    service.policy.authorize(principal, "direct-request", Resource("request"))
    sent = digest(service.vault, body, "conference", request_id)
    replay = await idempotency.claim(session, principal, body.id, sent)
    if replay is not None:
        return ConferenceAnswer.model_validate(replay.answer)
    starts_at, ends_at = (whole_minute(at.astimezone(UTC)) for at in (body.starts_at, body.ends_at))
    calling = Calling(body.parts, Plan(starts_at=starts_at, ends_at=ends_at), version_seen(if_match))
    made = await conferences.call_conference(
        session,
        vault=service.vault,
        access=await station_access(service, session, principal, request_id),
        station=station_of(principal),
        request_id=request_id,
        calling=calling,
        now=datetime.now(UTC),
    )
    answer = ConferenceAnswer(request=request_id, conference=made)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@router.post("/api/requests/{request_id}/conferences/{conference_id}/minutes", status_code=201)
@attempts(Action.ADD_MINUTE, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def add_minute(
    request_id: UUID,
    conference_id: UUID,
    body: StationMinuteBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> ConferenceAnswer:
    """Add an entry of the station's to the minutes, and close the conference with it if it says so."""
    service.policy.authorize(principal, "direct-request", Resource("request"))
    sent = digest(service.vault, body, "minute", request_id, conference_id)
    replay = await idempotency.claim(session, principal, body.id, sent)
    answer = ConferenceAnswer(request=request_id, conference=conference_id)
    if replay is None:
        await conferences.speak_for_station(
            session,
            vault=service.vault,
            access=await station_access(service, session, principal, request_id),
            station=station_of(principal),
            request_id=request_id,
            conference_id=conference_id,
            entry=Entry(Minute(about=body.about, text=body.text), body.departments, body.closes),
            now=datetime.now(UTC),
        )
        await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@router.get("/api/requests/{request_id}/conferences", response_model_exclude_none=True)
@attempts(Action.READ_MINUTES, "request_id", queries.subjects_of_request)
@visible_to(Visibility.STATION)
async def read(
    request_id: UUID, service: ServiceDep, principal: PrincipalDep, why: WhyDep, session: SessionDep
) -> Conferences:
    """The conferences on a request of the station with all minutes. The case is the request."""
    allowed = service.policy.authorize(
        principal, "list-requests", Resource("request"), purpose=why.purpose, case=CaseKind.REQUEST
    )
    own = {request_id: CaseKind.REQUEST}
    await case_kind(session, service.vault, principal, why.case, file_id=None, own=own)
    found = await conferences.read_for_station(
        session,
        vault=service.vault,
        access=Access(principal, why.purpose, allowed.policies, why.case),
        station=station_of(principal),
        request_id=request_id,
    )
    return Conferences(conferences=tuple(_view(one, lambda at: at) for one in found))


@router.get("/api/departments/{department}/requests/{ref}/conferences", response_model_exclude_none=True)
@attempts(Action.READ_MINUTES, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def read_own(
    department: Department,
    ref: UUID,
    service: ServiceDep,
    principal: PrincipalDep,
    why: WhyDep,
    session: SessionDep,
) -> Conferences:
    """The conferences at which the department's part takes part, with what of the minutes is for it."""
    access = access_of(service, principal, "read-request", department, why.purpose)
    await case_kind(session, service.vault, principal, why.case, file_id=None, own={ref: CaseKind.REQUEST})
    found = await conferences.read_for_department(
        session, vault=service.vault, access=replace(access, case=why.case), department=department, ref=ref
    )
    return Conferences(conferences=tuple(_view(one, whole_minute) for one in found))


@router.post("/api/departments/{department}/requests/{ref}/conferences/{conference}/minutes", status_code=201)
@attempts(Action.ADD_MINUTE, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def add_own_minute(
    department: Department,
    ref: UUID,
    conference: UUID,
    body: MinuteBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> ConferenceAnswer:
    """Add an entry of the department's to the minutes, for all who take part or for some; the station sees it too."""
    allowed = service.policy.authorize(principal, "transition-task", Resource("request", department=department))
    sent = digest(service.vault, body, "minute", department, ref, conference)
    replay = await idempotency.claim(session, principal, body.id, sent)
    answer = ConferenceAnswer(request=ref, conference=conference)
    if replay is None:
        await conferences.speak_for_department(
            session,
            vault=service.vault,
            access=Access(principal, policies=allowed.policies),
            department=department,
            ref=ref,
            conference_ref=conference,
            entry=Entry(Minute(about=body.about, text=body.text), body.departments),
            now=datetime.now(UTC),
        )
        await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


def _view(found: Conference, told: _Time) -> ConferenceView:
    """A conference with its times as they are told to the reader."""
    return ConferenceView(
        conference=found.id,
        called_at=told(found.called_at),
        starts_at=found.plan.starts_at,
        ends_at=found.plan.ends_at,
        closed_at=None if found.closed_at is None else told(found.closed_at),
        lead=next((one.department for one in found.seats if one.part == LEAD), None),
        departments=tuple(sorted({one.department for one in found.seats})),
        minutes=tuple(
            MinuteView(at=told(one.at), by=one.by, about=one.minute.about, text=one.minute.text) for one in found.said
        ),
    )
