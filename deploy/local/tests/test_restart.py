"""A stack that was stopped, or killed, goes on where it was: its records are there, and new ones go their whole way."""

import asyncio
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorstep.audit.domain.note import SigningKey
from doorstep.local.front_door import Body, FrontDoor, Refused
from doorstep.local.records import demonstration
from doorstep.local.stack import Stack, StackOptions, running_stack
from doorstep.local.story import STATION, verified

WITHIN = 60.0  # seconds
NEEDS = 5


async def hand_in(stack: Stack, seed: int) -> str:
    record = demonstration(seed, now=datetime.now(UTC))
    async with FrontDoor(stack.front_door, lambda: stack.token("collector", station=STATION)) as collector:
        await collector.hand_in(record)
    return record["record_id"]


async def assessed(stack: Stack, record_id: str) -> Body:
    """The record's assessment, as soon as it is there."""
    async with (
        asyncio.timeout(WITHIN),
        FrontDoor(stack.front_door, lambda: stack.token("reviewer", station=STATION)) as reviewer,
    ):
        while True:
            try:
                return await reviewer.read(f"/api/assessments/{record_id}", "triage")
            except Refused as refused:
                if refused.status != 404:
                    raise
            await asyncio.sleep(0.1)


async def log_verifies(stack: Stack) -> bool:
    key = SigningKey.parse(stack.log_key.read_text(encoding="utf-8").strip()).verifier
    async with FrontDoor(stack.front_door) as outsider:
        return (await verified(outsider, key))[1]


async def test_records_outlive_a_stop_and_the_lost_broker_and_new_ones_go_through(tmp_path: Path) -> None:
    options = StackOptions(data=tmp_path, port=0, durable=False)
    async with running_stack(options) as stack:
        first = await hand_in(stack, 1)
        assert len((await assessed(stack, first))["needs"]) == NEEDS
        unseen = await hand_in(stack, 2)  # on its way when the stack stops

    async with running_stack(options) as stack:
        for record_id in (first, unseen, await hand_in(stack, 3)):
            assert len((await assessed(stack, record_id))["needs"]) == NEEDS
        assert await log_verifies(stack)


@pytest.mark.parametrize("victim", ["registry", "postgres"])
async def test_a_killed_process_that_comes_back_finishes_what_was_on_its_way(tmp_path: Path, victim: str) -> None:
    async with running_stack(StackOptions(data=tmp_path, port=0, durable=False)) as stack:
        record_id = await hand_in(stack, 1)
        if victim == "postgres":
            await stack.postgres.kill()  # type: ignore[attr-defined]
            await stack.postgres.start()
        else:
            os.kill(stack.pid(victim), signal.SIGSTOP)  # it has taken nothing since
            await stack.kill(victim)
            await stack.restart(victim)
        assert len((await assessed(stack, record_id))["needs"]) == NEEDS
        assert await log_verifies(stack)
