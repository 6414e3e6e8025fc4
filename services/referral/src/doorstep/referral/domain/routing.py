"""Which department owes which need, and who may hand a rejected task on."""

from collections.abc import Sequence
from dataclasses import dataclass

from doorstep.contracts.codes import Department, TaskState
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.errors import ArbiterMustAssign, DepartmentUnknown, NothingToRoute, RejectedThere

#: The station's queue of tasks that wait for a human to find their department.
UNROUTED = "unrouted"

#: So many rejections of one need, and it is the arbiter who assigns it.
REJECTIONS_BEFORE_ARBITER = 2

#: Need type -> department, as published.
ROUTES: dict[str, Department] = {code: need.department for code, need in NEED_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Assignment:
    """The department that has the task now; a `binding` one cannot be rejected."""

    department: Department
    binding: bool = False


def route(need_type: str) -> Department | None:
    """The department that owes this need; None sends it to the queue of the unrouted."""
    return ROUTES.get(need_type)


def hand_on(
    state: TaskState, target: str | None, rejected_by: Sequence[str], arbiter: bool, silent: bool = False
) -> Assignment:
    """Where a task goes next, by the word of the station or of the arbiter.

    `rejected_by` names the departments that rejected this need, once for each rejection; `silent` says that the
    department that has it did not answer in time.
    Raises NothingToRoute, DepartmentUnknown, RejectedThere or ArbiterMustAssign.
    """
    if state not in {TaskState.DRAFT, TaskState.REJECTED} and not silent:
        raise NothingToRoute(state=state.value)
    if target not in set(Department):
        raise DepartmentUnknown(department=target)
    department = Department(target)
    binding = len(rejected_by) >= REJECTIONS_BEFORE_ARBITER
    if binding and not arbiter:
        raise ArbiterMustAssign(rejections=len(rejected_by))
    if not binding and department in rejected_by:
        raise RejectedThere(department=department.value)
    return Assignment(department, binding)
