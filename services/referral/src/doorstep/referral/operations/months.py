"""Counting whole months of a station: each once, and what was told of it then is told ever after.

Invariants: a month is counted when nothing that it counts happens any more; what is kept of it is what was told, so
that neither the erasure of somebody later nor a request put right changes it, and no two answers can be taken from one
another; nothing of a request is opened for it. Of two who count a month at once one is kept.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral.domain.deadlines import NOT_SOLVED_WINDOW
from doorstep.referral.domain.monthly import (
    AT_LEAST,
    Group,
    Line,
    Rated,
    Told,
    at_least,
    cells,
    lines,
    month_told,
)
from doorstep.referral.domain.months import Month
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.counting import COUNTED, counted, types_by_index
from doorstep.referral.queries import NEWER

_RATING = "rating.rating"
_AT_LEAST = "at-least"

LIVE = f"t.part = 1 AND NOT EXISTS ({NEWER})"
"""The live task of a request's lead: by it alone a request is counted, whoever else has a part."""
_OPENED = f"""
    WITH asked AS (
        SELECT r.request_id, r.need_index, r.opened_at, t.state, t.closed_at,
            (SELECT first.department FROM task first
                WHERE first.request_id = r.request_id AND first.part = 1 AND first.sequence = 1),
            (SELECT min(said.at) - r.opened_at FROM task_transition said JOIN task had USING (task_id)
                WHERE had.request_id = r.request_id AND had.part = 1 AND said.party = 'department') AS took
        FROM request r JOIN task t USING (request_id)
        WHERE {COUNTED} AND r.opened_at >= :begins AND r.opened_at < :ends AND {LIVE} AND t.state <> 'entered-in-error'
    )
    SELECT department, need_index, CASE
        WHEN took <= interval '1 hour' THEN 'within-1-hour'
        WHEN took <= interval '12 hours' THEN 'within-12-hours'
        WHEN took <= interval '24 hours' THEN 'within-24-hours'
        WHEN took <= interval '7 days' THEN 'within-7-days'
        WHEN took IS NULL AND state = 'cancelled' AND closed_at - opened_at <= interval '7 days' THEN 'withdrawn'
        ELSE 'later'
    END, count(*) FROM asked GROUP BY 1, 2, 3
"""  # noqa: S608
# A rating is of the whole request and waits for its last part, so that it may come when the month of its lead was told.
# Whether a part was open when the month ended is known for good then; what is handed on later changes nothing.
_CLOSED = f"""
    SELECT t.department, r.need_index,
        CASE WHEN t.closed_at <= t.complete_by THEN 'in-time' ELSE 'late' END,
        CASE
            WHEN t.closed_at - r.opened_at <= interval '1 day' THEN 'within-1-day'
            WHEN t.closed_at - r.opened_at <= interval '3 days' THEN 'within-3-days'
            WHEN t.closed_at - r.opened_at <= interval '7 days' THEN 'within-7-days'
            WHEN t.closed_at - r.opened_at <= interval '15 days' THEN 'within-15-days'
            WHEN t.closed_at - r.opened_at <= interval '30 days' THEN 'within-30-days'
            ELSE 'longer'
        END,
        CASE WHEN g.rated_at - whole.closed_at <= :window THEN g.rating_index END,
        whole.is_open, count(*)
    FROM request r JOIN task t USING (request_id) LEFT JOIN rating g USING (request_id) CROSS JOIN LATERAL (
        SELECT max(v.closed_at) AS closed_at, bool_or(v.closed_at IS NULL OR v.closed_at >= :ends) AS is_open
        FROM task v WHERE v.request_id = r.request_id AND v.opened_at < :ends
    ) AS whole
    WHERE {COUNTED} AND t.closed_at >= :begins AND t.closed_at < :ends AND {LIVE}
        AND t.state IN ('completed', 'failed')
    GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608
_KEEP = """
    INSERT INTO month_told (station, month, counted_at, told)
    VALUES (:station, :month, :counted_at, CAST(:told AS jsonb)) ON CONFLICT DO NOTHING
"""
_KEPT = "SELECT month, counted_at, CAST(told AS text) FROM month_told WHERE station = :station AND month = ANY(:months)"


@dataclass(frozen=True, slots=True)
class MonthTold:
    """A month, when it was counted, every cell of every line, and rates of the station, per hundred."""

    month: Month
    counted_at: datetime
    lines: tuple[tuple[Line, Told], ...]
    at_least: Told


def rating_index(vault: Vault, station: str, rated: Rated) -> bytes:
    """For `rating.rating_index`: by which ratings of a station are counted, and none can be read."""
    return vault.blind_index(_RATING, f"{station} {rated}")


async def read_months(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, months: Sequence[Month], now: datetime
) -> tuple[MonthTold, ...]:
    """What is told of these settled months of the station; that it was read is logged."""
    kept = await _kept(session, station, months)
    missing = [month for month in months if month not in kept]
    for month in missing:
        counted = await _count(session, vault, station, month)
        found = await asyncio.to_thread(month_told, counted)  # some tenths of a second, once a month
        told = {line.name: one for line, one in found.items()} | {_AT_LEAST: at_least(counted)}
        values = {"station": station, "month": month.begins.date(), "counted_at": now, "told": json.dumps(told)}
        await run(session, _KEEP, values)
    if missing:
        kept = await _kept(session, station, months)  # somebody else may have counted it meanwhile
    ring, concerned = await intents.concerned(vault, (), access.principal)
    asked = f"{months[0]}/{months[-1]}"
    intent = intents.Intent(
        Action.SEE_FIGURES, concerned, purpose=access.purpose, policies=access.policies, asked=asked
    )
    intents.record(session, ring, intent, principal=access.principal)
    return tuple(kept[month] for month in months)


async def _kept(session: AsyncSession, station: str, months: Iterable[Month]) -> dict[Month, MonthTold]:
    values = {"station": station, "months": [month.begins.date() for month in months]}
    found = {}
    for day, counted_at, told in await run(session, _KEPT, values):
        month = Month(day.year, day.month)
        one = json.loads(told)
        rates = {name: one.get(_AT_LEAST, {}).get(name) for name in AT_LEAST}
        found[month] = MonthTold(month, counted_at, tuple(_lines(one)), rates)
    return found


def _lines(told: dict[str, dict[str, int | None]]) -> Iterable[tuple[Line, Told]]:
    """All lines and cells of today; what a month was counted without is not told."""
    for line in lines():
        one = told.get(line.name, {})
        yield line, {name: one.get(name) for name in cells()}


async def _count(session: AsyncSession, vault: Vault, station: str, month: Month) -> dict[str, list[Group]]:
    """How many requests of the station were opened in a month, and closed, by all that divides them."""
    types = types_by_index(vault, station)
    values = {**counted(vault, station), "begins": month.begins, "ends": month.next.begins}
    ratings = {rating_index(vault, station, rated): rated for rated in Rated}
    opened = await run(session, _OPENED, values)
    closed = await run(session, _CLOSED, {**values, "window": NOT_SOLVED_WINDOW})
    return {
        "opened": [_group(types, row[0], row[1], {"answered": row[2]}, row[3]) for row in opened],
        "closed": [
            _group(types, at, index, {"due": due, "took": took, "rated": _rated(ratings, rating, is_open)}, count)
            for at, index, due, took, rating, is_open, count in closed
        ],
    }


def _group(types: dict[bytes, str], department: str | None, index: Any, classes: dict[str, str], count: int) -> Group:
    known = types.get(b"" if index is None else bytes(index))
    return Group(None if department is None else Department(department), known, classes, count)


def _rated(ratings: dict[bytes, Rated], index: Any, is_open: bool) -> str:
    if is_open:
        return Rated.OPEN_PARTS
    return ratings.get(b"" if index is None else bytes(index), Rated.UNRATED)
