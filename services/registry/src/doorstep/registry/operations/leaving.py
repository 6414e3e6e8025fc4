"""Leaving a household: who goes gets a file of their own under a new random id, and which one they left is sealed.

Invariants: nothing that leaves this service, and no column here, names both files; who left is found by their paper
within the new file alone; the codes of before open nothing; a guardian who was suspended stays so; file, mentions,
facts, erasures that wait, event and entry of the log change together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from pydantic import AwareDatetime
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action
from doorstep.contracts.envelope import Contract
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.registry import HouseholdLeft, MentionMoved
from doorstep.kit import intents, outbox
from doorstep.kit.db import run
from doorstep.kit.intents import Intent
from doorstep.kit.vault import KeyRing, Vault
from doorstep.registry import queries
from doorstep.registry.errors import FileUnknown, SubjectUnknown
from doorstep.registry.operations.asking import STAFF, Asking
from doorstep.registry.operations.files import encrypt_card, open_card, paper_index, paper_of
from doorstep.registry.operations.guardianship import carry_suspended
from doorstep.registry.queries import SubjectRow

RECORD = "departure.record"
"""Under this a record of the household that was left has another id in the new file: the record names both."""

_BEGIN = """
    INSERT INTO file (file_id, station, version, address_sealed, apart)
    SELECT CAST(:fresh AS uuid), station, 1, address_sealed, true FROM file WHERE file_id = :file_id
    RETURNING address_sealed
"""
_RECORDS = """
    SELECT DISTINCT m.record_id, r.recorded_by FROM (
        SELECT record_id FROM subject WHERE file_id = :file_id AND subject_id = ANY(CAST(:subjects AS uuid[]))
        UNION SELECT record_id FROM fact WHERE file_id = :file_id AND subject_id = ANY(CAST(:subjects AS uuid[]))
    ) m LEFT JOIN file_record r USING (record_id) ORDER BY m.record_id
"""
_KEEP_RECORDS = """
    INSERT INTO file_record (record_id, file_id, recorded_by)
    SELECT id, :fresh, recorder FROM unnest(CAST(:ids AS uuid[]), CAST(:recorders AS uuid[])) AS r (id, recorder)
"""
_MOVE_FACTS = """
    UPDATE fact SET file_id = :fresh, record_id = r.id
    FROM unnest(CAST(:records AS uuid[]), CAST(:ids AS uuid[])) AS r (former, id)
    WHERE fact.file_id = :file_id AND subject_id = ANY(CAST(:subjects AS uuid[])) AND record_id = r.former
"""
_MOVE_SUBJECTS = """
    UPDATE subject SET file_id = :fresh, record_id = r.id
    FROM unnest(CAST(:records AS uuid[]), CAST(:ids AS uuid[])) AS r (former, id)
    WHERE subject.file_id = :file_id AND subject_id = ANY(CAST(:subjects AS uuid[])) AND record_id = r.former
"""
_RENEW_CODES = """
    UPDATE subject SET follow_index = c.code
    FROM unnest(CAST(:subjects AS uuid[]), CAST(:codes AS bytea[])) AS c (id, code)
    WHERE subject_id = c.id AND file_id = :fresh
"""
_MOVE_ERASURES = """
    UPDATE erasure SET file_id = :fresh WHERE file_id = :file_id AND subject_id = ANY(CAST(:subjects AS uuid[]))
"""
_MOVE_PLANS = """
    UPDATE care_plan SET file_id = :fresh WHERE file_id = :file_id AND subject_id = ANY(CAST(:subjects AS uuid[]))
"""
_NEWEST = """
    UPDATE file SET version = greatest(version, (SELECT max(file_version) FROM subject WHERE file_id = :fresh),
        (SELECT max(file_version) FROM fact WHERE file_id = :fresh)) WHERE file_id = :fresh
"""
_REMEMBER = """
    INSERT INTO departure (subject_id, file_id, content)
    SELECT id, :fresh, content FROM unnest(CAST(:subjects AS uuid[]), CAST(:contents AS bytea[])) AS d (id, content)
"""


class Departure(Contract):
    """`departure.content`: which file a person left, when, and who of the station noted it, by pseudonym."""

    former_file: UUID
    left_at: AwareDatetime
    noted_by: UUID


@dataclass(frozen=True)
class NewFile:
    """The file of who left, and for each of their mentions there the code in the place of the one before."""

    file_id: UUID
    subjects: tuple[UUID, ...]

    def codes(self, vault: Vault) -> dict[UUID, str]:
        """The follow codes; written again from the ids and the keyset, they are kept nowhere."""
        return {one: vault.follow_code(one, self.file_id) for one in self.subjects}


async def leave_household(
    session: AsyncSession, *, vault: Vault, asking: Asking, file_id: UUID, leaving: Sequence[UUID], now: datetime
) -> NewFile:
    """Give the persons of these mentions, with all that the file has of them, a file of their own, together.

    Raises FileUnknown, also for one of which somebody excludes the caller; SubjectUnknown.
    """
    by = vault.pairwise(STAFF, asking.principal.subject)
    known = await queries.lock_file(session, file_id, asking.station)
    if not known or await queries.excludes(session, file_id, by):
        raise FileUnknown
    rows = await queries.subjects(session, file_id)
    mentioned = {row.subject_id: row.person_id for row in rows if row.kind is SubjectKind.PERSON}
    persons = {mentioned.get(one) for one in leaving}
    going = [row for row in rows if row.person_id is not None and row.person_id in persons]
    ring = await vault.ring([row.subject_id for row in going])
    if None in persons or not all(one in ring for one in leaving):
        raise SubjectUnknown
    going = [row for row in going if row.subject_id in ring]
    fresh = uuid4()
    sealed = (await run(session, _BEGIN, {"fresh": fresh, "file_id": file_id}))[0]["address_sealed"]
    await _move(session, vault, file_id, fresh, going)
    found = await _apart(session, vault, ring, fresh, going, now)
    departure = Departure(former_file=file_id, left_at=now, noted_by=by)
    contents = [_sealed(ring, row.subject_id, departure) for row in going]
    subjects = [row.subject_id for row in going]
    await run(session, _REMEMBER, {"fresh": fresh, "subjects": subjects, "contents": contents})
    event = HouseholdLeft(
        file_id=fresh,
        station=asking.station,
        mentions=tuple(MentionMoved(subject_id=one, person_id=found[one]) for one in subjects),
        left_at=now,
        address_sealed=sealed or None,
    )
    outbox.add(session, event, key=fresh)
    intent = Intent(Action.LEAVE_HOUSEHOLD, subjects, purpose=asking.purpose, case=fresh, policies=asking.policies)
    intents.record(session, ring, intent, principal=asking.principal)
    return NewFile(fresh, tuple(subjects))


async def _move(session: AsyncSession, vault: Vault, file_id: UUID, fresh: UUID, going: Iterable[SubjectRow]) -> None:
    """Hang mentions, facts, plans and erasures that wait on the new file, under other ids of the records of before."""
    subjects = [row.subject_id for row in going]
    records = await run(session, _RECORDS, {"file_id": file_id, "subjects": subjects})
    values = {
        "file_id": file_id,
        "fresh": fresh,
        "subjects": subjects,
        "records": [row["record_id"] for row in records],
        "ids": [vault.pairwise(RECORD, f"{fresh}:{row['record_id']}") for row in records],
    }
    recorders = [row["recorded_by"] for row in records]
    await run(session, _KEEP_RECORDS, {"fresh": fresh, "ids": values["ids"], "recorders": recorders})
    codes = [vault.follow_index(vault.follow_code(one, fresh)) for one in subjects]
    plain = {name: values[name] for name in ("file_id", "fresh", "subjects")}
    await run(session, _MOVE_FACTS, values)
    await run(session, _MOVE_SUBJECTS, values)
    await run(session, _NEWEST, {"fresh": fresh})  # what was said later stays later
    await run(session, _MOVE_ERASURES, plain)
    await run(session, _MOVE_PLANS, plain)
    await run(session, _RENEW_CODES, {"fresh": fresh, "subjects": subjects, "codes": codes})


async def _apart(
    session: AsyncSession, vault: Vault, ring: KeyRing, fresh: UUID, going: Sequence[SubjectRow], now: datetime
) -> dict[UUID, UUID]:
    """Make them persons of the new file alone, who exclude whom they did; no card has an address any more."""
    cards = {row.subject_id: open_card(ring, row) for row in going}
    papers: dict[UUID, str | None] = {}
    for row in going:
        if row.person_id is not None:
            papers[row.person_id] = paper_of(row.kind, cards[row.subject_id]) or papers.get(row.person_id)
    indexes = [paper_index(vault, paper, within=fresh) for paper in papers.values()]
    found = dict(zip(papers, await queries.find_or_make_persons(session, indexes), strict=True))
    persons = {row.subject_id: found[row.person_id] for row in going if row.person_id is not None}
    written = {
        one: (persons[one], encrypt_card(ring, one, card.model_copy(update={"address": None})))
        for one, card in cards.items()
    }
    await queries.rewrite(session, fresh, written)
    for former, person_id in found.items():
        await queries.take_over(session, person_id, former)
    await carry_suspended(session, vault=vault, file_id=fresh, persons=found, mentions=persons, now=now)
    await queries.delete_unmentioned(session, found)
    return persons


def _sealed(ring: KeyRing, subject_id: UUID, departure: Departure) -> bytes:
    return ring.encrypt(subject_id, f"departure.content:{subject_id}", departure.model_dump_json().encode())
