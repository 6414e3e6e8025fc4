"""The station's board as server-sent events, for a supervisor who is signed in."""

import asyncio
import hashlib
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from doorstep.contracts.codes import Action, Department
from doorstep.kit.db import DATABASE_ERRORS
from doorstep.kit.problems import Problem
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
from doorstep.kit.wakeups import sleep_unless
from doorstep.referral.api.monthly import permitted
from doorstep.referral.domain.figures import FEWEST, STEP
from doorstep.referral.operations.board import begin_board, read_board
from doorstep.referral.schemas import Answer

router = APIRouter(prefix="/api", tags=["figures"])

MOST_LISTENERS = 16
"""So many look at boards in one process; a board is a wall, and not everybody's page."""

_LOOK = 3.0
_BEAT = 10.0
_RENEW = 3600.0


class BoardPart(Answer):
    """A department, or what nobody has yet; null is fewer than `fewest`."""

    department: Department | None
    open: int | None
    due_within_day: int | None
    late_response: int | None
    late_completion: int | None


class Board(Answer):
    """The station's requests now, in steps of `step` from `fewest` on; violence is in no number."""

    station: str
    fewest: int
    step: int
    lines: tuple[BoardPart, ...]


@dataclass
class Told:
    """What a station's listeners are told, the name of that, and when it was read."""

    name: str = ""
    data: str = ""
    read_at: float = -math.inf
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Listeners:
    """How many look, and what they are told: each station's board is read once for all of them."""

    count: int = 0
    told: defaultdict[str, Told] = field(default_factory=lambda: defaultdict(Told))

    async def now(self, service: Service, station: str) -> tuple[str, str]:
        """The name and the data of the station's board, as it was at the last look. Raises one of DATABASE_ERRORS."""
        told = self.told[station]
        async with told.reading:
            if time.monotonic() - told.read_at >= _LOOK:
                began = time.monotonic()
                told.name, told.data = await _read(service, station)
                told.read_at = began
        return told.name, told.data


async def _read(service: Service, station: str) -> tuple[str, str]:
    async with service.database.transaction() as session:
        lines = await read_board(session, vault=service.vault, station=station, now=datetime.now(UTC))
    parts = tuple(BoardPart.model_validate(one, from_attributes=True) for one in lines)
    data = Board(station=station, fewest=FEWEST, step=STEP, lines=parts).model_dump_json()
    return hashlib.sha256(data.encode()).hexdigest()[:16], data


async def _begun(service: ServiceDep, principal: PrincipalDep, purpose: PurposeDep, session: SessionDep) -> str:
    """The station whose board is begun; that it is looked at is logged before the answer begins."""
    access = permitted(service, principal, purpose)
    await begin_board(session, vault=service.vault, access=access)
    return principal.station or ""


BegunDep = Annotated[str, Depends(_begun, scope="function")]


@router.get("/board", response_class=StreamingResponse)
@attempts(Action.SEE_FIGURES)
@visible_to(Visibility.STATION)
async def follow_board(
    request: Request, station: BegunDep, service: ServiceDep, last_event_id: Annotated[str, Header(max_length=64)] = ""
) -> StreamingResponse:
    """Follow the board as server-sent events: `board` whenever it changes; whoever names the last one is told the next.

    It ends within the hour; to look on is logged anew.
    """
    listeners: Listeners = request.app.state.listeners
    if listeners.count >= MOST_LISTENERS:
        zh, en = "看板的观看者已满，请稍后再试。", "Enough people look at boards already; come again later."
        raise Problem(503, "board-full", zh, en, headers={"Retry-After": "30"})
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    live = live_board(service, listeners, station, last_event_id)
    return StreamingResponse(live, media_type="text/event-stream", headers=headers)


async def live_board(service: Service, listeners: Listeners, station: str, seen: str) -> AsyncIterator[str]:
    """The events, until the service stops, its database is away, or an hour is over."""
    ends, beat = time.monotonic() + _RENEW, time.monotonic() + _BEAT
    listeners.count += 1
    try:
        yield "retry: 3000\n\n"
        while not service.stopping.is_set() and time.monotonic() < ends:
            name, data = await listeners.now(service, station)
            if name != seen:
                seen = name
                yield f"id: {name}\nevent: board\ndata: {data}\n\n"
            if time.monotonic() > beat:
                beat = time.monotonic() + _BEAT
                yield ": still here\n\n"
            await sleep_unless(service.stopping, _LOOK)
    except DATABASE_ERRORS:
        return  # the reader comes again
    finally:
        listeners.count -= 1
