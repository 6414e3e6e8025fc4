"""Completions that were counted before the calendar of their year was published are counted anew when it is.

A release brings what was published: a worker looks when it starts, and daily, for one of the version before may work
beside it. What was rejected is counted as well, for it is handed on with its completion. Departments see the new time
in their requests, and in offers that they get or decrypt later.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis
from doorstep.contracts.feeds import Offer
from doorstep.kit import calendar, intents
from doorstep.kit.db import DATABASE_ERRORS, Database, run
from doorstep.kit.telemetry import describe
from doorstep.kit.vault import KeyRing, Vault, hold_erasing
from doorstep.kit.wakeups import sleep_unless
from doorstep.referral.columns import open_content, open_part
from doorstep.referral.domain.content import terms
from doorstep.referral.domain.deadlines import due_times, whole_minute
from doorstep.referral.domain.orders import bound
from doorstep.referral.domain.pauses import extended
from doorstep.referral.operations.offered import change_offers
from doorstep.referral.queries import NEWER

log = logging.getLogger(__name__)

_AGAIN = 10.0  # seconds, when the database was away
_DAILY = 86_400.0
_BATCH = 200
_PROVISIONAL = f"""
    SELECT t.task_id, t.ref, t.complete_by, t.paused_at, t.paused_until, t.part_need,
        CASE WHEN t.part = 1 THEN r.opened_at ELSE (
            SELECT min(f.opened_at) FROM task f WHERE f.request_id = t.request_id AND f.part = t.part
        ) END AS opened_at,
        r.request_id, r.subject_id, r.record_id, coalesce(t.part_basis, r.legal_basis) AS legal_basis, r.content,
        r.hotline_due_by
    FROM task t JOIN request r USING (request_id)
    WHERE t.provisional AND (t.closed_at IS NULL OR t.state = 'rejected')
        AND (CAST(:after AS uuid) IS NULL OR t.task_id > :after)
        AND NOT EXISTS ({NEWER})
    ORDER BY t.task_id LIMIT :batch FOR NO KEY UPDATE OF t
"""  # noqa: S608
_RECALCULATE = """
    UPDATE task SET complete_by = new.complete_by, provisional = new.provisional,
        complete_by_unpaused = CASE WHEN task.paused_at IS NOT NULL THEN new.unpaused END
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:times AS timestamptz[]), CAST(:provisionals AS boolean[]),
        CAST(:unpaused AS timestamptz[])
    ) AS new (task_id, complete_by, provisional, unpaused)
    WHERE task.task_id = new.task_id
"""


class Recalculation:
    """Looks at every provisional completion, daily; several processes may look side by side."""

    def __init__(self, database: Database, vault: Vault) -> None:
        """Look into `database`; `vault` opens what a request is about."""
        self._database = database
        self._vault = vault

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until `stopping` is set."""
        while not stopping.is_set():
            await self._look_through(stopping)
            await sleep_unless(stopping, _DAILY)

    async def _look_through(self, stopping: asyncio.Event) -> None:
        seen, changed, through = None, 0, False
        while not (through or stopping.is_set()):
            try:
                seen, more = await self.look(seen)
            except DATABASE_ERRORS as error:
                log.warning("provisional completions not looked at", extra={"error": describe(error)})
                await sleep_unless(stopping, _AGAIN)
            else:
                changed, through = changed + more, seen is None
        if changed:
            log.info("completions counted anew", extra={"count": changed})

    async def look(self, after: UUID | None) -> tuple[UUID | None, int]:
        """Count some anew, of the tasks behind `after`; gives the last of these, if there may be more, and how many.

        Raises one of DATABASE_ERRORS.
        """
        async with self._database.transaction() as session:
            await hold_erasing(session)
            rows = await run(session, _PROVISIONAL, {"after": after, "batch": _BATCH})
            ring = await self._vault.ring({row["subject_id"] for row in rows})
            changed = await _recalculate(session, ring, [row for row in rows if row["subject_id"] in ring])
        return (rows[-1]["task_id"] if len(rows) == _BATCH else None), changed


async def _recalculate(session: AsyncSession, ring: KeyRing, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write and tell what is due otherwise than was said, or for certain now; how many these were."""
    due, unpaused = {}, {}
    for row in rows:
        whole = open_content(ring, row["subject_id"], row["request_id"], row["content"])
        on = terms(open_part(ring, row["subject_id"], row["task_id"], whole, row["part_need"]))
        found = due_times(row["opened_at"], on.response_hours, on.completion_days, calendar.worked)
        unpaused[row["task_id"]] = found.completion
        if row["paused_at"] is not None:
            paused = extended(found.completion, row["paused_at"], row["paused_until"], calendar.worked)
            found = replace(found, completion=paused)
        if found.completion != row["complete_by"] or not found.provisional:
            due[row["task_id"]] = found
    times, provisionals = [one.completion for one in due.values()], [one.provisional for one in due.values()]
    await run(session, _RECALCULATE, {
        "ids": list(due), "times": times, "provisionals": provisionals, "unpaused": [unpaused[one] for one in due],
    })  # fmt: skip
    moved = [row for row in rows if row["task_id"] in due and due[row["task_id"]].completion != row["complete_by"]]
    for row in moved:
        intents.record(session, ring, _intent(row))
    offered = {row["ref"]: row for row in moved if row["ref"] is not None}

    def recalculated(offer: Offer) -> Offer:
        row = offered[offer.ref]
        binding = bound(due[row["task_id"]], row["hotline_due_by"])
        return offer.model_copy(update={"complete_by": whole_minute(binding.completion)})

    await change_offers(session, ring, {ref: row["subject_id"] for ref, row in offered.items()}, recalculated)
    return len(due)


def _intent(row: Mapping[str, Any]) -> intents.Intent:
    return intents.Intent(
        Action.RECALCULATE_DUE,
        [row["subject_id"]],
        legal_basis=LegalBasis(row["legal_basis"]),
        case=row["request_id"],
        record=row["record_id"],
    )
