"""Following: the states of requests for whoever holds a follow code, or the code of a proxy or of a child's guardian.

Invariants: of what is confidential a follow code shows that alone whose person named a safe contact; a proxy's and a
guardian's show none of it, and nothing that a department with a telling name ever had; all are answered alike where
there is nothing, and so is a guardian who was suspended or whose child is of age; appointments are told of that alone
which a proxy would be shown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import OPEN_DEPARTMENTS, Action, Purpose, TaskState
from doorstep.contracts.intake import SafeContact
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, SubjectErased, Vault
from doorstep.referral import queries
from doorstep.referral.columns import open_content, open_detail
from doorstep.referral.domain.appointments import Appointment
from doorstep.referral.domain.parts import together
from doorstep.referral.operations.proxies import guards
from doorstep.referral.queries import BY_CODE, LIVE, NEWER, NOT_CLOSED

_SHOWN = "SELECT r.follow_ref, t.states, r.subject_id, r.confidential, r.request_id, r.content"
_FOLLOW = f"{_SHOWN} {LIVE} WHERE {BY_CODE} ORDER BY r.opened_at, r.follow_ref"
_OPEN = """
    NOT r.confidential AND NOT EXISTS (
        SELECT FROM task o WHERE o.request_id = r.request_id
        AND coalesce(o.department, '') <> ALL(CAST(:departments AS text[]))
    )
    ORDER BY r.opened_at, r.follow_ref
"""
_MET = f"""
    SELECT t.task_id, r.request_id, r.subject_id FROM task t JOIN request r USING (request_id)
    WHERE r.request_id = ANY(CAST(:requests AS uuid[])) AND t.business_status = 'appointment-scheduled'
        AND t.closed_at IS NULL AND NOT EXISTS ({NEWER}) AND {_OPEN}
"""  # noqa: S608
_FOR_PROXY = f"""
    {_SHOWN} {LIVE} JOIN proxy p USING (subject_id)
    WHERE p.code = :index AND p.until > now() AND {NOT_CLOSED} AND {_OPEN}
"""
_FOR_GUARDIAN = f"{_SHOWN}, g.until {LIVE} JOIN guardian g USING (subject_id) WHERE g.code = :index AND {_OPEN}"


@dataclass(frozen=True, slots=True)
class FollowedRow:
    """A request that a code shows, with the one state of all its parts."""

    ref: UUID
    state: TaskState
    subject_id: UUID
    confidential: bool
    request_id: UUID
    content: bytes


@dataclass(frozen=True, slots=True)
class Followed:
    """A request that a code shows, the safe contact of a confidential one, and appointments that are not over."""

    row: FollowedRow
    safe: SafeContact | None
    appointments: tuple[Appointment, ...]


async def follow(session: AsyncSession, *, vault: Vault, follow_index: bytes, now: datetime) -> list[Followed]:
    """The requests of a code, a confidential one with the safe contact that its person named.

    An unknown code has none, nor has an erased subject's.
    """
    outcome, found = "done", _followed(await run(session, _FOLLOW, {"index": follow_index}))
    if not found:
        values = {"index": follow_index, "departments": sorted(OPEN_DEPARTMENTS)}
        outcome, found = "by-proxy", _followed(await run(session, _FOR_PROXY, values))
        if not found:
            outcome, found = "by-guardian", await _for_guardian(session, vault, values)
    subjects = intents.distinct(row.subject_id for row in found)
    if not subjects:
        return []
    ring = await vault.ring(subjects)
    intent = intents.Intent(Action.FOLLOW_REQUEST, subjects, purpose=Purpose.RESIDENT_REQUEST, outcome=outcome)
    try:
        intents.record(session, ring, intent)
    except SubjectErased:
        return []
    met = await _appointments(session, ring, found, now)
    return [Followed(row, _safe_contact(ring, row), met.get(row.request_id, ())) for row in found]


async def _appointments(
    session: AsyncSession, ring: KeyRing, found: Sequence[FollowedRow], now: datetime
) -> dict[UUID, tuple[Appointment, ...]]:
    """The appointments of requests that are not over, by request, the next one first."""
    values = {"requests": [row.request_id for row in found], "departments": sorted(OPEN_DEPARTMENTS)}
    tasks = await run(session, _MET, values)
    said = await queries.history(session, [row["task_id"] for row in tasks]) if tasks else []
    met: dict[UUID, list[Appointment]] = {}
    for task in tasks:
        details = [
            open_detail(ring, task["subject_id"], one.task_id, one.version, one.detail)
            for one in said
            if one.task_id == task["task_id"]
        ]
        newest = next((one.appointment for one in reversed(details) if one.appointment is not None), None)
        if newest is not None and newest.ends_at > now:
            met.setdefault(task["request_id"], []).append(newest)
    return {one: tuple(sorted(each, key=lambda made: made.starts_at)) for one, each in met.items()}


async def _for_guardian(session: AsyncSession, vault: Vault, values: dict[str, Any]) -> list[FollowedRow]:
    rows = [list(row) for row in await run(session, _FOR_GUARDIAN, values)]
    found, now = _followed(row[:-1] for row in rows), datetime.now(UTC)
    ring = await vault.ring([row.subject_id for row in found])
    return [
        row for row, (*_, until) in zip(found, rows, strict=True) if guards(ring, row.subject_id, bytes(until), now)
    ]


def _followed(rows: Iterable[Any]) -> list[FollowedRow]:
    return [FollowedRow(row[0], together([TaskState(one) for one in row[1]]), *list(row)[2:]) for row in rows]


def _safe_contact(ring: KeyRing, row: FollowedRow) -> SafeContact | None:
    if not row.confidential:
        return None
    return open_content(ring, row.subject_id, row.request_id, row.content).card.safe_contact
