"""What waits for the arbiter: a supervisor of the station, who assigns what two departments rejected."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from doorstep.contracts.codes import Action, Department, Reason, TaskState
from doorstep.kit.policy import Forbidden, Resource
from doorstep.kit.service import PrincipalDep, PurposeDep, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.arbitrating import DisputedPage, list_disputed
from doorstep.referral.schemas import Answer

router = APIRouter(prefix="/api/requests", tags=["station"])


class DisputedRejection(Answer):
    """Which department rejected it, for which reason, and when."""

    department: Department
    reason: Reason | None = None
    at: datetime


class DisputedRequest(Answer):
    """A request, or the part of it, that waits for the arbiter since then, and who rejected it, the first one first.

    With a `department` it was assigned to that one, which did not answer in time. `need_type` is absent where it is
    confidential. `version` is what to send as If-Match.
    """

    request_id: UUID
    part: int
    parts: int
    version: int
    state: TaskState
    department: Department | None = None
    need_type: str | None = None
    since: datetime
    rejections: tuple[DisputedRejection, ...]


class DisputedRequests(Answer):
    """A page of what waits for the arbiter, oldest first; `next` is what to send as `after` for more."""

    requests: tuple[DisputedRequest, ...]
    next: UUID | None = None


@router.get("/disputed", response_model_exclude_none=True)
@attempts(Action.LIST_REQUESTS)
@visible_to(Visibility.STATION)
async def see_disputed(
    service: ServiceDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    after: Annotated[UUID | None, Query()] = None,
) -> DisputedRequests:
    """What two departments rejected and only the arbiter hands on; requests that concern violence are not in it."""
    thing = Resource("request", station=principal.station)
    policies = service.policy.authorize(principal, "list-disputed", thing, purpose=purpose).policies
    if principal.station is None:
        raise Forbidden("no station")
    access, now = Access(principal, purpose, policies), datetime.now(UTC)
    page = await list_disputed(
        session, vault=service.vault, access=access, station=principal.station, after=after, now=now
    )
    return _disputed_requests(page)


def _disputed_requests(page: DisputedPage) -> DisputedRequests:
    return DisputedRequests(
        requests=tuple(
            DisputedRequest(
                request_id=one.request_id,
                part=one.part,
                parts=one.parts,
                version=one.version,
                state=one.state,
                department=one.department,
                need_type=one.need_type,
                since=one.since,
                rejections=tuple(
                    DisputedRejection(department=said.department, reason=said.reason, at=said.at)
                    for said in one.rejections
                ),
            )
            for one in page.disputed
        ),
        next=page.next,
    )
