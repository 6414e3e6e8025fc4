"""Events that leave with the transaction which made them, each with the next number of its key.

Invariants: an event is written in the transaction of its state change; the number of a (topic, key) is taken from a
counter row, rows locked in sorted order, so that numbers have no gap and follow the order of commits; an entry for the
log has the time at which the database writes it, and never one that lies in minutes for which a manifest was published.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid4, uuid7

from doorstep.contracts.audit import AuditEntrySubmitted, AuditManifestPublished
from doorstep.contracts.codes import Department
from doorstep.contracts.envelope import JOSE, JSON, Event
from doorstep.contracts.topics import TOPIC_OF, TOPICS, Topic, audit_topic, feed_topic
from doorstep.kit.db import before_commit, run
from doorstep.kit.telemetry import current_traceparent

EVENT_BYTES = 700_000
"""No event is larger, so that it fits into a message of 1 MiB also when it was encrypted for a recipient."""

LETTER_ID = "doorstep_dead_letter_id"
"""The header that names a dead letter on its topic."""


class EventTooLarge(ValueError):
    """The event does not fit into a message."""


@dataclass(frozen=True)
class OutboxRow:
    """One row of the outbox; `position` and `number` are given when it is written, and `time` where it is None."""

    id: UUID
    topic: str
    key: UUID
    type: str
    subject: UUID | None
    time: datetime | None
    content_type: str
    body: bytes
    recipient: str | None = None
    headers: dict[str, str] | None = None
    traceparent: str | None = None
    ordered: bool = True


_WRITE = """
    WITH rows AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:keys AS uuid[]), CAST(:types AS text[]),
            CAST(:subjects AS uuid[]), CAST(:times AS timestamptz[]), CAST(:parents AS text[]),
            CAST(:content_types AS text[]), CAST(:recipients AS text[]), CAST(:headers AS text[]),
            CAST(:bodies AS bytea[]), CAST(:ordered AS boolean[])
        ) WITH ORDINALITY AS r (
            id, topic, key, type, subject, time, traceparent, content_type, recipient, headers, body, ordered, i
        )
    ), counted AS (
        INSERT INTO outbox_counter (topic, key, last)
        SELECT topic, key, count(*) FROM rows WHERE ordered GROUP BY topic, key ORDER BY topic, key
        ON CONFLICT (topic, key) DO UPDATE SET last = outbox_counter.last + excluded.last
        RETURNING topic, key, last
    ), numbered AS (
        SELECT rows.*, c.last - count(*) OVER (PARTITION BY rows.topic, rows.key)
            + row_number() OVER (PARTITION BY rows.topic, rows.key ORDER BY i) AS number
        FROM rows LEFT JOIN counted c ON rows.ordered AND c.topic = rows.topic AND c.key = rows.key
    )
    INSERT INTO outbox
        (id, topic, key, number, type, subject, time, traceparent, content_type, recipient, headers, body)
    SELECT
        id, topic, key, number, type, subject,
        coalesce(time, greatest(clock_timestamp(), (SELECT ends FROM manifest_state))),
        traceparent, content_type, recipient, CAST(headers AS jsonb), body
    FROM numbered ORDER BY i
"""


def add(session: AsyncSession, event: Event, *, key: UUID, subject: UUID | None = None) -> UUID:
    """Have `event` leave with the session's transaction, as the next of `key`; gives the event's id.

    Raises EventTooLarge.
    """
    body = event.model_dump_json(exclude_none=True).encode()
    return _buffer(session, _row(TOPIC_OF[type(event)], event.event_type, key, subject, JSON, body))


def add_feed(
    session: AsyncSession, department: Department, event_type: str, *, ref: UUID, subject: UUID, projection: bytes
) -> UUID:
    """Have a feed event leave for `department`, encrypted for it at delivery.

    `ref` is the department's own id of the request and the key; `projection` is the event, encrypted at rest under
    the data key of `subject` with the context of `feed_context(ref)`. Raises EventTooLarge.
    """
    row = _row(TOPICS[feed_topic(department)], event_type, ref, subject, JOSE, projection)
    return _buffer(session, replace(row, id=uuid4(), recipient=str(department)))  # an id that tells no time


def feed_context(ref: UUID) -> str:
    """The context under which the projection for a feed is encrypted in the outbox."""
    return f"outbox.body:{ref}"


def add_entry(session: AsyncSession, entry: AuditEntrySubmitted) -> UUID:
    """Have an entry leave for the audit log."""
    topic = TOPICS[audit_topic(session.info["service"])]
    body = entry.model_dump_json(exclude_none=True).encode()
    return _buffer(session, replace(_row(topic, entry.event_type, entry.entry_id, None, JSON, body), time=None))


def add_manifest(session: AsyncSession, manifest: AuditManifestPublished) -> None:
    """Have a manifest leave for the audit log, under a key of its own as every message of that topic."""
    body = manifest.model_dump_json().encode()
    _buffer(session, _row(TOPICS[audit_topic(manifest.service)], manifest.event_type, uuid4(), None, JSON, body))


def add_dead_letter(
    session: AsyncSession, topic: str, letter_id: UUID, key: UUID, headers: dict[str, str], body: bytes
) -> None:
    """Have a message that could not be processed leave for the dead letter topic `topic`, as it was.

    One that is too large for another message with a few headers more stays here alone.
    """
    row = OutboxRow(
        id=letter_id,
        topic=topic,
        key=key,
        type=headers.get("ce_type", "unknown"),
        subject=None,
        time=datetime.now(UTC),
        content_type=headers.get("content-type", JSON),
        body=body,
        headers={**headers, LETTER_ID: str(letter_id)},
        ordered=False,
    )
    if len(body) + sum(len(name) + len(value) for name, value in headers.items()) <= EVENT_BYTES:
        _buffer(session, row)


def _row(topic: Topic, event_type: str, key: UUID, subject: UUID | None, content_type: str, body: bytes) -> OutboxRow:
    return OutboxRow(
        id=uuid7(),
        topic=topic.name,
        key=key,
        type=event_type,
        subject=subject,
        time=datetime.now(UTC),
        content_type=content_type,
        body=body,
        traceparent=current_traceparent(),
        ordered=topic.ordered,
    )


def _buffer(session: AsyncSession, row: OutboxRow) -> UUID:
    if len(row.body) > EVENT_BYTES:
        raise EventTooLarge(row.type)
    session.info.setdefault("outbox", []).append(row)
    before_commit(session, flush)
    return row.id


async def flush(session: AsyncSession) -> None:
    """Write the buffered rows with their numbers, in one statement."""
    rows: list[OutboxRow] = session.info.pop("outbox", [])
    if not rows:
        return
    session.info["outbox_written"] = session.info.get("outbox_written", 0) + len(rows)
    session.info.setdefault("outbox_recipients", set()).update(row.recipient for row in rows if row.recipient)
    await run(
        session,
        _WRITE,
        {
            "ids": [row.id for row in rows],
            "topics": [row.topic for row in rows],
            "keys": [row.key for row in rows],
            "types": [row.type for row in rows],
            "subjects": [row.subject for row in rows],
            "times": [row.time for row in rows],
            "parents": [row.traceparent for row in rows],
            "content_types": [row.content_type for row in rows],
            "recipients": [row.recipient for row in rows],
            "headers": [None if row.headers is None else orjson.dumps(row.headers).decode() for row in rows],
            "bodies": [row.body for row in rows],
            "ordered": [row.ordered for row in rows],
        },
    )
