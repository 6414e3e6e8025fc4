"""What intake does beside its HTTP edge: it publishes its outbox, erases whom the registry says, and lets persons who
were recorded by a version before be found by their codes."""

import asyncio
import logging

from doorstep.intake.consumers import handlers
from doorstep.intake.operations.records import index_codes, index_moved_codes
from doorstep.kit.consumer import Consumer
from doorstep.kit.db import DATABASE_ERRORS
from doorstep.kit.service import Service, add_relay
from doorstep.kit.telemetry import describe
from doorstep.kit.wakeups import sleep_unless

log = logging.getLogger(__name__)

_AGAIN = 60.0  # seconds; a process of the version before may still record beside this one


def work(service: Service) -> None:
    """Have `service` consume and publish."""
    add_relay(service)
    taken = handlers(service.vault)
    service.tasks.append(Consumer(service.database, service.broker, taken, steps=service.steps).run)

    async def index(stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                for find in (index_codes, index_moved_codes):
                    more = True
                    while more and not stopping.is_set():
                        async with service.database.transaction() as session:
                            more = await find(session, vault=service.vault)
            except DATABASE_ERRORS as error:
                log.warning("codes not indexed", extra={"error": describe(error)})
            await sleep_unless(stopping, _AGAIN)

    service.tasks.append(index)
