"""What referral reads, as plain SELECTs; those that lock say so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import BusinessStatus, Department, TaskState
from doorstep.contracts.feeds import RequestOffered
from doorstep.contracts.topics import feed_topic
from doorstep.kit.db import run

PAGE = 50

_TASK = """
    t.task_id, t.sequence, t.department, t.ref, t.state, t.business_status, t.version, t.assigned, t.proposal,
    t.opened_at, t.respond_by, t.complete_by, t.provisional, t.closed_at,
    r.request_id, r.need_id, r.record_id, r.file_id, r.subject_id, r.station, r.continues, r.confidential,
    coalesce(t.part_basis, r.legal_basis), r.follow_ref, r.follow_index, r.content, t.part, t.part_need, r.parts,
    t.office_index, r.hotline_due_by
"""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task with its request. `content`, `proposal` and `part_need` are encrypted under the subject's key."""

    task_id: UUID
    sequence: int
    department: str | None
    ref: UUID | None
    state: TaskState
    business_status: BusinessStatus | None
    version: int
    assigned: bool
    proposal: bytes | None
    opened_at: datetime
    respond_by: datetime
    complete_by: datetime
    provisional: bool
    closed_at: datetime | None
    request_id: UUID
    need_id: UUID
    record_id: UUID
    file_id: UUID
    subject_id: UUID
    station: str
    continues: UUID | None
    confidential: bool
    legal_basis: str
    follow_ref: UUID
    follow_index: bytes | None
    content: bytes
    part: int
    part_need: bytes | None
    parts: int
    office_index: bytes | None = None
    hotline_due_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """One entry of a task's history; `detail` is encrypted under the subject's key."""

    task_id: UUID
    version: int
    from_state: str | None
    to_state: str
    at: datetime
    party: str
    detail: bytes | None


def _task(row: Iterable[Any]) -> TaskRow:
    """A row of `_TASK` with its codes."""
    values = list(row)
    values[4] = TaskState(values[4])
    values[5] = None if values[5] is None else BusinessStatus(values[5])
    return TaskRow(*values)


async def _one(session: AsyncSession, query: str, **values: object) -> TaskRow | None:
    rows = await run(session, query, values)
    return _task(rows[0]) if rows else None


async def _many(session: AsyncSession, query: str, **values: object) -> list[TaskRow]:
    return [_task(row) for row in await run(session, query, values)]


_OF_DEPARTMENT = f"SELECT {_TASK} FROM task t JOIN request r USING (request_id) WHERE t.department = :department"  # noqa: S608
_ONE_OF_DEPARTMENT = f"{_OF_DEPARTMENT} AND t.ref = :ref"
_LOCK_OF_DEPARTMENT = f"{_OF_DEPARTMENT} AND t.ref = :ref FOR NO KEY UPDATE OF t"
_LIST_OF_DEPARTMENT = f"""
    {_OF_DEPARTMENT}
        AND (CAST(:state AS text) IS NULL OR t.state = :state)
        AND (
            CAST(:after AS uuid) IS NULL
            OR (t.opened_at, t.ref) > (
                SELECT a.opened_at, a.ref FROM task a WHERE a.department = :department AND a.ref = :after
            )
        )
    ORDER BY t.opened_at, t.ref LIMIT :page
"""  # noqa: S608


async def department_task(session: AsyncSession, department: str, ref: UUID) -> TaskRow | None:
    """The task that `department` knows as `ref`."""
    return await _one(session, _ONE_OF_DEPARTMENT, department=department, ref=ref)


async def lock_department_task(session: AsyncSession, department: str, ref: UUID) -> TaskRow | None:
    """The same, its row locked until the transaction ends."""
    return await _one(session, _LOCK_OF_DEPARTMENT, department=department, ref=ref)


async def department_tasks(
    session: AsyncSession, department: str, *, state: str | None, after: UUID | None, page: int = PAGE
) -> list[TaskRow]:
    """A page of the department's tasks, oldest first, those after its task `after`."""
    return await _many(session, _LIST_OF_DEPARTMENT, department=department, state=state, after=after, page=page)


async def tasks_of_department(session: AsyncSession, department: str, refs: Sequence[UUID]) -> list[TaskRow]:
    """Those of the department's tasks that it knows as `refs`, oldest first."""
    query = f"{_OF_DEPARTMENT} AND t.ref = ANY(CAST(:refs AS uuid[])) ORDER BY t.opened_at, t.ref"
    return await _many(session, query, department=department, refs=list(refs))


_LOCK_REQUEST = text("SELECT 1 FROM request WHERE request_id = :request_id AND station = :station FOR NO KEY UPDATE")
NEWER = "SELECT FROM task n WHERE n.request_id = t.request_id AND n.part = t.part AND n.sequence > t.sequence"
"""What a task has that is not the live one of its part."""
_LIVE_TASKS = f"""
    SELECT {_TASK} FROM task t JOIN request r USING (request_id) WHERE request_id = :request_id
        AND NOT EXISTS ({NEWER})
    ORDER BY t.part FOR NO KEY UPDATE OF t
"""  # noqa: S608


async def lock_station_tasks(session: AsyncSession, station: str, request_id: UUID) -> list[TaskRow]:
    """The live task of each part of one of the station's requests, the lead's first; none of an unknown one.

    Request and tasks stay locked until the transaction ends. The request is locked by a statement of its own, so that a
    task added meanwhile is seen by the second.
    """
    if (await session.execute(_LOCK_REQUEST, {"request_id": request_id, "station": station})).first() is None:
        return []
    return await _many(session, _LIVE_TASKS, request_id=request_id)


_LOCK_REQUESTS = "SELECT 1 FROM request WHERE subject_id = :subject_id ORDER BY request_id FOR NO KEY UPDATE"
_LOCK_TASKS = f"""
    SELECT {_TASK} FROM task t JOIN request r USING (request_id) WHERE r.subject_id = :subject_id
    ORDER BY t.task_id FOR NO KEY UPDATE OF t
"""  # noqa: S608


async def lock_subject_tasks(session: AsyncSession, subject_id: UUID) -> list[TaskRow]:
    """All tasks of a subject; its requests and they stay locked until the transaction ends."""
    await run(session, _LOCK_REQUESTS, {"subject_id": subject_id})
    return await _many(session, _LOCK_TASKS, subject_id=subject_id)


_LOCK_FILE = "SELECT 1 FROM request WHERE file_id = :file_id ORDER BY request_id FOR NO KEY UPDATE"
_LOCK_FILE_TASKS = f"""
    SELECT {_TASK} FROM task t JOIN request r USING (request_id) WHERE r.file_id = :file_id
    ORDER BY t.task_id FOR NO KEY UPDATE OF t
"""  # noqa: S608


async def lock_file_tasks(session: AsyncSession, file_id: UUID) -> list[TaskRow]:
    """All tasks of a household's file; its requests and they stay locked until the transaction ends."""
    await run(session, _LOCK_FILE, {"file_id": file_id})
    return await _many(session, _LOCK_FILE_TASKS, file_id=file_id)


async def rewrite_contents(session: AsyncSession, contents: Mapping[UUID, bytes]) -> None:
    """Give requests another content."""
    statement = """
        UPDATE request SET content = new.content
        FROM unnest(CAST(:ids AS uuid[]), CAST(:contents AS bytea[])) AS new (request_id, content)
        WHERE request.request_id = new.request_id
    """
    await run(session, statement, {"ids": list(contents), "contents": list(contents.values())})


async def offers(session: AsyncSession, refs: Sequence[UUID]) -> Sequence[Any]:
    """Position, key and encrypted body of what was offered to departments under these ids of theirs."""
    query = text(
        "SELECT position, key, body FROM outbox WHERE topic = ANY(:topics) AND key = ANY(CAST(:refs AS uuid[]))"
        " AND type = :type ORDER BY position FOR NO KEY UPDATE"
    )
    topics = [feed_topic(department) for department in Department]
    values = {"topics": topics, "refs": list(refs), "type": RequestOffered.event_type}
    return (await session.execute(query, values)).all()


async def rewrite_offers(session: AsyncSession, bodies: Mapping[int, bytes]) -> None:
    """Give offers, by their position, another body."""
    statement = """
        UPDATE outbox SET body = new.body
        FROM unnest(CAST(:positions AS bigint[]), CAST(:bodies AS bytea[])) AS new (position, body)
        WHERE outbox.position = new.position
    """
    await run(session, statement, {"positions": list(bodies), "bodies": list(bodies.values())})


_OF_RECORD = f"""
    SELECT {_TASK} FROM task t JOIN request r USING (request_id)
    WHERE r.record_id = :record_id AND r.station = :station ORDER BY r.opened_at, r.request_id, t.part, t.sequence
"""  # noqa: S608
_QUEUE = f"""
    SELECT {_TASK} FROM task t JOIN request r USING (request_id)
    WHERE t.state = :state AND r.station = :station
        AND NOT EXISTS ({NEWER})
        AND NOT EXISTS (SELECT FROM request n WHERE n.continues = t.request_id)
    ORDER BY t.opened_at, t.task_id LIMIT :page
"""  # noqa: S608


async def record_tasks(session: AsyncSession, station: str, record_id: UUID) -> list[TaskRow]:
    """All tasks that came of a record, by request, part and sequence."""
    return await _many(session, _OF_RECORD, station=station, record_id=record_id)


async def queue(session: AsyncSession, station: str, state: TaskState, page: int = PAGE) -> list[TaskRow]:
    """Live tasks of the station in `state`, oldest first: drafts wait for a department, rejected ones for another."""
    return await _many(session, _QUEUE, station=station, state=state.value, page=page)


_HISTORY = """
    SELECT task_id, version, from_state, to_state, at, party, detail FROM task_transition
    WHERE task_id = ANY(CAST(:task_ids AS uuid[])) ORDER BY task_id, version
"""
_REJECTIONS = text(
    """
    SELECT t.department FROM task t JOIN request r USING (request_id)
    WHERE r.need_id = :need_id AND t.state = 'rejected' AND t.part = :part
        AND (t.part = 1 OR t.request_id = :request_id)
    ORDER BY t.task_id
    """
)


async def history(session: AsyncSession, task_ids: Sequence[UUID]) -> list[TransitionRow]:
    """What happened to these tasks, by task and version."""
    return [TransitionRow(*row) for row in await run(session, _HISTORY, {"task_ids": list(task_ids)})]


async def rejections(session: AsyncSession, task: TaskRow) -> list[str]:
    """The departments that rejected what this task is about, once for each rejection.

    For the lead that is the need, in linked requests too; any other part is counted by itself.
    """
    values = {"need_id": task.need_id, "part": task.part, "request_id": task.request_id}
    return list((await session.execute(_REJECTIONS, values)).scalars())


LIVE = """
    FROM request r JOIN LATERAL (
        SELECT array_agg(live.state) AS states FROM (
            SELECT DISTINCT ON (part) state FROM task WHERE task.request_id = r.request_id ORDER BY part, sequence DESC
        ) live
    ) t ON t.states IS NOT NULL
"""
"""Requests with the states of the live tasks of their parts."""
NOT_CLOSED = "NOT EXISTS (SELECT FROM guardian c WHERE c.subject_id = r.subject_id AND c.closed)"
BY_CODE = f"r.follow_index = :index AND (NOT r.confidential OR r.safely_shown) AND {NOT_CLOSED}"
_LOCK_FOLLOWED = text(
    f"SELECT r.request_id FROM request r WHERE {BY_CODE} AND r.follow_ref = :follow_ref FOR NO KEY UPDATE"  # noqa: S608
)


async def lock_followed_tasks(session: AsyncSession, follow_index: bytes, follow_ref: UUID) -> list[TaskRow]:
    """The live task of each part of a request that a follow code shows, the lead's first; they and it are locked."""
    found = await session.execute(_LOCK_FOLLOWED, {"index": follow_index, "follow_ref": follow_ref})
    request_id = found.scalar_one_or_none()
    return [] if request_id is None else await _many(session, _LIVE_TASKS, request_id=request_id)


async def subjects_of_ref(session: AsyncSession, ref: UUID) -> list[UUID]:
    """Whom a request is about that any department knows as `ref`."""
    query = text("SELECT r.subject_id FROM task t JOIN request r USING (request_id) WHERE t.ref = :ref")
    return list(await session.scalars(query, {"ref": ref}))


async def subjects_of_request(session: AsyncSession, request_id: UUID) -> list[UUID]:
    """Whom a request of any station is about."""
    query = text("SELECT subject_id FROM request WHERE request_id = :request_id")
    return list(await session.scalars(query, {"request_id": request_id}))


async def subjects_of_record(session: AsyncSession, record_id: UUID) -> list[UUID]:
    """Whom the requests are about that came of a record of any station."""
    query = text("SELECT DISTINCT subject_id FROM request WHERE record_id = :record_id ORDER BY subject_id")
    return list(await session.scalars(query, {"record_id": record_id}))


_CONTINUED = text("SELECT 1 FROM request WHERE continues = :request_id")


async def is_continued(session: AsyncSession, request_id: UUID) -> bool:
    """Whether a linked request carries this one on."""
    return (await session.execute(_CONTINUED, {"request_id": request_id})).first() is not None


_KEYS = text(
    """
    SELECT DISTINCT ON (department) department, jwk FROM department_key
    WHERE withdrawn_at IS NULL AND (use_from IS NULL OR use_from <= now())
    ORDER BY department, coalesce(use_from, registered_at) DESC, registered_at DESC
    """
)


async def current_keys(session: AsyncSession) -> list[tuple[str, dict[str, Any]]]:
    """Each department with the public key, as JWK, that came into use last and was not taken back."""
    return [(row[0], row[1]) for row in await session.execute(_KEYS)]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A department's public key with its dates."""

    kid: str
    jwk: dict[str, Any]
    registered_at: datetime
    use_from: datetime | None
    withdrawn_at: datetime | None
    withdrawn_for: str | None

    def usable(self, now: datetime) -> bool:
        """Whether messages may be encrypted for it at `now`."""
        return self.withdrawn_at is None and (self.use_from is None or self.use_from <= now)

    @property
    def since(self) -> datetime:
        """From when it is, or was to be, used."""
        return self.use_from or self.registered_at


_DEPARTMENT_KEYS = text(
    """
    SELECT kid, jwk, registered_at, use_from, withdrawn_at, withdrawn_for FROM department_key
    WHERE department = :department ORDER BY coalesce(use_from, registered_at), registered_at
    """
)


async def department_keys(session: AsyncSession, department: str) -> list[KeyRow]:
    """All keys of a department, in the order in which they come into use."""
    return [KeyRow(*row) for row in await session.execute(_DEPARTMENT_KEYS, {"department": department})]


_OWED = """
    SELECT department, ref, withdrawn_at, delete_by FROM owed_erasure
    WHERE acknowledged_at IS NULL AND withdrawn_at < :before AND (CAST(:station AS text) IS NULL OR station = :station)
    ORDER BY withdrawn_at, department, ref LIMIT :page
"""
_OWED_COUNTS = """
    SELECT department, count(*) FROM owed_erasure
    WHERE acknowledged_at IS NULL AND withdrawn_at < :before AND (CAST(:station AS text) IS NULL OR station = :station)
    GROUP BY department ORDER BY department
"""


@dataclass(frozen=True, slots=True)
class OwedRow:
    """A request of which a department was told that it is no longer its own, and has not said that it is deleted."""

    department: str
    ref: UUID
    withdrawn_at: datetime
    delete_by: datetime


async def owed_erasures(
    session: AsyncSession, station: str, *, before: datetime
) -> tuple[dict[str, int], list[OwedRow]]:
    """What departments were told before that time and have not acknowledged: how many each, and the oldest of them."""
    values = {"station": station, "before": before}
    rows = await run(session, _OWED, {**values, "page": PAGE})
    return await owed_counts(session, station, before=before), [OwedRow(*row) for row in rows]


async def owed_counts(session: AsyncSession, station: str | None, *, before: datetime) -> dict[str, int]:
    """How many erasures each department owes since before that time, to `station` or to any."""
    rows = await run(session, _OWED_COUNTS, {"station": station, "before": before})
    return {row[0]: row[1] for row in rows}
