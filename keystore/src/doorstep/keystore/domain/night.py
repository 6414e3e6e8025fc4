"""When the next epoch is due: at three in the night where the station is."""

from datetime import datetime, timedelta, timezone

_PLACE = timezone(timedelta(hours=8), "Asia/Shanghai")  # which has had no summer time since 1991
_HOUR = 3


def due(made_at: datetime) -> datetime:
    """When the key-encryption key that was made at `made_at` is to be replaced: the next three o'clock, in UTC."""
    there = made_at.astimezone(_PLACE)
    night = there.replace(hour=_HOUR, minute=0, second=0, microsecond=0)
    if night <= there:
        night += timedelta(days=1)
    return night.astimezone(made_at.tzinfo)
