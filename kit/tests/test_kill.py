"""kill -9 at every named step of relay and consumer, in an order that a seed gives: every effect once, in order."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doorstep.kit.steps import Step, die_at
from doorstep.kit.testing import arriving
from doorstep.local.broker import EmbeddedBroker

SEED = int(os.environ.get("DOORSTEP_SEED", "20"))
SMALL_SERVICE = Path(__file__).with_name("small_service.py")
RELAY_STEPS = [step for step in Step if step.startswith("relay.")]
CONSUMER_STEPS = [step for step in Step if step.startswith("consumer.")]


class Victim:
    """A process of one role that is started again, with the next step to die at, whenever it died."""

    def __init__(self, role: str, database, broker: EmbeddedBroker, folder: Path, chance: random.Random) -> None:
        self.role = role
        self.died_at: list[Step] = []
        self._database = database
        self._broker = broker
        self._log = folder / f"{role}.log"
        self._chance = chance
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, step: Step | None) -> asyncio.subprocess.Process:
        """Run the role until it dies at `step`, or without end."""
        environment = {
            **os.environ,
            "DOORSTEP_DATABASE_URL": self._database.engine.url.render_as_string(hide_password=False),
            "DOORSTEP_KAFKA": self._broker.address,
            "DOORSTEP_KAFKA_BELLS": str(self._broker.bells),
            "SEED": str(self._chance.randrange(1 << 30)),
        }
        if step is not None:
            environment["DOORSTEP_KILL_AT"] = f"{step}:{self._chance.randint(1, 2)}"
        with self._log.open("ab") as log:
            command = [sys.executable, str(SMALL_SERVICE), self.role]
            self.process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
        return self.process

    async def die_at_all(self, steps: list[Step], provoke=None) -> None:
        """Die once at each of `steps`, then run on."""
        for step in steps:
            process = await self.start(step)
            if provoke is not None:
                await provoke(step, process)
            try:
                status = await asyncio.wait_for(process.wait(), 150)
            except TimeoutError:
                process.send_signal(signal.SIGUSR1)
                await asyncio.sleep(1)
                pytest.fail(f"{self.role} never came to {step}, after {self.died_at}: {self.last_words()}")
            assert status == -signal.SIGKILL, f"{self.role} at {step}: ended with {status}: {self.last_words()}"
            self.died_at.append(step)
        await self.start(None)

    def last_words(self) -> str:
        """The end of what it logged."""
        return self._log.read_text()[-4000:]

    async def stop(self) -> int:
        """Ask it to end; its exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            return await self.process.wait()


@pytest.fixture
def chance() -> Iterator[random.Random]:
    made = random.Random(SEED)
    yield made


async def test_killed_at_every_step_in_turn_every_event_has_its_effect_once_and_in_order(
    flow, restart, embedded_broker, tmp_path, chance
):
    relay_steps, consumer_steps = [list(steps) for steps in (RELAY_STEPS, CONSUMER_STEPS)]
    chance.shuffle(relay_steps)
    chance.shuffle(consumer_steps)
    producer = Victim("producer", flow.producer, embedded_broker, tmp_path, chance)
    consumer = Victim("consumer", flow.consumer, embedded_broker, tmp_path, chance)

    async def empty_the_broker(step: Step, process: asyncio.subprocess.Process) -> None:
        while step is Step.RELAY_EPOCH_RAISED and process.returncode is None:
            await asyncio.sleep(3)
            await restart()
            await asyncio.sleep(5)

    try:
        await asyncio.gather(producer.die_at_all(relay_steps, empty_the_broker), consumer.die_at_all(consumer_steps))
        assert {*producer.died_at, *consumer.died_at} == {*RELAY_STEPS, *CONSUMER_STEPS}  # none is out of reach
        assert await producer.stop() == 0
        await settled(flow)
        assert await consumer.stop() == 0
    finally:
        await producer.stop()
        await consumer.stop()
    await check(flow)


async def settled(flow) -> None:
    """Wait until every event that was written has an effect or is a dead letter."""

    async def missing() -> int:
        written = await flow.rows("SELECT count(*) FROM written", flow.producer)
        effects = await flow.rows("SELECT count(*) FROM effect", flow.consumer)
        dead = await flow.rows("SELECT count(*) FROM dead_letter", flow.consumer)
        return int(written[0][0] - effects[0][0] - dead[0][0])

    try:
        await arriving(missing)
    except AssertionError as late:
        raise AssertionError(await state(flow)) from late


async def state(flow) -> dict[str, list]:
    """What there is to say of a flow that does not come to its end."""
    asked = {
        "written": ("SELECT count(*) FROM written", flow.producer),
        "outbox": ("SELECT count(*), count(published_at) FROM outbox", flow.producer),
        "acknowledged": (
            "SELECT partition, base, acknowledged FROM relay_partition WHERE topic LIKE 'risk%'",
            flow.producer,
        ),
        "epoch": ("SELECT epoch FROM relay_topic", flow.producer),
        "effects": ("SELECT count(*) FROM effect", flow.consumer),
        "dead": ("SELECT count(*) FROM dead_letter", flow.consumer),
        "parked": ("SELECT key, number, reason, next_attempt_at FROM parked LIMIT 9", flow.consumer),
        "positions": ("SELECT partition, epoch, next_offset FROM inbox_position", flow.consumer),
    }
    return {name: await flow.rows(*one) for name, one in asked.items()}


async def check(flow) -> None:
    written = [serial for (serial,) in await flow.rows("SELECT serial FROM written", flow.producer)]
    poisonous = {serial for serial in written if serial % flow.small.POISONOUS == 0}
    effects = await flow.effects()
    assert sorted(serial for serial, _, _ in effects) == sorted(set(written) - poisonous)
    assert await flow.rows("SELECT count(*) FROM dead_letter", flow.consumer) == [(len(poisonous),)]
    for key in flow.small.KEYS:
        numbers = [number for _, one, number in effects if one == key]
        assert numbers == sorted(numbers)
    assert await flow.rows("SELECT count(*) FROM parked", flow.consumer) == [(0,)]


async def test_sigterm_finishes_the_batch_at_hand_and_publishes_the_outbox(flow, embedded_broker, tmp_path, chance):
    """Told to end while there is much to do, both end with status 0, and neither leaves half of anything."""
    producer = Victim("producer", flow.producer, embedded_broker, tmp_path, chance)
    consumer = Victim("consumer", flow.consumer, embedded_broker, tmp_path, chance)
    await producer.start(None)
    await consumer.start(None)
    await flow.arrived(200, within=60)
    assert await producer.stop() == 0
    assert await flow.rows("SELECT count(*) FROM outbox WHERE published_at IS NULL", flow.producer) == [(0,)]
    assert await consumer.stop() == 0
    assert await flow.rows("SELECT count(*) FROM lease", flow.producer) == [(0,)]
    numbers = await flow.rows("SELECT key, last FROM inbox_key", flow.consumer)
    for key, last in numbers:  # no effect without its number, no number without its effect
        query = "SELECT count(*) FROM effect WHERE key = :key AND number <= :last"
        [(effects,)] = await flow.rows(query, flow.consumer, key=key, last=last)
        query = "SELECT count(*) FROM dead_letter WHERE key = :key"
        [(dead,)] = await flow.rows(query, flow.consumer, key=str(key))
        assert effects + dead == last


def test_a_step_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="forgotten"):
        die_at("relay.forgotten:1")
