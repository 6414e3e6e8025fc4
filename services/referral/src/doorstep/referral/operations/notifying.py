"""Notices to residents: made once for each change of a request, and sent until somebody took them.

Invariants: a change is looked at in the transaction that makes its notice, or says that it has none; a notice leaves
under one id however often it is tried, after the log was told; how a person is reached is opened at that moment, stored
nowhere here, and decided anew at each try.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis, NoticeChannel, Purpose, TaskState
from doorstep.contracts.intake import Card
from doorstep.kit import intents
from doorstep.kit.db import DATABASE_ERRORS, Database, run
from doorstep.kit.telemetry import NOTICES_GIVEN_UP, describe
from doorstep.kit.vault import KeyRing, SealBroken, Vault, hold_erasing
from doorstep.kit.wakeups import sleep_unless
from doorstep.referral.columns import open_content, open_detail
from doorstep.referral.domain.content import Content
from doorstep.referral.domain.deadlines import SHANGHAI
from doorstep.referral.domain.noticing import (
    ATTEMPTS,
    FIRST_WAIT,
    STALE,
    Change,
    Reach,
    Withheld,
    inside,
    is_told,
    reach,
)
from doorstep.referral.domain.webhooks import wait
from doorstep.referral.operations.senders import NoticeLog, NotSent, Outgoing, Sender

log = logging.getLogger(__name__)

_LOOK = 2.0
_LOOK_FOR_LATE = 30.0
_CHANGES_AT_ONCE = 200
_SENT_AT_ONCE = 4
_SENT_WITHIN = 10.0
_NOT_TAKEN = "not-taken"
_CLAIMED = timedelta(seconds=_SENT_AT_ONCE * _SENT_WITHIN + 20)
_UNSENT_FOR = timedelta(minutes=2)  # others that have a sender would have tried by then

NOT_IN_TIME = 0
"""As the version of a change: that a task was not answered in time."""

_CHANGES = """
    SELECT h.task_id, h.version, h.from_state, h.to_state, h.party, h.detail, r.request_id, r.subject_id
    FROM task_transition h JOIN task t ON t.task_id = h.task_id JOIN request r ON r.request_id = t.request_id
    WHERE NOT h.noticed AND h.from_state IS NOT NULL
    ORDER BY h.at LIMIT :batch FOR NO KEY UPDATE OF h SKIP LOCKED
"""
_NOTED = """
    UPDATE task_transition h SET noticed = true
    FROM unnest(CAST(:tasks AS uuid[]), CAST(:versions AS integer[])) AS n (task_id, version)
    WHERE h.task_id = n.task_id AND h.version = n.version
"""
_MAKE = """
    INSERT INTO notice (notice_id, cause, version, request_id, subject_id, made_at, next_at)
    SELECT n.*, w.at, w.at FROM (SELECT CAST(:now AS timestamptz) AS at) w, unnest(
        CAST(:notices AS uuid[]), CAST(:causes AS uuid[]), CAST(:versions AS integer[]), CAST(:requests AS uuid[]),
        CAST(:subjects AS uuid[])
    ) AS n ON CONFLICT (cause, version) DO NOTHING
"""
_LATE = f"""
    INSERT INTO notice (notice_id, cause, version, request_id, subject_id, made_at, next_at)
    SELECT gen_random_uuid(), t.task_id, {NOT_IN_TIME}, r.request_id, r.subject_id, n.at, n.at
    FROM task t JOIN request r USING (request_id), (SELECT CAST(:now AS timestamptz) AS at) n
    WHERE t.state IN ('draft', 'requested') AND t.closed_at IS NULL AND t.respond_by < n.at
        AND NOT EXISTS (SELECT FROM notice m WHERE m.cause = t.task_id AND m.version = {NOT_IN_TIME})
    ORDER BY t.respond_by LIMIT :batch ON CONFLICT (cause, version) DO NOTHING RETURNING notice_id
"""  # noqa: S608
_DUE = """
    SELECT n.notice_id, n.subject_id, n.attempts, r.request_id, r.file_id, r.record_id, r.station, r.legal_basis,
        r.content, c.channel, EXISTS (SELECT FROM guardian g WHERE g.subject_id = n.subject_id) AS guarded
    FROM notice n JOIN request r USING (request_id) LEFT JOIN notice_choice c ON c.subject_id = n.subject_id
    WHERE n.state = 'waiting' AND n.next_at <= :now AND (n.attempts > 0 OR n.next_at >= :too_old)
    ORDER BY n.next_at LIMIT :batch FOR NO KEY UPDATE OF n SKIP LOCKED
"""
_MEMBERS = "SELECT request_id, subject_id, content FROM request WHERE file_id = :file_id AND subject_id <> :subject_id"
_SETTLE = """
    UPDATE notice SET state = :state, attempts = :attempts, next_at = :next_at, withheld = :withheld
    WHERE notice_id = :notice_id
"""
# What a process that can send has seen was tried, or waits for its hours, which come every day.
_GIVE_UP = """
    UPDATE notice SET state = 'withheld', withheld = :withheld WHERE notice_id IN (
        SELECT notice_id FROM notice WHERE state = 'waiting' AND attempts = 0 AND next_at < :too_old
        ORDER BY next_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ) RETURNING (SELECT r.confidential FROM request r WHERE r.request_id = notice.request_id)
"""
_UNSENT = """
    SELECT n.notice_id, n.made_at, r.station, c.channel
    FROM notice n JOIN request r USING (request_id) LEFT JOIN notice_choice c ON c.subject_id = n.subject_id
    WHERE n.state = 'waiting' AND n.attempts = 0 AND n.made_at <= :before
        AND (n.made_at, n.notice_id) > (CAST(:at AS timestamptz), CAST(:notice_id AS uuid))
    ORDER BY n.made_at, n.notice_id LIMIT :batch
"""
_SENT = "UPDATE notice SET state = 'sent', sent_at = :now WHERE notice_id = :notice_id AND state = 'waiting'"
_FAILED = """
    UPDATE notice SET next_at = :next_at, state = CASE WHEN attempts >= :most THEN 'dead' ELSE state END
    WHERE notice_id = :notice_id AND state = 'waiting'
    RETURNING state, (SELECT r.confidential FROM request r WHERE r.request_id = notice.request_id) AS confidential
"""


@dataclass(frozen=True, slots=True)
class Occasion:
    """A change of which the person of a request is told; `cause` and `version` name it."""

    cause: UUID
    version: int
    request_id: UUID
    subject_id: UUID


async def make_notices(session: AsyncSession, occasions: Sequence[Occasion], now: datetime) -> None:
    """Have persons be told of changes; once, however often made."""
    if not occasions:
        return
    values = {
        "notices": [uuid4() for _ in occasions],
        "causes": [one.cause for one in occasions],
        "versions": [one.version for one in occasions],
        "requests": [one.request_id for one in occasions],
        "subjects": [one.subject_id for one in occasions],
    }
    await run(session, _MAKE, {**values, "now": now})


class Notifier:
    """Makes notices and sends them; several processes may do so side by side."""

    def __init__(self, database: Database, vault: Vault, sender: Sender | None) -> None:
        """Look into `database`; `vault` opens how people are reached, `sender` takes what is sent.

        Without a sender nothing is opened, notices are left to processes that have one, and the log says which wait.
        """
        self._database = database
        self._vault = vault
        self._sender = sender
        self._random = SystemRandom()
        self._late_at = 0.0
        for reason in (Withheld.NO_SENDER, _NOT_TAKEN):
            NOTICES_GIVEN_UP.labels(reason)  # told from the start, so that the first is an increase
        self._notice_log = NoticeLog()
        self._said = {"at": datetime.fromtimestamp(0, UTC), "notice_id": UUID(int=0)}

    async def run(self, stopping: asyncio.Event) -> None:
        """Make and send until `stopping` is set."""
        while not stopping.is_set():
            try:
                while await self.turn(datetime.now(UTC)) and not stopping.is_set():
                    pass
            except DATABASE_ERRORS as error:
                log.warning("notices wait", extra={"error": describe(error)})
            await sleep_unless(stopping, _LOOK)

    async def turn(self, now: datetime) -> bool:
        """Make what is to be made and send some; whether there may be more. Raises one of DATABASE_ERRORS."""
        changes = await self.look_at_changes(now)
        if time.monotonic() >= self._late_at:
            await self.look_for_late(now)
            await self.give_up(now)
            if self._sender is None:
                await self.say_what_waits(now)
            self._late_at = time.monotonic() + _LOOK_FOR_LATE
        due, claimed = (0, []) if self._sender is None else await self.claim(now)
        for outgoing in claimed:
            await self._send(outgoing, now)
        return changes == _CHANGES_AT_ONCE or due == _SENT_AT_ONCE

    async def look_at_changes(self, now: datetime) -> int:
        """Make the notices of steps that nobody looked at; how many steps these were."""
        async with self._database.transaction() as session:
            await hold_erasing(session)
            rows = await run(session, _CHANGES, {"batch": _CHANGES_AT_ONCE})
            ring = await self._vault.ring({row["subject_id"] for row in rows})
            told = [row for row in rows if _is_told(ring, row)]
            occasions = [Occasion(row["task_id"], row["version"], row["request_id"], row["subject_id"]) for row in told]
            await make_notices(session, occasions, now)
            values = {"tasks": [row["task_id"] for row in rows], "versions": [row["version"] for row in rows]}
            await run(session, _NOTED, values)
        return len(rows)

    async def look_for_late(self, now: datetime) -> int:
        """Make the notices of requests that nobody answered in time; how many."""
        async with self._database.transaction() as session:
            await hold_erasing(session)
            return len(await run(session, _LATE, {"now": now, "batch": _CHANGES_AT_ONCE}))

    async def give_up(self, now: datetime) -> int:
        """Withhold the notices that nobody tried to send in all the time that news stays news; how many."""
        async with self._database.transaction() as session:
            values = {"too_old": now - STALE, "withheld": Withheld.NO_SENDER.value, "batch": _CHANGES_AT_ONCE}
            rows = await run(session, _GIVE_UP, values)
        NOTICES_GIVEN_UP.labels(Withheld.NO_SENDER).inc(sum(not row[0] for row in rows))
        return len(rows)

    async def say_what_waits(self, now: datetime) -> int:
        """Say of notices that nobody tried to send that they wait, once by each process; of how many."""
        async with self._database.transaction() as session:
            values = {"before": now - _UNSENT_FOR, "batch": _CHANGES_AT_ONCE}
            rows = await run(session, _UNSENT, {**values, **self._said})
        for row in rows:
            self._notice_log.waits(row["notice_id"], row["station"], row["channel"])
        if rows:
            self._said = {"at": rows[-1]["made_at"], "notice_id": rows[-1]["notice_id"]}
        return len(rows)

    async def claim(self, now: datetime) -> tuple[int, list[Outgoing]]:
        """How many notices were due, and those that this process is to send now; the others are settled."""
        found = []
        async with self._database.transaction() as session:
            await hold_erasing(session)
            rows = await run(session, _DUE, {"now": now, "too_old": now - STALE, "batch": _SENT_AT_ONCE})
            ring = await self._vault.ring({row["subject_id"] for row in rows})
            for row in rows:
                outgoing = await self._settle(session, ring, row, now)
                if outgoing is not None:
                    found.append(outgoing)
        return len(rows), found

    async def _settle(self, session: AsyncSession, ring: KeyRing, row: Any, now: datetime) -> Outgoing | None:
        """Say how a notice goes on, and tell the log before it leaves for the first time."""
        how = await self._reach(session, ring, row, now)
        attempts, at = row["attempts"], now
        if isinstance(how, Reach):
            at = inside(now, how.hours)
            leaves = at == now
            attempts, at = (attempts + 1, now + _CLAIMED) if leaves else (attempts, at)
            if leaves and attempts == 1:
                intents.record(session, ring, _intent(row))
        withheld = how.value if isinstance(how, Withheld) else None
        state = "waiting" if withheld is None else "withheld"
        values = {"notice_id": row["notice_id"], "state": state, "attempts": attempts, "next_at": at}
        await run(session, _SETTLE, {**values, "withheld": withheld})
        if not isinstance(how, Reach) or attempts == row["attempts"]:
            return None
        return Outgoing(row["notice_id"], row["station"], how)

    async def _reach(self, session: AsyncSession, ring: KeyRing, row: Any, now: datetime) -> Reach | Withheld:
        content = _content(ring, row)
        if content is None:
            return Withheld.NO_CHANNEL
        if row["guarded"]:  # a child whose paper need not say so, and whose guardian may be suspended
            return Withheld.GUARDIAN
        values = {"file_id": row["file_id"], "subject_id": row["subject_id"]}
        members = await run(session, _MEMBERS, values) if content.card.phone is not None else []
        others = await self._vault.ring({one["subject_id"] for one in members})
        choice = None if row["channel"] is None else NoticeChannel(row["channel"])
        return reach(content, choice, _cards(others, members), now.astimezone(SHANGHAI).date())

    async def _send(self, outgoing: Outgoing, now: datetime) -> None:
        assert self._sender is not None  # noqa: S101
        try:
            async with asyncio.timeout(_SENT_WITHIN):
                await self._sender.send(outgoing)
        except (NotSent, OSError) as error:  # a TimeoutError is an OSError
            await self._failed(outgoing.notice_id, now, error)
            return
        async with self._database.transaction() as session:
            await run(session, _SENT, {"notice_id": outgoing.notice_id, "now": now})

    async def _failed(self, notice_id: UUID, now: datetime, error: Exception) -> None:
        async with self._database.transaction() as session:
            tries = await run(session, "SELECT attempts FROM notice WHERE notice_id = :id", {"id": notice_id})
            seconds = wait(tries[0]["attempts"] if tries else 1, FIRST_WAIT, self._random.random())
            values = {"notice_id": notice_id, "next_at": now + timedelta(seconds=seconds), "most": ATTEMPTS}
            left = await run(session, _FAILED, values)
        dead = bool(left) and left[0]["state"] == "dead"
        if dead and not left[0]["confidential"]:  # what concerns violence is in no figure
            NOTICES_GIVEN_UP.labels(_NOT_TAKEN).inc()
        told = {"notice": str(notice_id), "error": type(error).__name__}
        log.log(logging.ERROR if dead else logging.WARNING, "notice %s", "dead" if dead else "not sent", extra=told)


def _is_told(ring: KeyRing, row: Mapping[str, Any]) -> bool:
    change = _change(ring, row) if row["subject_id"] in ring else None
    return change is not None and is_told(change)


def _change(ring: KeyRing, row: Mapping[str, Any]) -> Change | None:
    """A step as it is judged; None where this version cannot read it, for it would stop all others."""
    try:
        detail = open_detail(ring, row["subject_id"], row["task_id"], row["version"], row["detail"])
        states = TaskState(row["from_state"]), TaskState(row["to_state"])
    except (SealBroken, ValueError) as error:
        log.error("a step is not readable, and nobody is told of it", extra={"error": type(error).__name__})
        return None
    return Change(*states, row["party"], detail.business_status, detail.reason)


def _content(ring: KeyRing, row: Mapping[str, Any]) -> Content | None:
    """What the request is about; None of whom was erased, or where it is broken."""
    if row["subject_id"] not in ring:
        return None
    try:
        return open_content(ring, row["subject_id"], row["request_id"], row["content"])
    except (SealBroken, ValueError) as error:
        log.warning("a request is not readable", extra={"error": type(error).__name__})
        return None


def _cards(ring: KeyRing, rows: Sequence[Mapping[str, Any]]) -> Iterable[Card]:
    return [content.card for row in rows if (content := _content(ring, row)) is not None]


def _intent(row: Mapping[str, Any]) -> intents.Intent:
    return intents.Intent(
        Action.SEND_NOTICE,
        [row["subject_id"]],
        purpose=Purpose.SERVICE,
        legal_basis=LegalBasis(row["legal_basis"]),
        case=row["request_id"],
        record=row["record_id"],
    )
