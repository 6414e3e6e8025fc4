"""The inbox of a department: its requests narrowed to what somebody asks for, and how many there are of each.

Invariants: what is counted is what the caller may see, by department, office and exclusion; a page goes on behind a
request of the page before, whatever became of that; filters change what is in a page and never its order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import BusinessStatus, Department, TaskState
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral import queries
from doorstep.referral.errors import CursorExpired
from doorstep.referral.operations.access import STAFF, Access
from doorstep.referral.operations.handling import member_id, note_member, stands_in_for
from doorstep.referral.operations.in_force import in_force
from doorstep.referral.operations.offices import elsewhere, office_index
from doorstep.referral.operations.reading import Shown, show_to_department

PAGE = 50

ME, NOBODY, STANDING_IN = "me", "nobody", "standing-in"
"""Whose requests are asked for, beside those of somebody who is named: of nobody yet, of whom one stands in for."""

_SEEN = """
    FROM task t JOIN request r USING (request_id) LEFT JOIN handler h USING (task_id)
    CROSS JOIN LATERAL (SELECT CASE
        WHEN t.state = 'requested' THEN least(t.respond_by, r.hotline_due_by)
        WHEN t.state IN ('accepted', 'in-progress', 'on-hold') THEN least(t.complete_by, r.hotline_due_by)
    END AS due) d
    WHERE t.department = :department
        AND (t.office_index IS NULL OR t.office_index <> ALL(CAST(:elsewhere AS bytea[])))
        AND NOT EXISTS (SELECT FROM exclusion x WHERE x.subject_id = r.subject_id AND x.staff = :who)
"""
_PAGE = f"""
    SELECT t.ref, h.person {_SEEN}
        AND (CAST(:state AS text) IS NULL OR t.state = :state)
        AND (CAST(:business_status AS text) IS NULL OR t.business_status = :business_status)
        AND (CAST(:due_before AS timestamptz) IS NULL OR d.due < :due_before)
        AND (CAST(:late AS boolean) IS NULL OR coalesce(d.due < :now, false) = :late)
        AND (CAST(:office AS bytea) IS NULL OR t.office_index = :office)
        AND (CAST(:handlers AS uuid[]) IS NULL OR h.member = ANY(:handlers))
        AND (CAST(:open AS boolean) IS NULL OR (t.closed_at IS NULL) = :open)
        AND (NOT :free OR h.person IS NULL)
        AND (CAST(:opened_at AS timestamptz) IS NULL OR (t.opened_at, t.ref) > (:opened_at, CAST(:after AS uuid)))
    ORDER BY t.opened_at, t.ref LIMIT :page
"""
_COUNTS = f"""
    SELECT t.state, count(*), count(*) FILTER (WHERE d.due < :now), count(*) FILTER (WHERE h.member = :who),
        count(*) FILTER (WHERE h.person IS NULL)
    {_SEEN} AND t.closed_at IS NULL AND t.state <> 'draft' GROUP BY t.state ORDER BY t.state
"""
_PLACE = "SELECT opened_at FROM task WHERE department = :department AND ref = :after"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an inbox is narrowed to; `handler` is ME, NOBODY, STANDING_IN or an officer."""

    state: TaskState | None = None
    business_status: BusinessStatus | None = None
    office: UUID | None = None
    due_before: datetime | None = None
    late: bool | None = None
    open: bool | None = None
    handler: str | None = None
    after: UUID | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many open requests the caller sees: of each state, late, theirs, and nobody's."""

    states: dict[TaskState, int]
    late: int
    mine: int
    free: int


@dataclass(frozen=True, slots=True)
class Inbox:
    """A page of the inbox, with the handler of each request, and what the whole of it counts."""

    rows: list[tuple[Shown, str | None]]
    next: UUID | None
    counts: Counts
    offices: list[tuple[UUID, str]]
    standing_in: list[str]


async def read_inbox(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, asked: Asked, now: datetime
) -> Inbox:
    """A page of the department's inbox, oldest first; what it shows is one entry in the log. Raises CursorExpired."""
    me = access.principal
    await note_member(session, vault, department, me, now)
    closed = await elsewhere(session, vault, me)
    directory = await in_force(session)
    own = [one for one in (directory.offices if directory else ()) if one.department is department]
    standing_in = await stands_in_for(session, department, me.subject, now)
    seen = {"department": department, "elsewhere": list(closed), "who": vault.pairwise(STAFF, me.subject), "now": now}
    rows = await _page(session, vault, asked, seen, _handlers(vault, asked, me.subject, standing_in))
    refs = [row["ref"] for row in rows]
    handlers = {row["ref"]: row["person"] for row in rows}
    tasks = await queries.tasks_of_department(session, department, refs)
    shown = await show_to_department(session, vault=vault, access=access, department=department, tasks=tasks, now=now)
    return Inbox(
        rows=[(one, handlers.get(one.task.ref)) for one in shown],
        next=refs[-1] if len(refs) == PAGE else None,
        counts=_counts(await run(session, _COUNTS, seen)),
        offices=[(one.id, one.name) for one in own if office_index(vault, one.id) not in closed],
        standing_in=standing_in,
    )


async def _page(
    session: AsyncSession, vault: Vault, asked: Asked, seen: dict[str, Any], handlers: Sequence[UUID] | None
) -> Sequence[Any]:
    """The refs and handlers of a page. Raises CursorExpired where the department has the request `after` no more."""
    values = {one.name: getattr(asked, one.name) for one in fields(asked) if one.name != "handler"}
    opened_at = None
    if asked.after is not None:
        place = await run(session, _PLACE, {"department": seen["department"], "after": asked.after})
        if not place:
            raise CursorExpired
        opened_at = place[0]["opened_at"]
    narrowed = {"office": office_index(vault, asked.office), "opened_at": opened_at, "page": PAGE}
    whose = {"handlers": None if handlers is None else list(handlers), "free": asked.handler == NOBODY}
    return await run(session, _PAGE, {**seen, **values, **narrowed, **whose})


def _handlers(vault: Vault, asked: Asked, me: str, standing_in: list[str]) -> Sequence[UUID] | None:
    if asked.handler in (None, NOBODY):
        return None
    named = {ME: [me], STANDING_IN: standing_in}.get(str(asked.handler), [str(asked.handler)])
    return [member_id(vault, one) for one in named]


def _counts(rows: Sequence[Any]) -> Counts:
    return Counts(
        states={TaskState(row[0]): row[1] for row in rows},
        late=sum(row[2] for row in rows),
        mine=sum(row[3] for row in rows),
        free=sum(row[4] for row in rows),
    )
