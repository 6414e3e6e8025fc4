"""Steps: departments and the station move tasks, on the version that they saw, and everybody concerned is told."""

import asyncio
from uuid import uuid4

import pytest

from doorstep.contracts.codes import BusinessStatus, Department, Outcome, Reason, TaskState
from doorstep.referral.errors import (
    ArbiterMustAssign,
    AssignmentBinds,
    NothingToRoute,
    OtherSideMustConfirm,
    RejectedThere,
    RequestUnknown,
    SecondPersonMustConfirm,
    VersionStale,
)
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.tasks import Wish, transition_task


async def test_a_task_is_accepted_worked_and_completed_with_an_outcome(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.IN_PROGRESS, business_status=BusinessStatus.APPOINTMENT_SCHEDULED)
    done = await desk.step(task, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED, note="合同已审查")
    assert (done.state, done.version) == ("completed", 4)
    events = await desk.published("referral.tasks", task.subject_id)
    moves = [(event["from_state"], event["to_state"], event["version"]) for event in events[1:]]
    assert moves == [
        ("requested", "accepted", 2),
        ("accepted", "in-progress", 3),
        ("in-progress", "completed", 4),
    ]
    assert (await desk.task(task.need_id)).closed_at == desk.now
    logged = [(entry["action"], entry["outcome"]) for entry in await desk.logged(task.subject_id)]
    assert logged == [
        ("open-request", "done"),
        ("transition-task", "accepted"),
        ("transition-task", "in-progress"),
        ("transition-task", "completed"),
    ]
    assert "合同已审查" not in str(
        await desk.rows("SELECT body, convert_from(body, 'UTF8') FROM outbox WHERE recipient IS NULL")
    )


async def test_the_history_keeps_every_version(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.FAILED, reason=Reason.NOT_SOLVABLE)
    rows = await desk.rows(
        "SELECT version, from_state, to_state, party FROM task_transition WHERE task_id = :id ORDER BY version",
        id=task.task_id,
    )
    assert [tuple(row) for row in rows] == [
        (1, None, "requested", "station"),
        (2, "requested", "accepted", "department"),
        (3, "accepted", "failed", "department"),
    ]


async def test_a_stale_version_is_refused_and_nothing_is_told(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.ACCEPTED)
    with pytest.raises(VersionStale):
        await desk.step(task, TaskState.IN_PROGRESS, version=1)
    assert len(await desk.published("referral.tasks", task.subject_id)) == 2
    assert len(await desk.logged(task.subject_id)) == 2


async def test_of_simultaneous_steps_on_one_version_exactly_one_wins(desk) -> None:
    task = await desk.opened("legal-aid")
    results = await asyncio.gather(
        *(desk.step(task, TaskState.ACCEPTED, version=1) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(result, VersionStale) for result in results) == 5
    assert (await desk.task(task.need_id)).version == 2
    assert len(await desk.published("referral.tasks", task.subject_id)) == 2


@pytest.mark.parametrize("department", [entry for entry in Department if entry is not Department.JUSTICE])
async def test_another_departments_task_is_as_unknown_as_no_task(desk, database, vault, department) -> None:
    task = await desk.opened("legal-aid")
    for ref in (task.ref, uuid4()):
        with pytest.raises(RequestUnknown):
            async with database.transaction() as session:
                await transition_task(
                    session,
                    vault=vault,
                    access=Access(desk.officer(department)),
                    department=department,
                    ref=ref,
                    wish=Wish(TaskState.ACCEPTED, 1),
                    now=desk.now,
                )


async def test_another_stations_request_is_unknown(desk) -> None:
    task = await desk.opened("legal-aid")
    with pytest.raises(RequestUnknown):
        await desk.station_step(task, TaskState.CANCELLED, station="station-8")


async def test_a_cancelled_offer_is_withdrawn_from_the_feed(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.station_step(task, TaskState.CANCELLED)
    offered, withdrawn = await desk.published("feed.justice", task.subject_id)
    assert offered["key"] == withdrawn["key"] == task.ref
    assert (withdrawn["type"], withdrawn["ref"]) == ("feed.request-withdrawn.v1", str(task.ref))


async def test_a_cancellation_at_work_waits_for_the_other_side(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.ACCEPTED)
    asked = await desk.station_step(task, TaskState.CANCELLED)
    assert (asked.state, asked.proposed, asked.version) == ("accepted", "cancelled", 3)
    assert len(await desk.published("feed.justice", task.subject_id)) == 1
    with pytest.raises(OtherSideMustConfirm):
        await desk.station_step(task, TaskState.CANCELLED, principal=desk.second)
    done = await desk.step(task, TaskState.CANCELLED)
    assert (done.state, done.proposed, done.version) == ("cancelled", None, 4)
    logged = [entry["outcome"] for entry in await desk.logged(task.subject_id)]
    assert logged[-2:] == ["accepted", "cancelled"]  # a proposal leaves the task where it is
    assert len(await desk.published("feed.justice", task.subject_id)) == 2


async def test_the_residents_withdrawal_waits_for_nobody(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.ACCEPTED)
    done = await desk.station_step(task, TaskState.CANCELLED, reason=Reason.RESIDENT_WITHDREW)
    assert done.state == "cancelled"
    assert len(await desk.published("feed.justice", task.subject_id)) == 2


async def test_a_closed_request_is_corrected_by_two_persons(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.COMPLETED, outcome=Outcome.ADVICE_GIVEN)
    asked = await desk.station_step(task, TaskState.ENTERED_IN_ERROR, reason=Reason.WRONG_RECORD)
    assert asked.state == "completed"
    with pytest.raises(SecondPersonMustConfirm):
        await desk.station_step(task, TaskState.ENTERED_IN_ERROR, reason=Reason.WRONG_RECORD)
    done = await desk.station_step(task, TaskState.ENTERED_IN_ERROR, reason=Reason.WRONG_RECORD, principal=desk.second)
    assert done.state == "entered-in-error"


async def test_a_rejected_request_is_handed_to_another_department(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    with pytest.raises(RejectedThere):
        await desk.hand_on(task, "justice")
    moved = await desk.hand_on(task, "civil-affairs")
    assert [one["outcome"] for one in await desk.logged(task.subject_id)] == ["done", "rejected", "requested"]
    other = await desk.task(task.need_id)
    assert (other.department, other.sequence, other.version, other.state) == ("civil-affairs", 2, 3, "requested")
    assert other.ref == moved.ref != task.ref
    assert other.complete_by == task.complete_by
    event = (await desk.published("referral.tasks", task.subject_id))[-1]
    assert (event["from_state"], event["to_state"]) == ("draft", "requested")
    assert event["task_id"] == str(other.task_id)
    [offered] = await desk.published("feed.civil-affairs", task.subject_id)
    assert offered["offer"]["document_number"] == "110101194803070028"


async def test_after_two_rejections_the_arbiter_assigns_for_good(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    await desk.hand_on(task, "civil-affairs")
    second = await desk.task(task.need_id)
    await desk.step(second, TaskState.REJECTED, reason=Reason.NOT_OURS)
    with pytest.raises(ArbiterMustAssign):
        await desk.hand_on(task, "labour")
    await desk.hand_on(task, "justice", arbiter=True)
    third = await desk.task(task.need_id)
    assert third.assigned
    assert third.ref != task.ref
    with pytest.raises(AssignmentBinds):
        await desk.step(third, TaskState.REJECTED, reason=Reason.NOT_OURS)
    assert (await desk.step(third, TaskState.ACCEPTED)).state == "accepted"


async def test_two_who_hand_on_at_once_make_one_task(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    results = await asyncio.gather(
        desk.hand_on(task, "labour", version=2), desk.hand_on(task, "health", version=2), return_exceptions=True
    )
    assert sum(isinstance(result, VersionStale) for result in results) == 1
    assert (await desk.task(task.need_id)).sequence == 2


async def test_what_a_department_works_on_is_not_handed_on(desk) -> None:
    task = await desk.opened("legal-aid")
    with pytest.raises(NothingToRoute):
        await desk.hand_on(task, "labour")
