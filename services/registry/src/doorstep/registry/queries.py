"""The statements of the registry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.facts import SubjectKind
from doorstep.kit.db import before_commit, run


@dataclass(frozen=True)
class SubjectRow:
    """A subject of a file; `person_id` for a mention of a person."""

    subject_id: UUID
    kind: SubjectKind
    person_id: UUID | None
    card: bytes


@dataclass(frozen=True)
class FactRow:
    """A fact of a file, encrypted, with where it came from."""

    fact_id: UUID
    subject_id: UUID
    record_id: UUID
    file_version: int
    refresh_by: datetime
    content: bytes


async def next_version(session: AsyncSession, file_id: UUID, station: str) -> int:
    """Lock the file, made now if it is new, and give its next version."""
    statement = (
        "INSERT INTO file (file_id, station, version) VALUES (:file_id, :station, 1)"
        " ON CONFLICT (file_id) DO UPDATE SET version = file.version + 1 RETURNING version"
    )
    rows = await run(session, statement, {"file_id": file_id, "station": station})
    return int(rows[0]["version"])


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


_INSERT_SUBJECTS = """
    INSERT INTO subject (subject_id, file_id, kind, person_id, record_id, file_version, card)
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:files AS uuid[]), CAST(:kinds AS text[]), CAST(:persons AS uuid[]),
        CAST(:records AS uuid[]), CAST(:versions AS integer[]), CAST(:cards AS bytea[])
    )
    ON CONFLICT (subject_id, file_id) DO UPDATE
        SET record_id = excluded.record_id, file_version = excluded.file_version, card = excluded.card
"""
_INSERT_FACTS = """
    INSERT INTO fact (fact_id, subject_id, file_id, record_id, file_version, refresh_by, content)
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:subjects AS uuid[]), CAST(:files AS uuid[]), CAST(:records AS uuid[]),
        CAST(:versions AS integer[]), CAST(:refresh AS timestamptz[]), CAST(:contents AS bytea[])
    )
    ON CONFLICT (subject_id, fact_id) DO NOTHING
"""
_SUBJECTS, _FACTS = "registry_subjects", "registry_facts"


def insert_subjects(
    session: AsyncSession, file_id: UUID, record_id: UUID, version: int, rows: Sequence[SubjectRow]
) -> None:
    """Have the subjects of a record stored with the transaction; one that the file has already gets its new card."""
    buffered: dict[tuple[UUID, UUID], tuple[UUID, int, SubjectRow]] = session.info.setdefault(_SUBJECTS, {})
    buffered.update({(row.subject_id, file_id): (record_id, version, row) for row in rows})
    before_commit(session, _write)


def insert_facts(session: AsyncSession, file_id: UUID, rows: Sequence[FactRow]) -> None:
    """Have facts stored with the transaction; one that its subject has already stays as it is."""
    buffered: list[tuple[UUID, FactRow]] = session.info.setdefault(_FACTS, [])
    buffered += [(file_id, row) for row in rows]
    before_commit(session, _write)


async def _write(session: AsyncSession) -> None:
    """Write all buffered subjects in one statement, all facts in another."""
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


async def subjects(session: AsyncSession, file_id: UUID) -> list[SubjectRow]:
    """The subjects of a file, in the order in which they came."""
    query = text(
        "SELECT subject_id, kind, person_id, card FROM subject WHERE file_id = :file_id"
        " ORDER BY file_version, subject_id"
    )
    rows = await session.execute(query, {"file_id": file_id})
    return [SubjectRow(subject_id, SubjectKind(kind), person, bytes(card)) for subject_id, kind, person, card in rows]


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
