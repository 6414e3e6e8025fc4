"""The statements of the gateway."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.gateway.domain.journey import Step
from doorstep.kit.db import before_commit, run
from doorstep.kit.vault import begin_erasing, hold_erasing


@dataclass(frozen=True)
class Journey:
    """Whose station's record it is, and who took it, by pseudonym."""

    record_id: UUID
    station: str
    recorded_by: UUID


_JOURNEYS, _STEPS = "journeys", "journey_steps"
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
)


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
    """Delete the steps of a subject; what comes of it later is not added to any journey."""
    await begin_erasing(session)
    for statement in _ERASE:
        await run(session, statement, {"subject_id": subject_id})


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


async def steps(session: AsyncSession, record_id: UUID, known: Collection[int] = ()) -> list[tuple[int, Step]]:
    """The steps of a journey at other positions than those `known`, in the order in which they came."""
    query = text(
        "SELECT position, CAST(step AS text) FROM journey_step WHERE record_id = :record_id"
        " AND position <> ALL(CAST(:known AS bigint[])) ORDER BY position"
    )
    rows = await session.execute(query, {"record_id": record_id, "known": list(known)})
    return [(position, Step.model_validate_json(step)) for position, step in rows]
