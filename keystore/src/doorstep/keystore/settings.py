"""What the key store is told by its environment."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from doorstep.kit.keyset import Suite


class KeyStoreSettings(BaseSettings):
    """DOORSTEP_DATABASE_URL is the key store's own database, DOORSTEP_KEKS the file of its key-encryption keys.

    With DOORSTEP_TRANSIT_URL the first of them is made in a Vault, and those of a file can move there: in the transit
    engine at DOORSTEP_TRANSIT_MOUNT, asked with the token in the file DOORSTEP_TRANSIT_TOKEN. DOORSTEP_KEYSET is the
    services' keyset, out of which those key-encryption keys are taken that an earlier version kept there. New keys are
    those of DOORSTEP_SUITE. Every `epoch_look` seconds it is looked whether an epoch is due.
    """

    model_config = SettingsConfigDict(env_prefix="DOORSTEP_", extra="ignore")

    profile: str = "production"
    database_url: str
    keks: Path
    keyset: Path | None = None
    suite: Suite = Suite.INTERNATIONAL
    transit_url: str | None = None
    transit_mount: str = "transit"
    transit_token: Path | None = None
    epoch_look: float = 30.0
    issuer: str
    issuer_profile: str = "production"
    jwks_url: str
    audience: str = "doorstep"
    host: str = "127.0.0.1"
    port: int = 8080
    log_level: str = "info"
    kill_at: str | None = None
