"""Guardians of children: who may see by a code of their own what is not confidential of a child, and until when.

Invariants: who is the guardian, why, and until when lies under a key of the child; of a child there is one guardian at
most, whoever heads the household; a suspended guardian is not recorded again, also not after others, and what comes
into their hands, the codes on the child's receipts, opens nothing any more; that it ends is computed, and nothing fires
it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.ages import FULL_AGE, OWN_AGE, of_age_on
from doorstep.contracts.codes import Action, GuardianBasis, GuardianSuspension
from doorstep.contracts.intake import Card
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.intents import Intent
from doorstep.kit.vault import KeyRing, Vault
from doorstep.registry import queries
from doorstep.registry.errors import (
    AgeUnknown,
    FileUnknown,
    GuardianSuspended,
    GuardianTooYoung,
    GuardianUnknown,
    OldEnough,
    SubjectUnknown,
)
from doorstep.registry.operations.asking import STAFF, Asking
from doorstep.registry.operations.files import open_card, open_fact
from doorstep.registry.operations.guardianship import (
    Guardianship,
    Kept,
    close_codes,
    guardian_code,
    guardianships,
    keep,
    tell,
)
from doorstep.registry.queries import FactRow, SubjectRow
from doorstep.registry.schemas import PLACE

_BIRTH_YEAR = "identity.birth-year"
_FACTS = """
    SELECT fact_id, subject_id, record_id, file_version, refresh_by, content FROM fact
    WHERE subject_id = ANY(CAST(:subjects AS uuid[])) ORDER BY fact_id
"""


@dataclass(frozen=True)
class Ward:
    """A child of a file, locked: the person, their mentions there, and all that is known of their age."""

    person_id: UUID
    rows: Mapping[UUID, SubjectRow]
    own_age_on: date | None


@dataclass(frozen=True)
class Granted:
    """A guardian of a child, by this mention of it, was recorded by a command."""

    ward: UUID
    command: UUID

    def code(self, vault: Vault) -> str:
        """The code of the guardian, to be told to them alone."""
        return guardian_code(vault, self.ward, self.command)


async def record_guardian(
    session: AsyncSession,
    *,
    vault: Vault,
    asking: Asking,
    file_id: UUID,
    subject_id: UUID,
    guardian_id: UUID,
    basis: GuardianBasis,
    command: UUID,
    now: datetime,
) -> Granted:
    """Let a person of the file be the guardian of a child of it, in the place of the one before.

    Raises FileUnknown, also for one of which somebody excludes the caller; SubjectUnknown, AgeUnknown, OldEnough,
    GuardianTooYoung, GuardianSuspended.
    """
    by, rows, ring = await _opened(session, vault, asking, file_id)
    child, guardian = await _person(session, ring, rows, subject_id), await _person(session, ring, rows, guardian_id)
    until, paper = await _may_guard(session, ring, child, guardian, now.astimezone(PLACE).date())
    before = (await guardianships(session, vault, [child.person_id])).get(child.person_id)
    kept_from = () if before is None else before.content.kept_from()
    if any(_same(one, guardian.person_id, paper) for one in kept_from):
        raise GuardianSuspended
    content = Guardianship(
        guardian=guardian.person_id,
        ward=subject_id,
        basis=basis,
        since=command,
        until=datetime.combine(until, time(), PLACE),
        document_kind=paper[0],
        document_number=paper[1],
        recorded_by=by,
        recorded_at=now,
        former=kept_from,
    )
    await keep(session, ring, child.person_id, Kept(subject_id, content))
    await tell(session, vault, child.person_id, content, closed=bool(kept_from))
    intent = Intent(
        Action.RECORD_GUARDIAN,
        [subject_id],
        purpose=asking.purpose,
        case=file_id,
        outcome=basis,
        policies=asking.policies,
    )
    intents.record(session, ring, intent, principal=asking.principal)
    return Granted(subject_id, command)


async def suspend_guardian(
    session: AsyncSession,
    *,
    vault: Vault,
    asking: Asking,
    file_id: UUID,
    subject_id: UUID,
    reason: GuardianSuspension,
    now: datetime,
) -> None:
    """Let the guardian of a child see nothing from now on, as if there were no child; again, it changes nothing.

    Raises FileUnknown, also for one of which somebody excludes the caller; SubjectUnknown, GuardianUnknown.
    """
    by, rows, ring = await _opened(session, vault, asking, file_id)
    child = await _person(session, ring, rows, subject_id)
    found = (await guardianships(session, vault, [child.person_id])).get(child.person_id)
    if found is None:
        raise GuardianUnknown
    if found.content.suspended is not None:
        return
    suspended = {"suspended": reason, "suspended_by": by, "suspended_at": now}
    content = found.content.model_copy(update=suspended)
    await keep(session, ring, child.person_id, Kept(subject_id, content))
    await close_codes(session, child.person_id)
    await tell(session, vault, child.person_id, content, closed=True)
    intent = Intent(
        Action.SUSPEND_GUARDIAN,
        [subject_id],
        purpose=asking.purpose,
        case=file_id,
        outcome=reason,
        policies=asking.policies,
    )
    intents.record(session, ring, intent, principal=asking.principal)


async def _may_guard(
    session: AsyncSession, ring: KeyRing, child: Ward, guardian: Ward, today: date
) -> tuple[date, tuple[str | None, str | None]]:
    """The day on which the child is of their own age, and the guardian's paper.

    Raises AgeUnknown, OldEnough, GuardianTooYoung.
    """
    if child.own_age_on is None:
        raise AgeUnknown
    if today >= child.own_age_on:
        raise OldEnough
    paper = _paper([open_card(ring, row) for row in guardian.rows.values()])
    of_full_age = of_age_on(*paper, await _birth_year(session, ring, guardian.rows.values()), FULL_AGE)
    if guardian.person_id == child.person_id or (of_full_age is not None and today < of_full_age):
        raise GuardianTooYoung
    return child.own_age_on, paper


def _same(known: Guardianship, person_id: UUID, paper: tuple[str | None, str | None]) -> bool:
    """Whether the guardian of before is this person, also as another person of the registry with the same paper."""
    shown = (known.document_kind, known.document_number)
    return known.guardian == person_id or (shown == paper and None not in shown)


async def _opened(
    session: AsyncSession, vault: Vault, asking: Asking, file_id: UUID
) -> tuple[UUID, list[SubjectRow], KeyRing]:
    """Lock a file of the station: the caller's pseudonym, its subjects, and their keys. Raises FileUnknown."""
    by = vault.pairwise(STAFF, asking.principal.subject)
    if not await queries.lock_file(session, file_id, asking.station) or await queries.excludes(session, file_id, by):
        raise FileUnknown
    rows = await queries.subjects(session, file_id)
    return by, rows, await vault.ring([row.subject_id for row in rows])


async def _person(session: AsyncSession, ring: KeyRing, rows: Sequence[SubjectRow], subject_id: UUID) -> Ward:
    """Who this is a mention of, and from when on they are of their own age. Raises SubjectUnknown."""
    person_id = next((row.person_id for row in rows if row.subject_id == subject_id), None)
    if person_id is None or subject_id not in ring:
        raise SubjectUnknown
    theirs = {row.subject_id: row for row in rows if row.person_id == person_id and row.subject_id in ring}
    paper = _paper([open_card(ring, row) for row in theirs.values()])
    year = await _birth_year(session, ring, theirs.values())
    return Ward(person_id, theirs, of_age_on(*paper, year, OWN_AGE))


def _paper(cards: Iterable[Card]) -> tuple[str | None, str | None]:
    """The paper that was shown last, if one was."""
    shown = [(one.document_kind, one.document_number) for one in cards if one.document_number is not None]
    return shown[-1] if shown else (None, None)


async def _birth_year(session: AsyncSession, ring: KeyRing, rows: Iterable[SubjectRow]) -> int | None:
    """The latest year of birth that any mention states: nobody is taken for older than they are."""
    found = await run(session, _FACTS, {"subjects": [row.subject_id for row in rows]})
    facts = [open_fact(ring, FactRow(*one)).fact for one in found]
    return max((int(one.value) for one in facts if one.code == _BIRTH_YEAR), default=None)
