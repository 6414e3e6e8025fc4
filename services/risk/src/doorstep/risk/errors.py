"""Failures of triage in the words of the domain.

TriageFailure
├── InvalidPack           the rule pack is malformed, or reads what the catalogues do not hold
├── RuleFailed            a rule has no answer although every fact that it reads is there
├── RecordNotAssessed     no assessment of that record, at least not yet
└── DecisionRefused
    ├── NeedUnknown       no such need
    ├── OwnRecord         who recorded does not review
    ├── NeedWanted        asked for, and handed on without a decision
    └── DecidedAlready    somebody decided otherwise before
"""


class TriageFailure(Exception):
    """Something triage cannot or will not do."""


class InvalidPack(TriageFailure):
    """The rule pack cannot be used: it is malformed, or reads what the catalogues do not hold."""


class RuleFailed(TriageFailure):
    """A rule could not be evaluated although every fact that it reads was there."""


class RecordNotAssessed(TriageFailure):
    """There is no assessment of this record."""


class DecisionRefused(TriageFailure):
    """The decision does not stand."""


class NeedUnknown(DecisionRefused):
    """There is no such need."""


class OwnRecord(DecisionRefused):
    """Who wrote the record does not decide on what follows from it."""


class NeedWanted(DecisionRefused):
    """The resident asked for this service, so that it was handed on; there is nothing to decide."""


class DecidedAlready(DecisionRefused):
    """The need was decided otherwise before; a decision is made once."""
