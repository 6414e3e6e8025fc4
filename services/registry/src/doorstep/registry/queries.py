"""The statements of the registry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.facts import SubjectKind
from doorstep.kit.db import before_commit, run


@dataclass(frozen=True)
class SubjectRow:
    """A subject of a file; `person_id` for a mention of a person, `follow_index` where its code is told."""

    subject_id: UUID
    kind: SubjectKind
    person_id: UUID | None
    card: bytes
    follow_index: bytes | None = None


@dataclass(frozen=True)
class FactRow:
    """A fact of a file, encrypted, with where it came from."""

    fact_id: UUID
    subject_id: UUID
    record_id: UUID
    file_version: int
    refresh_by: datetime
    content: bytes


async def next_version(session: AsyncSession, file_id: UUID, station: str, *, sealed: bool) -> tuple[int, bool, bool]:
    """Lock the file, made now if it is new; its next version, whether the seal of its address is new with it, and
    whether it is of who left a household."""
    statement = """
        WITH before AS (SELECT address_sealed FROM file WHERE file_id = :file_id)
        INSERT INTO file (file_id, station, version, address_sealed) VALUES (:file_id, :station, 1, :sealed)
        ON CONFLICT (file_id) DO UPDATE
            SET version = file.version + 1, address_sealed = file.address_sealed OR excluded.address_sealed
        RETURNING version, address_sealed AND NOT coalesce((SELECT address_sealed FROM before), false) AS fresh, apart
    """
    rows = await run(session, statement, {"file_id": file_id, "station": station, "sealed": sealed})
    return int(rows[0]["version"]), bool(rows[0]["fresh"]), bool(rows[0]["apart"])


_FIND_OR_MAKE = """
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:indexes AS bytea[]), CAST(:ids AS uuid[])) AS w (paper_index, person_id)
    ), made AS (
        INSERT INTO person (person_id) SELECT person_id FROM wanted
    )
    INSERT INTO person_paper (paper_index, person_id) SELECT * FROM wanted ORDER BY paper_index
    ON CONFLICT (paper_index) DO UPDATE SET person_id = person_paper.person_id
    RETURNING paper_index, person_id
"""


async def find_or_make_persons(session: AsyncSession, paper_indexes: Sequence[bytes | None]) -> list[UUID]:
    """For each mention the person with its paper, found or made; a mention without a paper is a person of its own.

    Papers are taken in sorted order, so that two records with the same people do not wait for each other in a ring.
    """
    fresh = {index: uuid4() for index in paper_indexes if index is not None}
    if fresh:
        values = {"indexes": sorted(fresh), "ids": [fresh[index] for index in sorted(fresh)]}
        found = {bytes(row["paper_index"]): row["person_id"] for row in await run(session, _FIND_OR_MAKE, values)}
        needless = [fresh[index] for index in fresh if found[index] != fresh[index]]
        if needless:
            await run(session, "DELETE FROM person WHERE person_id = ANY(CAST(:ids AS uuid[]))", {"ids": needless})
        fresh |= found
    nameless = [uuid4() for index in paper_indexes if index is None]
    if nameless:
        statement = "INSERT INTO person (person_id) SELECT * FROM unnest(CAST(:ids AS uuid[]))"
        await run(session, statement, {"ids": nameless})
    return [nameless.pop() if index is None else fresh[index] for index in paper_indexes]


# Read after the file was locked, as a confirmation locks it: what is erased already is not stored again.
_NOT_ERASED = """
    NOT EXISTS (SELECT FROM erasure e WHERE e.subject_id = new.subject_id AND e.confirmed_at IS NOT NULL)
"""
_INSERT_SUBJECTS = f"""
    INSERT INTO subject (subject_id, file_id, kind, person_id, record_id, file_version, card, follow_index)
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:files AS uuid[]), CAST(:kinds AS text[]), CAST(:persons AS uuid[]),
        CAST(:records AS uuid[]), CAST(:versions AS integer[]), CAST(:cards AS bytea[]), CAST(:codes AS bytea[])
    ) AS new (subject_id, file_id, kind, person_id, record_id, file_version, card, follow_index)
    WHERE {_NOT_ERASED}
    ON CONFLICT (subject_id, file_id) DO UPDATE
        SET record_id = excluded.record_id, file_version = excluded.file_version, card = excluded.card
"""  # noqa: S608
_INSERT_FACTS = f"""
    INSERT INTO fact (fact_id, subject_id, file_id, record_id, file_version, refresh_by, content)
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:subjects AS uuid[]), CAST(:files AS uuid[]), CAST(:records AS uuid[]),
        CAST(:versions AS integer[]), CAST(:refresh AS timestamptz[]), CAST(:contents AS bytea[])
    ) AS new (fact_id, subject_id, file_id, record_id, file_version, refresh_by, content)
    WHERE {_NOT_ERASED}
    ON CONFLICT (subject_id, fact_id) DO NOTHING
"""  # noqa: S608
_INSERT_RECORDS = """
    INSERT INTO file_record (record_id, file_id, recorded_by)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:files AS uuid[]), CAST(:recorders AS uuid[]))
    ON CONFLICT DO NOTHING
"""
_RECORDS, _SUBJECTS, _FACTS = "registry_records", "registry_subjects", "registry_facts"


def insert_subjects(
    session: AsyncSession, file_id: UUID, record_id: UUID, version: int, rows: Sequence[SubjectRow]
) -> None:
    """Have the subjects of a record stored with the transaction; one that the file has already gets its new card."""
    buffered: dict[tuple[UUID, UUID], tuple[UUID, int, SubjectRow]] = session.info.setdefault(_SUBJECTS, {})
    buffered.update({(row.subject_id, file_id): (record_id, version, row) for row in rows})
    before_commit(session, _write)


def insert_record(session: AsyncSession, file_id: UUID, record_id: UUID, recorded_by: UUID) -> None:
    """Have it noted with the transaction that a file has a record, and whose, by pseudonym."""
    session.info.setdefault(_RECORDS, []).append((record_id, file_id, recorded_by))
    before_commit(session, _write)


def insert_facts(session: AsyncSession, file_id: UUID, rows: Sequence[FactRow]) -> None:
    """Have facts stored with the transaction; one that its subject has already stays as it is."""
    buffered: list[tuple[UUID, FactRow]] = session.info.setdefault(_FACTS, [])
    buffered += [(file_id, row) for row in rows]
    before_commit(session, _write)


async def _write(session: AsyncSession) -> None:
    """Write all buffered records, subjects and facts, each in one statement."""
    records: list[tuple[UUID, UUID, UUID]] = session.info.pop(_RECORDS, [])
    if records:
        ids, files, recorders = (list(column) for column in zip(*records, strict=True))
        await run(session, _INSERT_RECORDS, {"ids": ids, "files": files, "recorders": recorders})
    subjects: dict[tuple[UUID, UUID], tuple[UUID, int, SubjectRow]] = session.info.pop(_SUBJECTS, {})
    if subjects:
        values = {
            "ids": [subject_id for subject_id, _ in subjects],
            "files": [file_id for _, file_id in subjects],
            "kinds": [row.kind for _, _, row in subjects.values()],
            "persons": [row.person_id for _, _, row in subjects.values()],
            "records": [record_id for record_id, _, _ in subjects.values()],
            "versions": [version for _, version, _ in subjects.values()],
            "cards": [row.card for _, _, row in subjects.values()],
            "codes": [row.follow_index for _, _, row in subjects.values()],
        }
        await run(session, _INSERT_SUBJECTS, values)
    facts: list[tuple[UUID, FactRow]] = session.info.pop(_FACTS, [])
    if facts:
        values = {
            "ids": [row.fact_id for _, row in facts],
            "subjects": [row.subject_id for _, row in facts],
            "files": [file_id for file_id, _ in facts],
            "records": [row.record_id for _, row in facts],
            "versions": [row.file_version for _, row in facts],
            "refresh": [row.refresh_by for _, row in facts],
            "contents": [row.content for _, row in facts],
        }
        await run(session, _INSERT_FACTS, values)


async def file_version(session: AsyncSession, file_id: UUID, station: str) -> int | None:
    """The version of a station's file; None if it has no such file."""
    query = text("SELECT version FROM file WHERE file_id = :file_id AND station = :station")
    row = (await session.execute(query, {"file_id": file_id, "station": station})).first()
    return None if row is None else int(row[0])


async def has_record(session: AsyncSession, file_id: UUID, record_id: UUID) -> bool:
    """Whether a record is one of the file's."""
    query = "SELECT 1 FROM file_record WHERE record_id = :record_id AND file_id = :file_id"
    return bool(await run(session, query, {"record_id": record_id, "file_id": file_id}))


async def recorded_by(session: AsyncSession, file_id: UUID, person: UUID) -> bool:
    """Whether somebody, by pseudonym, took a record of the file."""
    query = "SELECT 1 FROM file_record WHERE file_id = :file_id AND recorded_by = :person LIMIT 1"
    return bool(await run(session, query, {"file_id": file_id, "person": person}))


async def subjects(session: AsyncSession, file_id: UUID) -> list[SubjectRow]:
    """The subjects of a file, in the order in which they came."""
    query = text(
        "SELECT subject_id, kind, person_id, card FROM subject WHERE file_id = :file_id"
        " ORDER BY file_version, subject_id"
    )
    rows = await session.execute(query, {"file_id": file_id})
    return [SubjectRow(subject_id, SubjectKind(kind), person, bytes(card)) for subject_id, kind, person, card in rows]


async def rewrite(session: AsyncSession, file_id: UUID, cards: Mapping[UUID, tuple[UUID | None, bytes]]) -> None:
    """Give subjects of the file another person, where there is one, and another card."""
    statement = """
        UPDATE subject SET person_id = new.person_id, card = new.card
        FROM unnest(CAST(:ids AS uuid[]), CAST(:persons AS uuid[]), CAST(:cards AS bytea[]))
            AS new (subject_id, person_id, card)
        WHERE subject.subject_id = new.subject_id AND file_id = :file_id
    """
    persons, written = [one for one, _ in cards.values()], [card for _, card in cards.values()]
    await run(session, statement, {"ids": list(cards), "persons": persons, "cards": written, "file_id": file_id})


async def subject_ids(session: AsyncSession, file_id: UUID) -> list[UUID]:
    """The ids of the subjects of a file of any station, in the order in which they came."""
    query = text("SELECT subject_id FROM subject WHERE file_id = :file_id ORDER BY file_version, subject_id")
    return list(await session.scalars(query, {"file_id": file_id}))


async def facts(session: AsyncSession, file_id: UUID) -> list[FactRow]:
    """The facts of a file that need not be stated anew yet, newest version first."""
    query = text(
        "SELECT fact_id, subject_id, record_id, file_version, refresh_by, content FROM fact"
        " WHERE file_id = :file_id AND refresh_by > now() ORDER BY file_version DESC, fact_id"
    )
    rows = await session.execute(query, {"file_id": file_id})
    return [
        FactRow(one, subject, record, version, by, bytes(content))
        for one, subject, record, version, by, content in rows
    ]


@dataclass(frozen=True)
class ErasureRow:
    """An erasure that was asked for, and confirmed if `confirmed_at` is there; people are pseudonyms."""

    erasure_id: UUID
    subject_id: UUID
    file_id: UUID
    asked_by: UUID
    asked_at: datetime
    confirmed_at: datetime | None


async def subject_of_code(session: AsyncSession, follow_index: bytes) -> tuple[UUID, UUID] | None:
    """Subject and person of a follow code, by its index."""
    query = "SELECT subject_id, person_id FROM subject WHERE follow_index = :follow_index"
    rows = await run(session, query, {"follow_index": follow_index})
    return (rows[0]["subject_id"], rows[0]["person_id"]) if rows else None


async def mention_of_code(session: AsyncSession, follow_index: bytes) -> tuple[UUID, UUID] | None:
    """File and subject of a follow code, by its index."""
    query = "SELECT file_id, subject_id FROM subject WHERE follow_index = :follow_index"
    rows = await run(session, query, {"follow_index": follow_index})
    return (rows[0]["file_id"], rows[0]["subject_id"]) if rows else None


async def person_of(session: AsyncSession, file_id: UUID, subject_id: UUID) -> UUID | None:
    """The person of whom a subject of the file is a mention; None if it is no person's."""
    query = "SELECT person_id FROM subject WHERE file_id = :file_id AND subject_id = :subject_id"
    rows = await run(session, query, {"file_id": file_id, "subject_id": subject_id})
    return rows[0]["person_id"] if rows else None


# Whoever is just finding the person by their paper has stored their mention first, or finds what is named here.
_NAME = (
    "SELECT 1 FROM person_paper WHERE person_id = :person_id FOR UPDATE",
    "DELETE FROM exclusion WHERE person_id = :person_id",
    "INSERT INTO exclusion (person_id, staff) SELECT :person_id, unnest(CAST(:staff AS uuid[]))",
)


async def name_exclusions(
    session: AsyncSession, person_id: UUID, staff: Sequence[UUID]
) -> list[tuple[UUID, list[UUID]]]:
    """Keep whom a person excludes in the place of whom they did; gives their mentions, file by file."""
    for statement in _NAME:
        await run(session, statement, {"person_id": person_id, "staff": list(staff)})
    query = (
        "SELECT file_id, array_agg(subject_id ORDER BY subject_id) AS subjects FROM subject"
        " WHERE person_id = :person_id GROUP BY file_id ORDER BY file_id"
    )
    return [(row["file_id"], row["subjects"]) for row in await run(session, query, {"person_id": person_id})]


async def exclusions(session: AsyncSession, person_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    """Whom each of these persons excludes, for those who exclude somebody."""
    query = (
        "SELECT person_id, array_agg(staff ORDER BY staff) AS staff FROM exclusion"
        " WHERE person_id = ANY(CAST(:ids AS uuid[])) GROUP BY person_id"
    )
    return {row["person_id"]: row["staff"] for row in await run(session, query, {"ids": list(person_ids)})}


async def excludes(session: AsyncSession, file_id: UUID, staff: UUID, *, subject_id: UUID | None = None) -> bool:
    """Whether a person of the file, or the one subject of it, excludes somebody."""
    query = (
        "SELECT 1 FROM exclusion JOIN subject USING (person_id) WHERE file_id = :file_id AND staff = :staff"
        " AND coalesce(subject_id = CAST(:subject_id AS uuid), true) LIMIT 1"
    )
    return bool(await run(session, query, {"file_id": file_id, "staff": staff, "subject_id": subject_id}))


async def take_over(session: AsyncSession, person_id: UUID, former: UUID) -> None:
    """Let a person exclude whom a former person excludes."""
    statement = (
        "INSERT INTO exclusion (person_id, staff) SELECT :person_id, staff FROM exclusion WHERE person_id = :former"
        " ON CONFLICT DO NOTHING"
    )
    await run(session, statement, {"person_id": person_id, "former": former})


_ERASURE = "SELECT erasure_id, subject_id, file_id, asked_by, asked_at, confirmed_at FROM erasure"


async def lock_file(session: AsyncSession, file_id: UUID, station: str) -> bool:
    """Lock a station's file until the transaction ends; False if it has no such file."""
    query = "SELECT 1 FROM file WHERE file_id = :file_id AND station = :station FOR UPDATE"
    return bool(await run(session, query, {"file_id": file_id, "station": station}))


async def kind_of(session: AsyncSession, file_id: UUID, subject_id: UUID) -> SubjectKind | None:
    """What a subject of the file is; None if the file has no such subject."""
    query = "SELECT kind FROM subject WHERE file_id = :file_id AND subject_id = :subject_id"
    rows = await run(session, query, {"file_id": file_id, "subject_id": subject_id})
    return SubjectKind(rows[0]["kind"]) if rows else None


async def erasure(session: AsyncSession, erasure_id: UUID, station: str) -> ErasureRow | None:
    """An erasure of one of the station's files."""
    query = f"{_ERASURE} JOIN file USING (file_id) WHERE erasure_id = :id AND station = :station"
    rows = await run(session, query, {"id": erasure_id, "station": station})
    return ErasureRow(*rows[0]) if rows else None


async def erasure_of(session: AsyncSession, file_id: UUID, subject_id: UUID) -> ErasureRow | None:
    """The erasure of a subject of the file, if somebody asked for it."""
    query = f"{_ERASURE} WHERE file_id = :file_id AND subject_id = :subject_id"
    rows = await run(session, query, {"file_id": file_id, "subject_id": subject_id})
    return ErasureRow(*rows[0]) if rows else None


async def subjects_of_erasure(session: AsyncSession, erasure_id: UUID) -> list[UUID]:
    """Whom an erasure at any station is about."""
    query = text("SELECT subject_id FROM erasure WHERE erasure_id = :id")
    return list(await session.scalars(query, {"id": erasure_id}))


async def itself(session: AsyncSession, subject_id: UUID) -> list[UUID]:
    """A subject that some file has, for refusals about it."""
    query = text("SELECT DISTINCT subject_id FROM subject WHERE subject_id = :id")
    return list(await session.scalars(query, {"id": subject_id}))


async def insert_erasure(session: AsyncSession, row: ErasureRow) -> None:
    """Store that somebody asked for an erasure."""
    statement = (
        "INSERT INTO erasure (erasure_id, subject_id, file_id, asked_by, asked_at)"
        " VALUES (:erasure_id, :subject_id, :file_id, :asked_by, :asked_at)"
    )
    await run(session, statement, vars(row))


async def confirm_erasure(session: AsyncSession, erasure_id: UUID, by: UUID, at: datetime) -> None:
    """Store whose word made an erasure so."""
    statement = "UPDATE erasure SET confirmed_by = :by, confirmed_at = :at WHERE erasure_id = :id"
    await run(session, statement, {"id": erasure_id, "by": by, "at": at})


_DELETE = (
    "DELETE FROM departure WHERE subject_id = :subject_id",
    "DELETE FROM fact WHERE subject_id = :subject_id",
    "DELETE FROM subject WHERE subject_id = :subject_id RETURNING person_id",
)
# A person with other mentions stays, and so does the index of the paper. It is locked first, by a statement of its own:
# whoever is just finding the person by it has then stored their mention, and the next statement sees that.
_DELETE_PERSON = (
    "SELECT 1 FROM person_paper WHERE person_id = :person_id FOR UPDATE",
    "DELETE FROM person_paper p WHERE person_id = :person_id"
    " AND NOT EXISTS (SELECT FROM subject s WHERE s.person_id = p.person_id)",
    "DELETE FROM person p WHERE person_id = :person_id"
    " AND NOT EXISTS (SELECT FROM subject s WHERE s.person_id = p.person_id)",
)


async def delete_subject(session: AsyncSession, subject_id: UUID) -> None:
    """Delete what is kept of a subject; with a person's last mention the person goes, and the index of the paper."""
    for statement in _DELETE:
        rows = await run(session, statement, {"subject_id": subject_id})
    await delete_unmentioned(session, {row["person_id"] for row in rows} - {None})


async def delete_unmentioned(session: AsyncSession, person_ids: Iterable[UUID]) -> None:
    """Delete those of these persons, and the indexes of their papers, of whom no mention is left."""
    for person_id in sorted(person_ids):
        for statement in _DELETE_PERSON:
            await run(session, statement, {"person_id": person_id})
