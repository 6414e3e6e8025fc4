"""Parts of a request: one leads, others are added for other departments, and together they have one state.

Invariants: a part has one need type of its own department, so that nobody learns from theirs who has another; what is
confidential is no part of what is not, whose state whoever holds the follow code sees; protection from violence is a
request of its own, for what it bars is barred on the whole.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from doorstep.contracts.codes import Department, LegalBasis, TaskState
from doorstep.contracts.needs import NEED_TYPES, NeedType
from doorstep.referral.domain.states import OPEN
from doorstep.referral.errors import (
    ConsentMissing,
    NeedElsewhere,
    NothingOpen,
    PartConfidential,
    PartTaken,
    RejectedThere,
    TooManyParts,
)

#: The part of the department that owes the request's need: it leads (牵头).
LEAD = 1

#: So many parts a request has at most, those of before included.
MOST_PARTS = 12

_TAKEN_BACK = frozenset({TaskState.CANCELLED, TaskState.ENTERED_IN_ERROR})
_BEGUN = OPEN - {TaskState.DRAFT}
_UNDER_WAY = frozenset({TaskState.IN_PROGRESS, TaskState.COMPLETED, TaskState.FAILED})


@dataclass(frozen=True, slots=True)
class Held:
    """The live task of a part: who has it, and in which state."""

    department: str | None
    state: TaskState


@dataclass(frozen=True, slots=True)
class Whole:
    """A request to which a part is to be added; `rejected_by` are those who rejected any part of it."""

    held: Sequence[Held]
    rejected_by: Collection[str]
    confidential: bool
    parts: int


def together(states: Collection[TaskState]) -> TaskState:
    """The one state of a request whose parts' live tasks are in `states`; of one part its own.

    While a part is open the request is. It is in progress as soon as one part is, or was answered while others go on;
    what was taken back does not count beside others. Closed, it is as all parts are, and failed where they differ.
    """
    counted = [state for state in states if state not in _TAKEN_BACK] or list(states)
    if len(set(counted)) == 1:
        return counted[0]
    if not any(state in OPEN for state in counted):
        return TaskState.CANCELLED if set(counted) <= _TAKEN_BACK else TaskState.FAILED
    if set(counted) & _UNDER_WAY:
        return TaskState.IN_PROGRESS
    order = (TaskState.ACCEPTED, TaskState.ON_HOLD, TaskState.REQUESTED, TaskState.DRAFT)
    return next(state for state in order if state in counted)


def may_add(whole: Whole, department: Department, need_type: str, *, consented: bool) -> NeedType:
    """The need type of a part that the station wants to add for `department`.

    Raises NothingOpen, NeedElsewhere, PartTaken, RejectedThere, PartConfidential, ConsentMissing or TooManyParts.
    """
    if not any(one.state in _BEGUN for one in whole.held):
        raise NothingOpen
    need = NEED_TYPES.get(need_type)
    if need is None or need.department is not department:
        raise NeedElsewhere(department=department.value)
    if any(one.department == department and one.state in OPEN for one in whole.held):
        raise PartTaken(department=department.value)
    if department in whole.rejected_by:
        raise RejectedThere(department=department.value)
    if need.guarded or (need.confidential and not whole.confidential):
        raise PartConfidential
    if (need.legal_basis is LegalBasis.CONSENT or whole.confidential) and not consented:
        raise ConsentMissing
    if whole.parts >= MOST_PARTS:
        raise TooManyParts(most=MOST_PARTS)
    return need
