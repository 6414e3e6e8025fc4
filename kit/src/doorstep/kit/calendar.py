"""Working days as published for the year: public holidays are none, shifted days (调休) are, on whatever weekday."""

from datetime import date, timedelta, timezone
from functools import cache

from holidays.countries.china import China

SHANGHAI = timezone(timedelta(hours=8))
"""Days are those of the place, not those of the wire."""
_SATURDAY = 5


@cache
def _year(year: int) -> China:
    return China(years=year, expand=False)  # type: ignore[no-untyped-call]


def is_published(year: int) -> bool:
    """Whether the calendar of this year is known: every one since 2007 has shifted some days."""
    return any(day.year == year for day in _year(year).weekend_workdays)


def is_working_day(day: date) -> bool:
    """Whether there is work on this day; in a year that is not published yet, whether it is no weekend."""
    if not is_published(day.year):
        return day.weekday() < _SATURDAY
    return _year(day.year).is_working_day(day)
