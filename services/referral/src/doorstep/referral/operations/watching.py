"""What departments owe and do not take, told as figures."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from doorstep.contracts.codes import Department
from doorstep.contracts.feeds import ACKNOWLEDGE_DAYS
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.telemetry import OWED_ERASURES, WEBHOOKS_STOPPED, WEBHOOKS_WAITING, describe
from doorstep.kit.wakeups import sleep_unless
from doorstep.referral import queries

log = logging.getLogger(__name__)

_EVERY = 30.0


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
            endpoints = {row.department: row for row in await queries.endpoint_figures(session)}
        for department in Department:
            OWED_ERASURES.labels(department).set(owed.get(department, 0))
            endpoint = endpoints.get(department)
            WEBHOOKS_WAITING.labels(department).set(0 if endpoint is None else endpoint.waiting)
            WEBHOOKS_STOPPED.labels(department).set(0 if endpoint is None else endpoint.stopped)
