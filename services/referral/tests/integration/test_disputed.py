"""What two departments rejected waits for the arbiter: who finds it, what is told of it, and how it is assigned."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Reason, Role, TaskState
from doorstep.kit.exclusions import exclude
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.operations import arbitrating
from doorstep.referral.operations.duties import note_duty

FOLLOW_UP = {"doorstep_purpose": "follow-up"}
TABLES = "request, task, task_transition, rating, outbox, exclusion, duty"


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose station has no requests yet."""
    async with front.database.transaction() as session:
        await session.execute(text(f"TRUNCATE {TABLES} CASCADE"))
    return desk_over(front.database, front.vault, now=datetime.now(UTC) - timedelta(hours=4))


async def disputed(front, who: str = "supervisor", after: str = "") -> list[dict]:
    answer = await front.call("GET", f"/api/requests/disputed{after}", who, **FOLLOW_UP)
    assert answer.status == 200, answer.raw
    return answer.body["requests"]


async def rejected_twice(desk, need_type: str = "housing-repair", second: str = "civil-affairs"):
    """A request that the department which owes it rejected, and then another."""
    task = await desk.opened(need_type)
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS, note="王秀英不归我们管")
    desk.now += timedelta(hours=1)
    await desk.hand_on(task, second)
    again = await desk.task(task.need_id)
    desk.now += timedelta(hours=1)
    await desk.step(again, TaskState.REJECTED, reason=Reason.NOT_ELIGIBLE)
    return await desk.task(task.need_id)


async def assign(front, task, department: str, version: int, who: str = "supervisor", **more):
    body = {"id": str(uuid7()), "to": "requested", "department": department, **more}
    path = f"/api/requests/{task.request_id}/transitions"
    return await front.call("POST", path, who, body, if_match=f'"{version}"')


async def row_of(front, task):
    """The row of a request as a reviewer of the station reads it."""
    answer = await front.call("GET", "/api/requests/open", "reviewer", **FOLLOW_UP)
    return next(one for one in answer.body["requests"] if one["request_id"] == str(task.request_id))


def code(answer) -> str:
    return answer.body["type"].rpartition(":")[2]


async def test_the_arbiter_finds_what_two_rejected_and_assigns_it_by_what_the_list_tells(front, desk) -> None:
    once = await desk.opened("wage-help")
    await desk.step(once, TaskState.REJECTED, reason=Reason.NOT_OURS)
    task = await rejected_twice(desk)
    [one] = await disputed(front)
    first, second = one.pop("rejections")
    since = one.pop("since")
    assert one == {
        "request_id": str(task.request_id), "part": 1, "parts": 1, "version": 4, "state": "rejected",
        "need_type": "housing-repair",
    }  # fmt: skip
    assert (first["department"], first["reason"]) == ("housing", "not-ours")
    assert (second["department"], second["reason"]) == ("civil-affairs", "not-eligible")
    assert datetime.fromisoformat(second["at"]) - datetime.fromisoformat(first["at"]) == timedelta(hours=2)
    assert since == second["at"]
    refused = await assign(front, task, "fire", 4, "reviewer")
    assert (refused.status, code(refused)) == (409, "arbiter-must-assign")
    moved = await assign(front, task, "fire", one["version"])
    assert (moved.status, moved.body["state"], moved.body["version"]) == (200, "requested", 5)
    assert await disputed(front) == []
    live = await desk.task(task.need_id)
    assert (live.department, live.assigned) == ("fire", True)


async def test_the_reviewers_list_says_that_it_is_for_the_arbiter(front, desk) -> None:
    plain = await desk.opened("wage-help")
    await desk.step(plain, TaskState.REJECTED, reason=Reason.NOT_OURS)
    task, violent = await rejected_twice(desk), await rejected_twice(desk, "protection-from-violence")
    assert not (await row_of(front, plain))["for_arbiter"]
    for one in (task, violent):
        row = await row_of(front, one)
        assert (row["next"], row["for_arbiter"], row["version"]) == ("hand-on", True, 4)
    assert (await assign(front, task, "fire", 4)).status == 200
    row = await row_of(front, task)
    assert (row["next"], row["for_arbiter"]) == ("respond", True)
    live = await desk.task(task.need_id)
    await desk.step(live, TaskState.ACCEPTED)
    assert not (await row_of(front, task))["for_arbiter"]


@pytest.mark.parametrize(
    ("who", "purpose", "status"),
    [
        (None, "follow-up", 401), ("nobody", "follow-up", 401),
        ("supervisor", "triage", 403), ("supervisor", None, 403),
        ("reviewer", "follow-up", 403), ("collector", "follow-up", 403), ("officer", "follow-up", 403),
        ("police", "follow-up", 403), ("resident", "follow-up", 403), ("hotline", "follow-up", 403),
    ],
)  # fmt: skip
async def test_nobody_but_a_supervisor_who_says_why_sees_what_is_disputed(front, desk, who, purpose, status) -> None:
    await rejected_twice(desk)
    named = {} if purpose is None else {"doorstep_purpose": purpose}
    answer = await front.call("GET", "/api/requests/disputed", who, **named)
    assert answer.status == status
    assert "rejections" not in answer.raw.decode()


async def test_the_look_is_logged_and_holds_no_word_of_anybody(front, desk) -> None:
    task = await rejected_twice(desk)
    shown = await disputed(front)
    assert not [word for word in ("王秀英", "13800138000", "和平里", str(task.record_id)) if word in str(shown)]
    entry = (await desk.logged(task.subject_id))[-1]
    assert (entry["action"], entry["actor"], entry["purpose"]) == ("list-requests", "supervisor-1", "follow-up")
    assert entry["policies"] == ["arbiter-sees-disputes"]


async def test_of_what_is_confidential_no_need_is_told_and_violence_is_not_in_the_list(front, desk) -> None:
    aid = await rejected_twice(desk, "legal-aid")
    violent = await rejected_twice(desk, "protection-from-violence")
    [one] = await disputed(front)
    assert (one["request_id"], "need_type" in one) == (str(aid.request_id), False)
    assert [said["department"] for said in one["rejections"]] == ["justice", "civil-affairs"]
    assert (await assign(front, aid, "health", one["version"])).status == 200
    assert (await assign(front, violent, "health", 4)).status == 200  # of which a reviewer told them


async def test_whom_a_person_keeps_from_their_matter_and_who_had_another_duty_do_not_find_it(front, desk) -> None:
    kept, taken, free = [await rejected_twice(desk) for _ in range(3)]
    who = desk.vault.pairwise("staff", "supervisor-1")
    records = {one.request_id: uuid4() for one in (kept, taken, free)}
    async with desk.database.transaction() as session:
        for request, record in records.items():
            values = {"record": record, "request": request}
            await session.execute(text("UPDATE request SET record_id = :record WHERE request_id = :request"), values)
        await exclude(session, [kept.subject_id], [who])
        await note_duty(session, records[taken.request_id], who, Role.COLLECTOR)
    assert [one["request_id"] for one in await disputed(front)] == [str(free.request_id)]
    assert len(await disputed(front, "another-supervisor")) == 3
    assert (await assign(front, kept, "fire", 4)).status == 404
    assert (await assign(front, taken, "fire", 4)).status == 403


async def test_of_two_arbiters_at_once_one_assigns_and_the_other_is_told_to_read_anew(front, desk) -> None:
    task = await rejected_twice(desk)
    [one] = await disputed(front)
    both = await asyncio.gather(
        assign(front, task, "fire", one["version"]), assign(front, task, "labour", one["version"], "another-supervisor")
    )
    assert sorted(answer.status for answer in both) == [200, 412]
    query = "SELECT department FROM task WHERE request_id = :id AND state = 'requested'"
    assert len(await desk.rows(query, id=task.request_id)) == 1


async def test_a_part_is_disputed_by_itself(front, desk) -> None:
    lead = await desk.opened("minimum-living-allowance")
    work = await desk.add(lead, "labour", "work-training")
    await desk.step(work, TaskState.REJECTED, version=1, reason=Reason.NOT_OURS)
    await desk.step(lead, TaskState.REJECTED, version=1, reason=Reason.NOT_OURS)
    assert await disputed(front) == []
    await desk.hand_on(lead, "health", version=2, part=2)
    again = (await desk.parts(lead.need_id))[2]
    await desk.step(again, TaskState.REJECTED, version=3, reason=Reason.NO_CAPACITY)
    [one] = await disputed(front)
    assert (one["part"], one["parts"], one["version"], one["need_type"]) == (2, 2, 4, "work-training")
    assert [said["department"] for said in one["rejections"]] == ["labour", "health"]
    assert (await assign(front, lead, "housing", 4, part=2)).status == 200
    assert await disputed(front) == []


async def test_what_the_arbiter_assigned_and_nobody_answered_in_time_comes_back_to_the_arbiter(front, desk) -> None:
    task = await rejected_twice(desk)
    await desk.hand_on(task, "fire", arbiter=True)
    assert await disputed(front) == []
    query = "UPDATE task SET opened_at = now() - interval '27 hours', respond_by = now() - interval '3 hours'"
    async with desk.database.transaction() as session:
        await session.execute(text(f"{query} WHERE request_id = :id AND state = 'requested'"), {"id": task.request_id})
    [one] = await disputed(front)
    assert (one["state"], one["department"], one["version"], len(one["rejections"])) == ("requested", "fire", 5, 2)
    refused = await assign(front, task, "labour", 5, "reviewer")
    assert (refused.status, code(refused)) == (409, "arbiter-must-assign")
    moved = await assign(front, task, "labour", 5)
    assert (moved.status, moved.body["version"]) == (200, 7)
    assert await disputed(front) == []


async def test_what_is_disputed_is_paged_and_none_is_left_out_or_shown_twice(front, desk, monkeypatch) -> None:
    monkeypatch.setattr(arbitrating, "PAGE", 2)
    tasks = [await rejected_twice(desk) for _ in range(5)]
    found, after = [], ""
    while True:
        page = (await front.call("GET", f"/api/requests/disputed{after}", "supervisor", **FOLLOW_UP)).body
        found += [one["request_id"] for one in page["requests"]]
        if "next" not in page:
            break
        after = f"?after={page['next']}"
    assert found == [str(one.request_id) for one in tasks]
    gone = await front.call("GET", f"/api/requests/disputed?after={uuid7()}", "supervisor", **FOLLOW_UP)
    assert (gone.status, code(gone)) == (410, "cursor-expired")
    wrong = await front.call("GET", "/api/requests/disputed?after=1", "supervisor", **FOLLOW_UP)
    assert wrong.status == 422
