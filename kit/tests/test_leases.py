"""Leases: one holds, another takes over, whatever the clock does."""

import asyncio

import pytest
from sqlalchemy import text

from doorstep.kit.leases import Lease
from doorstep.kit.testing import eventually


@pytest.fixture
def two(store):
    """The same lease as two instances have it."""
    return [Lease(store.producer, "work") for _ in range(2)]


async def expires(store, seconds: float) -> None:
    async with store.producer.transaction() as session:
        await session.execute(
            text("UPDATE lease SET expires_at = now() + make_interval(secs => :seconds)"), {"seconds": seconds}
        )


async def test_one_holds_it_and_the_other_takes_it_when_it_is_given_back(two):
    first, second = two
    assert [await first.take(), await second.take(), await first.take()] == [True, False, True]
    await second.give_back()  # not its own
    assert not await second.take()
    await first.give_back()
    assert [await second.take(), await first.take()] == [True, False]


async def test_of_many_at_once_one_gets_it(store):
    many = [Lease(store.producer, "work") for _ in range(8)]
    assert sum(await asyncio.gather(*(one.take() for one in many))) == 1


async def test_it_is_over_when_its_time_is(store):
    first, second = (Lease(store.producer, "work", seconds=0.3) for _ in range(2))
    assert await first.take()
    await eventually(second.take)
    assert not await first.take()


@pytest.mark.parametrize(("seconds", "taken"), [(-1, True), (4, False), (3600, True)])
async def test_a_lease_from_before_the_clock_was_put_back_holds_nobody_up(two, store, seconds, taken):
    first, second = two
    assert await first.take()
    await expires(store, seconds)
    assert await second.take() is taken
