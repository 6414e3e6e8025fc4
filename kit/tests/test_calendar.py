"""Working days are those that were published for the year."""

from datetime import date, timedelta

import pytest

from doorstep.kit.calendar import worked


@pytest.mark.parametrize(
    ("day", "work"),
    [
        ("2025-01-26", True),  # a Sunday, shifted for the Spring Festival
        ("2025-01-28", False),
        ("2025-10-08", False),
        ("2025-10-11", True),  # a Saturday, shifted
        ("2026-02-14", True),
        ("2026-02-23", False),
        ("2026-02-24", True),
        ("2026-02-28", True),
        ("2026-10-10", True),
        ("2026-11-21", False),
        ("2026-11-23", True),
    ],
)
def test_holidays_are_off_and_shifted_days_are_worked(day: str, *, work: bool) -> None:
    assert worked(date.fromisoformat(day)) is work


@pytest.mark.parametrize("year", range(2018, 2027))
def test_a_published_year_has_the_days_of_work_that_it_always_has(year: int) -> None:
    """Seven to eleven statutory holidays fall on weekdays or are made up for, and each shift moves a day, adds none."""
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
    assert 248 <= sum(worked(day) for day in days) <= 252


def test_of_a_year_to_come_nothing_is_known() -> None:
    assert worked(date(2099, 1, 1)) is None
