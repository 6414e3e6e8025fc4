"""What the relay knows: which rows are published, how far each partition was acknowledged, each topic's epoch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import orjson
from aiokafka import ConsumerRecord, TopicPartition
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.audit import AuditEntrySubmitted
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.topics import TOPICS, consumed_by, produced_by
from doorstep.contracts.wire import MalformedEvent, from_message
from doorstep.kit.db import Database, run
from doorstep.kit.leases import Lease, LeaseLost
from doorstep.kit.manifest import take_back
from doorstep.kit.outbox import LETTER_ID

_UNPUBLISHED = """
    SELECT position, id, topic, key, number, type, subject, time, traceparent, content_type, recipient, headers, body
    FROM outbox WHERE published_at IS NULL AND topic <> ALL(CAST(:held AS text[])) ORDER BY position LIMIT :limit
"""
_BEGINNINGS = """
    SELECT r.position FROM unnest(
        CAST(:topics AS text[]), CAST(:keys AS uuid[]), CAST(:numbers AS bigint[]), CAST(:positions AS bigint[])
    ) AS r (topic, key, number, position)
    WHERE NOT EXISTS (SELECT FROM outbox o WHERE o.topic = r.topic AND o.key = r.key AND o.number < r.number)
"""
_ACKNOWLEDGE = """
    INSERT INTO relay_partition (topic, partition, base, acknowledged)
    SELECT CAST(:topic AS text), CAST(:partition AS integer), CAST(:base AS bigint), CAST(:last AS bigint)
    WHERE EXISTS (SELECT FROM lease WHERE name = :lease AND holder = :holder)
    ON CONFLICT (topic, partition) DO UPDATE SET base = excluded.base, acknowledged = excluded.acknowledged
    WHERE relay_partition.acknowledged < excluded.base
    RETURNING acknowledged
"""
_MARK = "UPDATE outbox SET published_at = now() WHERE position = ANY(CAST(:positions AS bigint[]))"
_HELD = text("SELECT 1 FROM lease WHERE name = :lease AND holder = :holder FOR SHARE")
_ACKNOWLEDGE_AND_MARK = f"""
    WITH acknowledged AS ({_ACKNOWLEDGE}), marked AS (
        UPDATE outbox SET published_at = now()
        WHERE position = ANY(CAST(:positions AS bigint[])) AND EXISTS (SELECT FROM acknowledged)
    )
    SELECT acknowledged FROM acknowledged
"""  # noqa: S608
_RAISE_EPOCH = text(
    """
    INSERT INTO relay_topic (topic, epoch)
    SELECT CAST(:topic AS text), CAST(:known AS integer) + 1
    ON CONFLICT (topic) DO UPDATE SET epoch = relay_topic.epoch + 1 WHERE relay_topic.epoch = :known
    RETURNING epoch
    """
)
_KEEP_UP = text(
    "INSERT INTO relay_topic (topic, epoch) VALUES (:topic, :epoch)"
    " ON CONFLICT (topic) DO UPDATE SET epoch = greatest(relay_topic.epoch, excluded.epoch)"
)
_LOCK_COUNTER = text(
    "INSERT INTO outbox_counter (topic, key, last) VALUES (:topic, :key, :seen)"
    " ON CONFLICT (topic, key) DO UPDATE SET last = outbox_counter.last"
)
_RENUMBER = text(
    """
    UPDATE outbox SET number = moved.number FROM (
        SELECT position, CAST(:seen AS bigint) + row_number() OVER (ORDER BY position) AS number
        FROM outbox WHERE topic = :topic AND key = :key AND published_at IS NULL
    ) AS moved
    WHERE outbox.position = moved.position AND moved.number > outbox.number
    """
)
_ADVANCE_PAST = text(
    """
    UPDATE outbox_counter SET last = greatest(
        last, CAST(:seen AS bigint), (SELECT max(number) FROM outbox WHERE topic = :topic AND key = :key)
    ) WHERE topic = :topic AND key = :key
    """
)


class Unpublished(NamedTuple):
    """A row of the outbox that has not left."""

    position: int
    id: UUID
    topic: str
    key: UUID
    number: int | None
    type: str
    subject: UUID | None
    time: datetime
    traceparent: str | None
    content_type: str
    recipient: str | None
    headers: dict[str, str] | None
    body: bytes


async def unpublished(database: Database, limit: int, held: list[str]) -> list[Unpublished]:
    """The next rows to publish, in the order in which their keys were locked, without those of `held` topics."""
    rows = [Unpublished(*row) for row in await database.fetch(_UNPUBLISHED, {"limit": limit, "held": held})]
    return [row if row.headers is None else row._replace(headers=orjson.loads(str(row.headers))) for row in rows]


async def beginnings(database: Database, rows: Iterable[Unpublished]) -> set[int]:
    """Positions of those `rows` before which the outbox holds nothing of their key any more, though it once did."""
    later: dict[tuple[str, UUID], Unpublished] = {}
    for row in rows:
        if row.number is not None and row.number > 1:
            later.setdefault((row.topic, row.key), row)
    values = {
        "topics": [topic for topic, _ in later],
        "keys": [key for _, key in later],
        "numbers": [row.number for row in later.values()],
        "positions": [row.position for row in later.values()],
    }
    return {position for (position,) in await database.fetch(_BEGINNINGS, values)} if later else set()


async def epochs(database: Database) -> dict[str, int]:
    """The epoch of each topic that was ever published anew; the others have 1."""
    rows = await database.fetch("SELECT topic, epoch FROM relay_topic", {})
    return {topic: epoch for topic, epoch in rows}


async def acknowledged(database: Database) -> dict[TopicPartition, tuple[int, int]]:
    """First and last offset of the last acknowledged batch of each partition."""
    query = text("SELECT topic, partition, base, acknowledged FROM relay_partition ORDER BY topic, partition")
    async with database.transaction() as session:
        rows = (await session.execute(query)).all()
    return {TopicPartition(row.topic, row.partition): (row.base, row.acknowledged) for row in rows}


async def mark(
    database: Database, lease: Lease, place: TopicPartition, base: int, count: int, positions: list[int]
) -> bool:
    """Mark rows as published; False, and nothing marked, if the batch's offset shows that the broker lost data.

    It is False as well if another instance has taken the lease: of what that one sends no offset is known here.
    """
    if not count:
        await database.fetch(_MARK, {"positions": positions})
        return True
    values = {"topic": place.topic, "partition": place.partition, "base": base, "last": base + count - 1}
    return bool(await database.fetch(_ACKNOWLEDGE_AND_MARK, {**values, **_identity(lease), "positions": positions}))


async def raise_epoch(database: Database, lease: Lease, topic: str, known: int) -> tuple[int, int] | None:
    """Have all that the outbox holds of `topic` go out again under a new epoch; gives it and the number of rows.

    None if the epoch is no longer the `known` one: of several partitions that show the same loss one speaks for all.
    Raises LeaseLost: only the holder may say that the broker lost something.
    """
    async with database.transaction() as session:
        if (await session.execute(_HELD, _identity(lease))).first() is None:
            raise LeaseLost(lease.name)
        raised = (await session.execute(_RAISE_EPOCH, {"topic": topic, "known": known})).first()
        if raised is None:
            return None
        await session.execute(text("DELETE FROM relay_partition WHERE topic = :topic"), {"topic": topic})
        again = await session.execute(
            text("UPDATE outbox SET published_at = NULL WHERE topic = :topic AND published_at IS NOT NULL"),
            {"topic": topic},
        )
        return int(raised.epoch), int(cast("CursorResult[Any]", again).rowcount)


def _identity(lease: Lease) -> dict[str, object]:
    return {"lease": lease.name, "holder": lease.holder}


async def depth(database: Database) -> tuple[int, float]:
    """How many rows are unpublished, and the age of the oldest in seconds."""
    query = text(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(time)), 0) FROM outbox WHERE published_at IS NULL"
    )
    async with database.transaction() as session:
        count, age = (await session.execute(query)).one()
    return int(count), float(age)


async def forget_old(database: Database) -> None:
    """Delete published rows that are older than their topic's retention; a dead letter's is that of its topic.

    An entry for the log stays until a manifest has promised it.
    """
    kept = {topic.name: topic.retention_days for topic in produced_by(database.service)}
    for topic in consumed_by(database.service):
        kept[topic.dead_letter(database.service)] = topic.retention_days
    statement = text(
        "DELETE FROM outbox USING unnest(CAST(:topics AS text[]), CAST(:days AS integer[])) AS kept (topic, days)"
        " WHERE outbox.topic = kept.topic AND published_at < now() - make_interval(days => kept.days)"
        " AND (type <> :entry OR time < (SELECT ends FROM manifest_state))"
    )
    entry = AuditEntrySubmitted.event_type
    async with database.transaction() as session:
        await session.execute(statement, {"topics": list(kept), "days": list(kept.values()), "entry": entry})


@dataclass(frozen=True)
class Adopted:
    """What was found in the broker: how many events the outbox does not know, and the highest epoch."""

    unknown: int
    epoch: int


async def adopt(
    database: Database, lease: Lease, place: TopicPartition, messages: Sequence[ConsumerRecord[Any, Any]]
) -> Adopted:
    """Settle messages found in the broker behind the last acknowledged one.

    Known ones were sent and not marked; they are marked unless the topic was begun anew since. For the others the
    counters move past their numbers, and events of the same key that have not left yet are numbered after them; those
    that were for the log are taken back.
    """
    found, letters = _understood(messages)
    highest = max((envelope.epoch for envelope, _ in found.values()), default=1)
    async with database.transaction() as session:
        epoch = await session.execute(
            text("SELECT epoch FROM relay_topic WHERE topic = :topic"), {"topic": place.topic}
        )
        current = epoch.scalar_one_or_none() or 1
        ids = [*found, *letters]
        known = await session.execute(
            text("SELECT id, position FROM outbox WHERE id = ANY(CAST(:ids AS uuid[]))"), {"ids": ids}
        )
        positions: dict[UUID, int] = {event_id: position for event_id, position in known}
        unknown = [one for key, one in found.items() if key not in positions]
        await _move_past(session, place.topic, [envelope for envelope, _ in unknown])
        await take_back(session, unknown)
        if highest > current:
            await session.execute(_KEEP_UP, {"topic": place.topic, "epoch": highest})
        sent = [one for key, one in positions.items() if key in letters or found[key][0].epoch >= current]
        await run(session, _MARK, {"positions": sent})
        last = {"topic": place.topic, "partition": place.partition, "last": messages[-1].offset}
        await run(session, _ACKNOWLEDGE, {**last, "base": messages[0].offset, **_identity(lease)})
    return Adopted(len(unknown), highest)


def _understood(
    messages: Sequence[ConsumerRecord[Any, Any]],
) -> tuple[dict[UUID, tuple[Envelope, bytes]], set[UUID]]:
    """The events among `messages` by their ids, with their data, and the ids of the dead letters."""
    found: dict[UUID, tuple[Envelope, bytes]] = {}
    letters: set[UUID] = set()
    for message in messages:
        try:
            if message.topic in TOPICS:
                envelope, data = from_message(message.headers, message.key, message.value)
                found[envelope.id] = (envelope, data)
            else:
                letters.add(UUID(dict(message.headers)[LETTER_ID].decode()))
        except (MalformedEvent, KeyError, ValueError):
            continue
    return found, letters


async def _move_past(session: AsyncSession, topic: str, unknown: Sequence[Envelope]) -> None:
    seen: dict[UUID, int] = {}
    for envelope in unknown:
        if envelope.number is not None:
            seen[envelope.key] = max(seen.get(envelope.key, 0), envelope.number)
    for key in sorted(seen):
        values = {"topic": topic, "key": key, "seen": seen[key]}
        await session.execute(_LOCK_COUNTER, values)
        await session.execute(_RENUMBER, values)
        await session.execute(_ADVANCE_PAST, values)
