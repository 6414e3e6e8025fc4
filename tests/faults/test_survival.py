"""Whatever dies while records come in: each reaches its department once, nothing is lost, and the log verifies."""

import asyncio
from pathlib import Path

import pytest

from doorstep.contracts.topics import SERVICES
from doorstep.local.broker import EmbeddedBroker
from doorstep.local.postgres import EmbeddedPostgres
from doorstep.local.stack import StackOptions, running_stack


async def test_every_service_may_be_killed_while_records_come_in(kafka: str | None, new_station) -> None:
    async with running_stack(StackOptions(kafka=kafka, port=0, durable=False)) as stack:
        station = new_station(stack)
        incoming = asyncio.create_task(station.hand_in(60, pause=0.1))
        for service in SERVICES:
            await stack.kill(service)
            await stack.restart(service)
        await incoming
        await station.assert_all_is_well()


async def test_the_engines_may_be_killed_while_records_come_in(kafka: str | None, new_station) -> None:
    async with running_stack(StackOptions(kafka=kafka, port=0)) as stack:
        station = new_station(stack)
        incoming = asyncio.create_task(station.hand_in(60, pause=0.1))
        await asyncio.sleep(2)
        assert isinstance(stack.postgres, EmbeddedPostgres)
        await stack.postgres.kill()
        await asyncio.sleep(1)
        await stack.postgres.start()
        if isinstance(stack.broker, EmbeddedBroker):
            for _ in range(2):
                await asyncio.sleep(1)
                await stack.broker.kill()
                await stack.broker.start()
        await incoming
        await station.assert_all_is_well()


async def test_two_of_every_service_share_the_work_and_one_may_die(kafka: str | None, new_station) -> None:
    instances = dict.fromkeys(SERVICES, 2)
    async with running_stack(StackOptions(kafka=kafka, port=0, durable=False, instances=instances)) as stack:
        station = new_station(stack)
        incoming = asyncio.create_task(station.hand_in(40, pause=0.1))
        for service in ("registry", "risk", "referral", "audit"):
            await stack.kill(f"{service}-2")
        await incoming
        await station.assert_all_is_well()


@pytest.mark.parametrize("ending", ["drained", "killed"])
async def test_a_second_start_finds_its_data(ending: str, engine_folder: Path, new_station) -> None:
    options = StackOptions(data=engine_folder / ending, port=0)
    async with running_stack(options) as stack:
        first = new_station(stack)
        await first.hand_in(10)
        if ending == "drained":
            await first.assert_all_is_well()
        else:
            for service in SERVICES:
                await stack.kill(service)
    async with running_stack(options) as stack:
        again = new_station(stack, taken=first.taken)
        await again.hand_in(5)
        await again.assert_all_is_well()
