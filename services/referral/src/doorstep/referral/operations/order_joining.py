"""Orders of one person about one matter are answered by one request (重复工单合并).

Invariants: only what is known to be of one person, by paper and phone, is joined, so that two who live together each
keep their own order, and neither learns of the other's, also with the other's paper; nothing that is withheld joins or
is joined; of two orders that come at once one waits for the other.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.needs import Need
from doorstep.contracts.orders import OrderDetail
from doorstep.contracts.risk import AssessedNeed
from doorstep.kit.db import run
from doorstep.kit.vault import Vault, hold_erasing
from doorstep.referral import queries
from doorstep.referral.operations.counting import need_index
from doorstep.referral.operations.orders import (
    OrderRow,
    bind,
    gather,
    open_detail_of,
    order_of_record,
)
from doorstep.referral.queries import NEWER

_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(encode(CAST(:person AS bytea), 'hex'), 12345))"
_ALONE_FOR = """
    SELECT pg_advisory_xact_lock(hashtextextended(encode(person_index, 'hex'), 12345)) FROM hotline_order
    WHERE order_id = :order_id AND station = :station AND person_index IS NOT NULL
"""
_SAME = f"""
    SELECT r.request_id FROM hotline_order o JOIN order_request l USING (order_id) JOIN request r USING (request_id)
    WHERE o.person_index = :person AND o.station = :station AND o.order_id <> :order_id AND o.returned_at IS NULL
        AND NOT o.withheld
        AND (CAST(:of AS uuid) IS NULL OR o.order_id = :of)
        AND r.need_index = :need_index
        AND EXISTS (
            SELECT FROM task t WHERE t.request_id = r.request_id AND (t.closed_at IS NULL OR t.state = 'rejected')
                AND NOT EXISTS ({NEWER})
        )
        AND NOT EXISTS (SELECT FROM request n WHERE n.continues = r.request_id)
    ORDER BY r.opened_at, r.request_id LIMIT 1
"""  # noqa: S608
_JOIN = """
    INSERT INTO order_request (order_id, request_id, need_id) VALUES (:order_id, :request_id, :need_id)
    ON CONFLICT DO NOTHING
"""
_ANSWERED = "SELECT 1 FROM order_request WHERE order_id = :order_id AND need_id = :need_id"
_DECLINE = """
    WITH past AS (DELETE FROM declined_need WHERE declined_at < CAST(:now AS timestamptz) - interval '90 days')
    INSERT INTO declined_need (need_id, record_id, subject_id, need_index, declined_at)
    SELECT CAST(:need_id AS uuid), CAST(:record_id AS uuid), CAST(:subject_id AS uuid), CAST(:need_index AS bytea),
        CAST(:now AS timestamptz)
    WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = CAST(:subject_id AS uuid))
    ON CONFLICT DO NOTHING
"""
_NOT_OWED = "DELETE FROM heard_need WHERE need_id = :need_id"


@dataclass(frozen=True, slots=True)
class Ordered:
    """The order that a record came of."""

    row: OrderRow
    detail: OrderDetail

    def asks(self, need_type: str) -> bool:
        """Whether the order itself asks for this; what triage finds besides is none of the hotline's."""
        return need_type in self.detail.need_types

    async def passes_over(self, session: AsyncSession, vault: Vault, need_id: UUID, need_type: str) -> bool:
        """Whether no request is opened for a need: the order was returned, or another's open request answers it."""
        if not self.asks(need_type):
            return False
        known = {"order_id": self.row.order_id, "need_id": need_id}
        if not await run(session, _ANSWERED, known) and self.row.returned_at is None:
            request_id = await same_matter(session, vault, self.row, need_type)
            if request_id is None:
                return False
            await join(session, self.row, request_id, need_id)
        await run(session, _NOT_OWED, {"need_id": need_id})
        return True

    async def answer(self, session: AsyncSession) -> None:
        """Have the order be answered by what was opened of its record."""
        await gather(session, [self.row.order_id])


async def ordered(session: AsyncSession, vault: Vault, record_id: UUID) -> Ordered | None:
    """The order that a record came of, if it came of one and its person is not erased."""
    row = await order_of_record(session, record_id)
    if row is None:
        return None
    ring = await vault.ring([row.subject_id])
    return Ordered(row, open_detail_of(ring, row)) if row.subject_id in ring else None


async def decline(
    session: AsyncSession, *, vault: Vault, record_id: UUID, station: str, need: AssessedNeed, now: datetime
) -> None:
    """A reviewer found no need in what an order may have asked for; once that is so of all of it, the order ends.

    It is noted for an order that comes later, too.
    """
    await hold_erasing(session)
    ring = await vault.ring([need.subject_id])
    if need.subject_id not in ring:
        return
    values = {
        "need_id": need.need_id,
        "record_id": record_id,
        "subject_id": need.subject_id,
        "need_index": need_index(vault, station, ring.open(need.need, Need).need_type),
        "now": now,
    }
    await run(session, _DECLINE, values)
    if (order := await order_of_record(session, record_id)) is not None:
        await gather(session, [order.order_id])


async def stand_alone(session: AsyncSession, station: str, order_id: UUID) -> None:
    """Have no other order of the same person be joined, or open a request, until the transaction ends."""
    await run(session, _ALONE_FOR, {"order_id": order_id, "station": station})


async def same_matter(
    session: AsyncSession, vault: Vault, order: OrderRow, need_type: str, *, of: UUID | None = None
) -> UUID | None:
    """The open request, locked, of another order, or of this one, of the same person for the same.

    None where nobody knows who calls, and of what is withheld.

    No other order of this person is joined, or opens a request, until the transaction ends.
    """
    if order.person_index is None or order.withheld:
        return None
    person = bytes(order.person_index)
    await run(session, _ALONE, {"person": person})
    values = {"person": person, "station": order.station, "order_id": order.order_id, "of": of}
    values["need_index"] = need_index(vault, order.station, need_type)
    found: UUID | None = None
    while rows := await run(session, _SAME, values):  # it may just be closing: it is locked, and judged anew
        again, found = found, UUID(str(rows[0]["request_id"]))
        if again == found:
            return found
        await queries.lock_station_tasks(session, order.station, found)
    return None


async def join(session: AsyncSession, order: OrderRow, request_id: UUID, need_id: UUID) -> None:
    """Have an order be answered by a request that is there."""
    await run(session, _JOIN, {"order_id": order.order_id, "request_id": request_id, "need_id": need_id})
    await bind(session, [request_id])
