"""The check that nothing is lost: needs without a request, requests or parts without owner, tasks without deadline.

Needs are compared with what referral itself heard of triage: each need that it takes is noted in the transaction that
opens its request, and what it could not take waits as a dead letter or as a parked message. No other service's database
is read. The erased are no loss.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.risk import AssessedNeed
from doorstep.kit.db import DATABASE_ERRORS, Database, run
from doorstep.kit.telemetry import LOST, describe
from doorstep.kit.vault import hold_erasing
from doorstep.kit.wakeups import sleep_unless
from doorstep.referral.domain.losses import Loss
from doorstep.referral.queries import NEWER

log = logging.getLogger(__name__)

_AGAIN = 10.0  # seconds, when the database was away
_DAILY = 86_400.0
_SHOWN = 20
_NEEDS = "risk.needs"
_HEAR = """
    INSERT INTO heard_need (need_id, subject_id, station, heard_at)
    SELECT need_id, subject_id, :station, now()
    FROM unnest(CAST(:needs AS uuid[]), CAST(:subjects AS uuid[])) AS new (need_id, subject_id)
    WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = new.subject_id)
    ON CONFLICT DO NOTHING
"""
_OPEN = "t.state IN ('draft', 'requested', 'accepted', 'in-progress', 'on-hold')"
CHECKS: dict[Loss, str] = {
    Loss.NEED_WITHOUT_REQUEST: """
        SELECT h.need_id FROM heard_need h
        WHERE NOT EXISTS (SELECT FROM request r WHERE r.need_id = h.need_id)
            AND NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = h.subject_id)
    """,
    Loss.MESSAGE_NOT_TAKEN: f"""
        SELECT id FROM dead_letter WHERE topic = '{_NEEDS}' AND replayed_at IS NULL
        UNION SELECT key FROM parked WHERE topic = '{_NEEDS}'
    """,  # noqa: S608
    Loss.REQUEST_WITHOUT_OWNER: f"""
        SELECT r.request_id FROM request r LEFT JOIN task t ON t.request_id = r.request_id AND NOT EXISTS ({NEWER})
        GROUP BY r.request_id
        HAVING count(t.task_id) <> r.parts OR r.station = ''
            OR bool_or(t.department IS NULL AND t.state <> 'draft' AND {_OPEN})
    """,  # noqa: S608
    Loss.TASK_WITHOUT_DEADLINE: f"""
        SELECT DISTINCT t.request_id FROM task t
        WHERE {_OPEN} AND (
            NOT isfinite(t.respond_by) OR NOT isfinite(t.complete_by) OR t.respond_by < t.opened_at
            OR (t.look_at IS NULL AND NOT EXISTS (SELECT FROM announcement a WHERE a.task_id = t.task_id))
        )
    """,  # noqa: S608
}


@dataclass(frozen=True, slots=True)
class Lost:
    """How many are lost in one way, and the ids of some."""

    loss: Loss
    count: int
    ids: tuple[UUID, ...]


async def hear_needs(session: AsyncSession, station: str, needs: Sequence[AssessedNeed]) -> None:
    """Note needs that are to be requests, with the transaction that opens these."""
    if needs:
        await hold_erasing(session)
        values = {"needs": [need.need_id for need in needs], "subjects": [need.subject_id for need in needs]}
        await run(session, _HEAR, {**values, "station": station})


async def find_lost(session: AsyncSession) -> tuple[Lost, ...]:
    """All that is lost, each kind with what it counts, also where that is nothing."""
    found = []
    for loss, query in CHECKS.items():
        counted = f"SELECT lost.*, count(*) OVER () FROM ({query}) AS lost ORDER BY 1 LIMIT {_SHOWN}"  # noqa: S608
        rows = await run(session, counted, {})
        found.append(Lost(loss, rows[0][1] if rows else 0, tuple(row[0] for row in rows)))
    return tuple(found)


class Completeness:
    """Checks when it starts and daily, and tells what it finds by metric and log."""

    def __init__(self, database: Database) -> None:
        """Look into `database`."""
        self._database = database

    async def run(self, stopping: asyncio.Event) -> None:
        """Check until `stopping` is set."""
        while not stopping.is_set():
            try:
                await self.look()
            except DATABASE_ERRORS as error:
                log.warning("requests not checked", extra={"error": describe(error)})
                await sleep_unless(stopping, _AGAIN)
            else:
                await sleep_unless(stopping, _DAILY)

    async def look(self) -> None:
        """Set the figures. Raises one of DATABASE_ERRORS."""
        async with self._database.transaction() as session:
            found = await find_lost(session)
        for one in found:
            LOST.labels(one.loss).set(one.count)
            if one.count:
                log.error("requests are lost", extra={"kind": one.loss, "count": one.count})
