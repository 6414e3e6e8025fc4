"""What is announced follows from stored times and what was announced before, however clocks jump."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import Deadline, DueStep, TaskState
from doorstep.referral.domain.announcements import STEPS, Watched, announced_at, look, owed
from doorstep.referral.domain.deadlines import DueTimes, Late, late
from doorstep.referral.domain.states import OPEN

OPENED = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DUE = DueTimes(OPENED + timedelta(hours=24), OPENED + timedelta(days=10), provisional=False)
MOMENTS = st.integers(0, 40 * 24 * 60).map(lambda minutes: OPENED + timedelta(minutes=minutes))


def watched(
    state: TaskState = TaskState.REQUESTED, due: DueTimes = DUE, paused_until: datetime | None = None
) -> Watched:
    return Watched(state, OPENED, due, paused_until)


def said(found) -> list[tuple[Deadline, DueStep]]:
    return [(one.deadline, one.step) for one in found.announced]


def test_each_step_is_told_at_its_share_of_the_time() -> None:
    for hours, expected in ((19.1, []), (19.2, ["officer"]), (24, ["officer", "head-of-office"]),
                            (36, ["officer", "head-of-office", "supervisor"])):  # fmt: skip
        found = look(watched(), (), OPENED + timedelta(hours=hours))
        assert said(found) == [(Deadline.RESPONSE, step) for step in expected]
    assert look(watched(), (), OPENED).again_at == OPENED + timedelta(hours=19.2)


def test_what_is_announced_agrees_with_the_lateness_that_is_computed() -> None:
    for share in (0.79, 0.8, 0.99, 1.0, 1.49, 1.5, 9.0):
        now = OPENED + timedelta(hours=24) * share
        steps = [step for deadline, step in said(look(watched(), (), now)) if deadline is Deadline.RESPONSE]
        told = late(TaskState.REQUESTED, OPENED, DUE, now)
        assert str(told) == (steps[-1] if steps else Late.NOBODY)


def test_after_an_outage_all_that_was_missed_is_announced_in_order_and_late() -> None:
    now = OPENED + timedelta(days=30)
    found = look(watched(), (), now)
    assert [one.at for one in found.announced] == sorted(one.at for one in found.announced)
    assert len(found.announced) == 6
    assert all(one.is_late(now) for one in found.announced)
    assert found.newest.step is DueStep.SUPERVISOR
    assert found.again_at is None
    prompt = look(watched(), (), OPENED + timedelta(hours=19.2, seconds=30))
    assert not prompt.announced[0].is_late(OPENED + timedelta(hours=19.2, seconds=30))


@given(looks=st.lists(MOMENTS, max_size=12), state=st.sampled_from(sorted(OPEN)))
def test_whatever_the_clock_each_step_is_announced_once_and_none_is_left_out(looks, state) -> None:
    told: list = []
    for now in looks:
        found = look(watched(state), told, now)
        assert not {one.told for one in found.announced} & set(told)
        assert found.again_at is None or found.again_at > now
        told += [one.told for one in found.announced]
    last = max(looks, default=OPENED)
    due = {
        (deadline, step, by)
        for deadline, by in owed(watched(state)) for step, share in STEPS if announced_at(OPENED, by, share) <= last
    }  # fmt: skip
    assert len(told) == len(set(told))
    assert set(told) == due


def test_while_its_completion_is_paused_nothing_of_that_is_announced() -> None:
    until = OPENED + timedelta(days=20)
    resting = watched(TaskState.ON_HOLD, paused_until=until)
    found = look(resting, (), OPENED + timedelta(days=19))
    assert (found.announced, found.again_at) == ((), until)
    assert said(look(resting, (), until)) == [(Deadline.COMPLETION, step) for step, _ in STEPS]


def test_a_due_time_that_moved_is_announced_anew() -> None:
    now = OPENED + timedelta(days=9)
    first = look(watched(TaskState.ACCEPTED), (), now)
    moved = DueTimes(DUE.response, DUE.completion + timedelta(days=4), provisional=False)
    told = [one.told for one in first.announced]
    assert said(look(watched(TaskState.ACCEPTED, moved), told, now)) == []
    again = look(watched(TaskState.ACCEPTED, moved), told, OPENED + timedelta(days=12))
    assert said(again) == [(Deadline.COMPLETION, DueStep.OFFICER)]


@pytest.mark.parametrize("state", sorted(frozenset(TaskState) - OPEN - {TaskState.REJECTED}))
def test_what_is_closed_owes_nothing(state) -> None:
    assert look(watched(state), (), OPENED + timedelta(days=99)).announced == ()


def test_what_came_back_still_owes_its_completion() -> None:
    found = look(watched(TaskState.REJECTED), (), OPENED + timedelta(days=8))
    assert said(found) == [(Deadline.COMPLETION, DueStep.OFFICER)]


def test_the_duty_desk_is_told_of_what_has_an_hour_and_no_answer() -> None:
    hour = DueTimes(OPENED + timedelta(hours=1), DUE.completion, provisional=False)
    assert watched(due=hour).urgent
    assert watched(TaskState.DRAFT, hour).urgent
    assert not watched(TaskState.ACCEPTED, hour).urgent
    assert not watched().urgent
