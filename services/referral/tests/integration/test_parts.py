"""Parts: a request for several departments, each with a task of its own, and one state for its resident."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import text

from doorstep.contracts.codes import Department, Outcome, Purpose, Reason, TaskState
from doorstep.contracts.feeds import Offer
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.referral import TransitionDetail
from doorstep.contracts.sealed import Sealed
from doorstep.referral.domain.deadlines import due_times
from doorstep.referral.errors import (
    ArbiterMustAssign,
    NothingOpen,
    NotRatable,
    PartTaken,
    PartUnknown,
    PartUnnamed,
    RejectedThere,
    VersionStale,
    WindowClosed,
)
from doorstep.referral.operations import following, reading
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.ratings import rate_request
from doorstep.referral.operations.recalculating import Recalculation
from doorstep.referral.operations.sealing import seal_address

LEAD = "minimum-living-allowance"


async def done(desk, task) -> None:
    """A department does its part."""
    await desk.step(task, TaskState.ACCEPTED, version=1)
    await desk.step(task, TaskState.COMPLETED, version=2, outcome=Outcome.SERVICE_PROVIDED)


async def follow(desk, code: str) -> list[str]:
    async with desk.database.transaction() as session:
        index = desk.vault.follow_index(code)
        found = await following.follow(session, vault=desk.vault, follow_index=index, now=desk.now)
    return [one.row.state for one in found]


async def rate(desk, code: str, ref: UUID, *, solved: bool):
    async with desk.database.transaction() as session:
        index = desk.vault.follow_index(code)
        return await rate_request(
            session, vault=desk.vault, follow_index=index, ref=ref, solved=solved, stars=4, now=desk.now
        )


async def offered(desk, task) -> dict:
    (event,) = await desk.published(f"feed.{task.department}", task.subject_id)
    return event["offer"]


async def seen_by(desk, task):
    """What the department of a task is shown of it."""
    department = Department(task.department)
    access = Access(desk.officer(department), Purpose.SERVICE)
    async with desk.database.transaction() as session:
        return await reading.read_department_request(
            session, vault=desk.vault, access=access, department=department, ref=task.ref, now=desk.now
        )


async def test_each_department_gets_its_own_part_and_learns_of_no_other(desk) -> None:
    lead = await desk.opened(LEAD)
    desk.now += timedelta(days=3, minutes=7)
    work = await desk.add(lead, "labour", "work-training")
    care = await desk.add(lead, "health", "health-advice")
    parts = await desk.parts(lead.need_id)
    assert [(one.department, one.version, one.state) for one in parts.values()] == [
        ("civil-affairs", 1, "requested"), ("labour", 1, "requested"), ("health", 1, "requested"),
    ]  # fmt: skip
    assert len({lead.ref, work.ref, care.ref}) == 3
    assert work.complete_by == due_times(desk.now, 24, NEED_TYPES["work-training"].complete_days, _work).completion
    offers = [await offered(desk, one) for one in (lead, work, care)]
    assert len({one["subject_ref"] for one in offers}) == len({one["ref"] for one in offers}) == 3
    for one, need_type in zip(offers[1:], ("work-training", "health-advice"), strict=True):
        assert (one["need_type"], one["facts"]) == (need_type, [])
        assert not {LEAD, "civil-affairs", str(lead.request_id), str(lead.ref)} & set(map(str, one.values()))
    for task in (work, care):
        shown = await seen_by(desk, task)
        assert (shown.offer.need_type, shown.others) == (NEED_TYPES[shown.offer.need_type].code, None)
        assert shown.offer == Offer.model_validate_json(shown.offer.model_dump_json())
    assert (await seen_by(desk, lead)).others == (Department.HEALTH, Department.LABOUR)
    told = [(one["action"], one["outcome"]) for one in await desk.logged(lead.subject_id)]
    assert told[:3] == [("open-request", "done"), ("add-part", "requested"), ("add-part", "requested")]
    events = await desk.published("referral.tasks", lead.subject_id)
    assert [(one.get("part"), one["version"]) for one in events[1:]] == [(2, 1), (3, 1)]
    kept = await desk.rows("SELECT part_need, part_index FROM task WHERE task_id = :id", id=work.task_id)
    assert not any(b"work" in bytes(blob) for blob in kept[0])


def _work(day):
    return day.weekday() < 5


async def test_a_part_moves_by_itself_and_the_request_is_done_when_all_parts_are(desk) -> None:
    code = uuid4().hex
    lead = await desk.opened(LEAD, follow_code=code)
    work = await desk.add(lead, "labour", "work-training")
    assert await follow(desk, code) == ["requested"]
    await done(desk, lead)
    assert await follow(desk, code) == ["in-progress"]
    assert (await desk.parts(lead.need_id))[2].version == 1
    with pytest.raises(NotRatable):
        await rate(desk, code, lead.follow_ref, solved=True)
    desk.now += timedelta(days=8)
    await done(desk, work)
    assert await follow(desk, code) == ["completed"]
    desk.now += timedelta(days=7)  # from when the last part was closed
    assert (await rate(desk, code, lead.follow_ref, solved=False)).reopened
    linked = await desk.parts(lead.need_id)
    assert [(one.department, one.state, one.continues) for one in linked.values()] == [
        ("civil-affairs", "requested", lead.request_id)
    ]
    with pytest.raises(NothingOpen):
        await desk.add(lead, "health", "health-advice", parts=2)
    assert await follow(desk, code) == ["completed", "requested"]


async def test_not_solved_comes_too_late_seven_days_after_the_last_part(desk) -> None:
    code = uuid4().hex
    lead = await desk.opened(LEAD, follow_code=code)
    work = await desk.add(lead, "labour", "work-training")
    await done(desk, work)
    desk.now += timedelta(days=1)
    await done(desk, lead)
    desk.now += timedelta(days=7, seconds=1)
    with pytest.raises(WindowClosed):
        await rate(desk, code, lead.follow_ref, solved=False)


async def test_a_rejected_part_comes_back_alone_and_is_handed_on_alone(desk) -> None:
    code = uuid4().hex
    lead = await desk.opened(LEAD, follow_code=code)
    work = await desk.add(lead, "labour", "work-training")
    await desk.step(lead, TaskState.ACCEPTED, version=1)
    await desk.step(work, TaskState.REJECTED, version=1, reason=Reason.NOT_OURS)
    assert await follow(desk, code) == ["accepted"]
    async with desk.database.transaction() as session:
        queued = await reading.list_queue(
            session, vault=desk.vault, access=Access(desk.second), station="station-7", state=TaskState.REJECTED,
            now=desk.now,
        )  # fmt: skip
    assert [shown.part_need for shown in queued if shown.task.request_id == lead.request_id] == ["work-training"]
    with pytest.raises(RejectedThere):
        await desk.hand_on(lead, "labour", version=2, part=2)
    moved = await desk.hand_on(lead, "health", version=2, part=2)
    assert (moved.part, moved.version) == (2, 3)
    parts = await desk.parts(lead.need_id)
    assert [(one.department, one.sequence, one.version) for one in parts.values()] == [
        ("civil-affairs", 1, 2), ("health", 2, 3),
    ]  # fmt: skip
    assert (parts[2].complete_by, parts[2].part_basis) == (work.complete_by, work.part_basis)
    assert bytes(parts[2].part_index) == bytes(work.part_index)
    assert (await offered(desk, parts[2]))["need_type"] == "work-training"
    assert (await desk.step(lead, TaskState.IN_PROGRESS, version=2)).state == "in-progress"


async def test_rejections_of_a_part_are_counted_by_themselves(desk) -> None:
    lead = await desk.opened(LEAD)
    work = await desk.add(lead, "labour", "work-training")
    await desk.step(work, TaskState.REJECTED, version=1, reason=Reason.NOT_OURS)
    await desk.hand_on(lead, "health", version=2, part=2)
    again = (await desk.parts(lead.need_id))[2]
    await desk.step(again, TaskState.REJECTED, version=3, reason=Reason.NOT_OURS)
    with pytest.raises(ArbiterMustAssign):
        await desk.hand_on(lead, "justice", version=4, part=2)
    with pytest.raises(RejectedThere):
        await desk.add(lead, "health", "health-advice")
    await desk.step(lead, TaskState.REJECTED, version=1, reason=Reason.NOT_OURS)
    await desk.hand_on(lead, "housing", version=2, part=1)
    await desk.hand_on(lead, "labour", version=4, part=2, arbiter=True)
    parts = await desk.parts(lead.need_id)
    assert [(one.department, one.assigned) for one in parts.values()] == [("housing", False), ("labour", True)]


async def test_the_station_says_which_part_it_means_and_no_other_moves(desk) -> None:
    lead = await desk.opened(LEAD)
    work = await desk.add(lead, "labour", "work-training")
    with pytest.raises(PartUnnamed):
        await desk.station_step(lead, TaskState.CANCELLED)
    with pytest.raises(PartUnknown):
        await desk.station_step(lead, TaskState.CANCELLED, part=3)
    moved = await desk.station_step(lead, TaskState.CANCELLED, part=2, version=1)
    assert (moved.part, moved.state) == (2, "cancelled")
    states = [one.state for one in (await desk.parts(lead.need_id)).values()]
    assert states == ["requested", "cancelled"]
    assert len(await desk.published("feed.labour", work.subject_id)) == 2
    assert len(await desk.published("feed.civil-affairs", work.subject_id)) == 1
    assert (await desk.add(lead, "labour", "wage-help")).part == 3  # what was taken back is not held


async def test_a_resident_withdraws_every_open_part_at_once(desk) -> None:
    code = uuid4().hex
    lead = await desk.opened(LEAD, follow_code=code)
    work, care = await desk.add(lead, "labour", "work-training"), await desk.add(lead, "health", "health-advice")
    await done(desk, care)
    await desk.step(work, TaskState.ACCEPTED, version=1)
    with pytest.raises(VersionStale):
        await desk.station_step(lead, TaskState.CANCELLED, reason=Reason.RESIDENT_WITHDREW, version=2)
    await desk.station_step(lead, TaskState.CANCELLED, reason=Reason.RESIDENT_WITHDREW)
    states = [one.state for one in (await desk.parts(lead.need_id)).values()]
    assert states == ["cancelled", "cancelled", "completed"]
    assert await follow(desk, code) == ["completed"]
    for department, messages in (("civil-affairs", 2), ("labour", 2), ("health", 1)):
        assert len(await desk.published(f"feed.{department}", lead.subject_id)) == messages


async def test_of_two_who_add_at_once_one_is_told_of_the_other(desk) -> None:
    lead = await desk.opened(LEAD)
    adding = (desk.add(lead, "labour", "work-training", parts=1), desk.add(lead, "health", "health-advice", parts=1))
    results = await asyncio.gather(*adding, return_exceptions=True)
    assert sum(isinstance(one, VersionStale) for one in results) == 1
    assert sorted(await desk.parts(lead.need_id)) == [1, 2]
    added = (await desk.parts(lead.need_id))[2]
    with pytest.raises(PartTaken):
        await desk.add(lead, added.department, "wage-help" if added.department == "labour" else "health-advice")


async def test_steps_of_two_parts_at_once_do_not_disturb_each_other(desk) -> None:
    lead = await desk.opened(LEAD)
    work = await desk.add(lead, "labour", "work-training")
    moved = await asyncio.gather(
        desk.step(lead, TaskState.ACCEPTED, version=1), desk.step(work, TaskState.ACCEPTED, version=1)
    )
    assert [(one.state, one.version) for one in moved] == [("accepted", 2), ("accepted", 2)]


async def test_what_guards_the_whole_guards_its_parts(desk) -> None:
    lead = await desk.opened("protection-from-violence")
    help_ = await desk.add(lead, "civil-affairs", "temporary-relief")
    offer = await offered(desk, help_)
    assert (offer["need_type"], offer["barred"]) == (
        "temporary-relief", ["mediation", "joint-conference", "home-visit"],
    )  # fmt: skip
    assert not {"phone", "safe_contact"} & set(offer)
    assert help_.part_index is None  # counted where small numbers are not told
    ring = await desk.vault.ring([lead.subject_id])
    (event,) = (await desk.published("referral.tasks", lead.subject_id))[1:]
    detail = ring.open(Sealed[TransitionDetail].model_validate_json(orjson.dumps(event["detail"])), TransitionDetail)
    assert (detail.reserved, detail.need_type) == (True, "temporary-relief")


async def test_parts_of_an_erased_subject_go_and_every_department_is_told(desk) -> None:
    lead = await desk.opened(LEAD)
    await desk.add(lead, "labour", "work-training")
    await desk.add(lead, "health", "health-advice")
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=lead.subject_id, now=desk.now)
    assert await desk.parts(lead.need_id) == {}
    refs = await desk.rows("SELECT department FROM owed_erasure WHERE station = 'station-7' AND withdrawn_at = :now",
                           now=desk.now.replace(second=0, microsecond=0))  # fmt: skip
    assert {"civil-affairs", "labour", "health"} <= {row.department for row in refs}


async def test_a_sealed_address_leaves_the_offers_of_all_parts(desk) -> None:
    lead = await desk.opened("fire-check")
    care = await desk.add(lead, "health", "health-advice")
    assert (await offered(desk, care))["address"]
    async with desk.database.transaction() as session:
        await seal_address(session, vault=desk.vault, file_id=lead.file_id)
    for task in (lead, care):
        assert "address" not in await offered(desk, task)


async def test_the_completion_of_a_part_is_counted_anew_from_when_it_was_added(desk) -> None:
    lead = await desk.opened(LEAD)
    desk.now += timedelta(days=30)
    work = await desk.add(lead, "labour", "work-training")
    async with desk.database.transaction() as session:
        wrong = text("UPDATE task SET provisional = true, complete_by = :by WHERE task_id = ANY(:ids)")
        await session.execute(wrong, {"by": datetime(2026, 1, 1, tzinfo=UTC), "ids": [lead.task_id, work.task_id]})
    seen: UUID | None = None
    while True:
        seen, _ = await Recalculation(desk.database, desk.vault).look(seen)
        if seen is None:
            break
    parts = await desk.parts(lead.need_id)
    assert [(one.complete_by, one.provisional) for one in parts.values()] == [
        (lead.complete_by, False), (work.complete_by, False),
    ]  # fmt: skip
    logged = [one for one in await desk.logged(lead.subject_id) if one["action"] == "recalculate-due"]
    assert {one["legal_basis"] for one in logged} == {"consent"}
    assert len(logged) == 2


@pytest.mark.parametrize("department", sorted(Department))
async def test_who_had_no_part_before_has_one_alone_afterwards(desk, department) -> None:
    """Whatever departments share a request, none is named in what another is offered."""
    lead = await desk.opened("housing-repair")
    need_type = next(code for code, one in NEED_TYPES.items() if one.department is department and not one.confidential)
    if department is Department.HOUSING:
        with pytest.raises(PartTaken):
            await desk.add(lead, department, need_type)
        return
    offer = str(await offered(desk, await desk.add(lead, department, need_type)))
    assert "housing" not in offer
