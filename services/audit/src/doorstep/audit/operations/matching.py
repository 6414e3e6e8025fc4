"""The matcher: compares what services promised with what has its place in the log, and says where they differ.

Invariants: a manifest is matched when count and digest of its minutes are those of the entries counted for them, which
the sequencer does in the transaction that places them, and that matches it anew; a gap is opened once, closes by itself
when what was missing has come, and stays as history. A manifest follows the one before it in number and in time.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.matching import GapKind, difference
from doorstep.contracts.topics import SERVICES, TOPICS, audit_topic
from doorstep.kit.db import Database

log = logging.getLogger(__name__)

GAPS = Gauge(
    "doorstep_log_gaps", "What a service promised and the log does not hold, by kind.", ("promised_by", "kind")
)
SENDERS = tuple(service for service in SERVICES if audit_topic(service) in TOPICS)
_KEPT = timedelta(days=60)
"""Longer than any outbox could send a manifest again."""
_CLEAN = 3600.0

_LINK = text(
    """
    UPDATE manifest AS m SET linked = true WHERE NOT linked AND (
        EXISTS (SELECT FROM manifest p WHERE p.service = m.service AND p.number = m.number - 1 AND p.ends = m.begins)
        OR NOT EXISTS (SELECT FROM manifest p WHERE p.service = m.service AND p.number < m.number)
    )
    """
)
_OPEN = text(
    """
    SELECT id, service, number, begins, ends, count AS promised, digest, matched, linked, contradicts,
        arrived_at < now() - CAST(:grace AS interval) AS late, begins < (SELECT since FROM tally_begin) AS uncounted,
        (
            SELECT p.ends FROM manifest p WHERE p.service = m.service AND p.number < m.number
            ORDER BY p.number DESC LIMIT 1
        ) AS before
    FROM manifest m WHERE NOT matched OR NOT linked OR contradicts ORDER BY id FOR UPDATE OF m
    """
)
_TALLIES = text(
    """
    SELECT m.id, coalesce(sum(t.count), 0) AS stored, coalesce(sum(t.digest), 0) AS digest
    FROM manifest m LEFT JOIN tally t ON t.service = m.service AND t.minute >= m.begins AND t.minute < m.ends
    WHERE m.id = ANY(CAST(:ids AS bigint[])) GROUP BY m.id
    """
)
_MATCHED = text("UPDATE manifest SET matched = true WHERE id = ANY(CAST(:ids AS bigint[]))")
_LAST = text(
    """
    SELECT s.service, l.ends, coalesce(l.ends < now() - CAST(:silence AS interval), true) AS overdue
    FROM unnest(CAST(:services AS text[])) AS s (service) LEFT JOIN LATERAL (
        SELECT ends FROM manifest m WHERE m.service = s.service ORDER BY number DESC LIMIT 1
    ) AS l ON true
    """
)
_KNOWN = text("SELECT id, service, kind, number, promised, stored FROM gap WHERE closed_at IS NULL")
_BEGIN = text(
    """
    INSERT INTO gap (service, kind, number, begins, ends, promised, stored)
    VALUES (:service, :kind, :number, :begins, :ends, :promised, :stored)
    """
)
_CHANGE = text("UPDATE gap SET promised = :promised, stored = :stored WHERE id = :id")
_CLOSE = text("UPDATE gap SET closed_at = now() WHERE id = :id")
_FORGET = (
    text(
        """
        DELETE FROM manifest m WHERE matched AND linked AND NOT contradicts AND ends < now() - CAST(:kept AS interval)
        AND EXISTS (SELECT FROM manifest n WHERE n.service = m.service AND n.number > m.number)
        """
    ),
    text(
        """
        DELETE FROM tally t WHERE minute < now() - CAST(:kept AS interval) AND NOT EXISTS (
            SELECT FROM manifest m WHERE m.service = t.service AND m.begins <= t.minute AND t.minute < m.ends
        )
        """
    ),
)

Key = tuple[str, GapKind, int]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something between a service's promises and the log. `begins` is None if the service never sent a manifest."""

    service: str
    kind: GapKind
    number: int = 0
    begins: datetime | None = None
    ends: datetime | None = None
    promised: int | None = None
    stored: int | None = None

    @property
    def key(self) -> Key:
        """What tells it from other open gaps."""
        return self.service, self.kind, self.number


class Matcher:
    """Matches the manifests of one log; of several, one works at a time."""

    def __init__(self, database: Database, *, grace: float, silence: float) -> None:
        """Let entries be `grace` seconds later than their manifest, and manifests be `silence` seconds late."""
        self._database = database
        self._grace = timedelta(seconds=grace)
        self._silence = timedelta(seconds=silence)
        self._told: set[Key] = set()
        self._began: float | None = None
        self._clean_due = time.monotonic() + _CLEAN

    def rest(self) -> None:
        """Tell nothing any more: another one matches now."""
        self._began = None
        self._told.clear()
        GAPS.clear()

    async def turn(self) -> list[Gap]:
        """Match what can be matched, open and close gaps, and tell of them; gives the open ones."""
        if self._began is None:
            self._began = time.monotonic()
        async with self._database.transaction() as session:
            await session.execute(_LINK)
            found = await self._differences(session)
            known = {(row.service, GapKind(row.kind), row.number): row for row in await session.execute(_KNOWN)}
            found += await self._silences(session, known)
            gaps = {gap.key: gap for gap in found}
            await _write(session, gaps, known)
        self._tell(gaps)
        if time.monotonic() >= self._clean_due:
            self._clean_due = time.monotonic() + _CLEAN
            await self.forget_old()
        return list(gaps.values())

    async def forget_old(self) -> None:
        """Delete what was matched long ago; gaps stay."""
        async with self._database.transaction() as session:
            for statement in _FORGET:
                await session.execute(statement, {"kept": _KEPT})

    async def _differences(self, session: AsyncSession) -> list[Gap]:
        """What is wrong with the manifests that are there; what is right is marked as matched."""
        rows = (await session.execute(_OPEN, {"grace": self._grace})).all()
        unmatched = [row for row in rows if not row.matched]
        tallies = {row.id: row for row in await session.execute(_TALLIES, {"ids": [row.id for row in unmatched]})}
        matched: list[int] = []
        gaps: list[Gap] = []
        for row in unmatched:
            tally = tallies[row.id]
            kind = difference(row.promised, int(row.digest), int(tally.stored), int(tally.digest))
            if kind is None or row.uncounted:
                matched.append(row.id)
            elif row.late:
                told = (row.begins, row.ends, row.promised, int(tally.stored))
                gaps.append(Gap(row.service, kind, row.number, *told))
        await session.execute(_MATCHED, {"ids": matched})
        gaps += [
            Gap(row.service, GapKind.NO_MANIFEST, row.number - 1, row.before, row.begins)
            for row in rows
            if row.late and not row.linked
        ]
        gaps += [
            Gap(row.service, GapKind.CONTRADICTED, row.number, row.begins, row.ends, row.promised)
            for row in rows
            if row.contradicts
        ]
        return gaps

    async def _silences(self, session: AsyncSession, known: dict[Key, Any]) -> list[Gap]:
        """Services whose last manifest is long ago, once this matcher has been waiting for as long."""
        waited = timedelta(seconds=time.monotonic() - (self._began or 0.0)) >= self._silence
        rows = await session.execute(_LAST, {"silence": self._silence, "services": list(SENDERS)})
        silent = [Gap(row.service, GapKind.SILENT, begins=row.ends) for row in rows if row.overdue]
        return [gap for gap in silent if waited or gap.key in known]

    def _tell(self, gaps: dict[Key, Gap]) -> None:
        """Say each change once; a matcher that begins says all that is open."""
        for service in SENDERS:
            for kind in GapKind:
                here = sum(gap.service == service and gap.kind is kind for gap in gaps.values())
                GAPS.labels(service, kind).set(here)
        for key in gaps.keys() - self._told:
            log.error("the log does not hold what was promised", extra=_extra(gaps[key]))
        for service, kind, number in self._told - gaps.keys():
            log.warning("a gap has closed", extra={"promised_by": service, "kind": kind, "number": number})
        self._told = set(gaps)


async def _write(session: AsyncSession, gaps: dict[Key, Gap], known: dict[Key, Any]) -> None:
    for key, gap in gaps.items():
        values = {"promised": gap.promised, "stored": gap.stored}
        if key not in known:
            more = {"service": gap.service, "kind": str(gap.kind), "number": gap.number}
            await session.execute(_BEGIN, {**values, **more, "begins": gap.begins, "ends": gap.ends})
        elif (known[key].promised, known[key].stored) != (gap.promised, gap.stored):
            await session.execute(_CHANGE, {**values, "id": known[key].id})
    for key in known.keys() - gaps.keys():
        await session.execute(_CLOSE, {"id": known[key].id})


def _extra(gap: Gap) -> dict[str, object]:
    told = {"number": gap.number, "begins": gap.begins, "promised": gap.promised, "stored": gap.stored}
    return {"promised_by": gap.service, "kind": gap.kind, **told}
