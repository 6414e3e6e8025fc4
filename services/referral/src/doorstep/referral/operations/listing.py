"""What the first receiver answers for: every request that is open, with who has it and what is next; and what is late.

To read these opens no content but the papers that a resident was told to bring, and until when they are promised.
Supervisors are shown figures, and the ids of what nobody could be known by; requests that concern violence are in
neither.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import OPEN_DEPARTMENTS, Action, Department, DueStep, TaskState
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.exclusions import excluding
from doorstep.kit.vault import KeyRing, Vault
from doorstep.referral import queries
from doorstep.referral.columns import open_detail, open_papers
from doorstep.referral.domain.announcements import Watched, owed
from doorstep.referral.domain.deadlines import DueTimes, Late, late
from doorstep.referral.domain.figures import guarded, told
from doorstep.referral.domain.routing import REJECTIONS_BEFORE_ARBITER
from doorstep.referral.errors import CursorExpired
from doorstep.referral.operations.access import STAFF, Access
from doorstep.referral.operations.counting import need_index
from doorstep.referral.operations.in_force import in_force
from doorstep.referral.operations.offices import indexes
from doorstep.referral.queries import NEWER

PAGE = 50

LIVE = f"""
    task t JOIN request r USING (request_id)
    WHERE r.station = :station AND (t.closed_at IS NULL OR t.state = 'rejected')
        AND NOT EXISTS ({NEWER})
        AND NOT (t.state = 'rejected' AND EXISTS (SELECT FROM request n WHERE n.continues = t.request_id))
"""
"""Live tasks of a station that are open, or came back and are not carried on."""
# As queries.rejections counts them, for a task t of a request r.
_REJECTIONS = """
    SELECT count(*) FROM request q JOIN task b USING (request_id)
    WHERE q.need_id = r.need_id AND b.state = 'rejected' AND b.part = t.part
        AND (t.part = 1 OR b.request_id = t.request_id)
"""
FOR_ARBITER = f"t.state IN ('draft', 'requested', 'rejected') AND ({_REJECTIONS}) >= :rejections"
"""Of live tasks those that only the arbiter hands on, now or once their department does not answer in time."""
KNOWN = "SELECT 1 FROM request WHERE request_id = :after AND station = :station"
# The parts of a request are on one page: its rows are ties.
_OPEN = f"""
    SELECT r.request_id, r.record_id, r.subject_id, r.confidential, r.parts, t.task_id, t.part, t.department,
        t.office_index, t.state, t.version, t.opened_at, least(t.respond_by, r.hotline_due_by) AS respond_by,
        least(t.complete_by, r.hotline_due_by) AS complete_by, t.provisional, t.paused_until,
        t.missing_papers, r.opened_at AS received_at,
        (SELECT max(s.at) FROM task_transition s WHERE s.task_id = t.task_id) AS since,
        (SELECT max(m.day) FROM reminder m WHERE m.task_id = t.task_id) AS reminded_on,
        c.attempts, c.acknowledged_at, {FOR_ARBITER} AS for_arbiter
    FROM {LIVE.replace("WHERE", "LEFT JOIN duty_call c USING (task_id) WHERE", 1)}
        AND (
            CAST(:after AS uuid) IS NULL
            OR (r.opened_at, r.request_id) > (
                SELECT a.opened_at, a.request_id FROM request a WHERE a.request_id = :after AND a.station = :station
            )
        )
    ORDER BY r.opened_at, r.request_id FETCH FIRST (:page) ROWS WITH TIES
"""  # noqa: S608
# A part tells no more than the whole: plain is what is so by both, and what belongs to violence is not counted.
_STANDING = f"""
    SELECT DISTINCT ON (a.task_id, a.deadline) r.request_id, r.subject_id, t.part, t.department, a.deadline, a.step,
        a.due_by, a.announced_at, a.late, NOT r.confidential AND coalesce(r.need_index = ANY(:plain), false)
            AND (t.part = 1 OR coalesce(t.part_index = ANY(:plain), false))
            AND (t.department IS NULL OR t.department = ANY(:open_departments)) AS plain,
        NOT r.confidential OR coalesce(r.need_index = ANY(:told), false) AS counted
    FROM announcement a JOIN {LIVE.replace("task t", "task t USING (task_id)", 1)}
        AND (a.deadline, a.due_by) IN (('response', t.respond_by), ('completion', t.complete_by))
        AND (a.deadline <> 'response' OR t.state IN ('draft', 'requested'))
    ORDER BY a.task_id, a.deadline, array_position(ARRAY['officer', 'head-of-office', 'supervisor'], a.step) DESC
"""  # noqa: S608
_COUNTED = f"""
    SELECT plain, department, step, count(*) AS count FROM ({_STANDING}) AS s
    WHERE counted GROUP BY plain, department, step
"""  # noqa: S608
_LONGEST = f"""
    SELECT * FROM ({_STANDING}) AS s WHERE NOT :supervises OR (plain AND step = 'supervisor')
    ORDER BY due_by, request_id, part, deadline LIMIT :page
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Answered:
    """One part of an open request: who has it, since when, what is next, until when, and how late that is.

    Most requests have one part. Without a department the station has it.
    """

    row: Mapping[str, Any]
    next: str
    until: datetime
    late: Late
    office: str | None
    papers: tuple[str, ...]
    promised_until: date | None


@dataclass(frozen=True, slots=True)
class OpenPage:
    """Some of the station's open requests by part; there may be more after the request `next`."""

    answered: list[Answered]
    next: UUID | None


@dataclass(frozen=True, slots=True)
class LateLine:
    """How many deadlines climbed so far; None for fewer than are told."""

    department: Department | None
    guarded: bool
    step: DueStep
    count: int | None


@dataclass(frozen=True, slots=True)
class LateList:
    """What was announced and stands: figures, and requests by id, those due longest first."""

    lines: tuple[LateLine, ...] = ()
    requests: Sequence[Mapping[str, Any]] = ()
    more: bool = False


_NEXT = {TaskState.DRAFT: "route", TaskState.REQUESTED: "respond", TaskState.REJECTED: "hand-on"}


async def list_open(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, after: UUID | None, now: datetime
) -> OpenPage:
    """A page of the station's open requests, oldest first, those after the request `after`; the read is logged.

    No request is on two pages, so that one with several parts may make a page longer than PAGE.
    Raises CursorExpired where there is no such request, so that nobody takes an empty page for the last.
    """
    if after is not None and not await run(session, KNOWN, {"station": station, "after": after}):
        raise CursorExpired
    values = {"station": station, "after": after, "page": PAGE, "rejections": REJECTIONS_BEFORE_ARBITER}
    rows = await run(session, _OPEN, values)
    rows = sorted(rows, key=lambda row: (row["received_at"], row["request_id"], row["part"]))
    shown = await _shown_to(session, vault, access, rows)
    ring = await vault.ring({row["subject_id"] for row in shown})
    promised = await _promised(session, ring, shown)
    directory = await in_force(session)
    names = {} if directory is None else {one.id: one.name for one in directory.offices}
    by_index = {} if directory is None else indexes(vault, directory)
    answered = []
    for row in shown:
        if row["subject_id"] not in ring:
            continue
        state = TaskState(row["state"])
        due = DueTimes(row["respond_by"], row["complete_by"], row["provisional"])
        paused = row["paused_until"] is not None and now < row["paused_until"]
        [(_, until), *_] = owed(Watched(state, row["opened_at"], due))
        how_late = Late.NOBODY if paused else late(_counted_as(state), row["opened_at"], due, now)
        office = names.get(by_index.get(bytes(row["office_index"] or b"")))  # type: ignore[arg-type]
        papers = open_papers(ring, row["subject_id"], row["task_id"], row["missing_papers"])
        next_step = "wait-for-resident" if paused else _NEXT.get(state, "complete")
        answered.append(Answered(row, next_step, until, how_late, office, papers, promised.get(row["task_id"])))
    if answered:
        about = intents.distinct(one.row["subject_id"] for one in answered)
        intent = intents.Intent(Action.LIST_REQUESTS, about, purpose=access.purpose, policies=access.policies)
        intents.record(session, ring, intent, principal=access.principal)
    return OpenPage(answered, rows[-1]["request_id"] if len(rows) >= PAGE else None)


async def _promised(session: AsyncSession, ring: KeyRing, rows: Sequence[Mapping[str, Any]]) -> dict[UUID, date | None]:
    """By task until when papers are promised, where work goes on after they were listed; else None."""
    subjects = {
        row["task_id"]: row["subject_id"]
        for row in rows
        if row["missing_papers"] is not None and row["state"] == TaskState.IN_PROGRESS and row["subject_id"] in ring
    }
    if not subjects:
        return {}
    found: dict[UUID, date | None] = {}
    for step in await queries.history(session, list(subjects)):
        if step.from_state != TaskState.IN_PROGRESS == step.to_state:
            detail = open_detail(ring, subjects[step.task_id], step.task_id, step.version, step.detail)
            found[step.task_id] = None if detail.promised is None else detail.promised.until
    return found


def _counted_as(state: TaskState) -> TaskState:
    """What came back from a department is late by its completion, as work that is under way."""
    return TaskState.ACCEPTED if state is TaskState.REJECTED else state


async def _shown_to(
    session: AsyncSession, vault: Vault, access: Access, rows: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The rows whose persons do not exclude the caller."""
    who = vault.pairwise(STAFF, access.principal.subject)
    closed = await excluding(session, who, [row["subject_id"] for row in rows]) if rows else set()
    return [row for row in rows if row["subject_id"] not in closed]


async def list_late(session: AsyncSession, *, vault: Vault, access: Access, station: str, supervises: bool) -> LateList:
    """What was announced of the station's requests and stands; that it was read is logged.

    A reviewer sees all ids. Who `supervises` sees those of which 150% was announced and by which nobody could be known.
    """
    plain = [need_index(vault, station, need.code) for need in NEED_TYPES.values() if not guarded(need)]
    of_no_violence = [need_index(vault, station, need.code) for need in NEED_TYPES.values() if not need.guarded]
    values = {"station": station, "plain": plain, "told": of_no_violence, "open_departments": sorted(OPEN_DEPARTMENTS)}
    counted = await run(session, _COUNTED, values)
    found = await run(session, _LONGEST, {**values, "supervises": supervises, "page": PAGE + 1})
    ids = await _shown_to(session, vault, access, found)
    known = () if supervises else [row["subject_id"] for row in ids[:PAGE]]
    ring, about = await intents.concerned(vault, known, access.principal)
    intent = intents.Intent(Action.LIST_LATE, about, purpose=access.purpose, policies=access.policies)
    intents.record(session, ring, intent, principal=access.principal)
    return LateList(_lines(counted), ids[:PAGE], len(found) > PAGE)


def _lines(rows: Iterable[Mapping[str, Any]]) -> tuple[LateLine, ...]:
    """A table of fixed shape. What concerns violence, or may, is in no line."""
    counts = {(not row["plain"], row["department"], row["step"]): row["count"] for row in rows}
    lines = []
    for hidden, departments in ((False, sorted(OPEN_DEPARTMENTS)), (True, list(Department))):
        for department in (*departments, None):
            for step in (DueStep.OFFICER, DueStep.HEAD_OF_OFFICE, DueStep.SUPERVISOR):
                count = counts.get((hidden, department, step), 0)
                lines.append(LateLine(department, hidden, step, told(count)))
    return tuple(lines)
