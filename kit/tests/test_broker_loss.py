"""The broker loses everything, once and again, while groups and work go on: every event has its effect once."""

import asyncio
import random
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from doorstep.kit import outbox, relay_state
from doorstep.kit.testing import eventually, running


async def epochs(flow) -> dict[str, int]:
    return dict(await flow.rows("SELECT topic, epoch FROM relay_topic", flow.producer))


async def test_a_broker_emptied_several_times_under_load_loses_and_doubles_nothing(flow, restart):
    chance = random.Random(7)
    keys = [uuid4() for _ in range(12)]
    relay, one, two = flow.relay(), flow.taker(), flow.taker()
    writing = asyncio.Event()

    async def load() -> None:
        while not writing.is_set():
            keys.append(uuid4())
            await flow.write(*chance.choices(keys, k=2), *chance.choices(keys[-4:], k=2))
            await asyncio.sleep(0.02)

    async with running(relay.run, one.run, two.run):
        await flow.write(*keys)
        await flow.arrived(len(keys))
        loading = asyncio.create_task(load())
        for _ in range(3):
            await asyncio.sleep(chance.uniform(0.3, 1.2))
            await restart()
        await asyncio.sleep(0.5)
        writing.set()
        await loading
        await flow.arrived(len(flow.written), within=60)
        await flow.published()
    await flow.check_exactly_once()
    assert (await epochs(flow))["risk.needs"] >= 3


async def test_what_lies_across_something_else_in_a_log_goes_out_again(flow, restart):
    """A broker that lost a topic takes a batch for it, is asked to make it, and counts from 0 again: batches overlap.

    Whoever reads the log finds the first of them, and not the beginning of the second.
    """
    key, seen = uuid4(), set()

    async def note(_session, received):
        seen.add(received.envelope.number)

    async with running(flow.relay().run):
        async with flow.producer.transaction() as session:
            for serial in range(2):  # one fills a batch
                event = flow.small.assessed(key, serial).model_copy(update={"station": "x" * 600_000})
                outbox.add(session, event, key=key)
        await flow.published()
        await restart()
        async with flow.producer.transaction() as session:
            for serial in range(2, 40):
                outbox.add(session, flow.small.assessed(key, serial), key=key)
        await flow.published()

    async def all_there() -> bool:
        return len(seen) == 40

    async with running(flow.taker(note).run):
        await eventually(all_there, within=20)


async def test_a_topic_that_is_gone_holds_up_no_other(flow, embedded_broker):
    """Its producer may be away and make it again much later; what a group committed there is not waited for."""
    async with running(flow.relay().run, flow.taker().run):
        await flow.write(uuid4())
        await flow.arrived(1)
        admin = AIOKafkaAdminClient(bootstrap_servers=embedded_broker.address)
        await admin.start()
        await admin.delete_topics(["registry.erasures"])
        await admin.close()
        for number in range(2, 5):
            await asyncio.sleep(3)
            await flow.write(uuid4())
            await flow.arrived(number, within=20)
    await flow.check_exactly_once()


async def test_a_client_that_was_broken_off_ends_neither_consumer_nor_relay(flow, monkeypatch):
    """A client hands on that a task of its own was cancelled: whoever waits for it goes on with another client."""
    broken = []

    def break_off_once(client: type, method: str) -> None:
        whole = getattr(client, method)

        async def one(*arguments, **options):
            done = await whole(*arguments, **options)
            if method not in broken:
                broken.append(method)
                raise asyncio.CancelledError
            return done

        monkeypatch.setattr(client, method, one)

    break_off_once(AIOKafkaProducer, "send_batch")
    break_off_once(AIOKafkaConsumer, "getmany")
    break_off_once(AIOKafkaConsumer, "commit")
    break_off_once(AIOKafkaConsumer, "stop")
    async with running(flow.relay().run, flow.taker().run):
        await flow.write(uuid4())
        await flow.arrived(1)
    assert set(broken) == {"send_batch", "getmany", "commit", "stop"}
    await flow.check_exactly_once()


async def test_a_quiet_topic_is_published_again_although_nothing_new_is_sent(flow, restart):
    """A single first batch, at offset 0, is missed as well; a consumer that never saw it gets it."""
    relay = flow.relay()
    async with running(relay.run):
        await flow.write(uuid4())
        await flow.published()
        await restart()

        async def raised() -> bool:
            return (await epochs(flow)).get("risk.needs") == 2

        await eventually(raised, within=20)
        async with running(flow.taker().run):
            await flow.arrived(1)
    await flow.check_exactly_once()


async def test_a_key_that_nobody_saw_is_not_begun_in_its_middle_when_a_topic_is_lost_again(flow):
    """The new log begins with what was sent before the loss was found, of the epoch that is over."""
    old, new = uuid4(), uuid4()
    async with running(flow.taker().run):
        await flow.send(old, 1, 1, epoch=2)
        await flow.arrived(1)
        await flow.send(new, 3, 13, epoch=2)
        await flow.send(old, 2, 2, epoch=2)
        await flow.arrived(2)
        for number in (1, 2, 3):
            await flow.send(new, number, 10 + number, epoch=3)
        await flow.arrived(5)
    assert [serial for serial, key, _ in await flow.effects() if key == new] == [11, 12, 13]


async def test_who_knows_nothing_of_a_key_begins_where_the_outbox_does_when_a_topic_was_lost(flow, restart):
    """What retention deleted cannot come again, and nothing waits for it; what came before it was found waits."""
    key, other = uuid4(), uuid4()
    async with running(flow.relay().run):
        for _ in range(4):
            await flow.write(key, other)
        await flow.published()
        old = "UPDATE outbox SET published_at = now() - interval '400 days' WHERE key = :key AND number < 3"
        await flow.rows(old, flow.producer, key=key)
        await relay_state.forget_old(flow.producer)
        await restart()
        await flow.send(key, 4, 7)
        await flow.write(key, other)
        async with running(flow.taker().run):
            await flow.arrived(8, within=60)
    effects = await flow.effects()
    assert [number for _, one, number in effects if one == key] == [3, 4, 5]
    assert [number for _, one, number in effects if one == other] == [1, 2, 3, 4, 5]


async def test_emptiness_is_no_loss(flow):
    """What was acknowledged lies behind the end of the log; that earlier messages expired is nothing."""
    relay = flow.relay()
    async with running(relay.run):
        await flow.write(*(uuid4() for _ in range(20)))
        await flow.published()
        await relay._watch()
        await relay._watch()
    assert await epochs(flow) == {}


async def test_a_log_truncated_behind_what_was_seen_is_a_loss(flow):
    """An unclean election of a leader cuts the last batch off: the end falls, though not below the batch's begin."""
    relay = flow.relay(lease_seconds=30.0)
    async with running(relay.run):
        await flow.write(uuid4())
        await flow.published()
        place, (base, _) = next(iter((await flow_acknowledged(flow)).items()))
        relay._ends = {place: base + 5}
        await relay._watch()
        assert (await epochs(flow))["risk.needs"] == 2
        await flow.published()


async def flow_acknowledged(flow) -> dict[TopicPartition, tuple[int, int]]:
    rows = await flow.rows("SELECT topic, partition, base, acknowledged FROM relay_partition", flow.producer)
    return {TopicPartition(topic, partition): (base, last) for topic, partition, base, last in rows}


async def test_a_consumer_that_was_away_reads_a_log_begun_anew_from_its_beginning(flow, restart):
    """Even if the new log has grown to exactly the position at which it left the old one."""
    keys = [uuid4() for _ in range(3)]
    relay = flow.relay()
    async with running(relay.run):
        async with running(flow.taker().run):
            for _ in range(4):
                await flow.write(*keys)
                await flow.published()
            await flow.arrived(12)
        before = dict(await positions(flow))
        await flow.write(*keys)
        await flow.published()
        await restart()

        async def raised() -> bool:
            return (await epochs(flow)).get("risk.needs", 1) >= 2

        await eventually(raised, within=20)
        await flow.published()
        for partition, (_, offset) in before.items():  # as if the old log had held messages more than the outbox has
            ends = await flow.rows(
                "SELECT acknowledged + 1 FROM relay_partition WHERE partition = :p", flow.producer, p=partition
            )
            if offset and ends:
                await flow.rows(
                    "UPDATE inbox_position SET next_offset = :end WHERE partition = :p",
                    flow.consumer,
                    end=ends[0][0],
                    p=partition,
                )
        async with running(flow.taker().run):
            await flow.arrived(15)
    await flow.check_exactly_once()


async def positions(flow) -> list[tuple[int, tuple[int, int]]]:
    rows = await flow.rows("SELECT partition, epoch, next_offset FROM inbox_position", flow.consumer)
    return [(partition, (epoch, offset)) for partition, epoch, offset in rows]


async def test_a_running_consumer_notices_a_log_begun_anew_of_the_same_length(flow):
    """No offset is out of range and no end too low: only the epoch of the last message tells."""
    key = uuid4()
    taker = flow.taker()
    async with running(taker.run):
        await flow.send(key, 1, 1)
        await flow.arrived(1)
        place = next(place for place, position in taker._positions.items() if position.next_offset == 1)
        await flow.send(key, 2, 2, epoch=2)
        await flow.arrived(2)
        assert taker._positions[place].epoch == 2
        taker._positions[place].epoch = 1  # as if the two messages were all that the new log holds
        taker._probed = 0.0

        async def noticed() -> bool:
            return taker._positions[place].epoch == 2

        await eventually(noticed, within=20)
    assert [number for _, _, number in await flow.effects()] == [1, 2]


async def test_the_group_survives_a_broker_that_forgot_it(flow, restart):
    taker = flow.taker()
    relay = flow.relay()
    async with running(relay.run, taker.run):
        await flow.write(uuid4())
        await flow.arrived(1)
        await restart()
        await flow.write(uuid4())
        await flow.arrived(2)
    await flow.check_exactly_once()


async def test_a_relay_of_a_service_that_produces_nothing_itself_waits_for_nothing(broker):
    """Such a service has dead letters all the same, and they leave."""
    async with asyncio.timeout(10):
        assert await broker.ends([]) == {}
