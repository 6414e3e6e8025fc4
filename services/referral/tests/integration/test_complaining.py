"""A resident says how they were treated: a supervisor who had no part answers, and nothing else ever reads it."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Department, LookFinding, Outcome, Purpose, Role, SafeChannel, TaskState
from doorstep.contracts.intake import SafeContact
from doorstep.kit.auth import Principal
from doorstep.kit.idempotency import IdReused
from doorstep.referral.domain.complaint_errors import ComplaintAnswered, ComplaintUnknown, HadAPart, TooManyComplaints
from doorstep.referral.domain.complaints import (
    MOST_OPEN,
    About,
    Complaint,
    ComplaintAnswer,
    ComplaintFinding,
    Treatment,
)
from doorstep.referral.errors import DecidedBefore, RequestUnknown
from doorstep.referral.operations import complaining, looking
from doorstep.referral.operations.access import STAFF, Access
from doorstep.referral.operations.calling import acknowledge_call
from doorstep.referral.operations.duties import note_duty
from doorstep.referral.operations.erasing import erase_subject

STATION = "station-7"
SUPERVISOR = Principal("supervisor-8", Role.SUPERVISOR, "station", STATION)
SAID = Complaint(
    about=About.DEPARTMENT, treatment=(Treatment.RUDE, Treatment.ASKED_FOR_MONEY), text="窗口的人说没有红包不办"
)
RIGHT = ComplaintAnswer(finding=ComplaintFinding.UPHELD, text="已核实并道歉")


async def complain(desk, code: str, ref: UUID, complaint_id: UUID | None = None, *, content=SAID, staff=()):
    async with desk.database.transaction() as session:
        return await complaining.complain(
            session, vault=desk.vault, follow_index=desk.vault.follow_index(code), ref=ref,
            complaint_id=complaint_id or uuid7(), content=content, staff=staff, now=desk.now,
        )  # fmt: skip


async def seen(desk, code: str, complaint_id: UUID):
    """What is shown by the follow code and the complaint's own; None where there is none."""
    async with desk.database.transaction() as session:
        try:
            return await complaining.own_complaint(
                session, vault=desk.vault, follow_index=desk.vault.follow_index(code), code=own(desk, complaint_id)
            )
        except ComplaintUnknown:
            return None


def own(desk, complaint_id: UUID) -> str:
    return desk.vault.code_of(complaining.KIND, complaint_id)


async def take_back(desk, code: str, complaint_id: UUID) -> None:
    async with desk.database.transaction() as session:
        await complaining.take_back(
            session, vault=desk.vault, follow_index=desk.vault.follow_index(code), code=own(desk, complaint_id)
        )


async def owed(desk, *, who: Principal = SUPERVISOR, station: str = STATION) -> list[UUID]:
    async with desk.database.transaction() as session:
        access = Access(who, Purpose.FOLLOW_UP)
        found = await complaining.list_complaints(session, vault=desk.vault, access=access, station=station)
        return [one.complaint_id for one in found]


async def read(desk, task, complaint_id: UUID, *, who: Principal = SUPERVISOR, station: str = STATION):
    async with desk.database.transaction() as session:
        return await complaining.read_complaint(
            session, vault=desk.vault, access=Access(who, Purpose.FOLLOW_UP), station=station,
            request_id=task.request_id, complaint_id=complaint_id,
        )  # fmt: skip


async def answer(desk, task, complaint_id: UUID, *, who: Principal = SUPERVISOR, station: str = STATION) -> None:
    async with desk.database.transaction() as session:
        await complaining.answer_complaint(
            session, vault=desk.vault, access=Access(who), station=station, request_id=task.request_id,
            complaint_id=complaint_id, answer=RIGHT, now=desk.now,
        )  # fmt: skip


async def complained(desk, need_type: str = "wage-help", **how):
    """A request that its department closed, and a complaint about that."""
    code, complaint_id = uuid4().hex, uuid7()
    task = await desk.opened(need_type, follow_code=code)
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.COMPLETED, outcome=Outcome.REFUSED_AFTER_CHECK)
    await complain(desk, code, task.follow_ref, complaint_id, **how)
    return code, task, complaint_id


async def test_it_is_answered_in_fifteen_working_days_and_the_answer_is_seen_by_the_code(desk) -> None:
    code, task, complaint_id = await complained(desk)
    one = await seen(desk, code, complaint_id)
    assert (one.ref, one.about, one.answer) == (task.follow_ref, About.DEPARTMENT, None)
    assert one.due_by - desk.now == timedelta(days=21, hours=15)  # a Monday morning, to the end of a Monday
    assert complaint_id in await owed(desk)
    shown = await read(desk, task, complaint_id)
    assert (shown.content, shown.departments, shown.answer) == (SAID, (Department.LABOUR,), None)
    desk.now += timedelta(days=40)  # late, and owed all the same
    assert complaint_id in await owed(desk)
    await answer(desk, task, complaint_id)
    assert complaint_id not in await owed(desk)
    one = await seen(desk, code, complaint_id)
    assert (one.answered_at, one.answer) == (desk.now, RIGHT)
    with pytest.raises(ComplaintAnswered):
        await answer(desk, task, complaint_id)
    entries = [(one["action"], one.get("actor")) for one in await desk.logged(task.subject_id)]
    for action in ("list-complaints", "read-complaint", "answer-complaint"):
        assert (action, "supervisor-8") in entries
    assert ("make-complaint", None) in entries
    assert len(await desk.rows("SELECT 1 FROM notice WHERE cause = :id", id=complaint_id)) == 1


async def test_nothing_of_it_is_published_or_lies_open(desk) -> None:
    """Not in an event, and in no column but the one that is sealed for the person."""
    events = "SELECT count(*) AS n FROM outbox WHERE subject = :subject AND type NOT LIKE 'audit.%'"
    code = uuid4().hex
    task = await desk.opened("wage-help", follow_code=code)
    before = (await desk.rows(events, subject=task.subject_id))[0].n
    state = await desk.rows("SELECT * FROM task JOIN request USING (request_id) WHERE task_id = :id", id=task.task_id)
    complaint_id = uuid7()
    await complain(desk, code, task.follow_ref, complaint_id)
    await answer(desk, task, complaint_id)
    await take_back(desk, code, complaint_id)
    assert (await desk.rows(events, subject=task.subject_id))[0].n == before > 0
    after = await desk.rows("SELECT * FROM task JOIN request USING (request_id) WHERE task_id = :id", id=task.task_id)
    assert after == state
    await complain(desk, code, task.follow_ref)
    [row] = await desk.rows("SELECT * FROM complaint WHERE request_id = :id", id=task.request_id)
    assert not {"rude", "asked-for-money", "department", SAID.text} & {str(one) for one in row}
    assert "红包".encode() not in bytes(row.content)


async def test_who_had_a_part_is_named_or_is_kept_away_neither_reads_nor_answers(desk) -> None:
    _, task, complaint_id = await complained(desk, staff=("named-1", "named-1"))
    for role in (Role.COLLECTOR, Role.REVIEWER, Role.SUPERVISOR):
        had = Principal(f"had-{role}-{uuid4()}", Role.SUPERVISOR, "station", STATION)
        async with desk.database.transaction() as session:
            await note_duty(session, task.record_id, desk.vault.pairwise(STAFF, had.subject), role)
        for deed in (read, answer):
            with pytest.raises(HadAPart):
                await deed(desk, task, complaint_id, who=had)
        assert complaint_id not in await owed(desk, who=had)
    named, kept = (Principal(name, Role.SUPERVISOR, "station", STATION) for name in ("named-1", f"kept-{uuid4()}"))
    async with desk.database.transaction() as session:
        statement = "INSERT INTO exclusion (subject_id, staff) VALUES ($1, $2)"
        values = (task.subject_id, desk.vault.pairwise(STAFF, kept.subject))
        await (await session.connection()).exec_driver_sql(statement, values)
    for who, refusal in ((named, ComplaintUnknown), (kept, RequestUnknown)):
        for deed in (read, answer):
            with pytest.raises(refusal):
                await deed(desk, task, complaint_id, who=who)
        assert complaint_id not in await owed(desk, who=who)
    for deed in (read, answer):
        with pytest.raises(RequestUnknown):
            await deed(desk, task, complaint_id, station="station-9")
        with pytest.raises(ComplaintUnknown):
            await deed(desk, task, uuid7())
    assert complaint_id not in await owed(desk, station="station-9")
    await answer(desk, task, complaint_id)


async def test_by_the_follow_code_alone_a_complaint_is_neither_seen_nor_taken_back(desk) -> None:
    """Whoever recorded the visit, or is at home, has that code; each complaint has one of its own, and no other's."""
    code, task, complaint_id = await complained(desk)
    other_id, elsewhere = uuid7(), uuid4().hex
    assert (await complain(desk, code, task.follow_ref, other_id)).code == own(desk, other_id)
    other = await desk.opened("wage-help", follow_code=elsewhere)
    index = desk.vault.follow_index(code)
    for wrong in (code, "", "0000-0000-0000-0000", str(complaint_id), str(task.follow_ref), "码", "a\0b"):
        async with desk.database.transaction() as session:
            with pytest.raises(ComplaintUnknown):
                await complaining.own_complaint(session, vault=desk.vault, follow_index=index, code=wrong)
            await complaining.take_back(session, vault=desk.vault, follow_index=index, code=wrong)
    assert other.subject_id != task.subject_id
    assert await seen(desk, elsewhere, complaint_id) is None
    await take_back(desk, elsewhere, complaint_id)
    await take_back(desk, code, other_id)
    assert await seen(desk, code, complaint_id) is not None
    async with desk.database.transaction() as session:
        written = own(desk, complaint_id).lower().replace("-", " ")
        await complaining.own_complaint(session, vault=desk.vault, follow_index=index, code=written)
    assert own(desk, complaint_id) not in str(await desk.rows("SELECT * FROM complaint"))


async def test_who_acknowledges_a_call_has_a_part_in_the_record(desk) -> None:
    code = uuid4().hex
    task = await desk.opened("gas-leak", follow_code=code)
    named = Principal(f"called-{uuid4()}", Role.SUPERVISOR, "station", STATION)
    complaint_id = uuid7()
    await complain(desk, code, task.follow_ref, complaint_id)
    assert complaint_id in await owed(desk, who=named)
    async with desk.database.transaction() as session:
        look_id = uuid7()
        index = desk.vault.follow_index(code)
        await looking.ask_to_look_again(
            session, vault=desk.vault, follow_index=index, ref=task.follow_ref, look_id=look_id, now=desk.now
        )
        statement = "INSERT INTO duty_call (task_id, station, since, next_at) VALUES ($1, $2, now(), now())"
        await (await session.connection()).exec_driver_sql(statement, (task.task_id, STATION))
    for _ in range(2):
        async with desk.database.transaction() as session:
            await acknowledge_call(
                session, vault=desk.vault, access=Access(named), station=STATION, request_id=task.request_id,
                now=desk.now,
            )  # fmt: skip
    duty = "SELECT role FROM duty WHERE record_id = :id AND person = :person"
    who = desk.vault.pairwise(STAFF, named.subject)
    assert [row.role for row in await desk.rows(duty, id=task.record_id, person=who)] == [Role.SUPERVISOR]
    for deed in (read, answer):
        with pytest.raises(HadAPart):
            await deed(desk, task, complaint_id, who=named)
    assert complaint_id not in await owed(desk, who=named)
    with pytest.raises(DecidedBefore):
        async with desk.database.transaction() as session:
            await looking.answer_look(
                session, vault=desk.vault, access=Access(named), station=STATION, request_id=task.request_id,
                look_id=look_id, finding=LookFinding.STANDS, now=desk.now,
            )  # fmt: skip
    await answer(desk, task, complaint_id)


async def test_taken_back_it_is_gone_at_once_with_its_answer_and_the_notice(desk) -> None:
    code, task, complaint_id = await complained(desk)
    for wrong in (uuid4().hex, ""):
        await take_back(desk, wrong, complaint_id)
    assert await seen(desk, code, complaint_id) is not None
    await answer(desk, task, complaint_id)
    for _ in range(2):
        await take_back(desk, code, complaint_id)
    assert await seen(desk, code, complaint_id) is None
    assert await desk.rows("SELECT 1 FROM complaint WHERE complaint_id = :id", id=complaint_id) == []
    assert await desk.rows("SELECT 1 FROM notice WHERE cause = :id", id=complaint_id) == []
    with pytest.raises(ComplaintUnknown):
        await answer(desk, task, complaint_id)
    assert [one["action"] for one in await desk.logged(task.subject_id)].count("withdraw-complaint") == 1


async def test_several_wait_at_once_and_not_more_and_an_id_serves_once(desk) -> None:
    code, task, complaint_id = await complained(desk)
    with pytest.raises(IdReused):
        await complain(desk, code, task.follow_ref, complaint_id)
    for _ in range(MOST_OPEN - 1):
        await complain(desk, code, task.follow_ref)
    with pytest.raises(TooManyComplaints):
        await complain(desk, code, task.follow_ref)
    await answer(desk, task, complaint_id)
    assert (await complain(desk, code, task.follow_ref)).due_by > desk.now
    assert len(await desk.rows("SELECT 1 FROM complaint WHERE request_id = :id", id=task.request_id)) == MOST_OPEN + 1


async def test_a_code_complains_of_what_it_shows_and_of_nothing_else(desk) -> None:
    code, hidden = uuid4().hex, uuid4().hex
    task = await desk.opened("wage-help", follow_code=code)
    confidential = await desk.opened("legal-aid", follow_code=hidden)
    for wrong, ref in ((uuid4().hex, task.follow_ref), (code, uuid4()), (hidden, confidential.follow_ref)):
        with pytest.raises(RequestUnknown):
            await complain(desk, wrong, ref)
        assert await seen(desk, wrong, uuid7()) is None
    safe = SafeContact(
        channel=SafeChannel.MESSAGE, number="16900009876", hours_from="22:00", hours_to="06:30", cover="还书"
    )
    shown = await desk.opened("legal-aid", follow_code=uuid4().hex, safe_contact=safe)
    open_code = uuid4().hex
    shown = await desk.opened("legal-aid", follow_code=open_code, safe_contact=safe)
    complaint_id = uuid7()
    await complain(desk, open_code, shown.follow_ref, complaint_id)
    assert (await seen(desk, open_code, complaint_id)).ref == shown.follow_ref
    async with desk.database.transaction() as session:
        statement = "UPDATE request SET safely_shown = false WHERE request_id = $1"
        await (await session.connection()).exec_driver_sql(statement, (shown.request_id,))
    assert await seen(desk, open_code, complaint_id) is None


async def test_a_code_that_was_closed_is_answered_as_one_that_nobody_has(desk) -> None:
    code, task, complaint_id = await complained(desk)
    async with desk.database.transaction() as session:
        statement = "INSERT INTO guardian (subject_id, closed, recorded_at) VALUES ($1, true, now())"
        await (await session.connection()).exec_driver_sql(statement, (task.subject_id,))
    assert await seen(desk, code, complaint_id) is None
    await take_back(desk, code, complaint_id)
    with pytest.raises(RequestUnknown):
        await complain(desk, code, task.follow_ref)
    assert complaint_id in await owed(desk)  # the station owes it all the same


async def test_nothing_of_it_is_left_of_who_is_erased(desk) -> None:
    code, task, complaint_id = await complained(desk)
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=task.subject_id, now=desk.now)
    assert await desk.rows("SELECT 1 FROM complaint WHERE complaint_id = :id", id=complaint_id) == []
    with pytest.raises(RequestUnknown):
        await complain(desk, code, task.follow_ref)


async def test_the_version_before_erases_what_this_one_keeps(desk) -> None:
    """It knows no such table, and deletes the request: what hangs on that goes too."""
    _, task, complaint_id = await complained(desk)
    for statement in (
        "DELETE FROM notice WHERE request_id = $1",
        "DELETE FROM task_transition WHERE task_id IN (SELECT task_id FROM task WHERE request_id = $1)",
        "DELETE FROM task WHERE request_id = $1",
        "DELETE FROM request WHERE request_id = $1",
    ):
        async with desk.database.transaction() as session:
            await (await session.connection()).exec_driver_sql(statement, (task.request_id,))
    assert await desk.rows("SELECT 1 FROM complaint WHERE complaint_id = :id", id=complaint_id) == []
