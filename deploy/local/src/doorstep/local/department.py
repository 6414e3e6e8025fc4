"""A department's own system, as a process of its own: takes its feed, decrypts it, and works its requests off.

It knows the front door, the broker, a token and its private key, and nothing else of the station. It reads one line of
JSON from standard input (`Orders`) and writes one a thing that happened to standard output.
"""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from joserfc.jwk import OKPKey
from pydantic import BaseModel

from doorstep.contracts.access import department_user
from doorstep.contracts.codes import Department, Outcome
from doorstep.contracts.feeds import RequestOffered
from doorstep.contracts.topics import feed_topic
from doorstep.contracts.wire import MalformedEvent, from_message
from doorstep.kit.broker import Broker
from doorstep.kit.delivery import NotForUs, new_private_key, open_with
from doorstep.kit.wakeups import NoBell
from doorstep.local.broker import security
from doorstep.local.front_door import FrontDoor, Refused, fresh_id

OUTCOMES: dict[Department, Outcome] = {
    Department.CIVIL_AFFAIRS: Outcome.GRANTED,
    Department.HEALTH: Outcome.SERVICE_PROVIDED,
    Department.JUSTICE: Outcome.ADVICE_GIVEN,
    Department.FIRE: Outcome.HAZARD_REMOVED,
    Department.LABOUR: Outcome.SERVICE_PROVIDED,
    Department.HOUSING: Outcome.SERVICE_PROVIDED,
}


_MOST = 200


class Orders(BaseModel):
    """What the department is told; `works` says whether it answers its requests or only takes them.

    `bells` is the folder in which it is rung where the broker does not end a fetch when messages come; fetches are then
    `fetch_wait_ms` apart, and wait so long otherwise. `kafka_secrets` is the folder with its password, if it signs in.
    """

    department: Department
    front_door: str
    kafka: str
    token: str
    fetch_wait_ms: int = 500
    bells: Path | None = None
    kafka_secrets: Path | None = None
    works: bool = True


def _tell(happened: str, **what: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps({"happened": happened, **what}) + b"\n")
    sys.stdout.flush()


async def messages(consumer: AIOKafkaConsumer, bell: NoBell) -> AsyncIterator[ConsumerRecord[Any, Any]]:
    """The messages of the feed as they come, without end."""
    while True:
        for some in (await bell.fetch(consumer, _MOST)).values():
            for message in some:
                yield message


async def offers(consumer: AIOKafkaConsumer, bell: NoBell, key: OKPKey) -> AsyncIterator[RequestOffered]:
    """The requests of the feed, decrypted, as they come; told of with the time at which they could be read."""
    async for message in messages(consumer, bell):
        try:
            envelope, value = from_message(message.headers, message.key, message.value)
            data = open_with({str(key.kid): key}, value)
        except (MalformedEvent, NotForUs) as error:
            _tell("unreadable", error=type(error).__name__)
            continue
        if envelope.type == RequestOffered.event_type:
            offered = RequestOffered.model_validate_json(data)
            _tell("offered", ref=str(offered.offer.ref), need=offered.offer.need_type, at=time.time())
            yield offered


async def work_off(door: FrontDoor, department: Department, offered: RequestOffered) -> None:
    """Accept a request, work on it and complete it with an outcome, as an officer would."""
    ref = str(offered.offer.ref)
    with suppress(Refused):
        _, etag = await door.look_up(department, ref)
        etag = await door.move(department, ref, etag, "accepted")
        etag = await door.move(department, ref, etag, "in-progress")
        await door.move(department, ref, etag, "completed", outcome=OUTCOMES[department])
        _tell("completed", ref=ref, at=time.time())


async def run(orders: Orders) -> None:
    """Publish a key, then take and work off requests until the process is ended."""
    key = new_private_key(f"{orders.department}-{fresh_id()}")
    signed_in = security(orders.kafka, orders.kafka_secrets, department_user(orders.department))
    broker = Broker(orders.kafka, bells=orders.bells, fetch_wait_ms=orders.fetch_wait_ms, **signed_in)
    consumer, bell = broker.consumer(), broker.bell(feed_topic(orders.department), ending=asyncio.Event())
    async with FrontDoor(orders.front_door, lambda: orders.token) as door:
        await consumer.start()
        try:
            consumer.assign([TopicPartition(feed_topic(orders.department), 0)])
            await door.publish_key(orders.department, key.as_dict(private=False))
            _tell("ready")
            working: set[asyncio.Task[None]] = set()
            async for offered in offers(consumer, bell, key):
                if orders.works:
                    task = asyncio.create_task(work_off(door, orders.department, offered))
                    working.add(task)
                    task.add_done_callback(working.discard)
        finally:
            await consumer.stop()
            bell.close()


def main() -> None:
    """Wait for the orders, then run."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    line = sys.stdin.buffer.readline()
    if line.strip():
        with suppress(KeyboardInterrupt):
            uvloop.run(run(Orders.model_validate_json(line)))


if __name__ == "__main__":
    main()
