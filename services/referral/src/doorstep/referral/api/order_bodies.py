"""HTTP bodies about orders of the 12345 hotline."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import UUID7, AwareDatetime, Field, StrictBool

from doorstep.contracts.codes import Outcome
from doorstep.contracts.orders import CallBack, ExtensionReason, OrderNews, ReturnReason
from doorstep.referral.schemas import Answer, Body


class ReturnBody(Body):
    """Why an order is returned."""

    id: UUID7
    reason: ReturnReason


class JoinBody(Body):
    """The other order, by its receipt, on the same matter of the same person."""

    id: UUID7
    into: UUID


class ExtensionBody(Body):
    """Until when more time is asked for, and why; `id` is the extension's."""

    id: UUID7
    until: AwareDatetime
    reason: ExtensionReason


class ExtensionAnswerBody(Body):
    """Whether the hotline grants it."""

    granted: StrictBool


class CallBackBody(Body):
    """What the hotline heard when it called its caller back."""

    id: UUID7
    result: CallBack


class OrderReturned(Answer):
    """The order was returned."""

    receipt: UUID


class OrdersJoined(Answer):
    """How many requests of the order were joined to the other's."""

    receipt: UUID
    joined: int


class ExtensionAsked(Answer):
    """The hotline was asked."""

    extension: UUID


class OrderDue(Answer):
    """When the order is due now."""

    receipt: UUID
    due_by: datetime


class CallBackKept(Answer):
    """The result was kept; whether a request was opened that goes on."""

    receipt: UUID
    reopened: bool


class OrderNewsItem(Answer):
    """What happened to one order: a code, when, and with what outcome code it was done, or why it was returned.

    `extension` and `until` are what more time was asked for, to be granted or refused.
    """

    position: int
    receipt: UUID
    number: str
    kind: OrderNews
    at: datetime
    outcome: Outcome | None = None
    reason: str | None = None
    extension: UUID | None = None
    until: datetime | None = None


class OrderNewsPage(Answer):
    """What happened, in order; `next` is what to send as `after` for what comes later."""

    news: tuple[OrderNewsItem, ...]
    next: Annotated[int, Field(ge=0)]


class OpenOrderItem(Answer):
    """An order that the station owes an answer: by the hotline's clock, which requests answer it, how it stands.

    Of what is `withheld` its hotline is told nothing more. `asked_until`: more time was asked for and not yet granted.
    """

    receipt: UUID
    number: str
    record_id: UUID
    need_types: tuple[str, ...]
    area: str
    called_at: datetime
    received_at: datetime
    due_by: datetime
    overdue: bool
    withheld: bool
    standing: OrderNews
    requests: tuple[UUID, ...]
    asked_until: datetime | None = None


class OpenOrders(Answer):
    """The station's open orders, those due first first."""

    orders: tuple[OpenOrderItem, ...]
