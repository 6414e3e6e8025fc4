"""Following and rating: a code shows states, a rating counts once, and "not solved" opens a linked request."""

from datetime import timedelta
from uuid import uuid4

import pytest

from doorstep.contracts.codes import Outcome, Reason, TaskState
from doorstep.referral.errors import (
    NothingToRoute,
    NotRatable,
    RatedAlready,
    RequestUnknown,
    WindowClosed,
)
from doorstep.referral.operations import following
from doorstep.referral.operations.ratings import rate_request


def code() -> str:
    """A follow code of its own."""
    return uuid4().hex


async def follow(desk, follow_code: str) -> list:
    """What the code shows: references and states."""
    async with desk.database.transaction() as session:
        index = desk.vault.follow_index(follow_code)
        found = await following.follow(session, vault=desk.vault, follow_index=index, now=desk.now)
    return [(one.row.ref, one.row.state) for one in found]


async def rate(desk, follow_code: str, ref, *, solved: bool = True, stars: int = 5):
    """Rate by the code."""
    async with desk.database.transaction() as session:
        index = desk.vault.follow_index(follow_code)
        return await rate_request(
            session, vault=desk.vault, follow_index=index, ref=ref, solved=solved, stars=stars, now=desk.now
        )


async def complete(desk, task) -> None:
    """The department does its work."""
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)


async def test_a_code_shows_its_own_requests_by_state_alone(desk) -> None:
    mine, other = code(), code()
    task = await desk.opened("health-advice", follow_code=mine)
    await desk.opened("health-advice", follow_code=other)
    assert await follow(desk, mine) == [(task.follow_ref, TaskState.REQUESTED)]
    await desk.step(task, TaskState.ACCEPTED)
    assert await follow(desk, mine) == [(task.follow_ref, TaskState.ACCEPTED)]
    assert task.follow_ref not in {task.ref, task.request_id, task.task_id}
    assert (await desk.logged(task.subject_id))[-1]["action"] == "follow-request"


async def test_what_is_confidential_is_never_listed_nor_rated(desk) -> None:
    mine = code()
    task = await desk.opened("legal-aid", follow_code=mine)
    await complete(desk, task)
    assert await follow(desk, mine) == []
    with pytest.raises(RequestUnknown):
        await rate(desk, mine, task.follow_ref)


async def test_an_unknown_code_shows_nothing_and_is_kept_nowhere(desk) -> None:
    assert await follow(desk, "no-such-code") == []


async def test_a_request_is_rated_once(desk) -> None:
    mine = code()
    task = await desk.opened("health-advice", follow_code=mine)
    with pytest.raises(NotRatable):
        await rate(desk, mine, task.follow_ref)
    await complete(desk, task)
    rated = await rate(desk, mine, task.follow_ref, stars=4)
    assert not rated.reopened
    with pytest.raises(RatedAlready):
        await rate(desk, mine, task.follow_ref)
    event = (await desk.published("referral.tasks", task.subject_id))[-1]
    assert event["type"] == "referral.request-rated.v1"
    assert "stars" not in str(event)


async def test_somebody_elses_code_rates_nothing(desk) -> None:
    task = await desk.opened("health-advice", follow_code=code())
    await complete(desk, task)
    with pytest.raises(RequestUnknown):
        await rate(desk, code(), task.follow_ref)


async def test_not_solved_opens_a_linked_request_at_the_same_department(desk) -> None:
    mine = code()
    task = await desk.opened("health-advice", follow_code=mine)
    await complete(desk, task)
    desk.now += timedelta(days=7)
    assert (await rate(desk, mine, task.follow_ref, solved=False, stars=1)).reopened
    linked = await desk.task(task.need_id)
    assert linked.continues == task.request_id
    assert (linked.department, linked.state, linked.business_status) == ("health", "requested", "reopened")
    assert [state for _, state in await follow(desk, mine)] == ["completed", "requested"]
    opened = (await desk.published("referral.tasks", task.subject_id))[-1]
    assert opened["continues"] == str(task.request_id)
    assert (await desk.published("feed.health", task.subject_id))[-1]["key"] == linked.ref


async def test_not_solved_comes_too_late_after_seven_days(desk) -> None:
    mine = code()
    task = await desk.opened("health-advice", follow_code=mine)
    await complete(desk, task)
    desk.now += timedelta(days=7, seconds=1)
    with pytest.raises(WindowClosed):
        await rate(desk, mine, task.follow_ref, solved=False, stars=1)
    assert not (await rate(desk, mine, task.follow_ref, solved=True)).reopened


async def test_not_solved_after_a_rejection_waits_for_the_stations_word(desk) -> None:
    mine = code()
    task = await desk.opened("health-advice", follow_code=mine)
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    desk.now += timedelta(hours=1)
    assert (await rate(desk, mine, task.follow_ref, solved=False, stars=1)).reopened
    linked = await desk.task(task.need_id)
    assert (linked.state, linked.department) == ("draft", None)
    with pytest.raises(NothingToRoute):
        await desk.hand_on(task, "civil-affairs", version=2)
    await desk.hand_on(linked, "civil-affairs", version=1)
    assert (await desk.task(task.need_id)).state == "requested"
