"""Telling residents, and guardians of children, who used their data: by a code, or through a portal that identified
them.

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
from doorstep.audit.operations.knowing import subjects_of_paper, wards_by_code, wards_by_paper
from doorstep.audit.operations.submitting import holder_of
from doorstep.contracts.codes import Action, Purpose
from doorstep.kit.auth import Principal
from doorstep.kit.intents import Intent, Record, concerned
from doorstep.kit.vault import NOBODY, KeyRing, Vault

_FOLLOWED = text(
    """
    SELECT code, holder, 'done' AS outcome FROM follower f WHERE code = ANY(CAST(:codes AS bytea[])) AND NOT closed
    AND NOT EXISTS (SELECT FROM guardian g WHERE g.subject = f.subject AND g.closed)
    UNION ALL
    SELECT code, holder, 'by-proxy' FROM proxy p WHERE code = ANY(CAST(:codes AS bytea[])) AND until > :now
    AND NOT EXISTS (SELECT FROM guardian g WHERE g.subject = p.subject AND g.closed)
    ORDER BY code
    """
)
_SINCE = text("SELECT min(hour) FROM detail")


async def see_by_codes(
    session: AsyncSession,
    *,
    vault: Vault,
    record: Record,
    codes: Sequence[bytes],
    now: datetime,
    log_unknown: bool = True,
) -> list[Usage]:
    """What whoever holds the follow codes, or those of proxies, of these indexes may see, the newest first.

    What hides something of one hides it of all. The look is logged under whose codes they are; that of codes which
    nobody has under nobody, unless not `log_unknown`.
    """
    found = (await session.execute(_FOLLOWED, {"codes": list(codes), "now": now})).all()
    known_as = "by-proxy" if any(row.outcome == "by-proxy" for row in found) else "done"
    wards = await wards_by_code(session, vault=vault, code=codes[0], now=now)
    subjects = [holder_of(vault, row.holder) for row in found] or wards or [uuid4()]
    known_as = known_as if found or not wards else "by-guardian"
    own = await vault.ring([NOBODY], create=True)
    ring = await vault.ring(subjects)
    seen = await _told(session, vault, ring, subjects, now)
    known = [subject for subject in subjects if subject in ring]
    if known or log_unknown:
        intent = Intent(Action.SEE_WHO_LOOKED, known or [NOBODY], Purpose.RESIDENT_REQUEST, outcome=known_as)
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


async def see_as_guardian(
    session: AsyncSession,
    *,
    vault: Vault,
    record: Record,
    principal: Principal,
    policies: tuple[str, ...],
    guardian: str,
    child: str,
    now: datetime,
) -> list[Usage] | None:
    """What a code would show of a child to the guardian whom a portal identified, both by the numbers of their papers.

    Logged under the child. None where this is nobody's guardian: suspended, a child of age and no child are alike.
    """
    subjects = await wards_by_paper(session, vault=vault, guardian=guardian, child=child, now=now)
    if not subjects:
        return None
    ring = await vault.ring(subjects)
    seen = await _told(session, vault, ring, subjects, now)
    intent = Intent(Action.SEE_WHO_LOOKED, subjects, Purpose.RESIDENT_REQUEST, outcome="by-guardian", policies=policies)
    record(session, ring, intent, principal=principal)
    return usages_by_code(seen)


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
