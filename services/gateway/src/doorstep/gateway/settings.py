"""What the gateway is told beside what every service is told: where the others are."""

from doorstep.kit.service import Settings


class GatewaySettings(Settings):
    """The base addresses of the services behind the front door."""

    intake_url: str
    registry_url: str
    risk_url: str
    referral_url: str
    audit_url: str

    def address_of(self, service: str) -> str:
        """The base address of `service`, without a slash at its end."""
        return str(getattr(self, f"{service}_url")).rstrip("/")
