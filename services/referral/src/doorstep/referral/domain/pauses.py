"""When a completion is paused: once, while its resident is waited for, for fifteen days at most.

Invariant: the due time that is stored is right whatever happens next. A pause that begins moves it as if all fifteen
days were taken; one that ends before moves it back to what was taken. So the clock runs again after fifteen days though
nobody does anything, and whoever computes lateness need not know of pauses.
"""

from datetime import date, datetime, time, timedelta

from doorstep.referral.domain.deadlines import SHANGHAI, Worked, last_working_day

LONGEST = timedelta(days=15)


def extended(completion: datetime, since: datetime, until: datetime, worked: Worked) -> datetime:
    """`completion`, the end of a working day, after a pause: later by as many working days as have passed in it.

    As for due times, the day on which it begins does not count, and the day on which it ends does.
    """
    days = working_days(since.astimezone(SHANGHAI).date(), until.astimezone(SHANGHAI).date(), worked)
    if not days:
        return completion
    last = (completion.astimezone(SHANGHAI) - timedelta(microseconds=1)).date()
    moved = last_working_day(last, days, worked)
    return datetime.combine(moved + timedelta(days=1), time(), SHANGHAI).astimezone(completion.tzinfo)


def working_days(after: date, until: date, worked: Worked) -> int:
    """How many working days come after one day, up to another and with it; all but weekends where nothing is known."""
    days = (after + timedelta(days=one) for one in range(1, (until - after).days + 1))
    return sum(day.weekday() < 5 if (known := worked(day)) is None else known for day in days)
