"""Orders of the 12345 hotline: what it is told and says of its own, and what station and departments do with them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, Purpose
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.policy import Forbidden, Resource
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    attempts,
    visible_to,
)
from doorstep.referral import queries
from doorstep.referral.api.commands import digest
from doorstep.referral.api.order_bodies import (
    CallBackBody,
    CallBackKept,
    ExtensionAnswerBody,
    ExtensionAsked,
    ExtensionBody,
    JoinBody,
    OpenOrderItem,
    OpenOrders,
    OrderDue,
    OrderNewsItem,
    OrderNewsPage,
    OrderReturned,
    OrdersJoined,
    ReturnBody,
)
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.operations import order_extending
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.duties import take_order_duty
from doorstep.referral.operations.order_calling_back import report_call_back
from doorstep.referral.operations.order_listing import OpenOrder, is_overdue, list_orders
from doorstep.referral.operations.order_news import News, follow_orders
from doorstep.referral.operations.order_returning import join_orders, return_order
from doorstep.referral.operations.orders import subjects_of_order

router = APIRouter(tags=["orders"])


@router.get("/api/orders/news", response_model_exclude_none=True)
@attempts(Action.FOLLOW_ORDERS)
@visible_to(Visibility.HOTLINE)
async def follow(
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> OrderNewsPage:
    """What happened to the hotline's orders at this station since the news numbered `after`."""
    access, station = _access(service, principal, "follow-orders")
    found, last = await follow_orders(session, vault=service.vault, access=access, station=station, after=after)
    return OrderNewsPage(news=tuple(_news(one) for one in found), next=last)


@router.post("/api/orders/{receipt}/extensions/{extension_id}/answer")
@attempts(Action.ANSWER_EXTENSION, "receipt", subjects_of_order)
@visible_to(Visibility.HOTLINE)
async def answer_extension(
    receipt: UUID,
    extension_id: UUID,
    body: ExtensionAnswerBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> OrderDue:
    """Grant or refuse, as the hotline, what was asked for. Said again it changes nothing."""
    access, station = _access(service, principal, "follow-orders")
    due_by = await order_extending.answer_extension(
        session,
        vault=service.vault,
        access=access,
        station=station,
        order_id=receipt,
        extension_id=extension_id,
        granted=body.granted,
        now=datetime.now(UTC),
    )
    return OrderDue(receipt=receipt, due_by=due_by)


@router.post("/api/orders/{receipt}/call-backs")
@attempts(Action.REPORT_CALL_BACK, "receipt", subjects_of_order)
@visible_to(Visibility.HOTLINE)
async def call_back(
    receipt: UUID, body: CallBackBody, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> CallBackKept:
    """Report what the hotline heard of a closed order; "not satisfied" opens anew what was closed, for seven days."""
    access, station = _access(service, principal, "follow-orders")
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, receipt))
    if replay is not None:
        return CallBackKept.model_validate(replay.answer)
    reopened = await report_call_back(
        session,
        vault=service.vault,
        access=access,
        station=station,
        order_id=receipt,
        result=body.result,
        now=datetime.now(UTC),
    )
    answer = CallBackKept(receipt=receipt, reopened=reopened)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@router.get("/api/orders/open", response_model_exclude_none=True)
@attempts(Action.LIST_ORDERS)
@visible_to(Visibility.STATION)
async def see_open(
    service: ServiceDep, principal: PrincipalDep, purpose: PurposeDep, session: SessionDep
) -> OpenOrders:
    """The orders that the station owes an answer, with the hotline's number and clock; at most 100."""
    access, station = _access(service, principal, "list-orders", purpose)
    found, now = await list_orders(session, vault=service.vault, access=access, station=station), datetime.now(UTC)
    return OpenOrders(orders=tuple(_open(one, now) for one in found))


@router.post("/api/orders/{receipt}/return")
@attempts(Action.RETURN_ORDER, "receipt", subjects_of_order)
@visible_to(Visibility.STATION)
async def give_back(
    receipt: UUID, body: ReturnBody, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> OrderReturned:
    """Return an order that is not the station's, within a working day and before anything of it was accepted."""
    access, station = _access(service, principal, "direct-order")
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, receipt))
    if replay is not None:
        return OrderReturned.model_validate(replay.answer)
    access = await _on_duty(service, session, access, station, receipt)
    await return_order(
        session,
        vault=service.vault,
        access=access,
        station=station,
        order_id=receipt,
        reason=body.reason,
        now=datetime.now(UTC),
    )
    answer = OrderReturned(receipt=receipt)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@router.post("/api/orders/{receipt}/join")
@attempts(Action.JOIN_ORDERS, "receipt", subjects_of_order)
@visible_to(Visibility.STATION)
async def join(
    receipt: UUID, body: JoinBody, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> OrdersJoined:
    """Have an order be answered by what answers another of the same person; nothing else is joined."""
    access, station = _access(service, principal, "direct-order")
    replay = await idempotency.claim(session, principal, body.id, digest(service.vault, body, receipt))
    if replay is not None:
        return OrdersJoined.model_validate(replay.answer)
    access = await _on_duty(service, session, access, station, receipt)
    joined = await join_orders(
        session,
        vault=service.vault,
        access=access,
        station=station,
        order_id=receipt,
        into=body.into,
        now=datetime.now(UTC),
    )
    answer = OrdersJoined(receipt=receipt, joined=joined)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@router.post("/api/orders/{receipt}/extensions")
@attempts(Action.ASK_EXTENSION, "receipt", subjects_of_order)
@visible_to(Visibility.STATION)
async def ask(
    receipt: UUID, body: ExtensionBody, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> ExtensionAsked:
    """Ask the hotline, as the station, for more time, before the order is due and twice at most."""
    access, station = _access(service, principal, "direct-order")
    known, answer = digest(service.vault, body, receipt), {"receipt": str(receipt)}
    if await idempotency.claim(session, principal, body.id, known, answer=answer) is None:
        access = await _on_duty(service, session, access, station, receipt)
        await order_extending.ask_for_order(
            session,
            vault=service.vault,
            access=access,
            station=station,
            order_id=receipt,
            extension=_extension(body),
            now=datetime.now(UTC),
        )
    return ExtensionAsked(extension=body.id)


@router.post("/api/departments/{department}/requests/{ref}/extensions")
@attempts(Action.ASK_EXTENSION, "ref", queries.subjects_of_ref)
@visible_to(Visibility.DEPARTMENT)
async def ask_as_department(
    department: Department,
    ref: UUID,
    body: ExtensionBody,
    service: ServiceDep,
    principal: PrincipalDep,
    session: SessionDep,
) -> ExtensionAsked:
    """Ask the hotline, as the department that leads the request, for more time for the order that it answers."""
    allowed = service.policy.authorize(principal, "transition-task", Resource("request", department=department))
    claimed = await idempotency.claim(
        session, principal, body.id, digest(service.vault, body, department, ref), answer={"ref": str(ref)}
    )
    if claimed is None:
        await order_extending.ask_for_request(
            session,
            vault=service.vault,
            access=Access(principal, policies=allowed.policies),
            department=department,
            ref=ref,
            extension=_extension(body),
            now=datetime.now(UTC),
        )
    return ExtensionAsked(extension=body.id)


def _extension(body: ExtensionBody) -> order_extending.Extension:
    return order_extending.Extension(body.id, whole_minute(body.until.astimezone(UTC)), body.reason)


def _access(service: Service, principal: Principal, action: str, purpose: Purpose | None = None) -> tuple[Access, str]:
    """What policy permits a caller with the orders of their station. Raises Forbidden."""
    thing = Resource("order", station=principal.station)
    allowed = service.policy.authorize(principal, action, thing, purpose=purpose)
    if principal.station is None:
        raise Forbidden("no station")
    return Access(principal, purpose or Purpose.SERVICE, allowed.policies), principal.station


async def _on_duty(service: Service, session: AsyncSession, access: Access, station: str, order_id: UUID) -> Access:
    """The access of who directs an order, with their duty on its record. Raises Forbidden."""
    policies = await take_order_duty(
        session,
        vault=service.vault,
        policy=service.policy,
        principal=access.principal,
        action="direct-order",
        station=station,
        order_id=order_id,
    )
    return replace(access, policies=policies)


def _news(one: News) -> OrderNewsItem:
    return OrderNewsItem(
        position=one.position,
        receipt=one.order_id,
        number=one.number,
        kind=one.kind,
        at=one.at,
        **one.detail.model_dump(),
    )


def _open(one: OpenOrder, now: datetime) -> OpenOrderItem:
    row = one.row
    return OpenOrderItem(
        receipt=row.order_id,
        number=one.detail.number,
        record_id=row.record_id,
        need_types=one.detail.need_types,
        area=one.detail.area,
        called_at=row.called_at,
        received_at=row.received_at,
        due_by=row.due_by,
        overdue=is_overdue(one, now),
        withheld=row.withheld,
        standing=one.standing,
        requests=one.requests,
        asked_until=one.asked_until,
    )
