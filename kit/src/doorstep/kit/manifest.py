"""Manifests: what a service promises to have submitted to the log, a minute at a time, so that losses are seen there.

Invariants: every entry is in exactly one manifest, that of the time at which the database wrote it; minutes are closed
when no transaction that wrote before their end can still commit, by the database's own clock; the number, the end and
the manifest itself change in one transaction. A service that was off sends one manifest for all the time since its
last. If the database is older than its topic, entries and manifests that it has forgotten are taken back from there.
"""

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.audit import AuditEntrySubmitted, AuditManifestPublished
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.topics import TOPICS, audit_topic
from doorstep.kit import outbox
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.telemetry import describe

log = logging.getLogger(__name__)

_MINUTE = 60.0
_HELD = 1.0
_LIMBS = tuple(range(8))
_MODULUS: Final = 1 << 256

# The row's lock lets one instance at a time close minutes.
_STATE = text(
    """
    SELECT number, ends, date_trunc('minute', clock_timestamp() - make_interval(secs => :margin)) AS until,
        extract(epoch FROM ends - clock_timestamp()) AS behind
    FROM manifest_state FOR UPDATE
    """
)
# Who began before the end may have written before it. Without a transaction id nothing was written yet, but perhaps by
# a statement that is just beginning; whoever only reads for longer, such as a backup, holds up nothing. What the
# database does not tell of our own transaction it does not tell of others either.
_HELD_BY = text(
    """
    SELECT count(*) FILTER (WHERE pid <> pg_backend_pid() AND xact_start < :until AND (
            backend_xid IS NOT NULL OR query_start > clock_timestamp() - make_interval(secs => :reading)
        )) + count(*) FILTER (WHERE pid = pg_backend_pid() AND xact_start IS NULL)
        + (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())
    FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
    """
)
_SUMS = ", ".join(f"coalesce(sum(('x' || substr(hex, {8 * limb + 1}, 8))::bit(32)::bigint), 0)" for limb in _LIMBS)
_PROMISED = text(
    f"""
    SELECT count(*), {_SUMS} FROM (
        SELECT encode(sha256(body), 'hex') AS hex FROM outbox
        WHERE type = '{AuditEntrySubmitted.event_type}' AND time >= :begins AND time < :ends
    ) AS entries
    """  # noqa: S608
)
_ADVANCE = text("UPDATE manifest_state SET number = :number, ends = :ends")
_TAKE_BACK = text(
    """
    INSERT INTO outbox (id, topic, key, type, time, traceparent, content_type, body, published_at)
    VALUES (:id, :topic, :key, :type, :time, :traceparent, :content_type, :body, now())
    ON CONFLICT (id) DO NOTHING
    """
)
_CATCH_UP = text("UPDATE manifest_state SET number = :number, ends = :ends WHERE number < :number")


class Manifests:
    """Publishes the manifests of one service, through its outbox."""

    def __init__(self, database: Database, *, margin: float = 5.0, reading: float = 60.0) -> None:
        """Close a minute `margin` seconds after its end; whoever only reads, for `reading` seconds, is not awaited."""
        self._database = database
        self._margin = margin
        self._reading = reading
        self._due = 0.0

    async def turn(self) -> None:
        """Publish a manifest if one is due. For whoever publishes the outbox, and knows what lies in its topics."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _MINUTE
        try:
            self._due = time.monotonic() + await self.close()
        except DATABASE_ERRORS as error:  # events leave all the same; the log tells that we are silent
            log.warning("manifest not published", extra={"error": describe(error)})

    async def close(self) -> float:
        """Close the minutes that can get no more entries; gives the seconds until it is worth looking again."""
        async with self._database.transaction() as session:
            state = (await session.execute(_STATE, {"margin": self._margin})).one()
            if state.until <= state.ends:
                return min(float(state.behind) + self._margin, 0.0) + _MINUTE
            if (await session.execute(_HELD_BY, {"until": state.until, "reading": self._reading})).scalar_one():
                return _HELD
            number = state.number + 1
            count, digest = await promised(session, state.ends, state.until)
            await session.execute(_ADVANCE, {"number": number, "ends": state.until})
            manifest = AuditManifestPublished(
                service=self._database.service,
                number=number,
                begins=state.ends,
                ends=state.until,
                count=count,
                digest=digest,
            )
            outbox.add_manifest(session, manifest)
        return _HELD


async def promised(session: AsyncSession, begins: datetime, ends: datetime) -> tuple[int, str]:
    """How many entries the outbox holds from `begins` up to `ends`, and their digest."""
    count, *limbs = (await session.execute(_PROMISED, {"begins": begins, "ends": ends})).one()
    total = 0
    for limb in limbs:
        total = (total << 32) + int(limb)
    return int(count), f"{total % _MODULUS:064x}"


def publishes_manifests(service: str) -> bool:
    """Whether `service` submits entries by a topic; the log's own go in directly."""
    return audit_topic(service) in TOPICS


async def take_back(session: AsyncSession, messages: Sequence[tuple[Envelope, bytes]]) -> None:
    """Put entries and manifests that the outbox has forgotten back into it, and go on after the last manifest."""
    known = (AuditEntrySubmitted.event_type, AuditManifestPublished.event_type)
    for envelope, body in messages:
        if envelope.type not in known:
            continue
        values = envelope.model_dump(include={"id", "key", "type", "time", "traceparent", "content_type"})
        topic = audit_topic(session.info["service"])
        await session.execute(_TAKE_BACK, {**values, "topic": topic, "body": body})
        if envelope.type == AuditManifestPublished.event_type:
            await _catch_up(session, body)


async def _catch_up(session: AsyncSession, body: bytes) -> None:
    try:
        manifest = AuditManifestPublished.model_validate_json(body)
    except ValidationError:
        return
    await session.execute(_CATCH_UP, {"number": manifest.number, "ends": manifest.ends})
