"""The client of whole lifecycles, a process of its own: the collector, four departments' systems and the residents.

A lifecycle is four calls: a collector hands in a record of one person who wishes for one service; the department that
owes it accepts the request; completes it with an outcome; the resident, by the follow code of the receipt, rates it.
Between the first and the second the record passes intake, registry, triage and referral by events; nobody asks again
and again whether it arrived: the department's own topic says so. Nobody outside may know which record a department's
request came of, nor its number on the resident's page before that is asked for, so both are read from the table,
in one statement for all that arrived together.

It reads one line of JSON from standard input (`Orders`), then one a run (`Run`); it tells by lines on standard output
"ready", "begun" with the time of the monotonic clock, "going" and "over" with every lifecycle.
"""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import BaseModel

from bench.drawn import wishing
from bench.profile import Life, Step, arrivals
from bench.wire import Answered, NoAnswer, Wire, request
from doorstep.contracts.codes import Department
from doorstep.contracts.topics import feed_topic
from doorstep.kit.broker import Broker
from doorstep.kit.delivery import new_private_key
from doorstep.kit.wakeups import NoBell
from doorstep.local.department import OUTCOMES
from doorstep.local.front_door import FrontDoor, fresh_id

_FIND = """
    SELECT t.ref, r.record_id, r.follow_ref FROM task t JOIN request r USING (request_id) WHERE t.ref = ANY($1::uuid[])
"""
_CLOSED = """
    SELECT count(*) FROM request r JOIN task t USING (request_id) JOIN rating USING (request_id)
    WHERE r.record_id = ANY($1::uuid[]) AND t.state = 'completed'
"""
_MOST = 500
_TELLS = 0.5
_KEYS_ARE_KNOWN = 1.5  # seconds until a feed is encrypted for a new key


class Orders(BaseModel):
    """Where everything is, and the tokens of those who call: `database` is referral's.

    Fetches are `fetch_wait_ms` apart where the broker needs `bells`.
    """

    front_door: str
    kafka: str
    database: str
    collector: str
    officers: dict[Department, str]
    bells: Path | None = None
    fetch_wait_ms: int = 20
    connections: int = 48


class Run(BaseModel):
    """What is due: lifecycles a second and for how long, step by step.

    Those that are not over `drain` seconds after the last step have failed.
    """

    steps: list[tuple[float, float]]
    drain: float = 60.0


class One:
    """One lifecycle with its bytes made beforehand."""

    def __init__(self, due: float, department: Department, orders: Orders) -> None:
        """Due so many seconds after the beginning, for a service of `department`."""
        body = wishing((department,))
        self.life = Life(due)
        self.record_id = UUID(body["record_id"])
        self.department = department
        self.record = request("POST", "/api/records", orjson.dumps(body), _bearer(orders.collector))
        self.officer = orders.officers[department]
        self.arrived: asyncio.Future[tuple[UUID, UUID]] = asyncio.get_running_loop().create_future()
        self._ids = [str(fresh_id()) for _ in range(3)]

    def accept(self, ref: UUID) -> bytes:
        """The department's first step, on the version in which it was opened."""
        return self._step(ref, '"1"', {"id": self._ids[0], "to": "accepted"})

    def complete(self, ref: UUID) -> bytes:
        """Its last, on the version that it made itself."""
        said = {"id": self._ids[1], "to": "completed", "outcome": OUTCOMES[self.department]}
        return self._step(ref, '"2"', said)

    def rate(self, code: str, number: UUID) -> bytes:
        """The resident's word; no token, the code is the secret."""
        said = {"id": self._ids[2], "ref": str(number), "solved": True, "stars": 5}
        return request("POST", f"/api/follow/{code}/ratings", orjson.dumps(said))

    def _step(self, ref: UUID, etag: str, said: dict[str, Any]) -> bytes:
        path = f"/api/departments/{self.department}/requests/{ref}/transitions"
        return request("POST", path, orjson.dumps(said), _bearer(self.officer) | {"If-Match": etag})


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Client:
    """Everybody who takes part in lifecycles."""

    def __init__(self, orders: Orders) -> None:
        """Nothing is connected yet."""
        self._orders = orders
        self._wire = Wire(orders.front_door, most=orders.connections)
        self._under_way: dict[UUID, One] = {}
        self._came: list[tuple[UUID, float]] = []
        self._some = asyncio.Event()
        self._began = 0.0
        self._ended = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Publish the departments' keys and listen to their topics, until the end of the block.

        Where listening fails, so does the block.
        """
        broker = Broker(self._orders.kafka, bells=self._orders.bells, fetch_wait_ms=self._orders.fetch_wait_ms)
        database = await asyncpg.connect(self._orders.database)
        async with contextlib.AsyncExitStack() as closing, asyncio.TaskGroup() as group:
            closing.push_async_callback(database.close)
            closing.callback(self._wire.close)
            tasks = [group.create_task(self._find(database))]
            for department, token in self._orders.officers.items():
                consumer, bell = broker.consumer(), broker.bell(feed_topic(department), ending=asyncio.Event())
                await consumer.start()
                closing.push_async_callback(consumer.stop)
                closing.callback(bell.close)
                place = TopicPartition(feed_topic(department), 0)
                consumer.assign([place])
                await consumer.seek_to_end(place)
                tasks.append(group.create_task(self._listen(consumer, bell)))
                await self._publish_key(department, token)
            await asyncio.sleep(_KEYS_ARE_KNOWN)
            yield
            for task in tasks:
                task.cancel()

    async def _publish_key(self, department: Department, token: str) -> None:
        """Have the department's feed encrypted for a key, without which it waits."""
        key = new_private_key(f"{department}-{fresh_id()}")
        async with FrontDoor(self._orders.front_door, lambda: token) as door:
            await door.publish_key(department, key.as_dict(private=False))

    async def _listen(self, consumer: AIOKafkaConsumer, bell: NoBell) -> None:
        """Note which requests came; what they say is not opened: the key of a message is the department's reference."""
        while True:
            for messages in (await bell.fetch(consumer, _MOST)).values():
                now = time.monotonic()
                self._came += [(UUID(one.key.decode()), now) for one in messages]
            if self._came:
                self._some.set()

    async def _find(self, database: asyncpg.Connection) -> None:
        """Tell lifecycles that their request came, and under which references it is known."""
        while True:
            await self._some.wait()
            self._some.clear()
            came, self._came = dict(self._came), []
            for ref, record_id, number in await database.fetch(_FIND, list(came)):
                one = self._under_way.get(record_id)
                if one is not None and not one.arrived.done():
                    one.life.offered = came[ref] - self._began
                    one.arrived.set_result((ref, number))

    async def run(self, run: Run) -> list[Life]:
        """Begin each lifecycle when it is due, and wait for all, but no longer than was said."""
        steps = [Step(*one) for one in run.steps]
        turns = cycle(self._orders.officers)
        ready = [One(due, next(turns), self._orders) for due in arrivals(steps)]
        self._under_way = {one.record_id: one for one in ready}
        self._began, self._ended = time.monotonic() + 0.2, 0
        _tell("begun", at=self._began)
        ends = self._began + sum(step.seconds for step in steps)
        telling = asyncio.create_task(self._tell_often(len(ready)))
        tasks = await self._begin(ready)
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, ends - time.monotonic()) + run.drain)
        await asyncio.sleep(max(0.0, ends - time.monotonic()))
        for task in (telling, *tasks):
            task.cancel()
        await asyncio.gather(telling, *tasks, return_exceptions=True)
        return [_given_up(one.life, run.drain) for one in ready]

    async def _begin(self, ready: Sequence[One]) -> list["asyncio.Task[None]"]:
        """Begin the lifecycles by the clock alone, however many are not over yet."""
        tasks = []
        for one in ready:
            wait = self._began + one.life.due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self._live(one)))
        return tasks

    async def _tell_often(self, due: int) -> None:
        while True:
            await asyncio.sleep(_TELLS)
            _tell("going", ended=self._ended, due=due)

    async def _live(self, one: One) -> None:
        """The four calls; what goes wrong is the end of this lifecycle and told with it."""
        try:
            taken = orjson.loads(await self._call(one.life, one.record))
            code = taken["receipts"][0]["follow_code"]
            ref, number = await one.arrived
            await self._call(one.life, one.accept(ref))
            await self._call(one.life, one.complete(ref))
            await self._call(one.life, one.rate(code, number))
        except (Answered, NoAnswer, LookupError, orjson.JSONDecodeError) as error:
            one.life.failed = f"{type(error).__name__}: {error}"
        one.life.over = time.monotonic() - self._began
        self._ended += 1

    async def _call(self, life: Life, sent: bytes) -> bytes:
        life.asked.append(time.monotonic() - self._began)
        answer = await self._wire.ask(sent)
        life.answered.append(time.monotonic() - self._began)
        return answer.body

    async def closed(self) -> int:
        """How many requests of the last run are completed and rated, as the site has it in its table."""
        database = await asyncpg.connect(self._orders.database)
        try:
            return int(await database.fetchval(_CLOSED, list(self._under_way)))
        finally:
            await database.close()

    @property
    def troubles(self) -> dict[str, int]:
        """How often the site was busy, and how often a connection ended before the answer: both were sent again."""
        return {"busy": self._wire.busy, "broken": self._wire.broken}


def _given_up(life: Life, drain: float) -> Life:
    if life.over is None and life.failed is None:
        where = f"after {len(life.answered)} calls" if life.answered else "before the first answer"
        life.failed = f"not over {drain:.0f} s after the end: {where}"
    return life


def _tell(happened: str, **what: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps({"happened": happened, **what}) + b"\n")
    sys.stdout.flush()


async def _lines() -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while line := (await reader.readline()).strip():
        yield line


async def serve() -> None:
    """Take orders, then runs, until standard input ends."""
    lines = _lines()
    client = Client(Orders.model_validate_json(await anext(lines)))
    async with client.listening():
        _tell("ready")
        async for line in lines:
            lives = await client.run(Run.model_validate_json(line))
            _tell("over", lives=[asdict(one) for one in lives], closed=await client.closed(), **client.troubles)


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve())
