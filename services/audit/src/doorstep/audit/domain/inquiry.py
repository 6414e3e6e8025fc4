"""An inquiry: what an auditor may be told of the entries about one person, on which ground, and until when.

The ground is the person's own complaint, which shows in the follow code that only they have, or else the agreement of a
second auditor. Whether it still holds is computed from stored times when it is asked.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

HOLDS = timedelta(days=7)
"""So long a second auditor can agree, and so long a complaint or an agreement holds."""


class Ground(StrEnum):
    """Why entries about one person may be looked for."""

    COMPLAINT = "complaint"
    AGREEMENT = "agreement"


class Standing(StrEnum):
    """How an inquiry stands."""

    WAITING = "waiting"
    OPEN = "open"
    LAPSED = "lapsed"


class Hindrance(StrEnum):
    """Why somebody cannot agree to an inquiry, or is told nothing on it."""

    OF_ANOTHER = "inquiry-unknown"
    OWN = "second-auditor-must-agree"
    MISSING = "agreement-missing"
    LAPSED = "inquiry-lapsed"
    NOT_NEEDED = "agreement-not-needed"
    GIVEN = "agreed-already"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Who asked on which ground, and who agreed; people by ids that stand nowhere else."""

    ground: Ground
    asked_by: UUID
    asked_at: datetime
    agreed_by: UUID | None = None
    agreed_at: datetime | None = None

    @property
    def until(self) -> datetime:
        """When it lapses, or while it waits, when nobody can agree any more."""
        return (self.agreed_at or self.asked_at) + HOLDS

    def standing(self, now: datetime) -> Standing:
        """How it stands at `now`."""
        if now >= self.until:
            return Standing.LAPSED
        waits = self.ground is Ground.AGREEMENT and self.agreed_at is None
        return Standing.WAITING if waits else Standing.OPEN

    def hinders_agreement(self, now: datetime) -> Hindrance | None:
        """Why nobody can agree at `now`; None if somebody else than who asked can, which policy decides."""
        if self.ground is not Ground.AGREEMENT:
            return Hindrance.NOT_NEEDED
        if self.agreed_at is not None:
            return Hindrance.GIVEN
        return Hindrance.LAPSED if self.standing(now) is Standing.LAPSED else None

    def hinders_reading(self, who: UUID, now: datetime) -> Hindrance | None:
        """Why `who` is told nothing at `now`; None if they are."""
        if who != self.asked_by:
            return Hindrance.OF_ANOTHER
        return {Standing.WAITING: Hindrance.MISSING, Standing.LAPSED: Hindrance.LAPSED}.get(self.standing(now))
