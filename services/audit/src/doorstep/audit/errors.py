"""What can go wrong with the log, in words of the log.

- EntryUnknown          the log holds no such entry
- EntryPending          the entry is stored and not yet under a signed checkpoint
- ConductInvalid        the rules of conduct cannot be used
- InquiryHindered       somebody cannot agree to an inquiry, or is told nothing on it; it says why
- InquiryUnknown        there is no such inquiry
- LogContradicted       what the database holds is not what was signed before: nothing is signed any more
- WitnessRefused        a witness holds another history of the log than the log itself
- SequencedElsewhere    another instance appends at this moment
- NothingToDefer        the station knows no such subject, or no use of it for the matter
- DeferralUnknown       there is no such deferral
- OwnDeferral           who asks for a deferral does not approve it
- DeferralApproved      another auditor approved it before
- DeferralLapsed        it is over, and would hide nothing
"""

from doorstep.audit.domain.inquiry import Hindrance


class EntryUnknown(LookupError):
    """The log holds no entry of this id."""


class EntryPending(LookupError):
    """The entry is stored, and no checkpoint covers it yet."""


class InquiryHindered(Exception):
    """The inquiry allows no agreement of theirs, or no look; `policies` are those that forbid it, if they do."""

    def __init__(self, hindrance: Hindrance, policies: tuple[str, ...] = ()) -> None:
        super().__init__(hindrance)
        self.hindrance = hindrance
        self.policies = policies


class InquiryUnknown(LookupError):
    """There is no inquiry of this id."""


class ConductInvalid(ValueError):
    """The rules of conduct cannot be used: it says which rule is wrong, and how."""


class LogContradicted(Exception):
    """The database no longer holds what was signed: to sign on would contradict an earlier checkpoint."""


class SequencedElsewhere(Exception):
    """Another instance has appended since, or is appending now."""


class WitnessRefused(Exception):
    """A witness cosigned a history that this log does not go on from: somebody was shown another log."""


class NothingToDefer(LookupError):
    """The station knows no such subject, or the log no use of its data for this matter."""


class DeferralUnknown(LookupError):
    """There is no such deferral."""


class OwnDeferral(Exception):
    """Who asks for a deferral does not approve it: `policies` forbid it."""

    def __init__(self, policies: tuple[str, ...]) -> None:
        """By which policies it is forbidden."""
        super().__init__()
        self.policies = policies


class DeferralApproved(Exception):
    """Another auditor approved the deferral before."""


class DeferralLapsed(Exception):
    """The deferral is over before anybody approved it."""
