"""The hotline's call-back of an order (回访): once for each closing; "not satisfied" opens anew what was closed.

Invariants: what opens anew is what "not solved" opens, in the same seven days; a resident's own rating stays theirs.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Coded, TaskState
from doorstep.contracts.envelope import Contract
from doorstep.contracts.orders import CallBack, OrderNews
from doorstep.kit.db import run
from doorstep.kit.vault import Vault, hold_erasing
from doorstep.referral.domain.order_errors import CallBackGiven, OrderNotClosed, OrderWithheld
from doorstep.referral.domain.orders import CLOSING
from doorstep.referral.domain.parts import together
from doorstep.referral.errors import WindowClosed
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.order_news import look_at_orders
from doorstep.referral.operations.order_returning import hold, log_order
from doorstep.referral.operations.orders import lock_order
from doorstep.referral.operations.ratings import reopen

_KEEP = """
    INSERT INTO order_call_back (order_id, closing, at, result) VALUES (:order_id, :closing, :now, :result)
    ON CONFLICT DO NOTHING RETURNING closing
"""
_ANSWERED = frozenset({TaskState.COMPLETED, TaskState.FAILED})


class Heard(Contract):
    """`order_call_back.result`: what was heard."""

    result: Coded[CallBack]


async def report_call_back(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    order_id: UUID,
    result: CallBack,
    now: datetime,
) -> bool:
    """Keep what the hotline heard of a closed order; whether requests were opened that continue what was closed.

    Raises OrderUnknown, OrderReturned, OrderWithheld, OrderNotClosed, CallBackGiven, WindowClosed.
    """
    await hold_erasing(session)
    held = await hold(session, vault, access, station, order_id)
    if held.order.withheld:
        raise OrderWithheld
    await look_at_orders(session, vault=vault, orders=[held.order])
    order = await lock_order(session, station, order_id) or held.order
    if OrderNews(order.told) not in CLOSING:
        raise OrderNotClosed
    ring = await vault.ring([order.subject_id])
    heard = Heard(result=result).model_dump_json().encode()
    sealed = ring.encrypt(order.subject_id, f"order_call_back.result:{order_id}/{order.closings}", heard)
    kept = {"order_id": order_id, "closing": order.closings, "now": now, "result": sealed}
    if not await run(session, _KEEP, kept):
        raise CallBackGiven
    reopened, late = 0, None
    for tasks in held.tasks.values():
        if result is CallBack.NOT_SATISFIED and together([one.state for one in tasks]) in _ANSWERED:
            try:
                reopened += await reopen(session, vault, tasks, now)
            except WindowClosed as closed:  # said before anything is written; others may still be in time
                late = closed
    if late is not None and not reopened:
        raise late
    log_order(session, ring, Action.REPORT_CALL_BACK, access, order)
    return bool(reopened)
