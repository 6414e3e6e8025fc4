"""Why something read from a log is not believed.

LogError
├── LineRejected         a line of an export does not hold
├── Malformed            it is not in the format at all
├── NotWitnessed         too few witnesses cosigned it, or too long ago
├── ProofRejected        a well-formed proof that does not prove what it should
├── SignatureRejected    no trusted key signed it, or a trusted key's signature is wrong
└── TooLong              it is believed, and does not fit into one QR code
"""


class LogError(Exception):
    """What was read from the log is not believed."""


class LineRejected(LogError):
    """A line of an export, counted from 1, does not hold."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


class Malformed(LogError, ValueError):
    """What was read is not in its format."""


class NotWitnessed(LogError):
    """Too few of the trusted witnesses cosigned the checkpoint, or too long ago."""


class ProofRejected(LogError):
    """The proof is well formed and does not lead to the root it was given for."""


class SignatureRejected(LogError):
    """The note carries no valid signature of a key that is trusted."""


class TooLong(LogError):
    """It does not fit into one QR code."""
