"""The keys of one log: those that sign, and those that no longer do, under which old checkpoints still verify.

A key is changed with overlap: for a time the new and the old one both sign, so that whoever knows either can verify;
then the old one retires.
"""

from dataclasses import dataclass

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.note import SigningKey, VerifierKey
from doorstep.audit.domain.sm2 import SM2SigningKey, SM2VerifierKey


@dataclass(frozen=True, slots=True)
class LogKeys:
    """Keys of one name: `signing` has the newest first, `sm2` signs beside them under the suite `national`.

    Raises Malformed if none signs, names differ, or a key is there twice.
    """

    signing: tuple[SigningKey, ...]
    retired: tuple[VerifierKey, ...] = ()
    sm2: SM2SigningKey | None = None

    def __post_init__(self) -> None:
        if not self.signing:
            raise Malformed("log keys: none of them signs")
        if len({key.name for key in self.listed}) > 1:
            raise Malformed("log keys: of different names")
        if len({key.public_key for key in self.verifiers}) < len(self.verifiers):
            raise Malformed("log keys: one of them is there twice")

    @classmethod
    def parse(cls, text: str) -> "LogKeys":
        """Read one key a line, secret ones sign and verifier keys are retired; # begins a comment. Raises Malformed."""
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        secret = [line for line in lines if SigningKey.is_secret(line)]
        return cls(
            tuple(SigningKey.parse(line) for line in secret),
            tuple(VerifierKey.parse(line) for line in lines if line not in secret),
        )

    @property
    def name(self) -> str:
        """The log's origin."""
        return self.signing[0].name

    @property
    def verifiers(self) -> tuple[VerifierKey, ...]:
        """The keys under which the log's checkpoints verify, the newest first."""
        return (*(key.verifier for key in self.signing), *self.retired)

    @property
    def listed(self) -> tuple[VerifierKey | SM2VerifierKey, ...]:
        """All that others may verify with: `verifiers`, and behind them the key of SM2."""
        return self.verifiers if self.sm2 is None else (*self.verifiers, self.sm2.verifier)
