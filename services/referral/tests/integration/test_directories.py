"""Service directories: published, activated by a second person, and from then on where requests are opened."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from doorstep.contracts.codes import Outcome, Reason, TaskState
from doorstep.kit.relay import NotDeliverable
from doorstep.kit.testing import KIT_TABLES
from doorstep.kit.vault import NOBODY
from doorstep.referral.app import new_app
from doorstep.referral.domain.deadline_errors import NotOverdue
from doorstep.referral.operations.announcing import Announcing
from doorstep.referral.operations.checking import find_lost, hear_needs
from doorstep.referral.operations.delivering import FeedEncoder
from doorstep.referral.operations.offices import office_index

PATH = "/api/directories"
NEAR, FAR = UUID(int=1), UUID(int=2)
NEED = "wiring-repair"
FOLLOW_UP, TRIAGE = {"doorstep_purpose": "follow-up"}, {"doorstep_purpose": "triage"}


def office(
    number: int, *, need: str = NEED, area: str = "station-7", most: int | None = None, department: str = "fire"
) -> dict[str, Any]:
    """A service of HSDS."""
    term = {"id": str(UUID(int=9)), "taxonomy": "doorstep-need-types", "code": need, "name": need, "description": ""}
    unit = {"id": str(UUID(int=9)), "name": "x", "identifier": "doorstep-open-requests"}
    limit = {"id": unit["id"], "unit": unit, "available": 0, "updated": "2026-11-01T00:00:00Z", "maximum": most}
    return {
        "id": str(UUID(int=number)),
        "name": f"办事处 {number}",
        "organization_id": str(UUID(int=100 + len(department))),
        "status": "active",
        "service_areas": [{"id": str(UUID(int=9)), "uri": f"urn:doorstep:station:{area}"}],
        "attributes": [{"id": str(UUID(int=9)), "taxonomy_term": {**term, "description": "需求"}}],
        "capacities": [] if most is None else [limit],
        "fees": "免费",
    }


def directory(version: str, *offices: dict[str, Any]) -> dict[str, Any]:
    """A directory of these offices."""
    organizations = [
        {"id": str(UUID(int=100 + len(name))), "name": name, "description": name, "organization_identifiers": [
            {"id": str(UUID(int=9)), "identifier_type": "doorstep-department", "identifier": name},
        ]} for name in ("fire", "justice")
    ]  # fmt: skip
    stations = [{"code": f"station-{number}", "area": f"11010500{number}"} for number in (7, 9)]
    title = {"zh": "目录", "en": "Directory"}
    header = {"version": version, "title": title, "stations": stations}
    return {"directory": header, "organizations": organizations, "services": list(offices)}


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk where no directory was ever published, and nothing is open."""
    async with front.database.transaction() as session:
        tables = "request, task, task_transition, rating, outbox, activation"
        tables += ", service_directory, directory_in_force, directory_trial"
        await session.execute(text(f"TRUNCATE {tables} CASCADE"))
    return desk_over(front.database, front.vault)


async def publish(front, document, who="supervisor"):
    return await front.call("PUT", f"{PATH}/{document['directory']['version']}", who, document)


async def activate(front, version, who="another-supervisor"):
    return await front.call("POST", f"{PATH}/{version}/activation", who)


async def try_out(front, document):
    assert (await front.call("POST", f"{PATH}/trials", "supervisor", document, **FOLLOW_UP)).status == 200


async def bring(front, *offices, version="2026-1"):
    """Bring a directory of these offices into force."""
    await try_out(front, directory(version, *offices))
    assert (await publish(front, directory(version, *offices))).status == 200
    assert (await activate(front, version)).status == 200


def at(desk, task):
    """The office that has a task."""
    indexes = {office_index(desk.vault, one): one for one in (NEAR, FAR, UUID(int=3))}
    return None if task.office_index is None else indexes[bytes(task.office_index)]


async def test_a_directory_is_published_activated_by_another_and_comes_back_whole(front, desk) -> None:
    document = directory("2026-1", office(1))
    assert (await front.call("GET", f"{PATH}/current")).status == 404
    published = await publish(front, document)
    assert (published.status, published.body["offices"]) == (200, 1)
    assert (await publish(front, document)).body == published.body
    assert (await front.call("GET", f"{PATH}/current")).status == 404
    assert (await activate(front, "2026-1")).body == published.body
    for version in ("current", "2026-1"):
        assert json.loads((await front.call("GET", f"{PATH}/{version}")).raw) == document


async def test_that_a_directory_comes_into_force_is_in_the_log_once_for_each_change(front, desk) -> None:
    for version in ("2026-1", "2026-2"):
        await try_out(front, directory(version, office(1)))
        assert (await publish(front, directory(version, office(1)))).status == 200
    for version in ("2026-1", "2026-1", "2026-2", "2026-1"):
        digest = (await activate(front, version)).body["digest"]
        assert f"sha256:{digest}" == (await front.logged(NOBODY))[-1]["outcome"]
    entries = [one for one in await front.logged(NOBODY) if one["action"] == "activate-directory"]
    assert [one["policies"][-1].partition("@")[0] for one in entries] == [
        "directory:2026-1", "directory:2026-2", "directory:2026-1",
    ]  # fmt: skip
    assert {one["actor"] for one in entries} == {"supervisor-2"}
    published = [one for one in await front.about("supervisor") if one["action"] == "publish-directory"]
    assert len(published) >= 2


async def test_what_is_in_force_is_replaced_by_what_was_tried_and_by_nothing_else(front, desk) -> None:
    first, second = directory("2026-1", office(1)), directory("2026-2", office(1), office(2))
    for document in (first, second):
        assert (await publish(front, document)).status == 200
    assert (await activate(front, "2026-1")).status == 200  # nothing was in force
    assert (await activate(front, "2026-1")).status == 200
    refused = await activate(front, "2026-2")
    assert (refused.status, refused.body["type"]) == (409, "urn:doorstep:problem:directory-untried")
    await try_out(front, directory("2026-2", office(1)))  # another file of that name
    assert (await activate(front, "2026-2")).status == 409
    await try_out(front, second)
    assert (await activate(front, "2026-2")).status == 200
    assert (await activate(front, "2026-1")).status == 200  # the way back


async def test_who_published_it_does_not_activate_it_nor_without_the_policy(front, desk) -> None:
    await publish(front, directory("2026-1", office(1)))
    refused = await activate(front, "2026-1", "supervisor")
    assert (refused.status, refused.body["type"]) == (403, "urn:doorstep:problem:forbidden")
    assert ("activate-directory", "refused:forbidden") in [
        (one["action"], one["outcome"]) for one in await front.about("supervisor")
    ]
    with pytest.raises(IntegrityError):
        async with front.database.transaction() as session:
            await session.execute(text("UPDATE service_directory SET activated_by = proposed_by, activated_at = now()"))
    assert (await front.call("GET", f"{PATH}/current")).status == 404


async def test_what_is_wrong_is_answered_line_by_line(front, desk) -> None:
    document = directory("2026-1", office(1, area="station-8"), office(2, need="legal-aid"))
    refused = await publish(front, document)
    assert (refused.status, refused.body["type"]) == (422, "urn:doorstep:problem:directory-invalid")
    assert [one["pointer"] for one in refused.body["errors"]] == [
        "/services/0/service_areas/0/uri", "/services/1/attributes/0/taxonomy_term/code",
    ]  # fmt: skip
    misnamed = await front.call("PUT", f"{PATH}/2026-2", "supervisor", directory("2026-1", office(1)))
    assert misnamed.body["type"].endswith("directory-misnamed")
    assert (await publish(front, directory("2026-1", office(1)))).status == 200
    taken = await publish(front, directory("2026-1", office(2)))
    assert (taken.status, taken.body["type"]) == (409, "urn:doorstep:problem:version-taken")
    assert (await activate(front, "2026-9")).status == 404
    assert (await publish(front, directory("2026-3", office(1)), "reviewer")).status == 403
    assert (await activate(front, "2026-1", "reviewer")).status == 403


async def test_requests_go_to_the_chosen_office_up_to_its_capacity_then_to_the_station(front, desk) -> None:
    await bring(front, office(1, most=2), office(2, most=1))
    tasks = [await desk.opened(NEED) for _ in range(4)]
    assert [at(desk, one) for one in tasks] == [NEAR, FAR, NEAR, None]
    assert [(one.department, one.state) for one in tasks[2:]] == [("fire", "requested"), (None, "draft")]
    assert len(await desk.published("feed.fire", tasks[0].subject_id)) == 1
    assert await desk.published("feed.fire", tasks[3].subject_id) == []
    await desk.step(tasks[1], TaskState.ACCEPTED)
    await desk.step(tasks[1], TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)
    assert at(desk, await desk.opened(NEED)) == FAR


async def test_many_of_one_record_fill_offices_as_one_after_the_other_do(front, desk) -> None:
    await bring(front, office(1, most=2), office(2))
    needs = [await desk.need(NEED) for _ in range(5)]
    assert await desk.open(*needs) == 5
    found = [at(desk, await desk.task(one.need_id)) for one in needs]
    assert sorted(found) == [NEAR, NEAR, FAR, FAR, FAR]


async def test_opened_at_once_an_office_never_has_more_than_it_takes(front, desk) -> None:
    await bring(front, office(1, most=3))
    needs = [await desk.need(NEED) for _ in range(8)]
    await asyncio.gather(*(desk.open(one) for one in needs))
    found = [at(desk, await desk.task(one.need_id)) for one in needs]
    assert (found.count(NEAR), found.count(None)) == (3, 5)


async def test_no_office_no_area_and_no_longer_known_directory(front, desk) -> None:
    await bring(front, office(1, area="station-9"))
    assert (await desk.opened(NEED)).department is None
    assert (await desk.opened("legal-aid")).state == "draft"
    async with front.database.transaction() as session:
        await session.execute(
            text("UPDATE service_directory SET digest = 'other', document = replace(document, 'wiring-repair', 'gone')")
        )
    task = await desk.opened(NEED)
    assert (task.department, task.office_index) == ("fire", None)


async def test_open_requests_stay_where_they_are_and_new_ones_go_by_the_new_directory(front, desk) -> None:
    await bring(front, office(1))
    task = await desk.opened(NEED)
    await bring(front, office(2), version="2026-2")
    assert at(desk, await desk.task(task.need_id)) == NEAR
    assert at(desk, await desk.opened(NEED)) == FAR


@pytest.fixture
async def hearing(front, desk):
    """A desk that has heard of no need yet."""
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE heard_need"))
    return desk


async def heard(desk, need):
    """Open a need that triage told, and give its task."""
    async with desk.database.transaction() as session:
        await hear_needs(session, "station-7", [need])
    await desk.open(need)
    return await desk.task(need.need_id)


async def nothing_is_lost(desk) -> bool:
    async with desk.database.transaction() as session:
        return not [one for one in await find_lost(session) if one.count]


async def announced(desk, task) -> list[str]:
    """The steps that were announced of a task by the desk's clock."""
    while await Announcing(desk.database, desk.vault).look(desk.now):
        pass
    query = "SELECT step FROM announcement WHERE task_id = :id ORDER BY announced_at, step"
    return sorted({row.step for row in await desk.rows(query, id=task.task_id)})


async def taken_back(desk, task) -> None:
    """A task of fire is late by the clock, and goes from it to another; before its time is over it does not."""
    with pytest.raises(NotOverdue):
        await desk.hand_on(task, "civil-affairs")
    desk.now += timedelta(hours=37)
    assert {"officer", "head-of-office", "supervisor"} == set(await announced(desk, task))
    await desk.hand_on(task, "civil-affairs")
    rows = await desk.rows(
        "SELECT department, state, complete_by FROM task WHERE request_id = :id ORDER BY sequence", id=task.request_id
    )
    assert [tuple(row) for row in rows] == [
        ("fire", "cancelled", task.complete_by), ("civil-affairs", "requested", task.complete_by),
    ]  # fmt: skip
    assert await desk.rows("SELECT 1 FROM owed_erasure WHERE ref = :ref", ref=task.ref) == [(1,)]
    (offer,) = await desk.published("feed.civil-affairs", task.subject_id)
    assert offer["type"] == "feed.request-offered.v1"


async def test_a_department_whose_only_office_is_gone_loses_nothing_for_anybody(front, hearing) -> None:
    desk = hearing
    await bring(front, office(1))
    silent, begun = [await heard(desk, await desk.need(NEED)) for _ in range(2)]
    await desk.step(begun, TaskState.ACCEPTED)
    await bring(front, office(2, need="legal-aid", department="justice"), version="2026-2")
    for task, state in ((silent, "requested"), (begun, "accepted")):  # they stay where they are
        now = await desk.task(task.need_id)
        assert (now.department, at(desk, now), now.state, now.complete_by) == ("fire", NEAR, state, task.complete_by)
    new = await heard(desk, await desk.need(NEED))
    assert (new.department, new.state) == (None, "draft")  # the station's queue
    seen = (await front.call("GET", "/api/requests/open", "reviewer", **FOLLOW_UP)).body["requests"]
    told = {one["request_id"]: (one.get("department"), one["next"]) for one in seen}
    assert told == {
        str(silent.request_id): ("fire", "respond"), str(begun.request_id): ("fire", "complete"),
        str(new.request_id): (None, "route"),
    }  # fmt: skip
    assert await nothing_is_lost(desk)
    await taken_back(desk, silent)
    await desk.hand_on(new, "fire")  # by the word of a human it may still have what is new
    assert (await desk.task(new.need_id)).department == "fire"
    await desk.step(begun, TaskState.COMPLETED, outcome=Outcome.SERVICE_PROVIDED)  # and end what it has
    assert await nothing_is_lost(desk)


async def test_a_department_without_a_key_loses_nothing_for_anybody(front, hearing) -> None:
    desk = hearing
    task = await heard(desk, await desk.need(NEED))
    assert (task.department, task.state) == ("fire", "requested")
    encode = FeedEncoder(front.database, front.vault).encode
    (row,) = await desk.rows("SELECT * FROM outbox WHERE recipient = 'fire' AND subject = :id", id=task.subject_id)
    with pytest.raises(NotDeliverable):  # it waits in the outbox, and can be delivered to nobody
        await encode(row)
    assert await nothing_is_lost(desk)
    await taken_back(desk, task)
    assert await nothing_is_lost(desk)


async def test_what_a_human_hands_on_has_an_office_where_its_department_has_one(front, desk) -> None:
    await bring(front, office(1, most=1))
    first, waiting = [await desk.opened(NEED) for _ in range(2)]
    await desk.step(first, TaskState.REJECTED, reason=Reason.NOT_OURS)
    await desk.hand_on(waiting, "fire")
    assert at(desk, await desk.task(waiting.need_id)) == NEAR
    await desk.hand_on(first, "housing")
    handed = await desk.task(first.need_id)
    assert (handed.department, handed.office_index) == ("housing", None)


async def test_the_office_is_in_no_column_in_the_clear(front, desk) -> None:
    await bring(front, office(1, need="legal-aid", department="justice"))
    task = await desk.opened("legal-aid")
    assert at(desk, task) == NEAR
    shown = b"".join(bytes(one) for one in task._mapping.values() if isinstance(one, bytes)).hex() + str(task)
    assert str(NEAR) not in shown
    assert NEAR.hex not in shown


async def test_a_reviewer_is_told_why_this_office_and_why_not_the_others(front, desk) -> None:
    asked = f"{PATH}/current/route?need_type={NEED}&station=station-7"
    plain = (await front.call("GET", asked, "reviewer", **TRIAGE)).body
    assert (plain["department"], "directory" in plain) == ("fire", False)
    await bring(front, office(1, most=0), office(2), office(3, area="station-9"))
    told = (await front.call("GET", asked, "reviewer", **TRIAGE)).body
    assert (told["directory"], told["office"], told["en"]) == ("2026-1", str(FAR), "办事处 2 takes it.")
    assert [one.get("why_not") for one in told["offices"]] == ["full", None, "area"]
    assert all(one["zh"] and one["en"] for one in told["offices"])
    assert (await front.call("GET", asked.partition("&")[0], "reviewer", **TRIAGE)).body == told
    unsaid = await front.call("GET", f"{PATH}/current/route", "reviewer", **TRIAGE)
    assert (unsaid.status, unsaid.body["errors"][0]["pointer"]) == (422, "/query/need_type")
    nobody = (await front.call("GET", asked.replace(NEED, "no-heating"), "reviewer", **TRIAGE)).body
    assert (nobody["queue"], "department" in nobody) == ("unrouted", False)
    for who, why in (("reviewer", {}), ("reviewer", FOLLOW_UP), ("supervisor", TRIAGE), ("reviewer-elsewhere", TRIAGE)):
        assert (await front.call("GET", asked, who, **why)).status == 403
    assert (
        await front.call("GET", f"{PATH}/current/route?need_type=%00&station=x", "reviewer", **TRIAGE)
    ).status == 422


async def test_who_signs_goes_where_somebody_does_and_no_offer_says_so(front, desk) -> None:
    signs = {"languages": [{"id": str(UUID(int=9)), "code": "csl", "name": "手语"}]}
    await bring(front, office(1), office(2) | signs)
    for language, place in ((None, NEAR), ("mandarin", NEAR), ("sign", FAR), ("foreign", NEAR)):
        need = await desk.need(NEED, language=language)
        await desk.open(need)
        task = await desk.task(need.need_id)
        assert at(desk, task) == place, language
        await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)  # so that the next finds no load
        offered = await desk.published("feed.fire", task.subject_id)
        assert offered
        assert not [one for one in offered if language and f'"{language}"' in json.dumps(one, default=str)]
    asked = f"{PATH}/current/route?need_type={NEED}&station=station-7&language="
    told = (await front.call("GET", f"{asked}sign", "reviewer", **TRIAGE)).body
    assert (told["office"], told["offices"][0]["why_not"]) == (str(FAR), "language")
    wrong = await front.call("GET", f"{asked}klingon", "reviewer", **TRIAGE)
    assert (wrong.status, wrong.body["errors"][0]["pointer"]) == (422, "/query/language")


async def test_a_trial_counts_who_would_go_elsewhere_and_changes_nothing(front, desk) -> None:
    await bring(front, office(1))
    await desk.open(*[await desk.need(NEED) for _ in range(13)], *[await desk.need("gas-leak") for _ in range(3)])
    before = await front.counts()
    tried = directory("2026-2", office(2), office(3, need="gas-leak"))
    answer = await front.call("POST", f"{PATH}/trials", "supervisor", tried, **FOLLOW_UP)
    assert (answer.status, answer.body["fewest"], answer.body["step"]) == (200, 10, 5)
    lines = {one.get("office"): one for one in answer.body["lines"] if "office" in one}
    cells = {UUID(one): {k: v for k, v in line.items() if k in ("here", "coming", "leaving")}
             for one, line in lines.items()}  # fmt: skip
    assert cells == {NEAR: {"here": 10, "leaving": 10}, FAR: {"coming": 10}, UUID(int=3): {}}
    spoken = answer.raw.decode()
    for row in await desk.rows("SELECT request_id, subject_id FROM request"):
        assert str(row.request_id) not in spoken
        assert str(row.subject_id) not in spoken
    after = await front.counts()
    assert {name for name in after if after[name] != before[name]} <= {"outbox", "key_counter", "directory_trial"}
    assert at(desk, await desk.opened(NEED)) == NEAR
    assert (await front.about("supervisor"))[-1]["action"] == "try-directory"


async def test_violence_is_in_no_count_of_a_trial_and_moves_none(front, desk) -> None:
    await bring(front, office(1), office(3, need="legal-aid", department="justice"))
    await desk.open(*[await desk.need(NEED) for _ in range(13)])
    tried = directory("2026-2", office(2, most=20), office(3, need="protection-from-violence", department="justice"))
    before = (await front.call("POST", f"{PATH}/trials", "supervisor", tried, **FOLLOW_UP)).body["lines"]
    assert [one for one in before if "coming" in one]
    await desk.open(*[await desk.need("protection-from-violence") for _ in range(12)])  # wait in the queue
    assert (await front.call("POST", f"{PATH}/trials", "supervisor", tried, **FOLLOW_UP)).body["lines"] == before


async def test_a_trial_is_a_supervisors_for_follow_up_and_of_a_whole_directory(front, desk) -> None:
    document = directory("2026-2", office(2))
    for who, why in (("supervisor", {}), ("supervisor", TRIAGE), ("reviewer", FOLLOW_UP), ("officer", FOLLOW_UP)):
        assert (await front.call("POST", f"{PATH}/trials", who, document, **why)).status == 403
    refused = await front.call("POST", f"{PATH}/trials", "supervisor", {}, **FOLLOW_UP)
    assert [one["pointer"] for one in refused.body["errors"]] == ["/directory", "/services"]
