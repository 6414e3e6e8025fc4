"""Deferrals: that a resident is told later who looked, only to protect a person.

Invariants: nothing is hidden before somebody else approved; nothing longer than 30 days from its own time, nor once
the deferral is 30 days old, which goes for itself too; both are computed when read, so that it ends by itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Deferral:
    """What is told later: the uses for one matter, by its keyed index. `approved_at` is None until it is approved."""

    matter: bytes
    asked_at: datetime
    approved_at: datetime | None = None

    @property
    def lapses_at(self) -> datetime:
        """When it ends, whatever was done under it."""
        return self.asked_at + LONGEST

    def hides(self, at: datetime, matters: Iterable[bytes], now: datetime) -> bool:
        """Whether a use at this time, for one of these matters, is not told yet."""
        if self.approved_at is None or now < self.approved_at or now >= min(at + LONGEST, self.lapses_at):
            return False
        return self.matter in matters
