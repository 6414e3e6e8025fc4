"""Keeping what services promised to have submitted. A manifest that comes again changes nothing."""

from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.matching import Promise, parse_digest
from doorstep.contracts.audit import AuditManifestPublished
from doorstep.contracts.topics import audit_topic

_KEEP = text(
    """
    INSERT INTO manifest (service, number, begins, ends, count, digest, contradicts)
    SELECT CAST(:service AS text), CAST(:number AS bigint), CAST(:begins AS timestamptz), CAST(:ends AS timestamptz),
        CAST(:count AS bigint), CAST(:digest AS numeric), EXISTS (
            SELECT FROM manifest WHERE service = CAST(:service AS text) AND number = CAST(:number AS bigint)
        )
    ON CONFLICT DO NOTHING
    """
)


def read_manifest(event: AuditManifestPublished, *, topic: str) -> Promise:
    """The promise in an event that came by `topic`; raises Malformed, also if it speaks for another service."""
    if audit_topic(event.service) != topic:
        raise Malformed("manifest: of another service than the topic's")
    digest = parse_digest(event.digest)
    return Promise(event.service, event.number, event.begins, event.ends, event.count, digest)


async def keep_manifest(session: AsyncSession, promise: Promise) -> None:
    """Keep a promise, beside one of the same number and other content if there is one: that contradicts it."""
    values = {name: getattr(promise, name) for name in ("service", "number", "begins", "ends", "count")}
    await session.execute(_KEEP, {**values, "digest": Decimal(promise.digest)})
