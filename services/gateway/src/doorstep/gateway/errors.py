"""What can go wrong with a journey, and with signing in."""


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
