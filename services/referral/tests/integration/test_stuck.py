"""The register of what is stuck: from when on, at which unit, and what it does not tell."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from doorstep.contracts.codes import Department, Outcome, Purpose, Reason, Role, TaskState
from doorstep.contracts.intake import SafeContact
from doorstep.kit.auth import Principal
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.operations.access import STAFF, Access
from doorstep.referral.operations.stuck import list_stuck

PATH = "/api/figures/stuck"
FOLLOW_UP = {"doorstep_purpose": "follow-up"}
SAFE = SafeContact(channel="phone", number="13900139000", hours_from="09:00", hours_to="11:00", cover="社区")


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose station has no requests yet."""
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE request, task, task_transition, rating, outbox, exclusion CASCADE"))
    return desk_over(front.database, front.vault)


async def stuck(desk, station="station-7"):
    """What is stuck at the desk's time: (department, need type, unanswered) by request."""
    who = Access(Principal("supervisor-1", Role.SUPERVISOR, "station", station), Purpose.FOLLOW_UP)
    async with desk.database.transaction() as session:
        units, _ = await list_stuck(session, vault=desk.vault, access=who, station=station, now=desk.now)
    return {one.request_id: (unit.department, one.need_type, one.unanswered) for unit in units for one in unit.stuck}


async def test_a_request_is_stuck_from_half_as_much_again_on_and_until_it_moves(desk) -> None:
    task = await desk.opened("housing-repair")
    opened, housing = desk.now, (Department.HOUSING, "housing-repair")
    desk.now = opened + timedelta(hours=35, minutes=59)
    assert await stuck(desk) == {}
    desk.now = opened + timedelta(hours=36)
    assert await stuck(desk) == {task.request_id: (*housing, True)}
    await desk.step(task, TaskState.ACCEPTED)
    assert await stuck(desk) == {}
    desk.now = opened + 1.5 * (task.complete_by - opened)
    assert await stuck(desk) == {task.request_id: (*housing, False)}
    assert await stuck(desk, "station-9") == {}
    await desk.step(task, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
    assert await stuck(desk) == {}


async def test_what_is_delicate_or_was_handed_on_has_no_need_type(desk) -> None:
    legal, health, wage = [await desk.opened(code) for code in ("legal-aid", "health-advice", "wage-help")]
    await desk.step(wage, TaskState.REJECTED, reason=Reason.NOT_OURS)
    await desk.hand_on(wage, "housing")
    desk.now += timedelta(days=2)
    assert await stuck(desk) == {
        legal.request_id: (Department.JUSTICE, None, True),
        health.request_id: (Department.HEALTH, None, True),
        wage.request_id: (Department.HOUSING, None, True),
    }


async def test_violence_is_not_in_it_wherever_it_went(desk) -> None:
    await desk.opened("protection-from-violence", safe_contact=SAFE)
    handed, strange = [await desk.opened("protection-from-violence") for _ in range(2)]
    await desk.step(handed, TaskState.REJECTED, reason=Reason.NOT_OURS)
    await desk.hand_on(handed, "health")
    async with desk.database.transaction() as session:
        forget = text("UPDATE request SET need_index = NULL WHERE request_id = :id")
        await session.execute(forget, {"id": strange.request_id})
    desk.now += timedelta(days=60)
    assert await stuck(desk) == {}


async def test_whom_a_person_keeps_from_their_matter_does_not_find_it(desk) -> None:
    task = await desk.opened("gas-leak")
    other = await desk.opened("gas-leak")
    who = desk.vault.pairwise(STAFF, "supervisor-1")
    async with desk.database.transaction() as session:
        exclude = text("INSERT INTO exclusion (subject_id, staff) VALUES (:subject, :staff)")
        await session.execute(exclude, {"subject": task.subject_id, "staff": who})
    desk.now += timedelta(days=2)
    assert set(await stuck(desk)) == {other.request_id}


async def test_a_supervisor_alone_reads_it_and_it_names_nobody(front, desk) -> None:
    desk.now = datetime.now(UTC) - timedelta(days=40)
    task = await desk.opened("gas-hose-replacement")
    answer = await front.call("GET", PATH, "supervisor", **FOLLOW_UP)
    assert answer.status == 200
    (unit,) = answer.body["units"]
    assert (unit["department"], unit["office"], answer.body["more"]) == ("fire", None, False)
    (one,) = unit["stuck"]
    assert one["request_id"] == str(task.request_id)
    assert set(one) == {"request_id", "need_type", "unanswered", "due", "since"}
    spoken = answer.raw.decode()
    for name in ("record_id", "need_id", "subject_id", "file_id", "ref"):
        assert str(getattr(task, name)) not in spoken
    assert "王秀英" not in spoken
    (entry,) = [one for one in await desk.logged(task.subject_id) if one["action"] == "see-figures"]
    assert (entry["purpose"], entry["asked"], entry["policies"]) == (
        "follow-up", "stuck", ["supervisor-sees-figures"],
    )  # fmt: skip
    for who in ("reviewer", "collector", "officer", "police", "resident", "community-officer"):
        assert (await front.call("GET", PATH, who, **FOLLOW_UP)).status == 403, who
    assert (await front.call("GET", PATH, "supervisor", doorstep_purpose="triage")).status == 403
    assert (await front.call("GET", f"{PATH}/{uuid4()}", "supervisor", **FOLLOW_UP)).status == 404
