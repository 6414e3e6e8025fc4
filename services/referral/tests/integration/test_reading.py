"""Reading: a department sees its own, the station sees what it answers for, and the log knows of it."""

from datetime import timedelta
from uuid import uuid4

import pytest

from doorstep.contracts.codes import Department, Outcome, Purpose, Reason, TaskState
from doorstep.contracts.facts import FactKind
from doorstep.kit.policy import Policy, Sight, Why
from doorstep.kit.vault import SubjectErased
from doorstep.referral import queries
from doorstep.referral.errors import KeyIdTaken, RequestUnknown
from doorstep.referral.operations import reading
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.keys import register_department_key
from doorstep.referral.views import department_request, station_requests

ALL = Sight(frozenset(FactKind))


async def listed(desk, department: Department, *, state=None, after=None):
    """What the department's list shows of this desk's station."""
    async with desk.database.transaction() as session:
        return await reading.list_department_requests(
            session,
            vault=desk.vault,
            access=Access(desk.officer(department), Purpose.SERVICE, sight=ALL),
            department=department,
            state=state,
            after=after,
            now=desk.now,
        )


async def read(desk, department: Department, ref):
    """One request as the department reads it."""
    async with desk.database.transaction() as session:
        return await reading.read_department_request(
            session,
            vault=desk.vault,
            access=Access(desk.officer(department), Purpose.SERVICE, sight=ALL),
            department=department,
            ref=ref,
            now=desk.now,
        )


async def test_a_department_lists_its_own_page_by_page(desk) -> None:
    refs = [(await desk.opened("structure-danger")).ref for _ in range(5)]
    await desk.opened("legal-aid")
    found, after = [], None
    while True:
        async with desk.database.transaction() as session:
            page = await queries.department_tasks(session, "housing", state=None, after=after, page=2)
        if not page:
            break
        found += [task.ref for task in page]
        after = found[-1]
    assert set(refs) <= set(found)
    assert len(found) == len(set(found))


async def test_a_list_is_one_entry_for_all_its_subjects(desk) -> None:
    tasks = [await desk.opened("work-training") for _ in range(2)]
    await listed(desk, Department.LABOUR, state=TaskState.REQUESTED)
    for task in tasks:
        entry = (await desk.logged(task.subject_id))[-1]
        assert (entry["action"], entry["purpose"], entry["agency"]) == ("list-requests", "service", "labour")
    rows = await desk.rows(
        "SELECT body FROM outbox WHERE type = 'audit.entry-submitted.v1' ORDER BY position DESC LIMIT 1"
    )
    assert all(str(task.subject_id) in bytes(rows[0].body).decode() for task in tasks)


async def test_the_list_can_be_narrowed_to_a_state(desk) -> None:
    task = await desk.opened("wage-help")
    other = await desk.opened("wage-help")
    await desk.step(task, TaskState.ACCEPTED)
    refs = {shown.offer.ref for shown in (await listed(desk, Department.LABOUR, state=TaskState.ACCEPTED)).shown}
    assert task.ref in refs
    assert other.ref not in refs


async def test_a_read_shows_offer_history_and_due_times(desk) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.ON_HOLD, reason=Reason.PAPERS_MISSING, note="缺工资条")
    desk.now += timedelta(days=60)
    view = department_request(await read(desk, Department.LABOUR, task.ref))
    assert view.ref == task.ref == view.offer.ref
    assert [entry.to_state for entry in view.history] == ["requested", "accepted", "on-hold"]
    assert (view.history[-1].reason, view.history[-1].note) == (Reason.PAPERS_MISSING, "缺工资条")
    assert view.overdue
    assert view.late == "supervisor"
    assert not view.provisional


async def test_another_departments_request_reads_as_unknown_and_is_not_logged(desk) -> None:
    task = await desk.opened("wage-help")
    for ref in (task.ref, uuid4()):
        with pytest.raises(RequestUnknown):
            await read(desk, Department.HEALTH, ref)
    assert len(await desk.logged(task.subject_id)) == 1


async def test_the_station_sees_all_tasks_of_its_record(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    await desk.hand_on(task, "civil-affairs")
    async with desk.database.transaction() as session:
        found = await reading.list_record_requests(
            session,
            vault=desk.vault,
            policy=Policy(),
            principal=desk.second,
            why=Why(Purpose.FOLLOW_UP, desk.origin.record_id),
            station=desk.origin.station,
            record_id=desk.origin.record_id,
            now=desk.now,
        )
    [request] = station_requests(found).requests
    assert request.need_type == "legal-aid"
    assert [(entry.department, entry.state) for entry in request.tasks] == [
        (Department.JUSTICE, TaskState.REJECTED),
        (Department.CIVIL_AFFAIRS, TaskState.REQUESTED),
    ]


async def test_the_queues_hold_what_waits_for_a_human(desk) -> None:
    draft = await desk.opened("a-need-of-tomorrow")
    rejected = await desk.opened("wage-help")
    await desk.step(rejected, TaskState.REJECTED, reason=Reason.NOT_OURS)
    done = await desk.opened("wage-help")
    await desk.step(done, TaskState.ACCEPTED)
    await desk.step(done, TaskState.COMPLETED, outcome=Outcome.GRANTED)
    async with desk.database.transaction() as session:
        drafts = await queries.queue(session, desk.origin.station, TaskState.DRAFT, page=1000)
        back = await queries.queue(session, desk.origin.station, TaskState.REJECTED, page=1000)
    assert draft.task_id in {task.task_id for task in drafts}
    assert rejected.task_id in {task.task_id for task in back}
    await desk.hand_on(rejected, "housing")
    async with desk.database.transaction() as session:
        back = await queries.queue(session, desk.origin.station, TaskState.REJECTED, page=1000)
    assert rejected.task_id not in {task.task_id for task in back}


async def test_a_departments_key_is_registered_once_and_never_replaced(desk) -> None:
    async def register(kid: str, x: str) -> bool:
        async with desk.database.transaction() as session:
            return await register_department_key(
                session,
                vault=desk.vault,
                access=Access(desk.officer(Department.HEALTH)),
                department=Department.HEALTH,
                kid=kid,
                jwk={"kty": "OKP", "crv": "X25519", "x": x},
                now=desk.now,
            )

    kid = uuid4().hex
    assert await register(kid, "one")
    assert not await register(kid, "one")
    with pytest.raises(KeyIdTaken):
        await register(kid, "two")


async def test_what_was_erased_is_in_no_list_and_spoils_none(desk) -> None:
    erased, kept = await desk.opened("housing-repair"), await desk.opened("housing-repair")
    await desk.vault.destroy(erased.subject_id)
    refs = {shown.offer.ref for shown in (await listed(desk, Department.HOUSING, state=TaskState.REQUESTED)).shown}
    assert kept.ref in refs
    assert erased.ref not in refs
    with pytest.raises(SubjectErased):
        await read(desk, Department.HOUSING, erased.ref)
