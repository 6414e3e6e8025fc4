"""Publishes the outbox: in order, by one instance at a time, again from the start if the broker lost it.

Invariants: what is unpublished goes out, never "later than the last"; one batch of a partition is under way at a time,
so that after a failure nothing later of that partition has left; an acknowledged offset or an end of the log below the
recorded one means loss, emptiness does not: the topic's epoch rises and all that the outbox still holds of it goes out
again before anything new, as when a batch comes to lie across another; only the holder of the lease may conclude so.
Events in the broker that the outbox does not know mean that the database is older than the topic: its counters are
moved past them, so that no number is used twice.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from doorstep.contracts.envelope import Envelope
from doorstep.contracts.topics import TOPICS, produced_by
from doorstep.contracts.wire import to_headers
from doorstep.kit import relay_state as state
from doorstep.kit.broker import Broker, broken_off, partition_of, stop
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.leases import Lease, LeaseLost
from doorstep.kit.manifest import Manifests
from doorstep.kit.relay_state import Unpublished
from doorstep.kit.steps import Step, Steps
from doorstep.kit.telemetry import EPOCHS, OUTBOX_AGE, OUTBOX_DEPTH, PUBLISHED, describe, places
from doorstep.kit.wakeups import Announcer, Listener, sleep_unless

log = logging.getLogger(__name__)

Encode = Callable[[Any], Awaitable[bytes]]
"""Gives the value that a recipient gets for an outbox row; raises NotDeliverable to hold its partition."""

_ROUND = 500
_COALESCE = 0.005
_LONGEST_REST = 0.05
_POLL = 1.0
_WATCH = 3.0
_CLEAN = 600.0
_DRAIN = 5.0
_INTERRUPTIONS = (KafkaError, LeaseLost, TimeoutError, *DATABASE_ERRORS)


class NotDeliverable(Exception):
    """The recipient cannot get this yet; what follows in the partition waits behind it."""


class Withdrawn(Exception):
    """Nothing of this can be delivered any more; it is passed over."""


class Relay:
    """The publisher of one service's outbox."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        *,
        encode: Encode | None = None,
        steps: Steps | None = None,
        lease_seconds: float = 5.0,
        manifests: Manifests | None = None,
    ) -> None:
        """Publish the outbox in `database` to `broker`; rows for a recipient are encoded by `encode` at delivery.

        Another instance takes over `lease_seconds` after this one fell silent. `manifests` are published while this
        one is active, for then it has seen what lies in the topics.
        """
        self._database = database
        self._broker = broker
        self._encode = encode
        self._steps = steps or Steps()
        self._manifests = manifests
        self._lease = Lease(database, "relay", seconds=lease_seconds)
        self._woken = asyncio.Event()
        self._announcer = Announcer(database)
        self._listener = Listener(database, self._woken.set)
        self._epochs: dict[str, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._written: dict[TopicPartition, tuple[int, int]] = {}
        self._across: set[TopicPartition] = set()
        self._held_until: dict[TopicPartition, float] = {}
        self._undeliverable: dict[str, float] = {}
        self._due = {"lease": 0.0, "watch": 0.0, "clean": time.monotonic() + _CLEAN}
        self._took = 0.0
        self.active = False

    def wake(self, info: dict[Any, Any]) -> None:
        """Have the outbox looked at soon, here or where the active relay is, if the transaction with this `info`
        wrote to it."""
        if not info.get("outbox_written"):
            return
        if self.active:
            self._woken.set()
        else:
            self._announcer.announce(info)

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until `stopping` is set; what is in the outbox by then goes out first."""
        producer: AIOKafkaProducer | None = None
        try:
            while not stopping.is_set():
                try:
                    with broken_off():
                        producer = producer or await self._broker.producer()
                        if not await self._turn(producer):
                            await self._pause(stopping)
                except _INTERRUPTIONS as error:
                    log.warning("relay interrupted", extra={"error": describe(error)})
                    self.active = False
                    if isinstance(error, KafkaError) and producer is not None:
                        await stop(producer)
                        producer = None
                    await sleep_unless(stopping, 0.5)
            await self._drain(producer)
        finally:
            self.active = False
            await self._announcer.close()
            await self._listener.close()
            if producer is not None:
                await stop(producer)

    async def _pause(self, stopping: asyncio.Event) -> None:
        waiting = asyncio.ensure_future(self._woken.wait())
        ended = asyncio.ensure_future(stopping.wait())
        await asyncio.wait((waiting, ended), timeout=_POLL, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        ended.cancel()
        if self._woken.is_set():
            await asyncio.sleep(min(max(_COALESCE, self._took), _LONGEST_REST))  # under load rounds grow larger
            self._woken.clear()

    async def _drain(self, producer: AIOKafkaProducer | None) -> None:
        if producer is not None and self.active:
            with suppress(*_INTERRUPTIONS), broken_off():
                async with asyncio.timeout(_DRAIN):
                    while await self._publish(producer):
                        pass
        with suppress(*DATABASE_ERRORS):
            await self._lease.give_back()

    async def _turn(self, producer: AIOKafkaProducer) -> bool:
        """Do what is due, then publish; whether there is more to do at once."""
        now = time.monotonic()
        if now >= self._due["lease"]:
            held = await self._lease.take()
            self._due["lease"] = now + self._lease.seconds / 3
            if held:
                await self._listener.ensure()
            if held and not self.active:
                await self._broker.ensure_topics(self._database.service)
                await self._reconcile(producer)
            self.active = held
        if not self.active:
            return False
        if now >= self._due["watch"]:
            await self._watch()
            self._due["watch"] = time.monotonic() + _WATCH
        if now >= self._due["clean"]:
            await state.forget_old(self._database)
            self._due["clean"] = time.monotonic() + _CLEAN
        if self._manifests is not None:
            await self._manifests.turn()
        began = time.monotonic()
        more = await self._publish(producer)
        self._took = time.monotonic() - began
        return more

    async def _publish(self, producer: AIOKafkaProducer) -> bool:
        """Send one round; whether another one would find more."""
        now = time.monotonic()
        held = {topic for topic, until in self._undeliverable.items() if until > now}
        rows = await state.unpublished(self._database, _ROUND, sorted(held))
        if not rows:
            return False
        self._steps.passed(Step.RELAY_SELECTED)
        epochs = self._epochs
        anew = [row for row in rows if row.topic in epochs]
        first = await state.beginnings(self._database, anew) if anew else set()
        partitions: dict[TopicPartition, list[Unpublished]] = defaultdict(list)
        for row in rows:
            count = len(await producer.partitions_for(row.topic))
            partitions[TopicPartition(row.topic, partition_of(row.key, count))].append(row)
        sent = await asyncio.gather(
            *(
                self._send(producer, place, some, epochs.get(place.topic, 1), first)
                for place, some in partitions.items()
                if self._held_until.get(place, 0.0) <= now
            ),
            return_exceptions=True,
        )
        for result in sent:
            if isinstance(result, BaseException):
                raise result
        settled = sum(one for one in sent if isinstance(one, int))
        blocked = {topic for topic, until in self._undeliverable.items() if until > now} - held
        return bool(blocked) or 0 < settled < len(rows) or (len(rows) == _ROUND and settled > 0)

    async def _send(
        self, producer: AIOKafkaProducer, place: TopicPartition, rows: list[Unpublished], epoch: int, first: set[int]
    ) -> int:
        """Send as many of `rows` as fit into one batch; how many were settled.

        The keys of those at the positions `first` begin there, in this epoch.
        """
        batch = producer.create_batch()
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
            headers = _headers(row, epoch, first=row.position in first)
            added = batch.append(key=str(row.key).encode(), value=value, timestamp=_stamp(row), headers=headers)
            if added is None:  # the batch is full; the first message always fits
                break
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
            self._broker.ring(place.topic)
        return await self._settle(place, epoch, base, packed, passed_over)

    async def _settle(
        self, place: TopicPartition, epoch: int, base: int, packed: list[int], passed_over: list[int]
    ) -> int:
        settled = packed + passed_over
        if not settled:
            return 0
        across = bool(packed) and self._lies_across(place, base, len(packed))
        if across and place in self._across:
            return len(settled)  # it goes out again, until it lies behind all that is there
        self._across.discard(place)
        if across:
            self._across.add(place)
        if across or not await state.mark(self._database, self._lease, place, base, len(packed), settled):
            await self._raise_epoch(place.topic, epoch)
            return len(settled)
        self._steps.passed(Step.RELAY_MARKED)
        PUBLISHED.labels(self._database.service, place.topic).inc(len(packed))
        return len(settled)

    def _lies_across(self, place: TopicPartition, base: int, count: int) -> bool:
        """Whether a batch lies across what the log holds already, so that nobody reads its beginning.

        A broker that takes a batch for a topic that it lost, and is then asked to make the topic, counts from 0 again.
        """
        first, last = self._written.get(place, (0, -1))
        across = first < base <= last  # else it lies behind all that was written, or in another log
        self._written[place] = (base, max(last, base + count - 1) if across else base + count - 1)
        return across

    async def _value(self, row: Unpublished) -> bytes:
        if row.recipient is None:
            return bytes(row.body)
        if self._encode is None:
            raise NotDeliverable(row.recipient)
        try:
            return await self._encode(row)
        except (NotDeliverable, Withdrawn):
            raise
        except Exception as error:  # the service's own code: what it cannot encode holds its topic and nothing else
            extra = {"topic": row.topic, "error": describe(error), "at": places(error)}
            log.error("not encoded", extra=extra)
            raise NotDeliverable(row.recipient) from error

    async def _watch(self) -> None:
        """Compare the ends of all partitions with what was acknowledged, and tell the outbox's depth and age."""
        depth, age = await state.depth(self._database)
        OUTBOX_DEPTH.labels(self._database.service).set(depth)
        OUTBOX_AGE.labels(self._database.service).set(age)
        known = await state.acknowledged(self._database)
        if not known:
            return
        ends = await self._broker.ends(list(known))
        lost = {
            place.topic
            for place, (base, _) in known.items()
            if place in ends and (ends[place] <= base or ends[place] < self._ends.get(place, 0))
        }
        self._ends = ends
        for topic in sorted(lost):
            await self._raise_epoch(topic, self._epochs.get(topic, 1))

    async def _raise_epoch(self, topic: str, known: int) -> None:
        await self._broker.ensure_topics(self._database.service)
        raised = await state.raise_epoch(self._database, self._lease, topic, known)
        self._epochs = await state.epochs(self._database)
        if raised is None:
            return
        epoch, again = raised
        self._steps.passed(Step.RELAY_EPOCH_RAISED)
        EPOCHS.labels(self._database.service, topic).inc()
        log.warning("broker lost a topic", extra={"topic": topic, "epoch": epoch, "published_again": again})

    async def _reconcile(self, producer: AIOKafkaProducer) -> None:
        """Look at what lies in the broker behind the last acknowledged offset: sent but not marked, or not ours.

        A log that ends before that offset, or tells of a later epoch, was begun anew since: it is read whole.
        """
        starts = {place: last + 1 for place, (_, last) in (await state.acknowledged(self._database)).items()}
        for topic in produced_by(self._database.service):
            for partition in await producer.partitions_for(topic.name):
                starts.setdefault(TopicPartition(topic.name, partition), 0)
        epochs = await state.epochs(self._database)
        anew = await self._adopt(starts, epochs) if starts else set()  # a reader of nothing would not come to its end
        if anew:
            await self._adopt(dict.fromkeys(anew, 0), epochs)
        self._epochs = await state.epochs(self._database)

    async def _adopt(self, starts: dict[TopicPartition, int], epochs: dict[str, int]) -> set[TopicPartition]:
        """Settle what lies behind `starts`; the partitions that were begun anew since."""
        anew: set[TopicPartition] = set()
        async for place, messages in self._broker.tails(starts):
            if not messages:
                anew.add(place)
                continue
            found = await state.adopt(self._database, self._lease, place, messages)
            if found.epoch > epochs.get(place.topic, 1) and starts[place] > 0:
                anew.add(place)
            if found.unknown:
                extra = {"topic": place.topic, "unknown_events": found.unknown}
                log.error("database is older than its topic", extra=extra)
        return anew


def _headers(row: Unpublished, epoch: int, *, first: bool) -> list[tuple[str, bytes]]:
    if row.headers:
        return [(name, value.encode()) for name, value in row.headers.items()]
    return to_headers(_envelope(row, epoch, first=first))


def _stamp(row: Unpublished) -> int | None:
    """The time of the message in milliseconds: when it is sent, or, for a recipient, the whole minute of its event."""
    return None if row.recipient is None else int(row.time.replace(second=0, microsecond=0).timestamp()) * 1000


def _envelope(row: Unpublished, epoch: int, *, first: bool) -> Envelope:
    """The envelope; what leaves for a recipient names no subject, trace or moment that another could know too."""
    ours = row.recipient is None
    return Envelope.model_construct(
        id=row.id,
        source=f"doorstep/{TOPICS[row.topic].producer}",
        type=row.type,
        time=row.time if ours else row.time.replace(second=0, microsecond=0),
        key=row.key,
        subject=row.subject if ours else None,
        number=row.number,
        epoch=epoch,
        first=first,
        traceparent=row.traceparent if ours else None,
        content_type=row.content_type,
    )
