"""More time for an order (延期): the station or a department asks, the hotline grants or refuses.

Invariants: it is asked for before the order is due, twice at most, and once at a time; a grant moves the hotline's due
time alone, and never what a department owes by our own; a department asks as the lead, and learns of nobody who asked.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department
from doorstep.contracts.orders import ExtensionReason, OrderNews
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral import queries
from doorstep.referral.domain.order_errors import (
    ExtensionAnswered,
    ExtensionNotNow,
    ExtensionPending,
    ExtensionUnknown,
    NoMoreExtensions,
    OrderReturned,
    OrderUnknown,
    OrderWithheld,
)
from doorstep.referral.domain.orders import check_extension
from doorstep.referral.domain.parts import LEAD
from doorstep.referral.domain.states import OPEN, Party
from doorstep.referral.errors import RequestUnknown
from doorstep.referral.operations.access import Access, open_to
from doorstep.referral.operations.handling import acting_for
from doorstep.referral.operations.order_returning import hold, log_order
from doorstep.referral.operations.orders import (
    NewsDetail,
    OrderRow,
    bind,
    current_requests,
    lock_order,
    lock_requests,
    tell,
)

_ASKED = "SELECT granted FROM order_extension WHERE order_id = :order_id"
_ASK = """
    INSERT INTO order_extension (extension_id, order_id, asked_at, until, party)
    VALUES (:extension_id, :order_id, :now, :until, :party)
"""
_ONE = "SELECT until, granted FROM order_extension WHERE order_id = :order_id AND extension_id = :extension_id"
_ANSWER = """
    UPDATE order_extension SET granted = :granted, answered_at = :now WHERE extension_id = :extension_id
"""
_MOVE = "UPDATE hotline_order SET due_by = :until WHERE order_id = :order_id"
_BINDING = """
    SELECT o.order_id FROM order_request l JOIN hotline_order o USING (order_id)
    WHERE l.request_id = :request_id AND o.station = :station AND o.returned_at IS NULL AND NOT o.withheld
    ORDER BY o.due_by, o.order_id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Extension:
    """What is asked for: until when, and why; under an id of whoever asks."""

    extension_id: UUID
    until: datetime
    reason: ExtensionReason


async def ask_for_order(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    order_id: UUID,
    extension: Extension,
    now: datetime,
) -> None:
    """Ask, as the station, for more time. Raises an OrderRefused."""
    held = await hold(session, vault, access, station, order_id)
    await _ask(session, vault, access, held.order, extension, Party.STATION, now)


async def ask_for_request(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    ref: UUID,
    extension: Extension,
    now: datetime,
) -> None:
    """Ask, as the department that leads a request, for more time for the order that it answers and that is due first.

    Whether another department, or the station, asked before is not told. Raises RequestUnknown, HandledByAnother, or an
    OrderRefused.
    """
    task = await queries.lock_department_task(session, department, ref)
    if task is None or task.state not in OPEN or not await open_to(session, vault, access, [task]):
        raise RequestUnknown
    acting = await acting_for(session, access, task, now)
    if task.part != LEAD:
        raise OrderUnknown
    rows = await run(session, _BINDING, {"request_id": task.request_id, "station": task.station})
    order = await lock_order(session, task.station, rows[0]["order_id"]) if rows else None
    if order is None:
        raise OrderUnknown
    try:
        await _ask(session, vault, acting, order, extension, Party.DEPARTMENT, now)
    except (ExtensionPending, NoMoreExtensions):
        raise ExtensionNotNow from None


async def _ask(
    session: AsyncSession,
    vault: Vault,
    access: Access,
    order: OrderRow,
    extension: Extension,
    party: Party,
    now: datetime,
) -> None:
    if order.withheld:
        raise OrderWithheld
    if order.returned_at is not None:
        raise OrderReturned
    asked = [row["granted"] for row in await run(session, _ASKED, {"order_id": order.order_id})]
    check_extension(order.due_by, extension.until, asked, now)
    values = {"extension_id": extension.extension_id, "order_id": order.order_id, "until": extension.until}
    await run(session, _ASK, {**values, "now": now, "party": party.value})
    ring = await vault.ring([order.subject_id])
    said = NewsDetail(reason=extension.reason, extension=extension.extension_id, until=extension.until)
    await tell(session, ring, order, OrderNews.EXTENSION_ASKED, now, said)
    log_order(session, ring, Action.ASK_EXTENSION, access, order)


async def answer_extension(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    order_id: UUID,
    extension_id: UUID,
    granted: bool,
    now: datetime,
) -> datetime:
    """Grant or refuse, as the hotline, what was asked for; gives when the order is due. Said again, nothing changes.

    Raises OrderUnknown, ExtensionUnknown, ExtensionAnswered.
    """
    await lock_requests(session, station, [order_id])
    order = await lock_order(session, station, order_id)
    if order is None:
        raise OrderUnknown
    rows = await run(session, _ONE, {"order_id": order_id, "extension_id": extension_id})
    if not rows:
        raise ExtensionUnknown
    until, before = rows[0]
    if before is not None:
        if before != granted:
            raise ExtensionAnswered
        return order.due_by
    await run(session, _ANSWER, {"extension_id": extension_id, "granted": granted, "now": now})
    if granted:
        await run(session, _MOVE, {"order_id": order_id, "until": until})
        await bind(session, await current_requests(session, order_id))
    ring = await vault.ring([order.subject_id])
    log_order(session, ring, Action.ANSWER_EXTENSION, access, order)
    return until if granted else order.due_by
