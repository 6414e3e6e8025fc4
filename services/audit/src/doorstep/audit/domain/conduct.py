"""Reads what the log says was done by the rules of conduct: where something is to be asked about, and on which entries.

Invariants: a finding cites the entries that it rests on, and names an actor, never a subject; what residents do, and
what services do on events, is never looked at; nobody is counted up over rules or set beside others.
"""

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from doorstep.audit.domain.conduct_rules import CODES, CompiledConduct, CompiledRule, Value, Within
from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Action, Role, TaskState

READS: Final = frozenset(
    {
        Action.READ_RECORD,
        Action.READ_FILE,
        Action.READ_ASSESSMENT,
        Action.READ_REQUEST,
        Action.LIST_REQUESTS,
        Action.READ_JOURNEY,
        Action.READ_LIFE,
        Action.READ_ABOUT_SUBJECT,
    }
)
"""What shows personal data to whoever does it."""
_CLOSED = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED, TaskState.ENTERED_IN_ERROR})
_HOUR = timedelta(hours=1)
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)

Worked = Callable[[date], bool | None]
"""Whether there is work on a day, by the published calendar; None in a year for which there is none yet."""


@dataclass(frozen=True, slots=True)
class Deed:
    """An entry of the log as the rules see it; `hour` is the one that the entry says to everybody.

    `index` is None while the entry waits for its place. `tied` says that the actor had declared not to handle the case.
    """

    entry_id: UUID
    index: int | None
    hour: datetime
    subjects: frozenset[UUID]
    said: AuditDetail
    tied: bool = False

    @property
    def at(self) -> datetime:
        """When it was done: to the microsecond, unless the detail says a time outside the entry's hour."""
        try:
            told = _BEGIN + timedelta(microseconds=self.said.at_us)
        except OverflowError:
            return self.hour
        return told if self.hour <= told < self.hour + _HOUR else self.hour

    @property
    def actor(self) -> str:
        """Who did it, by a random id; empty where a service acted on an event."""
        return self.said.actor or ""

    @property
    def refused(self) -> bool:
        """Whether it was a try that was refused."""
        return self.said.outcome.startswith("refused:")

    @property
    def read(self) -> bool:
        """Whether it showed personal data to the actor."""
        return self.said.action in READS and not self.refused and self.said.outcome != "nothing-shown"

    @property
    def watched(self) -> bool:
        """Whether rules look at it: a read or a refused try, by somebody who is no resident."""
        return bool(self.actor) and self.said.role != Role.RESIDENT and (self.read or self.refused)


@dataclass(frozen=True, slots=True)
class Who:
    """An actor by a random id, with the role, agency and station in which something was done."""

    actor: str
    role: str | None
    agency: str | None
    station: str | None


@dataclass(frozen=True, slots=True)
class Cited:
    """An entry that a finding rests on."""

    entry_id: UUID
    index: int | None


@dataclass(slots=True)
class Finding:
    """What a rule found of one actor: on one day, or at one stretch where a rule counts.

    `reached` is the highest number that such a rule counted within its minutes; None for the others.
    """

    rule: str
    who: Who
    first: datetime
    last: datetime
    cited: list[Cited] = field(default_factory=list)
    reached: int | None = None


class Cases:
    """What the log says of cases: when their requests were opened and closed, and which station took their subjects."""

    def __init__(self) -> None:
        self._requests: dict[str, set[str]] = {}
        self._steps: dict[str, dict[datetime, bool]] = {}
        self._stations: dict[UUID, set[str]] = {}

    def learn(self, deed: Deed) -> None:
        """Take note of an entry, of whatever time; of one that comes again nothing changes."""
        said = deed.said
        if said.case is None or deed.refused:
            return
        if said.action == Action.RECORD_VISIT and said.station is not None:
            for subject in deed.subjects:
                self._stations.setdefault(subject, set()).add(said.station)
        elif said.action in (Action.OPEN_REQUEST, Action.TRANSITION_TASK) and said.record is not None:
            self._requests.setdefault(said.record, set()).add(said.case)
            steps = self._steps.setdefault(said.case, {})
            steps[deed.at] = said.outcome in _CLOSED or steps.get(deed.at, False)  # opened and closed at one moment

    def closed_at(self, deed: Deed) -> datetime | None:
        """Since when everything of the case of `deed` was closed when it was done; None if it was not, or is unknown.

        The case is a request, or a record with all its requests. Of a file the log does not know.
        """
        case = deed.said.case or deed.said.record
        if case is None:
            return None
        requests = [case] if case in self._steps else sorted(self._requests.get(case, ()))
        closed = [self._last_step(one, deed.at) for one in requests]
        known = [step for step in closed if step is not None]
        return max(at for at, _ in known) if known and all(done for _, done in known) else None

    def _last_step(self, request: str, at: datetime) -> tuple[datetime, bool] | None:
        steps = sorted(self._steps[request].items())
        before = bisect_right([when for when, _ in steps], at)
        return steps[before - 1] if before else None

    def elsewhere(self, deed: Deed) -> bool:
        """Whether a subject of `deed` was taken in by other stations than the reader's, and never by that one."""
        taken = [self._stations[one] for one in deed.subjects if one in self._stations]
        return deed.said.station is not None and any(deed.said.station not in stations for stations in taken)


class Watch:
    """Reads deeds in the order of their times by the rules of conduct, and gathers findings."""

    def __init__(
        self, conduct: CompiledConduct, cases: Cases, worked: Worked, *, since: datetime, until: datetime
    ) -> None:
        """Gather what was done from `since` until before `until`; what was done before is counted on alone."""
        self._conduct = conduct
        self._cases = cases
        self._worked = worked
        self._since = since
        self._until = until
        self._days: dict[tuple[str, Who, date], Finding] = {}
        self._stretches: list[Finding] = []
        self._counts: dict[tuple[str, str], _Count] = {}
        self._answers: dict[tuple[Value, ...], bool] = {}

    def take(self, deed: Deed) -> None:
        """Read one deed. Raises ConductInvalid."""
        if not deed.watched or deed.at >= self._until:
            return
        known = self._known(deed)
        for compiled in self._conduct.rules:
            if self._holds(compiled, known):
                self._note(compiled, deed)

    def findings(self, rule: str) -> list[Finding]:
        """What `rule` found, in the order of time."""
        found = [one for one in (*self._days.values(), *self._stretches) if one.rule == rule]
        return sorted(found, key=lambda one: (one.first, one.last, one.who.actor))

    def _known(self, deed: Deed) -> Mapping[str, Value]:
        said, closed = deed.said, self._cases.closed_at(deed)
        return {name: str(getattr(said, name) or "") for name in CODES} | {
            "read": deed.read,
            "refused": deed.refused,
            "has_case": said.case is not None or said.record is not None,
            "case_closed": closed is not None,
            "hours_since_closed": 0 if closed is None else (deed.at - closed) // _HOUR,
            "other_station": self._cases.elsewhere(deed),
            "declared_tie": deed.tied,
            "working_time": self._working(deed.at),
        }

    def _holds(self, compiled: CompiledRule, known: Mapping[str, Value]) -> bool:
        """Whether a rule holds; most of what is done is, to the rules, like something that was done before."""
        asked = (compiled.rule.id, *(known[name] for name in compiled.names))
        if asked not in self._answers:
            self._answers[asked] = compiled.holds(known)
        return self._answers[asked]

    def _working(self, at: datetime) -> bool:
        hours, local = self._conduct.published.working_time, at.astimezone(self._conduct.zone)
        worked = self._worked(local.date()) if hours.published_calendar else None
        if worked is None:
            worked = local.isoweekday() in hours.weekdays
        return worked and hours.begins <= local.strftime("%H:%M") < hours.ends

    def _note(self, compiled: CompiledRule, deed: Deed) -> None:
        rule, who = compiled.rule, who_did(deed)
        if rule.within is None:
            if deed.at >= self._since:
                day = (rule.id, who, deed.at.astimezone(self._conduct.zone).date())
                _cite(self._days.setdefault(day, Finding(rule.id, who, deed.at, deed.at)), [deed])
            return
        count = self._counts.setdefault((rule.id, who.actor), _Count(rule.within))
        number = count.add(deed)
        if number < (rule.within.subjects or rule.within.entries or 1) or deed.at < self._since:
            return
        if count.stretch is None:
            count.stretch = Finding(rule.id, who, count.deeds[0].at, deed.at)
            self._stretches.append(count.stretch)
        _cite(count.stretch, count.not_cited())
        count.stretch.reached = max(count.stretch.reached or 0, number)


class _Count:
    """What one actor did within the last minutes, and the finding in which the latest of it is cited."""

    def __init__(self, within: Within) -> None:
        self.deeds: deque[Deed] = deque()
        self.stretch: Finding | None = None
        self._within = timedelta(minutes=within.minutes)
        self._of_subjects = within.subjects is not None
        self._subjects: Counter[UUID] = Counter()
        self._cited = 0

    def add(self, deed: Deed) -> int:
        """Count `deed` in and what is too long ago out; how many subjects, or entries, there are then."""
        self.deeds.append(deed)
        self._subjects.update(deed.subjects)
        while self.deeds[0].at <= deed.at - self._within:
            self._subjects.subtract(gone := self.deeds.popleft().subjects)
            for subject in gone:
                if not self._subjects[subject]:
                    del self._subjects[subject]
            self._cited = max(0, self._cited - 1)
            if not self._cited:
                self.stretch = None  # nothing of it is left: what comes is another one
        return len(self._subjects) if self._of_subjects else len(self.deeds)

    def not_cited(self) -> Iterable[Deed]:
        """The deeds that were not cited yet; from now on they are."""
        fresh = [self.deeds[at] for at in range(self._cited, len(self.deeds))]
        self._cited = len(self.deeds)
        return fresh


def who_did(deed: Deed) -> Who:
    """The actor of a deed that is watched."""
    said = deed.said
    return Who(deed.actor, said.role, said.agency, said.station)


def _cite(finding: Finding, deeds: Iterable[Deed]) -> None:
    for deed in deeds:
        finding.cited.append(Cited(deed.entry_id, deed.index))
        finding.last = max(finding.last, deed.at)
