"""Routes: every need type has a department or a human, and no task is bounced for ever."""

import pytest

from doorstep.contracts.codes import Department, TaskState
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.routing import Assignment, hand_on, route
from doorstep.referral.errors import ArbiterMustAssign, DepartmentUnknown, NothingToRoute, RejectedThere


@pytest.mark.parametrize("code", sorted(NEED_TYPES))
def test_every_published_need_has_its_department(code: str) -> None:
    assert route(code) is NEED_TYPES[code].department


def test_an_unknown_need_waits_for_a_human() -> None:
    assert route("a-need-of-tomorrow") is None
    assert hand_on(TaskState.DRAFT, "health", [], arbiter=False) == Assignment(Department.HEALTH)


def test_a_rejected_task_goes_to_another_department() -> None:
    assert hand_on(TaskState.REJECTED, "fire", ["health"], arbiter=False) == Assignment(Department.FIRE)
    with pytest.raises(RejectedThere):
        hand_on(TaskState.REJECTED, "health", ["health"], arbiter=False)


def test_after_two_rejections_the_arbiter_assigns_and_it_binds() -> None:
    with pytest.raises(ArbiterMustAssign):
        hand_on(TaskState.REJECTED, "labour", ["health", "fire"], arbiter=False)
    assert hand_on(TaskState.REJECTED, "health", ["health", "fire"], arbiter=True) == Assignment(
        Department.HEALTH, True
    )


def test_before_two_rejections_even_the_arbiter_does_not_bind() -> None:
    assert not hand_on(TaskState.REJECTED, "fire", ["health"], arbiter=True).binding


@pytest.mark.parametrize("state", sorted(set(TaskState) - {TaskState.DRAFT, TaskState.REJECTED}))
def test_what_a_department_has_is_not_handed_on(state: TaskState) -> None:
    with pytest.raises(NothingToRoute):
        hand_on(state, "fire", [], arbiter=True)


@pytest.mark.parametrize("target", ["police", "unrouted", "", None])
def test_only_departments_take_requests(target: str | None) -> None:
    with pytest.raises(DepartmentUnknown):
        hand_on(TaskState.REJECTED, target, ["health"], arbiter=False)
