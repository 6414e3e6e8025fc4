"""What the station does with an order: returns it (退单), or joins it by hand to another on the same matter.

Invariants: nothing that a department accepted is taken back; a request that answers another order too goes on for that
one; an order whose person excludes the caller is not there for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis, Reason, TaskState
from doorstep.contracts.orders import OrderNews, ReturnReason
from doorstep.kit import calendar, intents
from doorstep.kit.db import run
from doorstep.kit.exclusions import excluding
from doorstep.kit.vault import KeyRing, Vault
from doorstep.referral import queries
from doorstep.referral.domain.order_errors import (
    NotOneMatter,
    OrderAccepted,
    OrderReturned,
    OrderUnknown,
    OrderWithheld,
)
from doorstep.referral.domain.orders import ACCEPTED, check_return
from doorstep.referral.domain.states import OPEN, Party, Standing, Step
from doorstep.referral.operations.access import STAFF, Access
from doorstep.referral.operations.counting import need_index
from doorstep.referral.operations.duties import note_duty
from doorstep.referral.operations.order_joining import join, same_matter, stand_alone
from doorstep.referral.operations.orders import (
    NewsDetail,
    OrderRow,
    bind,
    current_requests,
    lock_order,
    lock_requests,
    note_told,
    open_detail_of,
    tell,
)
from doorstep.referral.operations.tasks import Wish, take
from doorstep.referral.queries import TaskRow

_SHARED = """
    SELECT l.request_id FROM order_request l JOIN hotline_order o USING (order_id)
    WHERE l.request_id = ANY(CAST(:requests AS uuid[])) AND o.order_id <> :order_id AND o.returned_at IS NULL
"""
_RETURN = "UPDATE hotline_order SET returned_at = :now WHERE order_id = :order_id"
_UNLINK = "DELETE FROM order_request WHERE order_id = :order_id AND request_id = :request_id"
_OWN = """
    SELECT l.request_id, l.need_id FROM order_request l JOIN request r USING (request_id)
    WHERE l.order_id = :order_id AND r.need_index = :need_index
        AND NOT EXISTS (SELECT FROM request n WHERE n.continues = l.request_id)
"""


@dataclass(frozen=True, slots=True)
class Held:
    """An order, and the requests that answer it, each by its live tasks; all of it locked."""

    order: OrderRow
    tasks: dict[UUID, list[TaskRow]]

    @property
    def states(self) -> list[TaskState]:
        """In which states its tasks are."""
        return [task.state for tasks in self.tasks.values() for task in tasks]


async def hold(
    session: AsyncSession, vault: Vault, access: Access, station: str, order_id: UUID, *, beside: Sequence[UUID] = ()
) -> Held:
    """Lock the requests that answer an order, and orders `beside` it, by their ids; then its tasks, then the order.

    Raises OrderUnknown, also for whom its person excludes, or OrderReturned.
    """
    tasks: dict[UUID, list[TaskRow]] = {}
    await lock_requests(session, station, [order_id, *beside])
    await _lock_tasks(session, station, order_id, tasks)
    order = await lock_order(session, station, order_id)
    if order is None:
        raise OrderUnknown
    await _lock_tasks(session, station, order_id, tasks)  # one may have come before the order was ours
    people = {order.subject_id, *(row.subject_id for rows in tasks.values() for row in rows)}
    if await excluding(session, vault.pairwise(STAFF, access.principal.subject), list(people)):
        raise OrderUnknown
    if order.returned_at is not None:
        raise OrderReturned
    return Held(order, {one: rows for one, rows in tasks.items() if rows})


async def _lock_tasks(session: AsyncSession, station: str, order_id: UUID, tasks: dict[UUID, list[TaskRow]]) -> None:
    for request_id in await current_requests(session, order_id):
        if request_id not in tasks:
            tasks[request_id] = await queries.lock_station_tasks(session, station, request_id)


async def return_order(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    order_id: UUID,
    reason: ReturnReason,
    now: datetime,
) -> None:
    """Return an order that is not the station's, in time and before anything of it was accepted.

    What answers it alone is withdrawn. Raises OrderUnknown, OrderReturned, OrderWithheld, OrderAccepted, ReturnTooLate.
    """
    held = await hold(session, vault, access, station, order_id)
    order = held.order
    if order.withheld:
        raise OrderWithheld
    check_return(held.states, order.received_at, now, calendar.worked)
    await run(session, _RETURN, {"order_id": order_id, "now": now})
    shared = await run(session, _SHARED, {"requests": list(held.tasks), "order_id": order_id})
    kept = {row["request_id"] for row in shared}
    for request_id, tasks in held.tasks.items():
        if request_id not in kept:
            await _withdraw(session, vault, access, tasks, Reason.NOT_OURS, now)
    await bind(session, list(held.tasks))
    ring = await vault.ring([order.subject_id])
    await tell(session, ring, order, OrderNews.RETURNED, now, NewsDetail(reason=reason))
    await note_told(session, order, [OrderNews.RETURNED])
    log_order(session, ring, Action.RETURN_ORDER, access, order)


async def join_orders(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, order_id: UUID, into: UUID, now: datetime
) -> int:
    """Have what an order asks for be answered by the open requests of another of the same person; how many were joined.

    Raises OrderUnknown, OrderReturned, OrderWithheld, OrderAccepted, NotOneMatter.
    """
    await stand_alone(session, station, order_id)
    held = await hold(session, vault, access, station, order_id, beside=[into])
    order, joined = held.order, 0
    if order.withheld:
        raise OrderWithheld
    ring = await vault.ring([order.subject_id])
    for need_type in open_detail_of(ring, order).need_types:
        index = need_index(vault, station, need_type)
        own = await run(session, _OWN, {"order_id": order_id, "need_index": index})
        request_id = await same_matter(session, vault, order, need_type, of=into)
        if request_id is None or request_id in held.tasks or not own:
            continue
        mine, need_id = own[0]["request_id"], own[0]["need_id"]
        if any(task.state in ACCEPTED for task in held.tasks[mine]):
            raise OrderAccepted
        if not await run(session, _SHARED, {"requests": [mine], "order_id": order_id}):
            await _withdraw(session, vault, access, held.tasks[mine], Reason.DUPLICATE, now)
        await run(session, _UNLINK, {"order_id": order_id, "request_id": mine})
        await join(session, order, request_id, need_id)
        joined += 1
    if not joined:
        raise NotOneMatter
    log_order(session, ring, Action.JOIN_ORDERS, access, order)
    return joined


async def _withdraw(
    session: AsyncSession, vault: Vault, access: Access, tasks: Sequence[TaskRow], reason: Reason, now: datetime
) -> None:
    """Take a request back that nobody accepted, also one that waits for a department or came back rejected.

    Who does so has a duty on its record, also where an order was joined to it meanwhile.
    """
    principal = access.principal
    await note_duty(session, tasks[0].record_id, vault.pairwise(STAFF, principal.subject), principal.role)
    ring = await vault.ring([tasks[0].subject_id])
    for task in tasks:
        if task.state in OPEN or task.state is TaskState.REJECTED:
            wish = Wish(TaskState.CANCELLED, task.version, reason=reason)
            step = Step(wish.to, Party.STATION, principal.subject, reason)
            await take(session, ring, access, task, step, Standing(wish.to), wish, now)


def log_order(session: AsyncSession, ring: KeyRing, action: Action, access: Access, order: OrderRow) -> None:
    """Tell the log what was done with an order; its case is the order."""
    intent = intents.Intent(
        action,
        [order.subject_id],
        purpose=access.purpose,
        legal_basis=LegalBasis.CONSENT,
        case=order.order_id,
        record=order.record_id,
        policies=access.policies,
    )
    intents.record(session, ring, intent, principal=access.principal)
