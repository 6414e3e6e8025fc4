"""From triage's event to the department's own eyes, over a real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import orjson
import pytest
import pytest_asyncio
from aiokafka import TopicPartition

from doorstep.contracts.codes import Decision, Department, TaskState
from doorstep.contracts.risk import NeedDecided, NeedsAssessed
from doorstep.kit import outbox
from doorstep.kit.consumer import Consumer
from doorstep.kit.db import Database
from doorstep.kit.delivery import NotForUs, new_private_key, open_with
from doorstep.kit.relay import Relay, Withdrawn
from doorstep.kit.testing import eventually
from doorstep.referral.consumers import handlers
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.delivering import FeedEncoder
from doorstep.referral.operations.keys import register_department_key

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@asynccontextmanager
async def running(*runs) -> AsyncIterator[None]:
    """Run until the block ends."""
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(run(stopping)) for run in runs]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


@pytest_asyncio.fixture(loop_scope="session")
async def risk(own_databases, broker) -> AsyncIterator[Database]:
    """Triage's outbox, published."""
    found = Database(await own_databases.new(), service="risk")
    relay = Relay(found, broker)
    found.on_commit.append(relay.wake)
    async with running(relay.run):
        yield found
    await found.close()


@pytest_asyncio.fixture(loop_scope="session")
async def fresh(own_databases) -> AsyncIterator[Database]:
    """A database of referral for one broker's life."""
    found = Database(
        await own_databases.new("doorstep.kit:migrations/service", "doorstep.referral:migrations"), service="referral"
    )
    yield found
    await found.close()


async def received(broker, department: Department) -> list:
    """The messages on a department's feed."""
    start = {TopicPartition(f"feed.{department}", 0): 0}
    return [message async for _, messages in broker.tails(start) for message in messages]


async def tell(risk: Database, *events) -> None:
    """Triage publishes."""
    async with risk.transaction() as session:
        for event in events:
            outbox.add(session, event, key=event.file_id)


def assessed(desk, handed_on=(), suggested=()) -> NeedsAssessed:
    """Needs of the desk's record."""
    return NeedsAssessed(
        assessment_id=uuid4(),
        record_id=desk.origin.record_id,
        file_id=desk.origin.file_id,
        station=desk.origin.station,
        rule_pack="pack-1",
        assessed_at=NOW,
        handed_on=tuple(handed_on),
        suggested=tuple(suggested),
    )


def decided(desk, need, decision: Decision) -> NeedDecided:
    """A reviewer's word on a suggested need."""
    return NeedDecided(
        record_id=desk.origin.record_id,
        file_id=desk.origin.file_id,
        station=desk.origin.station,
        decision=decision,
        decided_by=uuid4(),
        decided_at=NOW,
        need=need,
    )


async def register(desk, department: Department, kid: str):
    """A fresh key of the department."""
    key = new_private_key(kid)
    async with desk.database.transaction() as session:
        await register_department_key(
            session,
            vault=desk.vault,
            access=Access(desk.officer(department)),
            department=department,
            kid=kid,
            jwk=key.as_dict(private=False) | {"kid": kid},
            now=datetime.now(UTC),
        )
    return key


async def test_needs_reach_their_departments_encrypted_for_each_alone(fresh, vault, risk, broker, desk_over) -> None:
    desk = desk_over(fresh, vault)
    wanted = [await desk.need(kind) for kind in ("minimum-living-allowance", "legal-aid")]
    confirmed, refused = await desk.need("gas-leak"), await desk.need("structure-danger")
    justice = await register(desk, Department.JUSTICE, "justice-1")
    relay = Relay(fresh, broker, encode=FeedEncoder(fresh, vault).encode)
    fresh.on_commit.append(relay.wake)
    consumer = Consumer(fresh, broker, handlers(vault))
    async with running(relay.run, consumer.run):
        yes, no = decided(desk, confirmed, Decision.CONFIRMED), decided(desk, refused, Decision.REJECTED)
        await tell(risk, assessed(desk, wanted, [confirmed, refused]), yes, no)
        await eventually(lambda: opened(desk, 3))
        assert await desk.task(refused.need_id) is None

        async def justice_has_it() -> bool:
            return len(await received(broker, Department.JUSTICE)) == 1

        await eventually(justice_has_it)
        [message] = await received(broker, Department.JUSTICE)
        task = await desk.task(wanted[1].need_id)
        offered = orjson.loads(open_with({"justice-1": justice}, message.value))
        assert offered["offer"]["ref"] == message.key.decode() == str(task.ref)
        await a_department_without_a_key_holds_back_its_own_feed_alone(desk, broker)
        await a_new_key_serves_what_leaves_from_then_on(desk, broker, task, justice)


async def opened(desk, count: int) -> bool:
    """Whether so many requests are open."""
    return len(await desk.rows("SELECT 1 FROM request")) == count


async def a_department_without_a_key_holds_back_its_own_feed_alone(desk, broker) -> None:
    assert await received(broker, Department.CIVIL_AFFAIRS) == []
    waiting = await desk.rows("SELECT topic FROM outbox WHERE published_at IS NULL")
    assert {row.topic for row in waiting} <= {"feed.civil-affairs", "feed.fire"}
    late = await register(desk, Department.CIVIL_AFFAIRS, "late-1")

    async def civil_affairs_has_it() -> bool:
        return len(await received(broker, Department.CIVIL_AFFAIRS)) == 1

    await eventually(civil_affairs_has_it)
    [message] = await received(broker, Department.CIVIL_AFFAIRS)
    assert orjson.loads(open_with({"late-1": late}, message.value))["offer"]["need_type"] == "minimum-living-allowance"


async def a_new_key_serves_what_leaves_from_then_on(desk, broker, task, justice) -> None:
    newer = await register(desk, Department.JUSTICE, "justice-2")
    await asyncio.sleep(1.1)
    await desk.station_step(task, TaskState.CANCELLED)

    async def justice_has_both() -> bool:
        return len(await received(broker, Department.JUSTICE)) == 2

    await eventually(justice_has_both)
    _, message = await received(broker, Department.JUSTICE)
    with pytest.raises(NotForUs):
        open_with({"justice-1": justice}, message.value)
    assert orjson.loads(open_with({"justice-2": newer}, message.value))["ref"] == str(task.ref)


async def test_what_was_erased_leaves_for_nobody(fresh, vault, desk_over) -> None:
    desk = desk_over(fresh, vault)
    await register(desk, Department.JUSTICE, "justice-1")
    task = await desk.opened("legal-aid")
    await vault.destroy(task.subject_id)
    [row] = await desk.rows("SELECT * FROM outbox WHERE topic = 'feed.justice'")
    with pytest.raises(Withdrawn):
        await FeedEncoder(fresh, vault).encode(row)
