"""A small producer and a small consumer: a transaction writes events of random keys, an effect is one row.

Run as a process: `python small_service.py producer|consumer`, told by its environment what to do; DOORSTEP_KILL_AT
ends it at a named step. The consumer finds some events poisonous, and some it takes at the second attempt alone.
"""

import asyncio
import os
import random
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.risk import NeedsAssessed
from doorstep.kit import outbox
from doorstep.kit.broker import Broker
from doorstep.kit.consumer import Consumer, Received, TryAgain
from doorstep.kit.db import Database
from doorstep.kit.relay import Relay
from doorstep.kit.steps import Steps, die_at
from doorstep.kit.telemetry import configure_logging

TOPIC = "risk.needs"
PRODUCER = "risk"
CONSUMER = "referral"
TABLES = (
    "CREATE TABLE written (serial bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key uuid NOT NULL)",
    "CREATE TABLE effect (place bigint GENERATED ALWAYS AS IDENTITY, serial bigint, key uuid, number bigint)",
)
KEYS = [UUID(int=number) for number in range(1, 9)]
POISONOUS = 37  # every so many events are
RELUCTANT = 23


def assessed(key: UUID, serial: int) -> NeedsAssessed:
    """An event that is told from others by its serial number."""
    return NeedsAssessed(
        assessment_id=UUID(int=serial),
        record_id=UUID(int=serial),
        file_id=key,
        station="station",
        rule_pack="pack",
        assessed_at=datetime.now(UTC),
        handed_on=(),
        suggested=(),
    )


async def write(session: AsyncSession, *keys: UUID) -> list[int]:
    """Write one event for each of `keys` with its state; gives their serial numbers."""
    serials = []
    for key in keys:
        found = await session.execute(text("INSERT INTO written (key) VALUES (:key) RETURNING serial"), {"key": key})
        serials.append(int(found.scalar_one()))
        outbox.add(session, assessed(key, serials[-1]), key=key)
    return serials


async def note(session: AsyncSession, received: Received) -> None:
    """Leave one row for the event."""
    await session.execute(
        text("INSERT INTO effect (serial, key, number) VALUES (:serial, :key, :number)"),
        {
            "serial": received.event.record_id.int,
            "key": received.envelope.key,
            "number": received.envelope.number,
        },
    )


async def produce(database: Database, seed: int, stopping: asyncio.Event) -> None:
    """Write until `stopping` is set, pausing as chance has it."""
    chance = random.Random(seed)
    while not stopping.is_set():
        async with database.transaction() as session:
            await write(session, *chance.choices(KEYS, k=chance.randint(1, 3)))
        await asyncio.sleep(chance.uniform(0, 0.08))


def choosy() -> object:
    """A handler that refuses some events for good, and others once."""
    tried: set[int] = set()

    async def handle(session: AsyncSession, received: Received) -> None:
        serial = received.event.record_id.int
        await note(session, received)
        if serial % POISONOUS == 0:
            raise KeyError("poison")
        if serial % RELUCTANT == 0 and serial not in tried:
            tried.add(serial)
            raise TryAgain

    return handle


def tell_stacks() -> None:
    """Write what every task waits for, for whoever reads the log of a process that got stuck."""
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stderr)


async def main(role: str) -> None:
    """Produce or consume until SIGTERM."""
    configure_logging(role, "info")
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell_stacks)
    environment = os.environ
    order = environment.get("DOORSTEP_KILL_AT")
    steps = Steps(die_at(order) if order else None)
    broker = Broker(
        environment["DOORSTEP_KAFKA"],
        bells=Path(environment["DOORSTEP_KAFKA_BELLS"]),
        fetch_wait_ms=20,
        session_ms=1500,
    )
    database = Database(environment["DOORSTEP_DATABASE_URL"], service=PRODUCER if role == "producer" else CONSUMER)
    if role == "producer":
        relay = Relay(database, broker, steps=steps, lease_seconds=1.0)
        database.on_commit.append(relay.wake)
        written = asyncio.Event()
        publishing = asyncio.create_task(relay.run(written))
        await produce(database, int(environment["SEED"]), stopping)
        written.set()
        await publishing
    else:
        handlers = {NeedsAssessed: choosy()}
        relay = Relay(database, broker, lease_seconds=1.0)
        database.on_commit.append(relay.wake)
        consumer = Consumer(database, broker, handlers, steps=steps)
        await asyncio.gather(consumer.run(stopping), relay.run(stopping))
    await broker.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
