"""What referral is told beside what all services are: where webhooks may go, where notices are left, the duty desk."""

from pathlib import Path

from doorstep.kit.service import DEVELOPMENT_PROFILE, Service, Settings
from doorstep.referral.operations.numbered_notices import Office


class ReferralSettings(Settings):
    """`webhooks_inside` lets webhooks go to plain http and to addresses of this machine, in the embedded profile.

    `notices` is the folder in which notices are left for the gateway that sends them; without it none is sent, and the
    log says which wait.
    `public_url` is the front door's origin as browsers know it: it stands in the QR code of a numbered notice.
    `duty_calls` is a file from which a telephone exchange takes the calls of the duty desk; else they are logged.
    """

    webhooks_inside: bool = False
    notices: str = ""
    public_url: str = ""
    duty_calls: Path | None = None


def webhooks_inside(service: Service) -> bool:
    """Whether webhooks may go to addresses that are not public: where it is set, and in the embedded profile alone."""
    settings = service.settings
    inside = isinstance(settings, ReferralSettings) and settings.webhooks_inside
    return inside and settings.profile == DEVELOPMENT_PROFILE


def notices_folder(service: Service) -> Path | None:
    """Where notices are left for whoever sends them, if anywhere."""
    settings = service.settings
    return Path(settings.notices) if isinstance(settings, ReferralSettings) and settings.notices else None


def issuing_office(service: Service) -> Office:
    """Where the station's notices are checked."""
    settings = service.settings
    return Office(settings.public_url.rstrip("/") if isinstance(settings, ReferralSettings) else "")


def duty_calls(service: Service) -> Path | None:
    """The file that the duty desk is called by; None if it is called by the log."""
    settings = service.settings
    return settings.duty_calls if isinstance(settings, ReferralSettings) else None
