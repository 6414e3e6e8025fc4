"""Publishes the outbox: in order, by one instance at a time, again from the start if the broker lost it.

Invariants: what is unpublished goes out, never "later than the last"; one batch of a partition is under way at a time,
so that after a failure nothing later of that partition has left; an acknowledged offset or an end of the log below the
recorded one means loss, emptiness does not: the topic's epoch rises and all that the outbox still holds of it goes out
again before anything new. Events in the broker that the outbox does not know mean that the database is older than the
topic: its counters are moved past them, so that no number is used twice.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy import Row

from doorstep.contracts.envelope import Envelope
from doorstep.contracts.topics import TOPICS
from doorstep.contracts.wire import to_headers
from doorstep.kit import relay_state as state
from doorstep.kit.broker import Broker, partition_of
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.leases import Lease
from doorstep.kit.steps import Step, Steps
from doorstep.kit.telemetry import EPOCHS, OUTBOX_AGE, OUTBOX_DEPTH, PUBLISHED, describe

log = logging.getLogger(__name__)

Encode = Callable[[Any], Awaitable[bytes]]
"""Gives the value that a recipient gets for an outbox row; raises NotDeliverable to hold its partition."""

_ROUND = 500
_BATCH_BYTES = 900_000
_COALESCE = 0.005
_POLL = 1.0
_WATCH = 3.0
_CLEAN = 600.0


class NotDeliverable(Exception):
    """The recipient cannot get this yet; what follows in the partition waits behind it."""


class Withdrawn(Exception):
    """Nothing of this can be delivered any more; it is passed over."""


class Relay:
    """The publisher of one service's outbox."""

    def __init__(
        self, database: Database, broker: Broker, *, encode: Encode | None = None, steps: Steps | None = None
    ) -> None:
        """Publish the outbox in `database` to `broker`; rows for a recipient are encoded by `encode` at delivery."""
        self._database = database
        self._broker = broker
        self._encode = encode
        self._steps = steps or Steps()
        self._lease = Lease(database, "relay")
        self._woken = asyncio.Event()
        self._held_until: dict[TopicPartition, float] = {}
        self._undeliverable: dict[str, float] = {}
        self._due = {"lease": 0.0, "watch": 0.0, "clean": time.monotonic() + _CLEAN}
        self.active = False

    def wake(self, info: dict[Any, Any]) -> None:
        """Look at the outbox soon, if the transaction with this `info` wrote to it."""
        if info.get("outbox_written"):
            self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until `stopping` is set; what is in the outbox by then goes out first."""
        producer: AIOKafkaProducer | None = None
        try:
            while not stopping.is_set():
                try:
                    producer = producer or await self._broker.producer()
                    if not await self._turn(producer):
                        await self._pause(stopping)
                except (KafkaError, *DATABASE_ERRORS) as error:
                    log.warning("relay interrupted", extra={"error": describe(error)})
                    self.active = False
                    if isinstance(error, KafkaError) and producer is not None:
                        await _stop(producer)
                        producer = None
                    await _sleep(stopping, 0.5)
            await self._drain(producer)
        finally:
            if producer is not None:
                await _stop(producer)

    async def _pause(self, stopping: asyncio.Event) -> None:
        waiting = asyncio.ensure_future(self._woken.wait())
        ended = asyncio.ensure_future(stopping.wait())
        await asyncio.wait((waiting, ended), timeout=_POLL, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        ended.cancel()
        if self._woken.is_set():
            await asyncio.sleep(_COALESCE)
            self._woken.clear()

    async def _drain(self, producer: AIOKafkaProducer | None) -> None:
        with suppress(KafkaError, *DATABASE_ERRORS):
            if producer is not None and self.active:
                async with asyncio.timeout(5):
                    while await self._publish(producer):
                        pass
            await self._lease.give_back()

    async def _turn(self, producer: AIOKafkaProducer) -> bool:
        """Do what is due, then publish; whether there is more to do at once."""
        now = time.monotonic()
        if now >= self._due["lease"]:
            held = await self._lease.take()
            self._due["lease"] = now + self._lease.seconds / 3
            if held and not self.active:
                await self._broker.ensure_topics(self._database.service)
                await self._reconcile()
            self.active = held
        if not self.active:
            return False
        if now >= self._due["watch"]:
            await self._watch()
            self._due["watch"] = time.monotonic() + _WATCH
        if now >= self._due["clean"]:
            await state.forget_old(self._database)
            self._due["clean"] = time.monotonic() + _CLEAN
        return await self._publish(producer)

    async def _publish(self, producer: AIOKafkaProducer) -> bool:
        """Send one round; whether another one would find more."""
        now = time.monotonic()
        held = [topic for topic, until in self._undeliverable.items() if until > now]
        rows = await state.unpublished(self._database, _ROUND, held)
        if not rows:
            return False
        self._steps.passed(Step.RELAY_SELECTED)
        epochs = await state.epochs(self._database)
        partitions: dict[TopicPartition, list[Row[Any]]] = defaultdict(list)
        for row in rows:
            partitions[TopicPartition(row.topic, await self._partition(producer, row.topic, row.key))].append(row)
        sent = await asyncio.gather(
            *(
                self._send(producer, place, some, epochs.get(place.topic, 1))
                for place, some in partitions.items()
                if self._held_until.get(place, 0.0) <= now
            )
        )
        return 0 < sum(sent) < len(rows) or (len(rows) == _ROUND and sum(sent) > 0)

    async def _partition(self, producer: AIOKafkaProducer, topic: str, key: UUID) -> int:
        return partition_of(key, len(await producer.partitions_for(topic)))

    async def _send(self, producer: AIOKafkaProducer, place: TopicPartition, rows: list[Row[Any]], epoch: int) -> int:
        """Send as many of `rows` as fit into one batch; how many were settled."""
        batch = producer.create_batch()
        size = 0
        packed: list[int] = []
        passed_over: list[int] = []
        for row in rows:
            try:
                value = await self._value(row)
            except NotDeliverable:
                self._undeliverable[place.topic] = time.monotonic() + _POLL
                break
            except Withdrawn:
                passed_over.append(row.position)
                continue
            size += len(value) + 1000
            if packed and size > _BATCH_BYTES:
                break
            headers = list(row.headers.items()) if row.headers else to_headers(_envelope(row, epoch))
            coded = [(name, text if isinstance(text, bytes) else text.encode()) for name, text in headers]
            batch.append(key=str(row.key).encode(), value=value, timestamp=None, headers=coded)
            packed.append(row.position)
        base = 0
        if packed:
            try:
                acknowledged = await producer.send_batch(batch, place.topic, partition=place.partition)
                self._steps.passed(Step.RELAY_SENT)
                base = (await acknowledged).offset
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("partition held", extra={"topic": place.topic, "error": describe(error)})
                self._held_until[place] = time.monotonic() + 0.5
                return 0
            self._steps.passed(Step.RELAY_ACKNOWLEDGED)
        return await self._settle(place, base, packed, passed_over)

    async def _settle(self, place: TopicPartition, base: int, packed: list[int], passed_over: list[int]) -> int:
        settled = packed + passed_over
        if not settled:
            return 0
        if not await state.mark(self._database, place, base, len(packed), settled):
            await self._raise_epoch(place.topic)
            return len(settled)
        self._steps.passed(Step.RELAY_MARKED)
        PUBLISHED.labels(self._database.service, place.topic).inc(len(packed))
        return len(settled)

    async def _value(self, row: Row[Any]) -> bytes:
        if row.recipient is None:
            return bytes(row.body)
        if self._encode is None:
            raise NotDeliverable(row.recipient)
        return await self._encode(row)

    async def _watch(self) -> None:
        """Compare the ends of all partitions with what was acknowledged, and tell the outbox's depth and age."""
        depth, age = await state.depth(self._database)
        OUTBOX_DEPTH.labels(self._database.service).set(depth)
        OUTBOX_AGE.labels(self._database.service).set(age)
        known = await state.acknowledged(self._database)
        if not known:
            return
        ends = await self._broker.ends(list(known))
        for topic in sorted({place.topic for place, (base, _) in known.items() if ends.get(place, 0) < base}):
            await self._raise_epoch(topic)

    async def _raise_epoch(self, topic: str) -> None:
        await self._broker.ensure_topics(self._database.service)
        epoch, again = await state.raise_epoch(self._database, topic)
        self._steps.passed(Step.RELAY_EPOCH_RAISED)
        EPOCHS.labels(self._database.service, topic).inc()
        log.warning("broker lost a topic", extra={"topic": topic, "epoch": epoch, "published_again": again})

    async def _reconcile(self) -> None:
        """Look at what lies in the broker behind the last acknowledged offset: sent but not marked, or not ours."""
        known = await state.acknowledged(self._database)
        async for place, messages in self._broker.tails({place: last + 1 for place, (_, last) in known.items()}):
            unknown = await state.adopt(self._database, place, messages)
            if unknown:
                log.error("database is older than its topic", extra={"topic": place.topic, "unknown_events": unknown})


def _envelope(row: Row[Any], epoch: int) -> Envelope:
    return Envelope.model_construct(
        id=row.id,
        source=f"doorstep/{TOPICS[row.topic].producer}",
        type=row.type,
        time=row.time,
        key=row.key,
        subject=row.subject,
        number=row.number,
        epoch=epoch,
        traceparent=row.traceparent,
        content_type=row.content_type,
    )


async def _stop(producer: AIOKafkaProducer) -> None:
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(5):
            await producer.stop()


async def _sleep(stopping: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
