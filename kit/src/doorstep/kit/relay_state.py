"""What the relay knows: which rows are published, how far each partition was acknowledged, each topic's epoch."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition
from sqlalchemy import Row, text

from doorstep.contracts.topics import TOPICS
from doorstep.contracts.wire import MalformedEvent, from_message
from doorstep.kit.db import Database

_UNPUBLISHED = text(
    """
    SELECT position, id, topic, key, number, type, subject, time, traceparent, content_type, recipient, headers, body
    FROM outbox WHERE published_at IS NULL AND topic <> ALL(CAST(:held AS text[])) ORDER BY position LIMIT :limit
    """
)
_ACKNOWLEDGE = text(
    """
    INSERT INTO relay_partition (topic, partition, base, acknowledged) VALUES (:topic, :partition, :base, :last)
    ON CONFLICT (topic, partition) DO UPDATE SET base = excluded.base, acknowledged = excluded.acknowledged
    WHERE relay_partition.acknowledged < excluded.base
    RETURNING acknowledged
    """
)
_MARK = text("UPDATE outbox SET published_at = now() WHERE position = ANY(CAST(:positions AS bigint[]))")
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


async def unpublished(database: Database, limit: int, held: list[str]) -> Sequence[Row[Any]]:
    """The next rows to publish, in the order in which their keys were locked, without those of `held` topics."""
    async with database.transaction() as session:
        return (await session.execute(_UNPUBLISHED, {"limit": limit, "held": held})).all()


async def epochs(database: Database) -> dict[str, int]:
    """The epoch of each topic that was ever published anew; the others have 1."""
    async with database.transaction() as session:
        rows = await session.execute(text("SELECT topic, epoch FROM relay_topic"))
        return {topic: epoch for topic, epoch in rows}


async def acknowledged(database: Database) -> dict[TopicPartition, tuple[int, int]]:
    """First and last offset of the last acknowledged batch of each partition."""
    query = text("SELECT topic, partition, base, acknowledged FROM relay_partition ORDER BY topic, partition")
    async with database.transaction() as session:
        rows = (await session.execute(query)).all()
    return {TopicPartition(row.topic, row.partition): (row.base, row.acknowledged) for row in rows}


async def mark(database: Database, place: TopicPartition, base: int, count: int, positions: list[int]) -> bool:
    """Mark rows as published; False, and nothing marked, if the batch's offset shows that the broker lost data."""
    values = {"topic": place.topic, "partition": place.partition, "base": base, "last": base + count - 1}
    async with database.transaction() as session:
        if count and (await session.execute(_ACKNOWLEDGE, values)).first() is None:
            return False
        await session.execute(_MARK, {"positions": positions})
    return True


async def raise_epoch(database: Database, topic: str) -> tuple[int, int]:
    """Have all that the outbox holds of `topic` go out again under a new epoch; gives it and the number of rows."""
    raise_ = text(
        "INSERT INTO relay_topic (topic, epoch) VALUES (:topic, 2)"
        " ON CONFLICT (topic) DO UPDATE SET epoch = relay_topic.epoch + 1 RETURNING epoch"
    )
    async with database.transaction() as session:
        epoch = (await session.execute(raise_, {"topic": topic})).scalar_one()
        await session.execute(text("DELETE FROM relay_partition WHERE topic = :topic"), {"topic": topic})
        again = await session.execute(
            text(
                "UPDATE outbox SET published_at = NULL WHERE topic = :topic AND published_at IS NOT NULL RETURNING id"
            ),
            {"topic": topic},
        )
        return epoch, len(again.all())


async def depth(database: Database) -> tuple[int, float]:
    """How many rows are unpublished, and the age of the oldest in seconds."""
    query = text(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(time)), 0) FROM outbox WHERE published_at IS NULL"
    )
    async with database.transaction() as session:
        count, age = (await session.execute(query)).one()
    return int(count), float(age)


async def forget_old(database: Database) -> None:
    """Delete published rows that are older than their topic's retention."""
    statement = text(
        "DELETE FROM outbox USING unnest(CAST(:topics AS text[]), CAST(:days AS integer[])) AS kept (topic, days)"
        " WHERE outbox.topic = kept.topic AND published_at < now() - make_interval(days => kept.days)"
    )
    produced = [topic for topic in TOPICS.values() if topic.producer == database.service]
    values = {"topics": [one.name for one in produced], "days": [one.retention_days for one in produced]}
    async with database.transaction() as session:
        await session.execute(statement, values)


async def adopt(database: Database, place: TopicPartition, messages: Sequence[ConsumerRecord]) -> int:
    """Settle messages found in the broker behind the last acknowledged one; how many the outbox does not know.

    Known ones were sent and not marked. For the others the counters move past their numbers, and events of the same
    key that have not left yet are numbered after them.
    """
    found = {}
    for message in messages:
        try:
            envelope, _ = from_message(message.headers, message.key, message.value)
        except MalformedEvent:
            continue
        found[envelope.id] = envelope
    async with database.transaction() as session:
        known = await session.execute(
            text("SELECT id, position FROM outbox WHERE id = ANY(CAST(:ids AS uuid[]))"), {"ids": list(found)}
        )
        positions: dict[UUID, int] = {event_id: position for event_id, position in known}
        seen: dict[UUID, int] = {}
        for envelope in found.values():
            if envelope.id not in positions and envelope.number is not None:
                seen[envelope.key] = max(seen.get(envelope.key, 0), envelope.number)
        for key in sorted(seen):
            values = {"topic": place.topic, "key": key, "seen": seen[key]}
            await session.execute(_LOCK_COUNTER, values)
            await session.execute(_RENUMBER, values)
            await session.execute(_ADVANCE_PAST, values)
        await session.execute(_MARK, {"positions": list(positions.values())})
        last = {"topic": place.topic, "partition": place.partition, "last": messages[-1].offset}
        await session.execute(_ACKNOWLEDGE, {**last, "base": messages[0].offset})
    return len(found) - len(positions)
