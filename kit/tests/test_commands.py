"""Commands sent twice, leases, and migrations: what the database settles between concurrent callers."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from doorstep.kit import idempotency
from doorstep.kit.auth import Principal, Role
from doorstep.kit.db import Database, DatabaseAway, is_away, is_conflict
from doorstep.kit.idempotency import Erased, IdReused, Replay
from doorstep.kit.leases import Lease
from doorstep.kit.migrations import migrate
from doorstep.kit.testing import KEY_TABLES, KIT_TABLES

ME = Principal("me", Role.COLLECTOR, "station", "7")
STRANGER = Principal("stranger", Role.COLLECTOR, "station", "7")
BODY, OTHER = b"d" * 32, b"o" * 32


async def send(database, command_id, digest=BODY, principal=ME, *, wait=0.0, fail=False):
    """What a use case does: claim, work, keep the answer."""
    async with database.transaction() as session:
        replay = await idempotency.claim(session, principal, command_id, digest)
        if replay is not None:
            return replay
        await session.execute(text("INSERT INTO written (key) VALUES (:key)"), {"key": command_id})
        await asyncio.sleep(wait)
        if fail:
            raise ZeroDivisionError
        await idempotency.keep(session, command_id, {"version": 1})
    return None


async def done(store, command_id) -> int:
    return len(await store.rows("SELECT 1 FROM written WHERE key = :key", store.producer, key=command_id))


async def test_the_same_command_is_carried_out_once_and_answered_again(store):
    command = uuid4()
    assert await send(store.producer, command) is None
    for _ in range(3):
        assert await send(store.producer, command) == Replay({"version": 1})
    assert await done(store, command) == 1


async def test_the_same_id_with_another_body_is_refused(store):
    command = uuid4()
    await send(store.producer, command)
    with pytest.raises(IdReused):
        await send(store.producer, command, OTHER)


class Asked(BaseModel):
    """A body."""

    what: str


def test_a_command_is_known_by_what_it_asks_and_of_what_as_it_was_before(vault):
    body, of, another = Asked(what="it"), uuid4(), uuid4()
    known = idempotency.digest_of(vault, body, of, another)
    assert known == vault.digest(f"{of} {another} {body.model_dump_json()}".encode())
    others = [(Asked(what="that"), of, another), (body, another, of), (body, of), (body,)]
    assert known not in [idempotency.digest_of(vault, *one) for one in others]


async def test_a_stranger_learns_nothing_of_an_id_not_even_that_it_was_erased(store):
    command = uuid4()
    await send(store.producer, command)
    with pytest.raises(IdReused):
        await send(store.producer, command, BODY, STRANGER)
    async with store.producer.transaction() as session:
        await idempotency.erase(session, [command])
    with pytest.raises(IdReused):
        await send(store.producer, command, BODY, STRANGER)


async def test_after_erasure_the_command_is_gone_whatever_its_body(store):
    command = uuid4()
    await send(store.producer, command)
    async with store.producer.transaction() as session:
        await idempotency.erase(session, [command])
    for digest in (BODY, OTHER):
        with pytest.raises(Erased):
            await send(store.producer, command, digest)
    assert await store.rows("SELECT answer FROM command", store.producer) == [(None,)]


async def test_of_many_at_once_one_works_and_the_others_wait_for_its_answer(store):
    command = uuid4()
    answers = await asyncio.gather(*(send(store.producer, command, wait=0.2) for _ in range(6)))
    assert answers.count(None) == 1
    assert answers.count(Replay({"version": 1})) == 5
    assert await done(store, command) == 1


async def test_a_command_that_failed_may_be_sent_again(store):
    command = uuid4()
    first = asyncio.create_task(send(store.producer, command, wait=0.2, fail=True))
    await asyncio.sleep(0.05)
    assert await send(store.producer, command) is None
    with pytest.raises(ZeroDivisionError):
        await first
    assert await done(store, command) == 1


async def test_a_lease_has_one_holder_until_it_is_given_back_or_runs_out(store):
    leases = [Lease(store.producer, "work", seconds=0.5) for _ in range(5)]
    taken = await asyncio.gather(*(lease.take() for lease in leases))
    assert taken.count(True) == 1
    holder = leases[taken.index(True)]
    [second, third, *_] = [lease for lease in leases if lease is not holder]
    assert await holder.take()
    assert not await second.take()
    await asyncio.sleep(0.6)
    assert await second.take()
    assert not await holder.take()
    await holder.give_back()  # not its own any more: nothing happens
    assert not await third.take()
    await second.give_back()
    assert await third.take()


async def test_leases_of_different_names_do_not_meet(store):
    assert await Lease(store.producer, "one").take()
    assert await Lease(store.producer, "two").take()


async def test_concurrent_migrators_wait_for_one_another(databases, cluster):
    name = f"test_{uuid4().hex[:12]}"
    await cluster._run(f"CREATE DATABASE {name}")
    cluster._made.append(name)
    url = cluster._url(name)
    await asyncio.gather(*(migrate(url, KIT_TABLES, KEY_TABLES) for _ in range(4)))
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'version_%' ORDER BY 1")
        )
        assert list(found.scalars()) == ["version_kit_keys", "version_kit_service"]
        versions = (await connection.execute(text("SELECT version_num FROM version_kit_service"))).scalars().all()
        assert len(versions) == 1
    await engine.dispose()
    await migrate(url, KIT_TABLES, KEY_TABLES)


async def test_a_migration_that_fails_changes_nothing(databases, cluster, monkeypatch):
    name = f"test_{uuid4().hex[:12]}"
    await cluster._run(f"CREATE DATABASE {name}")
    cluster._made.append(name)
    url = cluster._url(name)
    database = Database(url)
    async with database.transaction() as session:
        await session.execute(text("CREATE TABLE parked (already int)"))  # in the way of the first revision
    with pytest.raises(Exception, match="parked"):
        await migrate(url, KIT_TABLES)
    async with database.transaction() as session:
        found = await session.execute(text("SELECT to_regclass('outbox'), to_regclass('version_kit_service')"))
        assert found.one() == (None, None)
    await database.close()


async def test_a_database_that_is_not_there_is_away_and_a_handler_s_own_error_is_not():
    nowhere = Database("postgresql+asyncpg://doorstep@/risk?host=/nonexistent")
    with pytest.raises(DatabaseAway) as away:
        async with nowhere.transaction() as session:
            await session.execute(text("SELECT 1"))
    assert is_away(away.value)
    assert not await nowhere.reachable()
    for own in (OSError(), TimeoutError(), ConnectionRefusedError()):
        assert not is_away(own)
    await nowhere.close()


async def test_a_single_statement_tells_an_outage_from_a_wrong_value_and_from_a_conflict(store):
    nowhere = Database("postgresql+asyncpg://doorstep@/risk?host=/nonexistent")
    with pytest.raises(DatabaseAway):
        await nowhere.fetch("SELECT 1", {})
    await nowhere.close()
    with pytest.raises(asyncpg.DataError) as wrong:
        await store.producer.fetch("SELECT CAST(:far AS integer)", {"far": 2**40})
    assert not is_away(wrong.value)
    with pytest.raises(asyncpg.PostgresError) as conflict:
        await store.producer.fetch("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$", {})
    assert is_conflict(conflict.value)
    assert await store.producer.fetch("SELECT :one || :two || :one AS said", {"one": "a", "two": "b"}) == [("aba",)]


async def test_work_that_is_cancelled_leaves_its_connection_fit_for_the_next(store):
    database = Database(store.producer.engine.url.render_as_string(hide_password=False), pool_size=1)
    for statement in ("SELECT pg_sleep(5)", "SELECT 1"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), database.transaction() as session:
                await session.execute(text("INSERT INTO written (key) VALUES (gen_random_uuid())"))
                await session.execute(text(statement))
                await asyncio.sleep(5)
    async with database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM written"))).scalar_one() == 0
    await database.close()
