"""What is announced of a task's deadlines: at 80% of the time, at all of it, and at half as much again.

Lateness itself is computed when read (`deadlines`). What is announced follows from the stored times, the time of the
look, and what was announced before: to look late, twice, or by a clock that was put back announces nothing twice and
leaves nothing out.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from doorstep.contracts.codes import Deadline, DueStep, TaskState
from doorstep.referral.domain.deadlines import DueTimes

#: The share of a deadline's time at which each is told.
STEPS = ((DueStep.OFFICER, 0.8), (DueStep.HEAD_OF_OFFICE, 1.0), (DueStep.SUPERVISOR, 1.5))

#: Announced so long after its time an announcement is late, and says so.
PROMPT = timedelta(minutes=1)

#: What is to be answered within so long is told to the duty desk at once.
URGENT = timedelta(hours=1)

_ANSWERED = frozenset({TaskState.ACCEPTED, TaskState.IN_PROGRESS, TaskState.ON_HOLD})
_WAITS = frozenset({TaskState.DRAFT, TaskState.REQUESTED})

Told = tuple[Deadline, DueStep, datetime]
"""What was announced: which step of which deadline, and when that was due."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One step of one deadline; `at` is when it was to be announced."""

    deadline: Deadline
    step: DueStep
    due_by: datetime
    at: datetime

    @property
    def told(self) -> Told:
        """By what it is known again."""
        return self.deadline, self.step, self.due_by

    def is_late(self, now: datetime) -> bool:
        """Whether it is announced later than it was to be."""
        return now - self.at > PROMPT


@dataclass(frozen=True, slots=True)
class Watched:
    """A task as far as its deadlines are concerned; `paused_until` is there while its completion is paused."""

    state: TaskState
    opened_at: datetime
    due: DueTimes
    paused_until: datetime | None = None

    @property
    def urgent(self) -> bool:
        """Whether the duty desk is told of it: nobody answered yet, and an hour is all there is."""
        return self.state in _WAITS and is_urgent(self.opened_at, self.due.response)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a task finds: what is announced now, in order, and when to look again."""

    announced: tuple[Announcement, ...]
    again_at: datetime | None

    @property
    def newest(self) -> Announcement | None:
        """After an outage it alone is told to the department: what it says holds for those before it too."""
        return self.announced[-1] if self.announced else None


def is_urgent(opened_at: datetime, respond_by: datetime) -> bool:
    """Whether an hour is all there is, or was, for the first response."""
    return respond_by - opened_at <= URGENT


def owed(watched: Watched) -> tuple[tuple[Deadline, datetime], ...]:
    """What a live task owes still, and by when: what came back from a department owes its completion as before."""
    completion = (Deadline.COMPLETION, watched.due.completion)
    if watched.state in _WAITS:
        return (Deadline.RESPONSE, watched.due.response), completion
    if watched.state in _ANSWERED or watched.state is TaskState.REJECTED:
        return (completion,)
    return ()


def announced_at(opened_at: datetime, due_by: datetime, share: float) -> datetime:
    """When a step with this share of the time is to be announced."""
    return opened_at + max(due_by - opened_at, timedelta(seconds=1)) * share


def look(watched: Watched, told: Collection[Told], now: datetime) -> Look:
    """What is to be announced of a task now. While its completion is paused nothing of that is."""
    coming: list[datetime] = []
    found: list[Announcement] = []
    for one in _steps(watched):
        if one.told in told:
            continue
        if one.deadline is Deadline.COMPLETION and watched.paused_until is not None and now < watched.paused_until:
            coming.append(max(one.at, watched.paused_until))
        elif one.at <= now:
            found.append(one)
        else:
            coming.append(one.at)
    found.sort(key=lambda one: (one.at, list(Deadline).index(one.deadline)))
    return Look(tuple(found), min(coming, default=None))


def _steps(watched: Watched) -> Iterable[Announcement]:
    for deadline, due_by in owed(watched):
        for step, share in STEPS:
            yield Announcement(deadline, step, due_by, announced_at(watched.opened_at, due_by, share))
