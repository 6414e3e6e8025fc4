"""The statements of the gateway."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.gateway.domain.journey import Step


@dataclass(frozen=True)
class Journey:
    """Whose station's record it is, and who took it, by pseudonym."""

    record_id: UUID
    station: str
    recorded_by: UUID


async def begin(session: AsyncSession, journey: Journey, begun_at: datetime) -> None:
    """Note that a record was taken."""
    await session.execute(
        text(
            "INSERT INTO journey (record_id, station, recorded_by, begun_at)"
            " VALUES (:record_id, :station, :recorded_by, :begun_at) ON CONFLICT DO NOTHING"
        ),
        {**vars(journey), "begun_at": begun_at},
    )


async def append(session: AsyncSession, record_id: UUID, steps: Sequence[Step]) -> None:
    """Add steps to a record's journey, in their order."""
    await session.execute(
        text(
            "INSERT INTO journey_step (record_id, step)"
            " SELECT CAST(:record_id AS uuid), CAST(s AS jsonb) FROM unnest(CAST(:steps AS text[]))"
            " WITH ORDINALITY AS u (s, i) ORDER BY i"
        ),
        {"record_id": record_id, "steps": [step.model_dump_json(exclude_none=True) for step in steps]},
    )


async def journey(session: AsyncSession, record_id: UUID) -> Journey | None:
    """The journey of a record; None before it began."""
    query = text("SELECT record_id, station, recorded_by FROM journey WHERE record_id = :record_id")
    row = (await session.execute(query, {"record_id": record_id})).first()
    return None if row is None else Journey(*row)


async def steps(session: AsyncSession, record_id: UUID, known: Collection[int] = ()) -> list[tuple[int, Step]]:
    """The steps of a journey at other positions than those `known`, in the order in which they came."""
    query = text(
        "SELECT position, CAST(step AS text) FROM journey_step WHERE record_id = :record_id"
        " AND position <> ALL(CAST(:known AS bigint[])) ORDER BY position"
    )
    rows = await session.execute(query, {"record_id": record_id, "known": list(known)})
    return [(position, Step.model_validate_json(step)) for position, step in rows]
