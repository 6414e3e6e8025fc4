"""Announcing deadlines: the officer at 80%, the head of office at all of it, the supervisor at half as much again.

Invariants: lateness is computed from stored times, and nothing here changes it; of each due time each step is announced
once, in the transaction that writes its row, whoever looks and however often; a batch is bounded, and what another
instance has at hand is passed over. After an outage each step that was missed has its row and its event, in order and
marked late; the department is told the newest alone.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Deadline, Department, DueStep, LegalBasis, TaskState
from doorstep.contracts.feeds import FEED_DAYS, RequestDue
from doorstep.contracts.referral import DueAnnounced, DueDetail
from doorstep.kit import intents, outbox
from doorstep.kit.db import DATABASE_ERRORS, Database, run
from doorstep.kit.telemetry import describe
from doorstep.kit.vault import KeyRing, SealBroken, Vault, hold_erasing
from doorstep.kit.wakeups import sleep_unless
from doorstep.referral.columns import open_content, open_part
from doorstep.referral.domain.announcements import Announcement, Look, Told, Watched, look
from doorstep.referral.domain.deadlines import DueTimes, whole_minute
from doorstep.referral.domain.parts import LEAD
from doorstep.referral.queries import NEWER

log = logging.getLogger(__name__)

BATCH = 100
_EVERY = 5.0

# With LIMIT, a look is by index for each row; without, all requests would be read to look up a few.
LOOKED_AT = f"""
    SELECT t.task_id, t.department, t.ref, t.state, t.opened_at, t.respond_by, t.complete_by, t.provisional,
        t.paused_until, t.part, t.part_need, r.request_id, r.record_id, r.file_id, r.subject_id, r.station,
        coalesce(t.part_basis, r.legal_basis) AS legal_basis, r.content,
        ({NEWER.replace("SELECT FROM", "SELECT 1 FROM", 1)} LIMIT 1) IS NULL AND (
            t.state <> 'rejected' OR (SELECT 1 FROM request n WHERE n.continues = t.request_id LIMIT 1) IS NULL
        ) AS live
    FROM task t JOIN request r USING (request_id)
    WHERE t.look_at <= :now ORDER BY t.look_at LIMIT :batch FOR NO KEY UPDATE OF t SKIP LOCKED
"""  # noqa: S608
_TOLD = """
    SELECT task_id, deadline, step, due_by FROM announcement WHERE task_id = ANY(CAST(:ids AS uuid[]))
"""
_ANNOUNCE = """
    INSERT INTO announcement (task_id, deadline, step, due_by, announced_at, late)
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:deadlines AS text[]), CAST(:steps AS text[]), CAST(:dues AS timestamptz[]),
        CAST(:times AS timestamptz[]), CAST(:lates AS boolean[])
    )
"""
_AGAIN = """
    UPDATE task SET look_at = new.look_at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:times AS timestamptz[])) AS new (task_id, look_at)
    WHERE task.task_id = new.task_id
"""
_CALL = """
    INSERT INTO duty_call (task_id, station, since, next_at)
    SELECT task_id, station, since, since
    FROM unnest(CAST(:ids AS uuid[]), CAST(:stations AS text[]), CAST(:times AS timestamptz[]))
        AS new (task_id, station, since)
    ON CONFLICT DO NOTHING
"""


class Announcing:
    """Looks every few seconds at the tasks whose time has come; several processes may look side by side."""

    def __init__(self, database: Database, vault: Vault, *, batch: int = BATCH) -> None:
        """Look into `database` at so many tasks in a transaction; `vault` has the keys that what is told is under."""
        self._database = database
        self._vault = vault
        self._batch = batch

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until `stopping` is set."""
        while not stopping.is_set():
            seen = 0
            try:
                seen = await self.look(datetime.now(UTC))
            except DATABASE_ERRORS as error:
                log.warning("deadlines not looked at", extra={"error": describe(error)})
            if seen < self._batch:
                await sleep_unless(stopping, _EVERY)

    async def look(self, now: datetime) -> int:
        """Announce what is due of one batch; how many tasks it had. Raises one of DATABASE_ERRORS."""
        async with self._database.transaction() as session:
            await hold_erasing(session)
            rows = await run(session, LOOKED_AT, {"now": now, "batch": self._batch})
            if not rows:
                return 0
            ring = await self._vault.ring({row["subject_id"] for row in rows})
            told = await _told(session, [row["task_id"] for row in rows])
            looks = {row["task_id"]: _look(row, ring, told[row["task_id"]], now) for row in rows}
            await _note(session, rows, looks, now)
            for row in rows:
                announce(session, ring, row, looks[row["task_id"]].announced, now)
                await asyncio.sleep(0)  # needs are taken in by the same process
        return len(rows)


async def _told(session: AsyncSession, ids: Sequence[UUID]) -> Mapping[UUID, set[Told]]:
    told: defaultdict[UUID, set[Told]] = defaultdict(set)
    for row in await run(session, _TOLD, {"ids": list(ids)}):
        told[row["task_id"]].add((Deadline(row["deadline"]), DueStep(row["step"]), row["due_by"]))
    return told


def watched(row: Mapping[str, Any]) -> Watched:
    """A row of LOOKED_AT as far as its deadlines are concerned."""
    due = DueTimes(row["respond_by"], row["complete_by"], row["provisional"])
    return Watched(TaskState(row["state"]), row["opened_at"], due, row["paused_until"])


def _look(row: Mapping[str, Any], ring: KeyRing, told: set[Told], now: datetime) -> Look:
    """Nothing is announced of what was handed on, is carried on by another request, or is being erased."""
    if not row["live"] or row["subject_id"] not in ring:
        return Look((), None)
    return look(watched(row), told, now)


async def _note(
    session: AsyncSession, rows: Iterable[Mapping[str, Any]], looks: Mapping[UUID, Look], now: datetime
) -> None:
    """Write the rows of what is announced, when to look again, and whom the duty desk is to be told of."""
    made = [(task_id, one) for task_id, found in looks.items() for one in found.announced]
    if made:
        columns = {
            "ids": [task_id for task_id, _ in made],
            "deadlines": [one.deadline for _, one in made],
            "steps": [one.step for _, one in made],
            "dues": [one.due_by for _, one in made],
            "times": [now] * len(made),
            "lates": [one.is_late(now) for _, one in made],
        }
        await run(session, _ANNOUNCE, columns)
    times = [found.again_at for found in looks.values()]
    await run(session, _AGAIN, {"ids": list(looks), "times": times})
    urgent = [row for row in rows if row["live"] and watched(row).urgent]
    if urgent:
        values = {"ids": [row["task_id"] for row in urgent], "stations": [row["station"] for row in urgent]}
        await run(session, _CALL, {**values, "times": [now] * len(urgent)})


def announce(
    session: AsyncSession, ring: KeyRing, row: Mapping[str, Any], announced: Sequence[Announcement], now: datetime
) -> None:
    """Publish what is announced of a task, tell its department the newest of it, and the log that it was told.

    What came back waits at the station: the department that rejected it is not told.
    """
    if not announced:
        return
    reserved = _reserved(ring, row)
    at_the_station = row["department"] is None or row["state"] == TaskState.REJECTED
    department = None if at_the_station else Department(row["department"])
    for one in announced:
        detail = DueDetail(
            department=department,
            deadline=one.deadline,
            step=one.step,
            due_by=one.due_by,
            late=one.is_late(now),
            reserved=reserved,
        )
        publish(session, ring, row, detail, now)
    newest = announced[-1]
    if department is not None:
        tell_department(session, ring, row, department, newest, now)
    intents.record(session, ring, intent(row, Action.ANNOUNCE_DUE))


def _reserved(ring: KeyRing, row: Mapping[str, Any]) -> bool | None:
    """Whether it is shown on no page; also where that cannot be read, which keeps nobody else's from being told."""
    try:
        whole = open_content(ring, row["subject_id"], row["request_id"], row["content"])
        return open_part(ring, row["subject_id"], row["task_id"], whole, row["part_need"]).reserved or None
    except (SealBroken, ValueError):
        log.error("content of a request is broken")
        return True


def publish(session: AsyncSession, ring: KeyRing, row: Mapping[str, Any], detail: DueDetail, now: datetime) -> None:
    """Tell everybody who follows the request."""
    event = DueAnnounced(
        request_id=row["request_id"],
        task_id=row["task_id"],
        record_id=row["record_id"],
        file_id=row["file_id"],
        subject_id=row["subject_id"],
        announced_at=now,
        part=None if row["part"] == LEAD else row["part"],
        detail=ring.seal(row["subject_id"], detail),
    )
    outbox.add(session, event, key=row["file_id"], subject=row["subject_id"])


def tell_department(
    session: AsyncSession,
    ring: KeyRing,
    row: Mapping[str, Any],
    department: Department,
    announced: Announcement,
    now: datetime,
) -> None:
    """Tell the task's department which deadline of which of its requests it is, and nothing else."""
    event = RequestDue(
        ref=row["ref"],
        deadline=announced.deadline,
        step=announced.step,
        due_by=whole_minute(announced.due_by),
        delete_by=whole_minute(now) + timedelta(days=FEED_DAYS),
    )
    body = event.model_dump_json(exclude_none=True).encode()
    projection = ring.encrypt(row["subject_id"], outbox.feed_context(row["ref"]), body)
    outbox.add_feed(
        session, department, event.event_type, ref=row["ref"], subject=row["subject_id"], projection=projection
    )


def intent(row: Mapping[str, Any], action: Action) -> intents.Intent:
    """What the log is told of an action on the request of a row."""
    return intents.Intent(
        action,
        [row["subject_id"]],
        legal_basis=LegalBasis(row["legal_basis"]),
        case=row["request_id"],
        record=row["record_id"],
    )
