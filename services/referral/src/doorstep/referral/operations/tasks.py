"""Moving tasks: a department or the station takes a step, on the version that it saw."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import (
    Action,
    BusinessStatus,
    Department,
    LegalBasis,
    Outcome,
    Progress,
    Reason,
    Role,
    TaskState,
)
from doorstep.contracts.feeds import FEED_DAYS, RequestWithdrawn
from doorstep.contracts.referral import TaskTransitioned, TransitionDetail
from doorstep.kit import intents, outbox
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault
from doorstep.referral import queries
from doorstep.referral.columns import (
    Detail,
    Wording,
    open_content,
    open_detail,
    open_part,
    open_proposal,
    seal_detail,
    seal_proposal,
)
from doorstep.referral.domain import appointments
from doorstep.referral.domain.announcements import is_urgent
from doorstep.referral.domain.appointments import Appointment
from doorstep.referral.domain.attesting import Attested
from doorstep.referral.domain.content import Content
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.domain.parts import LEAD
from doorstep.referral.domain.promises import Promised
from doorstep.referral.domain.states import FINAL, OPEN, Party, Standing, Step, decide
from doorstep.referral.errors import AboutAnother, PartUnknown, PartUnnamed, RequestUnknown, VersionStale
from doorstep.referral.operations.access import Access, open_to
from doorstep.referral.operations.attesting import attest
from doorstep.referral.operations.calling import end_calls
from doorstep.referral.operations.handling import acting_for
from doorstep.referral.operations.pausing import resume
from doorstep.referral.operations.templates import wording_of
from doorstep.referral.queries import TaskRow

TAKEN_BACK = frozenset({TaskState.CANCELLED, TaskState.ENTERED_IN_ERROR})
"""The states in which a department was told that the request is no longer its own."""

_MOVE = """
    WITH moved AS (
        UPDATE task SET state = :to_state, business_status = :business_status, version = :version,
            proposal = :proposal, closed_at = :closed_at
        WHERE task_id = :task_id
    )
    INSERT INTO task_transition (task_id, version, from_state, to_state, at, party, person, detail)
    VALUES (:task_id, :version, :from_state, :to_state, :at, :party, :person, :detail)
"""
_OWE = """
    INSERT INTO owed_erasure (department, ref, station, withdrawn_at, delete_by)
    VALUES (:department, :ref, :station, :withdrawn_at, :delete_by) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller wants of a task, and the version that they saw.

    `about` is whom they take it to be about, by their department's own id, if they say so; `part` which part the
    station means, where there are several; `template` whose `wording` tells the outcome or the reason; `promised` the
    promise against which work goes on.
    """

    to: TaskState
    version: int
    business_status: BusinessStatus | None = None
    reason: Reason | None = None
    outcome: Outcome | None = None
    note: str | None = None
    about: UUID | None = None
    part: int | None = None
    progress: Progress | None = None
    appointment: Appointment | None = None
    attests: tuple[Attested, ...] = ()
    template: str | None = None
    wording: Wording | None = None
    promised: Promised | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a task stands after a step; `proposed` is a state that waits for somebody else's word."""

    request_id: UUID
    ref: UUID | None
    state: TaskState
    version: int
    business_status: BusinessStatus | None
    proposed: TaskState | None
    part: int = LEAD


async def transition_task(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    ref: UUID,
    wish: Wish,
    now: datetime,
) -> Moved:
    """A department's step with its task `ref`.

    Raises RequestUnknown, VersionStale, AboutAnother, HandledByAnother, a TransitionRefused, an AppointmentRefused or a
    TemplateRefused.
    """
    task = await queries.lock_department_task(session, department, ref)
    seen = await seen_by(session, vault, access, [] if task is None else [task], wish.version)
    if wish.about is not None and wish.about != vault.pairwise(department, seen.subject_id):
        raise AboutAnother
    acting = await acting_for(session, access, seen, now)
    return await _move(session, vault, acting, Party.DEPARTMENT, seen, wish, now)


async def transition_request(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    request_id: UUID,
    wish: Wish,
    now: datetime,
) -> Moved:
    """The station's step with a part of its request; for the resident who withdraws it needs nobody's consent.

    What is withdrawn without naming a part is withdrawn whole, on the lead's version, whatever others did meanwhile.
    Raises RequestUnknown, VersionStale, PartUnnamed, PartUnknown or a TransitionRefused.
    """
    withdrawn = wish.to is TaskState.CANCELLED and wish.reason is Reason.RESIDENT_WITHDREW
    party = Party.RESIDENT if withdrawn else Party.STATION
    tasks = await queries.lock_station_tasks(session, station, request_id)
    whole = withdrawn and wish.part is None
    task = await seen_by(session, vault, access, tasks, wish.version, LEAD if whole else wish.part)
    meant = [one for one in tasks if one.state in OPEN] if whole else []
    moved = [await _move(session, vault, access, party, one, wish, now) for one in meant or [task]]
    return moved[0]


async def seen_by(
    session: AsyncSession,
    vault: Vault,
    access: Access,
    tasks: Sequence[TaskRow],
    version: int,
    part: int | None = None,
) -> TaskRow:
    """The one of the live `tasks` of a request that the caller means, as they saw it; of several the `part` is named.

    Raises RequestUnknown, also for whom its person excludes, PartUnnamed, PartUnknown or VersionStale.
    """
    task = await meant(session, vault, access, tasks, part)
    if task.version != version:
        raise VersionStale
    return task


async def meant(
    session: AsyncSession, vault: Vault, access: Access, tasks: Sequence[TaskRow], part: int | None
) -> TaskRow:
    """The one of the live `tasks` of a request that the caller means, whichever version they saw.

    Raises RequestUnknown, PartUnnamed or PartUnknown.
    """
    if not tasks or not await open_to(session, vault, access, tasks):
        raise RequestUnknown
    if part is None and len(tasks) > 1:
        raise PartUnnamed(parts=len(tasks))
    task = next((one for one in tasks if part in (None, one.part)), None)
    if task is None:
        raise PartUnknown(part=part)
    return task


def content_of(ring: KeyRing, task: TaskRow) -> Content:
    """What a task is about: the request, or its part of it."""
    whole = open_content(ring, task.subject_id, task.request_id, task.content)
    return open_part(ring, task.subject_id, task.task_id, whole, task.part_need)


def standing_of(ring: KeyRing, task: TaskRow) -> Standing:
    """Where a task stands."""
    proposal = open_proposal(ring, task.subject_id, task.task_id, task.proposal)
    return Standing(task.state, task.business_status, task.assigned, proposal)


async def _move(
    session: AsyncSession,
    vault: Vault,
    access: Access,
    party: Party,
    task: TaskRow,
    wish: Wish,
    now: datetime,
) -> Moved:
    ring = await vault.ring([task.subject_id])
    step = Step(
        wish.to, party, access.principal.subject, wish.reason, wish.outcome, wish.business_status, wish.progress
    )
    after = decide(standing_of(ring, task), step)
    if wish.template is not None:
        said_so = await wording_of(session, task.department, content_of(ring, task), wish.template, step, now)
        wish = replace(wish, wording=said_so)
    attest(session, ring, task, content_of(ring, task), after.state, wish.attests, now)
    if wish.appointment is not None:
        appointments.check(wish.appointment, content_of(ring, task), now)
    elif wish.business_status in appointments.ATTENDANCE:
        said = await queries.history(session, [task.task_id])
        details = [open_detail(ring, task.subject_id, row.task_id, row.version, row.detail) for row in said]
        appointments.check_begun([one.appointment for one in details], now)
    return await take(session, ring, access, task, step, after, wish, now)


async def take(
    session: AsyncSession,
    ring: KeyRing,
    access: Access,
    task: TaskRow,
    step: Step,
    after: Standing,
    wish: Wish,
    now: datetime,
) -> Moved:
    """Take a step that leads to `after`: the task's new version, what departments and followers are told, the log.

    It ends a pause whose resident is not waited for any more; an officer's step ends the calls of the duty desk.
    """
    await write_step(session, ring, task, step, after, wish, now)
    await resume(session, task, after, now)
    if access.principal.role is Role.OFFICER and is_urgent(task.opened_at, task.respond_by):
        await end_calls(session, task.task_id, person=access.principal.subject, at=now)
    if task.department is not None and task.ref is not None:
        publish_step(session, ring, task, step, after, now)
        if after.state in TAKEN_BACK:
            await withdraw(session, ring, task.subject_id, task, now)
    intents.record(session, ring, _intent(task, access, after.state), principal=access.principal)
    return Moved(
        task.request_id,
        task.ref,
        after.state,
        task.version + 1,
        after.business_status,
        None if after.proposal is None else after.proposal.to,
        task.part,
    )


async def write_step(
    session: AsyncSession, ring: KeyRing, task: TaskRow, step: Step, after: Standing, wish: Wish, now: datetime
) -> None:
    """The task's new version and what was said, in one statement."""
    version = task.version + 1
    detail = Detail(
        business_status=step.business_status,
        reason=None if step.reason is None else Reason(step.reason),
        outcome=None if step.outcome is None else Outcome(step.outcome),
        note=wish.note,
        progress=wish.progress,
        appointment=wish.appointment,
        template=wish.template,
        wording=wish.wording,
        promised=wish.promised,
    )
    await run(
        session,
        _MOVE,
        {
            "task_id": task.task_id,
            "from_state": task.state.value,
            "to_state": after.state.value,
            "business_status": after.business_status,
            "version": version,
            "proposal": seal_proposal(ring, task.subject_id, task.task_id, after.proposal),
            "closed_at": task.closed_at or (now if after.state in FINAL else None),
            "at": now,
            "party": step.party.value,
            "person": step.person,
            "detail": seal_detail(ring, task.subject_id, task.task_id, version, detail),
        },
    )


def publish_step(
    session: AsyncSession, ring: KeyRing, task: TaskRow, step: Step, after: Standing, now: datetime
) -> None:
    """Tell everybody who follows the request. Of a proposal only the new version is told."""
    told = after.proposal is None or after.proposal.to is not step.to
    detail = TransitionDetail(
        department=Department(task.department or ""),
        business_status=after.business_status,
        reason=Reason(step.reason) if told and step.reason else None,
        outcome=Outcome(step.outcome) if told and step.outcome else None,
        progress=None if step.progress is None else Progress(step.progress),
        reserved=content_of(ring, task).reserved or None,
    )
    event = TaskTransitioned(
        request_id=task.request_id,
        task_id=task.task_id,
        record_id=task.record_id,
        file_id=task.file_id,
        subject_id=task.subject_id,
        from_state=task.state,
        to_state=after.state,
        version=task.version + 1,
        at=now,
        part=named(task.part),
        detail=ring.seal(task.subject_id, detail),
    )
    outbox.add(session, event, key=task.file_id, subject=task.subject_id)


async def withdraw(session: AsyncSession, ring: KeyRing, subject_id: UUID, task: TaskRow, now: datetime) -> None:
    """Tell the task's department that it is no longer its own, by an event at rest under the key of `subject_id`.

    From now on the department owes the word that it deleted what it holds.
    """
    if task.department is None or task.ref is None:
        return
    at = whole_minute(now)
    event = RequestWithdrawn(ref=task.ref, withdrawn_at=at, delete_by=at + timedelta(days=FEED_DAYS))
    body = event.model_dump_json(exclude_none=True).encode()
    outbox.add_feed(
        session,
        Department(task.department),
        event.event_type,
        ref=task.ref,
        subject=subject_id,
        projection=ring.encrypt(subject_id, outbox.feed_context(task.ref), body),
    )
    owed = {"department": task.department, "ref": task.ref, "station": task.station}
    await run(session, _OWE, {**owed, "withdrawn_at": at, "delete_by": event.delete_by})


def named(part: int) -> int | None:
    """A part as events name it: the lead's is not."""
    return None if part == LEAD else part


def _intent(task: TaskRow, access: Access, state: TaskState) -> intents.Intent:
    """What the log is told: the state in which the task is now, also where a step waits for another's word."""
    return intents.Intent(
        Action.TRANSITION_TASK,
        [task.subject_id],
        purpose=access.purpose,
        legal_basis=LegalBasis(task.legal_basis),
        case=task.request_id,
        outcome=state,
        record=task.record_id,
        policies=access.policies,
        officer=access.officer,
    )
