"""The state machine of a task, as data, and the one function that reads it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from doorstep.contracts.codes import BusinessStatus, TaskState
from doorstep.referral.errors import (
    AssignmentBinds,
    NoSuchTransition,
    NotThisParty,
    OtherSideMustConfirm,
    OutcomeMissing,
    ReasonMissing,
    SecondPersonMustConfirm,
    StatusContradicts,
)


class Party(StrEnum):
    """Who takes a step. The resident acts through the station, and needs nobody's consent."""

    STATION = "station"
    DEPARTMENT = "department"
    RESIDENT = "resident"


class Demand(StrEnum):
    """What a step must bring with it."""

    NOTHING = "nothing"
    REASON = "reason"
    OUTCOME = "outcome"


class Consent(StrEnum):
    """Whose word a step still waits for."""

    NONE = "none"
    OTHER_PARTY = "other-party"
    SECOND_PERSON = "second-person"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table."""

    source: TaskState
    target: TaskState
    parties: frozenset[Party]
    demand: Demand = Demand.NOTHING
    consent: Consent = Consent.NONE


FINAL = frozenset(
    {TaskState.REJECTED, TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED, TaskState.ENTERED_IN_ERROR}
)
OPEN = frozenset(TaskState) - FINAL
WORKING = frozenset({TaskState.ACCEPTED, TaskState.IN_PROGRESS, TaskState.ON_HOLD})

_STATION = frozenset({Party.STATION})
_DEPARTMENT = frozenset({Party.DEPARTMENT})
_EITHER = _STATION | _DEPARTMENT
_RESIDENT = frozenset({Party.RESIDENT})


def _table() -> Iterable[Transition]:
    """The published table, row by row."""
    yield Transition(TaskState.DRAFT, TaskState.REQUESTED, _STATION)
    yield Transition(TaskState.REQUESTED, TaskState.ACCEPTED, _DEPARTMENT)
    yield Transition(TaskState.REQUESTED, TaskState.REJECTED, _DEPARTMENT, Demand.REASON)
    yield Transition(TaskState.REQUESTED, TaskState.CANCELLED, _STATION, Demand.REASON)
    for source in (TaskState.ACCEPTED, TaskState.IN_PROGRESS):
        yield Transition(source, TaskState.ON_HOLD, _DEPARTMENT, Demand.REASON)
        yield Transition(source, TaskState.CANCELLED, _EITHER, Demand.REASON, Consent.OTHER_PARTY)
    for source in (TaskState.ACCEPTED, TaskState.ON_HOLD):
        yield Transition(source, TaskState.IN_PROGRESS, _DEPARTMENT)
    for source in (TaskState.ACCEPTED, TaskState.IN_PROGRESS, TaskState.ON_HOLD):
        yield Transition(source, TaskState.COMPLETED, _DEPARTMENT, Demand.OUTCOME)
        yield Transition(source, TaskState.FAILED, _DEPARTMENT, Demand.REASON)
    yield Transition(TaskState.ON_HOLD, TaskState.CANCELLED, _EITHER, Demand.REASON)
    for source in OPEN:
        yield Transition(source, TaskState.CANCELLED, _RESIDENT, Demand.REASON)
        yield Transition(source, TaskState.ENTERED_IN_ERROR, _STATION, Demand.REASON)
    for source in FINAL - {TaskState.ENTERED_IN_ERROR}:
        yield Transition(source, TaskState.ENTERED_IN_ERROR, _STATION, Demand.REASON, Consent.SECOND_PERSON)


TABLE: tuple[Transition, ...] = tuple(_table())
_BY_PARTY = {(row.source, row.target, party): row for row in TABLE for party in row.parties}
_PAIRS = frozenset((row.source, row.target) for row in TABLE)

#: Which business status may stand beside which state; everything else contradicts itself.
STATUS_BESIDE: dict[TaskState, frozenset[BusinessStatus]] = {
    TaskState.DRAFT: frozenset({BusinessStatus.REOPENED}),
    TaskState.REQUESTED: frozenset({BusinessStatus.REOPENED}),
    TaskState.ACCEPTED: frozenset(
        {
            BusinessStatus.APPOINTMENT_SCHEDULED,
            BusinessStatus.COULD_NOT_REACH,
            BusinessStatus.WAITING_FOR_RESIDENT,
            BusinessStatus.REOPENED,
        }
    ),
    TaskState.IN_PROGRESS: frozenset(
        {
            BusinessStatus.APPOINTMENT_SCHEDULED,
            BusinessStatus.ATTENDED,
            BusinessStatus.NOT_ATTENDED,
            BusinessStatus.WAITING_FOR_RESIDENT,
            BusinessStatus.COULD_NOT_REACH,
        }
    ),
    TaskState.ON_HOLD: frozenset(
        {
            BusinessStatus.NOT_ATTENDED,
            BusinessStatus.WAITING_FOR_RESIDENT,
            BusinessStatus.COULD_NOT_REACH,
            BusinessStatus.NO_CAPACITY,
        }
    ),
    TaskState.REJECTED: frozenset({BusinessStatus.NO_CAPACITY}),
    TaskState.COMPLETED: frozenset({BusinessStatus.ATTENDED}),
    TaskState.FAILED: frozenset(
        {BusinessStatus.NOT_ATTENDED, BusinessStatus.COULD_NOT_REACH, BusinessStatus.NO_CAPACITY}
    ),
    TaskState.CANCELLED: frozenset({BusinessStatus.RESIDENT_NO_LONGER_WANTS}),
    TaskState.ENTERED_IN_ERROR: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A step that waits for somebody else's word."""

    to: TaskState
    party: Party
    person: str
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a task stands."""

    state: TaskState
    business_status: BusinessStatus | None = None
    assigned: bool = False
    proposal: Proposal | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What somebody wants to do with a task."""

    to: TaskState
    party: Party
    person: str
    reason: str | None = None
    outcome: str | None = None
    business_status: BusinessStatus | None = None
    progress: str | None = None


def find(source: TaskState, target: TaskState, party: Party) -> Transition:
    """The row of the table for this step.

    Raises NoSuchTransition when nobody may take it, NotThisParty when somebody else may.
    """
    row = _BY_PARTY.get((source, target, party))
    if row is not None:
        return row
    refusal = NotThisParty if (source, target) in _PAIRS else NoSuchTransition
    raise refusal(source=source.value, to=target.value, party=party.value)


def contradicts(state: TaskState, status: BusinessStatus | None) -> bool:
    """Whether a business status cannot stand beside a state."""
    return status is not None and status not in STATUS_BESIDE[state]


def decide(standing: Standing, step: Step) -> Standing:
    """Where the task stands after the step; raises a TransitionRefused when it does not make it.

    A step that waits for somebody's consent leaves the state and puts a proposal beside it. Any other step that
    is taken meanwhile answers the proposal with no. The business status of the old state is not carried over.
    """
    if step.to is standing.state:
        return _note_status(standing, step)
    row = find(standing.state, step.to, step.party)
    proposal = standing.proposal if standing.proposal and standing.proposal.to is step.to else None
    _check_demand(row, step, proposal)
    if standing.assigned and step.to is TaskState.REJECTED:
        raise AssignmentBinds
    if contradicts(step.to, step.business_status):
        raise StatusContradicts(to=step.to.value, business_status=step.business_status)
    if not _consented(row, step, proposal):
        asked = Proposal(step.to, step.party, step.person, step.reason or "")
        return Standing(standing.state, standing.business_status, standing.assigned, asked)
    return Standing(step.to, step.business_status, standing.assigned)


def _check_demand(row: Transition, step: Step, proposal: Proposal | None) -> None:
    """Raises when the step lacks what the row demands; a confirmation inherits the proposal's reason."""
    if row.demand is Demand.REASON and not step.reason and proposal is None:
        raise ReasonMissing(to=row.target.value)
    if row.demand is Demand.OUTCOME and not step.outcome:
        raise OutcomeMissing(to=row.target.value)


def _consented(row: Transition, step: Step, proposal: Proposal | None) -> bool:
    """Whether the step takes effect now; raises when the proposer tries to confirm."""
    if row.consent is Consent.NONE:
        return True
    if proposal is None:
        return False
    if row.consent is Consent.OTHER_PARTY and proposal.party is step.party:
        raise OtherSideMustConfirm(proposed_by=proposal.party.value)
    if row.consent is Consent.SECOND_PERSON and proposal.person == step.person:
        raise SecondPersonMustConfirm
    return True


def _note_status(standing: Standing, step: Step) -> Standing:
    """The same state with another business status, or a report of progress: the department's, while it is at work."""
    status = step.business_status or (standing.business_status if step.progress else None)
    if standing.state not in WORKING or (status is None and step.progress is None):
        raise NoSuchTransition(source=standing.state.value, to=step.to.value, party=step.party.value)
    if step.party is not Party.DEPARTMENT:
        raise NotThisParty(source=standing.state.value, to=step.to.value, party=step.party.value)
    if contradicts(step.to, step.business_status):
        raise StatusContradicts(to=step.to.value, business_status=step.business_status)
    return Standing(standing.state, status, standing.assigned, standing.proposal)
