"""Whom persons keep from their matter: the table `exclusion` of a service that shows or handles it.

Invariant: the newest word of a person stands alone, and nothing is kept for one who was erased, however late it comes.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.kit.db import run
from doorstep.kit.vault import hold_erasing

_EXCLUDE = (
    "DELETE FROM exclusion WHERE subject_id = ANY(CAST(:subjects AS uuid[]))",
    "INSERT INTO exclusion (subject_id, staff) SELECT s, p"
    " FROM unnest(CAST(:subjects AS uuid[])) AS s, unnest(CAST(:staff AS uuid[])) AS p"
    " WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = s) ON CONFLICT DO NOTHING",
)
_EXCLUDING = """
    SELECT subject_id FROM exclusion WHERE staff = :staff AND subject_id = ANY(CAST(:subjects AS uuid[]))
"""


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
