"""Trying a directory on the open requests of a station: how many would go elsewhere, and nothing of any of them.

Invariants: nothing sealed is opened for it, so that conditions on facts, which it does not know, refuse nobody; counts
are told from FEWEST on and in steps of STEP; violence is in none and moves none, since it takes no room in any office
here (where requests are opened it does); it changes nothing, in the load neither.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral.domain.choosing import Asked, choose
from doorstep.referral.domain.directory import Directory
from doorstep.referral.domain.figures import told
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.counting import COUNTED, counted, types_by_index
from doorstep.referral.operations.in_force import in_force
from doorstep.referral.operations.offices import indexes, load_of

Place = tuple[Department | None, UUID | None]
"""Where a request is: with an office, with a department that finds one, or with nobody yet."""

_OPEN = f"""
    SELECT CASE WHEN t.part = 1 THEN r.need_index ELSE t.part_index END, t.department, t.office_index, t.opened_at,
        {COUNTED}
    FROM task t JOIN request r USING (request_id)
    WHERE r.station = :station AND t.closed_at IS NULL
        AND t.state IN ('draft', 'requested', 'accepted', 'in-progress', 'on-hold')
    ORDER BY t.opened_at, t.task_id
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Moves:
    """How many open requests are at a place, and would come to it or leave it; None for fewer than are told."""

    place: Place
    name: str | None
    here: int | None
    coming: int | None
    leaving: int | None


async def try_directory(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, directory: Directory
) -> tuple[Moves, ...]:
    """Route the station's open requests by `directory`, one after the other as they came; that it was asked is logged.

    Requests whose need type is not known stay where they are.
    """
    current = await in_force(session)
    known = {**(indexes(vault, current) if current else {}), **indexes(vault, directory)}
    types = types_by_index(vault, station)
    rows = await run(session, _OPEN, counted(vault, station))
    load = await load_of(session, vault, directory)
    load.subtract(known[bytes(row[2])] for row in rows if row[2] is not None and bytes(row[2]) in known)
    here, coming, leaving = Counter[Place](), Counter[Place](), Counter[Place]()
    for index, department, office, opened_at, is_counted in rows:
        if not is_counted:
            continue
        now_at = (None if department is None else Department(department), known.get(bytes(office or b"")))
        then_at = _then(directory, types.get(bytes(index or b"")), station, opened_at, load) or now_at
        here[now_at] += 1
        if then_at != now_at:
            leaving[now_at] += 1
            coming[then_at] += 1
    ring, concerned = await intents.concerned(vault, (), access.principal)
    intent = intents.Intent(Action.TRY_DIRECTORY, concerned, purpose=access.purpose, policies=access.policies)
    intents.record(session, ring, intent, principal=access.principal)
    return tuple(
        Moves(place, name, told(here[place]), told(coming[place]), told(leaving[place]))
        for place, name in _places(directory, current)
    )


def _then(directory: Directory, need_type: str | None, station: str, at: datetime, load: Counter[UUID]) -> Place | None:
    """Where a request would go; None where its need type is not known."""
    if need_type is None:
        return None
    urgent = NEED_TYPES[need_type].respond_hours == 1
    office = choose(directory, Asked(need_type, station, at, urgent), load).office
    if office is None:
        return None, None
    load[office.id] += 1
    return office.department, office.id


def _places(directory: Directory, current: Directory | None) -> Iterable[tuple[Place, str | None]]:
    """Every office of both directories, every department without one, and the queue: always all of them."""
    offices = {one.id: one for one in (*(current.offices if current else ()), *directory.offices)}
    yield from (((one.department, one.id), one.name) for one in sorted(offices.values(), key=lambda one: one.id))
    yield from (((department, None), None) for department in Department)
    yield (None, None), None
