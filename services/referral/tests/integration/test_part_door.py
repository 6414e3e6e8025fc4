"""Parts and appointments over the HTTP edge: who may, each refusal, and that no department learns of another's part."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Purpose, Role, TaskState
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.counting import read_figures
from doorstep.referral.operations.duties import note_duty

PARTS, APPOINTMENTS, TRANSITIONS = "parts", "appointments", "transitions"


class People:
    """Stands in for the authenticator: the token says who it is, where, and at which station."""

    async def verify(self, token: str) -> Principal:
        role, _, agency = token.partition("@")
        if not agency:
            raise NotAuthenticated
        return Principal(f"{token}-1", Role(role), agency.partition("/")[0], agency.partition("/")[2] or None)


REVIEWER = "reviewer@station/station-7"


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    made = await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")
    made.service.authenticator = People()
    return made


@pytest.fixture
def desk(front, desk_over):
    """A desk with a record of its own."""
    return desk_over(front.database, front.vault)


def part(department: str = "labour", need_type: str = "work-training", **more: Any) -> dict[str, Any]:
    """The body of a new part."""
    return {"id": str(uuid7()), "department": department, "need_type": need_type, "consented": True} | more


def window(desk: Any, place: str = "office") -> dict[str, str]:
    """An appointment that begins at the desk's time."""
    starts = desk.now
    return {"starts_at": starts.isoformat(), "ends_at": (starts + timedelta(hours=1)).isoformat(), "place": place}


async def ask(front: Any, task: Any, tail: str, body: Any, version: int | None = 1, who: str | None = REVIEWER) -> Any:
    """What the station is answered about a request."""
    match = {} if version is None else {"if_match": f'"{version}"'}
    return await front.call("POST", f"/api/requests/{task.request_id}/{tail}", who, body, **match)


def code(answer: Any) -> str:
    return str(answer.body["type"]).rpartition(":")[2]


async def test_a_part_is_added_once_and_the_station_sees_all_by_part(front, desk) -> None:
    lead = await desk.opened("minimum-living-allowance")
    body = part(note="本人希望再就业")
    answers = [await ask(front, lead, PARTS, body) for _ in range(2)]
    for answer in answers:
        assert (answer.status, answer.headers["etag"]) == (201, '"2"')
        assert answer.body == {"request_id": str(lead.request_id), "part": 2}
    path = f"/api/requests?record_id={lead.record_id}"
    case = {"doorstep_purpose": "triage", "doorstep_case": str(lead.record_id)}
    (shown,) = (await front.call("GET", path, REVIEWER, **case)).body["requests"]
    assert (shown["need_type"], shown["parts"]) == ("minimum-living-allowance", 2)
    assert [(one["part"], one["department"], one["need_type"]) for one in shown["tasks"]] == [
        (1, "civil-affairs", "minimum-living-allowance"), (2, "labour", "work-training"),
    ]  # fmt: skip
    assert shown["tasks"][1]["history"][0]["note"] == "本人希望再就业"


@pytest.mark.parametrize(("body", "status", "why", "pointer"), [
    ({"department": "fire"}, 422, "need-elsewhere", "/need_type"),
    ({"need_type": "no-such-need"}, 422, "need-elsewhere", "/need_type"),
    ({"consented": False}, 422, "consent-missing", "/consented"),
    ({"consented": "yes"}, 422, "invalid", "/consented"),
    ({"department": "police"}, 422, "invalid", "/department"),
    ({"department": "justice", "need_type": "legal-aid"}, 409, "part-confidential", None),
    ({"department": "civil-affairs", "need_type": "temporary-relief"}, 409, "part-taken", None),
    ({"urgent": True}, 422, "invalid", "/urgent"),
])  # fmt: skip
async def test_each_fault_of_a_part_is_one_clear_answer(front, desk, body, status, why, pointer) -> None:
    lead = await desk.opened("minimum-living-allowance")
    answer = await ask(front, lead, PARTS, part() | body)
    assert (answer.status, code(answer)) == (status, why)
    assert [one["pointer"] for one in answer.body.get("errors", ())] == ([pointer] if pointer else [])
    assert len(await desk.parts(lead.need_id)) == 1


async def test_a_part_is_added_on_the_number_of_parts_that_was_seen(front, desk) -> None:
    lead = await desk.opened("minimum-living-allowance")
    assert (await ask(front, lead, PARTS, part(), None)).status == 428
    assert (await ask(front, lead, PARTS, part(), 2)).status == 412
    assert (await ask(front, lead, PARTS, part(), 1)).status == 201
    assert (await ask(front, lead, PARTS, part("health", "health-advice"), 1)).status == 412
    assert (await ask(front, lead, PARTS, part("health", "health-advice"), 2)).status == 201


@pytest.mark.parametrize(("who", "status"), [
    ("supervisor@station/station-7", 403), ("collector@station/station-7", 403), ("officer@labour", 403),
    ("reviewer@police/station-7", 403), ("reviewer@station", 403), ("reviewer@station/station-9", 404), (None, 401),
])  # fmt: skip
async def test_only_a_reviewer_of_the_station_adds_parts_and_appoints_for_it(front, desk, who, status) -> None:
    lead = await desk.opened("minimum-living-allowance")
    calls = ((PARTS, part()), (APPOINTMENTS, {"id": str(uuid7()), "appointment": window(desk)}))
    for tail, body in calls:
        assert (await ask(front, lead, tail, body, who=who)).status == status
    tried = [one["action"] for one in await desk.logged(lead.subject_id) if one["outcome"].startswith("refused:")]
    assert tried == ([] if who is None else ["add-part", "transition-task"])
    assert (await desk.task(lead.need_id)).version == 1


async def test_who_took_the_record_adds_no_part_to_what_came_of_it(front, desk) -> None:
    lead = await desk.opened("minimum-living-allowance")
    async with desk.database.transaction() as session:
        person = desk.vault.pairwise("staff", f"{REVIEWER}-1")
        await note_duty(session, lead.record_id, person, Role.COLLECTOR)
    assert (await ask(front, lead, PARTS, part())).status == 403


async def test_the_station_names_the_part_that_it_moves(front, desk) -> None:
    lead = await desk.opened("minimum-living-allowance")
    await desk.add(lead, "labour", "work-training")
    step = {"to": "cancelled", "reason": "duplicate"}
    for body, why in (({}, "part-unnamed"), ({"part": 7}, "part-unknown"), ({"part": 0}, "invalid")):
        answer = await ask(front, lead, TRANSITIONS, {"id": str(uuid7())} | step | body)
        assert (answer.status, code(answer)) == (422, why)
        assert [one["pointer"] for one in answer.body["errors"]] == ["/part"]
    answer = await ask(front, lead, TRANSITIONS, {"id": str(uuid7()), "part": 2} | step)
    assert (answer.status, answer.body["part"], answer.body["state"]) == (200, 2, "cancelled")


async def test_appointments_come_in_at_both_doors_and_a_place_is_a_code(front, desk, later) -> None:
    task = await desk.opened("wage-help")
    step = {"to": "accepted", "business_status": "appointment-scheduled"}
    address = f"/api/departments/labour/requests/{task.ref}/transitions"
    await desk.step(task, TaskState.ACCEPTED)
    for body in (
        step | {"appointment": window(later, "王秀英家")},
        step | {"appointment": {**window(later), "matter": "欠薪"}},
        {"to": "in-progress", "appointment": window(later)},
        step | {"business_status": "attended", "appointment": window(later)},
    ):
        answer = await front.call("POST", address, "officer@labour", {"id": str(uuid7())} | body, if_match='"2"')
        assert (answer.status, code(answer)) == (422, "invalid"), body
    body = {"id": str(uuid7()), **step, "appointment": window(later)}
    answer = await front.call("POST", address, "officer@labour", body, if_match='"2"')
    assert (answer.status, answer.body["business_status"]) == (200, "appointment-scheduled")
    body = {"id": str(uuid7()), "appointment": window(later, "by-phone"), "for_resident": True}
    for _ in range(2):
        answer = await ask(front, task, APPOINTMENTS, body, 3)
        assert (answer.status, answer.body["version"], answer.headers["etag"]) == (200, 4, '"4"')
    past = {"id": str(uuid7()), "appointment": window(desk)}
    answer = await ask(front, task, APPOINTMENTS, past, 4)
    assert (answer.status, code(answer), answer.body["errors"][0]["pointer"]) == (422, "window-refused", "/appointment")
    path = f"/api/departments/labour/requests/{task.ref}"
    case = {"doorstep_purpose": "service", "doorstep_case": str(task.ref)}
    shown = (await front.call("GET", path, "officer@labour", **case)).body
    places = [one["appointment"]["place"] for one in shown["history"] if "appointment" in one]
    assert places == ["office", "by-phone"]


@pytest.fixture
def later(desk, desk_over):
    """A desk of the real next day: the edge has the time of the machine."""
    from_now = desk_over(desk.database, desk.vault)
    from_now.now = (datetime.now(UTC) + timedelta(days=1)).replace(second=0, microsecond=0)
    return from_now


async def test_in_fhir_no_department_is_told_of_other_parts(front, desk) -> None:
    lead = await desk.opened("minimum-living-allowance")
    before = await _bundle(front, lead)
    tasks = [lead, await desk.add(lead, "labour", "work-training"), await desk.add(lead, "health", "health-advice")]
    assert await _bundle(front, lead) == before
    for task in tasks:
        told = await _bundle(front, task)
        others = [one for one in tasks if one is not task]
        for other in others:
            assert not [word for word in (other.department, str(other.ref), str(other.task_id)) if word in told]
        assert str(lead.request_id) not in told
        assert "/Task/" not in told
    case = {"doorstep_purpose": "service", "doorstep_case": str(lead.ref)}
    path = f"/api/departments/civil-affairs/requests/{lead.ref}"
    assert (await front.call("GET", path, "officer@civil-affairs", **case)).body["other_parts"] == ["health", "labour"]


async def _bundle(front: Any, task: Any) -> str:
    case = {"doorstep_purpose": "service", "doorstep_case": str(task.ref)}
    path = f"/api/departments/{task.department}/requests/{task.ref}/fhir"
    answer = await front.call("GET", path, f"officer@{task.department}", **case)
    assert answer.status == 200
    return str(answer.raw.decode())


async def test_each_part_is_counted_on_its_own_line_and_of_the_confidential_without_its_type(front, desk) -> None:
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE request, task, task_transition, rating, outbox CASCADE"))
    for _ in range(10):
        lead = await desk.opened("minimum-living-allowance")
        await desk.add(lead, "labour", "work-training")
        guarded = await desk.opened("legal-aid")
        await desk.add(guarded, "labour", "wage-help")
    assert {line: count for line, count in (await _figures(desk)).items() if count} == {
        ("civil-affairs", "minimum-living-allowance"): 10,
        ("labour", "work-training"): 10,
        ("justice", "legal-aid"): 10,
        ("labour", None): 10,
    }


async def _figures(desk: Any) -> dict[tuple[Any, Any], int]:
    who = Principal("supervisor-1", Role.SUPERVISOR, "station", "station-7")
    async with desk.database.transaction() as session:
        rows = await read_figures(
            session, vault=desk.vault, access=Access(who, Purpose.FOLLOW_UP), station="station-7", now=desk.now
        )
    return {(row.department, row.need_type): row.cells["open"] or 0 for row in rows}
