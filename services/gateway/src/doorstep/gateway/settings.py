"""What the gateway is told beside what every service is told: the services behind it, browsers, and limits."""

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from doorstep.gateway.domain.addresses import networks
from doorstep.kit.resources import DEVELOPMENT_PROFILE
from doorstep.kit.service import Settings


class GatewaySettings(Settings):
    """Where the others are; how browsers sign in; how much one caller may ask.

    `public_url` is the front door's origin as browsers know it; without it nobody signs in here. `session_idle` and
    `session_ends` are seconds, `resident_idle` and `resident_ends` those of residents; a one-time code holds for
    `sign_in_code_holds` seconds. `trusted_proxies` are networks, with commas, whose X-Forwarded-For is believed. Limits
    are requests a minute, counted at each process; `limit_guesses_per_address` are residents' codes that show nothing.
    """

    intake_url: str
    registry_url: str
    risk_url: str
    referral_url: str
    audit_url: str
    public_url: str = ""
    page_client_id: str = "doorstep-page"
    page_client_secret: SecretStr = SecretStr("")
    session_idle: int = 1800
    session_ends: int = 36_000
    resident_idle: int = 600
    resident_ends: int = 1800
    sign_in_code_holds: int = Field(default=900, ge=60, le=3600)
    trusted_proxies: str = ""
    limit_per_address: int = Field(default=120_000, ge=1)
    limit_per_principal: int = Field(default=120_000, ge=1)
    limit_codes_per_address: int = Field(default=20, ge=1)
    limit_guesses_per_address: int = Field(default=600, ge=1)

    @field_validator("public_url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _known_networks(cls, listed: str) -> str:
        networks(listed)
        return listed

    @model_validator(mode="after")
    def _safe_cookies(self) -> Self:
        if self.public_url and self.secure and not self.public_url.startswith("https://"):
            raise ValueError("DOORSTEP_PUBLIC_URL must begin with https:// outside the embedded profile")
        return self

    @property
    def secure(self) -> bool:
        """Whether cookies travel by TLS alone."""
        return self.profile != DEVELOPMENT_PROFILE

    def cookie(self, name: str) -> str:
        """What the cookie `name` is called: no other host, path or plain connection can set it where it is safe."""
        return f"__Host-doorstep_{name}" if self.secure else f"doorstep_{name}"

    def address_of(self, service: str) -> str:
        """The base address of `service`, without a slash at its end."""
        return str(getattr(self, f"{service}_url")).rstrip("/")
