"""Due times: clock hours for the first response, working days for the completion."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import TaskState
from doorstep.kit.calendar import worked
from doorstep.referral.domain.deadlines import (
    NOT_SOLVED_WINDOW,
    SHANGHAI,
    DueTimes,
    Late,
    due_times,
    is_overdue,
    late,
    may_say_not_solved,
)
from doorstep.referral.domain.states import FINAL

MONDAY = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
FRIDAY_NIGHT = datetime(2026, 3, 6, 15, 30, tzinfo=UTC)  # 23:30 in Shanghai
SATURDAY_THERE = datetime(2026, 3, 6, 16, 30, tzinfo=UTC)  # 00:30 in Shanghai


def test_the_first_response_runs_through_nights_and_weekends() -> None:
    assert due_times(FRIDAY_NIGHT, 24, 5, worked).response == FRIDAY_NIGHT + timedelta(hours=24)
    assert due_times(FRIDAY_NIGHT, 1, 5, worked).response == FRIDAY_NIGHT + timedelta(hours=1)


def end(start: datetime, days: int) -> datetime:
    """When a completion is due, on the clock of the place."""
    return due_times(start, 24, days, worked).completion.astimezone(SHANGHAI)


def test_completion_counts_working_days_and_ends_with_the_last() -> None:
    assert end(MONDAY, 5) == datetime(2026, 3, 10, tzinfo=SHANGHAI)
    assert not due_times(MONDAY, 24, 5, worked).provisional


def test_the_day_is_that_of_the_place() -> None:
    tuesday = datetime(2026, 3, 10, tzinfo=SHANGHAI)
    assert end(FRIDAY_NIGHT, 1) == tuesday
    assert end(SATURDAY_THERE, 1) == tuesday


def test_holidays_are_left_out_and_shifted_days_are_counted() -> None:
    """1 to 7 October 2026 are off, Sunday 20 September and Saturday 10 October are worked."""
    assert end(datetime(2026, 9, 30, 1, 0, tzinfo=UTC), 1) == datetime(2026, 10, 9, tzinfo=SHANGHAI)
    assert end(datetime(2026, 9, 30, 1, 0, tzinfo=UTC), 3) == datetime(2026, 10, 11, tzinfo=SHANGHAI)
    assert end(datetime(2026, 9, 18, 1, 0, tzinfo=UTC), 1) == datetime(2026, 9, 21, tzinfo=SHANGHAI)


def test_a_year_that_is_not_published_counts_all_but_weekends_and_says_so() -> None:
    due = due_times(datetime(2098, 12, 30, 1, 0, tzinfo=UTC), 24, 3, worked)
    assert due.completion.astimezone(SHANGHAI) == datetime(2099, 1, 3, tzinfo=SHANGHAI)
    assert due.provisional


@given(st.integers(0, 7000 * 86400), st.integers(1, 60))
def test_more_days_are_never_sooner_and_always_end_with_a_working_day(seconds: int, days: int) -> None:
    start = MONDAY + timedelta(seconds=seconds)
    assert end(start, days) < end(start, days + 1)
    last = (end(start, days) - timedelta(seconds=1)).date()
    assert worked(last) or (worked(last) is None and last.weekday() < 5)


DUE = DueTimes(response=MONDAY + timedelta(hours=10), completion=MONDAY + timedelta(hours=100), provisional=False)


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
