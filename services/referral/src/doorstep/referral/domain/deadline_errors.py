"""Refusals about deadlines: a branch of the tree in `errors`.

Refusal
├── NothingToRoute
│   └── NotOverdue            the department that has it has time left to answer
└── DeadlineRefused
    ├── NobodyCalled          the duty desk was not called of this request
    ├── NobodyToRemind        no department has the request, or this part of it
    ├── RemindedToday         the department was reminded of it today
    ├── ResidentNotAwaited    the request does not wait for its resident
    ├── NoticeGiven           the missing papers were listed before
    ├── NothingListed         no papers were listed that could be promised
    ├── PaperNotListed        a paper is promised that was not listed
    └── DayRefused            papers are promised until a day that is over or far ahead
"""

from doorstep.referral.errors import NothingToRoute, Refusal


class NotOverdue(NothingToRoute):
    """The department has time left for its first response, or the request would stay with it."""


class DeadlineRefused(Refusal):
    """A deadline does not let this be done."""


class NobodyCalled(DeadlineRefused):
    """Nobody was called of this request."""


class NobodyToRemind(DeadlineRefused):
    """No department has the request to be reminded of it."""


class RemindedToday(DeadlineRefused):
    """The department was reminded of this request today."""


class ResidentNotAwaited(DeadlineRefused):
    """Papers are listed while the request is on hold for its resident."""


class NoticeGiven(DeadlineRefused):
    """All missing papers are listed at once; there is no second list."""


class NothingListed(DeadlineRefused):
    """Missing papers are listed before they are promised."""


class PaperNotListed(DeadlineRefused):
    """Only papers that were listed are promised."""


class DayRefused(DeadlineRefused):
    """Papers are promised until a day from today on that is not too far ahead."""
