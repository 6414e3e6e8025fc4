"""The database goes away and comes back: consumption pauses, nothing becomes a dead letter, nothing is lost."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from doorstep.kit.db import Database, DatabaseAway, run
from doorstep.kit.migrations import migrate
from doorstep.kit.testing import KIT_TABLES, eventually, running
from doorstep.local.folder import DataFolder
from doorstep.local.postgres import DATABASES, EmbeddedPostgres

AWAY = float(os.environ.get("DOORSTEP_AWAY_SECONDS", "4"))  # 60 where there is time


class OwnServer:
    """A database server that a test may stop; each database of it is used once."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.start, self.stop, self.kill = server.start, server.stop, server.kill
        self._names = iter(DATABASES)
        self._server = server

    async def database(self, flow, service: str) -> Database:
        """A database of `service` with the tables of the flow."""
        url = self._server.url(next(self._names))
        await migrate(url, KIT_TABLES)
        made = await flow.database(service, url)
        for statement in flow.small.TABLES:
            await flow.rows(statement, made)
        return made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own_server() -> AsyncIterator[OwnServer]:
    """A server beside the one of all tests."""
    folder = await asyncio.to_thread(Path, tempfile.mkdtemp(prefix="doorstep-", dir="/tmp"))
    await asyncio.to_thread(folder.chmod, 0o711)
    with DataFolder(folder / "data") as data:
        server = EmbeddedPostgres(data, folder, durable=False)
        await server.start()
        yield OwnServer(server)
        await server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def members(taker) -> str:
    return taker._client._coordinator.member_id


async def test_a_database_away_pauses_consumption_and_costs_no_message(flow, own_server):
    """The consumer's database stops under load, and the member stays in its group."""
    there = await own_server.database(flow, "referral")
    keys = [uuid4() for _ in range(8)]
    relay, taker = flow.relay(), flow.taker(database=there)
    async with running(relay.run, taker.run):
        await flow.write(*keys)
        await flow.arrived(8, database=there)
        member = members(taker)
        await own_server.stop()
        for _ in range(int(AWAY * 5)):
            await flow.write(*keys)
            await asyncio.sleep(0.2)
        await own_server.start()
        await flow.arrived(len(flow.written), database=there)
        assert members(taker) == member
    await flow.check_exactly_once(there)
    assert await flow.rows("SELECT count(*) FROM dead_letter", there) == [(0,)]
    assert await flow.rows("SELECT count(*) FROM parked", there) == [(0,)]


async def test_a_database_that_dies_in_the_middle_of_a_batch_costs_no_message(flow, own_server):
    there = await own_server.database(flow, "referral")
    keys = [uuid4() for _ in range(8)]
    died = False

    async def die_once(session, received):
        nonlocal died
        await flow.small.note(session, received)
        if received.event.record_id.int == 10 and not died:
            died = True
            await own_server.kill()

    relay, taker = flow.relay(), flow.taker(die_once, database=there)
    async with running(relay.run, taker.run):
        for _ in range(3):
            await flow.write(*keys)

        async def has_died() -> bool:
            return died

        await eventually(has_died)
        await asyncio.sleep(1)
        await own_server.start()
        await flow.arrived(24, database=there)
    await flow.check_exactly_once(there)
    assert await flow.rows("SELECT count(*) FROM dead_letter", there) == [(0,)]


async def test_another_database_away_pauses_consumption_too(flow, own_server):
    """The key store is away, not the consumer's own database: no message is given up for it."""
    there = await own_server.database(flow, "keys")
    reached = 0

    async def open_keys(session, received):
        nonlocal reached
        reached += 1
        async with there.transaction() as other:
            await flow.small.note(other, received)
        await flow.small.note(session, received)

    relay, taker = flow.relay(), flow.taker(open_keys, max_attempts=1)
    async with running(relay.run, taker.run):
        await own_server.stop()
        await flow.write(uuid4())
        await asyncio.sleep(3)
        assert reached < 20  # it waits between two attempts
        await own_server.start()
        await flow.arrived(1)
    assert await flow.rows("SELECT count(*) FROM dead_letter", flow.consumer) == [(0,)]


async def test_a_relay_goes_on_when_its_database_is_back(flow, own_server):
    there = await own_server.database(flow, "risk")
    keys = [uuid4() for _ in range(4)]
    relay, taker = flow.relay(there), flow.taker()
    async with running(relay.run, taker.run):
        await flow.write(*keys, database=there)
        await flow.arrived(4)
        await own_server.kill()
        await asyncio.sleep(2)
        assert not relay.active
        await own_server.start()
        await flow.write(*keys, database=there)
        await flow.arrived(8)
    await flow.check_exactly_once()
    assert await flow.rows("SELECT * FROM relay_topic", there) == []


class Between:
    """A server that died while the driver was between two of its states, once."""

    def __init__(self) -> None:
        self.left = 1

    def strike(self) -> None:
        if self.left:
            self.left -= 1
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")


async def test_a_driver_that_is_caught_between_two_states_costs_no_message(flow):
    """It is an outage, and no dead letter."""
    between = Between()

    async def note(session, received) -> None:
        between.strike()
        await flow.small.note(session, received)

    async with running(flow.relay().run, flow.taker(note).run):
        await flow.write(uuid4(), uuid4())
        await flow.arrived(2)
        assert between.left == 0
    await flow.check_exactly_once()
    assert await flow.rows("SELECT count(*) FROM dead_letter", flow.consumer) == [(0,)]


REFUSING = """
    CREATE FUNCTION refusing() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM nextval('tries'); RAISE EXCEPTION 'No space left on device' USING ERRCODE = '{}'; END $$
"""


@pytest.mark.parametrize("state", ["disk_full", "out_of_memory", "io_error", "read_only_sql_transaction"])
async def test_a_database_that_can_do_no_work_now_costs_no_message(flow, state):
    """Its disk is full, say: consumption waits, nothing becomes a dead letter, and it goes on when there is room."""
    await flow.rows("CREATE SEQUENCE tries", flow.consumer)
    await flow.rows(REFUSING.format(state), flow.consumer)
    await flow.rows("CREATE TRIGGER refusing BEFORE INSERT ON effect EXECUTE FUNCTION refusing()", flow.consumer)
    async with running(flow.relay().run, flow.taker().run):
        await flow.write(uuid4(), uuid4(), uuid4())

        async def tried() -> bool:
            return (await flow.rows("SELECT last_value FROM tries", flow.consumer))[0][0] >= 3

        await eventually(tried)
        assert await flow.effects() == []
        await flow.rows("DROP TRIGGER refusing ON effect", flow.consumer)
        await flow.arrived(3)
    await flow.check_exactly_once()
    assert await flow.rows("SELECT count(*) FROM dead_letter", flow.consumer) == [(0,)]
    assert await flow.rows("SELECT count(*) FROM parked", flow.consumer) == [(0,)]


async def test_what_the_driver_says_between_two_states_is_an_outage(store, monkeypatch):
    broken = []

    async def struck(connection, *_, **__):
        broken.append(connection._con if hasattr(connection, "_con") else connection)
        raise asyncpg.InternalClientError("cannot switch to state 12")

    monkeypatch.setattr(asyncpg.Connection, "fetch", struck)
    with pytest.raises(DatabaseAway):
        await store.producer.fetch("SELECT 1", {})
    with pytest.raises(DatabaseAway):
        async with store.producer.transaction() as session:
            await run(session, "SELECT 1", {})
    monkeypatch.undo()
    assert [connection.is_closed() for connection in broken] == [True, True]
    assert [tuple(row) for row in await store.producer.fetch("SELECT 1", {})] == [(1,)]
    async with store.producer.transaction() as session:
        assert [tuple(row) for row in await run(session, "SELECT 1", {})] == [(1,)]
