"""A database is restored to an older state, while the broker keeps what came after."""

from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from doorstep.kit.testing import eventually, running


async def backup(flow, database) -> str:
    """A copy of `database` as it is now; its url."""
    await database.close()
    url, name = database.engine.url, f"backup_{uuid4().hex[:12]}"
    engine = create_async_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {url.database} STRATEGY wal_log"))
    await engine.dispose()
    flow.databases._made.append(name)
    return url.set(database=name).render_as_string(hide_password=False)


async def restored(flow, service: str, url: str):
    return await flow.database(service, url)


async def test_a_restored_consumer_handles_what_came_since_again_once_in_its_own_effects(flow):
    keys = [uuid4() for _ in range(5)]
    relay = flow.relay()
    async with running(relay.run):
        async with running(flow.taker().run):
            await flow.write(*keys)
            await flow.arrived(5)
        older = await backup(flow, flow.consumer)
        async with running(flow.taker().run):
            for _ in range(5):
                await flow.write(*keys)
            await flow.arrived(30)
        again = await restored(flow, "referral", older)
        assert len(await flow.effects(again)) == 5
        async with running(flow.taker(database=again).run):
            await flow.arrived(30, database=again)
            await flow.write(*keys)
            await flow.arrived(35, database=again)
    await flow.check_exactly_once(again)


async def test_a_restored_producer_uses_no_number_twice_and_its_new_events_arrive(flow):
    """What it wrote after the backup is known to the broker alone; its counters are moved past that."""
    key, other = uuid4(), uuid4()
    async with running(flow.relay().run):
        await flow.write(key, other)
        await flow.published()
    older = await backup(flow, flow.producer)
    async with running(flow.relay().run):
        for _ in range(4):
            await flow.write(key)
        await flow.published()
    again = await restored(flow, "risk", older)
    await flow.write(key, database=again)  # before its relay had a look: takes the number 2 for a while
    async with running(flow.taker().run):
        await flow.arrived(6)
        async with running(flow.relay(again).run):
            await flow.write(key, other, database=again)
            await flow.arrived(9)
    numbers = [number for _, one, number in await flow.effects() if one == key]
    assert numbers == list(range(1, 8))
    assert [number for _, one, number in await flow.effects() if one == other] == [1, 2]


async def test_a_producer_with_a_new_database_reads_its_topics_first(flow):
    """Restored to before its first publication it knows no partition at all."""
    key = uuid4()
    empty = await backup(flow, flow.producer)
    async with running(flow.relay().run):
        await flow.write(key, key)
        await flow.published()
    again = await restored(flow, "risk", empty)
    async with running(flow.taker().run, flow.relay(again).run):
        await flow.arrived(2)
        await flow.write(key, database=again)
        await flow.arrived(3)
    assert [number for _, _, number in await flow.effects()] == [1, 2, 3]


async def test_a_producer_restored_to_before_a_loss_keeps_up_with_the_epoch(flow, restart):
    """Its offsets are those of the log that was lost, and the events of the new log lie before them."""
    key = uuid4()
    async with running(flow.relay().run):
        for _ in range(6):
            await flow.write(key)
            await flow.published()
    older = await backup(flow, flow.producer)
    async with running(flow.relay().run):
        await restart()
        await flow.write(key)

        async def raised() -> bool:
            return len(await flow.rows("SELECT 1 FROM relay_topic", flow.producer)) == 1

        await eventually(raised, within=30)
        await flow.published()
        await flow.write(key)
        await flow.published()
    again = await restored(flow, "risk", older)
    async with running(flow.taker().run):
        await flow.arrived(8)
        async with running(flow.relay(again).run):
            await flow.write(key, database=again)
            await flow.arrived(9)
    assert [number for _, _, number in await flow.effects()] == list(range(1, 10))
    [(epoch,)] = await flow.rows("SELECT epoch FROM relay_topic WHERE topic = 'risk.needs'", again)
    assert epoch >= 2
