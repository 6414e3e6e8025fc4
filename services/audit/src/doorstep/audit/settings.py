"""What the log is told by its environment beside what every service is told."""

from dataclasses import replace
from pathlib import Path

from doorstep.audit.domain.conduct_rules import CompiledConduct, compile_conduct, published_conduct
from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.keys import LogKeys
from doorstep.audit.domain.note import VerifierKey
from doorstep.audit.domain.quorum import NEEDED, Quorum, Witness, parse_witnesses
from doorstep.audit.domain.sm2 import SM2SigningKey, SM2VerifierKey
from doorstep.audit.errors import ConductInvalid
from doorstep.kit.keyset import Suite
from doorstep.kit.service import Service, Settings


class LogSettings(Settings):
    """DOORSTEP_LOG_KEY is a file with the log's keys, one a line, DOORSTEP_LOG_ORIGIN the log's name.

    Under DOORSTEP_SUITE=national the key of SM2 in the file DOORSTEP_LOG_SM2_KEY signs too. A process that only answers
    needs no secret: it can be given DOORSTEP_LOG_VKEY instead of the files, several keys with spaces between them.
    Entries that arrive within `log_window` seconds are signed together. The anchor lies in the database
    DOORSTEP_LOG_ANCHOR_URL, another store than the log's. `migrate` gives the role DOORSTEP_LOG_ROLE,
    under which the service is to run, the right to add to the log, and none to change it.
    DOORSTEP_LOG_WITNESSES is a file with the witnesses, a line each, DOORSTEP_LOG_QUORUM how many of them make a
    checkpoint a witnessed one. Entries may come `log_grace` seconds later than their
    manifest, and a service's manifests `log_silence` seconds late, before that is told. DOORSTEP_LOG_CONDUCT_RULES is a
    file with rules of conduct in the place of the published ones.
    """

    log_origin: str
    log_key: Path | None = None
    log_vkey: str | None = None
    suite: Suite = Suite.INTERNATIONAL
    log_sm2_key: Path | None = None
    log_anchor_url: str
    log_role: str | None = None
    log_window: float = 0.05
    log_witnesses: Path | None = None
    log_quorum: int = NEEDED
    log_grace: float = 120.0
    log_silence: float = 300.0
    log_conduct_rules: Path | None = None

    def log_keys(self) -> LogKeys:
        """The keys that sign checkpoints and those that did; raises ValueError if there are none."""
        if self.log_key is None:
            raise ValueError("DOORSTEP_LOG_KEY does not name the file with the log's keys")
        try:
            keys = LogKeys.parse(self.log_key.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"no keys of a log in {self.log_key.name}: {type(error).__name__}") from None
        if keys.name != self.log_origin:
            raise ValueError(f"the keys in {self.log_key.name} are those of another log than DOORSTEP_LOG_ORIGIN")
        return replace(keys, sm2=self._sm2_key())

    def _sm2_key(self) -> SM2SigningKey | None:
        if self.suite is Suite.INTERNATIONAL:
            return None
        if self.log_sm2_key is None:
            raise ValueError("DOORSTEP_SUITE is national: DOORSTEP_LOG_SM2_KEY has to name the file with the SM2 key")
        try:
            key = SM2SigningKey.parse(self.log_sm2_key.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            why = str(error) if isinstance(error, Malformed) else type(error).__name__
            raise ValueError(f"DOORSTEP_LOG_SM2_KEY, {self.log_sm2_key.name}: {why}") from None
        if key.name != self.log_origin:
            raise ValueError(f"the key in {self.log_sm2_key.name} is that of another log than DOORSTEP_LOG_ORIGIN")
        return key

    def verifier_keys(self) -> tuple[VerifierKey | SM2VerifierKey, ...]:
        """The keys under which checkpoints verify, the newest first and that of SM2 last.

        Raises ValueError if there are none.
        """
        if self.log_vkey is None:
            return self.log_keys().listed
        given = self.log_vkey.split()
        sm2 = [one for one in given if SM2VerifierKey.is_meant(one)]
        keys = tuple(VerifierKey.parse(one) for one in given if one not in sm2)
        if not keys:
            raise ValueError("DOORSTEP_LOG_VKEY has no verifier key of Ed25519")
        return (*keys, *(SM2VerifierKey.parse(one) for one in sm2))

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

    def conduct(self) -> CompiledConduct:
        """The rules of conduct in force. Raises ValueError."""
        if self.log_conduct_rules is None:
            return published_conduct()
        try:
            return compile_conduct(self.log_conduct_rules.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ConductInvalid) as error:
            why = str(error) if isinstance(error, ConductInvalid) else type(error).__name__
            raise ValueError(f"DOORSTEP_LOG_CONDUCT_RULES, {self.log_conduct_rules.name}: {why}") from None


def settings_of(service: Service) -> LogSettings:
    """The settings of the log's service."""
    if not isinstance(service.settings, LogSettings):
        raise TypeError("not the log's service")
    return service.settings
