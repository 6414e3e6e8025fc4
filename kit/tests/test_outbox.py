"""Events leave with their transaction, and their numbers follow the order of commits."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from doorstep.contracts.codes import Department
from doorstep.kit import outbox
from doorstep.kit.db import before_commit
from doorstep.kit.outbox import EVENT_BYTES, EventTooLarge
from doorstep.kit.testing import running


async def numbers(flow, key: UUID) -> list[tuple[int, int]]:
    return await flow.rows(
        "SELECT position, number FROM outbox WHERE key = :key ORDER BY position", flow.producer, key=key
    )


async def test_state_and_event_are_rolled_back_together(store):
    with pytest.raises(ZeroDivisionError):
        async with store.producer.transaction() as session:
            await store.small.write(session, uuid4())
            raise ZeroDivisionError
    assert await store.rows("SELECT 1 FROM written UNION ALL SELECT 1 FROM outbox", store.producer) == []
    assert await store.rows("SELECT 1 FROM outbox_counter", store.producer) == []


async def test_numbers_of_a_key_follow_the_order_of_commits_without_a_gap(store):
    key = uuid4()
    began = asyncio.Event()

    async def slow() -> None:
        async with store.producer.transaction() as session:
            await store.small.write(session, key)
            began.set()
            await asyncio.sleep(0.3)

    async def failing() -> None:
        with pytest.raises(ZeroDivisionError):
            async with store.producer.transaction() as session:
                await store.small.write(session, key)
                await outbox.flush(session)
                raise ZeroDivisionError

    waiting = asyncio.create_task(slow())
    await began.wait()
    await asyncio.gather(*(store.write(key) for _ in range(5)), failing(), failing())
    await waiting
    assert [number for _, number in await numbers(store, key)] == [1, 2, 3, 4, 5, 6]
    last = await store.rows(
        "SELECT serial FROM written WHERE key = :key ORDER BY serial LIMIT 1", store.producer, key=key
    )
    [(body,)] = await store.rows("SELECT body FROM outbox WHERE key = :key AND number = 6", store.producer, key=key)
    assert str(UUID(int=last[0][0])) in bytes(body).decode()  # begun first, committed last: it has the last number


async def test_what_commits_later_with_a_lower_position_still_goes_out(flow):
    """A transaction that took its row's position first and commits last is not skipped."""
    early, late = uuid4(), uuid4()
    relay, taker = flow.relay(), flow.taker()
    async with running(relay.run, taker.run):
        async with flow.producer.transaction() as session:
            [serial] = await flow.small.write(session, early)
            await outbox.flush(session)  # its position is taken, and not visible yet
            await flow.write(late)
            await flow.arrived(1)
        flow.written[serial] = early
        await flow.arrived(2)
    positions = [await numbers(flow, key) for key in (early, late)]
    assert positions[0][0][0] < positions[1][0][0]
    assert [key for _, key, _ in await flow.effects()] == [late, early]
    await flow.check_exactly_once()


async def test_many_writers_of_few_keys_do_not_block_one_another_for_good(store):
    """Counter rows are locked in sorted order: transactions that name the keys crosswise do not deadlock."""
    keys = [uuid4() for _ in range(4)]
    await asyncio.gather(*(store.write(*(keys if turn % 2 else reversed(keys))) for turn in range(40)))
    for key in keys:
        assert [number for _, number in await numbers(store, key)] == list(range(1, 41))


async def test_order_per_key_is_kept_under_concurrent_writers(flow):
    keys = [uuid4() for _ in range(6)]
    relay, taker = flow.relay(), flow.taker()

    async def writer(turn: int) -> None:
        for step in range(10):
            await flow.write(keys[(turn + step) % 6], keys[(turn * step) % 6])

    async with running(relay.run, taker.run):
        await asyncio.gather(*(writer(turn) for turn in range(6)))
        await flow.arrived(120)
    await flow.check_exactly_once()


async def test_what_is_buffered_while_writing_before_the_commit_leaves_too(store):
    key = uuid4()

    async def also(session) -> None:
        outbox.add(session, store.small.assessed(key, 2), key=key)

    async with store.producer.transaction() as session:
        outbox.add(session, store.small.assessed(key, 1), key=key)
        before_commit(session, also)
    assert [number for _, number in await numbers(store, key)] == [1, 2]


async def test_an_event_that_fits_into_no_message_is_refused_where_it_is_made(store):
    with pytest.raises(EventTooLarge):
        async with store.producer.transaction() as session:
            outbox.add_feed(
                session,
                Department.FIRE,
                "feed.request-offered.v1",
                ref=uuid4(),
                subject=uuid4(),
                projection=b"x" * (EVENT_BYTES + 1),
            )


async def test_entries_without_order_have_no_number_and_no_counter(store, vault):
    from_risk = store.producer
    async with from_risk.transaction() as session:
        outbox.add_dead_letter(session, "x.dead-letter", uuid4(), uuid4(), {"ce_type": "x"}, b"{}")
    assert await store.rows("SELECT number FROM outbox", from_risk) == [(None,)]
    assert (await store.rows("SELECT count(*) FROM outbox_counter", from_risk)) == [(0,)]
    async with from_risk.transaction() as session:
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
