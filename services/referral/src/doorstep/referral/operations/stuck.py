"""The register of what is stuck: late by half as much again as there was time, by the unit that owes it.

Invariants: late is computed from the stored times as domain/deadlines.py does; a request says its id, where it is and
since when, and its need type where that tells nothing of its person; violence is not in it; nothing of a request is
opened for it; whom a person keeps from their matter does not find it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.exclusions import excluding
from doorstep.kit.vault import Vault
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.domain.figures import guarded
from doorstep.referral.operations.access import STAFF, Access
from doorstep.referral.operations.counting import COUNTED, counted, types_by_index
from doorstep.referral.operations.in_force import in_force
from doorstep.referral.operations.offices import indexes
from doorstep.referral.queries import NEWER

MOST = 500
"""So many are listed, those that are stuck longest; whether there are more is told."""

_STUCK = f"""
    WITH owed AS (
        SELECT r.request_id, r.subject_id, CASE WHEN t.part = 1 THEN r.need_index ELSE t.part_index END AS need_index,
            r.confidential, t.department, t.office_index, t.opened_at,
            CASE WHEN t.state IN ('draft', 'requested') THEN t.respond_by ELSE t.complete_by END AS due,
            t.state IN ('draft', 'requested') AS unanswered
        FROM request r JOIN task t USING (request_id)
        WHERE {COUNTED} AND NOT EXISTS ({NEWER})
            AND t.state IN ('draft', 'requested', 'accepted', 'in-progress', 'on-hold')
    ), stuck AS (
        SELECT *, opened_at + (greatest(due - opened_at, interval '1 second')) * 1.5 AS since FROM owed
    )
    SELECT request_id, subject_id, need_index, confidential, department, office_index, due, unanswered, since
    FROM stuck WHERE since <= :now ORDER BY since, request_id LIMIT :most
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Stuck:
    """A request that is stuck: what it owes is a first response if `unanswered`, else the completion."""

    request_id: UUID
    need_type: str | None
    unanswered: bool
    due: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class Unit:
    """Who has stuck requests: an office, a department that finds one, or nobody yet."""

    department: Department | None
    office: UUID | None
    name: str | None
    stuck: tuple[Stuck, ...]


async def list_stuck(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, now: datetime
) -> tuple[tuple[Unit, ...], bool]:
    """What is stuck, by unit, the longest first, and whether there is more; that it was read is logged with each."""
    rows = await run(session, _STUCK, {**counted(vault, station), "now": now, "most": MOST + 1})
    who = vault.pairwise(STAFF, access.principal.subject)
    closed = await excluding(session, who, [row[1] for row in rows]) if rows else set()
    found = [row for row in rows[:MOST] if row[1] not in closed]
    ring, concerned = await intents.concerned(vault, [row[1] for row in found], access.principal)
    intent = intents.Intent(
        Action.SEE_FIGURES, concerned, purpose=access.purpose, policies=access.policies, asked="stuck"
    )
    intents.record(session, ring, intent, principal=access.principal)
    return await _units(session, vault, station, found), len(rows) > MOST


async def _units(session: AsyncSession, vault: Vault, station: str, rows: Sequence[Any]) -> tuple[Unit, ...]:
    directory = await in_force(session)
    offices = {} if directory is None else indexes(vault, directory)
    names = {} if directory is None else {one.id: one.name for one in directory.offices}
    types = types_by_index(vault, station)
    units: dict[tuple[Department | None, UUID | None], list[Stuck]] = {}
    for request_id, _, index, confidential, department, office_index, due, unanswered, since in rows:
        at = None if department is None else Department(department)
        office = offices.get(b"" if office_index is None else bytes(office_index))
        need_type = _told(types.get(b"" if index is None else bytes(index)), at, confidential)
        one = Stuck(request_id, need_type, unanswered, whole_minute(due), whole_minute(since))
        units.setdefault((at, office), []).append(one)
    return tuple(
        Unit(department, office, None if office is None else names[office], tuple(stuck))
        for (department, office), stuck in sorted(units.items(), key=lambda unit: str(unit[0]))
    )


def _told(need_type: str | None, department: Department | None, confidential: bool) -> str | None:
    """The need type where it tells nothing of a person, and is with the department that owes it."""
    need = NEED_TYPES.get(need_type or "")
    if need is None or confidential or guarded(need) or need.department is not department:
        return None
    return need_type
