"""What referral is told beside what every service is told: where webhooks may go, and where notices are left."""

from pathlib import Path

from doorstep.kit.service import DEVELOPMENT_PROFILE, Service, Settings


class ReferralSettings(Settings):
    """`webhooks_inside` lets webhooks go to plain http and to addresses of this machine, in the embedded profile.

    `notices` is the folder in which notices are left for the gateway that sends them; without it none is sent.
    """

    webhooks_inside: bool = False
    notices: str = ""


def webhooks_inside(service: Service) -> bool:
    """Whether webhooks may go to addresses that are not public: where it is set, and in the embedded profile alone."""
    settings = service.settings
    inside = isinstance(settings, ReferralSettings) and settings.webhooks_inside
    return inside and settings.profile == DEVELOPMENT_PROFILE


def notices_folder(service: Service) -> Path | None:
    """Where notices are left for whoever sends them, if anywhere."""
    settings = service.settings
    return Path(settings.notices) if isinstance(settings, ReferralSettings) and settings.notices else None
