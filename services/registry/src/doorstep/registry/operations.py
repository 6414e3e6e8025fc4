"""The use cases of the registry: assert the facts of a record, show a file."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis, Purpose
from doorstep.contracts.facts import Fact, SubjectKind
from doorstep.contracts.intake import Card, RecordedSubject, StatedFacts, VisitRecorded
from doorstep.contracts.registry import AssertedSubject, FactsAsserted
from doorstep.kit import intents, outbox
from doorstep.kit.auth import Principal
from doorstep.kit.intents import Intent
from doorstep.kit.policy import Policy, Resource
from doorstep.kit.vault import KeyRing, Vault
from doorstep.registry import queries
from doorstep.registry.domain.retention import refresh_by
from doorstep.registry.errors import FileUnknown
from doorstep.registry.queries import FactRow, SubjectRow

PAPER = "person.paper"


@dataclass(frozen=True)
class Opened:
    """A subject of a record, opened."""

    subject: RecordedSubject
    card: Card
    facts: tuple[Fact, ...]

    @property
    def paper(self) -> str | None:
        """Kind and number of the person's paper, if one was shown."""
        kind, number = self.card.document_kind, self.card.document_number
        return f"{kind}:{number}" if self.subject.kind is SubjectKind.PERSON and number is not None else None


async def assert_facts(session: AsyncSession, *, vault: Vault, recorded: VisitRecorded) -> None:
    """Take the facts of a record into the household's file: persons are found or made, the file gets a new version.

    A subject that was erased meanwhile is passed over. Raises SealBroken.
    """
    ring = await vault.ring([subject.subject_id for subject in recorded.subjects])
    opened = [
        Opened(one, ring.open(one.card, Card), ring.open(one.facts, StatedFacts).facts)
        for one in recorded.subjects
        if one.subject_id in ring
    ]
    if not opened:
        return
    version = await queries.next_version(session, recorded.file_id, recorded.station)
    persons = await _persons(session, vault, opened)
    queries.insert_subjects(
        session,
        recorded.file_id,
        recorded.record_id,
        version,
        [
            SubjectRow(one.subject.subject_id, one.subject.kind, persons.get(one.subject.subject_id), _card(ring, one))
            for one in opened
        ],
    )
    facts = [_fact(ring, one, fact, recorded.record_id, version) for one in opened for fact in one.facts]
    queries.insert_facts(session, recorded.file_id, facts)
    outbox.add(session, _event(recorded, opened, version, persons), key=recorded.file_id, subject=recorded.record_id)
    intent = Intent(
        Action.ASSERT_FACTS,
        [one.subject.subject_id for one in opened],
        purpose=Purpose.INTAKE,
        legal_basis=LegalBasis.CONSENT,
        case=recorded.record_id,
    )
    intents.record(session, ring, intent)


async def _persons(session: AsyncSession, vault: Vault, opened: list[Opened]) -> dict[UUID, UUID]:
    people = [one for one in opened if one.subject.kind is SubjectKind.PERSON]
    indexes = [None if one.paper is None else vault.blind_index(PAPER, one.paper) for one in people]
    found = await queries.find_or_make_persons(session, indexes)
    return {one.subject.subject_id: person for one, person in zip(people, found, strict=True)}


def _card(ring: KeyRing, one: Opened) -> bytes:
    card = one.card.model_copy(update={"follow_code": None}).model_dump_json(exclude_none=True)
    return ring.encrypt(one.subject.subject_id, f"subject.card:{one.subject.subject_id}", card.encode())


def _fact(ring: KeyRing, one: Opened, fact: Fact, record_id: UUID, version: int) -> FactRow:
    content = fact.model_dump_json(exclude_none=True).encode()
    blob = ring.encrypt(one.subject.subject_id, f"fact.content:{fact.fact_id}", content)
    return FactRow(fact.fact_id, one.subject.subject_id, record_id, version, refresh_by(fact), blob)


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
    )


@dataclass(frozen=True)
class FactShown:
    """A fact with its provenance: the record that stated it, the file's version, when it must be stated anew."""

    row: FactRow
    fact: Fact


@dataclass(frozen=True)
class FileShown:
    """A household's file, opened."""

    file_id: UUID
    version: int
    subjects: tuple[tuple[SubjectRow, Card, tuple[FactShown, ...]], ...]


async def show_file(
    session: AsyncSession, *, vault: Vault, policy: Policy, principal: Principal, purpose: Purpose, file_id: UUID
) -> FileShown:
    """Open a file of the reviewer's station; the read is logged, what was erased is left out.

    Raises FileUnknown, Forbidden.
    """
    decision = policy.authorize(principal, Action.READ_FILE, Resource("file"), purpose=purpose)
    version = await queries.file_version(session, file_id, principal.station or "")
    if version is None:
        raise FileUnknown
    known, facts = await queries.subjects(session, file_id), await queries.facts(session, file_id)
    ring = await vault.ring([row.subject_id for row in known])
    subjects = [row for row in known if row.subject_id in ring]
    intent = Intent(
        Action.READ_FILE,
        [row.subject_id for row in subjects],
        purpose=purpose,
        legal_basis=LegalBasis.STATUTORY_DUTY,
        case=file_id,
        policies=decision.policies,
    )
    intents.record(session, ring, intent, principal=principal)
    return FileShown(
        file_id,
        version,
        tuple(
            (
                row,
                _open_card(ring, row),
                tuple(_open_fact(ring, fact) for fact in facts if fact.subject_id == row.subject_id),
            )
            for row in subjects
        ),
    )


def _open_card(ring: KeyRing, row: SubjectRow) -> Card:
    return Card.model_validate_json(ring.decrypt(row.subject_id, f"subject.card:{row.subject_id}", row.card))


def _open_fact(ring: KeyRing, row: FactRow) -> FactShown:
    content = ring.decrypt(row.subject_id, f"fact.content:{row.fact_id}", row.content)
    return FactShown(row, Fact.model_validate_json(content))
