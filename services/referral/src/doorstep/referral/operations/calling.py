"""The duty desk: told of what is to be answered within the hour, again and again, until a named human acknowledges.

Invariants: every attempt is a row with its time and whether it could be placed; a call is placed before its row is
written, so that a process that dies in between calls twice and never not at all; one instance calls of one request; a
system's answer ends nothing, a human's does. A call tells the station and the request's random id: what it is about,
and whether it concerns violence, is looked up by whoever may.
"""

import asyncio
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis
from doorstep.contracts.wire import format_time
from doorstep.kit import intents
from doorstep.kit.db import DATABASE_ERRORS, Database, run
from doorstep.kit.telemetry import describe
from doorstep.kit.vault import Vault
from doorstep.kit.wakeups import sleep_unless
from doorstep.referral import queries
from doorstep.referral.domain.calls import AGAIN, next_call
from doorstep.referral.domain.deadline_errors import NobodyCalled
from doorstep.referral.errors import RequestUnknown
from doorstep.referral.operations.access import STAFF, Access, open_to
from doorstep.referral.operations.duties import note_duty

log = logging.getLogger(__name__)

_EVERY = 5.0
_ROUND = 20
# What lies further ahead than any call is put was put there before the clock was set back.
_DUE = """
    SELECT c.task_id, c.station, c.attempts, t.request_id, t.respond_by, t.closed_at IS NOT NULL AS closed
    FROM duty_call c JOIN task t USING (task_id)
    WHERE c.next_at <= :now OR c.next_at > :ahead
    ORDER BY c.next_at LIMIT :round FOR NO KEY UPDATE OF c SKIP LOCKED
"""
_ATTEMPT = """
    WITH called AS (
        UPDATE duty_call SET attempts = :attempt, next_at = :next_at WHERE task_id = :task_id RETURNING task_id
    )
    INSERT INTO duty_call_attempt (task_id, attempt, at, placed) SELECT task_id, :attempt, :at, :placed FROM called
"""
_END = "UPDATE duty_call SET next_at = NULL WHERE task_id = :task_id"
_ACKNOWLEDGE = """
    UPDATE duty_call SET acknowledged_at = :now, acknowledged_by = :person, next_at = NULL
    WHERE task_id = ANY(CAST(:task_ids AS uuid[])) AND acknowledged_at IS NULL RETURNING acknowledged_at
"""
_KNOWN = "SELECT max(acknowledged_at) FROM duty_call WHERE task_id = ANY(CAST(:task_ids AS uuid[]))"


class CallFailed(Exception):
    """The duty desk was not reached."""


@dataclass(frozen=True, slots=True)
class Call:
    """What the duty desk is told."""

    station: str
    request_id: UUID
    attempt: int
    respond_by: datetime


class Telephone(Protocol):
    """How the duty desk is reached; a telephone exchange is one more."""

    def call(self, call: Call, at: datetime) -> None:
        """Place a call. Raises CallFailed."""
        ...


class CallLog:
    """Calls by a line in the log, which an alarm of the place may watch for; the request is in `GET .../open`."""

    def call(self, call: Call, at: datetime) -> None:
        """Write the line."""
        log.critical("duty desk called", extra={"station": call.station, "attempt": call.attempt})


class CallFile:
    """Calls by a line of JSON at the end of a file, from which a telephone exchange takes them."""

    def __init__(self, file: Path) -> None:
        """Append to `file`."""
        self._file = file

    def call(self, call: Call, at: datetime) -> None:
        """Write the line. Raises CallFailed."""
        line = {
            "station": call.station,
            "request_id": str(call.request_id),
            "attempt": call.attempt,
            "respond_by": format_time(call.respond_by),
            "at": format_time(at),
        }
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise CallFailed from error


class DutyDesk:
    """Calls whoever is on duty, of every request for which it is time; several processes may call side by side."""

    def __init__(self, database: Database, telephone: Telephone) -> None:
        """Look into `database`; call by `telephone`."""
        self._database = database
        self._telephone = telephone

    async def run(self, stopping: asyncio.Event) -> None:
        """Call until `stopping` is set."""
        while not stopping.is_set():
            called = 0
            try:
                called = await self.call(datetime.now(UTC))
            except DATABASE_ERRORS as error:
                log.error("duty desk not called", extra={"error": describe(error)})
            if called < _ROUND:
                await sleep_unless(stopping, _EVERY)

    async def call(self, now: datetime) -> int:
        """Place the calls for which it is time; how many requests were looked at. Raises one of DATABASE_ERRORS."""
        async with self._database.transaction() as session:
            rows = await run(session, _DUE, {"now": now, "ahead": now + 2 * AGAIN, "round": _ROUND})
            for row in rows:
                if row["closed"]:
                    await run(session, _END, {"task_id": row["task_id"]})
                    continue
                attempt = row["attempts"] + 1
                placed = self._place(Call(row["station"], row["request_id"], attempt, row["respond_by"]), now)
                values = {"task_id": row["task_id"], "attempt": attempt, "at": now, "placed": placed}
                await run(session, _ATTEMPT, {**values, "next_at": next_call(now, placed)})
        return len(rows)

    def _place(self, call: Call, now: datetime) -> bool:
        try:
            self._telephone.call(call, now)
        except CallFailed as error:
            log.error("duty desk not reached", extra={"station": call.station, "error": describe(error)})
            return False
        return True


async def acknowledge_call(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, request_id: UUID, now: datetime
) -> datetime:
    """A named human took notice of an urgent request, since when; nobody is called of any part of it any more.

    From then on they have a duty on the record, unless they had one: they answer no look and no complaint about it.
    Said again, it changes nothing. Raises RequestUnknown, or NobodyCalled where nobody was called.
    """
    tasks = await queries.lock_station_tasks(session, station, request_id)
    if not tasks or not await open_to(session, vault, access, tasks):
        raise RequestUnknown
    task, values = tasks[0], {"task_ids": [one.task_id for one in tasks]}
    rows = await run(session, _ACKNOWLEDGE, {**values, "now": now, "person": access.principal.subject})
    if not rows:
        [(since,)] = await run(session, _KNOWN, values)
        if since is None:
            raise NobodyCalled
        return since  # type: ignore[no-any-return]
    await note_duty(session, task.record_id, vault.pairwise(STAFF, access.principal.subject), access.principal.role)
    ring = await vault.ring([task.subject_id])
    intent = intents.Intent(
        Action.ACKNOWLEDGE_CALL,
        [task.subject_id],
        purpose=access.purpose,
        legal_basis=LegalBasis(task.legal_basis),
        case=task.request_id,
        record=task.record_id,
        policies=access.policies,
    )
    intents.record(session, ring, intent, principal=access.principal)
    return now


async def end_calls(session: AsyncSession, task_id: UUID, *, person: str, at: datetime) -> None:
    """Nobody is called any more of a task that an officer, who is a named human too, answered."""
    await run(session, _ACKNOWLEDGE, {"task_ids": [task_id], "now": at, "person": person})
