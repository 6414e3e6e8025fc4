"""The station's roster: who was here lately, by pseudonym, and could be told of an emergency access.

It is kept from tokens that were accepted here, for there is no list of staff but the issuer's. Invariants: only
somebody whom policy lets acknowledge an emergency access is on it; who comes with a token of the police, of a
political-legal or petition agency is taken off; nobody is on it for longer than SEEN_DAYS after they were last seen.
"""

from datetime import date, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.policy import NEVER, Policy, Resource, agency_kind
from doorstep.kit.vault import Vault
from doorstep.registry.operations.asking import STAFF

SEEN_DAYS = 30

_SEE = """
    INSERT INTO roster (station, person, seen_on) VALUES (:station, :person, :today)
    ON CONFLICT (station, person) DO UPDATE SET seen_on = excluded.seen_on WHERE roster.seen_on < excluded.seen_on
"""
_STRIKE = "DELETE FROM roster WHERE person = :person"
_FORGET = "DELETE FROM roster WHERE seen_on < :oldest"
_SEEN = "SELECT 1 FROM roster WHERE station = :station AND person = :person AND seen_on >= :oldest"


def belongs(policy: Policy, principal: Principal) -> bool:
    """Whether somebody can be told of an emergency access at the station that their token names."""
    thing = Resource("break-glass", station=principal.station)
    return principal.station is not None and policy.permits(principal, Action.ACKNOWLEDGE_BREAK_GLASS, thing)


def barred(principal: Principal) -> bool:
    """Whether their token is of an agency that does nothing here."""
    return agency_kind(principal.agency) in NEVER


async def see(session: AsyncSession, *, vault: Vault, principal: Principal, today: date) -> None:
    """Somebody who belongs to the station was here today."""
    person = vault.pairwise(STAFF, principal.subject)
    await run(session, _SEE, {"station": principal.station, "person": person, "today": today})


async def strike(session: AsyncSession, *, vault: Vault, principal: Principal) -> None:
    """Take somebody off the roster of every station."""
    await run(session, _STRIKE, {"person": vault.pairwise(STAFF, principal.subject)})


async def was_here(session: AsyncSession, *, vault: Vault, station: str, subject: str, today: date) -> bool:
    """Whether whom tokens call `subject` is on the station's roster."""
    oldest, person = today - timedelta(days=SEEN_DAYS), vault.pairwise(STAFF, subject)
    return bool(await run(session, _SEEN, {"station": station, "person": person, "oldest": oldest}))


async def forget_unseen(session: AsyncSession, *, today: date) -> None:
    """Take off who was not seen for too long."""
    await run(session, _FORGET, {"oldest": today - timedelta(days=SEEN_DAYS)})
