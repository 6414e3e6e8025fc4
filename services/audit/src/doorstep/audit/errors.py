"""What can go wrong with the log, in words of the log.

- EntryUnknown          the log holds no such entry
- EntryPending          the entry is stored and not yet under a signed checkpoint
- ConductInvalid        the rules of conduct cannot be used
- LogContradicted       what the database holds is not what was signed before: nothing is signed any more
- WitnessRefused        a witness holds another history of the log than the log itself
- SequencedElsewhere    another instance appends at this moment
"""


class EntryUnknown(LookupError):
    """The log holds no entry of this id."""


class EntryPending(LookupError):
    """The entry is stored, and no checkpoint covers it yet."""


class ConductInvalid(ValueError):
    """The rules of conduct cannot be used: it says which rule is wrong, and how."""


class LogContradicted(Exception):
    """The database no longer holds what was signed: to sign on would contradict an earlier checkpoint."""


class SequencedElsewhere(Exception):
    """Another instance has appended since, or is appending now."""


class WitnessRefused(Exception):
    """A witness cosigned a history that this log does not go on from: somebody was shown another log."""
