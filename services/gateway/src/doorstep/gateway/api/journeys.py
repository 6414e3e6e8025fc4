"""HTTP: the journey of a record, at once or live."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from doorstep.contracts.codes import Action
from doorstep.gateway import queries
from doorstep.gateway.errors import JourneyUnknown, OwnRecord
from doorstep.gateway.operations.reading import Reading, StepShown, open_journey, read_on
from doorstep.gateway.schemas import JourneySoFar, journey_step
from doorstep.kit.db import DATABASE_ERRORS
from doorstep.kit.problems import Problem
from doorstep.kit.service import (
    PrincipalDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    WhyDep,
    attempts,
    visible_to,
)

router = APIRouter(prefix="/api/journeys", tags=["journeys"])

_LOOK = 0.3
_BEAT = 15.0
_RENEW = 3600.0


async def _steps(
    record_id: UUID, principal: PrincipalDep, why: WhyDep, session: SessionDep, service: ServiceDep
) -> tuple[Reading, list[StepShown]]:
    try:
        return await open_journey(
            session,
            vault=service.vault,
            policy=service.policy,
            principal=principal,
            why=why,
            record_id=record_id,
        )
    except JourneyUnknown:
        raise Problem(
            404, "journey-unknown", "没有这份记录，或尚未到达。", "No such record, or not here yet."
        ) from None
    except OwnRecord:
        zh, en = "采集员不能审核自己采集的记录。", "Who took the record does not review it."
        raise Problem(403, "own-record", zh, en) from None


BegunDep = Annotated[tuple[Reading, list[StepShown]], Depends(_steps, scope="function")]
"""The steps until now, their read logged before the answer begins."""


@router.get("/{record_id}", response_model_exclude_none=True)
@attempts(Action.READ_JOURNEY, "record_id", queries.subjects)
@visible_to(Visibility.STATION)
async def read_journey(record_id: UUID, begun: BegunDep) -> JourneySoFar:
    """Read where a record is: who has what, since when, what came back. The read is logged."""
    return JourneySoFar(record_id=record_id, steps=tuple(journey_step(one) for one in begun[1]))


@router.get("/{record_id}/events", response_class=StreamingResponse)
@attempts(Action.READ_JOURNEY, "record_id", queries.subjects)
@visible_to(Visibility.STATION)
async def follow_journey(record_id: UUID, begun: BegunDep, service: ServiceDep) -> StreamingResponse:
    """Follow a journey as server-sent events, one `step` each, beginning with all until now.

    The read of a subject is logged before its first step leaves. It ends within the hour; to read on is logged anew.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_live(service, *begun), media_type="text/event-stream", headers=headers)


async def _live(service: Service, reading: Reading, fresh: list[StepShown]) -> AsyncIterator[str]:
    ends, beat = time.monotonic() + _RENEW, time.monotonic() + _BEAT
    yield "retry: 1000\n\n"
    while not service.stopping.is_set() and time.monotonic() < ends:
        for one in fresh:
            data = journey_step(one).model_dump_json(exclude_none=True)
            yield f"id: {one.step_id}\nevent: step\ndata: {data}\n\n"
        if time.monotonic() > beat:
            beat = time.monotonic() + _BEAT
            yield ": still here\n\n"
        await asyncio.sleep(_LOOK)
        try:
            async with service.database.transaction() as session:
                fresh = await read_on(session, vault=service.vault, reading=reading)
        except JourneyUnknown:
            return  # somebody of the record excluded the reader meanwhile
        except DATABASE_ERRORS:
            return  # the reader comes again
