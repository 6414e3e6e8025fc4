"""Working days as published for the year: public holidays are none, shifted days (调休) are, on whatever weekday."""

from datetime import date
from functools import cache

from holidays.countries.china import China


@cache
def _year(year: int) -> China | None:
    """The calendar of a year; None if it is not published yet, for every one since 2007 shifted some days."""
    found = China(years=year, expand=False)  # type: ignore[no-untyped-call]
    return found if any(day.year == year for day in found.weekend_workdays) else None


def worked(day: date) -> bool | None:
    """Whether there is work on this day; None when the calendar of its year is not published yet."""
    year = _year(day.year)
    return None if year is None else year.is_working_day(day)
