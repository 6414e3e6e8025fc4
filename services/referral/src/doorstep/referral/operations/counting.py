"""Counting the requests of a station for those who watch its deadlines: nothing of a request is opened for it.

Invariant: what belongs to violence is left out where rows are read, of whatever is counted (COUNTED).
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral.domain.figures import CLOSED_FOR, SOON, Counts, Row, table
from doorstep.referral.domain.monthly import VIOLENCE
from doorstep.referral.operations.access import Access
from doorstep.referral.queries import NEWER

_NEED = "request.need_type"

# Violence is left out, and so is what is confidential and of no type that is known here: it may be violence. A request
# that has violence as a part, which nobody may add, is left out with it.
COUNTED = """
    r.station = :station AND NOT coalesce(r.need_index = ANY(CAST(:violence AS bytea[])), false)
        AND NOT (r.confidential AND NOT coalesce(r.need_index = ANY(CAST(:known AS bytea[])), false))
        AND NOT (r.parts > 1 AND EXISTS (
            SELECT FROM task v WHERE v.request_id = r.request_id AND v.part_index = ANY(CAST(:violence AS bytea[]))
        ))
"""

# Late and due is computed from the stored times of the live task of each part, as domain/deadlines.py does for one.
_COUNT = f"""
    WITH live AS (
        SELECT t.department, t.respond_by, t.complete_by,
            CASE WHEN t.part = 1 THEN r.need_index ELSE t.part_index END AS need_index,
            t.state IN ('draft', 'requested') AS waits, t.state = 'rejected' AS returned,
            t.state IN ('completed', 'failed', 'cancelled') AS closed,
            t.state IN ('draft', 'requested', 'accepted', 'in-progress', 'on-hold') AS is_open,
            CASE WHEN t.state IN ('draft', 'requested') THEN t.respond_by ELSE t.complete_by END AS due
        FROM task t JOIN request r USING (request_id)
        WHERE {COUNTED} AND (t.closed_at IS NULL OR t.closed_at > :since OR t.state = 'rejected')
            AND NOT EXISTS ({NEWER})
            AND NOT (t.state = 'rejected' AND EXISTS (SELECT FROM request n WHERE n.continues = t.request_id))
    )
    SELECT department, need_index,
        count(*) FILTER (WHERE is_open),
        count(*) FILTER (WHERE is_open AND due >= :now AND due <= :soon),
        count(*) FILTER (WHERE waits AND respond_by < :now),
        count(*) FILTER (WHERE is_open AND complete_by < :now),
        count(*) FILTER (WHERE returned),
        count(*) FILTER (WHERE closed)
    FROM live GROUP BY department, need_index
"""  # noqa: S608


def need_index(vault: Vault, station: str, need_type: str) -> bytes:
    """For `request.need_index`: by which requests of a station are counted by need type, and no type can be read."""
    return vault.blind_index(_NEED, f"{station} {need_type}")


def counted(vault: Vault, station: str) -> dict[str, object]:
    """The values of COUNTED."""
    known = types_by_index(vault, station)
    violence = [index for index, code in known.items() if code in VIOLENCE]
    return {"station": station, "violence": violence, "known": list(known)}


def types_by_index(vault: Vault, station: str) -> dict[bytes, str]:
    """The need types by the index under which the station's requests are counted."""
    return {need_index(vault, station, code): code for code in NEED_TYPES}


async def read_figures(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, now: datetime
) -> tuple[Row, ...]:
    """How many requests of the station are open, due, late, back and closed lately; that they were read is logged."""
    types = types_by_index(vault, station)
    values = {**counted(vault, station), "now": now, "soon": now + SOON, "since": now - CLOSED_FOR}
    found = [
        (
            None if row[0] is None else Department(row[0]),
            types.get(b"" if row[1] is None else bytes(row[1])),
            Counts(*row[2:]),
        )
        for row in await run(session, _COUNT, values)
    ]
    ring, concerned = await intents.concerned(vault, (), access.principal)
    intent = intents.Intent(Action.SEE_FIGURES, concerned, purpose=access.purpose, policies=access.policies)
    intents.record(session, ring, intent, principal=access.principal)
    return table(found)
