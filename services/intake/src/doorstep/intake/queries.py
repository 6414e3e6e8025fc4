"""The statements of intake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Channel
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.registry import HouseholdLeft
from doorstep.intake.domain.record import Record
from doorstep.kit.db import run


@dataclass(frozen=True)
class RecordRow:
    """A row of `record`; `recorded_by` is the collector's pseudonym."""

    record_id: UUID
    file_id: UUID
    station: str
    channel: Channel
    visited_at: datetime
    recorded_at: datetime
    recorded_by: UUID


@dataclass(frozen=True)
class ContentRow:
    """A subject of a record with its encrypted content."""

    subject_id: UUID
    kind: SubjectKind
    content: bytes


# Whoever seals waits for those who read that it is not sealed: what they publish goes before.
_IS_SEALED = "SELECT address_sealed FROM household_file WHERE file_id = :file_id AND station = :station FOR SHARE"
_SEAL = (
    "UPDATE household_file SET address_sealed = true WHERE file_id = :file_id AND station = :station"
    " RETURNING address_sealed"
)


async def continue_file(session: AsyncSession, file_id: UUID, station: str, *, seal: bool) -> bool | None:
    """Whether the file's address is sealed, from now on if `seal`; None if no such file was begun at `station`."""
    rows = await run(session, _SEAL if seal else _IS_SEALED, {"file_id": file_id, "station": station})
    return bool(rows[0]["address_sealed"]) if rows else None


async def begin_file(session: AsyncSession, file_id: UUID, station: str, now: datetime, *, sealed: bool) -> bool:
    """Begin a file, its address sealed or not; False if it exists."""
    statement = (
        "INSERT INTO household_file (file_id, station, begun_at, address_sealed)"
        " VALUES (:file_id, :station, :now, :sealed) ON CONFLICT DO NOTHING RETURNING file_id"
    )
    values = {"file_id": file_id, "station": station, "now": now, "sealed": sealed}
    return bool(await run(session, statement, values))


async def take_subjects(session: AsyncSession, record: Record, indexes: Mapping[UUID, bytes]) -> int:
    """Note the subjects of `record`; how many are new, or a dwelling or place that this file has already.

    `indexes` are those of its persons' follow codes.
    """
    statement = (
        "INSERT INTO subject (subject_id, kind, file_id, record_id, follow_index)"
        " SELECT id, kind, CAST(:file_id AS uuid), CAST(:record_id AS uuid), found"
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:indexes AS bytea[])) AS s (id, kind, found)"
        " ORDER BY id ON CONFLICT (subject_id) DO UPDATE SET record_id = excluded.record_id"
        " WHERE subject.kind = excluded.kind AND subject.kind <> 'person'"
        " AND (subject.kind = 'place' OR subject.file_id = excluded.file_id) RETURNING subject_id"
    )
    values = {
        "file_id": record.file_id,
        "record_id": record.record_id,
        "ids": [subject.subject_id for subject in record.subjects],
        "kinds": [subject.kind for subject in record.subjects],
        "indexes": [indexes.get(subject.subject_id) for subject in record.subjects],
    }
    return len(await run(session, statement, values))


async def insert_record(session: AsyncSession, row: RecordRow, contents: Sequence[tuple[UUID, bytes]]) -> None:
    """Store a record with its subjects' encrypted contents, in one statement."""
    statement = """
        WITH taken AS (
            INSERT INTO record (record_id, file_id, station, channel, visited_at, recorded_at, recorded_by)
            VALUES (:record_id, :file_id, :station, :channel, :visited_at, :recorded_at, :recorded_by)
            RETURNING record_id
        )
        INSERT INTO record_subject (record_id, subject_id, place, content)
        SELECT record_id, s.id, s.place, s.content
        FROM taken, unnest(CAST(:ids AS uuid[]), CAST(:contents AS bytea[])) WITH ORDINALITY AS s (id, content, place)
    """
    values = {"ids": [subject for subject, _ in contents], "contents": [content for _, content in contents]}
    await run(session, statement, {**vars(row), **values})


async def record(session: AsyncSession, record_id: UUID) -> RecordRow | None:
    """The record, if there is one."""
    query = text(
        "SELECT record_id, file_id, station, channel, visited_at, recorded_at, recorded_by FROM record"
        " WHERE record_id = :record_id"
    )
    row = (await session.execute(query, {"record_id": record_id})).first()
    if row is None:
        return None
    record_id, file_id, station, channel, visited_at, recorded_at, recorded_by = row
    return RecordRow(record_id, file_id, station, Channel(channel), visited_at, recorded_at, recorded_by)


async def subjects_of_record(session: AsyncSession, record_id: UUID) -> list[UUID]:
    """The subjects of a record of any station, in the order in which they were written."""
    query = text("SELECT subject_id FROM record_subject WHERE record_id = :record_id ORDER BY place")
    return list(await session.scalars(query, {"record_id": record_id}))


async def subjects_of_file(session: AsyncSession, file_id: UUID) -> list[UUID]:
    """The subjects of all records of a file of any station, and who came to it from another household."""
    query = text(
        "SELECT s.subject_id FROM record_subject s JOIN record r USING (record_id) WHERE r.file_id = :file_id"
        " UNION SELECT subject_id FROM moved_mention WHERE file_id = :file_id ORDER BY subject_id"
    )
    return list(await session.scalars(query, {"file_id": file_id}))


async def contents(session: AsyncSession, record_id: UUID) -> list[ContentRow]:
    """The subjects of a record in the order in which they were written."""
    query = text(
        "SELECT r.subject_id, s.kind, r.content FROM record_subject r JOIN subject s USING (subject_id)"
        " WHERE r.record_id = :record_id ORDER BY r.place"
    )
    rows = await session.execute(query, {"record_id": record_id})
    return [ContentRow(subject_id, SubjectKind(kind), bytes(content)) for subject_id, kind, content in rows]


_EXCLUDE = (
    "DELETE FROM exclusion WHERE subject_id = ANY(CAST(:subjects AS uuid[]))",
    "INSERT INTO exclusion (subject_id, staff) SELECT s, p"
    " FROM unnest(CAST(:subjects AS uuid[])) AS s, unnest(CAST(:staff AS uuid[])) AS p"
    " WHERE EXISTS (SELECT FROM subject k WHERE k.subject_id = s) ON CONFLICT DO NOTHING",
)


async def exclude(session: AsyncSession, subjects: Sequence[UUID], staff: Sequence[UUID]) -> None:
    """Keep whom these subjects exclude, in the place of whom they did; nobody for one who was erased."""
    for statement in _EXCLUDE:
        await run(session, statement, {"subjects": list(subjects), "staff": list(staff)})


_MOVE = """
    INSERT INTO moved_mention (subject_id, file_id, person_id, moved_at)
    SELECT s, :file_id, p, :at FROM unnest(CAST(:subjects AS uuid[]), CAST(:persons AS uuid[])) AS m (s, p)
    WHERE EXISTS (SELECT FROM subject k WHERE k.subject_id = s)
    ON CONFLICT (subject_id) DO UPDATE
        SET file_id = excluded.file_id, person_id = excluded.person_id, moved_at = excluded.moved_at
        WHERE moved_mention.moved_at <= excluded.moved_at
"""


async def move(session: AsyncSession, left: HouseholdLeft) -> None:
    """Keep to which file mentions belong from now on; nothing of one who was erased."""
    values = {
        "file_id": left.file_id,
        "at": left.left_at,
        "subjects": [one.subject_id for one in left.mentions],
        "persons": [one.person_id for one in left.mentions],
    }
    await run(session, _MOVE, values)


@dataclass(frozen=True)
class OwnRow:
    """A person as their follow code finds them: their file, and the record in which they were last.

    `left`: that record is of a household that they left since.
    """

    subject_id: UUID
    file_id: UUID
    station: str
    record_id: UUID
    content: bytes
    left: bool


_BY_CODE = """
    SELECT s.subject_id, f.file_id, f.station, r.record_id, r.content, m.subject_id IS NOT NULL AS left
    FROM subject s LEFT JOIN moved_mention m USING (subject_id)
        LEFT JOIN moved_code c ON c.subject_id = m.subject_id AND c.file_id = m.file_id
        JOIN household_file f ON f.file_id = coalesce(m.file_id, s.file_id)
        JOIN record_subject r ON r.subject_id = s.subject_id AND r.record_id = s.record_id
    WHERE s.subject_id IN (
        SELECT subject_id FROM subject WHERE follow_index = :index
        UNION SELECT subject_id FROM moved_code WHERE follow_index = :index
    ) AND s.kind = 'person' AND CASE WHEN m.subject_id IS NULL THEN s.follow_index ELSE c.follow_index END = :index
    FOR SHARE OF s
"""
_OWN_TODAY = """
    SELECT count(*) FROM record WHERE file_id = :file_id AND recorded_by = :recorder AND recorded_at > :since
"""
_NOT_FOUND = "SELECT subject_id FROM subject WHERE follow_index IS NULL AND kind = 'person' LIMIT :batch FOR UPDATE"
_INDEX = """
    UPDATE subject SET follow_index = n.found
    FROM unnest(CAST(:ids AS uuid[]), CAST(:indexes AS bytea[])) AS n (id, found) WHERE subject_id = n.id
"""


async def person_by_code(session: AsyncSession, index: bytes) -> OwnRow | None:
    """The person whose follow code has this index; whoever erases them waits until the transaction ends.

    Who left their household is found by the code that they got then, in the file to which they went, and by no other.
    """
    rows = await run(session, _BY_CODE, {"index": index})
    return OwnRow(**dict(rows[0])) if rows else None


async def own_records(session: AsyncSession, file_id: UUID, recorder: UUID, since: datetime) -> int:
    """How many records `recorder` made in a file since then."""
    found = await run(session, _OWN_TODAY, {"file_id": file_id, "recorder": recorder, "since": since})
    return int(found[0]["count"])


async def persons_without_index(session: AsyncSession, batch: int) -> list[UUID]:
    """Some persons whom their follow code does not find yet; they are locked."""
    return [row["subject_id"] for row in await run(session, _NOT_FOUND, {"batch": batch})]


async def index_persons(session: AsyncSession, indexes: Mapping[UUID, bytes]) -> None:
    """Have persons be found by these indexes of their follow codes."""
    await run(session, _INDEX, {"ids": list(indexes), "indexes": list(indexes.values())})


_MOVED_UNFOUND = """
    SELECT m.subject_id, m.file_id FROM moved_mention m JOIN subject s USING (subject_id)
    WHERE s.kind = 'person' AND NOT EXISTS (
        SELECT FROM moved_code c WHERE c.subject_id = m.subject_id AND c.file_id = m.file_id
    )
    ORDER BY m.subject_id LIMIT :batch FOR UPDATE OF s
"""
_INDEX_MOVED = """
    INSERT INTO moved_code (subject_id, file_id, follow_index)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:files AS uuid[]), CAST(:indexes AS bytea[]))
    ON CONFLICT (subject_id) DO UPDATE SET file_id = excluded.file_id, follow_index = excluded.follow_index
"""


async def moved_without_index(session: AsyncSession, batch: int) -> dict[UUID, UUID]:
    """To which file some went who left their household and whom their code does not find yet; they are locked."""
    rows = await run(session, _MOVED_UNFOUND, {"batch": batch})
    return {row["subject_id"]: row["file_id"] for row in rows}


async def index_moved(session: AsyncSession, files: Mapping[UUID, UUID], indexes: Mapping[UUID, bytes]) -> None:
    """Have those who went to these files be found there by these indexes of the codes that they got then."""
    values = {"ids": list(files), "files": list(files.values()), "indexes": [indexes[one] for one in files]}
    await run(session, _INDEX_MOVED, values)


async def follow_indexes(session: AsyncSession, subject_id: UUID) -> list[bytes]:
    """By what a subject was and is found, who stays locked until the transaction ends; nothing of who is no person."""
    query = """
        SELECT s.follow_index, c.follow_index AS moved FROM subject s LEFT JOIN moved_code c USING (subject_id)
        WHERE s.subject_id = :subject_id FOR UPDATE OF s
    """
    rows = await run(session, query, {"subject_id": subject_id})
    return [bytes(index) for row in rows for index in (row["follow_index"], row["moved"]) if index is not None]


async def delete_subject(session: AsyncSession, subject_id: UUID) -> list[UUID]:
    """Delete what was written of a subject; gives the records in which it was."""
    values = {"subject_id": subject_id}
    await run(session, "SELECT 1 FROM subject WHERE subject_id = :subject_id FOR UPDATE", values)
    rows = await run(session, "DELETE FROM record_subject WHERE subject_id = :subject_id RETURNING record_id", values)
    await run(session, "DELETE FROM subject WHERE subject_id = :subject_id", values)
    for table in ("exclusion", "moved_mention"):
        await run(session, f"DELETE FROM {table} WHERE subject_id = :subject_id", values)  # noqa: S608
    return [row["record_id"] for row in rows]
