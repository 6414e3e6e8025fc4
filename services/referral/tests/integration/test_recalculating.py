"""What was counted before the calendar of a year was published is counted anew, told, and done once."""

from datetime import UTC, datetime, timedelta

import pytest

from doorstep.contracts.codes import Outcome, TaskState
from doorstep.contracts.topics import feed_topic
from doorstep.kit.calendar import worked
from doorstep.referral.domain.deadlines import SHANGHAI, due_times
from doorstep.referral.operations import recalculating
from doorstep.referral.operations.recalculating import Recalculation

BEFORE_NATIONAL_DAY = datetime(2026, 9, 30, 1, 0, tzinfo=UTC)
UNPUBLISHED = datetime(2098, 12, 1, 1, 0, tzinfo=UTC)
WEEKENDS_ALONE = datetime(2026, 10, 3, tzinfo=SHANGHAI)
"""Two working days after the 30th of September by weekends alone."""


@pytest.fixture
def desk(desk):
    desk.now = BEFORE_NATIONAL_DAY
    return desk


async def counted_before(desk, *tasks) -> None:
    """Have the completions of `tasks` be as the version before would have counted them."""
    async with desk.database.transaction() as session:
        await recalculating.run(
            session,
            "UPDATE task SET complete_by = :by, provisional = true WHERE task_id = ANY(CAST(:ids AS uuid[]))",
            {"by": WEEKENDS_ALONE, "ids": [task.task_id for task in tasks]},
        )


async def look(desk) -> int:
    """Look as a worker does when it starts."""
    recalculation, seen, changed = Recalculation(desk.database, desk.vault), None, 0
    while True:
        seen, more = await recalculation.look(seen)
        changed += more
        if seen is None:
            return changed


async def test_a_provisional_completion_is_counted_anew_in_task_offer_and_log(desk) -> None:
    task = await desk.opened("structure-danger")
    right = task.complete_by
    assert right == datetime(2026, 10, 11, tzinfo=SHANGHAI)
    await counted_before(desk, task)
    assert await look(desk) == 1
    after = await desk.task(task.need_id)
    assert (after.complete_by, after.provisional, after.version) == (right, False, task.version)
    [offer] = await desk.published(feed_topic("housing"), task.subject_id)
    assert datetime.fromisoformat(offer["offer"]["complete_by"]) == right
    assert [entry["action"] for entry in await desk.logged(task.subject_id)] == ["open-request", "recalculate-due"]
    assert await look(desk) == 0
    assert len(await desk.logged(task.subject_id)) == 2


async def test_a_date_that_was_right_is_only_certain_now(desk) -> None:
    task = await desk.opened("structure-danger")
    async with desk.database.transaction() as session:
        await recalculating.run(session, "UPDATE task SET provisional = true WHERE task_id = :id", {"id": task.task_id})
    assert await look(desk) == 1
    assert not (await desk.task(task.need_id)).provisional
    assert [entry["action"] for entry in await desk.logged(task.subject_id)] == ["open-request"]


async def test_what_is_closed_erased_or_not_published_yet_stays(desk) -> None:
    closed, erased = [await desk.opened("structure-danger") for _ in range(2)]
    await desk.step(closed, TaskState.ACCEPTED)
    await desk.step(closed, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
    desk.now = UNPUBLISHED
    unpublished = await desk.opened("mediation")
    assert unpublished.provisional
    assert unpublished.complete_by == due_times(UNPUBLISHED, 24, 30, worked).completion
    await counted_before(desk, closed, erased)
    await desk.vault.destroy(erased.subject_id)
    assert await look(desk) == 0
    for task in (closed, erased):
        assert (await desk.task(task.need_id)).complete_by == WEEKENDS_ALONE
    assert (await desk.task(unpublished.need_id)).provisional


async def test_a_handed_on_request_is_counted_from_its_own_opening(desk) -> None:
    task = await desk.opened("structure-danger")
    await desk.step(task, TaskState.REJECTED, reason="not-ours")
    desk.now = datetime(2026, 10, 12, 1, 0, tzinfo=UTC)
    await desk.hand_on(task, "fire")
    handed = await desk.task(task.need_id)
    await counted_before(desk, handed)
    assert await look(desk) == 1
    assert (await desk.task(task.need_id)).complete_by == task.complete_by


async def test_what_was_rejected_is_handed_on_with_the_completion_that_is_published(desk) -> None:
    task = await desk.opened("structure-danger")
    await counted_before(desk, task)
    await desk.step(task, TaskState.REJECTED, reason="not-ours")
    assert await look(desk) == 1
    await desk.hand_on(task, "fire")
    handed = await desk.task(task.need_id)
    assert (handed.complete_by, handed.provisional) == (task.complete_by, False)


async def test_it_goes_on_where_it_was_broken_off(desk, monkeypatch) -> None:
    monkeypatch.setattr(recalculating, "_BATCH", 2)
    tasks = [await desk.opened("structure-danger") for _ in range(5)]
    await counted_before(desk, *tasks)
    recalculation = Recalculation(desk.database, desk.vault)
    _, changed = await recalculation.look(None)  # and here the process died
    assert changed < 5
    assert changed + await look(desk) == 5
    for task in tasks:
        assert (await desk.task(task.need_id)).complete_by == task.complete_by
        assert len(await desk.logged(task.subject_id)) == 2


async def test_a_completion_that_was_paused_is_counted_anew_with_its_pause(desk) -> None:
    task = await desk.opened("structure-danger")
    since = task.opened_at + timedelta(hours=1)
    async with desk.database.transaction() as session:
        await recalculating.run(
            session,
            "UPDATE task SET provisional = true, complete_by = :by, complete_by_unpaused = :by, paused_at = :since,"
            " paused_until = :until WHERE task_id = :id",
            {"by": WEEKENDS_ALONE, "since": since, "until": since + timedelta(days=10), "id": task.task_id},
        )
    assert await look(desk) == 1
    after = await desk.task(task.need_id)
    assert after.complete_by_unpaused == task.complete_by
    assert after.complete_by == datetime(2026, 10, 15, tzinfo=SHANGHAI)  # three worked days passed in the pause
