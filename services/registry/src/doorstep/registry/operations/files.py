"""The use cases of files: assert the facts of a record, show a file, keep whom a person excludes, erase a subject."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis, Purpose
from doorstep.contracts.facts import Fact, SubjectKind
from doorstep.contracts.intake import Card, RecordedSubject, SamePerson, StatedFacts, VisitRecorded
from doorstep.contracts.registry import AssertedSubject, ExclusionsNamed, FactsAsserted, SubjectErased
from doorstep.kit import idempotency, intents, outbox
from doorstep.kit.auth import Principal
from doorstep.kit.db import write_buffered
from doorstep.kit.edge import case_kind
from doorstep.kit.intents import Intent
from doorstep.kit.policy import CaseKind, Policy, Resource, Sight, Why
from doorstep.kit.vault import KeyRing, Vault
from doorstep.registry import queries
from doorstep.registry.domain.plans import withdraws
from doorstep.registry.domain.retention import refresh_by
from doorstep.registry.errors import (
    ErasureAsked,
    ErasureUnknown,
    FileUnknown,
    PlaceStays,
    SubjectUnknown,
)
from doorstep.registry.operations.asking import STAFF, Asking
from doorstep.registry.operations.guardianship import carry_over, hang_elsewhere, repeat_guardians
from doorstep.registry.operations.plan_rows import delete_plans, end_plans
from doorstep.registry.queries import ErasureRow, FactRow, SubjectRow

PAPER = "person.paper"


@dataclass(frozen=True)
class Opened:
    """A subject of a record, opened."""

    subject: RecordedSubject
    card: Card
    facts: tuple[Fact, ...]
    same_as: UUID | None

    @property
    def subject_id(self) -> UUID:
        """Whose key seals it."""
        return self.subject.subject_id

    @property
    def paper(self) -> str | None:
        """Kind and number of the person's paper, if one was shown."""
        return paper_of(self.subject.kind, self.card)


async def assert_facts(session: AsyncSession, *, vault: Vault, recorded: VisitRecorded) -> None:
    """Take the facts of a record into the household's file: persons are found or made, the file gets a new version.

    A subject that was erased meanwhile is passed over. Raises SealBroken.
    """
    ring = await vault.ring([subject.subject_id for subject in recorded.subjects])
    opened = [_opened(ring, one) for one in recorded.subjects if one.subject_id in ring]
    if not opened:
        return
    sealed = bool(recorded.address_sealed)
    version, fresh, closed = await queries.next_version(session, recorded.file_id, recorded.station, sealed=sealed)
    if fresh:
        await seal_address(session, vault=vault, file_id=recorded.file_id)
    within = recorded.file_id if sealed or closed else None
    persons = await _persons(session, vault, opened, recorded.file_id, within=within)
    shut = await repeat_guardians(
        session, vault=vault, file_id=recorded.file_id, persons=persons, now=datetime.now(UTC)
    )
    queries.insert_record(session, recorded.file_id, recorded.record_id, recorded.recorded_by)
    rows = [_subject(vault, ring, one, persons, shut) for one in opened]
    queries.insert_subjects(session, recorded.file_id, recorded.record_id, version, rows)
    facts = [fact_row(ring, one.subject_id, fact, recorded.record_id, version) for one in opened for fact in one.facts]
    queries.insert_facts(session, recorded.file_id, facts)
    await _repeat_exclusions(session, recorded.file_id, persons)
    if refusing := [one.subject.subject_id for one in opened if withdraws(one.facts)]:
        await end_plans(session, refusing, {persons[one] for one in refusing if one in persons}, datetime.now(UTC))
    outbox.add(session, _event(recorded, opened, version, persons), key=recorded.file_id, subject=recorded.record_id)
    intent = Intent(
        Action.ASSERT_FACTS,
        [one.subject.subject_id for one in opened],
        purpose=Purpose.INTAKE,
        legal_basis=LegalBasis.CONSENT,
        case=recorded.record_id,
    )
    intents.record(session, ring, intent)


def _subject(
    vault: Vault, ring: KeyRing, one: Opened, persons: Mapping[UUID, UUID], shut: Collection[UUID]
) -> SubjectRow:
    """A subject as it is stored; the code of those who are `shut` opens nothing here."""
    subject_id, code = one.subject.subject_id, one.card.follow_code
    index = None if code is None or subject_id in shut else vault.follow_index(code)
    return SubjectRow(subject_id, one.subject.kind, persons.get(subject_id), _card(ring, one), index)


async def _repeat_exclusions(session: AsyncSession, file_id: UUID, persons: Mapping[UUID, UUID]) -> None:
    """Tell of the new mentions of persons whom those exclude."""
    for person_id, staff in (await queries.exclusions(session, sorted(set(persons.values())))).items():
        subjects = sorted(subject for subject, person in persons.items() if person == person_id)
        _tell_exclusions(session, file_id, subjects, staff)


def _tell_exclusions(session: AsyncSession, file_id: UUID, subjects: Sequence[UUID], staff: Sequence[UUID]) -> None:
    event = ExclusionsNamed(
        file_id=file_id, subject_ids=tuple(subjects), staff=tuple(staff), named_at=datetime.now(UTC)
    )
    outbox.add(session, event, key=file_id)


async def seal_address(session: AsyncSession, *, vault: Vault, file_id: UUID) -> None:
    """Forget the address of a file, and who of it is a person of another file."""
    await write_buffered(session)
    rows = await queries.subjects(session, file_id)
    ring = await vault.ring([row.subject_id for row in rows])
    known = [(row, open_card(ring, row)) for row in rows if row.subject_id in ring]
    people = [(row, card) for row, card in known if row.kind is SubjectKind.PERSON]
    indexes = [paper_index(vault, paper_of(row.kind, card), within=file_id) for row, card in people]
    found = await queries.find_or_make_persons(session, indexes)
    persons = {row.subject_id: person for (row, _), person in zip(people, found, strict=True)}
    rewritten = {}
    for row, card in known:
        blob = encrypt_card(ring, row.subject_id, card.model_copy(update={"address": None}))
        rewritten[row.subject_id] = persons.get(row.subject_id), blob
    await queries.rewrite(session, file_id, rewritten)
    for row, _ in people:
        if row.person_id is not None and row.person_id != persons[row.subject_id]:
            await queries.take_over(session, persons[row.subject_id], row.person_id)
    former = {row.person_id: persons[row.subject_id] for row, _ in people if row.person_id is not None}
    await carry_over(session, vault=vault, persons=former)
    await queries.delete_unmentioned(session, {row.person_id for row, _ in people if row.person_id is not None})


def paper_of(kind: SubjectKind, card: Card) -> str | None:
    """Kind and number of the person's paper, if one was shown."""
    known = kind is SubjectKind.PERSON and card.document_number is not None
    return f"{card.document_kind}:{card.document_number}" if known else None


def paper_index(vault: Vault, paper: str | None, *, within: UUID | None) -> bytes | None:
    """By which a person is found again: everywhere, or, of a file that is closed to others, within that file alone."""
    if paper is None:
        return None
    return vault.blind_index(PAPER, paper if within is None else f"{within}:{paper}")


def _opened(ring: KeyRing, one: RecordedSubject) -> Opened:
    same_as = None if one.same_as is None else ring.open(one.same_as, SamePerson).subject_id
    return Opened(one, ring.open(one.card, Card), ring.open(one.facts, StatedFacts).facts, same_as)


async def _persons(
    session: AsyncSession, vault: Vault, opened: list[Opened], file_id: UUID, *, within: UUID | None
) -> dict[UUID, UUID]:
    """The persons of mentions: found by their paper, else by the mention of the file that they are the same as."""
    people = {one.subject_id: one for one in opened if one.subject.kind is SubjectKind.PERSON}
    known: dict[UUID, UUID] = {}
    for subject_id, one in people.items():
        if one.paper is None and one.same_as is not None:
            await write_buffered(session)  # the record before may be of this transaction
            person_id = await queries.person_of(session, file_id, one.same_as)
            known |= {} if person_id is None else {subject_id: person_id}
    others = [one for one in people if one not in known]
    indexes = [paper_index(vault, people[one].paper, within=within) for one in others]
    found = await queries.find_or_make_persons(session, indexes)
    return known | dict(zip(others, found, strict=True))


def _card(ring: KeyRing, one: Opened) -> bytes:
    return encrypt_card(ring, one.subject.subject_id, one.card.model_copy(update={"follow_code": None}))


def encrypt_card(ring: KeyRing, subject_id: UUID, card: Card) -> bytes:
    """A card as it is stored."""
    return ring.encrypt(subject_id, f"subject.card:{subject_id}", card.model_dump_json(exclude_none=True).encode())


def fact_row(ring: KeyRing, subject_id: UUID, fact: Fact, record_id: UUID, version: int) -> FactRow:
    """A fact of a subject as the file keeps it, encrypted."""
    content = fact.model_dump_json(exclude_none=True).encode()
    blob = ring.encrypt(subject_id, f"fact.content:{fact.fact_id}", content)
    return FactRow(fact.fact_id, subject_id, record_id, version, refresh_by(fact), blob)


def _event(recorded: VisitRecorded, opened: list[Opened], version: int, persons: dict[UUID, UUID]) -> FactsAsserted:
    return FactsAsserted(
        record_id=recorded.record_id,
        file_id=recorded.file_id,
        file_version=version,
        station=recorded.station,
        recorded_by=recorded.recorded_by,
        asserted_at=datetime.now(UTC),
        subjects=tuple(
            AssertedSubject(
                subject_id=one.subject.subject_id,
                kind=one.subject.kind,
                person_id=persons.get(one.subject.subject_id),
                card=one.subject.card,
                facts=one.subject.facts,
            )
            for one in opened
        ),
        address_sealed=recorded.address_sealed,
    )


@dataclass(frozen=True)
class FactShown:
    """A fact with its provenance: the record that stated it, the file's version, when it must be stated anew."""

    row: FactRow
    fact: Fact


@dataclass(frozen=True)
class FileShown:
    """A household's file, opened, and what of it the caller sees."""

    file_id: UUID
    version: int
    subjects: tuple[tuple[SubjectRow, Card, tuple[FactShown, ...]], ...]
    sight: Sight


async def show_file(
    session: AsyncSession, *, vault: Vault, policy: Policy, principal: Principal, why: Why, file_id: UUID
) -> FileShown:
    """Open a file of the caller's station; the read is logged, what was erased is left out.

    Raises FileUnknown, Forbidden, Problem.
    """
    policy.read(principal, Action.READ_FILE, Resource("file"), why, why.expected(CaseKind.FILE))
    station = principal.station or ""
    version = await queries.file_version(session, file_id, station)
    if version is None or await queries.excludes(session, file_id, vault.pairwise(STAFF, principal.subject)):
        raise FileUnknown
    own = {file_id: CaseKind.FILE}
    if await queries.has_record(session, file_id, why.case):
        own[why.case] = CaseKind.RECORD
    case = await case_kind(session, vault, principal, why.case, file_id=file_id, own=own)
    decision = policy.read(principal, Action.READ_FILE, Resource("file", station=station), why, case)
    known, facts = await queries.subjects(session, file_id), await queries.facts(session, file_id)
    ring = await vault.ring([row.subject_id for row in known])
    subjects = [row for row in known if row.subject_id in ring]
    intent = Intent(
        Action.READ_FILE,
        [row.subject_id for row in subjects],
        purpose=why.purpose,
        legal_basis=why.legal_basis,
        case=why.case,
        policies=decision.policies,
    )
    intents.record(session, ring, intent, principal=principal)
    return FileShown(
        file_id,
        version,
        tuple(
            (
                row,
                open_card(ring, row),
                tuple(open_fact(ring, fact) for fact in facts if fact.subject_id == row.subject_id),
            )
            for row in subjects
        ),
        policy.sight(principal, "file", purpose=why.purpose, case=case),
    )


def open_card(ring: KeyRing, row: SubjectRow) -> Card:
    """The card of a subject. Raises SubjectErased, SealBroken."""
    return Card.model_validate_json(ring.decrypt(row.subject_id, f"subject.card:{row.subject_id}", row.card))


def open_fact(ring: KeyRing, row: FactRow) -> FactShown:
    """A fact with its provenance. Raises SubjectErased, SealBroken."""
    content = ring.decrypt(row.subject_id, f"fact.content:{row.fact_id}", row.content)
    return FactShown(row, Fact.model_validate_json(content))


async def exclude_by_code(session: AsyncSession, *, vault: Vault, code: str, staff: Iterable[str]) -> None:
    """Keep whom the person of a follow code excludes, in the place of before; an unknown code excludes nobody."""
    found = await queries.subject_of_code(session, vault.follow_index(code))
    if found is not None:
        subject_id, person_id = found
        intent = Intent(Action.NAME_EXCLUSIONS, [subject_id], purpose=Purpose.RESIDENT_REQUEST)
        await _exclude(session, vault, person_id, staff, intent)


async def exclude_for(
    session: AsyncSession, *, vault: Vault, asking: Asking, file_id: UUID, subject_id: UUID, staff: Iterable[str]
) -> None:
    """Keep whom a person of a file of the station excludes, as they told a reviewer whom nobody of it excludes.

    Raises FileUnknown, SubjectUnknown.
    """
    asked_by = vault.pairwise(STAFF, asking.principal.subject)
    known = await queries.lock_file(session, file_id, asking.station)
    if not known or await queries.excludes(session, file_id, asked_by):
        raise FileUnknown
    person_id = await queries.person_of(session, file_id, subject_id)
    if person_id is None:
        raise SubjectUnknown
    intent = Intent(
        Action.NAME_EXCLUSIONS, [subject_id], purpose=asking.purpose, case=file_id, policies=asking.policies
    )
    await _exclude(session, vault, person_id, staff, intent, asking.principal)


async def _exclude(
    session: AsyncSession,
    vault: Vault,
    person_id: UUID,
    staff: Iterable[str],
    intent: Intent,
    principal: Principal | None = None,
) -> None:
    excluded = sorted({vault.pairwise(STAFF, one) for one in staff})
    for file_id, subjects in await queries.name_exclusions(session, person_id, excluded):
        _tell_exclusions(session, file_id, subjects, excluded)
    intents.record(session, await vault.ring(intent.subjects), intent, principal=principal)


async def ask_to_erase(
    session: AsyncSession, *, vault: Vault, asking: Asking, file_id: UUID, subject_id: UUID, erasure_id: UUID
) -> ErasureRow:
    """Ask for a subject of a file of the station to be erased; nothing happens until somebody else confirms.

    Raises FileUnknown, SubjectUnknown, PlaceStays, ErasureAsked, OwnRecord; Erased if it was confirmed before.
    """
    if not await queries.lock_file(session, file_id, asking.station):
        raise FileUnknown
    before = await queries.erasure_of(session, file_id, subject_id)
    if before is not None:
        raise ErasureAsked if before.confirmed_at is None else idempotency.Erased
    kind = await queries.kind_of(session, file_id, subject_id)
    asked_by = vault.pairwise(STAFF, asking.principal.subject)
    if kind is None or await queries.excludes(session, file_id, asked_by, subject_id=subject_id):
        raise SubjectUnknown
    if kind is SubjectKind.PLACE:
        raise PlaceStays
    asking.decide("ask-to-erase", own_record=await queries.recorded_by(session, file_id, asked_by))
    erasure = ErasureRow(erasure_id, subject_id, file_id, asked_by, datetime.now(UTC), None)
    await queries.insert_erasure(session, erasure)
    ring = await vault.ring([subject_id])
    intents.record(session, ring, asking.intent(erasure, "asked"), principal=asking.principal)
    return erasure


async def confirm_erasure(session: AsyncSession, *, vault: Vault, asking: Asking, erasure_id: UUID) -> datetime:
    """Confirm an erasure that somebody else asked for: what the file has of the subject goes, everybody is told.

    When it was confirmed. Raises ErasureUnknown, SecondPersonMustConfirm, OwnRecord; Erased if it was confirmed before.
    """
    found = await queries.erasure(session, erasure_id, asking.station)
    confirmed_by = vault.pairwise(STAFF, asking.principal.subject)
    if found is None or await queries.excludes(session, found.file_id, confirmed_by, subject_id=found.subject_id):
        raise ErasureUnknown
    await queries.lock_file(session, found.file_id, asking.station)
    erasure = await queries.erasure(session, erasure_id, asking.station)  # as it is under the lock
    if erasure is None or erasure.confirmed_at is not None:
        raise idempotency.Erased
    own = await queries.recorded_by(session, erasure.file_id, confirmed_by)
    asking.decide("confirm-erasure", own_record=own, proposer=confirmed_by == erasure.asked_by)
    now = datetime.now(UTC)
    await queries.confirm_erasure(session, erasure_id, confirmed_by, now)
    await hang_elsewhere(session, vault=vault, subject_id=erasure.subject_id)
    await queries.delete_subject(session, erasure.subject_id)
    await delete_plans(session, erasure.subject_id)
    event = SubjectErased(subject_id=erasure.subject_id, erasure_id=erasure_id, erased_at=now)
    outbox.add(session, event, key=erasure.file_id)
    ring = await vault.ring([erasure.subject_id])
    intents.record(session, ring, asking.intent(erasure, "confirmed"), principal=asking.principal)
    return now
