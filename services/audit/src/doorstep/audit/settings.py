"""What the log is told by its environment beside what every service is told."""

from pathlib import Path

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.note import SigningKey, VerifierKey
from doorstep.audit.domain.quorum import Quorum, Witness, parse_witnesses
from doorstep.kit.service import Service, Settings


class LogSettings(Settings):
    """DOORSTEP_LOG_KEY is a file with the signing key, DOORSTEP_LOG_ORIGIN the log's name.

    A process that only answers needs no secret: it can be given DOORSTEP_LOG_VKEY instead of the file. Entries that
    arrive within `log_window` seconds are signed together. DOORSTEP_LOG_WITNESSES is a file with the witnesses, a line
    each, DOORSTEP_LOG_QUORUM how many of them make a checkpoint a witnessed one.
    """

    log_origin: str
    log_key: Path | None = None
    log_vkey: str | None = None
    log_window: float = 0.05
    log_witnesses: Path | None = None
    log_quorum: int = 2

    def signing_key(self) -> SigningKey:
        """The key that signs checkpoints; raises ValueError if there is none."""
        if self.log_key is None:
            raise ValueError("DOORSTEP_LOG_KEY does not name the file with the log's signing key")
        try:
            return SigningKey.parse(self.log_key.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"no signing key in {self.log_key.name}: {type(error).__name__}") from None

    def verifier_key(self) -> VerifierKey:
        """The key that verifies checkpoints; raises ValueError if it is neither given nor derived."""
        return self.signing_key().verifier if self.log_vkey is None else VerifierKey.parse(self.log_vkey)

    def witnesses(self) -> tuple[Witness, ...]:
        """Who cosigns; nobody if no file is named. Raises ValueError, also if so few cannot be the quorum."""
        if self.log_witnesses is None:
            return ()
        try:
            named = parse_witnesses(self.log_witnesses.read_text(encoding="utf-8"))
            Quorum(tuple(witness.key for witness in named), self.log_quorum)
        except (OSError, Malformed, UnicodeDecodeError) as error:
            why = str(error) if isinstance(error, Malformed) else type(error).__name__
            raise ValueError(f"DOORSTEP_LOG_WITNESSES, {self.log_witnesses.name}: {why}") from None
        return named


def settings_of(service: Service) -> LogSettings:
    """The settings of the log's service."""
    if not isinstance(service.settings, LogSettings):
        raise TypeError("not the log's service")
    return service.settings
