"""Facts come in by the broker and needs go out by it, with the worker as it is composed."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from doorstep.kit import outbox
from doorstep.kit.db import Database
from doorstep.kit.relay import Relay
from doorstep.kit.service import Service
from doorstep.kit.steps import Steps
from doorstep.kit.testing import KIT_TABLES, eventually
from doorstep.risk.worker import add_work


@pytest.fixture
async def registry(cluster, broker):
    """A registry that only publishes."""
    database = Database(await cluster.new(KIT_TABLES), service="registry")
    async with running(Relay(database, broker).run):
        yield database
    await database.close()


@asynccontextmanager
async def running(*tasks):
    stopping = asyncio.Event()
    works = [asyncio.create_task(task(stopping)) for task in tasks]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*works)


async def tell(registry: Database, *events) -> None:
    async with registry.transaction() as session:
        for event in events:
            outbox.add(session, event, key=event.file_id)


async def test_facts_become_needs_and_a_record_that_no_rule_can_read_holds_up_nobody(
    desk, broker, registry, fact
) -> None:
    service = Service("risk", None, desk.database, desk.vault, None, None, broker, Steps())
    add_work(service)
    poison = await desk.facts(dwelling=[fact("dwelling.gas-hose", "melted")])
    good = await desk.facts(person=[fact("wish.legal-aid")])
    async with running(*service.tasks):
        await tell(registry, poison, good)

        async def told() -> bool:
            rows = await desk.rows(
                "SELECT published_at FROM outbox WHERE topic = 'risk.needs' AND key = :key", key=good.file_id
            )
            return len(rows) == 1 and rows[0].published_at is not None

        await eventually(told, within=30)
    assert await desk.published(poison.file_id) == []
    (letter,) = await desk.rows("SELECT error FROM dead_letter")
    assert "RuleFailed" in letter.error
    assert "melted" not in letter.error
