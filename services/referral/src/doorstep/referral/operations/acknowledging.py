"""Erasure acknowledged: a department says that it deleted what it held of a request that is no longer its own."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department
from doorstep.contracts.feeds import ACKNOWLEDGE_DAYS
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import NOBODY, Vault
from doorstep.referral import queries
from doorstep.referral.errors import NothingToErase, RequestUnknown
from doorstep.referral.operations.access import Access
from doorstep.referral.queries import OwedRow

_ACKNOWLEDGE = """
    UPDATE owed_erasure SET acknowledged_at = :now, acknowledged_by = :person
    WHERE department = :department AND ref = :ref AND acknowledged_at IS NULL RETURNING acknowledged_at
"""
_KNOWN = "SELECT acknowledged_at FROM owed_erasure WHERE department = :department AND ref = :ref"


async def acknowledge_erasure(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, ref: UUID, now: datetime
) -> datetime:
    """Note that the department deleted what it held of `ref`; since when. Said again, it changes nothing.

    Raises NothingToErase for a request that is still the department's, and RequestUnknown.
    """
    values = {"department": department, "ref": ref}
    rows = await run(session, _ACKNOWLEDGE, {**values, "now": now, "person": access.principal.subject})
    if not rows:
        known = await run(session, _KNOWN, values)
        if known:
            return known[0][0]  # type: ignore[no-any-return]
        if await queries.department_task(session, department, ref) is None:
            raise RequestUnknown
        raise NothingToErase
    subjects = await queries.subjects_of_ref(session, ref)
    ring = await vault.ring([*subjects, NOBODY], create=False)
    about = intents.distinct(one for one in subjects if one in ring)
    if not about:
        ring, about = await vault.ring([NOBODY], create=True), (NOBODY,)
    intent = intents.Intent(
        Action.ACKNOWLEDGE_ERASURE, about, purpose=access.purpose, case=ref, policies=access.policies
    )
    intents.record(session, ring, intent, principal=access.principal)
    return now


async def list_unerased(session: AsyncSession, *, station: str, now: datetime) -> tuple[dict[str, int], list[OwedRow]]:
    """What the station's departments should have acknowledged by now: how many each, and the oldest by their refs."""
    return await queries.owed_erasures(session, station, before=now - timedelta(days=ACKNOWLEDGE_DAYS))
