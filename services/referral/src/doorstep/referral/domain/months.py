"""Months of the station, on the calendar of the place, and from when on one does not change any more."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from doorstep.referral.domain.deadlines import NOT_SOLVED_WINDOW, SHANGHAI

SETTLED = NOT_SOLVED_WINDOW + timedelta(days=1)
"""So long after its end whatever is counted in a month has happened or has not: answers, ratings, "not solved"."""

MOST = 24
"""So many months are answered at once."""

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])", re.ASCII)


class MonthsRefused(ValueError):
    """What was asked for are no settled months; `where` is `from` or `to`, with why in both languages."""

    def __init__(self, where: str, zh: str, en: str) -> None:
        """Of the parameter `where`."""
        super().__init__(where)
        self.where, self.zh, self.en = where, zh, en


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of a year."""

    year: int
    number: int

    def __str__(self) -> str:
        """As ISO 8601 writes it."""
        return f"{self.year:04}-{self.number:02}"

    @property
    def next(self) -> "Month":
        """The month after it."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def begins(self) -> datetime:
        """Its first moment in Shanghai."""
        return datetime(self.year, self.number, 1, tzinfo=SHANGHAI)

    def settled(self, now: datetime) -> bool:
        """Whether nothing that is counted in it happens any more."""
        return now >= self.next.begins + SETTLED


def parse_month(where: str, text: str) -> Month:
    """The month that `text` names. Raises MonthsRefused."""
    found = _MONTH.fullmatch(text)
    if found is None:
        raise MonthsRefused(where, "月份写作 2026-01。", "A month is written as 2026-01.")
    return Month(int(found[1]), int(found[2]))


def months(first: Month, last: Month, now: datetime) -> tuple[Month, ...]:
    """The months from `first` to `last`, both included. Raises MonthsRefused."""
    if last < first:
        raise MonthsRefused("to", "结束月份早于开始月份。", "It ends before it begins.")
    if not last.settled(now):
        zh = f"只统计已满的月份：月末之后再过 {SETTLED.days} 天。"
        raise MonthsRefused("to", zh, f"A month is counted once it is complete, {SETTLED.days} days after its end.")
    found = tuple(_from(first, last))
    if len(found) > MOST:
        raise MonthsRefused("from", f"一次最多 {MOST} 个月。", f"At most {MOST} months at once.")
    return found


def _from(first: Month, last: Month) -> Iterator[Month]:
    while first <= last:
        yield first
        first = first.next
