"""The board: numbers that tell of nobody, sent when they change, to so many at most, and until the service stops."""

import asyncio
import json
import math
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from doorstep.contracts.intake import SafeContact
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.api import board
from doorstep.referral.api.board import MOST_LISTENERS, Listeners, live_board
from doorstep.referral.app import new_app
from doorstep.referral.operations.board import read_board

PATH = "/api/board"
FOLLOW_UP = {"doorstep_purpose": "follow-up"}
SAFE = SafeContact(channel="phone", number="13900139000", hours_from="09:00", hours_to="11:00", cover="社区")


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk of today, whose station has no requests yet."""
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE request, task, task_transition, rating, outbox CASCADE"))
    return desk_over(front.database, front.vault, datetime.now(UTC))


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Looks and beats as often as a test can wait for."""
    monkeypatch.setattr(board, "_LOOK", 0.02)
    monkeypatch.setattr(board, "_BEAT", 0.1)


async def next_board(events):
    """The id and the lines of the next event, by department."""
    async for event in events:
        if "event: board" in event:
            name, _, data = event.strip().split("\n")
            told = json.loads(data.removeprefix("data: "))
            return name.removeprefix("id: "), {line.pop("department"): line for line in told["lines"]}
    return None


async def test_the_board_is_told_when_it_changes_and_violence_never_changes_it(front, desk) -> None:
    listeners = Listeners()
    events = live_board(front.service, listeners, "station-7", "")
    name, lines = await next_board(events)
    assert listeners.count == 1
    assert set(lines) == {"civil-affairs", "health", "justice", "fire", "labour", "housing", None}
    assert {count for line in lines.values() for count in line.values()} == {None}
    await desk.open(*[await desk.need("protection-from-violence", safe_contact=SAFE) for _ in range(12)])
    await desk.open(*[await desk.need("gas-leak") for _ in range(9)])
    assert "still here" in await anext(events)  # nothing to be told has changed
    await desk.open(*[await desk.need("gas-leak") for _ in range(5)])
    changed, lines = await next_board(events)
    assert changed != name
    assert lines["fire"] == {"open": 10, "due_within_day": 10, "late_response": None, "late_completion": None}
    assert {count for line in lines.values() for count in line.values()} == {None, 10}
    await events.aclose()
    assert listeners.count == 0


async def test_however_many_listen_a_station_is_read_once_a_look_and_another_by_itself(
    front, desk, monkeypatch
) -> None:
    reads = []

    async def counted(session, **asked):
        reads.append(asked["station"])
        return await read_board(session, **asked)

    monkeypatch.setattr(board, "read_board", counted)
    monkeypatch.setattr(board, "_LOOK", 30.0)
    listeners = Listeners()
    listening = [live_board(front.service, listeners, "station-7", "") for _ in range(5)]
    told = await asyncio.gather(*(next_board(events) for events in listening))
    assert len({name for name, _ in told}) == 1
    assert reads == ["station-7"]
    elsewhere = live_board(front.service, listeners, "station-8", "")
    await next_board(elsewhere)
    assert reads == ["station-7", "station-8"]
    await desk.open(*[await desk.need("gas-leak") for _ in range(10)])
    listeners.told["station-7"].read_at = -math.inf
    late = live_board(front.service, listeners, "station-7", "")
    assert (await next_board(late))[1]["fire"]["open"] == 10
    assert reads.count("station-7") == 2
    for events in (*listening, elsewhere, late):
        await events.aclose()


async def test_who_names_the_last_event_is_told_the_next_one_alone(front, desk) -> None:
    events = live_board(front.service, Listeners(), "station-7", "")
    name, _ = await next_board(events)
    await events.aclose()
    again = live_board(front.service, Listeners(), "station-7", name)
    assert (await anext(again)).startswith("retry:")
    assert "still here" in await anext(again)
    await again.aclose()


async def test_it_ends_when_the_service_stops(front, desk) -> None:
    events = live_board(front.service, Listeners(), "station-7", "")
    await next_board(events)
    front.service.stopping.set()
    try:
        assert [event async for event in events if "data" in event] == []
    finally:
        front.service.stopping.clear()


async def test_a_supervisor_alone_follows_it_which_is_logged_before_it_begins(front, desk) -> None:
    before = len(await front.about("supervisor"))
    front.service.stopping.set()  # so that the answer ends
    try:
        answer = await front.call("GET", PATH, "supervisor", **FOLLOW_UP)
    finally:
        front.service.stopping.clear()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    (entry,) = (await front.about("supervisor"))[before:]
    assert (entry["action"], entry["asked"], entry["purpose"]) == ("see-figures", "board", "follow-up")
    for who in ("reviewer", "collector", "officer", "police", "resident", "community-officer"):
        assert (await front.call("GET", PATH, who, **FOLLOW_UP)).status == 403, who
    assert (await front.call("GET", PATH, "supervisor", doorstep_purpose="triage")).status == 403


async def test_when_enough_look_others_are_sent_away(front, desk) -> None:
    listeners = front.call.app.state.listeners
    listeners.count = MOST_LISTENERS
    try:
        answer = await asyncio.wait_for(front.call("GET", PATH, "supervisor", **FOLLOW_UP), 10)
    finally:
        listeners.count = 0
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")
