"""A resident asks that a human look again: one who had no part in it, by a date, with a finding that they see."""

from datetime import timedelta
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import LookFinding, Outcome, Purpose, Reason, Role, TaskState
from doorstep.kit.auth import Principal
from doorstep.referral.errors import (
    DecidedBefore,
    LookAnsweredAlready,
    LookAskedAlready,
    LookUnknown,
    NothingToOpenAnew,
    RequestUnknown,
)
from doorstep.referral.operations.access import STAFF, Access
from doorstep.referral.operations.duties import note_duty
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.looking import answer_look, ask_to_look_again, list_looks, own_looks

STATION = "station-7"
ANOTHER = Principal("reviewer-8", Role.REVIEWER, "station", STATION)


async def ask(desk, code: str, ref, look_id=None):
    async with desk.database.transaction() as session:
        return await ask_to_look_again(
            session, vault=desk.vault, follow_index=desk.vault.follow_index(code), ref=ref,
            look_id=look_id or uuid7(), now=desk.now,
        )  # fmt: skip


async def answer(desk, task, look_id, finding, *, who: Principal = ANOTHER, station: str = STATION) -> bool:
    async with desk.database.transaction() as session:
        return await answer_look(
            session, vault=desk.vault, access=Access(who), station=station, request_id=task.request_id,
            look_id=look_id, finding=finding, now=desk.now,
        )  # fmt: skip


async def seen(desk, code: str):
    async with desk.database.transaction() as session:
        return await own_looks(session, vault=desk.vault, follow_index=desk.vault.follow_index(code))


async def owed(desk, *, who: Principal = ANOTHER, station: str = STATION):
    async with desk.database.transaction() as session:
        access = Access(who, Purpose.FOLLOW_UP)
        return [one.look_id for one in await list_looks(session, vault=desk.vault, access=access, station=station)]


async def closed(desk, code: str, need_type: str = "wage-help"):
    task = await desk.opened(need_type, follow_code=code)
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.COMPLETED, outcome=Outcome.REFUSED_AFTER_CHECK)
    return task


async def test_it_is_owed_in_five_working_days_and_its_finding_is_seen(desk) -> None:
    code, look_id = uuid4().hex, uuid7()
    task = await closed(desk, code)
    due_by = await ask(desk, code, task.follow_ref, look_id)
    assert due_by - desk.now == timedelta(days=7, hours=15)  # a Monday morning, to the end of the next Monday
    assert look_id in await owed(desk)
    [look] = await seen(desk, code)
    assert (look.ref, look.due_by, look.finding) == (task.follow_ref, due_by, None)
    assert not await answer(desk, task, look_id, LookFinding.STANDS)
    assert look_id not in await owed(desk)
    [look] = await seen(desk, code)
    assert (look.answered_at, look.finding) == (desk.now, LookFinding.STANDS)
    actions = [(entry["action"], entry["outcome"], entry.get("actor")) for entry in await desk.logged(task.subject_id)]
    assert ("answer-look", "stands", "reviewer-8") in actions
    assert ("ask-to-look-again", "done", None) in actions
    told = await desk.rows("SELECT 1 FROM notice WHERE cause = :id", id=look_id)
    assert len(told) == 1


async def test_who_had_any_part_in_the_record_does_not_answer(desk) -> None:
    code, look_id = uuid4().hex, uuid7()
    task = await closed(desk, code)
    await ask(desk, code, task.follow_ref, look_id)
    for role in (Role.COLLECTOR, Role.REVIEWER, Role.SUPERVISOR):
        had = Principal(f"had-{role}-{uuid4()}", Role.REVIEWER, "station", STATION)
        async with desk.database.transaction() as session:
            await note_duty(session, task.record_id, desk.vault.pairwise(STAFF, had.subject), role)
        with pytest.raises(DecidedBefore):
            await answer(desk, task, look_id, LookFinding.STANDS, who=had)
    assert look_id in await owed(desk)
    await answer(desk, task, look_id, LookFinding.STANDS)
    second = uuid7()
    other = await closed(desk, code)  # of the same record
    await ask(desk, code, other.follow_ref, second)
    with pytest.raises(DecidedBefore):
        await answer(desk, other, second, LookFinding.STANDS)


async def test_opened_anew_waits_at_the_station_for_a_department(desk) -> None:
    code, look_id = uuid4().hex, uuid7()
    task = await closed(desk, code)
    await ask(desk, code, task.follow_ref, look_id)
    desk.now += timedelta(hours=1)
    assert await answer(desk, task, look_id, LookFinding.OPENED_ANEW)
    linked = await desk.task(task.need_id)
    assert (linked.continues, linked.state, linked.business_status) == (task.request_id, "draft", "reopened")
    assert (await desk.rows("SELECT state FROM task WHERE task_id = :id", id=task.task_id))[0].state == "completed"


async def test_what_is_not_closed_is_not_opened_anew_and_the_look_stays_owed(desk) -> None:
    code, look_id = uuid4().hex, uuid7()
    task = await desk.opened("wage-help", follow_code=code)
    await ask(desk, code, task.follow_ref, look_id)
    with pytest.raises(NothingToOpenAnew):
        await answer(desk, task, look_id, LookFinding.OPENED_ANEW)
    assert look_id in await owed(desk)
    await answer(desk, task, look_id, LookFinding.RECORD_TO_BE_CORRECTED)


async def test_one_look_is_owed_and_one_is_asked_for_each_version(desk) -> None:
    code, look_id = uuid4().hex, uuid7()
    task = await desk.opened("wage-help", follow_code=code)
    await ask(desk, code, task.follow_ref, look_id)
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    with pytest.raises(LookAskedAlready):
        await ask(desk, code, task.follow_ref)
    await answer(desk, task, look_id, LookFinding.STANDS)
    with pytest.raises(LookAnsweredAlready):
        await answer(desk, task, look_id, LookFinding.STANDS)
    await ask(desk, code, task.follow_ref)
    with pytest.raises(LookAskedAlready):
        await ask(desk, code, task.follow_ref)


async def test_nobody_elses_code_or_station_gets_there(desk) -> None:
    code, look_id = uuid4().hex, uuid7()
    task = await closed(desk, code)
    for wrong in (uuid4().hex, ""):
        with pytest.raises(RequestUnknown):
            await ask(desk, wrong, task.follow_ref)
    await ask(desk, code, task.follow_ref, look_id)
    assert await seen(desk, uuid4().hex) == []
    assert look_id not in await owed(desk, station="station-9")
    with pytest.raises(RequestUnknown):
        await answer(desk, task, look_id, LookFinding.STANDS, station="station-9")
    with pytest.raises(LookUnknown):
        await answer(desk, task, uuid7(), LookFinding.STANDS)


async def test_what_a_code_does_not_show_is_not_looked_at_by_it(desk) -> None:
    code = uuid4().hex
    task = await closed(desk, code, "legal-aid")
    with pytest.raises(RequestUnknown):
        await ask(desk, code, task.follow_ref)


async def test_whom_the_person_excludes_sees_nothing_of_it(desk) -> None:
    code, look_id = uuid4().hex, uuid7()
    task = await closed(desk, code)
    await ask(desk, code, task.follow_ref, look_id)
    async with desk.database.transaction() as session:
        statement = "INSERT INTO exclusion (subject_id, staff) VALUES ($1, $2)"
        values = (task.subject_id, desk.vault.pairwise(STAFF, ANOTHER.subject))
        await (await session.connection()).exec_driver_sql(statement, values)
    assert look_id not in await owed(desk)
    with pytest.raises(RequestUnknown):
        await answer(desk, task, look_id, LookFinding.STANDS)


async def test_nothing_of_it_is_left_of_who_is_erased(desk) -> None:
    code, look_id = uuid4().hex, uuid7()
    task = await closed(desk, code)
    await ask(desk, code, task.follow_ref, look_id)
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=task.subject_id, now=desk.now)
    assert await desk.rows("SELECT 1 FROM look WHERE look_id = :id", id=look_id) == []
