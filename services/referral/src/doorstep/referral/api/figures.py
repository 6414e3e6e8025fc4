"""What a supervisor of the station asks: figures of its requests, and no content."""

from datetime import UTC, datetime

from fastapi import APIRouter

from doorstep.contracts.codes import Action, Department
from doorstep.kit.policy import Forbidden, Resource
from doorstep.kit.service import PrincipalDep, PurposeDep, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.referral.domain.deadlines import whole_minute
from doorstep.referral.domain.figures import CLOSED_FOR, FEWEST, STEP
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.counting import read_figures
from doorstep.referral.schemas import Answer

router = APIRouter(prefix="/api/requests", tags=["station"])


class Figure(Answer):
    """How many requests; what is absent is fewer than `fewest`, and the rest is in steps of `step`.

    Without a need type they were handed on to the department, without either nobody has them yet. Violence is in none.
    """

    department: Department | None = None
    need_type: str | None = None
    open: int | None = None
    due_within_day: int | None = None
    late_response: int | None = None
    late_completion: int | None = None
    returned: int | None = None
    closed: int | None = None


class Figures(Answer):
    """The station's requests in figures, every line each time; `closed` counts since `closed_since`."""

    at: datetime
    closed_since: datetime
    fewest: int
    step: int
    figures: tuple[Figure, ...]


@router.get("/figures", response_model_exclude_none=True)
@attempts(Action.SEE_FIGURES)
@visible_to(Visibility.STATION)
async def see_figures(
    service: ServiceDep, principal: PrincipalDep, purpose: PurposeDep, session: SessionDep
) -> Figures:
    """Count the station's requests by department and need type, without violence; small numbers are not told."""
    thing = Resource("figures", station=principal.station)
    policies = service.policy.authorize(principal, Action.SEE_FIGURES, thing, purpose=purpose).policies
    if principal.station is None:
        raise Forbidden(Action.SEE_FIGURES)
    access, now = Access(principal, purpose, policies), datetime.now(UTC)
    rows = await read_figures(session, vault=service.vault, access=access, station=principal.station, now=now)
    return Figures(
        at=whole_minute(now),
        closed_since=whole_minute(now - CLOSED_FOR),
        fewest=FEWEST,
        step=STEP,
        figures=tuple(Figure(department=row.department, need_type=row.need_type, **row.cells) for row in rows),
    )
