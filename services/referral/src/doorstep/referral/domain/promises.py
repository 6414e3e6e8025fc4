"""Promises: a department goes on before missing papers are there, because its resident promises to bring them.

A promise is said by the step with which work goes on, and kept in the task's history. One that is not kept has no
consequence of its own: whatever follows is a step that a human takes.
"""

from collections.abc import Collection
from datetime import date, datetime, timedelta

from doorstep.contracts.codes import Coded
from doorstep.contracts.envelope import Contract
from doorstep.contracts.papers import Paper
from doorstep.referral.domain.deadline_errors import DayRefused, NothingListed, PaperNotListed
from doorstep.referral.domain.deadlines import SHANGHAI

FURTHEST = timedelta(days=60)


class Promised(Contract):
    """Papers that the resident promised to bring, and the day of the place until whose end."""

    papers: tuple[Coded[Paper], ...]
    until: date


def promise(papers: Collection[Paper], until: date, *, listed: Collection[str], now: datetime) -> Promised:
    """The promise of some or all papers that were `listed`, until a day from today on, at most 60 days ahead.

    Raises NothingListed, PaperNotListed or DayRefused.
    """
    if not listed:
        raise NothingListed
    if not set(papers) <= set(listed):
        raise PaperNotListed
    today = now.astimezone(SHANGHAI).date()
    if not today <= until <= today + FURTHEST:
        raise DayRefused(days=FURTHEST.days)
    return Promised(papers=tuple(sorted(set(papers))), until=until)
