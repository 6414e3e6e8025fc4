"""What departments owe and do not take, and how much is late, told as figures to whoever runs the installation.

Invariants: how much is open or late is told of all stations and departments together, so that it is nobody's; what is
confidential, and so whatever concerns violence, is in none of these.
"""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta

from doorstep.contracts.codes import Department
from doorstep.contracts.feeds import ACKNOWLEDGE_DAYS
from doorstep.kit.db import DATABASE_ERRORS, Database, run
from doorstep.kit.telemetry import (
    CALLS_UNACKNOWLEDGED,
    NOTICES_WAITING,
    OWED_ERASURES,
    TASKS_OPEN,
    TASKS_OVERDUE,
    WEBHOOKS_STOPPED,
    WEBHOOKS_WAITING,
    describe,
)
from doorstep.kit.wakeups import sleep_unless
from doorstep.referral import queries

log = logging.getLogger(__name__)

_EVERY = 30.0
_COUNT_EVERY = 60.0
_ENDPOINTS = """
    SELECT e.department, (
        SELECT count(*) FROM feed_message m
        WHERE m.department = e.department AND (m.place IS NULL OR m.place > e.delivered)
    ), e.state <> 'active' FROM feed_endpoint e
"""
_TASKS = """
    SELECT count(*), count(*) FILTER (
        WHERE t.complete_by < :now OR (t.state IN ('draft', 'requested') AND t.respond_by < :now)
    )
    FROM task t JOIN request r USING (request_id)
    WHERE t.closed_at IS NULL AND t.state IN ('draft', 'requested', 'accepted', 'in-progress', 'on-hold')
        AND NOT r.confidential
"""
_CALLS = """
    SELECT count(*) FROM duty_call c JOIN task t USING (task_id) JOIN request r USING (request_id)
    WHERE c.next_at IS NOT NULL AND c.attempts > 0 AND t.closed_at IS NULL AND NOT r.confidential
"""
_NOTICES = """
    SELECT count(*) FROM notice n JOIN request r USING (request_id) WHERE n.state = 'waiting' AND NOT r.confidential
"""


class Watch:
    """Looks every half minute."""

    def __init__(self, database: Database) -> None:
        """Look into `database`."""
        self._database = database
        self._count_at = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell until `stopping` is set."""
        while not stopping.is_set():
            try:
                await self.look()
                if time.monotonic() >= self._count_at:
                    await self.count(datetime.now(UTC))
                    self._count_at = time.monotonic() + _COUNT_EVERY
            except DATABASE_ERRORS as error:
                log.warning("feeds not looked at", extra={"error": describe(error)})
            await sleep_unless(stopping, _EVERY)

    async def look(self) -> None:
        """Set the figures of every department. Raises one of DATABASE_ERRORS."""
        async with self._database.transaction() as session:
            before = datetime.now(UTC) - timedelta(days=ACKNOWLEDGE_DAYS)
            owed = await queries.owed_counts(session, None, before=before)
            endpoints = {row[0]: (row[1], row[2]) for row in await run(session, _ENDPOINTS, {})}
        for department in Department:
            OWED_ERASURES.labels(department).set(owed.get(department, 0))
            waiting, stopped = endpoints.get(department, (0, False))
            WEBHOOKS_WAITING.labels(department).set(waiting)
            WEBHOOKS_STOPPED.labels(department).set(stopped)

    async def count(self, now: datetime) -> None:
        """Set the figures of the whole installation. Raises one of DATABASE_ERRORS."""
        async with self._database.transaction() as session:
            [(is_open, overdue)] = await run(session, _TASKS, {"now": now})
            [(called,)] = await run(session, _CALLS, {})
            [(waiting,)] = await run(session, _NOTICES, {})
        TASKS_OPEN.set(is_open)
        TASKS_OVERDUE.set(overdue)
        CALLS_UNACKNOWLEDGED.set(called)
        NOTICES_WAITING.set(waiting)
