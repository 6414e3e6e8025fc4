"""Consumers are rung where the broker does not end a fetch when messages come; who is not rung looks by itself."""

import shutil
from uuid import uuid4

import pytest

from doorstep.kit import wakeups
from doorstep.kit.testing import running


@pytest.fixture
def only_rung(monkeypatch) -> None:
    """No consumer looks by itself, and what it is rung for is there."""
    monkeypatch.setattr(wakeups, "_ANSWERS_WITHIN_MS", 1000)
    monkeypatch.setattr(wakeups, "_SOONEST_LOOK", 3600.0)
    monkeypatch.setattr(wakeups, "_LATEST_LOOK", 3600.0)


async def test_the_bell_alone_brings_messages_to_every_consumer_of_the_group(flow, only_rung):
    one, two = flow.taker(), flow.taker()
    async with running(flow.relay().run, one.run, two.run):
        await flow.write(uuid4())
        await one.assigned.wait()
        await two.assigned.wait()
        for count in (1, 2, 3):
            await flow.write(*(uuid4() for _ in range(12)))  # in all partitions
            await flow.arrived(12 * count + 1)
    await flow.check_exactly_once()


async def test_more_than_one_fetch_brings_comes_without_another_ring(flow, only_rung):
    async with running(flow.relay().run):
        await flow.write(*(uuid4() for _ in range(450)))
        await flow.published()
        async with running(flow.taker().run):
            await flow.arrived(450)
    await flow.check_exactly_once()


async def test_who_does_not_hear_the_bell_looks_by_itself(flow, monkeypatch):
    monkeypatch.setattr(wakeups.Ringer, "ring", lambda self, groups: None)
    async with running(flow.relay().run, flow.taker().run):
        for count in (1, 2):
            await flow.write(uuid4())
            await flow.arrived(count)
    await flow.check_exactly_once()


async def test_bells_that_nobody_answers_and_folders_that_are_gone_stop_nobody(flow, embedded_broker):
    taker = flow.taker()
    async with running(flow.relay().run):
        async with running(taker.run):
            await flow.write(uuid4())
            await flow.arrived(1)
        assert list(embedded_broker.bells.iterdir()) == []
        (embedded_broker.bells / "referral~dead").touch()
        await flow.write(uuid4())
        await flow.published()
        shutil.rmtree(embedded_broker.bells)
        await flow.write(uuid4())
        await flow.published()
        async with running(taker.run):
            await flow.arrived(3)
    await flow.check_exactly_once()
