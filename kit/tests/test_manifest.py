"""Every entry for the log is promised once, whatever runs, dies or is restored meanwhile.

A margin of less than nothing closes minutes before they are over: to a test it is as if that time had passed.
"""

import asyncio
import hashlib
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from doorstep.contracts.audit import AuditManifestPublished
from doorstep.contracts.codes import Action
from doorstep.kit import outbox, relay_state
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.intents import Intent, record
from doorstep.kit.manifest import Manifests
from doorstep.kit.migrations import migrate
from doorstep.kit.testing import KIT_TABLES, eventually, running
from doorstep.local.postgres import SUPERUSER

SUBJECT = UUID(int=7)
ENTRIES = "SELECT time, body FROM outbox WHERE type = 'audit.entry-submitted.v1' ORDER BY position"
MANIFESTS = "SELECT body FROM outbox WHERE type = 'audit.manifest-published.v1' ORDER BY position"


@pytest.fixture
async def ring(vault):
    return await vault.ring([SUBJECT], create=True)


def submit(session, ring, count: int = 1) -> None:
    """Have so many entries leave with the session's transaction."""
    for _ in range(count):
        record(session, ring, Intent(Action.READ_FILE, [SUBJECT]))


async def submitted(database, ring, count: int = 1) -> None:
    """Commit so many entries."""
    async with database.transaction() as session:
        submit(session, ring, count)


def after(minutes: int, database, **options) -> Manifests:
    """What closes minutes as it would so many minutes from now."""
    return Manifests(database, margin=-60.0 * minutes, **options)


async def moved(store, delta: timedelta) -> None:
    """Have all that was written so far be so much older."""
    for statement in (
        "UPDATE outbox SET time = time - CAST(:delta AS interval)",
        "UPDATE manifest_state SET ends = ends - CAST(:delta AS interval)",
    ):
        await store.rows(statement, store.producer, delta=delta)


async def manifests(store, database=None) -> list[AuditManifestPublished]:
    rows = await store.rows(MANIFESTS, database or store.producer)
    return [AuditManifestPublished.model_validate_json(bytes(body)) for (body,) in rows]


async def promised(store, database=None) -> int:
    """How many entries were promised: the manifests follow each other, and each fits the entries of its minutes."""
    entries = await store.rows(ENTRIES, database or store.producer)
    found = await manifests(store, database)
    for number, one in enumerate(found, start=1):
        assert (one.service, one.number) == ("risk", number)
        assert number == 1 or one.begins == found[number - 2].ends
        assert (one.ends.second, one.ends.microsecond) == (0, 0)
        inside = [bytes(body) for time, body in entries if one.begins <= time < one.ends]
        total = sum(int.from_bytes(hashlib.sha256(body).digest()) for body in inside)
        assert (one.count, one.digest) == (len(inside), f"{total % 2**256:064x}")
    return sum(one.count for one in found)


async def test_a_manifest_promises_the_entries_of_its_minutes(store, ring):
    await submitted(store.producer, ring, 40)
    await store.write(uuid4())  # an event that is no entry
    await submitted(store.producer, ring, 3)
    await after(1, store.producer).close()
    await submitted(store.producer, ring, 5)
    await after(2, store.producer).close()
    await after(3, store.producer).close()
    assert [one.count for one in await manifests(store)] == [43, 5, 0]
    assert await promised(store) == 48


async def test_the_minute_that_runs_is_not_closed(store, ring):
    await submitted(store.producer, ring)
    await after(1, store.producer).close()
    for _ in range(2):
        assert 0 < await after(1, store.producer).close() <= 60
    assert len(await manifests(store)) <= 2  # two if the clock's minute turned just now


async def test_a_service_that_was_off_sends_one_manifest_for_all_the_time(store, ring):
    await submitted(store.producer, ring, 2)
    await moved(store, timedelta(hours=5))
    await submitted(store.producer, ring)
    await after(1, store.producer).close()
    [one] = await manifests(store)
    assert (one.count, one.ends - one.begins >= timedelta(hours=5)) == (3, True)
    assert await promised(store) == 3


async def test_an_entry_that_commits_late_is_waited_for(store, ring):
    async with store.producer.transaction() as late:
        submit(late, ring)
        await outbox.flush(late)
        await submitted(store.producer, ring)
        assert await after(1, store.producer).close() == 1.0
        assert await manifests(store) == []
    await after(1, store.producer).close()
    assert await promised(store) == 2


async def test_a_transaction_that_has_yet_written_nothing_is_waited_for_while_its_statement_is_young(store, ring):
    async with store.producer.transaction() as reading:
        await reading.execute(text("SELECT 1"))
        await after(1, store.producer).close()
        assert await manifests(store) == []
        await after(1, store.producer, reading=-1.0).close()  # as a backup that has been reading for long
        assert len(await manifests(store)) == 1
        submit(reading, ring)
    await after(2, store.producer).close()
    assert await promised(store) == 1


async def test_nothing_is_closed_where_the_database_does_not_tell_who_runs(store, ring, postgres):
    await submitted(store.producer, ring)
    url = store.producer.engine.url
    connection = await asyncpg.connect(host=str(postgres.sockets), user=SUPERUSER, database="postgres")
    await connection.execute(f"ALTER DATABASE {url.database} SET track_activities = off")
    await connection.close()
    await store.producer.close()
    assert await after(1, store.producer).close() == 1.0
    assert await manifests(store) == []


async def test_what_is_written_after_the_clock_went_back_is_in_the_next_manifest(store, ring):
    await after(5, store.producer).close()  # the clock is now five minutes behind what was closed
    await submitted(store.producer, ring, 2)
    [first] = await manifests(store)
    assert {time for time, _ in await store.rows(ENTRIES, store.producer)} == {first.ends}
    assert await after(1, store.producer).close() <= 60
    assert len(await manifests(store)) == 1
    await after(7, store.producer).close()
    assert await promised(store) == 2


async def test_of_several_instances_one_closes_a_minute(store, ring):
    await submitted(store.producer, ring, 4)
    await asyncio.gather(*(after(1, store.producer).close() for _ in range(8)))
    assert await promised(store) == 4
    assert len(await manifests(store)) <= 2


async def test_what_dies_between_counting_and_committing_leaves_nothing_behind(store, ring):
    await submitted(store.producer, ring, 2)
    engine = create_async_engine(store.producer.engine.url)
    async with engine.begin() as other:
        await other.execute(text("LOCK TABLE outbox IN EXCLUSIVE MODE"))
        dying = asyncio.create_task(after(1, store.producer, reading=-1.0).close())
        waiting = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE '%unnest%'"
        )

        async def killed() -> bool:
            return await store.rows(waiting, store.producer) != []

        await eventually(killed)
        with pytest.raises(DATABASE_ERRORS):
            await dying
    await engine.dispose()
    assert await store.rows("SELECT number FROM manifest_state", store.producer) == [(0,)]
    await submitted(store.producer, ring)
    await after(1, store.producer).close()
    assert await promised(store) == 3


async def test_an_entry_stays_in_the_outbox_until_it_was_promised(store, ring):
    await submitted(store.producer, ring)
    await store.rows("UPDATE outbox SET published_at = now() - interval '400 days'", store.producer)
    await relay_state.forget_old(store.producer)
    assert len(await store.rows(ENTRIES, store.producer)) == 1
    await after(1, store.producer).close()
    assert await promised(store) == 1
    await relay_state.forget_old(store.producer)
    assert await store.rows(ENTRIES, store.producer) == []


async def test_the_relay_publishes_manifests_while_it_is_active(flow, ring):
    await submitted(flow.producer, ring, 3)
    relay = flow.relay(manifests=after(1, flow.producer))
    async with running(relay.run):

        async def sent() -> bool:
            unsent = MANIFESTS.replace("WHERE", "WHERE published_at IS NULL AND")
            return len(await manifests(flow)) >= 1 and await flow.rows(unsent, flow.producer) == []

        await eventually(sent)
    assert await promised(flow) == 3


async def test_events_leave_also_while_no_manifest_can_be_made(flow):
    await flow.rows("ALTER TABLE manifest_state RENAME number TO lost", flow.producer)
    manifests = after(1, flow.producer)
    async with running(flow.relay(manifests=manifests).run):

        async def tried() -> bool:
            return manifests._due > 0

        await eventually(tried)
        await flow.write(uuid4())
        await flow.published()


async def backup(flow) -> str:
    """A copy of the producer's database as it is now; its url."""
    await flow.producer.close()
    url, name = flow.producer.engine.url, f"backup_{uuid4().hex[:12]}"
    engine = create_async_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {url.database} STRATEGY wal_log"))
    await engine.dispose()
    flow.databases._made.append(name)
    return url.set(database=name).render_as_string(hide_password=False)


async def left(flow, ring, count: int, minutes: int) -> None:
    """Submit so many entries, as of so many minutes ago, and have a relay publish them and what else is there."""
    await submitted(flow.producer, ring, count)
    older = "UPDATE outbox SET time = now() - CAST(:ago AS interval) WHERE published_at IS NULL"
    await flow.rows(older, flow.producer, ago=timedelta(minutes=minutes))
    async with running(flow.relay().run):
        await flow.published()


async def test_a_restored_database_takes_back_what_it_forgot_and_promises_it(flow, ring):
    """After the backup came entries under a manifest and some under none: no number is used twice, none is left out."""
    await flow.rows("UPDATE manifest_state SET ends = ends - interval '20 minutes'", flow.producer)
    await left(flow, ring, 1, 15)
    await after(-10, flow.producer).close()
    await left(flow, ring, 0, 0)
    older = await backup(flow)
    await left(flow, ring, 2, 9)
    await after(-5, flow.producer).close()
    await left(flow, ring, 4, 3)
    again = await flow.database("risk", older)
    await submitted(again, ring, 8)  # before its relay had a look
    async with running(flow.relay(again, manifests=after(1, again)).run):

        async def three() -> bool:
            return len(await manifests(flow, again)) >= 3

        await eventually(three)
    async with running(flow.relay(again, manifests=after(1, again)).run):  # what was taken back is known now
        await submitted(again, ring)
    await after(3, again).close()
    assert await manifests(flow) == (await manifests(flow, again))[:2]
    assert [one.count for one in await manifests(flow, again)][:3] == [1, 2, 12]
    assert await promised(flow, again) == 16


async def test_a_database_of_the_version_before_goes_on_with_its_rows(databases, ring):
    url = await databases.new()
    database = Database(url, service="risk")
    for statement in (
        "INSERT INTO outbox (id, topic, key, type, time, content_type, body, published_at) SELECT gen_random_uuid(),"
        " 'audit.entry.risk', gen_random_uuid(), 'audit.entry-submitted.v1', now() - make_interval(days => n),"
        " 'application/json', '{}', now() FROM generate_series(0, 9) AS n",
        "DROP INDEX outbox_entry_time",
        "DROP TABLE manifest_state, activation, opened_file, moved_mention",
        "UPDATE version_kit_service SET version_num = 'kit_0002'",
    ):
        async with database.transaction() as session:
            await session.execute(text(statement))
    await migrate(url, KIT_TABLES)
    await submitted(database, ring)
    await after(1, database).close()
    async with database.transaction() as session:
        [(body,)] = await session.execute(text(MANIFESTS))
        entries = await session.execute(text("SELECT count(*) FROM outbox WHERE time >= date_trunc('minute', now())"))
    one = AuditManifestPublished.model_validate_json(bytes(body))
    assert (one.number, one.ends - one.begins <= timedelta(minutes=2), one.count >= 1) == (1, True, True)
    assert entries.scalar_one() >= one.count - 1
    await database.close()
