"""What referral is told beside what every service is told: where webhooks may go, and where notices are checked."""

from doorstep.kit.service import DEVELOPMENT_PROFILE, Service, Settings
from doorstep.referral.operations.notices import Office


class ReferralSettings(Settings):
    """`webhooks_inside` lets webhooks go to plain http and to addresses of this machine, in the embedded profile.

    `public_url` is the front door's origin as browsers know it: it stands in the QR code of a notice.
    """

    webhooks_inside: bool = False
    public_url: str = ""


def webhooks_inside(service: Service) -> bool:
    """Whether webhooks may go to addresses that are not public: where it is set, and in the embedded profile alone."""
    settings = service.settings
    inside = isinstance(settings, ReferralSettings) and settings.webhooks_inside
    return inside and settings.profile == DEVELOPMENT_PROFILE


def issuing_office(service: Service) -> Office:
    """Where the station's notices are checked."""
    settings = service.settings
    return Office(settings.public_url.rstrip("/") if isinstance(settings, ReferralSettings) else "")
