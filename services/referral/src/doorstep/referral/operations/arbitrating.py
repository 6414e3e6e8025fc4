"""What waits for the arbiter: parts that two departments rejected, which nobody else may hand on any more.

Invariants: what waits is what `domain/routing.py` leaves to the arbiter alone; of each the list tells ids, which
departments rejected it, with the reason's code, and what they rejected where that is not confidential: no name, no word
of anybody. Violence is not in it. Whom a person keeps from their matter, and who has another duty on the record, does
not find it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, Reason, Role, TaskState
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault
from doorstep.referral.columns import open_detail
from doorstep.referral.domain.routing import REJECTIONS_BEFORE_ARBITER
from doorstep.referral.errors import CursorExpired
from doorstep.referral.operations.access import STAFF, Access
from doorstep.referral.operations.counting import COUNTED, counted, types_by_index
from doorstep.referral.operations.listing import FOR_ARBITER, KNOWN, LIVE

PAGE = 50

# The parts of a request are on one page: its rows are ties.
_DISPUTED = f"""
    SELECT r.request_id, r.subject_id, r.need_id, r.confidential, r.parts, t.part, t.version, t.state, t.department,
        CASE WHEN t.part = 1 THEN r.need_index ELSE t.part_index END AS need_index,
        CASE WHEN t.state = 'requested' THEN least(t.respond_by, r.hotline_due_by)
            ELSE (SELECT coalesce(max(s.at), t.opened_at) FROM task_transition s WHERE s.task_id = t.task_id)
        END AS since, r.opened_at AS received_at
    FROM {LIVE} AND {COUNTED} AND {FOR_ARBITER}
        AND (t.state IN ('draft', 'rejected') OR least(t.respond_by, r.hotline_due_by) < :now)
        AND NOT EXISTS (SELECT FROM exclusion x WHERE x.subject_id = r.subject_id AND x.staff = :who)
        AND NOT EXISTS (SELECT FROM duty d WHERE d.record_id = r.record_id AND d.person = :who AND d.role <> :role)
        AND (
            CAST(:after AS uuid) IS NULL
            OR (r.opened_at, r.request_id) > (
                SELECT a.opened_at, a.request_id FROM request a WHERE a.request_id = :after AND a.station = :station
            )
        )
    ORDER BY r.opened_at, r.request_id FETCH FIRST (:page) ROWS WITH TIES
"""  # noqa: S608
_REJECTED = """
    SELECT q.need_id, q.request_id, q.subject_id, b.part, b.task_id, b.department, s.version, s.at, s.detail
    FROM request q JOIN task b USING (request_id) JOIN task_transition s USING (task_id)
    WHERE q.need_id = ANY(CAST(:needs AS uuid[])) AND b.state = 'rejected' AND s.to_state = 'rejected'
    ORDER BY s.at, q.opened_at, b.sequence
"""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Which department rejected it, for which reason, and when."""

    department: Department
    reason: Reason | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Disputed:
    """A part that waits for the arbiter since then; with a `department`, it has the part and did not answer in time.

    `need_type` is None where it is confidential, or not known.
    """

    request_id: UUID
    part: int
    parts: int
    version: int
    state: TaskState
    department: Department | None
    need_type: str | None
    since: datetime
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class DisputedPage:
    """Some of what waits for the arbiter; there may be more after the request `next`."""

    disputed: tuple[Disputed, ...]
    next: UUID | None


async def list_disputed(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, after: UUID | None, now: datetime
) -> DisputedPage:
    """A page of what waits for the arbiter, the oldest request first, those after the request `after`; it is logged.

    No request is on two pages, so that one with several parts may make a page longer than PAGE.
    Raises CursorExpired where there is no such request.
    """
    if after is not None and not await run(session, KNOWN, {"station": station, "after": after}):
        raise CursorExpired
    values = {
        **counted(vault, station),
        "rejections": REJECTIONS_BEFORE_ARBITER,
        "who": vault.pairwise(STAFF, access.principal.subject),
        "role": Role.SUPERVISOR,
        "after": after,
        "page": PAGE,
        "now": now,
    }
    rows = await run(session, _DISPUTED, values)
    rows = sorted(rows, key=lambda row: (row["received_at"], row["request_id"], row["part"]))
    ring = await vault.ring({row["subject_id"] for row in rows})
    shown = [row for row in rows if row["subject_id"] in ring]
    rejected = await _rejections(session, ring, shown)
    types = types_by_index(vault, station)
    if shown:
        about = intents.distinct(row["subject_id"] for row in shown)
        intent = intents.Intent(Action.LIST_REQUESTS, about, purpose=access.purpose, policies=access.policies)
        intents.record(session, ring, intent, principal=access.principal)
    found = tuple(_disputed(row, types, rejected[_dispute(row)]) for row in shown)
    return DisputedPage(found, rows[-1]["request_id"] if len(rows) >= PAGE else None)


def _dispute(row: Mapping[str, Any]) -> tuple[UUID, int]:
    """By what rejections are counted together: for the lead the need, in linked requests too; else a part's request."""
    return (row["need_id"] if row["part"] == 1 else row["request_id"], row["part"])


async def _rejections(
    session: AsyncSession, ring: KeyRing, shown: Sequence[Mapping[str, Any]]
) -> dict[tuple[UUID, int], tuple[Rejection, ...]]:
    """The rejections of each dispute, the first one first."""
    disputes: dict[tuple[UUID, int], tuple[Rejection, ...]] = {_dispute(row): () for row in shown}
    rows: Iterable[Mapping[str, Any]] = ()
    if shown:
        rows = await run(session, _REJECTED, {"needs": list({row["need_id"] for row in shown})})
    for row in rows:
        dispute = _dispute(row)
        if dispute in disputes and row["subject_id"] in ring:
            detail = open_detail(ring, row["subject_id"], row["task_id"], row["version"], row["detail"])
            said = Rejection(Department(row["department"]), detail.reason, row["at"])
            disputes[dispute] = (*disputes[dispute], said)
    return disputes


def _disputed(row: Mapping[str, Any], types: Mapping[bytes, str], rejections: tuple[Rejection, ...]) -> Disputed:
    state = TaskState(row["state"])
    return Disputed(
        request_id=row["request_id"],
        part=row["part"],
        parts=row["parts"],
        version=row["version"],
        state=state,
        department=Department(row["department"]) if state is TaskState.REQUESTED else None,
        need_type=_told(types.get(bytes(row["need_index"] or b"")), row["confidential"]),
        since=row["since"],
        rejections=rejections,
    )


def _told(need_type: str | None, confidential: bool) -> str | None:
    """The need type, so that the arbiter can choose, unless it is confidential or the whole request is."""
    known = NEED_TYPES.get(need_type or "")
    return None if known is None or known.confidential or confidential else need_type
