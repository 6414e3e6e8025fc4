"""Refusals about complaints: a branch of the tree in `errors`.

Refusal
├── LookRefused
│   └── DecidedBefore
│       └── HadAPart          who had a part in the record does not answer for it
└── ComplaintRefused
    ├── ComplaintUnknown      there is none, or not for the caller
    ├── ComplaintAnswered     it has its answer
    └── TooManyComplaints     several about this request wait already
"""

from doorstep.referral.errors import DecidedBefore, Refusal


class HadAPart(DecidedBefore):
    """Whoever had a part in the record does not read or answer the complaint."""


class ComplaintRefused(Refusal):
    """A complaint is not dealt with like this."""


class ComplaintUnknown(ComplaintRefused):
    """There is no such complaint, or it names the caller."""


class ComplaintAnswered(ComplaintRefused):
    """The complaint has its answer."""


class TooManyComplaints(ComplaintRefused):
    """Several complaints about the handling of this request wait already."""
