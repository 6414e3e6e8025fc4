"""Which subjects are one resident, by which paper a portal asks for them, and by which code a proxy; all that the
registry publishes.

Numbers of papers and ids of persons are kept as keyed indexes alone, subjects concealed as everywhere in the log.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.papers import NATIONAL
from doorstep.audit.operations.submitting import as_holder, holder_of, subject_index
from doorstep.contracts.codes import ProxyScope
from doorstep.contracts.intake import Card
from doorstep.contracts.registry import AssertedSubject, FactsAsserted, ProxyGrant, ProxyNamed
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault, hold_erasing

_PAPER_FIELD = "audit.paper"
_PERSON_FIELD = "audit.person"

_KNOW = """
    INSERT INTO resident (subject, holder, person, paper)
    SELECT DISTINCT ON (subject) subject, holder, person, paper
    FROM unnest(
        CAST(:subjects AS bytea[]), CAST(:holders AS bytea[]), CAST(:persons AS bytea[]), CAST(:papers AS bytea[])
    ) AS new (subject, holder, person, paper) ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET person = excluded.person, paper = coalesce(excluded.paper, resident.paper)
"""
_FORGET_PROXY = "DELETE FROM proxy WHERE subject = :subject OR until < now()"
_KEEP_PROXY = "INSERT INTO proxy (subject, code, holder, until) VALUES (:subject, :code, :holder, :until)"
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
    if card.document_number is None or card.document_kind not in NATIONAL:
        return None
    return vault.blind_index(_PAPER_FIELD, card.document_number)


async def subjects_of_paper(session: AsyncSession, *, vault: Vault, number: str) -> Sequence[UUID]:
    """All subjects of the resident whose paper has this number; none if nobody's has."""
    found = await session.scalars(_FIND, {"paper": vault.blind_index(_PAPER_FIELD, number)})
    return [holder_of(vault, holder) for holder in found]


async def know_proxy(session: AsyncSession, *, vault: Vault, named: ProxyNamed) -> None:
    """Keep by which code a proxy sees a subject's usages, in the place of the one before. Raises SealBroken."""
    await hold_erasing(session)
    subject = subject_index(vault, named.subject_id)
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
