"""Records: take one, show one, erase a subject, find persons by their codes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis, Purpose
from doorstep.contracts.envelope import Contract
from doorstep.contracts.facts import Fact, SubjectKind
from doorstep.contracts.intake import Card, RecordedSubject, SamePerson, StatedFacts, VisitRecorded
from doorstep.intake import queries
from doorstep.intake.domain.record import Record, Subject, with_shared_numbers
from doorstep.intake.errors import (
    HouseholdKnown,
    HouseholdUnknown,
    OwnRecord,
    RecordUnknown,
    SubjectTaken,
)
from doorstep.intake.queries import RecordRow
from doorstep.kit import idempotency, intents, outbox
from doorstep.kit.auth import Principal
from doorstep.kit.edge import case_kind
from doorstep.kit.exclusions import excluding
from doorstep.kit.intents import Intent
from doorstep.kit.policy import CaseKind, Forbidden, Policy, Resource, Sight, Why
from doorstep.kit.vault import KeyRing, Vault

STAFF = "staff"
_INDEXED_AT_ONCE = 500


class SubjectContent(Contract):
    """`record_subject.content`: a subject as it was written; of a hotline's order also what its caller `said`."""

    card: Card
    facts: tuple[Fact, ...]
    said: str | None = None


@dataclass(frozen=True)
class Taken:
    """A record that was taken: when, and the follow code of each of its persons."""

    recorded_at: datetime
    follow_codes: dict[UUID, str]
    again: bool


@dataclass(frozen=True)
class Shown:
    """A record and its subjects, opened, and what of them the caller sees."""

    row: RecordRow
    subjects: tuple[tuple[UUID, SubjectKind, SubjectContent], ...]
    sight: Sight


async def record_visit(
    session: AsyncSession, *, vault: Vault, principal: Principal, record: Record, digest: bytes
) -> Taken:
    """Take `record`, which a sender may send twice; `digest` tells one body from another.

    Raises HouseholdUnknown, HouseholdKnown, SubjectTaken, IdReused, Erased.
    """
    codes = {one.subject_id: vault.follow_code(one.subject_id) for one in record.people}
    now = datetime.now(UTC)
    answer = {"recorded_at": now.isoformat()}
    replay = await idempotency.claim(session, principal, record.record_id, digest, answer=answer)
    if replay is not None:
        return Taken(datetime.fromisoformat(replay.answer["recorded_at"]), codes, again=True)
    station = principal.station or ""
    recorder = vault.pairwise(STAFF, principal.subject)
    if record.continues and await excluding(session, recorder, await queries.subjects_of_file(session, record.file_id)):
        raise HouseholdUnknown
    await store(
        session,
        vault,
        with_shared_numbers(record),
        RecordRow(
            record.record_id,
            record.file_id,
            station,
            record.channel,
            record.visited_at,
            now,
            recorder,
        ),
        codes,
        principal,
    )
    return Taken(now, codes, again=False)


async def store(
    session: AsyncSession,
    vault: Vault,
    record: Record,
    row: RecordRow,
    codes: dict[UUID, str],
    principal: Principal,
    said: str | None = None,
) -> KeyRing:
    """Store, publish and log a record; gives the keys of its subjects. `said` is stored alone.

    Raises HouseholdUnknown, HouseholdKnown, SubjectTaken.
    """
    sealed = await _take_file(session, record, row.station, row.recorded_at)
    indexes = {subject_id: vault.follow_index(code) for subject_id, code in codes.items()}
    if await queries.take_subjects(session, record, indexes) < len(record.subjects):
        raise SubjectTaken
    ring = await vault.ring([subject.subject_id for subject in record.subjects], create=True)
    contents = [(one.subject_id, _encrypt(ring, record.record_id, one, said)) for one in record.subjects]
    await queries.insert_record(session, row, contents)
    event = _event(row, record, ring, codes, sealed=sealed)
    outbox.add(session, event, key=record.file_id, subject=record.record_id)
    intent = Intent(
        Action.RECORD_VISIT,
        [subject.subject_id for subject in record.subjects],
        purpose=Purpose.INTAKE,
        legal_basis=LegalBasis.CONSENT,
        case=record.record_id,
    )
    intents.record(session, ring, intent, principal=principal)
    return ring


def follower(index: bytes) -> str:
    """Whom whoever holds a follow code is called in commands."""
    return f"follow:{index.hex()}"


async def index_codes(session: AsyncSession, *, vault: Vault) -> bool:
    """Have some persons who were recorded before be found by their codes; whether there may be more."""
    persons = await queries.persons_without_index(session, _INDEXED_AT_ONCE)
    if persons:
        indexes = {one: vault.follow_index(vault.follow_code(one)) for one in persons}
        await queries.index_persons(session, indexes)
    return len(persons) == _INDEXED_AT_ONCE


async def index_moved_codes(session: AsyncSession, *, vault: Vault) -> bool:
    """Have some who left their household be found by the codes that they got then; whether there may be more."""
    files = await queries.moved_without_index(session, _INDEXED_AT_ONCE)
    if files:
        codes = {one: vault.follow_code(one, file_id) for one, file_id in files.items()}
        await queries.index_moved(session, files, {one: vault.follow_index(code) for one, code in codes.items()})
    return len(files) == _INDEXED_AT_ONCE


async def _take_file(session: AsyncSession, record: Record, station: str, now: datetime) -> bool:
    """Begin or continue the file; whether its address is sealed, and stays so whatever later records say."""
    if not record.continues:
        if not await queries.begin_file(session, record.file_id, station, now, sealed=record.seals_address):
            raise HouseholdKnown
        return record.seals_address
    sealed = await queries.continue_file(session, record.file_id, station, seal=record.seals_address)
    if sealed is None:
        raise HouseholdUnknown
    return sealed


def _encrypt(ring: KeyRing, record_id: UUID, subject: Subject, said: str | None) -> bytes:
    content = SubjectContent(card=subject.card, facts=subject.facts, said=said).model_dump_json(exclude_none=True)
    return ring.encrypt(subject.subject_id, f"record_subject.content:{record_id}", content.encode())


def _event(row: RecordRow, record: Record, ring: KeyRing, codes: dict[UUID, str], *, sealed: bool) -> VisitRecorded:
    """What everybody else is told: no address that is sealed, not even encrypted."""
    kept = {"address": None} if sealed else {}
    subjects = tuple(
        RecordedSubject(
            subject_id=one.subject_id,
            kind=one.kind,
            same_as=None if one.same_as is None else ring.seal(one.subject_id, SamePerson(subject_id=one.same_as)),
            card=ring.seal(
                one.subject_id, one.card.model_copy(update={"follow_code": codes.get(one.subject_id), **kept})
            ),
            facts=ring.seal(one.subject_id, StatedFacts(facts=one.facts)),
        )
        for one in record.subjects
    )
    return VisitRecorded(
        record_id=row.record_id,
        file_id=row.file_id,
        station=row.station,
        channel=row.channel,
        visited_at=row.visited_at,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
        subjects=subjects,
        address_sealed=sealed or None,
    )


async def show_record(
    session: AsyncSession, *, vault: Vault, policy: Policy, principal: Principal, why: Why, record_id: UUID
) -> Shown:
    """Open a record for a reviewer who did not take it; the read is logged, what was erased is left out.

    Raises RecordUnknown, OwnRecord, Forbidden, Problem.
    """
    policy.read(principal, Action.READ_RECORD, Resource("record"), why, why.expected(CaseKind.RECORD))
    row = await queries.record(session, record_id)
    if row is None or row.station != principal.station:
        raise RecordUnknown
    reader = vault.pairwise(STAFF, principal.subject)
    if await excluding(session, reader, await queries.subjects_of_record(session, record_id)):
        raise RecordUnknown
    own = row.recorded_by == reader
    cases = {record_id: CaseKind.RECORD, row.file_id: CaseKind.FILE}
    case = await case_kind(session, vault, principal, why.case, file_id=row.file_id, own=cases)
    try:
        thing = Resource("record", own_record=own, station=row.station)
        decision = policy.read(principal, Action.READ_RECORD, thing, why, case)
    except Forbidden as forbidden:
        raise (OwnRecord if own and forbidden.policies else forbidden) from None
    written = await queries.contents(session, record_id)
    ring = await vault.ring([one.subject_id for one in written])
    found = [one for one in written if one.subject_id in ring]
    intent = Intent(
        Action.READ_RECORD,
        [one.subject_id for one in found],
        purpose=why.purpose,
        legal_basis=why.legal_basis,
        case=why.case,
        record=None if why.case == record_id else record_id,
        policies=decision.policies,
    )
    intents.record(session, ring, intent, principal=principal)
    context = f"record_subject.content:{record_id}"
    return Shown(
        row,
        tuple(
            (
                one.subject_id,
                one.kind,
                SubjectContent.model_validate_json(ring.decrypt(one.subject_id, context, one.content)),
            )
            for one in found
        ),
        policy.sight(principal, "record", purpose=why.purpose, case=case),
    )


async def erase_subject(session: AsyncSession, *, subject_id: UUID) -> None:
    """Delete what records say of a subject; to send one of these records again is answered as erased.

    The index of their follow code goes, also with the commands of whoever held the code.
    """
    for index in await queries.follow_indexes(session, subject_id):
        await idempotency.forget(session, follower(index))
    await idempotency.erase(session, await queries.delete_subject(session, subject_id))
