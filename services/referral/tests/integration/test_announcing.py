"""Deadlines speak: each step once, in bounded batches, by many workers, through outages and jumps of the clock."""

import asyncio
import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from doorstep.contracts.codes import Outcome, Reason, TaskState
from doorstep.contracts.topics import feed_topic
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.operations.announcing import LOOKED_AT, Announcing
from doorstep.referral.operations.calling import CallFile, CallLog, DutyDesk
from doorstep.referral.operations.erasing import erase_subject

ALL = ("announcement", "duty_call", "duty_call_attempt", "reminder", "heard_need")
STEPS = ["officer", "head-of-office", "supervisor"]


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose station has no requests yet."""
    async with front.database.transaction() as session:
        await session.execute(
            text(f"TRUNCATE request, task, task_transition, rating, outbox, {', '.join(ALL)} CASCADE")
        )
    return desk_over(front.database, front.vault)


async def look(desk, batch: int = 200) -> int:
    """Look at the desk's time as a worker does, until nothing is left."""
    announcing, seen = Announcing(desk.database, desk.vault, batch=batch), 0
    while found := await announcing.look(desk.now):
        seen += found
    return seen


async def announced(desk, task) -> list[tuple[str, str, bool]]:
    query = "SELECT deadline, step, late FROM announcement WHERE task_id = :id ORDER BY announced_at, due_by, step"
    return sorted(map(tuple, await desk.rows(query, id=task.task_id)), key=lambda row: (row[0], STEPS.index(row[1])))


async def told(desk, task) -> list[tuple[str, str]]:
    """What the department was told to be due, in order."""
    sent = await desk.published(feed_topic(task.department), task.subject_id)
    return [(one["deadline"], one["step"]) for one in sent if one["type"] == "feed.request-due.v1"]


async def test_officer_head_and_supervisor_are_told_as_time_passes_each_once(desk) -> None:
    task = await desk.opened("housing-repair")
    await look(desk)
    assert await announced(desk, task) == []
    for hours, steps in ((19.3, STEPS[:1]), (24.1, STEPS[:2]), (36.1, STEPS)):
        desk.now = task.opened_at + timedelta(hours=hours)
        await look(desk)
        await look(desk)
        assert [step for _, step, _ in await announced(desk, task)] == steps
    assert await told(desk, task) == [("response", step) for step in STEPS]
    events = await desk.published("referral.tasks", task.subject_id)
    assert [one["type"] for one in events][1:] == ["referral.due-announced.v1"] * 3
    assert [entry["action"] for entry in await desk.logged(task.subject_id)] == ["open-request"] + ["announce-due"] * 3


async def test_a_department_is_told_which_deadline_of_which_request_and_nothing_else(desk) -> None:
    task = await desk.opened("housing-repair")
    desk.now = task.opened_at + timedelta(hours=20)
    await look(desk)
    *_, due = await desk.published(feed_topic("housing"), task.subject_id)
    assert set(due) == {"type", "key", "ref", "deadline", "step", "due_by", "delete_by"}
    assert (due["ref"], due["due_by"]) == (str(task.ref), "2026-03-03T01:00:00Z")


async def test_after_an_outage_each_missed_step_is_there_once_late_and_the_department_hears_the_newest(
    desk,
) -> None:
    task = await desk.opened("housing-repair")
    desk.now = task.complete_by + timedelta(days=60)
    assert await look(desk) == 1
    assert await look(desk) == 0
    rows = await announced(desk, task)
    assert [(deadline, step) for deadline, step, _ in rows] == [
        (deadline, step) for deadline in ("completion", "response") for step in STEPS
    ]
    assert all(late for *_, late in rows)
    assert await told(desk, task) == [("completion", "supervisor")]
    events = [one for one in await desk.published("referral.tasks", task.subject_id) if "due-ann" in one["type"]]
    assert len(events) == 6


async def test_a_clock_that_is_put_back_announces_nothing_twice_and_leaves_nothing_out(desk) -> None:
    task = await desk.opened("housing-repair")
    desk.now = task.opened_at + timedelta(hours=25)
    await look(desk)
    desk.now = task.opened_at + timedelta(hours=20)
    await desk.step(task, TaskState.ACCEPTED)  # a step has it looked at anew
    await look(desk)
    assert [step for _, step, _ in await announced(desk, task)] == STEPS[:2]
    desk.now = task.opened_at + (task.complete_by - task.opened_at) * 0.9
    await look(desk)
    assert [row[:2] for row in await announced(desk, task)] == [
        ("completion", "officer"), ("response", "officer"), ("response", "head-of-office"),
    ]  # fmt: skip


async def test_what_was_answered_closed_handed_on_or_erased_is_not_announced_any_more(desk) -> None:
    answered, closed, handed, erased = [await desk.opened("housing-repair") for _ in range(4)]
    await desk.step(answered, TaskState.ACCEPTED)
    await desk.step(closed, TaskState.ACCEPTED)
    await desk.step(closed, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
    await desk.step(handed, TaskState.REJECTED, reason=Reason.NOT_OURS)
    await desk.hand_on(handed, "civil-affairs")
    await desk.vault.destroy(erased.subject_id)
    desk.now += timedelta(hours=25)
    await look(desk)
    for task in (answered, closed, handed, erased):
        assert await announced(desk, task) == []
    live = await desk.task(handed.need_id)
    assert await told(desk, live) == [("response", "head-of-office")]


async def test_a_draft_is_announced_to_the_station_and_its_department_hears_of_its_own_time(desk) -> None:
    task = await desk.opened("something-new")
    desk.now += timedelta(hours=25)
    await look(desk)
    assert len(await announced(desk, task)) == 2
    await desk.hand_on(task, "housing")
    desk.now += timedelta(hours=20)
    await look(desk)
    assert await told(desk, await desk.task(task.need_id)) == [("response", "officer")]


async def test_many_workers_share_what_is_due_and_each_step_is_there_once(desk) -> None:
    tasks = [await desk.opened("housing-repair") for _ in range(12)]
    desk.now += timedelta(hours=25)
    counts = await asyncio.gather(*(look(desk, batch=2) for _ in range(4)))
    assert sum(counts) == 12
    for task in tasks:
        assert [step for _, step, _ in await announced(desk, task)] == STEPS[:2]
        assert len(await told(desk, task)) == 1


async def test_a_worker_that_dies_has_announced_a_batch_whole_or_not_at_all(desk, monkeypatch) -> None:
    tasks = [await desk.opened("housing-repair") for _ in range(4)]
    desk.now += timedelta(hours=25)
    announcing = Announcing(desk.database, desk.vault, batch=2)
    assert await announcing.look(desk.now) == 2  # and here it died, and the next in the midst of a batch

    async def dies(_):
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr("doorstep.kit.outbox.flush", dies)
        with pytest.raises(ConnectionError):
            await announcing.look(desk.now)
    assert await desk.rows("SELECT 1 FROM announcement") == [(1,)] * 4
    await look(desk)
    for task in tasks:
        assert len(await announced(desk, task)) == 2
        assert len(await told(desk, task)) == 1


async def test_a_request_whose_content_is_broken_keeps_nobody_elses_from_being_announced(desk) -> None:
    broken, sound = await desk.opened("housing-repair"), await desk.opened("housing-repair")
    async with desk.database.transaction() as session:
        spoil = "UPDATE request SET content = set_byte(content, 20, 255 - get_byte(content, 20)) WHERE request_id = :id"
        await session.execute(text(spoil), {"id": broken.request_id})
    desk.now += timedelta(hours=25)
    await look(desk)
    for task in (broken, sound):
        assert await told(desk, task) == [("response", "head-of-office")]


FILL = """
    WITH rows AS (SELECT gen_random_uuid() AS id, i FROM generate_series(1, 5000) AS i), opened AS (
        INSERT INTO request (request_id, need_id, record_id, file_id, subject_id, station, opened_at, follow_ref,
            confidential, legal_basis, content)
        SELECT id, gen_random_uuid(), record_id, file_id, subject_id, station, r.opened_at, gen_random_uuid(),
            confidential, legal_basis, content
        FROM rows, request r WHERE r.request_id = :request_id
    )
    INSERT INTO task (task_id, request_id, sequence, state, version, opened_at, respond_by, complete_by, provisional,
        closed_at)
    SELECT gen_random_uuid(), id, 1, CASE WHEN i % 2 = 0 THEN 'draft' ELSE 'completed' END, 1,
        t.opened_at, t.respond_by, t.complete_by, false, CASE WHEN i % 2 = 1 THEN t.opened_at END
    FROM rows, task t WHERE t.request_id = :request_id
"""


async def test_thousands_due_at_once_are_found_by_their_index_in_bounded_batches(desk) -> None:
    task = await desk.opened("housing-repair")
    async with desk.database.transaction() as session:
        await session.execute(text(FILL), {"request_id": task.request_id})
        await session.execute(text("ANALYZE task"))
        await session.execute(text("ANALYZE request"))
        looked = LOOKED_AT.replace(":now", "now()").replace(":batch", "200")
        (plan,) = (await session.execute(text(f"EXPLAIN (FORMAT JSON) {looked}"))).one()
    spoken = json.dumps(plan)
    assert "task_look" in spoken
    assert "Seq Scan" not in spoken
    assert await Announcing(desk.database, desk.vault, batch=200).look(desk.now) == 200
    [(left,)] = await desk.rows("SELECT count(*) FROM task WHERE look_at <= :now", now=desk.now)
    assert left == 2301


async def test_the_duty_desk_is_called_until_a_named_human_acknowledges(front, desk, tmp_path) -> None:
    file = tmp_path / "calls.jsonl"
    urgent, other = await desk.opened("gas-leak"), await desk.opened("housing-repair")
    await look(desk)
    duty = DutyDesk(desk.database, CallFile(file))
    assert await duty.call(desk.now) == 1
    assert await duty.call(desk.now + timedelta(minutes=4)) == 0
    assert await duty.call(desk.now + timedelta(minutes=5)) == 1
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(one["request_id"], one["attempt"]) for one in lines] == [
        (str(urgent.request_id), 1),
        (str(urgent.request_id), 2),
    ]
    assert set(lines[0]) == {"station", "request_id", "attempt", "respond_by", "at"}
    query = "SELECT attempt, at, placed FROM duty_call_attempt ORDER BY attempt"
    assert list(map(tuple, await desk.rows(query))) == [
        (1, desk.now, True), (2, desk.now + timedelta(minutes=5), True),
    ]  # fmt: skip
    path = f"/api/requests/{urgent.request_id}/call-acknowledgement"
    answer = await front.call("POST", path, "reviewer")
    assert answer.status == 200
    assert (await front.call("POST", path, "supervisor")).body == answer.body
    assert await duty.call(desk.now + timedelta(hours=9)) == 0
    [row] = await desk.rows("SELECT acknowledged_by FROM duty_call")
    assert row.acknowledged_by == "reviewer-1"
    logged = [one["action"] for one in await desk.logged(urgent.subject_id)]
    assert logged == ["open-request", "acknowledge-call"]
    nobody = await front.call("POST", path.replace(str(urgent.request_id), str(other.request_id)), "reviewer")
    assert (nobody.status, nobody.body["type"].rpartition(":")[2]) == (409, "nobody-called")


async def test_a_call_that_cannot_be_placed_is_recorded_and_tried_again_soon(desk, tmp_path) -> None:
    await desk.opened("no-heating")
    await look(desk)
    assert await DutyDesk(desk.database, CallFile(tmp_path / "no" / "folder")).call(desk.now) == 1
    later = desk.now + timedelta(minutes=1)
    assert await DutyDesk(desk.database, CallFile(tmp_path / "calls")).call(later) == 1
    query = "SELECT placed FROM duty_call_attempt ORDER BY attempt"
    assert [row.placed for row in await desk.rows(query)] == [False, True]


async def test_who_dies_after_a_call_was_placed_calls_again(desk, tmp_path) -> None:
    class Dies(CallFile):
        def call(self, call, at) -> None:
            super().call(call, at)
            raise ConnectionError

    await desk.opened("gas-leak")
    await look(desk)
    file = tmp_path / "calls"
    with pytest.raises(ConnectionError):
        await DutyDesk(desk.database, Dies(file)).call(desk.now)
    assert await DutyDesk(desk.database, CallFile(file)).call(desk.now) == 1
    assert [json.loads(line)["attempt"] for line in file.read_text().splitlines()] == [1, 1]


async def test_a_systems_answer_ends_no_calls_and_an_officers_does(desk, caplog) -> None:
    ours, theirs = await desk.opened("gas-leak"), await desk.opened("gas-leak")
    await look(desk)
    await desk.step(ours, TaskState.ACCEPTED)
    async with desk.database.transaction() as session:
        accept = "UPDATE task SET state = 'accepted' WHERE task_id = :id"
        await session.execute(text(accept), {"id": theirs.task_id})
    await look(desk)
    duty = DutyDesk(desk.database, CallLog())
    assert await duty.call(desk.now) == 1
    assert [line.message for line in caplog.records if line.levelname == "CRITICAL"] == ["duty desk called"]
    [row] = await desk.rows("SELECT acknowledged_by FROM duty_call WHERE acknowledged_at IS NOT NULL")
    assert row.acknowledged_by == "officer-fire"
    await desk.step(theirs, TaskState.COMPLETED, outcome=Outcome.HAZARD_REMOVED)
    desk.now += timedelta(minutes=6)
    assert await duty.call(desk.now) == 0


async def test_a_clock_that_was_ahead_keeps_nobody_from_being_called(desk) -> None:
    await desk.opened("gas-leak")
    await look(desk)
    duty = DutyDesk(desk.database, CallLog())
    assert await duty.call(desk.now + timedelta(days=1)) == 1
    assert await duty.call(desk.now) == 1


async def test_what_is_erased_leaves_no_row_behind(desk) -> None:
    task = await desk.opened("gas-leak")
    desk.now += timedelta(hours=2)
    await look(desk)
    await DutyDesk(desk.database, CallLog()).call(desk.now)
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=task.subject_id, now=desk.now)
    for table in ALL:
        assert await desk.rows(f"SELECT * FROM {table}") == []  # noqa: S608
