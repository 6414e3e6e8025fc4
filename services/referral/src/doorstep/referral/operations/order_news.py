"""What a hotline is told of its orders: numbered news, made of how their requests stand when somebody looks.

Invariants: an order is marked in the transaction that moves a task, and looked at under its row's lock, so that no step
is missed; news are read behind the counter's lock, so that none appears below a cursor; steps and outcome are those of
the lead's part; no time is before the order was received.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import OPEN_DEPARTMENTS, Action, Purpose, TaskState
from doorstep.contracts.orders import OrderNews
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault
from doorstep.referral.columns import open_detail
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.domain.orders import CLOSING, news, standing
from doorstep.referral.domain.parts import LEAD, together
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.orders import (
    ORDER,
    NewsDetail,
    OrderRow,
    gather_late,
    note_told,
    open_detail_of,
    open_news,
    order_row,
    tell,
)
from doorstep.referral.queries import NEWER

PAGE = 100

_HOLD = "SELECT last FROM order_counter WHERE station = :station FOR UPDATE"
_CHANGED = f"""
    SELECT {ORDER} FROM hotline_order o
    WHERE o.station = :station AND o.changed ORDER BY o.order_id LIMIT 50 FOR UPDATE SKIP LOCKED
"""  # noqa: S608
_SUBJECTS = """
    WITH changed AS (
        SELECT order_id, subject_id FROM hotline_order WHERE station = :station AND changed ORDER BY order_id LIMIT 50
    )
    SELECT subject_id FROM changed
    UNION SELECT r.subject_id FROM changed JOIN order_request USING (order_id) JOIN request r USING (request_id)
"""
_LOOKED = "UPDATE hotline_order SET changed = false WHERE order_id = ANY(CAST(:orders AS uuid[]))"
_TASKS = f"""
    SELECT l.order_id, l.need_id, r.request_id, r.subject_id, t.task_id, t.department, t.state, t.closed_at,
        t.opened_at,
        (SELECT min(a.at) FROM task_transition a WHERE a.task_id = t.task_id AND a.to_state = 'accepted') AS accepted,
        d.version, d.detail, r.continues IS NOT NULL AS continuing,
        EXISTS (SELECT FROM request n WHERE n.continues = r.request_id) AS continued
    FROM order_request l JOIN request r USING (request_id) JOIN task t USING (request_id)
    LEFT JOIN LATERAL (
        SELECT version, detail FROM task_transition c
        WHERE c.task_id = t.task_id AND c.to_state = 'completed' AND c.from_state <> 'completed'
        ORDER BY version DESC LIMIT 1
    ) d ON t.state = 'completed'
    WHERE l.order_id = ANY(CAST(:orders AS uuid[])) AND t.part = {LEAD} AND NOT EXISTS ({NEWER})
    ORDER BY r.opened_at, r.request_id
"""  # noqa: S608
_NEWS = f"""
    SELECT n.position, n.kind, n.at, n.detail AS said, {ORDER} FROM order_news n JOIN hotline_order o USING (order_id)
    WHERE n.station = :station AND n.position > :after ORDER BY n.position LIMIT :page
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class News:
    """Something that a hotline is told of its order."""

    position: int
    order_id: UUID
    number: str
    kind: OrderNews
    at: datetime
    due_by: datetime
    detail: NewsDetail


async def follow_orders(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, after: int
) -> tuple[list[News], int]:
    """What happened to the orders of a station after the news numbered `after`, and the number to go on from.

    What is shown is one entry in the log; of the erased nothing is.
    """
    await gather_late(session, station)
    concerned = await run(session, _SUBJECTS, {"station": station})
    await vault.ring({row["subject_id"] for row in concerned})  # so that no key is fetched while rows are locked
    await run(session, _HOLD, {"station": station})
    await look_at_orders(session, vault=vault, orders=await changed_orders(session, station))
    rows = await run(session, _NEWS, {"station": station, "after": after, "page": PAGE})
    ring = await vault.ring({row["subject_id"] for row in rows})
    last = rows[-1]["position"] if rows else after
    rows = [row for row in rows if row["subject_id"] in ring]
    if rows:
        subjects = intents.distinct(row["subject_id"] for row in rows)
        intent = intents.Intent(Action.FOLLOW_ORDERS, subjects, purpose=Purpose.SERVICE, policies=access.policies)
        intents.record(session, ring, intent, principal=access.principal)
    return [_news(ring, row) for row in rows], last


async def changed_orders(session: AsyncSession, station: str) -> list[OrderRow]:
    """Orders of which a request may have moved since they were looked at; they are locked."""
    return [order_row(row) for row in await run(session, _CHANGED, {"station": station})]


async def look_at_orders(session: AsyncSession, *, vault: Vault, orders: Sequence[OrderRow]) -> None:
    """Tell what follows from how the requests of locked orders stand; of the withheld and the returned nothing."""
    if not orders:
        return
    ids = [one.order_id for one in orders]
    tasks: dict[UUID, list[Any]] = {}
    for row in await run(session, _TASKS, {"orders": ids}):
        tasks.setdefault(row["order_id"], []).append(row)
    told = [one for one in orders if not one.withheld and one.returned_at is None]
    ring = await vault.ring(
        {one.subject_id for one in told} | {row["subject_id"] for rows in tasks.values() for row in rows}
    )
    for order in told:
        if order.subject_id in ring:
            await _tell(session, ring, order, tasks.get(order.order_id, []))
    await run(session, _LOOKED, {"orders": ids})


async def _tell(session: AsyncSession, ring: KeyRing, order: OrderRow, tasks: Sequence[Any]) -> None:
    if not tasks:  # none has come yet, there is no need, or who was served by it is erased
        if order.told == OrderNews.RECEIVED and order.declined_at is not None and order.declined >= order.asked:
            at = max(whole_minute(order.declined_at), order.received_at)
            await tell(session, ring, order, OrderNews.ENDED, at)
            await note_told(session, order, [OrderNews.ENDED])
        return
    steps = _steps(order, tasks)
    for kind, rows in steps:
        detail = NewsDetail(outcome=_outcome(ring, rows)) if kind is OrderNews.DONE else None
        at = max(whole_minute(_when(kind, order, rows)), order.received_at)
        await tell(session, ring, order, kind, at, detail)
    await note_told(session, order, [kind for kind, _ in steps], _reopenings(tasks))


def _steps(order: OrderRow, tasks: Sequence[Any]) -> list[tuple[OrderNews, Sequence[Any]]]:
    """What is to be told, each with the tasks that it follows from; also that it was closed and opened since."""
    told, found = OrderNews(order.told), list[tuple[OrderNews, Sequence[Any]]]()
    current = [row for row in tasks if not row["continued"]]
    if _reopenings(tasks) > order.reopenings:
        before = [row for row in tasks if row["continued"] or not row["continuing"]]
        closed = standing(states_of(before))
        if told not in CLOSING and closed in CLOSING:
            found += [(kind, before) for kind in news(told, closed, accepted=_accepted(before))]
            told = closed
        if told in CLOSING:
            found.append((OrderNews.REOPENED, current))
            told = OrderNews.REOPENED
    stands = standing(states_of(current))
    if stands in CLOSING and len({row["need_id"] for row in tasks}) + order.declined < order.asked:
        stands = OrderNews.ACCEPTED if _accepted(current) else OrderNews.RECEIVED  # a reviewer has not decided on all
    return found + [(kind, current) for kind in news(told, stands, accepted=_accepted(current))]


def _accepted(tasks: Sequence[Any]) -> bool:
    return any(row["accepted"] is not None for row in tasks)


def _reopenings(tasks: Sequence[Any]) -> int:
    return len({row["request_id"] for row in tasks if row["continued"]})


def states_of(tasks: Sequence[Any]) -> list[TaskState]:
    """The one state of each request, from the live tasks of its parts."""
    requests: dict[UUID, list[TaskState]] = {}
    for row in tasks:
        requests.setdefault(row["request_id"], []).append(TaskState(row["state"]))
    return [together(states) for states in requests.values()]


def _when(kind: OrderNews, order: OrderRow, tasks: Sequence[Any]) -> datetime:
    """When something happened; where the steps do not say so, when the order was received."""
    if kind in CLOSING:
        found = [row["closed_at"] for row in tasks if row["closed_at"] is not None]
        return max(found, default=order.received_at)
    if kind is OrderNews.REOPENED:
        return max((row["opened_at"] for row in tasks), default=order.received_at)
    return min((row["accepted"] for row in tasks if row["accepted"] is not None), default=order.received_at)


def _outcome(ring: KeyRing, tasks: Sequence[Any]) -> str | None:
    """The code with which the first completed lead was completed; none of what health or justice completed."""
    for row in tasks:
        if row["detail"] is not None and row["department"] in OPEN_DEPARTMENTS and row["subject_id"] in ring:
            said = open_detail(ring, row["subject_id"], row["task_id"], row["version"], bytes(row["detail"]))
            return said.outcome
    return None


def _news(ring: KeyRing, row: Any) -> News:
    position, kind, at, detail, *columns = row.values()
    order = order_row(columns)
    said = open_news(ring, order.subject_id, order.station, position, bytes(detail))
    number = open_detail_of(ring, order).number
    return News(position, order.order_id, number, OrderNews(kind), at, order.due_by, said)
