"""Conferences: the station calls one, it and the departments that take part write minutes, each reads what is for them.

Invariants: a department knows a conference by an id of its own, and nothing counts what it does not see; minutes only
grow, in an order that the conference's row decides; what is shown is logged before the first byte leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, LegalBasis, TaskState
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault
from doorstep.referral import queries
from doorstep.referral.columns import open_content, open_minute, open_plan, seal_minute, seal_plan
from doorstep.referral.domain.conferences import Minute, Plan, Seat, audience, check_call, check_open, may_see
from doorstep.referral.errors import ConferenceUnknown, PartUnknown, RequestUnknown, VersionStale
from doorstep.referral.operations.access import Access, open_to
from doorstep.referral.queries import TaskRow

_CALL = """
    WITH called AS (
        INSERT INTO conference (conference_id, request_id, called_at, called_by, plan)
        VALUES (:conference_id, :request_id, :at, :person, :plan) RETURNING conference_id
    )
    INSERT INTO conference_seat (conference_id, task_id)
    SELECT conference_id, unnest(CAST(:task_ids AS uuid[])) FROM called
"""
_OF_REQUEST = """
    SELECT conference_id, called_at, closed_at, plan FROM conference WHERE request_id = :request_id
    ORDER BY called_at, conference_id
"""
_LOCK = "SELECT closed_at FROM conference WHERE conference_id = :conference_id FOR UPDATE"
_SEATS = """
    SELECT s.conference_id, t.task_id, t.part, t.department, t.state FROM conference_seat s JOIN task t USING (task_id)
    WHERE s.conference_id = ANY(CAST(:ids AS uuid[])) ORDER BY t.part, t.task_id
"""
_MINUTES = """
    SELECT m.conference_id, m.number, m.at, t.department, m.visible_to, m.body
    FROM minute m LEFT JOIN task t USING (task_id)
    WHERE m.conference_id = ANY(CAST(:ids AS uuid[])) ORDER BY m.conference_id, m.number
"""
_ADD = """
    INSERT INTO minute (conference_id, number, at, task_id, person, visible_to, body)
    VALUES (:conference_id, :number, :at, :task_id, :person, :visible_to, :body)
"""
_NEXT = "SELECT coalesce(max(number), 0) + 1 FROM minute WHERE conference_id = :conference_id"
_CLOSE = "UPDATE conference SET closed_at = :at WHERE conference_id = :conference_id AND closed_at IS NULL"


@dataclass(frozen=True, slots=True)
class Said:
    """An entry of the minutes as it may be shown; `by` is a department, None the station."""

    at: datetime
    by: Department | None
    minute: Minute


@dataclass(frozen=True, slots=True)
class Conference:
    """A conference as it may be shown, under the reader's own id; `seats` are by part, the lead's first."""

    id: UUID
    called_at: datetime
    closed_at: datetime | None
    plan: Plan
    seats: tuple[Seat, ...]
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Calling:
    """Which parts are to confer, when, and how many parts the caller knew."""

    parts: frozenset[int]
    plan: Plan
    seen: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry to add: for all who take part or for the departments named; the station's may close the conference."""

    minute: Minute
    named: tuple[Department, ...] | None = None
    closes: bool = False


async def call_conference(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    request_id: UUID,
    calling: Calling,
    now: datetime,
) -> UUID:
    """Call a conference of parts of a request of the station.

    Raises RequestUnknown, VersionStale, PartUnknown, WindowRefused or a ConferenceRefused.
    """
    tasks = await _station_tasks(session, vault, access, station, request_id)
    lead = tasks[0]
    if lead.parts != calling.seen:
        raise VersionStale
    missing = calling.parts - {one.part for one in tasks}
    if missing:
        raise PartUnknown(part=min(missing))
    ring = await vault.ring([lead.subject_id])
    content = open_content(ring, lead.subject_id, lead.request_id, lead.content)
    seats = [
        Seat(one.task_id, one.part, Department(one.department), one.state)
        for one in tasks
        if one.part in calling.parts and one.department is not None
    ]
    check_call(content, seats, calling.plan, now)
    conference_id = uuid4()
    values = {
        "conference_id": conference_id,
        "request_id": request_id,
        "at": now,
        "person": access.principal.subject,
        "plan": seal_plan(ring, lead.subject_id, conference_id, calling.plan),
        "task_ids": [one.task_id for one in seats],
    }
    await run(session, _CALL, values)
    _log(session, ring, access, Action.CALL_CONFERENCE, lead)
    return conference_id


async def speak_for_station(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    request_id: UUID,
    conference_id: UUID,
    entry: Entry,
    now: datetime,
) -> None:
    """Add an entry of the station's. Raises RequestUnknown or a ConferenceRefused."""
    tasks = await _station_tasks(session, vault, access, station, request_id)
    known = [row["conference_id"] for row in await run(session, _OF_REQUEST, {"request_id": request_id})]
    if conference_id not in known:
        raise ConferenceUnknown
    await _add(session, vault, access, tasks[0], None, conference_id, entry, now)


async def speak_for_department(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    ref: UUID,
    conference_ref: UUID,
    entry: Entry,
    now: datetime,
) -> None:
    """Add an entry of a department that takes part. Raises RequestUnknown or a ConferenceRefused."""
    task = await queries.lock_department_task(session, department, ref)
    task = await _own(session, vault, access, task)
    for row, _ in await _of_task(session, task):
        if vault.pairwise(department, row["conference_id"]) == conference_ref:
            await _add(session, vault, access, task, department, row["conference_id"], entry, now)
            return
    raise ConferenceUnknown


async def read_for_station(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, request_id: UUID
) -> list[Conference]:
    """All conferences of a request of the station, whole. Raises RequestUnknown."""
    tasks = await _station_tasks(session, vault, access, station, request_id)
    lead = tasks[0]
    ring = await vault.ring([lead.subject_id])
    rows = await run(session, _OF_REQUEST, {"request_id": request_id})
    shown = await _shown(session, ring, lead.subject_id, rows, None)
    _log(session, ring, access, Action.READ_MINUTES, lead)
    return [conference for conference, _ in shown]


async def read_for_department(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, ref: UUID
) -> list[Conference]:
    """The conferences at which a department has a seat, with what is for it. Raises RequestUnknown."""
    task = await _own(session, vault, access, await queries.department_task(session, department, ref))
    ring = await vault.ring([task.subject_id])
    rows = [row for row, _ in await _of_task(session, task)]
    found = []
    for conference, visible in await _shown(session, ring, task.subject_id, rows, department):
        said = tuple(one for one, tasks in visible if task.task_id in tasks and may_see(department, one.minute.about))
        own = vault.pairwise(department, conference.id)
        found.append(
            Conference(own, conference.called_at, conference.closed_at, conference.plan, conference.seats, said)
        )
    _log(session, ring, access, Action.READ_MINUTES, task)
    return found


async def _station_tasks(
    session: AsyncSession, vault: Vault, access: Access, station: str, request_id: UUID
) -> list[TaskRow]:
    tasks = await queries.lock_station_tasks(session, station, request_id)
    if not tasks or not await open_to(session, vault, access, tasks):
        raise RequestUnknown
    return tasks


async def _own(session: AsyncSession, vault: Vault, access: Access, task: TaskRow | None) -> TaskRow:
    if task is None or not await open_to(session, vault, access, [task]):
        raise RequestUnknown
    return task


async def _of_task(session: AsyncSession, task: TaskRow) -> list[tuple[Any, list[Seat]]]:
    """The conferences at which a task has a seat that is still its department's, with all seats."""
    rows = await run(session, _OF_REQUEST, {"request_id": task.request_id})
    seats = await _seats(session, [row["conference_id"] for row in rows])
    found = [(row, seats.get(row["conference_id"], [])) for row in rows]
    return [(row, there) for row, there in found if any(one.task_id == task.task_id and one.taken for one in there)]


async def _seats(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, list[Seat]]:
    found: dict[UUID, list[Seat]] = {}
    for row in await run(session, _SEATS, {"ids": list(ids)}):
        seat = Seat(row["task_id"], row["part"], Department(row["department"]), TaskState(row["state"]))
        found.setdefault(row["conference_id"], []).append(seat)
    return found


async def _shown(
    session: AsyncSession, ring: KeyRing, subject_id: UUID, rows: Sequence[Any], department: Department | None
) -> list[tuple[Conference, list[tuple[Said, frozenset[UUID]]]]]:
    """Conferences with their whole minutes, and for each entry the tasks that it is for."""
    ids = [row["conference_id"] for row in rows]
    seats = await _seats(session, ids)
    minutes: dict[UUID, list[tuple[Said, frozenset[UUID]]]] = {}
    for row in await run(session, _MINUTES, {"ids": ids}):
        minute = open_minute(ring, subject_id, row["conference_id"], row["number"], row["body"])
        by = None if row["department"] is None else Department(row["department"])
        said = Said(row["at"], by, minute)
        minutes.setdefault(row["conference_id"], []).append((said, frozenset(row["visible_to"])))
    found = []
    for row in rows:
        key = row["conference_id"]
        plan = open_plan(ring, subject_id, key, row["plan"])
        there = tuple(one for one in seats.get(key, []) if one.taken or department is None)
        whole = minutes.get(key, [])
        everything = tuple(one for one, _ in whole)
        found.append((Conference(key, row["called_at"], row["closed_at"], plan, there, everything), whole))
    return found


async def _add(
    session: AsyncSession,
    vault: Vault,
    access: Access,
    task: TaskRow,
    author: Department | None,
    conference_id: UUID,
    entry: Entry,
    now: datetime,
) -> None:
    """Write an entry, one after the other: the conference's row is locked until the transaction ends."""
    ((closed_at,),) = await run(session, _LOCK, {"conference_id": conference_id})
    check_open(closed_at)
    seats = (await _seats(session, [conference_id])).get(conference_id, [])
    visible_to = audience(seats, author, entry.minute.about, entry.named)
    ring = await vault.ring([task.subject_id])
    ((number,),) = await run(session, _NEXT, {"conference_id": conference_id})
    values = {
        "conference_id": conference_id,
        "number": number,
        "at": now,
        "task_id": None if author is None else task.task_id,
        "person": access.principal.subject,
        "visible_to": visible_to,
        "body": seal_minute(ring, task.subject_id, conference_id, number, entry.minute),
    }
    await run(session, _ADD, values)
    if entry.closes:
        await run(session, _CLOSE, {"conference_id": conference_id, "at": now})
    _log(session, ring, access, Action.ADD_MINUTE, task)


def _log(session: AsyncSession, ring: KeyRing, access: Access, action: Action, task: TaskRow) -> None:
    intent = intents.Intent(
        action,
        [task.subject_id],
        purpose=access.purpose,
        legal_basis=LegalBasis(task.legal_basis),
        case=task.request_id,
        record=task.record_id,
        policies=access.policies,
    )
    intents.record(session, ring, intent, principal=access.principal)
