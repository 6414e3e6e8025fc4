"""Going on against a promise: listed papers are promised until a day, and work goes on before they are there."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Reason, TaskState
from doorstep.contracts.referral import TransitionDetail
from doorstep.contracts.sealed import Sealed
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.domain.deadlines import SHANGHAI
from doorstep.referral.operations.announcing import Announcing

FIRE = "/api/departments/fire/requests"
LISTED = ("damage-photograph", "lease-contract")


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose station has no requests yet."""
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE request, task, task_transition, outbox, handler CASCADE"))
    return desk_over(front.database, front.vault, now=datetime.now(UTC))


def day(ahead: int = 0) -> date:
    """A day of the place, so many days ahead."""
    return datetime.now(SHANGHAI).date() + timedelta(days=ahead)


def code(answer: Any) -> str:
    return answer.body["type"].rpartition(":")[2]


async def listed(front, task: Any, version: int) -> None:
    """All papers that a request waits for are listed."""
    body = {"id": str(uuid7()), "papers": LISTED}
    path = f"{FIRE}/{task.ref}/missing-papers"
    assert (await front.call("POST", path, "officer", body, if_match=f'"{version}"')).status == 200


async def waiting(front, desk, **how: Any) -> Any:
    """A request of version 3 that waits for the papers that were listed."""
    task = await desk.opened("fire-check", **how)
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.WAITING_FOR_RESIDENT)
    await listed(front, task, 3)
    return task


async def promise(front, task: Any, version: int = 3, who: str = "officer", **said: Any) -> Any:
    body = {"id": str(uuid7()), "papers": ["lease-contract"], "until": day(20).isoformat()} | said
    return await front.call("POST", f"{FIRE}/{task.ref}/promise", who, body, if_match=f'"{version}"')


async def history(front, task: Any) -> tuple[list[Any], list[Any]]:
    """What happened to a request, as its department and as the station read it."""
    own = await front.call("GET", f"{FIRE}/{task.ref}", "officer", doorstep_purpose="service")
    why = {"doorstep_purpose": "follow-up", "doorstep_case": str(task.record_id)}
    station = await front.call("GET", f"/api/requests?record_id={task.record_id}", "reviewer", **why)
    assert (own.status, station.status) == (200, 200)
    return own.body["history"], station.body["requests"][0]["tasks"][0]["history"]


async def open_now(front) -> Any:
    answer = await front.call("GET", "/api/requests/open", "reviewer", doorstep_purpose="follow-up")
    (one,) = answer.body["requests"]
    return one


async def test_work_goes_on_against_a_promise_which_department_and_station_read_and_the_pause_ends(front, desk) -> None:
    task = await waiting(front, desk)
    resting = await desk.task(task.need_id)
    assert resting.complete_by > task.complete_by
    answer = await promise(front, task, id=(command := str(uuid7())))
    assert (answer.status, answer.headers["etag"]) == (200, '"4"')
    assert (answer.body["state"], answer.body["version"]) == ("in-progress", 4)
    again = await promise(front, task, id=command)
    assert (again.body, again.headers["etag"]) == (answer.body, '"4"')
    assert code(await promise(front, task, id=command, until=day(21).isoformat())) == "id-reused"
    now = await desk.task(task.need_id)
    assert (now.version, now.state) == (4, "in-progress")
    assert now.paused_until < resting.paused_until
    assert task.complete_by <= now.complete_by < resting.complete_by
    for told in await history(front, task):
        assert told[-1]["promised"] == {"papers": ["lease-contract"], "until": day(20).isoformat()}
        assert not any(one.get("promised") for one in told[:-1])
    entry = (await desk.logged(task.subject_id))[-3]
    assert (entry["action"], entry["outcome"]) == ("transition-task", "in-progress")


async def test_the_station_is_shown_until_when_papers_are_promised_while_work_goes_on_so(front, desk) -> None:
    task = await waiting(front, desk)
    assert "promised_until" not in await open_now(front)
    await promise(front, task, papers=LISTED[::-1])
    one = await open_now(front)
    assert (one["next"], one["missing_papers"], one["promised_until"]) == (
        "complete", list(LISTED), day(20).isoformat(),
    )  # fmt: skip
    assert "paused_until" not in one
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.WAITING_FOR_RESIDENT)
    assert "promised_until" not in await open_now(front)
    await desk.step(task, TaskState.IN_PROGRESS)  # the papers came
    assert "promised_until" not in await open_now(front)


async def test_a_promise_is_sealed_in_no_event_and_a_code_shows_states_alone(front, desk) -> None:
    follow_code = uuid4().hex
    task = await waiting(front, desk, follow_code=follow_code)
    before = await desk.rows("SELECT coalesce(max(position), 0) FROM outbox")
    await promise(front, task, id=(command := str(uuid7())))
    rows = await desk.rows("SELECT detail FROM task_transition WHERE task_id = :id", id=task.task_id)
    assert not [row for row in rows if b"lease" in bytes(row.detail or b"")]
    (kept,) = await desk.rows("SELECT answer FROM command WHERE id = :id", id=command)
    assert kept.answer == {
        "ref": str(task.ref), "state": "in-progress", "version": 4, "business_status": None, "proposed": None,
    }  # fmt: skip
    ring = await desk.vault.ring([task.subject_id])
    sent = await desk.rows("SELECT type, body FROM outbox WHERE position > :after", after=before[0][0])
    (moved,) = [orjson.loads(row.body) for row in sent if row.type == "referral.task-transitioned.v1"]
    detail = ring.open(Sealed[TransitionDetail].model_validate_json(orjson.dumps(moved["detail"])), TransitionDetail)
    assert detail.model_dump(exclude_none=True) == {"department": "fire"}
    (followed,) = (await front.call("GET", f"/api/follow/{follow_code}")).body["requests"]
    assert followed == {"ref": str(task.follow_ref), "state": "in-progress"}


async def test_what_does_not_wait_for_its_resident_or_for_listed_papers_does_not_go_on_by_a_promise(
    front, desk
) -> None:
    task = await desk.opened("fire-check")
    assert code(await promise(front, task, 1)) == "resident-not-awaited"
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.NO_CAPACITY)
    other = await promise(front, task)
    assert (other.status, code(other)) == (409, "resident-not-awaited")
    await desk.step(task, TaskState.IN_PROGRESS)
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.WAITING_FOR_RESIDENT)
    nothing = await promise(front, task, 5)
    assert (nothing.status, code(nothing)) == (409, "nothing-listed")
    await listed(front, task, 5)
    assert (await promise(front, task, 5)).status == 200
    assert code(await promise(front, task, 6)) == "resident-not-awaited"


async def test_other_papers_a_day_that_is_over_or_far_a_stale_version_and_somebody_elses_are_refused(
    front, desk
) -> None:
    task = await waiting(front, desk)
    unlisted = await promise(front, task, papers=["lease-contract", "wage-record"])
    assert (unlisted.status, code(unlisted)) == (422, "paper-not-listed")
    assert unlisted.body["errors"][0]["pointer"].endswith("/papers")
    for wrong in (day(-1), day(61)):
        refused = await promise(front, task, until=wrong.isoformat())
        assert (refused.status, code(refused)) == (422, "day-refused")
        assert refused.body["errors"][0]["pointer"].endswith("/until")
    for broken in ({"papers": []}, {"papers": ["identity-card"]}, {"until": "soon"}, {"until": None}, {"note": "x"}):
        assert (await promise(front, task, **broken)).status == 422, broken
    assert (await promise(front, task, 2)).status == 412
    body = {"id": str(uuid7()), "papers": ["lease-contract"], "until": day(20).isoformat()}
    assert (await front.call("POST", f"{FIRE}/{task.ref}/promise", "officer", body)).status == 428
    for who, status in (("health", 403), ("reviewer", 403), ("resident", 403), (None, 401)):
        assert (await promise(front, task, who=who)).status == status, who
    give = (
        "INSERT INTO handler (task_id, member, person, given_by, given_at)"
        " VALUES (:id, :id, 'officer-8', 'officer-8', now()) RETURNING task_id"
    )
    await desk.rows(give, id=task.task_id)
    another = await promise(front, task)
    assert (another.status, code(another)) == (409, "handled-by-another")
    await desk.rows("DELETE FROM handler RETURNING task_id")
    standing = await desk.task(task.need_id)
    assert (standing.version, standing.state) == (3, "on-hold")
    assert standing.paused_until > desk.now


@pytest.mark.parametrize("ahead", [0, 60])
async def test_a_promise_is_until_a_day_from_today_on_and_at_most_sixty_days_ahead(front, desk, ahead) -> None:
    task = await waiting(front, desk)
    assert (await promise(front, task, until=day(ahead).isoformat())).status == 200


async def test_a_promise_that_is_not_kept_changes_nothing_by_itself_and_can_be_made_anew(front, desk) -> None:
    task = await waiting(front, desk)
    await promise(front, task)
    due = (await desk.task(task.need_id)).complete_by
    desk.now += timedelta(days=90)
    while await Announcing(desk.database, desk.vault).look(desk.now):
        pass
    left = await desk.task(task.need_id)
    assert (left.state, left.version, left.complete_by) == ("in-progress", 4, due)
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.WAITING_FOR_RESIDENT)
    assert (await desk.task(task.need_id)).complete_by == due  # paused once
    assert (await promise(front, task, 5, until=day(30).isoformat())).status == 200
    own, _ = await history(front, task)
    assert [one["promised"]["until"] for one in own if "promised" in one] == [
        day(20).isoformat(), day(30).isoformat(),
    ]  # fmt: skip
    assert (await open_now(front))["promised_until"] == day(30).isoformat()


async def test_of_two_promises_at_once_one_is_taken_and_no_other_part_goes_on_by_it(front, desk) -> None:
    task = await waiting(front, desk)
    work = await desk.add(task, "labour", "work-training")
    answers = await asyncio.gather(promise(front, task), promise(front, task, papers=LISTED))
    assert sorted(one.status for one in answers) == [200, 412]
    part = (await desk.parts(task.need_id))[2]
    assert (part.state, part.version, part.complete_by) == (work.state, work.version, work.complete_by)
    path = f"/api/departments/labour/requests/{work.ref}"
    other = await front.call("GET", path, "labour", doorstep_purpose="service")
    assert other.status == 200
    assert "promised" not in other.raw.decode()
