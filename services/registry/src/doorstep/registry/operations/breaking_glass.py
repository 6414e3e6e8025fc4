"""Emergency access: a file opened for an hour to one person, of which a second is told, and which a third reviews.

Invariants: who opened it, who was told and who reviews it are three people; who is told was at the station lately; the
access, its entry in the log and the event that opens the file elsewhere commit together; whether it is open, and
whether its review is overdue, is computed from stored times.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, BreakGlassFinding, BreakGlassReason, LegalBasis, Purpose, Role
from doorstep.contracts.envelope import Contract
from doorstep.contracts.registry import FileOpened
from doorstep.kit import intents, outbox
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.edge import open_file
from doorstep.kit.intents import Intent, staff_subject
from doorstep.kit.policy import Forbidden, Policy, Resource
from doorstep.kit.vault import Vault
from doorstep.registry import queries
from doorstep.registry.errors import (
    BreakGlassUnknown,
    FileUnknown,
    NotTheSecond,
    Reviewed,
    SecondUnknown,
    ThirdPersonMustReview,
)
from doorstep.registry.operations.asking import STAFF
from doorstep.registry.operations.roster import was_here

OPEN_FOR = timedelta(hours=1)
REVIEW_WITHIN = timedelta(days=1)
MOST_LISTED = 200

OVERDUE = Gauge("doorstep_break_glass_overdue", "Emergency accesses that nobody reviewed within a day.")

_COLUMNS = """
    b.break_glass_id, b.file_id, b.reason, b.opened_by, b.second, b.people, b.people_key, b.opened_at, b.until,
    b.acknowledged_at, b.reviewed_by, b.reviewed_at, b.finding
"""
_INSERT = """
    INSERT INTO break_glass (
        break_glass_id, file_id, reason, opened_by, second, people, people_key, opened_at, until
    )
    VALUES (
        :break_glass_id, :file_id, :reason, :opened_by, :second, :people, :people_key, :opened_at, :until
    )
"""
_LOCK = f"""
    SELECT {_COLUMNS} FROM break_glass b JOIN file USING (file_id)
    WHERE break_glass_id = :id AND station = :station FOR UPDATE OF b
"""  # noqa: S608
_LIST = f"""
    SELECT {_COLUMNS} FROM break_glass b JOIN file USING (file_id)
    WHERE station = :station AND (:everybody OR opened_by = :person OR second = :person)
    ORDER BY (reviewed_at IS NOT NULL), opened_at DESC LIMIT {MOST_LISTED}
"""  # noqa: S608
_ACKNOWLEDGE = """
    UPDATE break_glass SET acknowledged_at = coalesce(acknowledged_at, :now) WHERE break_glass_id = :id
    RETURNING acknowledged_at
"""
_REVIEW = """
    UPDATE break_glass SET reviewed_by = :person, reviewed_at = :now, finding = :finding WHERE break_glass_id = :id
"""
_OVERDUE = text("SELECT count(*) FROM break_glass WHERE reviewed_at IS NULL AND opened_at < now() - interval '1 day'")


class People(Contract):
    """`break_glass.people`: who broke the glass and who was named second, as tokens call them."""

    opened_by: str
    second: str


@dataclass(frozen=True)
class BreakGlassRow:
    """An emergency access; people are pseudonyms, `people` is sealed under the key of who opened it."""

    break_glass_id: UUID
    file_id: UUID
    reason: str
    opened_by: UUID
    second: UUID
    people: bytes
    people_key: UUID
    opened_at: datetime
    until: datetime
    acknowledged_at: datetime | None
    reviewed_by: UUID | None
    reviewed_at: datetime | None
    finding: str | None

    def overdue(self, now: datetime) -> bool:
        """Whether it should have been reviewed by now."""
        return (self.reviewed_at or now) > self.opened_at + REVIEW_WITHIN


@dataclass(frozen=True)
class Noticed:
    """An emergency access as it is listed; `people` is None once who opened it was erased."""

    row: BreakGlassRow
    people: People | None


async def break_glass(
    session: AsyncSession,
    *,
    vault: Vault,
    policy: Policy,
    principal: Principal,
    break_glass_id: UUID,
    file_id: UUID,
    reason: BreakGlassReason,
    second: str,
    now: datetime,
) -> datetime:
    """Open a file of the station to the caller; `second` is who is told at once. Until when it is open.

    Raises FileUnknown, SecondUnknown, Forbidden.
    """
    policies = authorize(policy, principal, Action.BREAK_GLASS)
    opened_by, until = vault.pairwise(STAFF, principal.subject), now + OPEN_FOR
    station = principal.station or ""
    known = await queries.lock_file(session, file_id, station)
    if not known or await queries.excludes(session, file_id, opened_by):
        raise FileUnknown
    if not await was_here(session, vault=vault, station=station, subject=second, today=now.date()):
        raise SecondUnknown
    key = staff_subject(vault, principal)
    staff = await vault.ring([key], create=True)
    people = People(opened_by=principal.subject, second=second).model_dump_json().encode()
    values = {
        "break_glass_id": break_glass_id,
        "file_id": file_id,
        "reason": reason,
        "opened_by": opened_by,
        "second": vault.pairwise(STAFF, second),
        "people": staff.encrypt(key, _context(break_glass_id), people),
        "people_key": key,
        "opened_at": now,
        "until": until,
    }
    await run(session, _INSERT, values)
    event = FileOpened(opening_id=break_glass_id, file_id=file_id, opened_by=opened_by, opened_at=now, until=until)
    await open_file(session, event)
    outbox.add(session, event, key=file_id, subject=break_glass_id)
    await _log(session, vault, principal, Action.BREAK_GLASS, break_glass_id, file_id, policies, reason)
    return until


async def list_break_glass(
    session: AsyncSession, *, vault: Vault, policy: Policy, principal: Principal
) -> list[Noticed]:
    """The station's emergency accesses, those without review first; to collectors only those that name them.

    Raises Forbidden.
    """
    policies = authorize(policy, principal, Action.LIST_BREAK_GLASS)
    values = {
        "station": principal.station or "",
        "everybody": principal.role is not Role.COLLECTOR,
        "person": vault.pairwise(STAFF, principal.subject),
    }
    rows = [BreakGlassRow(*row) for row in await run(session, _LIST, values)]
    ring = await vault.ring({row.people_key for row in rows})
    found = []
    for row in rows:
        people = None
        if row.people_key in ring:
            people = People.model_validate_json(ring.decrypt(row.people_key, _context(row.break_glass_id), row.people))
        found.append(Noticed(row, people))
    own, concerned = await intents.concerned(vault, (), principal)
    intent = Intent(Action.LIST_BREAK_GLASS, concerned, purpose=Purpose.EMERGENCY, policies=policies)
    intents.record(session, own, intent, principal=principal)
    return found


async def acknowledge_break_glass(
    session: AsyncSession, *, vault: Vault, policy: Policy, principal: Principal, break_glass_id: UUID, now: datetime
) -> datetime:
    """The second person says that they were told; when they said so first. Raises BreakGlassUnknown, NotTheSecond."""
    policies = authorize(policy, principal, Action.ACKNOWLEDGE_BREAK_GLASS)
    row = await _locked(session, break_glass_id, principal)
    if row.second != vault.pairwise(STAFF, principal.subject):
        raise NotTheSecond
    rows = await run(session, _ACKNOWLEDGE, {"id": break_glass_id, "now": now})
    at: datetime = rows[0]["acknowledged_at"]
    if row.acknowledged_at is None:
        action = Action.ACKNOWLEDGE_BREAK_GLASS
        await _log(session, vault, principal, action, break_glass_id, row.file_id, policies, "acknowledged")
    return at


async def review_break_glass(
    session: AsyncSession,
    *,
    vault: Vault,
    policy: Policy,
    principal: Principal,
    break_glass_id: UUID,
    finding: BreakGlassFinding,
    now: datetime,
) -> None:
    """A third person says whether an emergency access was justified; that stands.

    Raises BreakGlassUnknown, ThirdPersonMustReview, Reviewed, Forbidden.
    """
    authorize(policy, principal, Action.REVIEW_BREAK_GLASS)
    row = await _locked(session, break_glass_id, principal)
    person = vault.pairwise(STAFF, principal.subject)
    try:
        thing = Resource("break-glass", station=principal.station, proposer=person in (row.opened_by, row.second))
        policies = policy.authorize(principal, Action.REVIEW_BREAK_GLASS, thing).policies
    except Forbidden:
        raise ThirdPersonMustReview from None
    if row.reviewed_at is not None:
        raise Reviewed
    await run(session, _REVIEW, {"id": break_glass_id, "person": person, "now": now, "finding": finding})
    action = Action.REVIEW_BREAK_GLASS
    await _log(session, vault, principal, action, break_glass_id, row.file_id, policies, finding)


async def subjects_of_break_glass(session: AsyncSession, break_glass_id: UUID) -> list[UUID]:
    """Whom a file of any station is about that was opened in an emergency."""
    query = text(
        "SELECT DISTINCT subject_id FROM subject JOIN break_glass USING (file_id) WHERE break_glass_id = :id ORDER BY 1"
    )
    return list(await session.scalars(query, {"id": break_glass_id}))


async def count_overdue(session: AsyncSession) -> int:
    """How many emergency accesses wait for their review for longer than a day; the metric says so too."""
    found = int((await session.execute(_OVERDUE)).scalar_one())
    OVERDUE.set(found)
    return found


def authorize(policy: Policy, principal: Principal, action: Action) -> tuple[str, ...]:
    """The policies that let somebody of a station do `action`. Raises Forbidden."""
    if principal.station is None:
        policy.authorize(principal, action, Resource("break-glass"))
        raise Forbidden(action)
    return policy.authorize(principal, action, Resource("break-glass", station=principal.station)).policies


async def _locked(session: AsyncSession, break_glass_id: UUID, principal: Principal) -> BreakGlassRow:
    rows = await run(session, _LOCK, {"id": break_glass_id, "station": principal.station or ""})
    if not rows:
        raise BreakGlassUnknown
    return BreakGlassRow(*rows[0])


def _context(break_glass_id: UUID) -> str:
    return f"break_glass.people:{break_glass_id}"


async def _log(
    session: AsyncSession,
    vault: Vault,
    principal: Principal,
    action: Action,
    break_glass_id: UUID,
    file_id: UUID,
    policies: tuple[str, ...],
    outcome: str,
) -> None:
    """Log a step under all whom the file is about."""
    ring, subjects = await intents.concerned(vault, await queries.subject_ids(session, file_id), principal)
    intent = Intent(
        action,
        subjects,
        purpose=Purpose.EMERGENCY,
        legal_basis=LegalBasis.VITAL_INTEREST,
        case=break_glass_id,
        outcome=outcome,
        policies=policies,
    )
    intents.record(session, ring, intent, principal=principal)


def listed(found: Noticed, now: datetime) -> dict[str, Any]:
    """What is told of an emergency access: who, when, why, which file, and nothing of what it holds."""
    row, people = found.row, found.people
    return {
        "break_glass_id": row.break_glass_id,
        "file_id": row.file_id,
        "reason": row.reason,
        "opened_by": people and people.opened_by,
        "second": people and people.second,
        "opened_at": row.opened_at,
        "until": row.until,
        "acknowledged_at": row.acknowledged_at,
        "reviewed_at": row.reviewed_at,
        "finding": row.finding,
        "review_by": row.opened_at + REVIEW_WITHIN,
        "overdue": row.overdue(now),
    }
