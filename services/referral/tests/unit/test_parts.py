"""Parts: which may be added, and the one state of several."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import Department, TaskState
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.parts import MOST_PARTS, Held, Whole, may_add, together
from doorstep.referral.domain.states import FINAL, OPEN
from doorstep.referral.errors import (
    ConsentMissing,
    NeedElsewhere,
    NothingOpen,
    PartConfidential,
    PartTaken,
    RejectedThere,
    TooManyParts,
)

WHOLE = Whole([Held("civil-affairs", TaskState.ACCEPTED)], [], confidential=False, parts=1)
JUSTICE, LABOUR = Department.JUSTICE, Department.LABOUR


def add(whole: Whole = WHOLE, department: Department = LABOUR, need: str = "work-training", consented: bool = True):
    return may_add(whole, department, need, consented=consented)


def test_a_part_is_a_need_type_of_its_own_department() -> None:
    for department, need in itertools.product(Department, NEED_TYPES.values()):
        if department is not need.department:
            with pytest.raises(NeedElsewhere):
                add(department=department, need=need.code)
    with pytest.raises(NeedElsewhere):
        add(need="a-need-of-tomorrow")
    assert add().code == "work-training"


@pytest.mark.parametrize(("change", "refusal"), [
    ({"held": [Held(None, TaskState.DRAFT)]}, NothingOpen),
    ({"held": [Held("civil-affairs", TaskState.COMPLETED), Held("health", TaskState.REJECTED)]}, NothingOpen),
    ({"held": [*WHOLE.held, Held("labour", TaskState.ON_HOLD)]}, PartTaken),
    ({"rejected_by": ["labour"]}, RejectedThere),
    ({"parts": MOST_PARTS}, TooManyParts),
])  # fmt: skip
def test_what_stands_against_a_part_is_named(change, refusal) -> None:
    with pytest.raises(refusal):
        add(replace(WHOLE, **change))


def test_what_rests_on_consent_needs_the_residents_word() -> None:
    with pytest.raises(ConsentMissing):
        add(consented=False)
    assert add(department=Department.FIRE, need="gas-leak", consented=False)


@pytest.mark.parametrize("need", ["legal-aid", "protection-from-violence"])
def test_what_is_confidential_is_no_part_of_what_is_not(need) -> None:
    with pytest.raises(PartConfidential):
        add(department=JUSTICE, need=need)
    among_its_like = replace(WHOLE, confidential=True)
    if NEED_TYPES[need].guarded:  # what it bars would have to be barred on the whole
        with pytest.raises(PartConfidential):
            add(among_its_like, JUSTICE, need)
    else:
        assert add(among_its_like, JUSTICE, need)


def test_who_closed_their_part_may_have_another() -> None:
    closed = replace(WHOLE, held=[*WHOLE.held, Held("labour", TaskState.COMPLETED)])
    assert add(closed)


@pytest.mark.parametrize(("states", "one"), [
    ("requested requested", "requested"),
    ("accepted requested", "accepted"),
    ("on-hold requested", "on-hold"),
    ("on-hold accepted", "accepted"),
    ("in-progress requested", "in-progress"),
    ("completed requested", "in-progress"),
    ("failed on-hold", "in-progress"),
    ("rejected requested", "requested"),
    ("rejected accepted", "accepted"),
    ("cancelled requested", "requested"),
    ("completed completed", "completed"),
    ("completed cancelled", "completed"),
    ("completed failed", "failed"),
    ("completed rejected", "failed"),
    ("rejected rejected", "rejected"),
    ("rejected cancelled", "rejected"),
    ("cancelled cancelled", "cancelled"),
    ("cancelled entered-in-error", "cancelled"),
])  # fmt: skip
def test_several_parts_have_one_state(states, one) -> None:
    found = [TaskState(state) for state in states.split()]
    assert together(found) == together(found[::-1]) == one


@given(st.lists(st.sampled_from(TaskState), min_size=1, max_size=6), st.randoms())
def test_whatever_the_parts_it_is_open_as_long_as_one_is_and_in_no_order(states, random) -> None:
    one = together(states)
    assert (one in OPEN) == any(state in OPEN for state in states)
    assert (one in FINAL) == all(state in FINAL for state in states)
    shuffled = states[:]
    random.shuffle(shuffled)
    assert together(shuffled) == one
    assert (one == "completed") <= ({"completed", "cancelled", "entered-in-error"} >= set(states))


@pytest.mark.parametrize("state", sorted(TaskState))
def test_the_state_of_one_part_is_its_own(state) -> None:
    assert together([state]) is state
