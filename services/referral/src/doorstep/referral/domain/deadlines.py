"""When a task is due, and whether it is late: computed from stored times, never fired."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from enum import StrEnum
from functools import lru_cache

from doorstep.contracts.codes import TaskState

Worked = Callable[[date], bool | None]
"""Whether there is work on a day, by the published calendar; None in a year for which there is none yet."""

#: Working days are counted on the calendar of the place, not on that of the wire.
SHANGHAI = timezone(timedelta(hours=8))

#: "Not solved" can be said for so long after closing; a comment does not restart it.
NOT_SOLVED_WINDOW = timedelta(days=7)

_SATURDAY = 5


class Late(StrEnum):
    """Who is to be told: at 80% of the time, at all of it, at half as much again."""

    NOBODY = "nobody"
    OFFICER = "officer"
    HEAD_OF_OFFICE = "head-of-office"
    SUPERVISOR = "supervisor"


@dataclass(frozen=True, slots=True)
class DueTimes:
    """When the first response and the completion are due (UTC).

    `provisional`: the completion counts days of a year whose calendar is not published yet, all but weekends.
    """

    response: datetime
    completion: datetime
    provisional: bool


def whole_minute(moment: datetime) -> datetime:
    """`moment` as departments see it: to the microsecond it would tell two of them that they serve one record."""
    return moment.replace(second=0, microsecond=0)


def due_times(opened_at: datetime, response_hours: float, completion_working_days: int, worked: Worked) -> DueTimes:
    """Due times of a task: the first response in clock hours, the completion in working days after the opening.

    It is due at the end (24:00 in Shanghai) of its last working day.
    """
    last = last_working_day(opened_at.astimezone(SHANGHAI).date(), completion_working_days, worked)
    end = datetime.combine(last + timedelta(days=1), time(), SHANGHAI)
    return DueTimes(
        response=opened_at + timedelta(hours=response_hours),
        completion=end.astimezone(opened_at.tzinfo),
        provisional=worked(last) is None,
    )


@lru_cache(maxsize=4096)
def last_working_day(start: date, count: int, worked: Worked) -> date:
    """The last of `count` working days (1 or more) after the day `start`; all but weekends, where nothing is known."""
    day, left = start, count
    while left:
        day += timedelta(days=1)
        known = worked(day)
        left -= day.weekday() < _SATURDAY if known is None else known
    return day


def due_now(state: TaskState, due: DueTimes) -> datetime | None:
    """The due time that counts in this state, or None when nothing is owed any more."""
    if state in {TaskState.DRAFT, TaskState.REQUESTED}:
        return due.response
    if state in {TaskState.ACCEPTED, TaskState.IN_PROGRESS, TaskState.ON_HOLD}:
        return due.completion
    return None


def is_overdue(state: TaskState, due: DueTimes, now: datetime) -> bool:
    """Whether what this state owes is late."""
    moment = due_now(state, due)
    return moment is not None and now > moment


def late(state: TaskState, opened_at: datetime, due: DueTimes, now: datetime) -> Late:
    """How far a delay has climbed, as a share of the time there was."""
    moment = due_now(state, due)
    if moment is None:
        return Late.NOBODY
    share = (now - opened_at) / max(moment - opened_at, timedelta(seconds=1))
    if share >= 1.5:
        return Late.SUPERVISOR
    if share >= 1.0:
        return Late.HEAD_OF_OFFICE
    return Late.OFFICER if share >= 0.8 else Late.NOBODY


def may_say_not_solved(closed_at: datetime, now: datetime) -> bool:
    """Whether the window for "not solved" is open still."""
    return now <= closed_at + NOT_SOLVED_WINDOW
