"""Takes events from the broker, effectively once and in the order of their keys.

Invariants: what a batch does, its positions and its keys' numbers commit together; a batch that fails is bisected until
the one message is found; a deterministic error makes it a dead letter at once, any other parks its key for bounded
retries; a database that is away stops consumption and costs no message; a broker that lost its log is read again from
the beginning, where numbers tell what is known.
"""

import asyncio
import heapq
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from opentelemetry.trace import SpanKind
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Envelope, Event
from doorstep.contracts.topics import consumed_by
from doorstep.kit import dead_letter, inbox
from doorstep.kit.broker import Broker, broken_off, stop
from doorstep.kit.db import DATABASE_ERRORS, Database, is_away, is_conflict
from doorstep.kit.inbox import Batch, Fate, Message, Position, epoch_of, understood
from doorstep.kit.parked import Parked
from doorstep.kit.steps import Step, Steps
from doorstep.kit.telemetry import CONSUMED, LAG, RETRIES, describe, places, span
from doorstep.kit.wakeups import NoBell, sleep_unless

log = logging.getLogger(__name__)

_TAKE = 200
_CONFLICT_TRIES = 5
_REPORT = 2.0
_LONGEST_REST = 0.1
_PROBE = 10.0
_AWAY_WAIT = 0.5
RETRY_WAIT = 1.0


class TryAgain(Exception):
    """The message cannot be handled now, and may be later."""


@dataclass(frozen=True)
class Received:
    """An event with its envelope, its topic, and the bytes that it came as."""

    envelope: Envelope
    event: Any
    topic: str = ""
    value: bytes = field(default=b"", compare=False, repr=False)


Handler = Callable[[AsyncSession, Received], Awaitable[None]]
Prepare = Callable[[Sequence[Message]], Awaitable[None]]
"""Fetches at once what the handlers of a batch will need, before its transaction begins."""


def is_passing(error: BaseException) -> bool:
    """Whether `error` may be gone at another attempt; every other error is taken to be deterministic.

    An OSError, which a TimeoutError is, comes of what the handler itself asked of the network.
    """
    return isinstance(error, TryAgain | aiohttp.ClientError | OSError) or is_conflict(error)


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """One member of the consumer group that is called like its service."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        handlers: Mapping[type[Event], Handler],
        *,
        group: str | None = None,
        steps: Steps | None = None,
        max_attempts: int = 8,
        prepare: Prepare | None = None,
    ) -> None:
        """Take the topics that `group` consumes by `handlers`; other events of these topics only move the position."""
        self._database = database
        self._broker = broker
        self._group = group or database.service
        self._handlers = {model.event_type: (model, handler) for model, handler in handlers.items()}
        self._steps = steps or Steps()
        self._prepare = prepare
        self._parked = Parked(
            database,
            self._group,
            self.read,
            self.handle,
            passing=is_passing,
            max_attempts=max_attempts,
            steps=self._steps,
        )
        self._positions: dict[TopicPartition, Position] = {}
        self._cut: set[TopicPartition] = set()
        self._client: AIOKafkaConsumer | None = None
        self._bell = NoBell()
        self._reported = 0.0
        self._probed = time.monotonic()
        self._probing: set[TopicPartition] = set()
        self._stopping = asyncio.Event()
        self.assigned = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until `stopping` is set; the batch at hand is finished first.

        Whatever else goes wrong, the group is joined again after a moment: a message's own error never gets here.
        """
        self._stopping = stopping
        while not stopping.is_set():
            try:
                with broken_off():
                    await self._broker.ensure_topics(self._group)
                    self._client = self._broker.consumer(self._group)
                    self._client.subscribe([topic.name for topic in consumed_by(self._group)], listener=self)
                    self._bell = self._broker.bell(self._group, ending=stopping)
                    await self._client.start()
                    while not stopping.is_set():
                        await self._turn(stopping)
            except Exception as error:  # noqa: BLE001 — the loop of a consumer outlives what is wrong in one turn
                log.error("consumer interrupted", extra={"error": describe(error), "at": places(error)})
                await sleep_unless(stopping, _AWAY_WAIT)
            finally:
                await self._leave()

    async def _leave(self) -> None:
        client, self._client = self._client, None
        self._bell.close()
        self._bell = NoBell()
        if client is not None:
            try:
                with suppress(KafkaError, OSError, TimeoutError), broken_off():
                    await self._commit(client)
            finally:  # whether or not it could commit
                await stop(client)

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Go to the stored positions; waits for the database if it is away."""
        client = self._client
        if client is None:
            return
        while not self._stopping.is_set():
            try:
                async with self._database.transaction() as session:
                    self._positions = await inbox.positions(session, assigned)
                break
            except DATABASE_ERRORS as error:
                log.warning("database away", extra={"error": describe(error)})
                await sleep_unless(self._stopping, _AWAY_WAIT)
        self._probing.clear()
        for place, position in self._positions.items():
            self._probe(client, place, position)
        self._bell.ring()
        self.assigned.set()

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Tell no lag of them any more. What is under way is guarded by the locks of its transaction."""
        for place in revoked:
            with suppress(KeyError):
                LAG.remove(self._group, place.topic, str(place.partition))

    async def _turn(self, stopping: asyncio.Event) -> None:
        client = self._client
        assert client is not None  # noqa: S101
        fetched = await self._bell.fetch(client, _TAKE)
        came = time.monotonic()
        logs = [self._fresh(client, place, fetched[place]) for place in sorted(fetched)]
        messages = [self.read(record) for record in heapq.merge(*logs, key=_published)]
        try:
            if messages:
                self._steps.passed(Step.CONSUMER_FETCHED)
                await self._take(messages)
                rest = min(time.monotonic() - came, _LONGEST_REST)
                await sleep_unless(stopping, rest)  # under load the next batch is larger and costs less each
            self._find_loss(client)
            if not fetched:
                self._probe_quiet(client)
            await self._parked.drain()
            await self._report(client)
        except (_Away, *DATABASE_ERRORS) as error:
            log.warning("consumption waits for the database", extra={"error": describe(error)})
            await self._wait_for_database(client, stopping)

    def _fresh(
        self, client: AIOKafkaConsumer, place: TopicPartition, records: Sequence[ConsumerRecord[Any, Any]]
    ) -> Sequence[ConsumerRecord[Any, Any]]:
        """`records`, unless they show that the log was begun anew: then none, and the partition is rewound."""
        position = self._positions.setdefault(place, Position())
        epoch = max(epoch_of(record) for record in records)
        if epoch > position.epoch:
            self._rewind(client, place, epoch)
            return []
        first, probed = records[0].offset, place in self._probing
        self._probing.discard(place)
        if probed and first == position.next_offset - 1:
            return records[1:]
        position.next_offset = min(position.next_offset, first)  # lower if the client began again at the beginning
        return records

    def _probe(self, client: AIOKafkaConsumer, place: TopicPartition, position: Position) -> None:
        """Go to the message before the position: its epoch tells whether this is still the log that was read."""
        if position.next_offset > 0:
            self._probing.add(place)
        client.seek(place, max(position.next_offset - 1, 0))

    def _probe_quiet(self, client: AIOKafkaConsumer) -> None:
        """Look for a log that was begun anew and has grown to exactly the length of the old one."""
        if time.monotonic() - self._probed < _PROBE:
            return
        self._probed = time.monotonic()
        for place in client.assignment():
            position = self._positions.get(place)
            if position is not None and position.next_offset > 0:
                self._probe(client, place, position)

    def _find_loss(self, client: AIOKafkaConsumer) -> None:
        for place in client.assignment():
            position, end = self._positions.get(place), client.highwater(place)
            if position is not None and end is not None and end < position.next_offset:
                self._rewind(client, place, position.epoch)

    def _rewind(self, client: AIOKafkaConsumer, place: TopicPartition, epoch: int) -> None:
        log.warning("partition begun anew", extra={"topic": place.topic, "partition": place.partition, "epoch": epoch})
        self._positions[place] = Position(epoch, 0)
        self._probing.discard(place)
        self._cut.discard(place)
        client.seek(place, 0)

    def read(self, record: Any) -> Message:
        """The message in `record`, understood as far as it can be."""
        return understood(record)

    async def handle(self, session: AsyncSession, message: Message) -> None:
        """Call the handler of a message in `session`, within a span that continues the event's trace."""
        assert message.envelope is not None  # noqa: S101
        known = self._handlers.get(message.envelope.type)
        if known is None:
            return
        parent = message.envelope.traceparent
        with span(f"{self._group} {message.envelope.type}", parent=parent, kind=SpanKind.CONSUMER):
            await known[1](session, Received(message.envelope, message.event, message.topic, message.value))

    async def _take(self, messages: Sequence[Message]) -> None:
        for attempt in range(_CONFLICT_TRIES):
            try:
                await self._apply(messages)
            except Exception as error:
                if is_away(error):
                    raise _Away from error
                if is_conflict(error) and attempt < _CONFLICT_TRIES - 1:
                    RETRIES.labels(self._group, "conflict").inc()
                    await asyncio.sleep(random.uniform(0.005, 0.02) * 2**attempt)  # noqa: S311
                    continue
                await self._divide(messages, error)
            return

    async def _divide(self, messages: Sequence[Message], error: Exception) -> None:
        if len(messages) == 1:
            await self._fail(messages[0], error)
            return
        RETRIES.labels(self._group, "bisect").inc()
        self._steps.passed(Step.CONSUMER_BISECTED)
        middle = len(messages) // 2
        await self._take(messages[:middle])
        await self._take(messages[middle:])

    async def _apply(self, messages: Sequence[Message]) -> None:
        fates: list[tuple[str, Fate]] = []
        if self._prepare is not None and len(messages) > 1:
            await self._prepare(messages)
        async with self._database.transaction() as session:
            batch = await inbox.lock(session, messages)
            self._steps.passed(Step.CONSUMER_LOCKED)
            for message in messages:
                fate = batch.fate(message, cut=await self._is_cut(batch, message))
                fates.append((message.topic, fate))
                await self._settle(session, batch, message, fate)
            self._steps.passed(Step.CONSUMER_HANDLED)
            positions = self._after(messages)
            await inbox.write(session, batch, positions.items())
        self._steps.passed(Step.CONSUMER_COMMITTED)
        self._positions.update(positions)
        if batch.released():
            self._parked.look_soon()
        for topic, fate in fates:
            CONSUMED.labels(self._group, topic, fate.value).inc()

    async def _settle(self, session: AsyncSession, batch: Batch, message: Message, fate: Fate) -> None:
        if fate is Fate.NEXT:
            await self.handle(session, message)
            batch.done(message)
        elif fate is Fate.EARLY:
            await inbox.park_early(session, message)
            batch.parked.setdefault((message.topic, message.envelope.key), set()).add(message.number)  # type: ignore[union-attr]
            self._steps.passed(Step.CONSUMER_PARKED)
        elif fate is Fate.FLAWED:
            await dead_letter.bury(session, message, message.flaw or "unknown", group=self._group)
            batch.done(message)

    async def _fail(self, message: Message, error: Exception) -> None:
        """Park the message for another attempt, or give it up, and move past it."""
        reason, passing = describe(error), is_passing(error)
        extra = {"topic": message.topic, "error": reason, "at": places(error), "retried": passing}
        log.warning("message not handled", extra=extra)
        async with self._database.transaction() as session:
            batch = await inbox.lock(session, [message])
            fate = batch.fate(message, cut=await self._is_cut(batch, message))
            if fate is Fate.NEXT and passing:
                await inbox.park(session, message, reason, attempts=1, wait=RETRY_WAIT)
            elif fate is Fate.NEXT:
                await dead_letter.bury(session, message, reason, group=self._group)
                batch.done(message)
            else:
                await self._settle(session, batch, message, fate)
            positions = self._after([message])
            await inbox.write(session, batch, positions.items())
        self._steps.passed(Step.CONSUMER_PARKED if passing else Step.CONSUMER_DEAD_LETTERED)
        self._positions.update(positions)
        CONSUMED.labels(self._group, message.topic, "parked" if passing else "dead-letter").inc()

    def _after(self, messages: Sequence[Message]) -> dict[TopicPartition, Position]:
        after: dict[TopicPartition, Position] = {}
        for message in messages:
            known = after.get(message.place) or self._positions.get(message.place, Position())
            after[message.place] = Position(known.epoch, message.offset + 1)
        return after

    async def _is_cut(self, batch: Batch, message: Message) -> bool:
        """Whether earlier messages of the key are gone for good: the producer holds none, or retention cut the log.

        It matters for keys never seen alone, and only there is the broker asked: on the connection of a fetch that
        waits, the answer takes as long as the fetch. An epoch alone tells nothing: until a producer finds that its
        broker lost a log for the second time, the new one gets what is new, of the epoch that is over.
        """
        if message.envelope is None or message.number == 1:
            return False
        if message.envelope.first:
            return True
        if message.key in batch.last:
            return False
        if message.place in self._cut:
            return True
        assert self._client is not None  # noqa: S101
        begins = await self._client.beginning_offsets([message.place])
        if int(begins[message.place]) > 0:
            self._cut.add(message.place)
        return message.place in self._cut

    async def _report(self, client: AIOKafkaConsumer) -> None:
        if time.monotonic() - self._reported < _REPORT:
            return
        self._reported = time.monotonic()
        for place, position in self._positions.items():
            end = client.highwater(place)
            if end is not None:
                LAG.labels(self._group, place.topic, str(place.partition)).set(max(end - position.next_offset, 0))
        await self._parked.report()
        with suppress(KafkaError, TimeoutError):
            await self._commit(client)

    async def _commit(self, client: AIOKafkaConsumer) -> None:
        known = self._positions
        offsets = {place: known[place].next_offset for place in client.assignment() if place in known}
        if offsets:
            async with asyncio.timeout(2.0):  # the client tries for ever while a topic is not there
                await client.commit(offsets)

    async def _wait_for_database(self, client: AIOKafkaConsumer, stopping: asyncio.Event) -> None:
        """Take nothing, but stay in the group, until the database answers; then go on from the stored positions."""
        while True:
            client.pause(*client.assignment())
            await client.getmany(timeout_ms=0)
            await sleep_unless(stopping, _AWAY_WAIT)
            if stopping.is_set():
                return
            if await self._database.reachable():
                break
        assigned = list(client.assignment())
        await self.on_partitions_assigned(assigned)
        client.resume(*assigned)


class _Away(Exception):
    """The database cannot be reached."""


def _published(record: ConsumerRecord[Any, Any]) -> int:
    """Of several topics what came first is told first; a partition's order stays, and a message may have no time."""
    return int(record.timestamp or 0)
