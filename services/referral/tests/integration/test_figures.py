"""Supervisors see figures: who may, what is counted when, and that nothing of a request is opened for it."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from doorstep.contracts.codes import Department, Outcome, Purpose, Reason, Role, TaskState
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit.auth import Principal
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.counting import need_index, read_figures
from doorstep.referral.operations.erasing import erase_subject

PATH = "/api/requests/figures"
FOLLOW_UP = {"doorstep_purpose": "follow-up"}
FIGURES = {"open", "due_within_day", "late_response", "late_completion", "returned", "closed"}
ACCEPTED, COMPLETED, REJECTED = TaskState.ACCEPTED, TaskState.COMPLETED, TaskState.REJECTED
OF_BEFORE = "UPDATE request SET need_index = NULL"


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose station has no requests yet."""
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE request, task, task_transition, rating, outbox CASCADE"))
    return desk_over(front.database, front.vault)


async def told(desk, need_type, department=None, station="station-7"):
    """The cells of one line of the table at the desk's time."""
    who = Principal("supervisor-1", Role.SUPERVISOR, "station", station)
    async with desk.database.transaction() as session:
        rows = await read_figures(
            session, vault=desk.vault, access=Access(who, Purpose.FOLLOW_UP), station=station, now=desk.now
        )
    department = department or (need_type and NEED_TYPES[need_type].department)
    (row,) = [one for one in rows if (one.department, one.need_type) == (department, need_type)]
    return {name: count for name, count in row.cells.items() if count}


async def test_a_request_is_counted_as_it_goes_its_way(desk) -> None:
    task = await desk.opened("housing-repair")
    assert await told(desk, "housing-repair") == {"open": 1, "due_within_day": 1}
    desk.now += timedelta(hours=25)
    assert await told(desk, "housing-repair") == {"open": 1, "late_response": 1}
    await desk.step(task, ACCEPTED)
    assert await told(desk, "housing-repair") == {"open": 1}
    desk.now = task.complete_by - timedelta(hours=1)
    assert await told(desk, "housing-repair") == {"open": 1, "due_within_day": 1}
    desk.now = task.complete_by + timedelta(hours=1)
    assert await told(desk, "housing-repair") == {"open": 1, "late_completion": 1}
    await desk.step(task, COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
    assert await told(desk, "housing-repair") == {"closed": 1}
    desk.now += timedelta(days=31)
    assert await told(desk, "housing-repair") == {}


async def test_what_nobody_answered_is_late_for_both_in_the_end(desk) -> None:
    task = await desk.opened("gas-leak")
    desk.now = task.complete_by + timedelta(seconds=1)
    assert await told(desk, "gas-leak") == {"open": 1, "late_response": 1, "late_completion": 1}


async def test_what_came_back_waits_for_the_station_until_it_is_handed_on(desk) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, REJECTED, reason=Reason.NOT_OURS)
    desk.now += timedelta(days=40)
    assert await told(desk, "wage-help") == {"returned": 1}
    await desk.hand_on(task, "housing")
    assert await told(desk, "wage-help") == {}
    assert await told(desk, None, Department.HOUSING) == {}  # one is fewer than is told
    for _ in range(9):
        other = await desk.opened("wage-help")
        await desk.step(other, REJECTED, reason=Reason.NOT_OURS)
        await desk.hand_on(other, "housing")
    assert await told(desk, None, Department.HOUSING) == {"open": 10, "due_within_day": 10}


async def test_delicate_needs_are_told_from_ten_on_and_in_steps(desk) -> None:
    await desk.open(*[await desk.need("legal-aid") for _ in range(9)])
    assert await told(desk, "legal-aid") == {}
    await desk.open(*[await desk.need("legal-aid") for _ in range(5)])
    assert await told(desk, "legal-aid") == {"open": 10, "due_within_day": 10}


async def test_of_another_station_and_of_the_erased_nothing_is_counted(desk) -> None:
    kept, recalled, erased = [await desk.opened("fire-check") for _ in range(3)]
    await desk.station_step(recalled, TaskState.CANCELLED)
    assert await told(desk, "fire-check") == {"open": 2, "due_within_day": 2, "closed": 1}
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=erased.subject_id, now=desk.now)
    assert await told(desk, "fire-check") == {"open": 1, "due_within_day": 1, "closed": 1}
    assert await told(desk, "fire-check", station="station-9") == {}
    assert kept.need_index != need_index(desk.vault, "station-9", "fire-check")
    assert b"fire" not in bytes(kept.need_index)


async def test_requests_of_before_are_counted_without_their_type(desk) -> None:
    await desk.open(*[await desk.need("e-bike-charging") for _ in range(10)])
    async with desk.database.transaction() as session:
        await session.execute(text(OF_BEFORE))
    assert await told(desk, "e-bike-charging") == {}
    assert await told(desk, None, Department.FIRE) == {"open": 10, "due_within_day": 10}


async def test_a_supervisor_is_answered_figures_and_nothing_of_a_request(front, desk) -> None:
    task = await desk.opened("gas-hose-replacement")
    await desk.opened("legal-aid")
    answer = await front.call("GET", PATH, "supervisor", **FOLLOW_UP)
    assert answer.status == 200
    for line in answer.body["figures"]:
        assert set(line) - FIGURES <= {"department", "need_type", "guarded"}
        assert (set(line) & FIGURES == FIGURES) == (not line["guarded"])
    lines = {one["need_type"]: one for one in answer.body["figures"] if "need_type" in one}
    assert lines["gas-hose-replacement"]["open"] == 1
    assert lines["legal-aid"] == {"department": "justice", "need_type": "legal-aid", "guarded": True}
    spoken = answer.raw.decode()
    for name in ("request_id", "record_id", "need_id", "subject_id", "file_id", "ref"):
        assert str(getattr(task, name)) not in spoken
    assert "null" not in spoken
    assert "王秀英" not in spoken


async def test_figures_are_read_for_follow_up_by_a_supervisor_alone_and_that_is_logged(front, desk) -> None:
    before = len(await front.about("supervisor"))
    assert (await front.call("GET", PATH, "supervisor", **FOLLOW_UP)).status == 200
    (entry,) = (await front.about("supervisor"))[before:]
    assert (entry["action"], entry["purpose"], entry["policies"]) == (
        "see-figures", "follow-up", ["supervisor-sees-figures"],
    )  # fmt: skip
    for who in ("reviewer", "collector", "officer", "police", "resident", "community-officer"):
        assert (await front.call("GET", PATH, who, **FOLLOW_UP)).status == 403, who
    for purpose in ({}, {"doorstep_purpose": "triage"}, {"doorstep_purpose": "curiosity"}):
        assert (await front.call("GET", PATH, "supervisor", **purpose)).status == 403
    assert (await front.call("GET", PATH, None, **FOLLOW_UP)).status == 401
    assert (await front.call("GET", f"/api/requests/{uuid4()}", "supervisor", **FOLLOW_UP)).status in (404, 405)
