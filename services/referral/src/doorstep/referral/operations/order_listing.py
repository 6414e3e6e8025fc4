"""The station's list of the hotline's orders: number, due time, how they stand, which requests answer them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action
from doorstep.contracts.orders import OrderDetail, OrderNews
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral.domain.orders import CLOSING, standing
from doorstep.referral.operations.access import STAFF, Access
from doorstep.referral.operations.order_news import states_of
from doorstep.referral.operations.orders import ORDER, OrderRow, open_detail_of, order_row
from doorstep.referral.queries import NEWER

_OPEN = f"""
    SELECT {ORDER} FROM hotline_order o WHERE o.station = :station AND o.returned_at IS NULL
        AND NOT EXISTS (SELECT FROM exclusion x WHERE x.subject_id = o.subject_id AND x.staff = :who)
        AND (
            (o.told <> 'ended' AND o.declined + (
                SELECT count(DISTINCT l.need_id) FROM order_request l WHERE l.order_id = o.order_id
            ) < o.asked)
            OR EXISTS (
                SELECT FROM order_request l JOIN task t USING (request_id)
                WHERE l.order_id = o.order_id AND (t.closed_at IS NULL OR t.state = 'rejected') AND NOT EXISTS ({NEWER})
                    AND NOT EXISTS (SELECT FROM request n WHERE n.continues = l.request_id)
            )
        )
    ORDER BY o.due_by, o.order_id LIMIT 100
"""  # noqa: S608
_TASKS = f"""
    SELECT l.order_id, l.request_id, t.state FROM order_request l JOIN task t USING (request_id)
    WHERE l.order_id = ANY(CAST(:orders AS uuid[])) AND NOT EXISTS ({NEWER})
        AND NOT EXISTS (SELECT FROM request n WHERE n.continues = l.request_id)
    ORDER BY l.request_id, t.part
"""  # noqa: S608
_WAITING = """
    SELECT order_id, until FROM order_extension WHERE order_id = ANY(CAST(:orders AS uuid[])) AND granted IS NULL
"""


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that the station owes an answer, and until when more time was asked for."""

    row: OrderRow
    detail: OrderDetail
    standing: OrderNews
    requests: tuple[UUID, ...]
    asked_until: datetime | None


async def list_orders(session: AsyncSession, *, vault: Vault, access: Access, station: str) -> list[OpenOrder]:
    """The station's open orders, those due first first; at most 100. That they were read is logged."""
    who = vault.pairwise(STAFF, access.principal.subject)
    rows = [order_row(row) for row in await run(session, _OPEN, {"station": station, "who": who})]
    ring = await vault.ring({row.subject_id for row in rows})
    rows = [row for row in rows if row.subject_id in ring]
    if not rows:
        return []
    ids = [row.order_id for row in rows]
    tasks: dict[UUID, list[Any]] = {}
    for one in await run(session, _TASKS, {"orders": ids}):
        tasks.setdefault(one["order_id"], []).append(one)
    waiting = {one["order_id"]: one["until"] for one in await run(session, _WAITING, {"orders": ids})}
    subjects = intents.distinct(row.subject_id for row in rows)
    intent = intents.Intent(Action.LIST_ORDERS, subjects, purpose=access.purpose, policies=access.policies)
    intents.record(session, ring, intent, principal=access.principal)
    return [
        OpenOrder(
            row,
            open_detail_of(ring, row),
            standing(states_of(tasks.get(row.order_id, ()))),
            requests_of(tasks.get(row.order_id, ())),
            waiting.get(row.order_id),
        )
        for row in rows
    ]


def requests_of(tasks: Sequence[Any]) -> tuple[UUID, ...]:
    """The requests of tasks, once each."""
    return tuple(dict.fromkeys(row["request_id"] for row in tasks))


def is_overdue(order: OpenOrder, now: datetime) -> bool:
    """Whether an order is late by the hotline's clock."""
    return order.standing not in CLOSING and now > order.row.due_by
