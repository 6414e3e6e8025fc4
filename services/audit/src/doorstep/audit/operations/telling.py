"""Telling residents who used their data: by their follow code, or through a portal that identified them.

Invariants: the look is in the log, under whom it is about, with the transaction in which it is answered; what is told
later is in no answer; a code that nobody has, and one whose person was erased, take the steps of a known one and are
answered alike.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.usage import Seen, Usage, usages, usages_by_code
from doorstep.audit.operations.about import details_about
from doorstep.audit.operations.deferring import deferrals_of, matters_of
from doorstep.audit.operations.knowing import subjects_of_paper
from doorstep.audit.operations.submitting import holder_of
from doorstep.contracts.codes import Action, Purpose
from doorstep.kit.auth import Principal
from doorstep.kit.intents import Intent, Record, concerned
from doorstep.kit.vault import NOBODY, KeyRing, Vault

_FOLLOWED = text(
    """
    SELECT holder, 'done' AS outcome FROM follower WHERE code = :code
    UNION ALL SELECT holder, 'by-proxy' FROM proxy WHERE code = :code AND until > :now
    """
)
_SINCE = text("SELECT min(hour) FROM detail")


async def see_by_code(
    session: AsyncSession, *, vault: Vault, record: Record, code: bytes, now: datetime, log_unknown: bool = True
) -> list[Usage]:
    """What whoever holds the follow code, or the proxy's, of this index may see, the newest first.

    The look is logged under the code's person; that of a code which nobody has under nobody, unless not `log_unknown`.
    """
    found = (await session.execute(_FOLLOWED, {"code": code, "now": now})).first()
    subject = uuid4() if found is None else holder_of(vault, found.holder)
    own = await vault.ring([NOBODY], create=True)
    ring = await vault.ring([subject])
    seen = await _told(session, vault, ring, [subject], now)
    known = subject in ring
    if known or log_unknown:
        outcome = found.outcome if known and found is not None else "done"
        about = [subject if known else NOBODY]
        intent = Intent(Action.SEE_WHO_LOOKED, about, Purpose.RESIDENT_REQUEST, outcome=outcome)
        record(session, ring if known else own, intent)
    return usages_by_code(seen)


async def see_by_paper(
    session: AsyncSession,
    *,
    vault: Vault,
    record: Record,
    principal: Principal,
    policies: tuple[str, ...],
    number: str,
    now: datetime,
) -> list[Usage]:
    """All that may be told to the resident whose paper has this number, the newest first; logged under them.

    Where there is none, or they were erased, the look is about the portal that asked.
    """
    found = await subjects_of_paper(session, vault=vault, number=number)
    ring, subjects = await concerned(vault, found, principal)
    seen = await _told(session, vault, ring, [one for one in found if one in ring], now)
    intent = Intent(Action.SEE_WHO_LOOKED, subjects, Purpose.RESIDENT_REQUEST, policies=policies)
    record(session, ring, intent, principal=principal)
    return usages(seen)


async def told_since(session: AsyncSession) -> datetime | None:
    """The hour from which on the log holds details; None before the first."""
    since: datetime | None = await session.scalar(_SINCE)
    return since


async def _told(
    session: AsyncSession, vault: Vault, ring: KeyRing, subjects: Sequence[UUID], now: datetime
) -> list[Seen]:
    """The details about these subjects, without the entries that are told later to one of them."""
    found: list[Seen] = []
    deferred: set[UUID] = set()
    for subject in subjects:
        seen = await details_about(session, vault, ring, subject)
        deferrals = await deferrals_of(session, vault, subject)
        for one in seen if deferrals else ():
            matters = matters_of(vault, one.detail)
            if any(deferral.hides(one.at, matters, now) for deferral in deferrals):
                deferred.add(one.entry_id)
        found += seen
    return [one for one in found if one.entry_id not in deferred]
