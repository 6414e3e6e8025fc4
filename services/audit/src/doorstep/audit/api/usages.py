"""HTTP: who used my data, by the follow code on the receipt. The code is in the body, so that no address holds it."""

from datetime import UTC, datetime
from itertools import islice

from fastapi import APIRouter, Request

from doorstep.audit.operations.pacing import Pace
from doorstep.audit.operations.telling import see_by_codes
from doorstep.audit.schemas import Behind, UsageBody, UsageShown, UsagesShown
from doorstep.kit.problems import Problem
from doorstep.kit.service import ServiceDep, SessionDep, Visibility, visible_to

router = APIRouter(prefix="/api/usage", tags=["residents"])

PAGE = 50


@router.post("")
@visible_to(Visibility.SUBJECT)
async def see_usages(body: UsageBody, request: Request, service: ServiceDep, session: SessionDep) -> UsagesShown:
    """Who used the data of the code's person, as far as a paper on the kitchen table may tell; the look is logged.

    An unknown code has none, likewise.
    """
    code = service.vault.follow_index(body.code)
    pace: Pace = request.app.state.pace
    seconds = pace.look(code)
    if seconds:
        zh, en = "查询过于频繁，请稍后再试。", "Too often; try again later."
        raise Problem(429, "too-often", zh, en, headers={"Retry-After": str(seconds)})
    found = await see_by_codes(
        session,
        vault=service.vault,
        record=service.record,
        codes=[code, *(service.vault.follow_index(one) for one in body.others)],
        now=datetime.now(UTC),
        log_unknown=pace.quiet,
    )
    before = None if body.before is None else (body.before.at, body.before.entry_id)
    rest = (one for one in found if before is None or (one.at, one.entry_id) < before)
    page = list(islice(rest, PAGE + 1))
    shown = [UsageShown.model_validate(one) for one in page[:PAGE]]
    more = len(page) > PAGE
    return UsagesShown(usages=shown, next=Behind(at=shown[-1].at, entry_id=shown[-1].entry_id) if more else None)
