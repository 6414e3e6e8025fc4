"""Which event becomes which steps of a record's journey, and which takes steps out of it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Contract, Event
from doorstep.contracts.intake import VisitRecorded
from doorstep.contracts.referral import RequestOpened, RequestRated, TaskTransitioned
from doorstep.contracts.registry import ExclusionsNamed, FactsAsserted, HouseholdLeft, SubjectErased
from doorstep.contracts.risk import AssessedNeed, NeedDecided, NeedsAssessed
from doorstep.contracts.wire import format_time
from doorstep.gateway import queries
from doorstep.gateway.domain.journey import Step, StepKind
from doorstep.gateway.operations.residents import leave_household
from doorstep.gateway.queries import Journey, Mention
from doorstep.kit.consumer import Handler, Received
from doorstep.kit.exclusions import exclude


def _sealed(value: Contract) -> dict[str, Any]:
    return value.model_dump(mode="json")


async def _on_visit_recorded(session: AsyncSession, received: Received) -> None:
    event: VisitRecorded = received.event
    await queries.begin(session, Journey(event.record_id, event.station, event.recorded_by), event.recorded_at)
    step = Step(
        kind=StepKind.RECORDED,
        at=format_time(event.recorded_at),
        open={"channel": event.channel, "subjects": len(event.subjects)},
    )
    await queries.append(session, event.record_id, [step])


async def _on_facts_asserted(session: AsyncSession, received: Received) -> None:
    event: FactsAsserted = received.event
    found = [
        Step(
            kind=StepKind.FACTS_ASSERTED,
            at=format_time(event.asserted_at),
            subject_id=one.subject_id,
            subject_kind=one.kind,
            open={"file_version": event.file_version},
            sealed=_sealed(one.facts),
        )
        for one in event.subjects
    ]
    await queries.append(session, event.record_id, found)
    if event.address_sealed:
        await queries.seal_file(session, event.file_id)
    people = [
        Mention(
            one.subject_id,
            event.record_id,
            event.file_id,
            one.person_id,
            event.asserted_at,
            one.card.model_dump_json().encode(),
        )
        for one in event.subjects
        if one.person_id is not None
    ]
    await queries.add_mentions(session, people)


async def _on_needs_assessed(session: AsyncSession, received: Received) -> None:
    event: NeedsAssessed = received.event
    found = [
        *_needs(StepKind.NEED_HANDED_ON, event.assessed_at, event.handed_on, rule_pack=event.rule_pack),
        *_needs(StepKind.NEED_SUGGESTED, event.assessed_at, event.suggested, rule_pack=event.rule_pack),
    ]
    if found:
        await queries.append(session, event.record_id, found)


async def _on_need_decided(session: AsyncSession, received: Received) -> None:
    event: NeedDecided = received.event
    found = list(_needs(StepKind.NEED_DECIDED, event.decided_at, [event.need], decision=event.decision))
    await queries.append(session, event.record_id, found)


def _needs(kind: StepKind, at: datetime, needs: Iterable[AssessedNeed], **shown: str) -> Iterable[Step]:
    for one in needs:
        yield Step(
            kind=kind,
            at=format_time(at),
            subject_id=one.subject_id,
            subject_kind=one.kind,
            open={"need_id": str(one.need_id), **shown},
            sealed=_sealed(one.need),
        )


async def _on_request_opened(session: AsyncSession, received: Received) -> None:
    event: RequestOpened = received.event
    step = _of_request(StepKind.REQUEST_OPENED, event.opened_at, event.subject_id, event.request_id, event.summary)
    shown = {**step.open, "need_id": str(event.need_id)}
    if event.continues is not None:
        shown["continues"] = str(event.continues)
    await queries.append(session, event.record_id, [step.model_copy(update={"open": shown})])


async def _on_task_transitioned(session: AsyncSession, received: Received) -> None:
    event: TaskTransitioned = received.event
    step = _of_request(StepKind.TASK_TRANSITIONED, event.at, event.subject_id, event.request_id, event.detail)
    shown = {**step.open, "from": event.from_state, "to": event.to_state, "version": event.version}
    if event.part is not None:
        shown["part"] = event.part
    await queries.append(session, event.record_id, [step.model_copy(update={"open": shown})])


async def _on_request_rated(session: AsyncSession, received: Received) -> None:
    event: RequestRated = received.event
    step = _of_request(StepKind.REQUEST_RATED, event.rated_at, event.subject_id, event.request_id, event.rating)
    await queries.append(session, event.record_id, [step])


async def _on_subject_erased(session: AsyncSession, received: Received) -> None:
    event: SubjectErased = received.event
    await queries.erase(session, event.subject_id)


async def _on_exclusions_named(session: AsyncSession, received: Received) -> None:
    event: ExclusionsNamed = received.event
    await exclude(session, event.subject_ids, event.staff)


async def _on_household_left(session: AsyncSession, received: Received) -> None:
    await leave_household(session, left=received.event)


def _of_request(kind: StepKind, at: datetime, subject_id: UUID, request_id: UUID, sealed: Contract) -> Step:
    return Step(
        kind=kind,
        at=format_time(at),
        subject_id=subject_id,
        open={"request_id": str(request_id)},
        sealed=_sealed(sealed),
    )


HANDLERS: Mapping[type[Event], Handler] = {
    VisitRecorded: _on_visit_recorded,
    FactsAsserted: _on_facts_asserted,
    NeedsAssessed: _on_needs_assessed,
    NeedDecided: _on_need_decided,
    RequestOpened: _on_request_opened,
    TaskTransitioned: _on_task_transitioned,
    RequestRated: _on_request_rated,
    SubjectErased: _on_subject_erased,
    ExclusionsNamed: _on_exclusions_named,
    HouseholdLeft: _on_household_left,
}
