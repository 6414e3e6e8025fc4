"""Goes on with what was parked: when a hole is filled, when a retry is due, when a dead letter is to be replayed."""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.kit import dead_letter
from doorstep.kit.db import Database, is_away, is_conflict
from doorstep.kit.inbox import LOCK_KEY, RELEASE, Message
from doorstep.kit.steps import Step, Steps
from doorstep.kit.telemetry import DEAD_LETTERS, HOLES, PARKED_KEYS, RETRIES, describe

log = logging.getLogger(__name__)

_LOOK = 1.0
_AT_ONCE = 200
_SWEEP = 30.0
_TELL = 5.0
_LONGEST_WAIT = 60.0
HOLE_ALARM = 60.0

_DUE = text(
    """
    SELECT p.topic, p.key, p.number, p.partition, p.kafka_offset, p.headers, p.body, p.attempts
    FROM parked p LEFT JOIN inbox_key i USING (topic, key)
    WHERE p.next_attempt_at < 'infinity' AND p.next_attempt_at <= now() AND p.number = coalesce(i.last, 0) + 1
    ORDER BY p.next_attempt_at LIMIT 1 FOR UPDATE OF p SKIP LOCKED
    """
)
_SUPERSEDED = text(
    "DELETE FROM parked p USING inbox_key i WHERE p.topic = i.topic AND p.key = i.key AND p.number <= i.last"
)
_OVERLOOKED = text(
    """
    UPDATE parked p SET next_attempt_at = now() FROM inbox_key i
    WHERE p.topic = i.topic AND p.key = i.key AND p.number = i.last + 1 AND p.next_attempt_at = 'infinity'
    """
)
_ADVANCE = text(
    """
    INSERT INTO inbox_key (topic, key, last) VALUES (:topic, :key, :number)
    ON CONFLICT (topic, key) DO UPDATE SET last = greatest(inbox_key.last, excluded.last)
    """
)
_WAITING = """
    FROM (
        SELECT topic, key, min(number) AS lowest, count(*) AS waiting, min(parked_at) AS since
        FROM parked GROUP BY topic, key
    ) AS p LEFT JOIN inbox_key i USING (topic, key)
"""
_COUNT = text(
    f"""
    SELECT count(*), count(*) FILTER (
        WHERE lowest > coalesce(last, 0) + 1 AND since < now() - make_interval(secs => :alarm)
    ) {_WAITING}
    """
)
_HOLES = text(
    f"""
    SELECT topic, key, coalesce(last, 0) + 1 AS missing_from, lowest - 1 AS missing_to, waiting, since {_WAITING}
    WHERE lowest > coalesce(last, 0) + 1 ORDER BY since LIMIT :limit
    """
)
_LOWEST = text("SELECT min(number) FROM parked WHERE topic = :topic AND key = :key")


class Hole(BaseModel):
    """Numbers of a key that have not come, and how many messages wait for them since when."""

    topic: str
    key: UUID
    missing_from: int
    missing_to: int
    waiting: int
    since: datetime


class NoSuchHole(LookupError):
    """The key does not wait for these numbers."""


async def holes(session: AsyncSession, *, limit: int = 100) -> list[Hole]:
    """The keys that wait for missing numbers, the longest waiting first."""
    return [Hole(**row._mapping) for row in await session.execute(_HOLES, {"limit": limit})]  # noqa: SLF001


async def pass_over(session: AsyncSession, *, topic: str, key: UUID, missing_to: int) -> None:
    """Give up the numbers of `key` up to `missing_to`, all those that its parked messages wait for.

    Should they come later they are ignored. Raises NoSuchHole if it is not what the key waits for now.
    """
    values = {"topic": topic, "key": key, "number": missing_to}
    last = (await session.execute(LOCK_KEY, values)).scalar_one()
    lowest = (await session.execute(_LOWEST, values)).scalar_one()
    if lowest is None or missing_to != lowest - 1 or missing_to <= last:
        raise NoSuchHole
    await session.execute(_ADVANCE, values)
    await session.execute(RELEASE, {**values, "number": lowest})


class Parked:
    """The parked messages of one consumer group."""

    def __init__(
        self,
        database: Database,
        group: str,
        read: Callable[[Any], Message],
        handle: Callable[[AsyncSession, Message], Awaitable[None]],
        *,
        passing: Callable[[BaseException], bool],
        max_attempts: int,
        steps: Steps,
    ) -> None:
        """Read rows by `read`, handle them by `handle`; an error that is `passing` is tried `max_attempts` times."""
        self._database = database
        self._group = group
        self._read = read
        self._handle = handle
        self._passing = passing
        self._max_attempts = max_attempts
        self._steps = steps
        self._look_at = 0.0
        self._sweep_at = 0.0
        self._tell_at = 0.0

    def look_soon(self) -> None:
        """Something can go on now."""
        self._look_at = 0.0

    async def drain(self) -> None:
        """Go on with what is due, one message a transaction; then with dead letters to be replayed.

        After a few hundred the rest is left for the next time, so that consumption goes on.
        """
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + _SWEEP
            await self._sweep()
        for step in (self._next, self._replay):
            for _ in range(_AT_ONCE):
                if not await step():
                    break
                self._steps.passed(Step.CONSUMER_DRAINED)
            else:
                self.look_soon()

    async def _sweep(self) -> None:
        """Put right what two consumers of one key may leave behind when a partition changes hands."""
        async with self._database.transaction() as session:
            await session.execute(_SUPERSEDED)
            await session.execute(_OVERLOOKED)

    async def _next(self) -> bool:
        failed: tuple[Row[Any], Exception] | None = None
        try:
            async with self._database.transaction() as session:
                row = (await session.execute(_DUE)).first()
                if row is None:
                    return False
                message = self._message(row)
                if message.event is None:
                    await dead_letter.bury(session, message, message.flaw or "unknown", group=self._group)
                else:
                    try:
                        await self._handle(session, message)
                    except Exception as error:
                        failed = (row, error)
                        raise
                await self._settle(session, row)
        except Exception as error:
            if failed is None or is_away(error):
                raise
            await self._fail(*failed)
        return True

    async def _fail(self, row: Row[Any], error: Exception) -> None:
        reason, attempts = describe(error), row.attempts + 1
        RETRIES.labels(self._group, "parked").inc()
        async with self._database.transaction() as session:
            if self._passing(error) and attempts < self._max_attempts:
                wait = min(2.0 ** (attempts - 1), _LONGEST_WAIT)
                await session.execute(
                    text(
                        "UPDATE parked SET attempts = :attempts, reason = :reason,"
                        " next_attempt_at = now() + make_interval(secs => :wait)"
                        " WHERE topic = :topic AND key = :key AND number = :number"
                    ),
                    {**_identity(row), "attempts": attempts, "reason": reason, "wait": wait},
                )
                return
            log.warning("message given up", extra={"topic": row.topic, "error": reason, "attempts": attempts})
            await dead_letter.bury(session, self._message(row), reason, group=self._group)
            await self._settle(session, row)

    async def _settle(self, session: AsyncSession, row: Row[Any]) -> None:
        await session.execute(
            text("DELETE FROM parked WHERE topic = :topic AND key = :key AND number = :number"), _identity(row)
        )
        if self._message(row).ordered:
            await session.execute(_ADVANCE, _identity(row))
            await session.execute(RELEASE, {**_identity(row), "number": row.number + 1})

    async def _replay(self) -> bool:
        failed: tuple[Row[Any], Exception] | None = None
        try:
            async with self._database.transaction() as session:
                row = await dead_letter.next_replay(session)
                if row is None:
                    return False
                message = self._message(row)
                if message.event is None:
                    await dead_letter.settle_replay(session, row.id, message.flaw or "unknown")
                    return True
                try:
                    await self._handle(session, message)
                except Exception as error:
                    failed = (row, error)
                    raise
                await dead_letter.settle_replay(session, row.id, None)
        except Exception as error:
            if failed is None or is_away(error):
                raise
            if is_conflict(error):
                return False
            async with self._database.transaction() as session:
                await dead_letter.settle_replay(session, failed[0].id, describe(failed[1]))
        return True

    def _message(self, row: Row[Any]) -> Message:
        headers = [(name, value.encode()) for name, value in row.headers.items()]
        key = None if row.key is None else str(row.key).encode()
        record = SimpleNamespace(
            topic=row.topic,
            partition=row.partition,
            offset=row.kafka_offset,
            headers=headers,
            key=key,
            value=bytes(row.body),
        )
        return self._read(record)

    async def report(self) -> None:
        """Tell how many keys are parked, how many wait for a missing number, and how many dead letters there are."""
        if time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + _TELL
        async with self._database.transaction() as session:
            keys, holes = (await session.execute(_COUNT, {"alarm": HOLE_ALARM})).one()
            letters = await dead_letter.waiting(session)
        if holes:
            log.error("numbers missing", extra={"keys": holes})
        PARKED_KEYS.labels(self._group).set(keys)
        HOLES.labels(self._group).set(holes)
        DEAD_LETTERS.labels(self._group).set(letters)


def _identity(row: Row[Any]) -> dict[str, Any]:
    return {"topic": row.topic, "key": row.key, "number": row.number}
