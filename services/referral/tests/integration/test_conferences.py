"""Conferences: who may be at one, what of its minutes each is shown, and that nothing else of other parts is told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Barred, Reason, Role, TaskState
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.operations.erasing import erase_subject

REVIEWER = "reviewer@station/station-7"
STARTS = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
FOR = {"doorstep_purpose": "service"}


class People:
    """Stands in for the authenticator: the token says who it is, where, and at which station."""

    async def verify(self, token: str) -> Principal:
        role, _, agency = token.partition("@")
        if not agency:
            raise NotAuthenticated
        return Principal(f"{token}-1", Role(role), agency.partition("/")[0], agency.partition("/")[2] or None)


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


def body(*parts: int, **more: Any) -> dict[str, Any]:
    """What calls a conference."""
    times = {"starts_at": STARTS.isoformat(), "ends_at": (STARTS + timedelta(hours=1)).isoformat()}
    return {"id": str(uuid7()), "parts": list(parts), **times} | more


def entry(text: str, **more: Any) -> dict[str, Any]:
    return {"id": str(uuid7()), "text": text} | more


def code(answer: Any) -> str:
    return str(answer.body["type"]).rpartition(":")[2]


async def call(front: Any, lead: Any, sent: dict[str, Any], seen: int = 3, who: str | None = REVIEWER) -> Any:
    path = f"/api/requests/{lead.request_id}/conferences"
    return await front.call("POST", path, who, sent, if_match=f'"{seen}"')


async def speak(front: Any, task: Any, conference: Any, sent: dict[str, Any], who: str | None = None) -> Any:
    """A department writes."""
    path = f"/api/departments/{task.department}/requests/{task.ref}/conferences/{conference}/minutes"
    return await front.call("POST", path, who or f"officer@{task.department}", sent)


async def record(front: Any, lead: Any, conference: Any, sent: dict[str, Any]) -> Any:
    """The station writes."""
    path = f"/api/requests/{lead.request_id}/conferences/{conference}/minutes"
    return await front.call("POST", path, REVIEWER, sent)


async def shown(front: Any, task: Any) -> list[dict[str, Any]]:
    """The conferences as the department of a task sees them."""
    path = f"/api/departments/{task.department}/requests/{task.ref}/conferences"
    answer = await front.call("GET", path, f"officer@{task.department}", doorstep_case=str(task.ref), **FOR)
    assert answer.status == 200, answer.body
    return list(answer.body["conferences"])


async def of_station(front: Any, lead: Any) -> list[dict[str, Any]]:
    path = f"/api/requests/{lead.request_id}/conferences"
    why = {"doorstep_purpose": "follow-up", "doorstep_case": str(lead.request_id)}
    answer = await front.call("GET", path, REVIEWER, **why)
    assert answer.status == 200, answer.body
    return list(answer.body["conferences"])


def texts(conference: dict[str, Any]) -> list[str]:
    return [one["text"] for one in conference["minutes"]]


async def shared(desk: Any, need_type: str = "minimum-living-allowance", **how: Any) -> tuple[Any, Any, Any]:
    """A request of which three departments have parts."""
    lead = await desk.opened(need_type, **how)
    return lead, await desk.add(lead, "labour", "work-training"), await desk.add(lead, "fire", "gas-hose-replacement")


async def test_those_who_take_part_know_each_other_by_name_and_the_rest_learns_nothing(front, desk) -> None:
    lead, work, hose = await shared(desk)
    sent = body(1, 2)
    answers = [await call(front, lead, sent) for _ in range(2)]
    assert [one.status for one in answers] == [201, 201]
    assert answers[0].body == answers[1].body
    ((of_lead,), (of_work,)) = (await shown(front, lead), await shown(front, work))
    assert await shown(front, hose) == []
    assert of_lead["conference"] != of_work["conference"] != answers[0].body["conference"]
    for one in (of_lead, of_work):
        assert (one["lead"], one["departments"]) == ("civil-affairs", ["civil-affairs", "labour"])
        assert datetime.fromisoformat(one["called_at"]).second == 0
        assert not {str(lead.request_id), str(lead.task_id), str(work.task_id)} & set(map(str, one.values()))
    assert "fire" not in str(of_lead) + str(of_work)
    logged = [one["action"] for one in await desk.logged(lead.subject_id)]
    assert logged.count("call-conference") == 1
    assert logged.count("read-minutes") == 3


async def test_an_entry_is_for_whom_it_names_and_the_station_sees_all(front, desk) -> None:
    lead, work, hose = await shared(desk)
    conference = (await call(front, lead, body(1, 2, 3))).body["conference"]
    refs = {task.department: (await shown(front, task))[0]["conference"] for task in (lead, work, hose)}
    assert (await record(front, lead, conference, entry("会商开始"))).status == 201
    said = entry("先核收入再安排培训", about=["income-and-work"], departments=["civil-affairs"])
    for _ in range(2):
        assert (await speak(front, work, refs["labour"], said)).status == 201
    assert (await speak(front, hose, refs["fire"], entry("更换软管后回访"))).status == 201
    assert texts((await shown(front, lead))[0]) == ["会商开始", "先核收入再安排培训", "更换软管后回访"]
    assert texts((await shown(front, work))[0]) == ["会商开始", "先核收入再安排培训", "更换软管后回访"]
    (of_fire,) = await shown(front, hose)
    assert texts(of_fire) == ["会商开始", "更换软管后回访"]
    assert [one.get("by") for one in of_fire["minutes"]] == [None, "fire"]
    assert not {"number", "version"} & {*of_fire, *of_fire["minutes"][0]}  # nothing that would show a gap
    assert len((await of_station(front, lead))[0]["minutes"]) == 3
    (kept,) = await desk.rows("SELECT body FROM minute WHERE number = 2 AND conference_id = :id", id=conference)
    assert "培训".encode() not in bytes(kept.body)


@pytest.mark.parametrize(("who", "about", "departments", "status"), [
    ("labour", ["income-and-work"], None, 422),  # fire is there and sees none
    ("labour", ["income-and-work"], ["civil-affairs"], 201),
    ("fire", ["dwelling"], ["labour"], 422),
    ("fire", ["dwelling"], ["civil-affairs"], 201),
    ("fire", ["income-and-work"], ["civil-affairs"], 422),  # nor does it tell of what it does not see
    ("labour", ["health"], ["civil-affairs"], 422),
    ("labour", ["identity"], ["civil-affairs"], 422),
    ("labour", ["wishes"], None, 201),
    ("labour", [], None, 201),
    ("labour", ["religion"], None, 422),
    ("labour", [], ["police"], 422),
    ("labour", [], ["health"], 409),
    ("station", ["health"], ["civil-affairs"], 422),
    ("station", ["income-and-work"], ["civil-affairs", "labour"], 201),
])  # fmt: skip
async def test_minutes_go_as_far_as_the_feeds_of_those_who_read_them(
    front, desk, who, about, departments, status
) -> None:
    lead, work, hose = await shared(desk)
    conference = (await call(front, lead, body(1, 2, 3))).body["conference"]
    sent = entry("商定", about=about) | ({} if departments is None else {"departments": departments})
    if who == "station":
        answer = await record(front, lead, conference, sent)
    else:
        task = {"labour": work, "fire": hose}[who]
        answer = await speak(front, task, (await shown(front, task))[0]["conference"], sent)
    assert answer.status == status, answer.body
    assert len((await of_station(front, lead))[0]["minutes"]) == (status == 201)


@pytest.mark.parametrize(("asks_for", "status"), [(None, 409), ((Barred.HOME_VISIT,), 409),
                                                  ((Barred.JOINT_CONFERENCE,), 201)],
                         ids=["nothing", "visits", "conference"])  # fmt: skip
async def test_protection_from_violence_bars_it_unless_the_person_asks(front, desk, asks_for, status) -> None:
    lead = await desk.opened("protection-from-violence", asks_for=asks_for)
    await desk.add(lead, "civil-affairs", "temporary-relief")
    answer = await call(front, lead, body(1, 2), seen=2)
    assert answer.status == status
    if status == 409:
        assert code(answer) == "conference-barred"
        assert await of_station(front, lead) == []


async def test_each_fault_of_a_call_is_one_clear_answer(front, desk) -> None:
    lead, work, _ = await shared(desk)
    ends = (STARTS - timedelta(hours=1)).isoformat()
    for sent, seen, status, why in (
        (body(2, 3), 3, 422, "lead-missing"), (body(1, 9), 3, 422, "part-unknown"), (body(1), 3, 422, "invalid"),
        (body(1, 1), 3, 422, "invalid"), (body(1, 2), 2, 412, "version-stale"),
        (body(1, 2, ends_at=ends), 3, 422, "window-refused"), (body(1, 2, place="王秀英家"), 3, 422, "invalid"),
    ):  # fmt: skip
        answer = await call(front, lead, sent, seen)
        assert (answer.status, code(answer)) == (status, why)
    await desk.step(work, TaskState.REJECTED, version=1, reason=Reason.NOT_OURS)
    answer = await call(front, lead, body(1, 2))
    assert (answer.status, code(answer)) == (409, "not-seated")


@pytest.mark.parametrize(("who", "status"), [
    ("supervisor@station/station-7", 403), ("officer@civil-affairs", 403), ("reviewer@police/station-7", 403),
    ("reviewer@petition-office/station-7", 403), ("reviewer@station/station-9", 404), (None, 401),
])  # fmt: skip
async def test_only_the_station_calls_one_and_police_and_petition_offices_never_do(front, desk, who, status) -> None:
    lead, _, _ = await shared(desk)
    assert (await call(front, lead, body(1, 2), who=who)).status == status
    path = f"/api/requests/{lead.request_id}/conferences"
    why = {"doorstep_purpose": "follow-up", "doorstep_case": str(lead.request_id)}
    assert (await front.call("GET", path, who, **why)).status == status


async def test_who_gave_its_part_back_or_has_no_seat_neither_reads_nor_writes(front, desk) -> None:
    lead, work, hose = await shared(desk)
    conference = (await call(front, lead, body(1, 2))).body["conference"]
    own = (await shown(front, work))[0]["conference"]
    for task, name in ((hose, own), (hose, conference), (work, conference), (lead, own), (lead, uuid4())):
        answer = await speak(front, task, name, entry("x"))
        assert (answer.status, code(answer)) == (404, "conference-unknown")
    assert (await speak(front, work, own, entry("x"), "officer@fire")).status == 403
    await desk.step(work, TaskState.REJECTED, version=1, reason=Reason.NOT_OURS)
    assert await shown(front, work) == []
    assert (await speak(front, work, own, entry("x"))).status == 404
    assert (await shown(front, lead))[0]["departments"] == ["civil-affairs"]


async def test_what_is_closed_stays_as_it_is(front, desk) -> None:
    lead, work, _ = await shared(desk)
    conference = (await call(front, lead, body(1, 2))).body["conference"]
    own = (await shown(front, work))[0]["conference"]
    assert (await record(front, lead, conference, entry("会商结束", closes=True))).status == 201
    for answer in (await record(front, lead, conference, entry("补充")), await speak(front, work, own, entry("补充"))):
        assert (answer.status, code(answer)) == (409, "conference-closed")
    (seen,) = await shown(front, work)
    assert (texts(seen), "closed_at" in seen) == (["会商结束"], True)


async def test_who_write_at_once_write_one_after_the_other(front, desk) -> None:
    lead, work, _ = await shared(desk)
    await call(front, lead, body(1, 2))
    refs = [(task, (await shown(front, task))[0]["conference"]) for task in (lead, work)]
    writing = [speak(front, task, ref, entry(f"{n}")) for n in range(3) for task, ref in refs]
    assert [one.status for one in await asyncio.gather(*writing)] == [201] * 6
    assert sorted(texts((await shown(front, lead))[0])) == sorted(f"{n}" for n in range(3) for _ in refs)


async def test_minutes_of_an_erased_subject_go(front, desk) -> None:
    lead, work, _ = await shared(desk)
    conference = (await call(front, lead, body(1, 2))).body["conference"]
    await speak(front, work, (await shown(front, work))[0]["conference"], entry("x"))
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=lead.subject_id, now=desk.now)
    for table in ("conference", "conference_seat", "minute"):
        assert await desk.rows(f"SELECT 1 FROM {table} WHERE conference_id = :id", id=conference) == []  # noqa: S608
