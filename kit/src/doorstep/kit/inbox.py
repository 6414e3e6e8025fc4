"""What a consumer has seen: its position in each partition, the last number of each key, and what is parked.

Invariants: position, last numbers and effects commit in one transaction; a number at or below the last is ignored; a
number beyond the next parks its key. Kafka's committed offsets only show lag.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from aiokafka import TopicPartition
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Envelope, Event
from doorstep.contracts.topics import TOPICS
from doorstep.contracts.wire import MalformedEvent, from_message
from doorstep.kit.db import run

Key = tuple[str, UUID]

_PARK = text(
    """
    INSERT INTO parked (topic, key, number, partition, kafka_offset, headers, body, reason, attempts, next_attempt_at)
    VALUES (:topic, :key, :number, :partition, :offset, CAST(:headers AS jsonb), :body, :reason, :attempts,
        coalesce(now() + make_interval(secs => CAST(:wait AS float)), 'infinity'))
    ON CONFLICT DO NOTHING
    """
)
LOCK_KEY = text(
    """
    INSERT INTO inbox_key (topic, key, last) VALUES (:topic, :key, 0)
    ON CONFLICT (topic, key) DO UPDATE SET last = inbox_key.last RETURNING last
    """
)
"""Locks a key's row, made if there is none, and gives its last number."""
RELEASE = text(
    """
    UPDATE parked SET next_attempt_at = now()
    WHERE topic = :topic AND key = :key AND number = :number AND next_attempt_at > now()
    """
)
"""Has the parked message that comes next be taken soon."""


@dataclass(frozen=True)
class Message:
    """A message as it came; `envelope` and `event` are None where it could not be understood, `flaw` says why."""

    topic: str
    partition: int
    offset: int
    headers: tuple[tuple[str, bytes], ...]
    raw_key: bytes | None
    value: bytes
    ordered: bool
    envelope: Envelope | None = None
    event: Event | None = None
    flaw: str | None = None

    @property
    def place(self) -> TopicPartition:
        """The partition that it came from."""
        return TopicPartition(self.topic, self.partition)

    @property
    def key(self) -> Key | None:
        """Topic and key, if it has one."""
        return None if self.envelope is None else (self.topic, self.envelope.key)

    @property
    def number(self) -> int:
        """Its number among those of its key; 1 on a topic without order, where no key comes twice."""
        return (self.envelope and self.envelope.number) or 1


_WANTED = "JOIN unnest(CAST(:topics AS text[]), CAST(:keys AS uuid[])) AS w (topic, key) USING (topic, key)"
_LOCK_POSITIONS = """
    INSERT INTO inbox_position (topic, partition)
    SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS integer[])) ORDER BY 1, 2
    ON CONFLICT (topic, partition) DO UPDATE SET epoch = inbox_position.epoch
"""
_LOCK_KEYS = f"SELECT i.topic, i.key, i.last FROM inbox_key i {_WANTED} ORDER BY i.topic, i.key FOR NO KEY UPDATE OF i"  # noqa: S608
_PARKED = f"SELECT p.topic, p.key, p.number FROM parked p {_WANTED}"  # noqa: S608
_WRITE_KEYS = """
    INSERT INTO inbox_key (topic, key, last)
    SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:keys AS uuid[]), CAST(:lasts AS bigint[]))
    ON CONFLICT (topic, key) DO UPDATE SET last = greatest(inbox_key.last, excluded.last)
"""
_RELEASE = "UPDATE parked SET next_attempt_at = now() WHERE topic = :topic AND key = :key"
_WRITE_POSITIONS = """
    INSERT INTO inbox_position (topic, partition, epoch, next_offset)
    SELECT * FROM unnest(
        CAST(:topics AS text[]), CAST(:partitions AS integer[]), CAST(:epochs AS integer[]), CAST(:offsets AS bigint[])
    ) ORDER BY 1, 2
    ON CONFLICT (topic, partition) DO UPDATE SET epoch = excluded.epoch, next_offset = excluded.next_offset
"""


def understood(record: Any) -> Message:
    """The message in a record of the broker, understood as far as it can be."""
    parts = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "headers": tuple(record.headers),
        "raw_key": record.key,
        "value": record.value or b"",
        "ordered": TOPICS[record.topic].ordered,
    }
    try:
        envelope, data = from_message(record.headers, record.key, record.value)
    except MalformedEvent as error:
        return Message(**parts, flaw=f"MalformedEvent: {error}")
    topic = TOPICS[record.topic]
    allowed = {event.event_type: event for event in topic.events}
    if topic.ordered and envelope.number is None:
        return Message(**parts, flaw="the event has no number")
    # a flaw of the producer's own event, of a type newer than we are perhaps, takes its number; a stranger's does not
    counted = envelope if envelope.source == f"doorstep/{topic.producer}" else None
    if envelope.type not in allowed:
        return Message(**parts, envelope=counted, flaw="the event type does not belong on this topic")
    try:
        event = allowed[envelope.type].model_validate_json(data)
    except ValidationError as error:
        where = ", ".join(sorted({".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False)}))
        return Message(**parts, envelope=counted, flaw=f"the data does not fit its schema: {where[:200]}")
    return Message(**parts, envelope=envelope, event=event)


def epoch_of(record: Any) -> int:
    """The epoch that a record of the broker names; 1 if it names none."""
    for name, value in record.headers:
        if name == "ce_epoch" and value.isdigit():
            return int(value)
    return 1


class Fate(StrEnum):
    """What becomes of a message."""

    NEXT = "next"
    DUPLICATE = "duplicate"
    EARLY = "early"
    FLAWED = "flawed"


@dataclass
class Position:
    """Where a partition stands: the epoch last seen and the next offset to take."""

    epoch: int = 1
    next_offset: int = 0


@dataclass
class Batch:
    """What is known, under lock, of the keys of some messages; changed as they are handled, then written."""

    last: dict[Key, int]
    parked: dict[Key, set[int]]
    touched: set[Key] = field(default_factory=set)

    def fate(self, message: Message, *, cut: bool) -> Fate:
        """What is to become of `message`; `cut` says that what came before it of its key is gone for good."""
        if message.key is None:
            return Fate.FLAWED
        number, known = message.number, self.last.get(message.key, 0)
        flawed = Fate.FLAWED if message.event is None else Fate.NEXT
        if number <= known or number in self.parked.get(message.key, ()):
            return Fate.DUPLICATE
        return flawed if number == known + 1 or (cut and not known) else Fate.EARLY

    def done(self, message: Message) -> None:
        """`message` was handled, or given up."""
        if message.key is not None and message.ordered:
            self.last[message.key] = max(message.number, self.last.get(message.key, 0))
            self.touched.add(message.key)

    def released(self) -> list[Key]:
        """Keys whose parked messages can go on now."""
        return [key for key in self.touched if self.last[key] + 1 in self.parked.get(key, ())]


async def lock(session: AsyncSession, messages: Sequence[Message]) -> Batch:
    """Lock positions and keys of `messages`, in sorted order, and read what is known of them."""
    places = sorted({message.place for message in messages})
    await run(
        session,
        _LOCK_POSITIONS,
        {"topics": [place.topic for place in places], "partitions": [place.partition for place in places]},
    )
    keys = sorted({message.key for message in messages if message.key is not None and message.ordered})
    if not keys:
        return Batch({}, {})
    wanted = {"topics": [topic for topic, _ in keys], "keys": [key for _, key in keys]}
    last: dict[Key, int] = {(topic, key): number for topic, key, number in await run(session, _LOCK_KEYS, wanted)}
    parked: dict[Key, set[int]] = {}
    for topic, key, number in await run(session, _PARKED, wanted):
        parked.setdefault((topic, key), set()).add(number)
    return Batch(last, parked)


async def write(session: AsyncSession, batch: Batch, after: Iterable[tuple[TopicPartition, Position]]) -> None:
    """Write last numbers and the positions `after` the batch; keys that can go on become due at once."""
    touched = sorted(batch.touched)
    if touched:
        values = {
            "topics": [topic for topic, _ in touched],
            "keys": [key for _, key in touched],
            "lasts": [batch.last[key] for key in touched],
        }
        await run(session, _WRITE_KEYS, values)
    for topic, key in batch.released():
        await run(session, _RELEASE, {"topic": topic, "key": key})
    rows = sorted(after, key=lambda pair: pair[0])
    values = {
        "topics": [place.topic for place, _ in rows],
        "partitions": [place.partition for place, _ in rows],
        "epochs": [position.epoch for _, position in rows],
        "offsets": [position.next_offset for _, position in rows],
    }
    await run(session, _WRITE_POSITIONS, values)


async def positions(session: AsyncSession, places: Iterable[TopicPartition]) -> dict[TopicPartition, Position]:
    """Where `places` stand; the beginning for those never seen."""
    known = {
        TopicPartition(topic, partition): Position(epoch, offset)
        for topic, partition, epoch, offset in await session.execute(
            text("SELECT topic, partition, epoch, next_offset FROM inbox_position")
        )
    }
    return {place: known.get(place, Position()) for place in places}


async def park(session: AsyncSession, message: Message, reason: str, *, attempts: int, wait: float) -> None:
    """Keep `message`, whose turn it is, for another attempt in `wait` seconds."""
    await session.execute(_PARK, {**_row(message, reason), "attempts": attempts, "wait": wait})


async def park_early(session: AsyncSession, message: Message) -> None:
    """Keep `message` until the numbers before it have come; at once, if they have in the meantime."""
    values = _row(message, "hole")
    last = (await session.execute(LOCK_KEY, values)).scalar_one()
    await session.execute(_PARK, {**values, "attempts": 0, "wait": 0 if message.number <= last + 1 else None})


def _row(message: Message, reason: str) -> dict[str, object]:
    assert message.envelope is not None  # noqa: S101
    return {
        "topic": message.topic,
        "key": message.envelope.key,
        "number": message.number,
        "partition": message.partition,
        "offset": message.offset,
        "headers": dump_headers(message.headers),
        "body": message.value,
        "reason": reason,
    }


def dump_headers(headers: Iterable[tuple[str, bytes]]) -> str:
    """Headers as JSON text, for a row."""
    return orjson.dumps(
        {printable(name.encode("utf-8", "replace")): printable(value) for name, value in headers}
    ).decode()


def printable(value: bytes) -> str:
    """`value` as text that a database takes, whatever it is."""
    return value.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
