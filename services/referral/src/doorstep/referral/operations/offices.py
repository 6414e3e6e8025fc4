"""Which office has a task: chosen by the directory in force, kept by an index that nobody reads without the keys.

What an office takes could tell what a request is about, so that its id is in no column. Invariant: an office has never
more open requests than it takes at once: where one counts them, openings go one after the other.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Department
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.vault import Vault, hold_erasing
from doorstep.referral.domain.choosing import Asked, Choice, choose
from doorstep.referral.domain.content import Content, terms
from doorstep.referral.domain.directory import Directory
from doorstep.referral.domain.routing import route
from doorstep.referral.operations.in_force import in_force
from doorstep.referral.queries import TaskRow

_OFFICE = "task.office"
_URGENT_HOURS = 1

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('office-load', 0))"
_LOAD = """
    SELECT office_index, count(*) FROM task WHERE office_index IS NOT NULL AND closed_at IS NULL GROUP BY office_index
"""


@dataclass
class Offices:
    """The directory in force and the load of its offices, which grows with each choice."""

    vault: Vault
    directory: Directory | None = None
    load: Counter[UUID] = field(default_factory=Counter)

    def choose(self, content: Content, station: str, at: datetime) -> tuple[Department | None, UUID | None]:
        """The department and the office for a need; without a directory its department alone, None for the queue."""
        if self.directory is None:
            return route(content.need.need_type), None
        choice = choose(self.directory, asked(content, station, at), self.load)
        if choice.office is None:
            return None, None
        self.load[choice.office.id] += 1
        return choice.office.department, choice.office.id

    def within(self, department: Department, content: Content, station: str, at: datetime) -> UUID | None:
        """The office for a need that somebody gives to `department`; None where it has none, so that it finds one."""
        if self.directory is None:
            return None
        office = choose(self.directory, asked(content, station, at), self.load).office
        return office.id if office is not None and office.department is department else None


def asked(content: Content, station: str, at: datetime) -> Asked:
    """What a request asks of the directory."""
    return Asked(
        need_type=content.need.need_type,
        station=station,
        at=at,
        urgent=terms(content).response_hours <= _URGENT_HOURS,
        language=content.card.language,
        facts={fact.code: fact.value for fact in content.facts},
    )


async def offices(session: AsyncSession, vault: Vault) -> Offices:
    """The offices as they are now; where one of them counts its requests, nobody else opens one until the end."""
    directory = await in_force(session)
    if directory is None:
        return Offices(vault)
    if any(one.capacity is not None for one in directory.offices):
        await hold_erasing(session)  # before the lock below, as whoever erases would have it
        await run(session, _LOCK, {})
    return Offices(vault, directory, await load_of(session, vault, directory))


async def load_of(session: AsyncSession, vault: Vault, directory: Directory) -> Counter[UUID]:
    """How many open requests each office of `directory` has."""
    known = indexes(vault, directory)
    rows = await run(session, _LOAD, {})
    return Counter({known[bytes(index)]: count for index, count in rows if bytes(index) in known})


def office_index(vault: Vault, office: UUID | None) -> bytes | None:
    """For `task.office_index`."""
    return None if office is None else vault.blind_index(_OFFICE, str(office))


def indexes(vault: Vault, directory: Directory) -> Mapping[bytes, UUID]:
    """The offices of `directory` by the index of their tasks."""
    return {vault.blind_index(_OFFICE, str(one.id)): one.id for one in directory.offices}


async def known_offices(session: AsyncSession, vault: Vault, tasks: Iterable[TaskRow]) -> Mapping[bytes, UUID]:
    """The offices of the directory in force by the index of their tasks; none where none of `tasks` has one."""
    if not any(task.office_index for task in tasks):
        return {}
    directory = await in_force(session)
    return {} if directory is None else indexes(vault, directory)


async def elsewhere(session: AsyncSession, vault: Vault, principal: Principal) -> frozenset[bytes]:
    """The offices, by the index of their tasks, whose requests are not there for `principal`: the others of theirs.

    None for who serves in no office, and where their department has none. What no office of the directory in force has
    is for everybody of the department, or nobody would answer it.
    """
    if principal.office is None:
        return frozenset()
    directory = await in_force(session)
    theirs = () if directory is None else directory.offices
    others = [one for one in theirs if one.department == principal.agency and str(one.id) != principal.office.lower()]
    return frozenset(vault.blind_index(_OFFICE, str(one.id)) for one in others)


async def explain(session: AsyncSession, vault: Vault, asking: Asked) -> tuple[Directory, Choice] | None:
    """What the directory in force says of a need that carries no facts; None without a directory."""
    directory = await in_force(session)
    if directory is None:
        return None
    return directory, choose(directory, asking, await load_of(session, vault, directory))
