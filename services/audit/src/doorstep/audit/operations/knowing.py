"""Which subjects are one resident, by which paper a portal asks for them, and by which code a proxy or the guardian of
a child; all that the registry publishes.

Numbers of papers and ids of persons are kept as keyed indexes alone, subjects concealed as everywhere in the log.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.papers import NATIONAL
from doorstep.audit.operations.submitting import as_holder, holder_of, subject_index
from doorstep.contracts.codes import ProxyScope
from doorstep.contracts.intake import Card
from doorstep.contracts.registry import (
    AssertedSubject,
    FactsAsserted,
    GuardianGrant,
    GuardianRecorded,
    HouseholdLeft,
    ProxyGrant,
    ProxyNamed,
)
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault, begin_erasing, hold_erasing

_PAPER_FIELD = "audit.paper"
_PERSON_FIELD = "audit.person"
_UNTIL = "guardian.until"

_KNOW = """
    INSERT INTO resident (subject, holder, person, paper)
    SELECT DISTINCT ON (subject) subject, holder, coalesce(m.person, new.person), paper
    FROM unnest(
        CAST(:subjects AS bytea[]), CAST(:holders AS bytea[]), CAST(:persons AS bytea[]), CAST(:papers AS bytea[])
    ) AS new (subject, holder, person, paper) LEFT JOIN moved m USING (subject) ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET person = excluded.person, paper = coalesce(excluded.paper, resident.paper)
"""
_LEFT_SINCE = "SELECT 1 FROM moved WHERE subject = :subject AND moved_at >= :at"
_FORGET_PROXY = "DELETE FROM proxy WHERE subject = :subject OR until < now()"
_KEEP_PROXY = "INSERT INTO proxy (subject, code, holder, until) VALUES (:subject, :code, :holder, :until)"
_GUARD = """
    INSERT INTO guardian (subject, holder, code, paper, until, closed, recorded_at)
    SELECT :subject, :holder, :code, :paper, :until, :closed, :at
    WHERE NOT EXISTS (SELECT FROM moved m WHERE m.subject = :subject AND m.moved_at >= :at)
    ON CONFLICT (subject) DO UPDATE SET code = excluded.code, paper = excluded.paper, until = excluded.until,
        closed = guardian.closed OR excluded.closed, recorded_at = excluded.recorded_at
        WHERE guardian.recorded_at <= excluded.recorded_at
"""
_WARDS = text(
    """
    SELECT holder, until FROM guardian WHERE code = :code
    UNION ALL
    SELECT g.holder, g.until FROM guardian g JOIN resident r USING (subject)
    WHERE g.paper = :guardian AND g.code IS NOT NULL
    AND r.person IN (SELECT person FROM resident WHERE paper = :child)
    """
)
_MOVE = """
    INSERT INTO moved (subject, person, moved_at) VALUES (:subject, :person, :at)
    ON CONFLICT (subject) DO UPDATE SET person = excluded.person, moved_at = excluded.moved_at
        WHERE moved.moved_at <= excluded.moved_at RETURNING subject
"""
_RENEW = (
    "UPDATE resident SET person = :person WHERE subject = :subject",
    "DELETE FROM proxy WHERE subject = :subject",
    "DELETE FROM guardian WHERE subject = :subject AND recorded_at <= :at",
    "UPDATE follower SET closed = true WHERE subject = :subject",
    "INSERT INTO follower (code, subject, holder, closed) VALUES (:former, :subject, :holder, true)"
    " ON CONFLICT (code) DO UPDATE SET closed = true",
    "INSERT INTO follower (code, subject, holder) VALUES (:code, :subject, :holder)"
    " ON CONFLICT (code) DO UPDATE SET closed = false",
)
_FIND = text(
    """
    SELECT holder FROM resident WHERE person IN (SELECT person FROM resident WHERE paper = :paper) ORDER BY subject
    """
)


async def know_residents(session: AsyncSession, *, vault: Vault, asserted: FactsAsserted) -> None:
    """Keep whose subjects those of a record are; one that was erased meanwhile is passed over. Raises SealBroken."""
    people = [(one, one.person_id) for one in asserted.subjects if one.person_id is not None]
    await hold_erasing(session)
    erased = await vault.erased(one.subject_id for one, _ in people)
    ring = await vault.ring([one.subject_id for one, _ in people])
    known = [(one, person) for one, person in people if one.subject_id in ring and one.subject_id not in erased]
    if not known:
        return
    values = {
        "subjects": [subject_index(vault, one.subject_id) for one, _ in known],
        "holders": [as_holder(vault, one.subject_id) for one, _ in known],
        "persons": [vault.blind_index(_PERSON_FIELD, str(person)) for _, person in known],
        "papers": [_paper(vault, ring, one) for one, _ in known],
    }
    await run(session, _KNOW, values)


def _paper(vault: Vault, ring: KeyRing, subject: AssertedSubject) -> bytes | None:
    card = ring.open(subject.card, Card)
    return _index_of(vault, card.document_kind, card.document_number)


def _index_of(vault: Vault, kind: str | None, number: str | None) -> bytes | None:
    """By what a paper is found, if one country gives such numbers."""
    return vault.blind_index(_PAPER_FIELD, number) if number is not None and kind in NATIONAL else None


async def subjects_of_paper(session: AsyncSession, *, vault: Vault, number: str) -> Sequence[UUID]:
    """All subjects of the resident whose paper has this number; none if nobody's has."""
    found = await session.scalars(_FIND, {"paper": vault.blind_index(_PAPER_FIELD, number)})
    return [holder_of(vault, holder) for holder in found]


async def know_proxy(session: AsyncSession, *, vault: Vault, named: ProxyNamed) -> None:
    """Keep by which code a proxy sees a subject's usages, in the place of the one before. Raises SealBroken."""
    await hold_erasing(session)
    subject = subject_index(vault, named.subject_id)
    if await run(session, _LEFT_SINCE, {"subject": subject, "at": named.named_at}):
        return
    await run(session, _FORGET_PROXY, {"subject": subject})
    ring = await vault.ring([named.subject_id])
    erased = await vault.erased([named.subject_id])
    if named.grant is None or named.subject_id not in ring or named.subject_id in erased:
        return
    grant = ring.open(named.grant, ProxyGrant)
    if ProxyScope.SEE_USAGE in grant.scopes:
        holder = as_holder(vault, named.subject_id)
        code = vault.follow_index(grant.code)
        await run(session, _KEEP_PROXY, {"subject": subject, "code": code, "holder": holder, "until": grant.until})


async def know_guardian(session: AsyncSession, *, vault: Vault, recorded: GuardianRecorded) -> None:
    """Keep by which code and paper a guardian sees a child's usages, in the place of before. Raises SealBroken."""
    await hold_erasing(session)
    subject_id = recorded.subject_id
    ring = await vault.ring([subject_id])
    if subject_id not in ring or subject_id in await vault.erased([subject_id]):
        return
    code, paper, until = None, None, None
    if recorded.grant is not None:
        grant = ring.open(recorded.grant, GuardianGrant)
        code, paper = vault.follow_index(grant.code), _index_of(vault, grant.document_kind, grant.document_number)
        until = ring.encrypt(subject_id, _UNTIL, grant.until.isoformat().encode())
    values = {
        "subject": subject_index(vault, subject_id),
        "holder": as_holder(vault, subject_id),
        "code": code,
        "paper": paper,
        "until": until,
        "closed": bool(recorded.closed),
        "at": recorded.recorded_at,
    }
    await run(session, _GUARD, values)


async def wards_by_code(session: AsyncSession, *, vault: Vault, code: bytes, now: datetime) -> list[UUID]:
    """The mentions of the child whose guardian has the code of this index; none once the child is of age."""
    return await _wards(session, vault, now, {"code": code, "guardian": None, "child": None})


async def wards_by_paper(
    session: AsyncSession, *, vault: Vault, guardian: str, child: str, now: datetime
) -> list[UUID]:
    """The mentions of the child whose paper has one number for whom the guardian with the other is on record."""
    papers = {"guardian": vault.blind_index(_PAPER_FIELD, guardian), "child": vault.blind_index(_PAPER_FIELD, child)}
    return await _wards(session, vault, now, {"code": None, **papers})


async def _wards(session: AsyncSession, vault: Vault, now: datetime, values: dict[str, bytes | None]) -> list[UUID]:
    rows = (await session.execute(_WARDS, values)).all()
    found = [(holder_of(vault, row.holder), bytes(row.until)) for row in rows]
    ring = await vault.ring([subject_id for subject_id, _ in found])
    return sorted(
        subject_id
        for subject_id, until in found
        if subject_id in ring and now < datetime.fromisoformat(ring.decrypt(subject_id, _UNTIL, until).decode())
    )


async def know_departure(session: AsyncSession, *, vault: Vault, left: HouseholdLeft) -> None:
    """Let the new codes of who left a household show their usages, and neither those of before nor proxies.

    Alone: whoever names a proxy or guardian meanwhile sees it, or is seen.
    """
    await begin_erasing(session)
    erased = await vault.erased(one.subject_id for one in left.mentions)
    for one in left.mentions:
        if one.subject_id in erased:
            continue
        values: dict[str, object] = {
            "subject": subject_index(vault, one.subject_id),
            "person": vault.blind_index(_PERSON_FIELD, str(one.person_id)),
        }
        if not await run(session, _MOVE, values | {"at": left.left_at}):
            continue
        values |= {
            "at": left.left_at,
            "holder": as_holder(vault, one.subject_id),
            "former": vault.follow_index(vault.follow_code(one.subject_id)),
            "code": vault.follow_index(vault.follow_code(one.subject_id, left.file_id)),
        }
        for statement in _RENEW:
            await run(session, statement, values)
