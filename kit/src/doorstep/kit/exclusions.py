"""Whom persons keep from their matter: the table `exclusion` of a service that shows or handles it; and the table
`moved_mention`: since when a person's matters are no longer those of the household that they left.

Invariants: the newest word of a person stands alone, and nothing is kept for one who was erased, however late it comes;
who stores what belongs to a file holds off erasing and moving first, and then looks who has moved.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.registry import HouseholdLeft
from doorstep.kit.db import run
from doorstep.kit.vault import begin_erasing, hold_erasing

_EXCLUDE = (
    "DELETE FROM exclusion WHERE subject_id = ANY(CAST(:subjects AS uuid[]))",
    "INSERT INTO exclusion (subject_id, staff) SELECT s, p"
    " FROM unnest(CAST(:subjects AS uuid[])) AS s, unnest(CAST(:staff AS uuid[])) AS p"
    " WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = s) ON CONFLICT DO NOTHING",
)
_EXCLUDING = """
    SELECT subject_id FROM exclusion WHERE staff = :staff AND subject_id = ANY(CAST(:subjects AS uuid[]))
"""

_MOVE = """
    INSERT INTO moved_mention (subject_id, file_id, person_id, moved_at)
    SELECT s, :file_id, p, :at FROM unnest(CAST(:subjects AS uuid[]), CAST(:persons AS uuid[])) AS m (s, p)
    WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = s)
    ON CONFLICT (subject_id) DO UPDATE
        SET file_id = excluded.file_id, person_id = excluded.person_id, moved_at = excluded.moved_at
        WHERE moved_mention.moved_at <= excluded.moved_at
    RETURNING subject_id
"""
_MOVED = "SELECT subject_id, file_id FROM moved_mention WHERE subject_id = ANY(CAST(:subjects AS uuid[]))"


async def exclude(session: AsyncSession, subjects: Sequence[UUID], staff: Sequence[UUID]) -> None:
    """Keep whom these subjects exclude, in the place of whom they did; nobody for one who was erased.

    The service has a table `erased_subject`, which it writes when it erases.
    """
    await hold_erasing(session)
    for statement in _EXCLUDE:
        await run(session, statement, {"subjects": list(subjects), "staff": list(staff)})


async def excluding(session: AsyncSession, staff: UUID, subjects: Sequence[UUID]) -> set[UUID]:
    """Those of `subjects` whose matter somebody of the staff, by pseudonym, must not handle."""
    rows = await run(session, _EXCLUDING, {"staff": staff, "subjects": list(subjects)})
    return {row["subject_id"] for row in rows}


async def move(session: AsyncSession, left: HouseholdLeft) -> list[UUID]:
    """Keep to which file mentions belong from now on; which of them moved: the newest word counts, whatever came when.

    The service has a table `erased_subject`, which it writes when it erases.
    """
    await begin_erasing(session)
    values = {
        "file_id": left.file_id,
        "at": left.left_at,
        "subjects": [one.subject_id for one in left.mentions],
        "persons": [one.person_id for one in left.mentions],
    }
    return [row["subject_id"] for row in await run(session, _MOVE, values)]


async def moved(session: AsyncSession, subjects: Sequence[UUID]) -> dict[UUID, UUID]:
    """To which file those of `subjects` belong who left their household."""
    return {row["subject_id"]: row["file_id"] for row in await run(session, _MOVED, {"subjects": list(subjects)})}
