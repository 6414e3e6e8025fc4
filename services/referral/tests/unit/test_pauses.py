"""A pause moves a completion by the working days that pass in it, and never into a day without work."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from doorstep.kit.calendar import worked
from doorstep.referral.domain.deadlines import SHANGHAI, due_times
from doorstep.referral.domain.pauses import LONGEST, extended, working_days

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=SHANGHAI)


def end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(days=1)


def test_a_pause_of_two_working_days_moves_the_completion_by_two() -> None:
    friday = end_of(date(2026, 3, 6))
    assert extended(friday, MONDAY, MONDAY + timedelta(days=2), worked) == end_of(date(2026, 3, 10))
    assert extended(friday, MONDAY, MONDAY + timedelta(hours=8), worked) == friday


def test_a_pause_over_national_day_counts_the_shifted_days() -> None:
    """The 1st to the 7th of October 2026 are holidays, the 10th, a Saturday, is worked."""
    before = datetime(2026, 9, 30, 9, 0, tzinfo=SHANGHAI)
    assert working_days(before.date(), date(2026, 10, 7), worked) == 0
    assert working_days(before.date(), date(2026, 10, 10), worked) == 3
    assert extended(end_of(date(2026, 9, 30)), before, before + timedelta(days=10), worked) == end_of(
        date(2026, 10, 10)
    )


@given(hours=st.integers(0, 24 * 15), days=st.integers(1, 30), after=st.integers(0, 24 * 20))
def test_a_longer_pause_is_never_due_earlier_and_the_longest_is_the_last(hours, days, after) -> None:
    opened = MONDAY.astimezone(UTC)
    due = due_times(opened, 24, days, worked).completion
    since = opened + timedelta(hours=after)
    taken = extended(due, since, since + timedelta(hours=hours), worked)
    assert due <= taken <= extended(due, since, since + LONGEST, worked)
    last = taken.astimezone(SHANGHAI) - timedelta(seconds=1)
    assert worked(last.date())
    assert taken.astimezone(SHANGHAI).hour == 0
