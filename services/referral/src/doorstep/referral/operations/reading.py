"""Reading requests: what is shown is logged in the same transaction, before the first byte leaves."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, LegalBasis, TaskState
from doorstep.contracts.feeds import Offer
from doorstep.contracts.needs import Need
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.edge import case_kind
from doorstep.kit.policy import NOTHING, CaseKind, Policy, Resource, Sight, Why
from doorstep.kit.vault import KeyRing, SubjectErased, Vault
from doorstep.referral import queries
from doorstep.referral.columns import Detail, open_content, open_detail, open_part, open_proposal
from doorstep.referral.domain.content import project
from doorstep.referral.domain.deadlines import DueTimes, Late, is_overdue, late
from doorstep.referral.domain.orders import bound
from doorstep.referral.domain.states import Proposal
from doorstep.referral.errors import RequestUnknown
from doorstep.referral.operations.access import Access, open_to
from doorstep.referral.operations.offices import known_offices
from doorstep.referral.operations.parts import others
from doorstep.referral.queries import TaskRow, TransitionRow


@dataclass(frozen=True, slots=True)
class Clock:
    """What a task owes when: computed now from its stored times."""

    due: DueTimes
    overdue: bool
    late: Late


@dataclass(frozen=True, slots=True)
class Said:
    """One entry of a task's history, opened."""

    row: TransitionRow
    detail: Detail


@dataclass(frozen=True, slots=True)
class Shown:
    """A task as it may be shown: to its department as `offer`, to the station with the need alone.

    `part_need` is the need type of its part; `others`, for the lead, who has other parts.
    """

    task: TaskRow
    clock: Clock
    need: Need
    proposal: Proposal | None
    offer: Offer | None = None
    history: tuple[Said, ...] = field(default=())
    part_need: str = ""
    others: tuple[Department, ...] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a department's tasks; there may be more after its task `next`."""

    shown: list[Shown]
    next: UUID | None


@dataclass(frozen=True, slots=True)
class _View:
    """For whom, and as of when, tasks are shown; without a department for the station."""

    now: datetime
    department: Department | None
    history: Sequence[TransitionRow] = ()
    sight: Sight = NOTHING
    offices: Mapping[bytes, UUID] = field(default_factory=dict)


def clock(task: TaskRow, now: datetime) -> Clock:
    """What `task` owes at `now`."""
    due = bound(DueTimes(task.respond_by, task.complete_by, task.provisional), task.hotline_due_by)
    return Clock(due, is_overdue(task.state, due, now), late(task.state, task.opened_at, due, now))


async def list_department_requests(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    state: TaskState | None,
    after: UUID | None,
    now: datetime,
) -> Page:
    """A page of the department's own requests in its own projection, oldest first."""
    tasks = await queries.department_tasks(session, department, state=state, after=after)
    view = _View(now, department, (), access.sight, await known_offices(session, vault, tasks))
    shown = await _list(session, vault, access, tasks, view, case=None)
    return Page(shown, tasks[-1].ref if len(tasks) == queries.PAGE else None)


async def show_to_department(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    tasks: Sequence[TaskRow],
    now: datetime,
) -> list[Shown]:
    """Some of the department's own tasks, in their order; that they were listed is logged."""
    view = _View(now, department, (), access.sight, await known_offices(session, vault, tasks))
    return await _list(session, vault, access, tasks, view, case=None)


async def read_department_request(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, ref: UUID, now: datetime
) -> Shown:
    """One request of the department with its history. Raises RequestUnknown, also for another department's."""
    task = await queries.department_task(session, department, ref)
    if task is None or not await open_to(session, vault, access, [task]):
        raise RequestUnknown
    if access.case is not None:
        await case_kind(session, vault, access.principal, access.case, file_id=None, own={ref: CaseKind.REQUEST})
    ring = await vault.ring([task.subject_id])
    history = await queries.history(session, [task.task_id])
    view = _View(now, department, history, access.sight, await known_offices(session, vault, [task]))
    shown = _shown(vault, ring, task, view)
    shown = replace(shown, others=await others(session, task))
    _log(session, ring, access, Action.READ_REQUEST, [task], case=task.request_id)
    return shown


async def list_record_requests(
    session: AsyncSession,
    *,
    vault: Vault,
    policy: Policy,
    principal: Principal,
    why: Why,
    station: str,
    record_id: UUID,
    now: datetime,
) -> list[Shown]:
    """All tasks that came of a record of the station, by request, part and sequence, with their history.

    The case is the record, its file, one of the requests, or an emergency access to the file. That nothing was shown is
    logged too, alike for a record that does not exist and for one of another station. Raises Forbidden, Problem.
    """
    kind, thing = why.expected(CaseKind.RECORD), Resource("request")
    allowed = policy.read(principal, Action.LIST_REQUESTS, thing, why, kind)
    tasks = await queries.record_tasks(session, station, record_id)
    if tasks:
        requests = {task.request_id: CaseKind.REQUEST for task in tasks}
        files = {task.file_id: CaseKind.FILE for task in tasks}  # of who left the household it is another
        own = {**requests, record_id: CaseKind.RECORD, **files}
        kind = await case_kind(session, vault, principal, why.case, file_id=tasks[0].file_id, own=own)
        allowed = policy.read(principal, Action.LIST_REQUESTS, thing, why, kind)
    access = Access(principal, why.purpose, allowed.policies, why.case)
    history = await queries.history(session, [task.task_id for task in tasks])
    shown = await _list(session, vault, access, tasks, _View(now, None, history), case=why.case)
    if not shown:
        await _log_nothing(session, vault, access, record_id)
    return shown


async def list_queue(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, state: TaskState, now: datetime
) -> list[Shown]:
    """The station's tasks that wait for a department (draft) or came back (rejected)."""
    tasks = await queries.queue(session, station, state)
    history = await queries.history(session, [task.task_id for task in tasks])
    return await _list(session, vault, access, tasks, _View(now, None, history), case=None)


async def _list(
    session: AsyncSession, vault: Vault, access: Access, tasks: Sequence[TaskRow], view: _View, *, case: UUID | None
) -> list[Shown]:
    """The tasks as they are shown, those of erased subjects and of who excludes the caller left out.

    One entry in the log is for all of them.
    """
    tasks = await open_to(session, vault, access, tasks)
    ring = await vault.ring({task.subject_id for task in tasks})
    found = []
    for task in tasks:
        with suppress(SubjectErased):
            found.append(_shown(vault, ring, task, view))
    _log(session, ring, access, Action.LIST_REQUESTS, [shown.task for shown in found], case=case)
    return found


def _log(
    session: AsyncSession, ring: KeyRing, access: Access, action: Action, tasks: Sequence[TaskRow], *, case: UUID | None
) -> None:
    """Send the read on its way to the log, with the transaction that reads."""
    if not tasks:
        return
    bases, records = {task.legal_basis for task in tasks}, {task.record_id for task in tasks}
    intent = intents.Intent(
        action,
        intents.distinct(task.subject_id for task in tasks),
        purpose=access.purpose,
        legal_basis=LegalBasis(bases.pop()) if len(bases) == 1 else None,
        case=case,
        record=records.pop() if len(records) == 1 else None,
        policies=access.policies,
    )
    intents.record(session, ring, intent, principal=access.principal)


async def _log_nothing(session: AsyncSession, vault: Vault, access: Access, record_id: UUID) -> None:
    """Send on its way to the log that somebody asked for a record's requests and was shown none."""
    known = await queries.subjects_of_record(session, record_id)
    ring, subjects = await intents.concerned(vault, known, access.principal)
    intent = intents.Intent(
        Action.LIST_REQUESTS,
        subjects,
        purpose=access.purpose,
        case=record_id if known else None,
        outcome="nothing-shown",
        policies=access.policies,
    )
    intents.record(session, ring, intent, principal=access.principal)


def _shown(vault: Vault, ring: KeyRing, task: TaskRow, view: _View) -> Shown:
    whole = open_content(ring, task.subject_id, task.request_id, task.content)
    content = open_part(ring, task.subject_id, task.task_id, whole, task.part_need)
    told = clock(task, view.now)
    offer = None
    if view.department is not None and task.ref is not None:
        subject_ref = vault.pairwise(view.department, task.subject_id)
        office = view.offices.get(bytes(task.office_index or b""))
        offer = project(view.department, content, ref=task.ref, subject_ref=subject_ref, due=told.due, office=office)
        offer = _seen(offer, view.sight)
    said = tuple(
        Said(row, open_detail(ring, task.subject_id, row.task_id, row.version, row.detail))
        for row in view.history
        if row.task_id == task.task_id
    )
    proposal = open_proposal(ring, task.subject_id, task.task_id, task.proposal)
    return Shown(task, told, whole.need, proposal, offer, said, content.need.need_type)


def _seen(offer: Offer, sight: Sight) -> Offer:
    """What of a department's projection the caller sees; the rest is absent."""
    hidden = {"place" if field == "description" else field for field in sight.hidden} & set(Offer.model_fields)
    facts = tuple(fact for fact in offer.facts if sight.fact(fact.code))
    return offer.model_copy(update={**dict.fromkeys(hidden), "facts": facts})
