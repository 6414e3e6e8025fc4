"""Orders of the 12345 hotline as referral keeps them: taken from intake, answered by requests, numbered news.

Invariants: an order and its requests find each other whichever is here first; what is told about an order is in one
transaction with what happened, or follows from it; locked is the person by whom orders are joined first, then requests
by their ids, tasks, orders, the counter.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Coded, Outcome
from doorstep.contracts.envelope import Contract
from doorstep.contracts.orders import ExtensionReason, OrderDetail, OrderNews, OrderTaken, ReturnReason, is_withheld
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault, hold_erasing
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.operations.counting import need_index

ORDER = """
    o.order_id, o.record_id, o.subject_id, o.station, o.called_at, o.received_at, o.due_by, o.withheld, o.told,
    o.closings, o.reopenings, o.asked, o.declined, o.declined_at, o.returned_at, o.person_index, o.detail
"""
"""The columns of an order, of the table as `o`."""
_TAKE = f"""
    INSERT INTO hotline_order AS o (
        order_id, record_id, subject_id, station, called_at, received_at, due_by, withheld, told, asked, person_index,
        need_indexes, detail
    )
    SELECT CAST(:order_id AS uuid), CAST(:record_id AS uuid), CAST(:subject_id AS uuid), CAST(:station AS text),
        CAST(:called_at AS timestamptz), CAST(:received_at AS timestamptz), CAST(:due_by AS timestamptz),
        CAST(:withheld AS boolean), CAST(:told AS text), CAST(:asked AS integer), CAST(:person_index AS bytea),
        CAST(:need_indexes AS bytea[]), CAST(:detail AS bytea)
    WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = CAST(:subject_id AS uuid))
    ON CONFLICT DO NOTHING RETURNING {ORDER}
"""  # noqa: S608
_OF_RECORD = f"SELECT {ORDER} FROM hotline_order o WHERE o.record_id = :record_id FOR KEY SHARE"  # noqa: S608
# FOR UPDATE, and no less: whoever has an order keeps everybody from having it answered by one more request.
_LOCK = f"SELECT {ORDER} FROM hotline_order o WHERE o.order_id = :order_id AND o.station = :station FOR UPDATE"  # noqa: S608
_LINK = """
    INSERT INTO order_request (order_id, request_id, need_id)
    SELECT o.order_id, r.request_id, r.need_id FROM hotline_order o JOIN request r USING (record_id, subject_id)
    WHERE o.order_id = ANY(CAST(:orders AS uuid[])) AND r.need_index = ANY(o.need_indexes)
        AND NOT EXISTS (SELECT FROM order_request l WHERE l.order_id = o.order_id AND l.need_id = r.need_id)
    ON CONFLICT DO NOTHING RETURNING request_id
"""
_COUNT_DECLINED = """
    WITH found AS (
        UPDATE declined_need d SET counted = true FROM hotline_order o
        WHERE o.order_id = ANY(CAST(:orders AS uuid[])) AND d.record_id = o.record_id AND d.subject_id = o.subject_id
            AND d.need_index = ANY(o.need_indexes) AND NOT d.counted
        RETURNING o.order_id, d.declined_at
    )
    UPDATE hotline_order o SET declined = o.declined + n.found, declined_at = n.last, changed = true
    FROM (SELECT order_id, count(*) AS found, max(declined_at) AS last FROM found GROUP BY order_id) n
    WHERE o.order_id = n.order_id
"""
_INCOMPLETE = """
    SELECT o.order_id FROM hotline_order o
    WHERE o.station = :station AND o.returned_at IS NULL AND o.told <> 'ended' AND o.declined + (
        SELECT count(DISTINCT l.need_id) FROM order_request l WHERE l.order_id = o.order_id
    ) < o.asked AND (
        EXISTS (
            SELECT FROM declined_need d
            WHERE d.record_id = o.record_id AND d.need_index = ANY(o.need_indexes) AND NOT d.counted
        )
        OR EXISTS (
            SELECT FROM request r WHERE r.record_id = o.record_id AND r.need_index = ANY(o.need_indexes)
                AND NOT EXISTS (SELECT FROM order_request l WHERE l.need_id = r.need_id AND l.order_id = o.order_id)
        )
    ) LIMIT 100
"""
_LINK_CONTINUED = """
    INSERT INTO order_request (order_id, request_id, need_id)
    SELECT l.order_id, r.request_id, l.need_id FROM request r JOIN order_request l ON l.request_id = r.continues
    WHERE r.request_id = ANY(CAST(:requests AS uuid[])) ON CONFLICT DO NOTHING
"""
_MARK = """
    UPDATE hotline_order SET changed = true WHERE order_id IN (
        SELECT order_id FROM order_request WHERE request_id = ANY(CAST(:requests AS uuid[]))
    )
"""
_BIND = """
    UPDATE request SET hotline_due_by = (
        SELECT min(o.due_by) FROM order_request l JOIN hotline_order o USING (order_id)
        WHERE l.request_id = request.request_id AND o.returned_at IS NULL
            AND (request.continues IS NULL OR o.received_at >= request.opened_at)
    ) WHERE request_id = ANY(CAST(:requests AS uuid[]))
"""
_CURRENT = """
    SELECT l.request_id FROM order_request l WHERE l.order_id = :order_id
        AND NOT EXISTS (SELECT FROM request n WHERE n.continues = l.request_id)
    ORDER BY l.request_id
"""
_LOCK_REQUESTS = """
    SELECT 1 FROM request WHERE request_id = ANY(CAST(:requests AS uuid[])) AND station = :station
    ORDER BY request_id FOR NO KEY UPDATE
"""
_COUNT = """
    INSERT INTO order_counter (station, last) VALUES (:station, 1)
    ON CONFLICT (station) DO UPDATE SET last = order_counter.last + 1 RETURNING last
"""
_TELL = """
    INSERT INTO order_news (station, position, order_id, kind, at, detail)
    VALUES (:station, :position, :order_id, :kind, :at, :detail)
"""
_TOLD = """
    UPDATE hotline_order SET told = :told, closings = closings + :closings, reopenings = :reopenings
    WHERE order_id = :order_id
"""
_SUBJECTS = "SELECT subject_id FROM hotline_order WHERE order_id = :order_id"
_OF_SUBJECT = "SELECT order_id FROM hotline_order WHERE subject_id = :subject_id"


@dataclass(frozen=True, slots=True)
class OrderRow:
    """A row of `hotline_order`; `detail` is encrypted under the subject's key."""

    order_id: UUID
    record_id: UUID
    subject_id: UUID
    station: str
    called_at: datetime
    received_at: datetime
    due_by: datetime
    withheld: bool
    told: str
    closings: int
    reopenings: int
    asked: int
    declined: int
    declined_at: datetime | None
    returned_at: datetime | None
    person_index: bytes | None
    detail: bytes


class NewsDetail(Contract):
    """`order_news.detail`: codes alone."""

    outcome: Coded[Outcome] | None = None
    reason: Coded[ReturnReason] | Coded[ExtensionReason] | None = None
    extension: UUID | None = None
    until: datetime | None = None


def order_row(row: Any) -> OrderRow:
    """A row of the columns of an order."""
    return OrderRow(*row)


async def take_order(session: AsyncSession, *, vault: Vault, taken: OrderTaken) -> None:
    """Keep an order that intake took, answered by what is here of its record; none of the erased."""
    await hold_erasing(session)
    ring = await vault.ring([taken.subject_id])
    if taken.subject_id not in ring:
        return
    detail = ring.open(taken.detail, OrderDetail)
    withheld = any(is_withheld(one) for one in detail.need_types)
    told = OrderNews.ANSWERED if withheld else OrderNews.RECEIVED
    values = {
        **taken.model_dump(include={"order_id", "record_id", "subject_id", "station", "called_at", "received_at"}),
        "due_by": whole_minute(taken.due_by),
        "withheld": withheld,
        "told": told.value,
        "asked": len(detail.need_types),
        "person_index": None if withheld or detail.person is None else bytes.fromhex(detail.person),
        "need_indexes": [need_index(vault, taken.station, one) for one in detail.need_types],
        "detail": ring.encrypt(taken.subject_id, _context(taken.order_id), detail.model_dump_json().encode()),
    }
    rows = await run(session, _TAKE, values)
    if not rows:
        return
    order = order_row(rows[0])
    for kind in dict.fromkeys((OrderNews.RECEIVED, told)):
        await tell(session, ring, order, kind, taken.received_at)
    await gather(session, [order.order_id])


async def order_of_record(session: AsyncSession, record_id: UUID) -> OrderRow | None:
    """The order that a record came of; nobody returns or joins it until the transaction ends."""
    rows = await run(session, _OF_RECORD, {"record_id": record_id})
    return order_row(rows[0]) if rows else None


async def lock_order(session: AsyncSession, station: str, order_id: UUID) -> OrderRow | None:
    """An order of the station; it stays locked until the transaction ends."""
    rows = await run(session, _LOCK, {"order_id": order_id, "station": station})
    return order_row(rows[0]) if rows else None


async def subjects_of_order(session: AsyncSession, order_id: UUID) -> list[UUID]:
    """Whom an order is about."""
    return [row["subject_id"] for row in await run(session, _SUBJECTS, {"order_id": order_id})]


async def orders_of_subject(session: AsyncSession, subject_id: UUID) -> list[UUID]:
    """The orders that are about somebody."""
    return [row["order_id"] for row in await run(session, _OF_SUBJECT, {"subject_id": subject_id})]


async def current_requests(session: AsyncSession, order_id: UUID) -> list[UUID]:
    """The requests that answer an order now: those that were reopened are not among them, what they became is."""
    return [row["request_id"] for row in await run(session, _CURRENT, {"order_id": order_id})]


async def lock_requests(session: AsyncSession, station: str, orders: Sequence[UUID]) -> None:
    """Lock, in the order of their ids, the requests of the station that answer these orders now."""
    found = {one for order_id in orders for one in await current_requests(session, order_id)}
    await run(session, _LOCK_REQUESTS, {"requests": list(found), "station": station})


def open_detail_of(ring: KeyRing, order: OrderRow) -> OrderDetail:
    """From `hotline_order.detail`. Raises SubjectErased or SealBroken."""
    return OrderDetail.model_validate_json(ring.decrypt(order.subject_id, _context(order.order_id), order.detail))


async def gather(session: AsyncSession, orders: Sequence[UUID]) -> None:
    """Have orders be answered by the requests of their records for what they ask, and by what was declined before."""
    rows = await run(session, _LINK, {"orders": list(orders)})
    await bind(session, [row["request_id"] for row in rows])
    await run(session, _COUNT_DECLINED, {"orders": list(orders)})


async def gather_late(session: AsyncSession, station: str) -> None:
    """The same of orders whose requests were opened, or needs declined, by whoever could not see the order yet."""
    if rows := await run(session, _INCOMPLETE, {"station": station}):
        await gather(session, [row["order_id"] for row in rows])


async def link_continued(session: AsyncSession, requests: Collection[UUID]) -> None:
    """Have the orders of requests be answered by those that continue them; the hotline's time for these is over."""
    await run(session, _LINK_CONTINUED, {"requests": list(requests)})
    await run(session, _MARK, {"requests": list(requests)})


async def bind(session: AsyncSession, requests: Sequence[UUID]) -> None:
    """Have requests be due when the hotline waits for them first, and their orders looked at."""
    if requests:
        await run(session, _BIND, {"requests": list(requests)})
        await run(session, _MARK, {"requests": list(requests)})


async def tell(
    session: AsyncSession,
    ring: KeyRing,
    order: OrderRow,
    kind: OrderNews,
    at: datetime,
    detail: NewsDetail | None = None,
) -> None:
    """Tell the hotline something of its order, as the next of the station's news."""
    position = (await run(session, _COUNT, {"station": order.station}))[0]["last"]
    said = (detail or NewsDetail()).model_dump_json(exclude_none=True).encode()
    values = {"station": order.station, "position": position, "order_id": order.order_id, "kind": kind.value, "at": at}
    sealed = ring.encrypt(order.subject_id, _news_context(order.station, position), said)
    await run(session, _TELL, {**values, "detail": sealed})


async def note_told(
    session: AsyncSession, order: OrderRow, kinds: Sequence[OrderNews], reopenings: int | None = None
) -> None:
    """Note how an order stands for the hotline after it was told `kinds`, how often it was closed, and opened anew."""
    if not kinds:
        return
    values = {
        "order_id": order.order_id,
        "told": kinds[-1].value,
        "closings": sum(one in (OrderNews.DONE, OrderNews.ENDED) for one in kinds),
        "reopenings": order.reopenings if reopenings is None else reopenings,
    }
    await run(session, _TOLD, values)


def open_news(ring: KeyRing, subject_id: UUID, station: str, position: int, blob: bytes) -> NewsDetail:
    """From `order_news.detail`. Raises SubjectErased or SealBroken."""
    return NewsDetail.model_validate_json(ring.decrypt(subject_id, _news_context(station, position), blob))


def _context(order_id: UUID) -> str:
    return f"hotline_order.detail:{order_id}"


def _news_context(station: str, position: int) -> str:
    return f"order_news.detail:{station}/{position}"
