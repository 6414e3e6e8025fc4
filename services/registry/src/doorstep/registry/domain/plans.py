"""Care plans: levels, grounds, who decides, and where a plan stands, computed from stored times when it is read.

Invariants: what is no cause of the catalogue below is no ground, and what must be none cannot be entered there; nothing
is fired, a plan that nobody renewed in time has lapsed whoever looks; whatever prolongs a plan counts as a renewal.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from uuid import UUID

from doorstep.contracts.codes import STATION, Department
from doorstep.contracts.facts import Fact
from doorstep.contracts.needs import NEED_TYPES, wish_for
from doorstep.contracts.never import refuse_forbidden

CONSENT = "consent.care-plan"
WITHDRAWING = frozenset({CONSENT, "consent.service"})
"""Consents without which there is no plan: a no to one of them, told in any record, ends it."""

TEAM_AT_LEAST = 2
PANEL_AT_LEAST = 3
RENEWALS_BY_PANEL = 2
"""So many renewals a panel decides in a row; the next ones an independent reviewer."""
DECIDE_WITHIN = timedelta(days=14)
"""What is not decided by then is not decided any more."""
ANSWER_WITHIN = timedelta(days=15)
KEPT = timedelta(days=365)
"""So long after its last proposal what is left of a plan is kept, which was over long before."""

_NO_GROUNDS = re.compile(
    r"grievance|disput|quarrel|mediat|arbitrat|(?:^|[^a-z])debts?(?:[^a-z]|$)|arrears|wage|legal-aid|releas|resettle"
    r"|violen|harm to|矛盾|纠纷|调解|仲裁|债|欠|讨薪|法律援助|释放|安置帮教|暴力|伤害他人"
)


class NoGround(ValueError):
    """This is no ground of a care plan: a dispute, a debt, what somebody was released from, what they asked others."""


@dataclass(frozen=True)
class Cause:
    """A ground of a care plan: a serious need that is not met, and the department that answers for it."""

    code: str
    department: Department
    zh: str
    en: str

    def __post_init__(self) -> None:
        """Raise NoGround, or NeverNamed, for what is no ground."""
        refuse_forbidden(self.code, self.zh, self.en)
        if not is_ground(self.code, self.zh, self.en):
            raise NoGround(f"{self.code} is no ground of a care plan")


def is_ground(*names: str) -> bool:
    """Whether what is called so may stand for a need that is not met, and is not what is no ground."""
    return not any(_NO_GROUNDS.search(name.lower()) for name in names)


def is_confidential(code: str) -> bool:
    """Whether a fact is the wish for what is confidential, of which a plan's team is told nothing."""
    return any(need.confidential and wish_for(need.code) == code for need in NEED_TYPES.values())


def _cause(code: str) -> Cause:
    need = NEED_TYPES[code]
    return Cause(need.code, need.department, need.zh, need.en)


CAUSES: Mapping[str, Cause] = {
    code: _cause(code)
    for code in (
        "minimum-living-allowance",
        "temporary-relief",
        "no-heating",
        "chronic-illness-follow-up",
        "housing-repair",
        "structure-danger",
    )
}
"""The grounds that there are: need types, and not all of them."""

CauseCode = StrEnum("CauseCode", [(code.upper().replace("-", "_"), code) for code in CAUSES])  # type: ignore[misc]
"""The code of a cause, for the edge."""


def withdraws(facts: Iterable[Fact]) -> bool:
    """Whether somebody says with these facts that they take a consent back without which there is no plan."""
    return any(fact.code in WITHDRAWING and fact.value is False for fact in facts)


class Level(IntEnum):
    """How urgently help is owed. It is in a plan's own answers and nowhere else."""

    URGENT = 1
    ELEVATED = 2
    POTENTIAL = 3


class Meeting(StrEnum):
    """What two members of the team do together, and record."""

    CONTACT = "contact"
    CONFERENCE = "case-conference"
    ASSESSMENT = "assessment"


@dataclass(frozen=True)
class Terms:
    """What a level means: how often the team meets the person, confers and assesses at least, and when it lapses."""

    every: Mapping[Meeting, timedelta]
    lapses: timedelta


def _terms(contact: int, conference: int, assessment: int, lapses: int) -> Terms:
    days = {Meeting.CONTACT: contact, Meeting.CONFERENCE: conference, Meeting.ASSESSMENT: assessment}
    return Terms({meeting: timedelta(days=each) for meeting, each in days.items()}, timedelta(days=lapses))


TERMS: Mapping[Level, Terms] = {
    Level.URGENT: _terms(1, 1, 1, 14),
    Level.ELEVATED: _terms(7, 15, 30, 60),
    Level.POTENTIAL: _terms(14, 30, 60, 90),
}


class Step(StrEnum):
    """What is proposed."""

    ENTER = "enter"
    RENEW = "renew"
    CHANGE = "change"
    LEAVE = "leave"


class Ground(StrEnum):
    """Why somebody of a panel says yes or no, or how a reviewer answers a contest."""

    NEED_IS_SERIOUS = "need-is-serious"
    SEVERAL_SIDES_NEEDED = "several-sides-needed"
    CAUSE_UNRESOLVED = "cause-unresolved"
    CAUSE_RESOLVED = "cause-resolved"
    PERSON_WISHES_SO = "person-wishes-so"
    FACT_DOES_NOT_SHOW_IT = "fact-does-not-show-it"
    ONE_DEPARTMENT_SUFFICES = "one-department-suffices"
    LEVEL_DOES_NOT_FIT = "level-does-not-fit"
    CONSENT_IN_DOUBT = "consent-in-doubt"


class Standing(StrEnum):
    """Where a plan stands."""

    PROPOSED = "proposed"
    IN_FORCE = "in-force"
    OVER = "over"


@dataclass(frozen=True)
class Seat:
    """A place on a panel: who, by pseudonym, for which agency."""

    person: UUID
    agency: str


@dataclass(frozen=True)
class Proposed:
    """One proposal, as far as time decides on it: `agreed` is None until the panel is done."""

    step: Step
    level: Level | None
    proposed_at: datetime
    decided_at: datetime | None = None
    agreed: bool | None = None

    def waits(self, now: datetime) -> bool:
        """Whether it can still be decided."""
        return self.decided_at is None and now < self.proposed_at + DECIDE_WITHIN


@dataclass(frozen=True)
class Course:
    """A plan at one moment: its level, since when, until when, how often it was renewed, and what waits."""

    standing: Standing
    level: Level | None = None
    since: datetime | None = None
    until: datetime | None = None
    renewals: int = 0


_NOTHING = Course(Standing.OVER)


def course(proposals: Sequence[Proposed], *, ended: bool, now: datetime) -> Course:
    """Where a plan of these proposals, in the order in which they were made, stands at `now`.

    A change of the level counts as a renewal. Once over a plan stays so: what is decided later changes nothing.
    """
    found = _NOTHING
    if ended or not proposals:
        return found
    if proposals[0].waits(now):
        return Course(Standing.PROPOSED)
    for one in proposals:
        if not one.agreed or one.decided_at is None or one.decided_at > now:
            continue
        if one.step is Step.LEAVE or (found.until is not None and one.decided_at >= found.until):
            return _NOTHING
        level = one.level or found.level
        if level is None:
            return _NOTHING
        entering = one.step is Step.ENTER
        since = one.decided_at if entering else found.since
        until = one.decided_at + TERMS[level].lapses
        found = Course(Standing.IN_FORCE, level, since, until, 0 if entering else found.renewals + 1)
    return found if found.until is not None and now < found.until else _NOTHING


def independent(step: Step, renewals: int) -> bool:
    """Whether an independent reviewer decides on this alone, and no panel."""
    return step in (Step.RENEW, Step.CHANGE) and renewals >= RENEWALS_BY_PANEL


def seats_wrong(seats: Sequence[Seat], cause: Cause, *, alone: bool, proposer: UUID, before: Collection[UUID]) -> bool:
    """Whether these are not who decides: the station, the cause's department and one that is neither, or more.

    `alone` asks for one reviewer of the station who is none of those who had a part in the plan `before`. The proposer
    is never one of them, and nobody sits there twice.
    """
    people = {seat.person for seat in seats}
    if proposer in people or len(people) < len(seats):
        return True
    if alone:
        return [seat.agency for seat in seats] != [STATION] or not people.isdisjoint(before)
    agencies = {seat.agency for seat in seats}
    known = agencies <= {STATION, *Department}
    return not known or not agencies >= {STATION, cause.department} or len(agencies) < PANEL_AT_LEAST


def verdict(votes: Iterable[bool | None]) -> bool | None:
    """What a panel decided: one no is a no, yes takes everybody; None while others have to say it."""
    said = list(votes)
    if False in said:
        return False
    return None if None in said or not said else True


@dataclass(frozen=True)
class Held:
    """A meeting of the team as it counts: held when a second member confirmed it."""

    meeting: Meeting
    at: datetime
    confirmed: bool


def next_due(now_in_force: Course, held: Iterable[Held]) -> dict[Meeting, datetime]:
    """When each meeting is due next: counted from the last one that two members recorded, or from the beginning."""
    if now_in_force.level is None or now_in_force.since is None:
        return {}
    last = dict.fromkeys(Meeting, now_in_force.since)
    for one in held:
        if one.confirmed:
            last[one.meeting] = max(last[one.meeting], one.at)
    return {meeting: at + TERMS[now_in_force.level].every[meeting] for meeting, at in last.items()}
