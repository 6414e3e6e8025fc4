"""What the registry does beside its HTTP edge: it takes records, and publishes what they asserted."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from doorstep.kit.consumer import Consumer
from doorstep.kit.db import DATABASE_ERRORS
from doorstep.kit.service import Service, add_relay
from doorstep.registry.consumers import handlers
from doorstep.registry.operations.breaking_glass import count_overdue
from doorstep.registry.operations.plan_rows import delete_old
from doorstep.registry.operations.roster import forget_unseen

log = logging.getLogger(__name__)

_LOOK = 60.0


def work(service: Service) -> None:
    """Have `service` consume and publish."""
    add_relay(service)
    vault = service.vault
    consumer = Consumer(service.database, service.broker, handlers(vault), steps=service.steps, prepare=vault.prefetch)
    service.tasks += [consumer.run, partial(watch_break_glass, service)]


async def watch_break_glass(service: Service, stopping: asyncio.Event) -> None:
    """Tell, by metric and a line in the log, of emergency accesses that nobody reviewed within a day.

    Who was not at the station for too long is forgotten on the way, and care plans that were over long ago.
    """
    told = 0
    while not stopping.is_set():
        with suppress(*DATABASE_ERRORS):
            async with service.database.transaction() as session:
                overdue = await count_overdue(session)
                await forget_unseen(session, today=datetime.now(UTC).date())
                await delete_old(session, now=datetime.now(UTC))
            if overdue > told:
                log.error("emergency accesses wait for their review", extra={"overdue": overdue})
            told = overdue
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _LOOK)
