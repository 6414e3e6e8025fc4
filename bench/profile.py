"""Spikes and valleys: how many lifecycles are due when, and what became of them. Pure: no clock, no network.

Times are seconds from the beginning of a run. A lifecycle counts from the moment at which it was due, also when the
client or the site had no time for it then: who comes in a spike waits in the queue that others made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.spread import percentiles

CALLS = ("record", "accept", "complete", "rate")
"""The four calls of a lifecycle, in their order."""

PROFILE = (1.0, 15.0, 1.0, 25.0, 2.0, 35.0, 10.0, 0.0)
"""Lifecycles a second, step by step."""

SPIKE = 120.0
AIM_RATE = 92.0
AIM_DRAINED = 10.0
AIM_SHARE = 0.9
HELD_WITHIN = 2.0
"""A rate is held if all that was due is over so many seconds after the last of it was due."""

_NARROW = 1.1
_WIDEN = 1.5


@dataclass(frozen=True)
class Step:
    """So many lifecycles a second for so many seconds."""

    rate: float
    seconds: float


@dataclass
class Life:
    """One lifecycle: when it was due, when each call began and was answered, when the department had its request.

    `failed` says what went wrong, and is None for one that succeeded; `over` is when it ended either way.
    """

    due: float
    asked: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    offered: float | None = None
    over: float | None = None
    failed: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether all four calls were answered as they should be."""
        return self.failed is None and self.over is not None


def spikes(seconds: float, spike: float = SPIKE) -> list[Step]:
    """The profile with steps of so many seconds, then one spike, then nothing."""
    return [*(Step(rate, seconds) for rate in PROFILE), Step(spike, seconds), Step(0.0, seconds)]


def arrivals(steps: Sequence[Step]) -> list[float]:
    """When lifecycles are due, evenly within each step, the first of a step half a distance after its beginning."""
    found, began = [], 0.0
    for step in steps:
        count = round(step.rate * step.seconds)
        found += [began + (number + 0.5) * step.seconds / count for number in range(count)]
        began += step.seconds
    return found


def bounds(steps: Sequence[Step]) -> Iterator[tuple[Step, float, float]]:
    """Each step with its beginning and its end."""
    began = 0.0
    for step in steps:
        yield step, began, began + step.seconds
        began += step.seconds


def drained(lives: Sequence[Life], began: float, ended: float) -> float | None:
    """Seconds after `ended` at which all that was due between both had succeeded; None if some never did."""
    due = [one for one in lives if began <= one.due < ended]
    if not all(one.succeeded for one in due):
        return None
    return max([0.0, *((one.over or 0.0) - ended for one in due)])


def by_step(lives: Sequence[Life], steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Of each step its rate, how many were due and succeeded, the whole lifecycle's times, and when all was over."""
    found = []
    for step, began, ended in bounds(steps):
        due = [one for one in lives if began <= one.due < ended]
        found.append(
            {
                "rate": step.rate,
                "seconds": step.seconds,
                "began": began,
                "due": len(due),
                "succeeded": sum(one.succeeded for one in due),
                "whole": _whole(due),
                "drained": drained(lives, began, ended),
            }
        )
    return found


def times(lives: Sequence[Life]) -> dict[str, dict[str, float]]:
    """Milliseconds of each call, of the way from the record's answer to the department, and of the whole lifecycle."""
    found = {}
    for place, name in enumerate(CALLS):
        spans = [one.answered[place] - one.asked[place] for one in lives if len(one.answered) > place]
        found[name] = _spread(spans)
        if place == 0:
            ways = [one.offered - one.answered[0] for one in lives if one.answered and one.offered is not None]
            found["to the department"] = _spread([max(0.0, way) for way in ways])
    return {**found, "whole": _whole(lives)}


def _whole(lives: Sequence[Life]) -> dict[str, float]:
    return _spread([one.over - one.due for one in lives if one.succeeded and one.over is not None])


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return percentiles(sorted(1000 * one for one in seconds))


def held(lives: Sequence[Life], steps: Sequence[Step]) -> bool:
    """Whether all succeeded and none was late by more than a moment when the last was due."""
    ends = sum(step.seconds for step in steps)
    after = drained(lives, 0.0, ends)
    return bool(lives) and after is not None and after <= HELD_WITHIN


class Search:
    """Looks for the highest rate that is held: half as much again until one is not, then between both."""

    def __init__(self, first: float) -> None:
        """Begin with `first` lifecycles a second."""
        self.best = 0.0
        self._worst: float | None = None
        self._next = first

    @property
    def rate(self) -> float | None:
        """What is to be tried next; None when the highest is known to a tenth."""
        if self._worst is not None and self._worst <= max(self.best, 1.0) * _NARROW:
            return None
        return self._next

    def tried(self, rate: float, *, well: bool) -> None:
        """Take what came of `rate`."""
        if well:
            self.best = max(self.best, rate)
        else:
            self._worst = rate if self._worst is None else min(self._worst, rate)
        self._next = self.best * _WIDEN if self._worst is None else (self.best + self._worst) / 2


def timeline(lives: Sequence[Life], until: float) -> list[dict[str, float]]:
    """Second by second: how many were due and over, how many under way at its end; `p50` of those that were over."""
    found = []
    for second in range(int(until) + 1):
        spans = sorted(1000 * (one.over - one.due) for one in lives if one.over is not None and int(one.over) == second)
        under_way = sum(one.due < second + 1 and (one.over is None or one.over >= second + 1) for one in lives)
        found.append(
            {
                "second": float(second),
                "due": float(sum(int(one.due) == second for one in lives)),
                "over": float(len(spans)),
                "under_way": float(under_way),
                **({"p50": spans[len(spans) // 2]} if spans else {}),
            }
        )
    return found
