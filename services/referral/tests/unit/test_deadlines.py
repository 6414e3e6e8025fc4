"""Due times: clock hours for the first response, working days for the completion."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import TaskState
from doorstep.referral.domain.deadlines import (
    NOT_SOLVED_WINDOW,
    SHANGHAI,
    DueTimes,
    Late,
    due_times,
    end_of_working_day,
    is_overdue,
    late,
    may_say_not_solved,
)
from doorstep.referral.domain.states import FINAL

MONDAY = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
FRIDAY_NIGHT = datetime(2026, 3, 6, 15, 30, tzinfo=UTC)  # 23:30 in Shanghai
SATURDAY_THERE = datetime(2026, 3, 6, 16, 30, tzinfo=UTC)  # 00:30 in Shanghai


def test_the_first_response_runs_through_nights_and_weekends() -> None:
    assert due_times(FRIDAY_NIGHT, 24, 5).response == FRIDAY_NIGHT + timedelta(hours=24)
    assert due_times(FRIDAY_NIGHT, 1, 5).response == FRIDAY_NIGHT + timedelta(hours=1)


def test_completion_skips_weekends_and_says_that_it_is_provisional() -> None:
    due = due_times(MONDAY, 24, 5)
    assert due.completion.astimezone(SHANGHAI) == datetime(2026, 3, 10, tzinfo=SHANGHAI)
    assert due.provisional


def test_the_day_is_that_of_the_place() -> None:
    tuesday = datetime(2026, 3, 10, tzinfo=SHANGHAI)
    assert end_of_working_day(FRIDAY_NIGHT, 1) == tuesday
    assert end_of_working_day(SATURDAY_THERE, 1) == tuesday


@given(st.integers(0, 7000 * 86400), st.integers(1, 60))
def test_more_days_are_never_sooner_and_never_end_on_a_weekend(seconds: int, days: int) -> None:
    start = MONDAY + timedelta(seconds=seconds)
    end = end_of_working_day(start, days)
    assert end < end_of_working_day(start, days + 1)
    assert (end.astimezone(SHANGHAI) - timedelta(seconds=1)).weekday() < 5


DUE = DueTimes(response=MONDAY + timedelta(hours=10), completion=MONDAY + timedelta(hours=100))


def test_what_is_due_depends_on_the_state() -> None:
    now = MONDAY + timedelta(hours=11)
    assert is_overdue(TaskState.REQUESTED, DUE, now)
    assert not is_overdue(TaskState.ACCEPTED, DUE, now)
    assert is_overdue(TaskState.ON_HOLD, DUE, MONDAY + timedelta(hours=101))


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_is_owed_in_a_final_state(state: TaskState) -> None:
    assert not is_overdue(state, DUE, MONDAY + timedelta(days=365))
    assert late(state, MONDAY, DUE, MONDAY + timedelta(days=365)) is Late.NOBODY


@pytest.mark.parametrize(
    ("hours", "who"),
    [
        (7.9, Late.NOBODY),
        (8, Late.OFFICER),
        (10, Late.HEAD_OF_OFFICE),
        (14.9, Late.HEAD_OF_OFFICE),
        (15, Late.SUPERVISOR),
    ],
)
def test_a_delay_climbs(hours: float, who: Late) -> None:
    assert late(TaskState.REQUESTED, MONDAY, DUE, MONDAY + timedelta(hours=hours)) is who


def test_not_solved_is_heard_for_seven_days_from_closing() -> None:
    assert may_say_not_solved(MONDAY, MONDAY + NOT_SOLVED_WINDOW)
    assert not may_say_not_solved(MONDAY, MONDAY + NOT_SOLVED_WINDOW + timedelta(microseconds=1))
    assert timedelta(days=7) == NOT_SOLVED_WINDOW
