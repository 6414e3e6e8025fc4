"""HTTP: who used my data, for a national portal that identified the resident, in the shape of the Estonian register
service (Andmejälgija, usage information, version 2.1): its parameters, fields and statuses 200, 400 and 500.

What the edge answers itself stays ours: 401, 403, 429, 503. The portal calls with a service account of the role
`portal`; the shape has no field for a purpose, which is always the resident's own request.
"""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AwareDatetime
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from doorstep.audit.domain.papers import NoUserCode, paper_number
from doorstep.audit.domain.usage import Usage
from doorstep.audit.operations.telling import see_as_guardian, see_by_paper, told_since
from doorstep.audit.schemas import Heartbeat, PortalPeriod, PortalUsage, PortalUsages
from doorstep.contracts.codes import Action, Purpose
from doorstep.kit.auth import Principal
from doorstep.kit.policy import Decision, Resource
from doorstep.kit.problems import Fault, Problem, fault_of
from doorstep.kit.service import PrincipalDep, Service, ServiceDep, SessionDep, Visibility, attempts, visible_to

_INT32 = 2**31 - 1
_STATUSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request is not as it has to be."},
    500: {"description": "Something failed here."},
    "4XX": {"description": "The caller is not known, not allowed, or asks too often."},
}


class _Shape(APIRoute):
    """Answers 400, as the shape has it, where the house answers 422."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                faults: list[Fault] = [fault_of(detail, None) for detail in error.errors()]
                zh, en = "请求参数缺失或无效。", "A parameter is missing or not valid."
                raise Problem(400, "invalid", zh, en, faults=faults) from None

        return handle


router = APIRouter(prefix="/api/dumonitor/v2", tags=["portal"], route_class=_Shape)


async def _may_see(principal: PrincipalDep, service: ServiceDep) -> Decision:
    return service.policy.authorize(
        principal, Action.SEE_WHO_LOOKED, Resource("usage"), purpose=Purpose.RESIDENT_REQUEST
    )


MaySeeDep = Annotated[Decision, Depends(_may_see)]
"""The decision to let a portal see usages, made before anything that it sent is looked at."""


@router.get("/findUsage", responses=_STATUSES)
@attempts(Action.SEE_WHO_LOOKED)
@visible_to(Visibility.SUBJECT)
async def find_usage(
    decision: MaySeeDep,
    principal: PrincipalDep,
    service: ServiceDep,
    session: SessionDep,
    user: Annotated[str, Header(alias="X-Road-UserId", description="The resident whom the portal identified.")],
    user_code: Annotated[str, Query(alias="userCode", description="The same, or a child: CN and the paper's number.")],
    period_start: Annotated[AwareDatetime | None, Query(alias="periodStart")] = None,
    period_end: Annotated[AwareDatetime | None, Query(alias="periodEnd")] = None,
    offset: Annotated[int, Query(ge=0, le=_INT32, json_schema_extra={"format": "int32"})] = 0,
    limit: Annotated[int, Query(ge=0, le=_INT32, json_schema_extra={"format": "int32"})] = 1000,
) -> PortalUsages:
    """Who used the data of the resident who asks, the newest first; the look is logged under them.

    A guardian asks for a child under fourteen by the child's code, and is told what a follow code tells.
    """
    if period_start is not None and period_end is not None and period_start > period_end:
        zh, en = "periodStart 晚于 periodEnd。", "periodStart is after periodEnd."
        raise Problem(400, "period-reversed", zh, en)
    found = await _found(service, session, principal, decision, user, user_code)
    within = [
        one
        for one in found
        if (period_start is None or one.at >= period_start) and (period_end is None or one.at <= period_end)
    ]
    shown = [_shown(one) for one in within[offset : offset + limit]]
    return PortalUsages(totalUsages=len(within), usages=shown)


@router.get("/usagePeriod", responses=_STATUSES)
@attempts(Action.SEE_WHO_LOOKED)
@visible_to(Visibility.SUBJECT)
async def usage_period(_: MaySeeDep, session: SessionDep) -> PortalPeriod:
    """Since when usages are held; until now."""
    return PortalPeriod(periodStart=await told_since(session) or datetime.now(UTC))


@router.get("/heartbeat", responses=_STATUSES)
@visible_to(Visibility.PUBLIC)
async def heartbeat(service: ServiceDep) -> Heartbeat:
    """Whether usages can be asked for now."""
    if await service.database.reachable():
        return Heartbeat(status="OK", message="可以查询。The service answers.")
    return Heartbeat(status="FAIL", message="数据库没有回应。The database does not answer.")


async def _found(
    service: Service, session: AsyncSession, principal: Principal, decision: Decision, user: str, user_code: str
) -> list[Usage]:
    """What may be told to `user` of whom `user_code` names: themselves, or a child whose guardian they are."""
    vault, record, now, policies = service.vault, service.record, datetime.now(UTC), decision.policies
    if user == user_code:
        try:
            number = paper_number(user_code)
        except NoUserCode:
            zh, en = "userCode 须为 CN 加证件号码。", "userCode must be CN and the number of the paper."
            raise Problem(400, "user-code", zh, en) from None
        return await see_by_paper(
            session, vault=vault, record=record, principal=principal, policies=policies, number=number, now=now
        )
    found = None
    with suppress(NoUserCode):
        guardian, child = paper_number(user), paper_number(user_code)
        found = await see_as_guardian(
            session,
            vault=vault,
            record=record,
            principal=principal,
            policies=policies,
            guardian=guardian,
            child=child,
            now=now,
        )
    if found is None:
        zh, en = (
            "只能查询本人，或由本站登记您为监护人的未满十四周岁的孩子。",
            "Residents ask for themselves, or for a child under fourteen whose guardian they are on record.",
        )
        raise Problem(400, "not-oneself", zh, en)
    return found


def _shown(one: Usage) -> PortalUsage:
    return PortalUsage(
        logtime=one.at,
        action=f"{one.reason.zh}{one.reason.en}",
        receiverCode=one.code,
        receiverName=f"{one.agency.zh} {one.agency.en}",
        receiverSystem=f"{one.system.zh} {one.system.en}",
    )
