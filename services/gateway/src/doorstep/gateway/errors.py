"""What can go wrong with a journey, with signing in, and with one-time codes."""


class JourneyUnknown(Exception):
    """There is no such record, it is another station's, or its first event has not arrived."""


class OwnRecord(Exception):
    """Whoever took a record does not review it."""


class NoSignIn(Exception):
    """Nobody signs in here with a browser: no address is set up, or the issuer offers none."""


class IssuerAway(Exception):
    """The issuer does not answer now."""


class SignInRefused(Exception):
    """The issuer gives nothing for this code or refresh token, or what it gives is for somebody else."""


class RecordUnknown(Exception):
    """There is no such record with such a person, it is not the caller's, or its facts have not arrived."""


class VisitOver(Exception):
    """The record is too old for a code to be asked for at its visit."""


class TooYoung(Exception):
    """Somebody of this age has no code of their own."""


class CodeUnknown(Exception):
    """The code is none: nobody has it, it was used, or its time is over."""


class AccountLinked(Exception):
    """The account is linked to somebody already."""
