"""Deadlines of requests with parts: each part is announced, called, reminded of, paused and taken back by itself."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import orjson
import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Reason, TaskState
from doorstep.contracts.referral import DueDetail
from doorstep.contracts.sealed import Sealed
from doorstep.contracts.topics import feed_topic
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.domain.deadline_errors import NotOverdue
from doorstep.referral.domain.losses import Loss
from doorstep.referral.errors import PartUnnamed
from doorstep.referral.operations import listing
from doorstep.referral.operations.announcing import Announcing
from doorstep.referral.operations.calling import CallFile, DutyDesk
from doorstep.referral.operations.checking import find_lost
from doorstep.referral.operations.notifying import Notifier

LEAD = "minimum-living-allowance"
FOLLOW_UP = {"doorstep_purpose": "follow-up"}
TABLES = (
    "request, task, task_transition, rating, outbox, announcement, duty_call, duty_call_attempt, reminder, heard_need,"
    " handler, exclusion"
)


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose station has no requests yet; all that it opens is overdue today."""
    async with front.database.transaction() as session:
        await session.execute(text(f"TRUNCATE {TABLES} CASCADE"))
    return desk_over(front.database, front.vault)


async def look(desk) -> None:
    while await Announcing(desk.database, desk.vault).look(desk.now):
        pass


async def told(desk, task) -> list[tuple[str, str, str]]:
    """What the department of a task was told to be due, of which of its requests."""
    sent = await desk.published(feed_topic(task.department), task.subject_id)
    return [(one["ref"], one["deadline"], one["step"]) for one in sent if one["type"] == "feed.request-due.v1"]


async def see(front, path: str, who: str = "reviewer"):
    answer = await front.call("GET", f"/api/requests/{path}", who, **FOLLOW_UP)
    assert answer.status == 200, answer.raw
    return answer.body


async def remind(front, task, **body):
    path = f"/api/requests/{task.request_id}/reminders"
    return await front.call("POST", path, "reviewer", {"id": str(uuid7())} | body)


def code(answer) -> str:
    return answer.body["type"].rpartition(":")[2]


async def test_each_part_is_announced_by_itself_to_its_own_department(desk) -> None:
    lead = await desk.opened(LEAD)
    desk.now += timedelta(hours=10)
    work = await desk.add(lead, "labour", "work-training")
    desk.now = lead.opened_at + timedelta(hours=20)
    await look(desk)
    assert await told(desk, lead) == [(str(lead.ref), "response", "officer")]
    assert await told(desk, work) == []
    await desk.step(lead, TaskState.ACCEPTED, version=1)
    desk.now = lead.opened_at + timedelta(hours=35)
    await look(desk)
    assert await told(desk, lead) == [(str(lead.ref), "response", "officer")]
    assert await told(desk, work) == [(str(work.ref), "response", "head-of-office")]
    events = [one for one in await desk.published("referral.tasks", lead.subject_id) if "due-ann" in one["type"]]
    assert [one.get("part") for one in events] == [None, 2, 2]


async def test_a_part_that_came_back_is_announced_to_the_station_alone_and_what_belongs_to_violence_is_reserved(
    desk,
) -> None:
    lead = await desk.opened("protection-from-violence")
    relief = await desk.add(lead, "civil-affairs", "temporary-relief")
    await desk.step(lead, TaskState.ACCEPTED, version=1)
    await desk.step(relief, TaskState.REJECTED, version=1, reason=Reason.NOT_OURS)
    desk.now = relief.complete_by + timedelta(minutes=5)
    await look(desk)
    assert await told(desk, relief) == []
    ring = await desk.vault.ring([lead.subject_id])
    events = await desk.published("referral.tasks", lead.subject_id)
    sealed = [one["detail"] for one in events if "due-ann" in one["type"] and one.get("part") == 2]
    details = [ring.open(Sealed[DueDetail].model_validate_json(orjson.dumps(one)), DueDetail) for one in sealed]
    assert [(one.department, one.step, one.reserved) for one in details] == [
        (None, "officer", True), (None, "head-of-office", True),
    ]  # fmt: skip


async def test_an_officer_ends_the_calls_of_their_part_and_a_word_of_the_station_those_of_all(
    front, desk, tmp_path
) -> None:
    file = tmp_path / "calls.jsonl"
    duty = DutyDesk(desk.database, CallFile(file))
    lead = await desk.opened("gas-leak")
    await desk.add(lead, "civil-affairs", "no-heating")
    await look(desk)
    assert await duty.call(desk.now) == 2
    await desk.step(lead, TaskState.ACCEPTED, version=1)
    assert await duty.call(desk.now + timedelta(minutes=5)) == 1
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {one["request_id"] for one in lines} == {str(lead.request_id)}
    path = f"/api/requests/{lead.request_id}/call-acknowledgement"
    answer = await front.call("POST", path, "reviewer")
    assert answer.status == 200
    assert (await front.call("POST", path, "supervisor")).body == answer.body
    assert await duty.call(desk.now + timedelta(hours=9)) == 0
    rows = await desk.rows("SELECT acknowledged_by FROM duty_call ORDER BY acknowledged_by")
    assert [row.acknowledged_by for row in rows] == ["officer-fire", "reviewer-1"]


async def test_a_reminder_names_its_part_and_no_other_department_hears_of_it(front, desk) -> None:
    lead = await desk.opened(LEAD)
    work = await desk.add(lead, "labour", "work-training")
    unnamed = await remind(front, lead)
    assert (unnamed.status, code(unnamed)) == (422, "part-unnamed")
    assert code(await remind(front, lead, part=3)) == "part-unknown"
    answer = await remind(front, lead, part=2)
    assert (answer.status, answer.body["part"], answer.body["department"]) == (200, 2, "labour")
    assert await told(desk, work) == [(str(work.ref), "response", "reminder")]
    assert await told(desk, lead) == []
    assert code(await remind(front, lead, part=2)) == "reminded-today"
    assert (await remind(front, lead, part=1)).status == 200


async def test_every_open_part_is_listed_and_no_request_is_on_two_pages(front, desk, monkeypatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    first, second, third = [await desk.opened(LEAD) for _ in range(3)]
    for lead in (first, second, third):
        await desk.add(lead, "labour", "work-training")
        await desk.add(lead, "health", "health-advice")
    await desk.step(second, TaskState.REJECTED, version=1, reason=Reason.NOT_OURS)
    await desk.station_step(third, TaskState.CANCELLED, version=1, part=2)
    pages, after = [], ""
    while True:
        page = await see(front, f"open{after}")
        pages.append([(one["request_id"], one["part"]) for one in page["requests"]])
        if "next" not in page:
            break
        after = f"?after={page['next']}"
    expected = {(str(one.request_id), part) for one in (first, second, third) for part in (1, 2, 3)}
    found = [one for page in pages for one in page]
    assert len(found) == len(set(found))
    assert set(found) == expected - {(str(third.request_id), 2)}
    for page, other in pairwise(pages):
        assert not {one for one, _ in page} & {one for one, _ in other}


async def test_a_silent_department_loses_its_part_alone_and_the_resident_is_told_once(desk) -> None:
    lead = await desk.opened(LEAD)
    desk.now += timedelta(hours=10)
    work = await desk.add(lead, "labour", "work-training")
    desk.now = lead.opened_at + timedelta(hours=25)
    with pytest.raises(PartUnnamed):
        await desk.hand_on(lead, "housing", version=1)
    with pytest.raises(NotOverdue):
        await desk.hand_on(lead, "housing", version=1, part=2)
    desk.now = lead.opened_at + timedelta(hours=35)
    moved = await desk.hand_on(lead, "housing", version=1, part=2)
    assert (moved.state, moved.version, moved.part) == ("requested", 3, 2)
    parts = await desk.parts(lead.need_id)
    assert [(one.department, one.state, one.version) for one in parts.values()] == [
        ("civil-affairs", "requested", 1), ("housing", "requested", 3),
    ]  # fmt: skip
    assert parts[2].complete_by == work.complete_by
    *_, last = await desk.published(feed_topic("labour"), lead.subject_id)
    assert (last["type"], last["ref"]) == ("feed.request-withdrawn.v1", str(work.ref))
    (offer,) = await desk.published(feed_topic("housing"), lead.subject_id)
    assert offer["offer"]["need_type"] == "work-training"
    notifier = Notifier(desk.database, desk.vault, None)
    for _ in range(2):
        await notifier.look_for_late(desk.now)
        await notifier.look_at_changes(desk.now)
    rows = await desk.rows("SELECT version FROM notice WHERE cause = :id", id=work.task_id)
    assert [row.version for row in rows] == [0]


async def test_missing_papers_pause_one_part_and_are_listed_by_whoever_may_take_a_step(front, desk) -> None:
    desk.now = datetime.now(UTC)
    lead = await desk.opened("fire-check")
    work = await desk.add(lead, "labour", "work-training")
    await desk.step(lead, TaskState.ACCEPTED, version=1)
    await desk.step(lead, TaskState.ON_HOLD, version=2, reason=Reason.WAITING_FOR_RESIDENT)
    async with desk.database.transaction() as session:
        give = (
            "INSERT INTO handler (task_id, member, person, given_by, given_at)"
            " VALUES (:id, :id, 'officer-8', 'officer-8', now())"
        )
        await session.execute(text(give), {"id": lead.task_id})
    path = f"/api/departments/fire/requests/{lead.ref}/missing-papers"
    body = {"id": str(uuid7()), "papers": ["lease-contract"]}
    refused = await front.call("POST", path, "officer", body, if_match='"3"')
    assert code(refused) == "handled-by-another"
    await desk.rows("DELETE FROM handler RETURNING task_id")
    answer = await front.call("POST", path, "officer", body | {"id": str(uuid7())}, if_match='"3"')
    assert answer.status == 200
    parts = await desk.parts(lead.need_id)
    assert parts[1].complete_by > lead.complete_by
    assert (parts[2].complete_by, parts[2].paused_at) == (work.complete_by, None)
    seen = {one["part"]: one["next"] for one in (await see(front, "open"))["requests"]}
    assert seen == {1: "wait-for-resident", 2: "respond"}


async def test_a_supervisor_sees_a_part_only_where_neither_it_nor_the_whole_tells_of_anybody(front, desk) -> None:
    plain = [await desk.opened(LEAD) for _ in range(10)]  # fewer are in no figure
    for one in plain:
        await desk.add(one, "health", "health-advice")
        await desk.add(one, "labour", "work-training")
    advice = await desk.opened("health-advice")
    await desk.add(advice, "labour", "work-training")
    violence = await desk.opened("protection-from-violence")
    await desk.add(violence, "civil-affairs", "temporary-relief")
    desk.now += timedelta(hours=37)
    await look(desk)
    shown = (await see(front, "late", "supervisor"))["requests"]
    assert {(one["request_id"], one["part"]) for one in shown} == {
        (str(one.request_id), part) for one in plain for part in (1, 3)
    }
    figures = (await see(front, "late", "supervisor"))["figures"]
    assert sum(one.get("count", 0) for one in figures if not one["guarded"]) == 20
    assert len((await see(front, "late"))["requests"]) == 34


async def test_a_part_that_nobody_has_is_found(desk) -> None:
    lead = await desk.opened(LEAD)
    work = await desk.add(lead, "labour", "work-training")

    async def lost() -> dict[Loss, int]:
        async with desk.database.transaction() as session:
            return {one.loss: one.count for one in await find_lost(session) if one.count}

    assert await lost() == {}
    async with desk.database.transaction() as session:
        for table in ("task_transition", "task"):
            await session.execute(text(f"DELETE FROM {table} WHERE task_id = :id"), {"id": work.task_id})  # noqa: S608
    assert await lost() == {Loss.REQUEST_WITHOUT_OWNER: 1}
