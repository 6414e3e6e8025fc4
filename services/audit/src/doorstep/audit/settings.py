"""What the log is told by its environment beside what every service is told."""

from pathlib import Path

from doorstep.audit.domain.note import SigningKey, VerifierKey
from doorstep.kit.service import Service, Settings


class LogSettings(Settings):
    """DOORSTEP_LOG_KEY is a file with the signing key, DOORSTEP_LOG_ORIGIN the log's name.

    A process that only answers needs no secret: it can be given DOORSTEP_LOG_VKEY instead of the file. Entries that
    arrive within `log_window` seconds are signed together. Entries may come `log_grace` seconds later than their
    manifest, and a service's manifests `log_silence` seconds late, before that is told.
    """

    log_origin: str
    log_key: Path | None = None
    log_vkey: str | None = None
    log_window: float = 0.05
    log_grace: float = 120.0
    log_silence: float = 300.0

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


def settings_of(service: Service) -> LogSettings:
    """The settings of the log's service."""
    if not isinstance(service.settings, LogSettings):
        raise TypeError("not the log's service")
    return service.settings
