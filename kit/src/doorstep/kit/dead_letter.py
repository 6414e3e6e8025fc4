"""Messages that can never be processed: kept in the transaction that gives them up, listed, shown, replayed."""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import orjson
from pydantic import BaseModel
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.topics import TOPICS
from doorstep.kit import outbox
from doorstep.kit.inbox import Message, dump_headers, printable

_KEYLESS = UUID("7d3e6d2e-3f7b-4f0e-9c1d-3f1f0a7c5b11")


class DeadLetter(BaseModel):
    """A dead letter as it is listed: where it lies and why, never what it says."""

    id: UUID
    topic: str
    partition: int
    offset: int
    number: int | None
    error: str
    died_at: datetime
    replay_requested_at: datetime | None
    replayed_at: datetime | None
    replay_error: str | None


class DeadLetterShown(DeadLetter):
    """A dead letter with its headers and its value as text; sealed parts stay sealed."""

    headers: dict[str, str]
    body: str


class NoSuchDeadLetter(LookupError):
    """There is no dead letter with this id."""


async def bury(session: AsyncSession, message: Message, error: str, *, group: str) -> None:
    """Give `message` up: keep it, and send it on to the dead letter topic of its topic and `group`.

    A message that was given up before, and comes again because its partition is read again, is kept once.
    """
    headers = dump_headers(message.headers)
    key = None if message.raw_key is None else printable(message.raw_key)
    letter_id = _identity(message, group)
    inserted = await session.execute(
        text(
            "INSERT INTO dead_letter (id, topic, partition, kafka_offset, key, number, headers, body, error) VALUES"
            " (:id, :topic, :partition, :offset, :key, :number, CAST(:headers AS jsonb), :body, :error)"
            " ON CONFLICT (id) DO NOTHING RETURNING id"
        ),
        {
            "id": letter_id,
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
            "key": key,
            "number": message.envelope and message.envelope.number,
            "headers": headers,
            "body": message.value,
            "error": error,
        },
    )
    if inserted.first() is None:
        return
    outbox.add_dead_letter(
        session,
        TOPICS[message.topic].dead_letter(group),
        letter_id,
        message.envelope.key if message.envelope else uuid5(_KEYLESS, key or ""),
        {**orjson.loads(headers), "doorstep_error": error},
        message.value,
    )


def _identity(message: Message, group: str) -> UUID:
    """The id of the dead letter that `message` becomes: of its event's id, or of its place if it has none."""
    envelope = message.envelope
    known = f"{envelope.id}|{envelope.number}" if envelope else f"{message.partition}|{message.offset}"
    return uuid5(_KEYLESS, f"{message.topic}|{group}|{known}|{hashlib.sha256(message.value).hexdigest()}")


_COLUMNS = (
    "id, topic, partition, kafka_offset AS offset, number, error, died_at, replay_requested_at, replayed_at,"
    " replay_error"
)


def _listed(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)  # noqa: SLF001


async def listed(session: AsyncSession, *, limit: int = 100) -> list[DeadLetter]:
    """The newest dead letters, replayed ones last."""
    query = text(f"SELECT {_COLUMNS} FROM dead_letter ORDER BY replayed_at IS NOT NULL, died_at DESC LIMIT :limit")  # noqa: S608
    return [DeadLetter(**_listed(row)) for row in await session.execute(query, {"limit": limit})]


async def shown(session: AsyncSession, letter_id: UUID) -> DeadLetterShown:
    """One dead letter whole. Raises NoSuchDeadLetter. The caller logs the read."""
    query = text(f"SELECT {_COLUMNS}, headers, body FROM dead_letter WHERE id = :id")  # noqa: S608
    row = (await session.execute(query, {"id": letter_id})).first()
    if row is None:
        raise NoSuchDeadLetter
    values = _listed(row)
    values["body"] = bytes(values["body"]).decode("utf-8", "replace")
    return DeadLetterShown(**values)


async def subjects(session: AsyncSession, letter_id: UUID) -> list[UUID]:
    """Whom a dead letter says that it is about; nobody if it does not say, or there is none."""
    query = text("SELECT headers->>'ce_subject' FROM dead_letter WHERE id = :id")
    named = (await session.execute(query, {"id": letter_id})).scalar_one_or_none()
    try:
        return [UUID(named or "")]
    except ValueError:
        return []


async def request_replay(session: AsyncSession, letter_id: UUID) -> None:
    """Have the consumer try `letter_id` again, after what is parked of its key. Raises NoSuchDeadLetter."""
    updated = await session.execute(
        text(
            "UPDATE dead_letter SET replay_requested_at = now(), replayed_at = NULL, replay_error = NULL"
            " WHERE id = :id RETURNING id"
        ),
        {"id": letter_id},
    )
    if updated.first() is None:
        raise NoSuchDeadLetter


async def next_replay(session: AsyncSession) -> Row[Any] | None:
    """The oldest dead letter to be replayed whose key has nothing parked, locked; None if there is none."""
    query = text(
        "SELECT id, topic, partition, kafka_offset, key, headers, body FROM dead_letter d"
        " WHERE replay_requested_at IS NOT NULL AND replayed_at IS NULL AND replay_error IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.topic = d.topic AND p.key::text = d.key)"
        " ORDER BY replay_requested_at LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    return (await session.execute(query)).first()


async def settle_replay(session: AsyncSession, letter_id: UUID, error: str | None) -> None:
    """The replay of `letter_id` went well, or failed with `error`."""
    await session.execute(
        text(
            "UPDATE dead_letter SET replay_error = CAST(:error AS text),"
            " replayed_at = CASE WHEN CAST(:error AS text) IS NULL THEN now() END WHERE id = :id"
        ),
        {"id": letter_id, "error": error},
    )


async def waiting(session: AsyncSession) -> int:
    """How many dead letters have not been replayed."""
    return int((await session.execute(text("SELECT count(*) FROM dead_letter WHERE replayed_at IS NULL"))).scalar_one())
