"""The statements of the gateway."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.gateway.domain.journey import Step
from doorstep.gateway.domain.sign_in_code import AT_THE_VISIT
from doorstep.kit import idempotency
from doorstep.kit.db import before_commit, run
from doorstep.kit.vault import begin_erasing, hold_erasing


@dataclass(frozen=True)
class Journey:
    """Whose station's record it is, and who took it, by pseudonym."""

    record_id: UUID
    station: str
    recorded_by: UUID


@dataclass(frozen=True)
class Mention:
    """A person's mention in a record; `card` is the card, sealed, as JSON, and None once no code can be asked for."""

    subject_id: UUID
    record_id: UUID
    file_id: UUID
    person_id: UUID
    asserted_at: datetime
    card: bytes | None


MOST_MENTIONS = 50
"""So many mentions of one person a session shows, the newest."""

_JOURNEYS, _STEPS, _MENTIONS = "journeys", "journey_steps", "mentions"
_BEGIN = """
    INSERT INTO journey (record_id, station, recorded_by, begun_at)
    SELECT * FROM unnest(
        CAST(:record_ids AS uuid[]), CAST(:stations AS text[]), CAST(:recorders AS uuid[]),
        CAST(:begun AS timestamptz[])
    ) ON CONFLICT DO NOTHING
"""
_APPEND = """
    INSERT INTO journey_step (record_id, step)
    SELECT record_id, CAST(s AS jsonb)
    FROM unnest(
        CAST(:record_ids AS uuid[]), CAST(:steps AS text[]), CAST(:subjects AS uuid[])
    ) WITH ORDINALITY AS u (record_id, s, subject, i)
    WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = u.subject) ORDER BY i
"""
_ERASE = (
    "INSERT INTO erased_subject (subject_id) VALUES (CAST(:subject_id AS uuid)) ON CONFLICT DO NOTHING",
    "DELETE FROM exclusion WHERE subject_id = CAST(:subject_id AS uuid)",
    "DELETE FROM journey_step WHERE step ->> 'subject_id' = CAST(CAST(:subject_id AS uuid) AS text)",
    "DELETE FROM mention WHERE subject_id = CAST(:subject_id AS uuid)",
    "DELETE FROM moved_mention WHERE subject_id = CAST(:subject_id AS uuid)",
    "DELETE FROM sign_in_code WHERE subject_id = CAST(:subject_id AS uuid)",
    "DELETE FROM linked_account WHERE subject_id = CAST(:subject_id AS uuid)",
    "DELETE FROM browser_session WHERE subject_id = CAST(:subject_id AS uuid)",
)
# Of two gateways each leaves alone what the other is just writing.
_FORGET_CARDS = """
    UPDATE mention SET card = NULL WHERE subject_id IN (
        SELECT subject_id FROM mention WHERE card IS NOT NULL AND asserted_at < CAST(:before AS timestamptz)
        LIMIT 200 FOR UPDATE SKIP LOCKED
    )
"""
_MENTION = """
    INSERT INTO mention (subject_id, record_id, file_id, person_id, asserted_at, card)
    SELECT DISTINCT ON (u.subject_id) u.subject_id, record_id, coalesce(l.file_id, u.file_id),
        coalesce(l.person_id, u.person_id), asserted_at, card
    FROM unnest(
        CAST(:subjects AS uuid[]), CAST(:records AS uuid[]), CAST(:files AS uuid[]), CAST(:persons AS uuid[]),
        CAST(:times AS timestamptz[]), CAST(:cards AS bytea[])
    ) WITH ORDINALITY AS u (subject_id, record_id, file_id, person_id, asserted_at, card, i)
    LEFT JOIN moved_mention l ON l.subject_id = u.subject_id
    WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = u.subject_id) ORDER BY u.subject_id, i DESC
    ON CONFLICT (subject_id) DO UPDATE SET person_id = excluded.person_id
"""
_MOVE = """
    UPDATE mention SET file_id = l.file_id, person_id = l.person_id FROM moved_mention l
    WHERE mention.subject_id = l.subject_id AND l.subject_id = ANY(CAST(:subjects AS uuid[]))
"""
_SEAL = "INSERT INTO sealed_file (file_id) VALUES (:file_id) ON CONFLICT DO NOTHING"
# A person of a file whose address is sealed is somebody of their own elsewhere, as the registry has it.
_ONE_PERSON = """
    SELECT m.subject_id FROM mention o JOIN mention m USING (person_id)
    WHERE o.subject_id = :subject_id AND (
        m.file_id = o.file_id OR NOT EXISTS (SELECT FROM sealed_file s WHERE s.file_id IN (o.file_id, m.file_id))
    )
"""


async def begin(session: AsyncSession, journey: Journey, begun_at: datetime) -> None:
    """Have it noted that a record was taken, with all others of the session's transaction."""
    session.info.setdefault(_JOURNEYS, []).append((journey, begun_at))
    before_commit(session, _write_journeys)


async def _write_journeys(session: AsyncSession) -> None:
    begun: list[tuple[Journey, datetime]] = session.info.pop(_JOURNEYS, [])
    values = {
        "record_ids": [one.record_id for one, _ in begun],
        "stations": [one.station for one, _ in begun],
        "recorders": [one.recorded_by for one, _ in begun],
        "begun": [at for _, at in begun],
    }
    await run(session, _BEGIN, values)


async def append(session: AsyncSession, record_id: UUID, steps: Sequence[Step]) -> None:
    """Have steps added to a record's journey, in their order, with all others of the session's transaction."""
    buffered: list[tuple[UUID, Step]] = session.info.setdefault(_STEPS, [])
    buffered += [(record_id, step) for step in steps]
    before_commit(session, _write_steps)


async def _write_steps(session: AsyncSession) -> None:
    steps: list[tuple[UUID, Step]] = session.info.pop(_STEPS, [])
    values = {
        "record_ids": [record_id for record_id, _ in steps],
        "steps": [step.model_dump_json(exclude_none=True) for _, step in steps],
        "subjects": [step.subject_id for _, step in steps],
    }
    await hold_erasing(session)
    await run(session, _APPEND, values)


async def erase(session: AsyncSession, subject_id: UUID) -> None:
    """Delete the steps of a subject, its codes, links and sessions; what comes of it later is not added anywhere."""
    await begin_erasing(session)
    for statement in _ERASE:
        await run(session, statement, {"subject_id": subject_id})
    await idempotency.erase_about(session, [subject_id])


async def add_mentions(session: AsyncSession, mentions: Sequence[Mention]) -> None:
    """Have persons' mentions kept, with all others of the session's transaction."""
    session.info.setdefault(_MENTIONS, []).extend(mentions)
    before_commit(session, _write_mentions)


async def _write_mentions(session: AsyncSession) -> None:
    mentions: list[Mention] = session.info.pop(_MENTIONS, [])
    values = {
        "subjects": [one.subject_id for one in mentions],
        "records": [one.record_id for one in mentions],
        "files": [one.file_id for one in mentions],
        "persons": [one.person_id for one in mentions],
        "times": [one.asserted_at for one in mentions],
        "cards": [one.card for one in mentions],
    }
    await hold_erasing(session)
    await run(session, _FORGET_CARDS, {"before": datetime.now(UTC) - AT_THE_VISIT})
    await run(session, _MENTION, values)


async def move_mentions(session: AsyncSession, subjects: Sequence[UUID]) -> None:
    """Let these mentions be those of the file and the person to which they moved."""
    await run(session, _MOVE, {"subjects": list(subjects)})


async def seal_file(session: AsyncSession, file_id: UUID) -> None:
    """From now on nobody of this file is known by what another file says."""
    await run(session, _SEAL, {"file_id": file_id})


async def mention(session: AsyncSession, record_id: UUID, subject_id: UUID) -> Mention | None:
    """A person's mention in a record; None if the record has no such person."""
    query = (
        "SELECT subject_id, record_id, file_id, person_id, asserted_at, card FROM mention"
        " WHERE record_id = :record_id AND subject_id = :subject_id"
    )
    rows = await run(session, query, {"record_id": record_id, "subject_id": subject_id})
    return Mention(*rows[0]) if rows else None


async def itself(session: AsyncSession, subject_id: UUID) -> list[UUID]:
    """A person whom some record mentions, for refusals about them."""
    rows = await run(session, "SELECT subject_id FROM mention WHERE subject_id = :id", {"id": subject_id})
    return [row["subject_id"] for row in rows]


async def one_person(session: AsyncSession, subject_id: UUID, *, lock: bool = False) -> list[UUID]:
    """The mentions of the person of this one, itself first; all and locked, or the newest that a session shows."""
    end = "ORDER BY m.subject_id FOR UPDATE OF m" if lock else f"ORDER BY m.asserted_at DESC LIMIT {MOST_MENTIONS}"
    rows = await run(session, f"{_ONE_PERSON} {end}", {"subject_id": subject_id})
    others = [row["subject_id"] for row in rows if row["subject_id"] != subject_id]
    return [subject_id, *(others if lock else others[: MOST_MENTIONS - 1])]


async def excludes(session: AsyncSession, record_id: UUID, staff: UUID) -> bool:
    """Whether somebody of a record excludes one of the staff."""
    query = """
        SELECT 1 FROM exclusion WHERE staff = :staff AND CAST(subject_id AS text) IN (
            SELECT step->>'subject_id' FROM journey_step WHERE record_id = :record_id
        ) LIMIT 1
    """
    return bool(await run(session, query, {"staff": staff, "record_id": record_id}))


async def journey(session: AsyncSession, record_id: UUID) -> Journey | None:
    """The journey of a record; None before it began."""
    query = text("SELECT record_id, station, recorded_by FROM journey WHERE record_id = :record_id")
    row = (await session.execute(query, {"record_id": record_id})).first()
    return None if row is None else Journey(*row)


async def subjects(session: AsyncSession, record_id: UUID) -> list[UUID]:
    """Whom the steps of a journey, of any station, are about."""
    query = text(
        "SELECT DISTINCT CAST(step->>'subject_id' AS uuid) FROM journey_step"
        " WHERE record_id = :record_id AND step->>'subject_id' IS NOT NULL ORDER BY 1"
    )
    return list(await session.scalars(query, {"record_id": record_id}))


async def steps(session: AsyncSession, record_id: UUID, known: Collection[UUID] = ()) -> list[tuple[UUID, Step]]:
    """The steps of a journey but those `known`, by their random ids, in the order in which they came."""
    query = text(
        "SELECT step_id, CAST(step AS text) FROM journey_step WHERE record_id = :record_id"
        " AND step_id <> ALL(CAST(:known AS uuid[])) ORDER BY position"
    )
    rows = await session.execute(query, {"record_id": record_id, "known": list(known)})
    return [(step_id, Step.model_validate_json(step)) for step_id, step in rows]
