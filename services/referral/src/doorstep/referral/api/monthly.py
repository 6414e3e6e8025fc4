"""What a supervisor asks of whole months: what the station answers for, as JSON, workbook or PDF, and what is stuck."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from doorstep.contracts.codes import Action, Purpose
from doorstep.kit.auth import Principal
from doorstep.kit.policy import Forbidden, Resource
from doorstep.kit.problems import Fault, Problem
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
from doorstep.referral.api import monthly_print, monthly_sheet
from doorstep.referral.api.monthly_answers import MonthsAnswer, StuckAnswer, months_answer, stuck_answer
from doorstep.referral.domain.months import MonthsRefused, months, parse_month
from doorstep.referral.domain.suppression import FEWEST
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.months import MonthTold, read_months
from doorstep.referral.operations.stuck import list_stuck

router = APIRouter(prefix="/api", tags=["figures"])

From = Annotated[str, Query(alias="from", max_length=10, description="The first month, as 2026-01.")]
To = Annotated[str, Query(alias="to", max_length=10, description="The last month: complete for eight days.")]


async def _read(
    service: ServiceDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    first: From = "",
    last: To = "",
) -> tuple[str, tuple[MonthTold, ...]]:
    """The caller's station, and what it is told of the months asked for; that they were read is logged."""
    access = permitted(service, principal, purpose)
    station, now = principal.station or "", datetime.now(UTC)
    try:
        asked = months(parse_month("from", first), parse_month("to", last), now)
    except MonthsRefused as refused:
        raise Problem(
            422, "invalid", refused.zh, refused.en, faults=[Fault(f"/query/{refused.where}", refused.zh, refused.en)]
        ) from None
    return station, await read_months(
        session, vault=service.vault, access=access, station=station, months=asked, now=now
    )


MonthsDep = Annotated[tuple[str, tuple[MonthTold, ...]], Depends(_read)]


@router.get("/figures", response_model_by_alias=True)
@attempts(Action.SEE_FIGURES)
@visible_to(Visibility.STATION)
async def see_months(asked: MonthsDep) -> MonthsAnswer:
    """What the station answers for in whole months, by department and need type; what is small is withheld."""
    station, found = asked
    return months_answer(station, found, FEWEST)


@router.get("/figures.xlsx", response_class=Response)
@attempts(Action.SEE_FIGURES)
@visible_to(Visibility.STATION)
async def see_workbook(asked: MonthsDep) -> Response:
    """Get the same table as a workbook, with the station's distributions as charts."""
    station, found = asked
    content = await asyncio.to_thread(monthly_sheet.workbook, station, found)
    return _file(content, monthly_sheet.MEDIA_TYPE, "xlsx")


@router.get("/figures.pdf", response_class=Response)
@attempts(Action.SEE_FIGURES)
@visible_to(Visibility.STATION)
async def see_print(asked: MonthsDep) -> Response:
    """Get the same table as PDF, a page a month, with the station's distributions as bars."""
    station, found = asked
    content = await asyncio.to_thread(monthly_print.document, station, found)
    return _file(content, monthly_print.MEDIA_TYPE, "pdf")


@router.get("/figures/stuck")
@attempts(Action.SEE_FIGURES)
@visible_to(Visibility.STATION)
async def see_stuck(
    service: ServiceDep, principal: PrincipalDep, purpose: PurposeDep, session: SessionDep
) -> StuckAnswer:
    """List what is late by half as much again as there was time, by the unit that owes it; violence is not in it."""
    access, now = permitted(service, principal, purpose), datetime.now(UTC)
    station = principal.station or ""
    units, more = await list_stuck(session, vault=service.vault, access=access, station=station, now=now)
    return stuck_answer(station, units, more, now)


def _file(content: bytes, media_type: str, ending: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="figures.{ending}"'}
    return Response(content, media_type=media_type, headers=headers)


def permitted(service: Service, principal: Principal, purpose: Purpose) -> Access:
    """The caller as somebody who may see the figures of a station of their own. Raises Forbidden."""
    thing = Resource("figures", station=principal.station)
    policies = service.policy.authorize(principal, Action.SEE_FIGURES, thing, purpose=purpose).policies
    if principal.station is None:
        raise Forbidden(Action.SEE_FIGURES)
    return Access(principal, purpose, policies)
