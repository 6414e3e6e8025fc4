"""Orders of the 12345 hotline: what it is told of them, by when they are due, when one is returned or takes longer.

Invariants: the hotline is told steps and outcome codes, and of what is withheld the same two words whatever happens;
its due time stands beside ours, and the earlier one binds.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from doorstep.contracts.codes import TaskState
from doorstep.contracts.orders import LONGEST_TERM, MOST_EXTENSIONS, RETURN_WORKING_DAYS, OrderNews
from doorstep.referral.domain.deadlines import DueTimes, Worked, due_times
from doorstep.referral.domain.order_errors import (
    ExtensionPending,
    NoMoreExtensions,
    OrderAccepted,
    OrderOverdue,
    ReturnTooLate,
    TermRefused,
)
from doorstep.referral.domain.states import FINAL, WORKING

CLOSED = FINAL - {TaskState.REJECTED}
"""In these states nothing is owed any more; what was rejected waits for the station."""
CLOSING = frozenset({OrderNews.DONE, OrderNews.ENDED})
ACCEPTED = WORKING | {TaskState.COMPLETED, TaskState.FAILED}
"""In these states a department accepted it."""


def bound(due: DueTimes, hotline_due: datetime | None) -> DueTimes:
    """What binds where a hotline waits too: of each due time the earlier."""
    if hotline_due is None:
        return due
    return replace(due, response=min(due.response, hotline_due), completion=min(due.completion, hotline_due))


def standing(states: Sequence[TaskState]) -> OrderNews:
    """How an order stands whose requests are in `states`."""
    if states and all(state in CLOSED for state in states):
        return OrderNews.DONE if TaskState.COMPLETED in states else OrderNews.ENDED
    return OrderNews.ACCEPTED if ACCEPTED.intersection(states) else OrderNews.RECEIVED


def news(told: OrderNews, now: OrderNews, *, accepted: bool) -> tuple[OrderNews, ...]:
    """What the hotline is to be told that was told `told`, of an order that stands at `now`; no step is left out.

    `accepted`: a department had accepted what is closed now.
    """
    if told in CLOSING and now not in CLOSING:
        return (OrderNews.REOPENED, *news(OrderNews.REOPENED, now, accepted=accepted))
    if now is OrderNews.RECEIVED or told == now or told in CLOSING:
        return ()
    if now in CLOSING and told is not OrderNews.ACCEPTED and (accepted or now is OrderNews.DONE):
        return OrderNews.ACCEPTED, now
    return (now,)


def check_return(states: Sequence[TaskState], received_at: datetime, now: datetime, worked: Worked) -> None:
    """Whether an order may be returned. Raises OrderAccepted, ReturnTooLate."""
    if ACCEPTED.intersection(states):
        raise OrderAccepted
    if now > due_times(received_at, 0, RETURN_WORKING_DAYS, worked).completion:
        raise ReturnTooLate


def check_extension(due_by: datetime, until: datetime, asked: Sequence[bool | None], now: datetime) -> None:
    """Whether more time may be asked for; `asked` are the answers to what was asked before, None where one waits.

    Raises OrderOverdue, TermRefused, ExtensionPending, NoMoreExtensions.
    """
    if now >= due_by:
        raise OrderOverdue
    if not due_by < until <= due_by + LONGEST_TERM:
        raise TermRefused
    if None in asked:
        raise ExtensionPending
    if len(asked) >= MOST_EXTENSIONS:
        raise NoMoreExtensions
