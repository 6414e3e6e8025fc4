"""The state machine against the published table, walked over every pair of states by every party."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import BusinessStatus, TaskState
from doorstep.referral.domain.states import (
    FINAL,
    OPEN,
    STATUS_BESIDE,
    Party,
    Proposal,
    Standing,
    Step,
    decide,
)
from doorstep.referral.errors import (
    AssignmentBinds,
    NoSuchTransition,
    NotThisParty,
    OtherSideMustConfirm,
    OutcomeMissing,
    ReasonMissing,
    SecondPersonMustConfirm,
    StatusContradicts,
    TransitionRefused,
)

# The published table written a second time, by hand, in letters: d department, s station, r resident;
# a capital letter waits for somebody's word.
PUBLISHED = {
    ("draft", "requested"): "s",
    ("draft", "cancelled"): "r",
    ("draft", "entered-in-error"): "s",
    ("requested", "accepted"): "d",
    ("requested", "rejected"): "d",
    ("requested", "cancelled"): "sr",
    ("requested", "entered-in-error"): "s",
    ("accepted", "in-progress"): "d",
    ("accepted", "on-hold"): "d",
    ("accepted", "completed"): "d",
    ("accepted", "failed"): "d",
    ("accepted", "cancelled"): "DSr",
    ("accepted", "entered-in-error"): "s",
    ("in-progress", "on-hold"): "d",
    ("in-progress", "completed"): "d",
    ("in-progress", "failed"): "d",
    ("in-progress", "cancelled"): "DSr",
    ("in-progress", "entered-in-error"): "s",
    ("on-hold", "in-progress"): "d",
    ("on-hold", "completed"): "d",
    ("on-hold", "failed"): "d",
    ("on-hold", "cancelled"): "dsr",
    ("on-hold", "entered-in-error"): "s",
    ("rejected", "entered-in-error"): "S",
    ("completed", "entered-in-error"): "S",
    ("failed", "entered-in-error"): "S",
    ("cancelled", "entered-in-error"): "S",
}
WALK = list(itertools.product(TaskState, TaskState, Party))


def full_step(to: TaskState, party: Party, person: str = "one") -> Step:
    """A step that brings everything a row could demand."""
    return Step(to=to, party=party, person=person, reason="duplicate", outcome="help-given")


@pytest.mark.parametrize(("source", "target", "party"), WALK, ids=lambda value: value.value)
def test_every_pair_by_every_party_is_as_published(source: TaskState, target: TaskState, party: Party) -> None:
    letters = PUBLISHED.get((source.value, target.value), "")
    step = full_step(target, party)
    if party.value[0] in letters:
        assert decide(Standing(source), step) == Standing(target)
    elif party.value[0].upper() in letters:
        asked = decide(Standing(source), step)
        assert asked == Standing(source, proposal=Proposal(target, party, "one", "duplicate"))
    else:
        refusal = NotThisParty if letters else NoSuchTransition
        with pytest.raises(refusal):
            decide(Standing(source), step)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_changes_only_to_entered_in_error(state: TaskState) -> None:
    targets = {target for source, target in PUBLISHED if source == state.value}
    assert targets <= {"entered-in-error"}


@pytest.mark.parametrize("state", sorted(OPEN))
def test_withdrawal_takes_effect_at_once_from_every_open_state(state: TaskState) -> None:
    done = decide(Standing(state), Step(TaskState.CANCELLED, Party.RESIDENT, "station-1", "resident-withdrew"))
    assert done.state is TaskState.CANCELLED
    assert done.proposal is None


@pytest.mark.parametrize(("source", "target"), sorted(PUBLISHED))
def test_a_reason_or_an_outcome_is_demanded_where_the_table_says(source: str, target: str) -> None:
    party = {"d": Party.DEPARTMENT, "s": Party.STATION, "r": Party.RESIDENT}[PUBLISHED[source, target][0].lower()]
    bare = Step(TaskState(target), party, "one")
    if target in {"rejected", "on-hold", "failed", "cancelled", "entered-in-error"}:
        with pytest.raises(ReasonMissing):
            decide(Standing(TaskState(source)), bare)
    elif target == "completed":
        with pytest.raises(OutcomeMissing):
            decide(Standing(TaskState(source)), bare)
    else:
        assert decide(Standing(TaskState(source)), bare).state == target


@pytest.mark.parametrize("state", [TaskState.ACCEPTED, TaskState.IN_PROGRESS])
@pytest.mark.parametrize("first", [Party.STATION, Party.DEPARTMENT])
def test_a_cancellation_takes_both_sides(state: TaskState, first: Party) -> None:
    second = Party.DEPARTMENT if first is Party.STATION else Party.STATION
    asked = decide(Standing(state), full_step(TaskState.CANCELLED, first))
    assert asked.state is state
    with pytest.raises(OtherSideMustConfirm):
        decide(asked, full_step(TaskState.CANCELLED, first, person="two"))
    confirmed = decide(asked, Step(TaskState.CANCELLED, second, "two"))
    assert confirmed == Standing(TaskState.CANCELLED)


def test_going_on_with_the_work_answers_a_proposed_cancellation_with_no() -> None:
    asked = decide(Standing(TaskState.ACCEPTED), full_step(TaskState.CANCELLED, Party.STATION))
    worked = decide(asked, full_step(TaskState.IN_PROGRESS, Party.DEPARTMENT))
    assert worked == Standing(TaskState.IN_PROGRESS)
    again = decide(worked, full_step(TaskState.CANCELLED, Party.DEPARTMENT))
    assert again.state is TaskState.IN_PROGRESS


def test_a_note_on_the_work_leaves_a_proposed_cancellation_standing() -> None:
    asked = decide(Standing(TaskState.ACCEPTED), full_step(TaskState.CANCELLED, Party.STATION))
    noted = decide(
        asked, Step(TaskState.ACCEPTED, Party.DEPARTMENT, "two", business_status=BusinessStatus.COULD_NOT_REACH)
    )
    assert noted.proposal == asked.proposal


@pytest.mark.parametrize("state", sorted(FINAL - {TaskState.ENTERED_IN_ERROR}))
def test_a_final_state_is_corrected_by_two_persons_of_the_station(state: TaskState) -> None:
    asked = decide(Standing(state), full_step(TaskState.ENTERED_IN_ERROR, Party.STATION, "one"))
    assert asked.state is state
    with pytest.raises(SecondPersonMustConfirm):
        decide(asked, full_step(TaskState.ENTERED_IN_ERROR, Party.STATION, "one"))
    done = decide(asked, full_step(TaskState.ENTERED_IN_ERROR, Party.STATION, "two"))
    assert done == Standing(TaskState.ENTERED_IN_ERROR)


def test_an_assigned_task_cannot_be_rejected() -> None:
    with pytest.raises(AssignmentBinds):
        decide(Standing(TaskState.REQUESTED, assigned=True), full_step(TaskState.REJECTED, Party.DEPARTMENT))
    assert decide(
        Standing(TaskState.REQUESTED, assigned=True), full_step(TaskState.ACCEPTED, Party.DEPARTMENT)
    ).assigned


@pytest.mark.parametrize(("state", "status"), list(itertools.product(TaskState, BusinessStatus)))
def test_a_contradicting_business_status_is_refused(state: TaskState, status: BusinessStatus) -> None:
    sources = [source for source, target in PUBLISHED if target == state.value]
    for source in sources:
        party = {"d": Party.DEPARTMENT, "s": Party.STATION, "r": Party.RESIDENT}[
            PUBLISHED[source, state.value][0].lower()
        ]
        step = Step(state, party, "one", "duplicate", "help-given", status)
        if status in STATUS_BESIDE[state]:
            assert isinstance(decide(Standing(TaskState(source)), step), Standing)
        else:
            with pytest.raises(StatusContradicts):
                decide(Standing(TaskState(source)), step)


def test_what_is_only_requested_has_not_been_attended() -> None:
    assert BusinessStatus.ATTENDED not in STATUS_BESIDE[TaskState.REQUESTED]
    with pytest.raises(StatusContradicts):
        decide(
            Standing(TaskState.DRAFT),
            Step(TaskState.REQUESTED, Party.STATION, "one", business_status=BusinessStatus.ATTENDED),
        )


def test_a_business_status_is_noted_without_a_change_of_state_by_the_department_alone() -> None:
    step = Step(TaskState.IN_PROGRESS, Party.DEPARTMENT, "two", business_status=BusinessStatus.APPOINTMENT_SCHEDULED)
    noted = decide(Standing(TaskState.IN_PROGRESS), step)
    assert noted == Standing(TaskState.IN_PROGRESS, BusinessStatus.APPOINTMENT_SCHEDULED)
    with pytest.raises(NotThisParty):
        decide(
            Standing(TaskState.IN_PROGRESS),
            Step(TaskState.IN_PROGRESS, Party.STATION, "one", business_status=BusinessStatus.ATTENDED),
        )
    with pytest.raises(StatusContradicts):
        decide(
            Standing(TaskState.IN_PROGRESS),
            Step(TaskState.IN_PROGRESS, Party.DEPARTMENT, "one", business_status=BusinessStatus.NO_CAPACITY),
        )


@given(
    st.lists(
        st.builds(
            Step,
            to=st.sampled_from(TaskState),
            party=st.sampled_from(Party),
            person=st.sampled_from(["one", "two"]),
            reason=st.sampled_from([None, "duplicate"]),
            outcome=st.sampled_from([None, "help-given"]),
            business_status=st.none() | st.sampled_from(BusinessStatus),
        ),
        max_size=30,
    )
)
def test_no_walk_ever_contradicts_itself_or_leaves_a_final_state_alone(steps: list[Step]) -> None:
    standing = Standing(TaskState.DRAFT)
    for step in steps:
        try:
            after = decide(standing, step)
        except TransitionRefused:
            continue
        assert after.business_status is None or after.business_status in STATUS_BESIDE[after.state]
        if standing.state in FINAL:
            assert after.state in {standing.state, TaskState.ENTERED_IN_ERROR}
        if after.proposal is not None:
            assert (after.state.value, after.proposal.to.value) in PUBLISHED
        standing = after
