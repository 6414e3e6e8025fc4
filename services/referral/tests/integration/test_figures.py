"""Supervisors see figures: who may, what is counted when, and that nothing of a request is opened for it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from doorstep.contracts.codes import Department, Outcome, Purpose, Reason, Role, TaskState
from doorstep.contracts.intake import SafeContact
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
VIOLENCE = "protection-from-violence"
SAFE = SafeContact(channel="phone", number="13900139000", hours_from="09:00", hours_to="11:00", cover="社区")
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


async def lines(desk, station="station-7"):
    """The whole table at the desk's time, as it is told: cells by department and need type."""
    who = Principal("supervisor-1", Role.SUPERVISOR, "station", station)
    async with desk.database.transaction() as session:
        rows = await read_figures(
            session, vault=desk.vault, access=Access(who, Purpose.FOLLOW_UP), station=station, now=desk.now
        )
    return {
        (row.department, row.need_type): {name: count for name, count in row.cells.items() if count is not None}
        for row in rows
    }


async def told(desk, need_type, department=None, station="station-7"):
    """The cells of one line of the table at the desk's time."""
    department = department or (need_type and NEED_TYPES[need_type].department)
    return (await lines(desk, station))[department, need_type]


async def opened(desk, need_type, count=10, **how):
    """So many requests, by their tasks; fewer than ten are not told."""
    needs = [await desk.need(need_type, **how) for _ in range(count)]
    await desk.open(*needs)
    return [await desk.task(need.need_id) for need in needs]


async def test_a_request_is_counted_as_it_goes_its_way(desk) -> None:
    tasks = await opened(desk, "housing-repair")
    assert await told(desk, "housing-repair") == {"open": 10, "due_within_day": 10}
    desk.now += timedelta(hours=25)
    assert await told(desk, "housing-repair") == {"open": 10, "late_response": 10}
    for task in tasks:
        await desk.step(task, ACCEPTED)
    assert await told(desk, "housing-repair") == {"open": 10}
    desk.now = tasks[0].complete_by - timedelta(hours=1)
    assert await told(desk, "housing-repair") == {"open": 10, "due_within_day": 10}
    desk.now = tasks[0].complete_by + timedelta(hours=1)
    assert await told(desk, "housing-repair") == {"open": 10, "late_completion": 10}
    for task in tasks:
        await desk.step(task, COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
    assert await told(desk, "housing-repair") == {"closed": 10}
    desk.now += timedelta(days=8)
    assert await told(desk, "housing-repair") == {}


async def test_what_nobody_answered_is_late_for_both_in_the_end(desk) -> None:
    tasks = await opened(desk, "gas-leak")
    desk.now = tasks[0].complete_by + timedelta(seconds=1)
    assert await told(desk, "gas-leak") == {"open": 10, "late_response": 10, "late_completion": 10}


async def test_what_came_back_waits_for_the_station_until_it_is_handed_on(desk) -> None:
    tasks = await opened(desk, "wage-help")
    for task in tasks:
        await desk.step(task, REJECTED, reason=Reason.NOT_OURS)
    desk.now += timedelta(days=40)
    assert await told(desk, "wage-help") == {"returned": 10}
    await desk.hand_on(tasks[0], "housing")
    assert await told(desk, "wage-help") == {}
    assert await told(desk, None, Department.HOUSING) == {}  # one is fewer than is told, and so are nine
    for task in tasks[1:]:
        await desk.hand_on(task, "housing")
    found = await told(desk, None, Department.HOUSING)  # the first response is owed anew, the completion is not
    assert found == {"open": 10, "due_within_day": 10, "late_completion": 10}


@pytest.mark.parametrize("need_type", ["legal-aid", "gas-leak"])
async def test_all_needs_are_told_from_ten_on_and_in_steps(desk, need_type) -> None:
    await opened(desk, need_type, 9)
    assert await told(desk, need_type) == {}
    await opened(desk, need_type, 5)
    assert await told(desk, need_type) == {"open": 10, "due_within_day": 10}


async def test_violence_moves_no_figure_wherever_it_went(desk) -> None:
    """Also as a part, which nobody may add, and where its type is not known to who counts: it is confidential then."""
    for need_type in ("gas-leak", "legal-aid", "fire-check"):
        await opened(desk, need_type)
    for task in await opened(desk, "gas-leak", 4):
        await desk.step(task, REJECTED, reason=Reason.NOT_OURS)
        await desk.hand_on(task, "health")
    before = await lines(desk)
    assert before[Department.JUSTICE, "legal-aid"] == {"open": 10, "due_within_day": 10}
    assert (Department.JUSTICE, VIOLENCE) not in before
    await opened(desk, VIOLENCE, 12, safe_contact=SAFE)
    for task in await opened(desk, VIOLENCE, 12):
        await desk.step(task, REJECTED, reason=Reason.NOT_OURS)
        await desk.hand_on(task, "health")
    strange, parted = await opened(desk, VIOLENCE, 12), await opened(desk, "minimum-living-allowance", 12)
    for task in parted:
        await desk.add(task, "labour", "work-training")
    change = text("UPDATE request SET need_index = :index WHERE request_id = :id")
    hidden = text("UPDATE task SET part_index = :index WHERE request_id = ANY(:ids) AND part = 2")
    async with desk.database.transaction() as session:
        for at, task in enumerate(strange):
            await session.execute(change, {"index": None if at % 2 else b"of-tomorrow", "id": task.request_id})
        values = {"index": need_index(desk.vault, "station-7", VIOLENCE), "ids": [one.request_id for one in parted]}
        await session.execute(hidden, values)
    assert await lines(desk) == before


async def test_of_another_station_and_of_the_erased_nothing_is_counted(desk) -> None:
    tasks = await opened(desk, "fire-check", 20)
    for task in tasks[:10]:
        await desk.station_step(task, TaskState.CANCELLED)
    assert await told(desk, "fire-check") == {"open": 10, "due_within_day": 10, "closed": 10}
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=tasks[-1].subject_id, now=desk.now)
    assert await told(desk, "fire-check") == {"closed": 10}
    assert await told(desk, "fire-check", station="station-9") == {}
    assert tasks[0].need_index != need_index(desk.vault, "station-9", "fire-check")
    assert b"fire" not in bytes(tasks[0].need_index)


async def test_requests_of_before_are_counted_without_their_type(desk) -> None:
    await opened(desk, "e-bike-charging")
    async with desk.database.transaction() as session:
        await session.execute(text(OF_BEFORE))
    assert await told(desk, "e-bike-charging") == {}
    assert await told(desk, None, Department.FIRE) == {"open": 10, "due_within_day": 10}


async def test_a_supervisor_is_answered_figures_and_nothing_of_a_request(front, desk) -> None:
    desk.now = datetime.now(UTC)
    task = (await opened(desk, "gas-hose-replacement"))[0]
    await desk.opened("legal-aid")
    answer = await front.call("GET", PATH, "supervisor", **FOLLOW_UP)
    assert answer.status == 200
    assert (answer.body["fewest"], answer.body["step"]) == (10, 5)
    for line in answer.body["figures"]:
        assert set(line) - FIGURES <= {"department", "need_type"}
    found = {one["need_type"]: one for one in answer.body["figures"] if "need_type" in one}
    assert found["gas-hose-replacement"]["open"] == 10
    assert found["legal-aid"] == {"department": "justice", "need_type": "legal-aid"}
    spoken = answer.raw.decode()
    for name in ("request_id", "record_id", "need_id", "subject_id", "file_id", "ref"):
        assert str(getattr(task, name)) not in spoken
    for word in ("null", "王秀英", "violence"):
        assert word not in spoken


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
