"""The station's board: what is open, due and late now, department by department, as the wall of a room may show it.

Invariants: numbers below FEWEST are not told, others in steps of STEP, and there are no sums; violence is in none of
them, and need types are not named; that somebody began to look is logged before the first number leaves.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral.domain.figures import SOON, told
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.counting import COUNTED, counted
from doorstep.referral.queries import NEWER

_NOW = f"""
    WITH live AS (
        SELECT t.department, t.respond_by, t.complete_by, t.state IN ('draft', 'requested') AS waits,
            CASE WHEN t.state IN ('draft', 'requested') THEN t.respond_by ELSE t.complete_by END AS due
        FROM request r JOIN task t USING (request_id)
        WHERE {COUNTED} AND NOT EXISTS ({NEWER})
            AND t.state IN ('draft', 'requested', 'accepted', 'in-progress', 'on-hold')
    )
    SELECT department, count(*), count(*) FILTER (WHERE due >= :now AND due <= :soon),
        count(*) FILTER (WHERE waits AND respond_by < :now), count(*) FILTER (WHERE complete_by < :now)
    FROM live GROUP BY department
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class BoardLine:
    """A department, or what nobody has yet; None for fewer than are told."""

    department: Department | None
    open: int | None
    due_within_day: int | None
    late_response: int | None
    late_completion: int | None


async def begin_board(session: AsyncSession, *, vault: Vault, access: Access) -> None:
    """Log that somebody looks at the board."""
    ring, concerned = await intents.concerned(vault, (), access.principal)
    intent = intents.Intent(
        Action.SEE_FIGURES, concerned, purpose=access.purpose, policies=access.policies, asked="board"
    )
    intents.record(session, ring, intent, principal=access.principal)


async def read_board(session: AsyncSession, *, vault: Vault, station: str, now: datetime) -> tuple[BoardLine, ...]:
    """The board as it is: all departments, always in this order, and what nobody has yet."""
    rows = await run(session, _NOW, {**counted(vault, station), "now": now, "soon": now + SOON})
    numbers = {row[0]: tuple(row)[1:] for row in rows}
    return tuple(
        BoardLine(department, *(told(count) for count in numbers.get(department, (0, 0, 0, 0))))
        for department in (*Department, None)
    )
