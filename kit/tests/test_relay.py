"""Two relays, one active; what one of them sends twice, late or for a recipient that is not there yet."""

import asyncio
from contextlib import suppress
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from sqlalchemy import text

from doorstep.contracts.codes import Department
from doorstep.kit import outbox, relay_state
from doorstep.kit.leases import Lease, LeaseLost
from doorstep.kit.relay import NotDeliverable, Withdrawn
from doorstep.kit.testing import eventually, running
from doorstep.kit.wakeups import Announcer


async def test_of_two_relays_one_is_active_and_the_other_takes_over_when_it_dies(flow):
    """The active one dies without giving its lease back."""
    relays = [flow.relay(lease_seconds=2.0), flow.relay(lease_seconds=2.0)]
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(relay.run(stopping)) for relay in relays]
    async with running(flow.taker().run):
        for _ in range(10):
            await flow.write(uuid4())
            await flow.published()
            assert sum(relay.active for relay in relays) <= 1
            await asyncio.sleep(0.3)  # together longer than a lease: it is renewed
        active = relays.index(next(relay for relay in relays if relay.active))
        tasks[active].cancel()
        await asyncio.gather(tasks[active], return_exceptions=True)
        assert await flow.rows("SELECT count(*) FROM lease", flow.producer) == [(1,)]
        await flow.write(*(uuid4() for _ in range(10)))
        await flow.arrived(20)
        assert relays[1 - active].active
        stopping.set()
        await tasks[1 - active]
    await flow.check_exactly_once()


async def test_a_relay_that_stops_gives_its_lease_back_and_publishes_first(flow):
    relay = flow.relay(lease_seconds=60.0)
    async with running(relay.run):
        await flow.write(uuid4())
        await flow.published()
        await flow.write(*(uuid4() for _ in range(300)))
    assert await flow.rows("SELECT count(*) FROM outbox WHERE published_at IS NULL", flow.producer) == [(0,)]
    assert await flow.rows("SELECT count(*) FROM lease", flow.producer) == [(0,)]


async def test_two_relays_that_send_at_once_change_nothing_for_consumers(flow):
    """An instance that was paused and wakes without its lease sends what another has sent, and raises no epoch."""
    keys = [uuid4() for _ in range(5)]
    relay = flow.relay(lease_seconds=30.0)
    sleeper = flow.relay()
    async with running(relay.run, flow.taker().run):
        producer = await flow.broker.producer()
        for _ in range(10):
            await flow.write(*keys)
            with suppress(LeaseLost):
                await sleeper._publish(producer)  # without asking for the lease
        await flow.arrived(50)
        await flow.published()
        await producer.stop()
    await flow.check_exactly_once()
    assert await flow.rows("SELECT topic, epoch FROM relay_topic", flow.producer) == []


async def test_only_the_holder_of_the_lease_says_that_the_broker_lost_something(store):
    holder, other = Lease(store.producer, "relay"), Lease(store.producer, "relay")
    assert await holder.take()
    place = TopicPartition("risk.needs", 0)
    assert await relay_state.mark(store.producer, holder, place, 100, 10, [])
    assert not await relay_state.mark(store.producer, other, place, 200, 10, [])
    assert (await relay_state.acknowledged(store.producer))[place] == (100, 109)
    assert not await relay_state.mark(store.producer, holder, place, 5, 1, [])
    with pytest.raises(LeaseLost):
        await relay_state.raise_epoch(store.producer, other, "risk.needs", 1)
    assert await relay_state.raise_epoch(store.producer, holder, "risk.needs", 1) == (2, 0)
    assert await relay_state.raise_epoch(store.producer, holder, "risk.needs", 1) is None  # another partition said so
    assert await relay_state.raise_epoch(store.producer, holder, "risk.needs", 2) == (3, 0)


async def test_a_commit_in_another_process_wakes_the_relay(flow):
    """Within a fraction of the second that passes between two looks at the outbox."""
    relay = flow.relay(lease_seconds=30.0)
    elsewhere = await flow.database("risk", flow.producer.engine.url.render_as_string(hide_password=False))
    announcer = Announcer(elsewhere)
    elsewhere.on_commit.append(announcer.announce)
    async with running(relay.run):
        await flow.write(uuid4())
        await flow.published()
        woken = 0
        for _ in range(5):
            await asyncio.sleep(0.2)
            relay._woken.clear()
            await flow.write(uuid4(), database=elsewhere)
            async with asyncio.timeout(10):
                await relay._woken.wait()
            woken += 1
        assert woken == 5
        await flow.published()
    await announcer.close()


async def test_a_batch_that_is_full_leaves_the_rest_for_the_next(flow):
    """Twelve events of half a megabyte: each is marked only when it was sent."""
    key, seen = uuid4(), []

    async def note(_session, received):
        seen.append(received.envelope.number)

    async with flow.producer.transaction() as session:
        for serial in range(12):
            event = flow.small.assessed(key, serial).model_copy(update={"station": "x" * 500_000})
            outbox.add(session, event, key=key)
    async with running(flow.relay().run, flow.taker(note).run):

        async def all_there() -> bool:
            return len(seen) >= 12

        await eventually(all_there, within=30)
    assert seen == list(range(1, 13))


async def add_feed(flow, department: Department, count: int) -> None:
    async with flow.producer.transaction() as session:
        for _ in range(count):
            outbox.add_feed(
                session, department, "feed.request-offered.v1", ref=uuid4(), subject=uuid4(), projection=b"{}"
            )


async def unpublished(flow) -> set[str]:
    return {topic for (topic,) in await flow.rows("SELECT topic FROM outbox WHERE published_at IS NULL", flow.producer)}


async def test_a_recipient_without_a_key_keeps_no_other_topic_back(flow):
    """Although it alone has more unpublished rows, and older ones, than a round of the relay takes."""
    deliverable = False

    async def encode(_row) -> bytes:
        if not deliverable:
            raise NotDeliverable
        return b"{}"

    await add_feed(flow, Department.HOUSING, 600)
    relay = flow.relay(encode=encode)
    flow.producer.service = "referral"  # who may make the topics of feeds
    await flow.write(uuid4())
    async with running(relay.run):

        async def only_the_feed() -> bool:
            return await unpublished(flow) == {"feed.housing"}

        await eventually(only_the_feed, within=30)
        deliverable = True
        await flow.published()


async def test_what_cannot_be_encoded_holds_its_topic_alone_and_stops_no_relay(flow):
    async def encode(_row) -> bytes:
        raise KeyError("a mistake in the service's own code")

    flow.producer.service = "referral"
    await add_feed(flow, Department.FIRE, 1)
    relay = flow.relay(encode=encode)
    async with running(relay.run):
        await flow.write(uuid4())

        async def only_the_feed() -> bool:
            return await unpublished(flow) == {"feed.fire"}

        await eventually(only_the_feed, within=30)
        await asyncio.sleep(1.5)
        assert relay.active


async def test_what_was_withdrawn_is_passed_over(flow):
    async def encode(_row) -> bytes:
        raise Withdrawn

    flow.producer.service = "referral"
    await add_feed(flow, Department.FIRE, 3)
    async with running(flow.relay(encode=encode).run):
        await flow.published()
    ends = await flow.broker.ends([TopicPartition("feed.fire", 0)])
    assert set(ends.values()) == {0}


async def test_published_rows_go_when_their_topic_has_forgotten_them_too(store):
    await store.write(uuid4(), uuid4())
    async with store.producer.transaction() as session:
        outbox.add_dead_letter(session, "facts", uuid4(), uuid4(), {}, b"")
        await outbox.flush(session)
        await session.execute(text("UPDATE outbox SET topic = 'registry.facts.risk.dead-letter' WHERE topic = 'facts'"))
        await session.execute(text("UPDATE outbox SET published_at = now() - interval '15 days'"))
    [kept] = await store.write(uuid4())
    await relay_state.forget_old(store.producer)
    left = await store.rows("SELECT published_at FROM outbox", store.producer)
    assert left == [(None,)]
    assert kept


async def test_two_that_ask_for_ends_at_once_share_one_observer(flow, monkeypatch):
    await flow.broker.ensure_topics(flow.small.PRODUCER)
    made = []
    monkeypatch.setattr(flow.broker, "consumer", lambda *_, make=flow.broker.consumer: made.append(make()) or made[-1])
    places = [TopicPartition(flow.small.TOPIC, 0)]
    assert await asyncio.gather(*(flow.broker.ends(places) for _ in range(3))) == [{places[0]: 0}] * 3
    assert len(made) == 1
