"""Appointments and interim reports: said by steps, kept in the history, without a price for whoever cannot come."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from doorstep.contracts.codes import (
    Barred,
    BusinessStatus,
    Department,
    Progress,
    Purpose,
    Reason,
    SafeChannel,
    TaskState,
)
from doorstep.contracts.intake import SafeContact
from doorstep.referral.domain.appointments import Appointment, Place
from doorstep.referral.errors import (
    AppointmentAhead,
    NoSuchTransition,
    NotThisParty,
    PlaceBarred,
    StatusContradicts,
    VersionStale,
    WindowRefused,
)
from doorstep.referral.operations import reading
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.appointments import Call, make_appointment
from doorstep.referral.operations.following import follow

SCHEDULED, ATTENDED, MISSED = (
    BusinessStatus.APPOINTMENT_SCHEDULED,
    BusinessStatus.ATTENDED,
    BusinessStatus.NOT_ATTENDED,
)
WORKING = TaskState.IN_PROGRESS
SAFE = SafeContact(
    channel=SafeChannel.PHONE, number="13900139000", hours_from="09:00", hours_to="11:00", cover="送水的"
)


def at(desk: Any, hours: float, place: Place = Place.OFFICE, lasts: float = 1) -> Appointment:
    """An appointment in so many hours."""
    starts = desk.now + timedelta(hours=hours)
    return Appointment(starts_at=starts, ends_at=starts + timedelta(hours=lasts), place=place)


async def begun(desk: Any, need_type: str = "wage-help", **how: Any) -> Any:
    """A task that its department works on, in version 3."""
    task = await desk.opened(need_type, **how)
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, WORKING)
    return task


async def call(desk: Any, task: Any, appointment: Appointment | None, *, version: int, **how: Any) -> Any:
    """The station makes an appointment, or says that there is none yet."""
    async with desk.database.transaction() as session:
        return await make_appointment(
            session,
            vault=desk.vault,
            access=Access(desk.second),
            station="station-7",
            request_id=task.request_id,
            call=Call(appointment, version, how.pop("for_resident", True), **how),
            now=desk.now,
        )


async def history(desk: Any, task: Any) -> list[tuple[Any, ...]]:
    """What the department is shown of each step: by whom, status, appointment, progress."""
    department = Department(task.department)
    access = Access(desk.officer(department), Purpose.SERVICE)
    async with desk.database.transaction() as session:
        shown = await reading.read_department_request(
            session, vault=desk.vault, access=access, department=department, ref=task.ref, now=desk.now
        )
    details = [(said.row.party, said.detail) for said in shown.history]
    return [(party, one.business_status, one.appointment, one.progress) for party, one in details]


async def test_an_appointment_is_made_moved_for_the_resident_and_attended(desk) -> None:
    task = await begun(desk)
    first, second = at(desk, 24), at(desk, 48, Place.BY_PHONE)
    moved = await desk.step(task, WORKING, business_status=SCHEDULED, appointment=first)
    assert (moved.state, moved.business_status, moved.version) == ("in-progress", SCHEDULED, 4)
    moved = await call(desk, task, None, version=4)
    assert (moved.business_status, moved.version) == (BusinessStatus.WAITING_FOR_RESIDENT, 5)
    moved = await call(desk, task, second, version=5, for_resident=False)
    assert (moved.state, moved.business_status, moved.version) == ("in-progress", SCHEDULED, 6)
    desk.now = second.starts_at
    await desk.step(task, WORKING, business_status=ATTENDED)
    assert (await history(desk, task))[3:] == [
        ("department", SCHEDULED, first, None),
        ("resident", BusinessStatus.WAITING_FOR_RESIDENT, None, None),
        ("station", SCHEDULED, second, None),
        ("department", ATTENDED, None, None),
    ]
    (kept,) = await desk.rows("SELECT detail FROM task_transition WHERE task_id = :id AND version = 4", id=task.task_id)
    assert b"office" not in bytes(kept.detail)
    events = [str(one) for one in await desk.published("referral.tasks", task.subject_id)]
    assert not [one for one in events if "by-phone" in one or first.starts_at.isoformat() in one]


async def test_who_did_not_come_twice_loses_nothing_and_only_a_human_puts_it_on_hold(desk) -> None:
    task = await begun(desk)
    for _ in range(2):
        made = at(desk, 2)
        await desk.step(task, WORKING, business_status=SCHEDULED, appointment=made)
        desk.now = made.ends_at
        missed = await desk.step(task, WORKING, business_status=MISSED)
        assert (missed.state, missed.proposed) == ("in-progress", None)
    after = await desk.task(task.need_id)
    for name in ("respond_by", "complete_by", "provisional", "closed_at", "assigned", "proposal", "department"):
        assert getattr(after, name) == getattr(task, name), name
    assert not [
        one for one in await desk.logged(task.subject_id) if one["outcome"] not in ("done", "accepted", WORKING)
    ]
    held = await desk.step(
        task, TaskState.ON_HOLD, reason=Reason.COULD_NOT_REACH, business_status=BusinessStatus.COULD_NOT_REACH
    )
    assert (held.state, held.business_status) == ("on-hold", BusinessStatus.COULD_NOT_REACH)
    await desk.step(task, WORKING, business_status=SCHEDULED, appointment=at(desk, 2))


async def shown(desk: Any, code: str) -> list[tuple[Appointment, ...]]:
    """The appointments of each request that a follow code shows."""
    async with desk.database.transaction() as session:
        index = desk.vault.follow_index(code)
        found = await follow(session, vault=desk.vault, follow_index=index, now=desk.now)
    return [one.appointments for one in found]


async def test_whoever_follows_sees_the_newest_appointment_until_it_is_over(desk) -> None:
    code = uuid4().hex
    task = await begun(desk, follow_code=code)
    assert await shown(desk, code) == [()]
    for hours in (20, 30):
        made = at(desk, hours)
        await desk.step(task, WORKING, business_status=SCHEDULED, appointment=made)
        assert await shown(desk, code) == [(made,)]
    await desk.step(task, WORKING, business_status=BusinessStatus.WAITING_FOR_RESIDENT)
    assert await shown(desk, code) == [()]
    made = at(desk, 2)
    await desk.step(task, WORKING, business_status=SCHEDULED, appointment=made)
    desk.now = made.ends_at
    assert await shown(desk, code) == [()]


@pytest.mark.parametrize("need_type", ["legal-aid", "health-advice", "protection-from-violence"])
async def test_by_code_no_appointment_is_shown_of_what_is_confidential_or_tells_by_its_department(
    desk, need_type
) -> None:
    code = uuid4().hex
    task = await begun(desk, need_type, follow_code=code, safe_contact=SAFE)
    await desk.step(task, WORKING, business_status=SCHEDULED, appointment=at(desk, 20))
    assert await shown(desk, code) == [()]


async def test_nobody_attends_or_misses_what_has_not_begun(desk) -> None:
    task = await begun(desk)
    await desk.step(task, WORKING, business_status=ATTENDED)  # without an appointment somebody may come
    await desk.step(task, WORKING, business_status=SCHEDULED, appointment=at(desk, 24))
    for status in (ATTENDED, MISSED):
        with pytest.raises(AppointmentAhead):
            await desk.step(task, WORKING, business_status=status)
    assert (await desk.task(task.need_id)).version == 5


@pytest.mark.parametrize(("hours", "lasts"), [(-1, 2), (0, 1), (1, 0), (1, -1), (1, 8.1), (181 * 24, 1)])
async def test_a_window_is_to_come_soon_enough_and_short_enough(desk, hours, lasts) -> None:
    task = await begun(desk)
    with pytest.raises(WindowRefused):
        await desk.step(task, WORKING, business_status=SCHEDULED, appointment=at(desk, hours, lasts=lasts))
    with pytest.raises(WindowRefused):
        await call(desk, task, at(desk, hours, lasts=lasts), version=3)
    assert (await desk.task(task.need_id)).version == 3


@pytest.mark.parametrize("said", [
    (None, None, {Place.OFFICE}),
    (SAFE, None, {Place.OFFICE, Place.BY_PHONE}),
    (SAFE.model_copy(update={"channel": SafeChannel.MESSAGE}), None, {Place.OFFICE}),
    (None, (Barred.HOME_VISIT,), {Place.OFFICE, Place.AT_HOME}),
    (None, (Barred.MEDIATION,), {Place.OFFICE}),
], ids=["nothing", "safe-phone", "safe-message", "asks-for-visits", "asks-for-mediation"])  # fmt: skip
async def test_protection_from_violence_bars_homes_and_phones_in_every_part_unless_asked_for(desk, said) -> None:
    safe, asks_for, open_to = said
    lead = await begun(desk, "protection-from-violence", safe_contact=safe, asks_for=asks_for)
    part = await desk.add(lead, "civil-affairs", "temporary-relief")
    await desk.step(part, TaskState.ACCEPTED, version=1)
    for task, version in ((lead, 3), (part, 2)):
        for place in Place:
            how = {"business_status": SCHEDULED, "appointment": at(desk, 3, place), "version": version}
            state = WORKING if task is lead else TaskState.ACCEPTED
            if place in open_to:
                version = (await desk.step(task, state, **how)).version
                continue
            with pytest.raises(PlaceBarred):
                await desk.step(task, state, **how)
            with pytest.raises(PlaceBarred):
                await call(desk, task, at(desk, 3, place), version=version, part=task.part)


@pytest.mark.parametrize("state", sorted(set(TaskState) - {TaskState.DRAFT, TaskState.ACCEPTED, WORKING}))
async def test_the_station_makes_none_where_no_department_is_at_work(desk, state) -> None:
    task = await desk.opened("wage-help")
    await desk.rows("UPDATE task SET state = :state WHERE task_id = :id RETURNING 1", state=state, id=task.task_id)
    refusal = StatusContradicts if state is TaskState.ON_HOLD else NoSuchTransition
    with pytest.raises(refusal):
        await call(desk, task, at(desk, 3), version=1)
    with pytest.raises(VersionStale):
        await call(desk, task, at(desk, 3), version=2)


async def test_a_report_says_how_far_it_is_and_changes_neither_state_nor_status(desk) -> None:
    task = await begun(desk)
    await desk.step(task, WORKING, business_status=BusinessStatus.WAITING_FOR_RESIDENT)
    asked = await desk.station_step(task, TaskState.CANCELLED)
    assert asked.proposed == "cancelled"
    said = await desk.step(task, WORKING, progress=Progress.PAPERS_CHECKED, note="工资条已核")
    assert (said.state, said.business_status, said.version, said.proposed) == (
        "in-progress", BusinessStatus.WAITING_FOR_RESIDENT, 6, "cancelled",
    )  # fmt: skip
    assert (await history(desk, task))[-1] == ("department", None, None, Progress.PAPERS_CHECKED)
    with pytest.raises(VersionStale):
        await desk.step(task, WORKING, progress=Progress.WORK_BEGUN, version=5)
    after = await desk.task(task.need_id)
    assert (after.complete_by, after.closed_at) == (task.complete_by, None)


async def test_reports_are_the_departments_and_of_what_it_works_on(desk) -> None:
    task = await desk.opened("wage-help")
    with pytest.raises(NoSuchTransition):
        await desk.step(task, TaskState.REQUESTED, progress=Progress.WORK_BEGUN)
    await desk.step(task, TaskState.ACCEPTED, progress=Progress.PAPERS_CHECKED)
    with pytest.raises(NotThisParty):
        await desk.station_step(task, TaskState.ACCEPTED, progress=Progress.WORK_BEGUN, reason=None)
    with pytest.raises(NoSuchTransition):
        await desk.step(task, TaskState.ACCEPTED)
