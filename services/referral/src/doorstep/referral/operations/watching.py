"""What departments owe and do not take, told as figures."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from doorstep.contracts.codes import Department
from doorstep.contracts.feeds import ACKNOWLEDGE_DAYS
from doorstep.kit.db import DATABASE_ERRORS, Database, run
from doorstep.kit.telemetry import OWED_ERASURES, WEBHOOKS_STOPPED, WEBHOOKS_WAITING, describe
from doorstep.kit.wakeups import sleep_unless
from doorstep.referral import queries

log = logging.getLogger(__name__)

_EVERY = 30.0
_ENDPOINTS = """
    SELECT e.department, (
        SELECT count(*) FROM feed_message m
        WHERE m.department = e.department AND (m.place IS NULL OR m.place > e.delivered)
    ), e.state <> 'active' FROM feed_endpoint e
"""


class Watch:
    """Looks every half minute."""

    def __init__(self, database: Database) -> None:
        """Look into `database`."""
        self._database = database

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell until `stopping` is set."""
        while not stopping.is_set():
            try:
                await self.look()
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
