"""The first receiver answers: what is open is seen whole, reminded of, taken from the silent, and late in figures."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import BusinessStatus, Outcome, Reason, TaskState
from doorstep.contracts.topics import feed_topic
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.domain.deadline_errors import NotOverdue
from doorstep.referral.errors import RejectedThere
from doorstep.referral.operations import listing
from doorstep.referral.operations.announcing import Announcing

FOLLOW_UP = {"doorstep_purpose": "follow-up"}
TABLES = (
    "request, task, task_transition, rating, outbox, announcement, duty_call, duty_call_attempt, reminder, exclusion"
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


async def see(front, path: str, who: str = "reviewer"):
    answer = await front.call("GET", f"/api/requests/{path}", who, **FOLLOW_UP)
    assert answer.status == 200, answer.raw
    return answer.body


async def remind(front, task, **body):
    return await front.call(
        "POST", f"/api/requests/{task.request_id}/reminders", "reviewer", {"id": str(uuid7())} | body
    )


async def announce(desk) -> None:
    while await Announcing(desk.database, desk.vault).look(desk.now):
        pass


def code(answer) -> str:
    return answer.body["type"].rpartition(":")[2]


async def test_each_open_request_says_who_has_it_what_is_next_and_how_late(front, desk) -> None:
    waits, taken, back, draft, done = [
        await desk.opened(need) for need in ("housing-repair", "fire-check", "wage-help", "something-new", "mediation")
    ]
    await desk.step(taken, TaskState.ACCEPTED)
    await desk.step(back, TaskState.REJECTED, reason=Reason.NOT_OURS)
    await desk.step(done, TaskState.ACCEPTED)
    await desk.step(done, TaskState.COMPLETED, outcome=Outcome.AGREEMENT_REACHED)
    seen = {one["request_id"]: one for one in (await see(front, "open"))["requests"]}
    assert len(seen) == 4
    expected = {waits: ("housing", "respond", "respond_by"), taken: ("fire", "complete", "complete_by"),
                back: ("labour", "hand-on", "complete_by"), draft: (None, "route", "respond_by")}  # fmt: skip
    for task, (department, step, until) in expected.items():
        one = seen[str(task.request_id)]
        assert (one.get("department"), one["next"], one["late"]) == (department, step, "supervisor")
        assert datetime.fromisoformat(one["until"]) == getattr(task, until)
        assert datetime.fromisoformat(one["since"]) == desk.now
    assert "王秀英" not in str(seen)


async def test_what_is_open_is_paged_and_none_is_left_out_or_shown_twice(front, desk, monkeypatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 3)
    await desk.open(*[await desk.need("housing-repair") for _ in range(7)])
    found, after = [], ""
    while True:
        page = await see(front, f"open{after}")
        found += [one["request_id"] for one in page["requests"]]
        if "next" not in page:
            break
        after = f"?after={page['next']}"
    assert len(found) == len(set(found)) == 7
    gone = await front.call("GET", f"/api/requests/open?after={uuid7()}", "reviewer", **FOLLOW_UP)
    assert (gone.status, code(gone)) == (410, "cursor-expired")


async def test_what_is_open_is_a_reviewers_alone_and_its_reading_is_logged(front, desk) -> None:
    task = await desk.opened("housing-repair")
    await see(front, "open")
    entry = (await desk.logged(task.subject_id))[-1]
    assert (entry["action"], entry["purpose"], entry["actor"]) == ("list-requests", "follow-up", "reviewer-1")
    for who in ("supervisor", "collector", "officer", "police", "resident"):
        assert (await front.call("GET", "/api/requests/open", who, **FOLLOW_UP)).status == 403, who
    assert (await see(front, "open", "reviewer-elsewhere"))["requests"] == []


async def test_a_department_is_reminded_once_a_day_and_hears_of_its_deadline_alone(front, desk) -> None:
    task = await desk.opened("housing-repair")
    answer = await remind(front, task, id=(command := str(uuid7())))
    assert (answer.status, answer.body["deadline"], answer.body["department"]) == (200, "response", "housing")
    assert (await remind(front, task, id=command)).body == answer.body
    again = await remind(front, task)
    assert (again.status, code(again)) == (409, "reminded-today")
    *_, due = await desk.published(feed_topic("housing"), task.subject_id)
    assert (due["type"], due["step"], due["ref"]) == ("feed.request-due.v1", "reminder", str(task.ref))
    (one,) = (await see(front, "open"))["requests"]
    assert one["reminded_on"] == answer.body["day"]
    assert "remind-department" in [entry["action"] for entry in await desk.logged(task.subject_id)]
    draft = await desk.opened("something-new")
    nobody = await remind(front, draft)
    assert (nobody.status, code(nobody)) == (409, "nobody-to-remind")


async def test_a_silent_department_loses_the_request_and_another_gets_it(front, desk) -> None:
    task = await desk.opened("housing-repair")
    body = {"id": str(uuid7()), "to": "requested", "department": "civil-affairs"}
    path = f"/api/requests/{task.request_id}/transitions"
    moved = await front.call("POST", path, "reviewer", body, if_match='"1"')
    assert (moved.status, moved.body["state"], moved.body["version"]) == (200, "requested", 3)
    assert (await front.call("POST", path, "reviewer", body, if_match='"1"')).body == moved.body
    rows = await desk.rows("SELECT department, state, complete_by FROM task ORDER BY sequence")
    assert [tuple(row) for row in rows] == [
        ("housing", "cancelled", task.complete_by), ("civil-affairs", "requested", task.complete_by),
    ]  # fmt: skip
    *_, last = await desk.published(feed_topic("housing"), task.subject_id)
    assert (last["type"], last["ref"]) == ("feed.request-withdrawn.v1", str(task.ref))
    (offer,) = await desk.published(feed_topic("civil-affairs"), task.subject_id)
    assert offer["type"] == "feed.request-offered.v1"
    events = await desk.published("referral.tasks", task.subject_id)
    assert [(one["to_state"], one["version"]) for one in events[1:]] == [("cancelled", 2), ("requested", 3)]
    assert await desk.rows("SELECT 1 FROM owed_erasure WHERE ref = :ref", ref=task.ref) == [(1,)]
    (one,) = (await see(front, "open"))["requests"]
    assert (one["department"], one["version"]) == ("civil-affairs", 3)


async def test_no_request_is_taken_from_a_department_that_has_time_or_to_give_it_back(desk) -> None:
    task = await desk.opened("housing-repair")
    with pytest.raises(NotOverdue):
        await desk.hand_on(task, "civil-affairs")
    desk.now += timedelta(hours=25)
    with pytest.raises(NotOverdue):
        await desk.hand_on(task, "housing")
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    await desk.hand_on(task, "fire")
    desk.now += timedelta(hours=25)
    with pytest.raises(RejectedThere):
        await desk.hand_on(task, "housing")
    assert (await desk.task(task.need_id)).state == "requested"


async def test_what_is_late_is_told_a_supervisor_in_figures_and_ids_without_content(front, desk) -> None:
    plain = await desk.opened("housing-repair")
    prompt = await desk.opened("fire-check")
    await desk.open(*[await desk.need("legal-aid") for _ in range(11)])
    await desk.open(*[await desk.need("protection-from-violence") for _ in range(12)])
    desk.now = plain.opened_at + timedelta(hours=37)
    await desk.step(prompt, TaskState.ACCEPTED)
    await announce(desk)
    told = await see(front, "late", "supervisor")
    assert [one["request_id"] for one in told["requests"]] == [str(plain.request_id)]
    assert set(told["requests"][0]) == {
        "request_id", "part", "department", "deadline", "step", "due_by", "announced_at", "announced_late",
    }  # fmt: skip
    counts = {(one.get("department"), one["guarded"], one["step"]): one.get("count") for one in told["figures"]}
    assert counts["housing", False, "supervisor"] is None  # one is fewer than is told, of what is not delicate too
    assert counts["justice", True, "supervisor"] == 10  # eleven of legal aid; of violence none
    assert counts["health", True, "supervisor"] is None
    assert sum(count or 0 for count in counts.values()) == 10
    assert not told["more"]


async def test_a_reviewer_sees_all_that_is_late_and_both_reads_are_logged(front, desk) -> None:
    plain, guarded = await desk.opened("housing-repair"), await desk.opened("protection-from-violence")
    desk.now += timedelta(hours=25)
    await announce(desk)
    before = len(await front.about("supervisor"))
    seen = {one["request_id"] for one in (await see(front, "late"))["requests"]}
    assert seen == {str(plain.request_id), str(guarded.request_id)}
    assert (await desk.logged(guarded.subject_id))[-1]["action"] == "list-late"
    await see(front, "late", "supervisor")
    (entry,) = (await front.about("supervisor"))[before:]
    assert (entry["action"], entry["policies"]) == ("list-late", ["station-follows-deadlines"])
    for who, purpose in (("reviewer", "triage"), ("officer", "follow-up"), ("collector", "follow-up")):
        assert (await front.call("GET", "/api/requests/late", who, doorstep_purpose=purpose)).status == 403


async def test_what_is_late_no_more_is_in_no_figure(front, desk) -> None:
    needs = [await desk.need("housing-repair") for _ in range(10)]
    await desk.open(*needs)
    desk.now += timedelta(hours=37)
    await announce(desk)
    late = await see(front, "late")
    assert len(late["requests"]) == 10
    assert sum(one.get("count", 0) for one in late["figures"]) == 10
    for need in needs:
        await desk.step(await desk.task(need.need_id), TaskState.ACCEPTED)
    answer = await see(front, "late", "supervisor")
    assert answer["requests"] == []
    assert sum(one.get("count", 0) for one in answer["figures"]) == 0


async def papers(front, task, version: int, *listed: str, who: str = "officer"):
    path = f"/api/departments/fire/requests/{task.ref}/missing-papers"
    body = {"id": str(uuid7()), "papers": list(listed)}
    return await front.call("POST", path, who, body, if_match=f'"{version}"')


async def test_papers_are_listed_once_and_the_completion_is_paused_for_fifteen_days_at_most(front, desk) -> None:
    desk.now = datetime.now(UTC)
    task = await desk.opened("fire-check")
    await desk.step(task, TaskState.ACCEPTED)
    early = await papers(front, task, 2, "lease-contract")
    assert (early.status, code(early)) == (409, "resident-not-awaited")
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.NO_CAPACITY)
    other = await papers(front, task, 3, "lease-contract")
    assert code(other) == "resident-not-awaited"
    await desk.step(task, TaskState.IN_PROGRESS)
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.WAITING_FOR_RESIDENT)
    for wrong in ([], ["identity-card"]):
        assert (await papers(front, task, 5, *wrong)).status == 422
    answer = await papers(front, task, 5, "lease-contract", "damage-photograph")
    assert (answer.status, answer.body["papers"]) == (200, ["damage-photograph", "lease-contract"])
    second = await papers(front, task, 5, "wage-record")
    assert (second.status, code(second)) == (409, "notice-given")
    resting = await desk.task(task.need_id)
    assert resting.paused_until - resting.paused_at == timedelta(days=15)
    assert resting.complete_by > task.complete_by
    assert b"lease" not in bytes(resting.missing_papers)
    (one,) = (await see(front, "open"))["requests"]
    assert (one["next"], one["late"]) == ("wait-for-resident", "nobody")
    assert one["missing_papers"] == ["damage-photograph", "lease-contract"]


async def paused(front, desk):
    """A request whose completion is paused since the desk's time."""
    desk.now = datetime.now(UTC)
    task = await desk.opened("fire-check")
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.WAITING_FOR_RESIDENT)
    assert (await papers(front, task, 3, "lease-contract")).status == 200
    return task


async def test_a_pause_that_ends_at_once_costs_nothing_and_one_that_is_not_ended_runs_out(front, desk) -> None:
    task = await paused(front, desk)
    await desk.step(task, TaskState.IN_PROGRESS)
    ended = await desk.task(task.need_id)
    assert ended.complete_by <= task.complete_by + timedelta(days=4)  # midnight may have passed
    other = await paused(front, desk)
    longest = (await desk.task(other.need_id)).complete_by
    desk.now += timedelta(days=40)
    await desk.step(other, TaskState.IN_PROGRESS)
    assert (await desk.task(other.need_id)).complete_by == longest


async def test_a_pause_ends_where_it_is_no_more_the_resident_who_is_waited_for(front, desk) -> None:
    task = await paused(front, desk)
    await desk.step(task, TaskState.ON_HOLD, business_status=BusinessStatus.COULD_NOT_REACH)
    assert (await desk.task(task.need_id)).paused_until > desk.now
    await desk.step(task, TaskState.ON_HOLD, business_status=BusinessStatus.NO_CAPACITY)
    assert (await desk.task(task.need_id)).paused_until == desk.now


async def test_what_is_late_already_is_not_paused(front, desk) -> None:
    task = await desk.opened("fire-check")
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.WAITING_FOR_RESIDENT)
    answer = await papers(front, task, 3, "lease-contract")
    assert (answer.status, "paused_until" in answer.body) == (200, False)
    assert (await desk.task(task.need_id)).complete_by == task.complete_by
