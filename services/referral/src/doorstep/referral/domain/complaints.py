"""Complaints (投诉): what somebody says of how they were treated, how it is answered, and until when.

Invariants: it is a right and no fact: nothing here is read by whatever else is decided; it is owed in fifteen working
days of the published calendar, counted when it is read; late, it stays owed.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from doorstep.contracts.envelope import Contract
from doorstep.referral.domain.deadlines import Worked, due_times

ANSWER_DAYS = 15
"""Working days in which a complaint has its answer."""
MOST_OPEN = 3
"""So many complaints about the handling of one request wait at once."""


class About(StrEnum):
    """Whom a complaint is about: the station, or the department that had the request."""

    STATION = "station"
    DEPARTMENT = "department"


class Treatment(StrEnum):
    """What somebody says was done to them."""

    NOT_ANSWERED = "not-answered"
    SENT_ELSEWHERE = "sent-elsewhere"
    RUDE = "rude"
    ASKED_FOR_MONEY = "asked-for-money"
    ASKED_FOR_PAPERS_AGAIN = "asked-for-papers-again"
    TOLD_TO_OTHERS = "told-to-others"
    TREATED_UNFAIRLY = "treated-unfairly"


class ComplaintFinding(StrEnum):
    """What the human found who answers."""

    UPHELD = "upheld"
    PARTLY_UPHELD = "partly-upheld"
    NOT_UPHELD = "not-upheld"
    NOT_ESTABLISHED = "not-established"


class Complaint(Contract):
    """`complaint.content`: what was said, in codes and, if wished, in words."""

    about: About
    treatment: Annotated[tuple[Treatment, ...], Field(min_length=1)]
    text: str | None = None


class ComplaintAnswer(Contract):
    """`complaint.answer`: what was found, with words if there are any."""

    finding: ComplaintFinding
    text: str | None = None


def answer_by(made_at: datetime, worked: Worked) -> datetime:
    """Until when a complaint is answered; of a year whose calendar is not published yet all but weekends counts."""
    return due_times(made_at, 0, ANSWER_DAYS, worked).completion
