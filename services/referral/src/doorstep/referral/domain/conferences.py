"""Conferences: departments that have parts of one request agree on it, under its lead, in minutes that they share.

Invariants: who takes part knows the others by the department's name alone; an entry says which kinds of fact it is
about, and only whoever's feed carries all of them is shown it; protection from violence bars it unless the person asks.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from doorstep.contracts.codes import Barred, Department, TaskState
from doorstep.contracts.envelope import Contract
from doorstep.contracts.facts import FactKind
from doorstep.contracts.feeds import FEEDS
from doorstep.referral.domain.appointments import check_window
from doorstep.referral.domain.content import Content, terms
from doorstep.referral.domain.parts import LEAD
from doorstep.referral.domain.states import OPEN
from doorstep.referral.errors import (
    ConferenceBarred,
    ConferenceClosed,
    LeadMissing,
    NotForThem,
    NotSeated,
)

#: By what an entry names a kind of fact.
KINDS: dict[str, FactKind] = {kind.name.lower().replace("_", "-"): kind for kind in FactKind}

#: What the station itself sees of, to follow a request up.
_OF_STATION = frozenset(FactKind) - {FactKind.HEALTH}
_SEATED = (OPEN - {TaskState.DRAFT}) | {TaskState.COMPLETED, TaskState.FAILED}


class Plan(Contract):
    """When the conference is held."""

    starts_at: datetime
    ends_at: datetime


class Minute(Contract):
    """What was said: about which kinds of fact, and the text."""

    about: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Seat:
    """A part that takes part: its task, and who has it in which state."""

    task_id: UUID
    part: int
    department: Department
    state: TaskState

    @property
    def taken(self) -> bool:
        """Whether the part is still its department's; who gave it back, or lost it, is there no more."""
        return self.state in _SEATED


def check_call(content: Content, seats: Sequence[Seat], plan: Plan, now: datetime) -> None:
    """Raises ConferenceBarred, LeadMissing, NotSeated or WindowRefused."""
    if terms(content).guarded and Barred.JOINT_CONFERENCE not in (content.card.asks_for or ()):
        raise ConferenceBarred
    if not all(one.taken for one in seats):
        raise NotSeated
    if not any(one.part == LEAD for one in seats) or len(seats) < 2:
        raise LeadMissing
    check_window(plan.starts_at, plan.ends_at, now)


def may_see(department: Department | None, about: Iterable[str]) -> bool:
    """Whether a department, or the station, is shown an entry about these kinds; of none that it does not know."""
    seen = _OF_STATION if department is None else FEEDS[department].fact_kinds
    return all(one in KINDS and KINDS[one] in seen for one in about)


def audience(
    seats: Collection[Seat], author: Department | None, about: Collection[str], named: Collection[Department] | None
) -> list[UUID]:
    """The tasks whose departments are to see an entry of the author, besides the station: all, or those named.

    Raises NotForThem where somebody may not see what it is about, the author among them, and NotSeated.
    """
    there = [one for one in seats if one.taken]
    departments = {one.department for one in there}
    if not set(named or ()) <= departments:
        raise NotSeated
    meant = (departments if named is None else set(named)) | ({author} if author else set())
    barred = sorted(one for one in meant if not may_see(one, about))
    if barred or not may_see(author, about):
        raise NotForThem(departments=", ".join(barred) or "station")
    return sorted(one.task_id for one in there if one.department in meant)


def check_open(closed_at: datetime | None) -> None:
    """Raises ConferenceClosed."""
    if closed_at is not None:
        raise ConferenceClosed
