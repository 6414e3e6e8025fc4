"""What referral is told beside what every service is told: where webhooks may go."""

from doorstep.kit.service import DEVELOPMENT_PROFILE, Service, Settings


class ReferralSettings(Settings):
    """`webhooks_inside` lets webhooks go to plain http and to addresses of this machine, in the embedded profile."""

    webhooks_inside: bool = False


def webhooks_inside(service: Service) -> bool:
    """Whether webhooks may go to addresses that are not public: where it is set, and in the embedded profile alone."""
    settings = service.settings
    inside = isinstance(settings, ReferralSettings) and settings.webhooks_inside
    return inside and settings.profile == DEVELOPMENT_PROFILE
