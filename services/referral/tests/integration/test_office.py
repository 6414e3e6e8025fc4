"""The department's office at work: an inbox, who works on what, who stands in, and no other office's requests."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import BusinessStatus, Reason, Role, TaskState
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.delivery import new_private_key, open_with
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.operations import inbox
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.offices import office_index

FIRE = "/api/departments/fire"
INBOX, DEPUTIES = f"{FIRE}/inbox", f"{FIRE}/deputies"
NEAR, FAR = UUID(int=1), UUID(int=2)
NEED = "wiring-repair"
SERVICE = {"doorstep_purpose": "service"}
PEOPLE = {
    "supervisor": Principal("supervisor-1", Role.SUPERVISOR, "station", "station-7"),
    "another-supervisor": Principal("supervisor-2", Role.SUPERVISOR, "station", "station-7"),
    "system": Principal("system-1", Role.DEPARTMENT_SYSTEM, "fire"),
    "anybody": Principal("anybody-1", Role.OFFICER, "fire"),
    "ann": Principal("ann-1", Role.OFFICER, "fire", office=str(NEAR)),
    "bao": Principal("bao-1", Role.OFFICER, "fire", office=str(NEAR)),
    "cai": Principal("cai-1", Role.OFFICER, "fire", office=str(NEAR)),
    "far": Principal("far-1", Role.OFFICER, "fire", office=str(FAR)),
    "nowhere": Principal("nowhere-1", Role.OFFICER, "fire", office=str(UUID(int=7))),
    "head": Principal("head-1", Role.OFFICER, "fire", office=str(NEAR), heads=True),
    "justice": Principal("justice-1", Role.OFFICER, "justice", office=str(NEAR)),
}


class Tokens:
    """Stands in for the authenticator: the token is a name."""

    async def verify(self, token: str) -> Principal:
        if token not in PEOPLE:
            raise NotAuthenticated
        return PEOPLE[token]


def directory() -> dict[str, Any]:
    """Two offices of the fire department that take the same."""
    term = {"id": str(UUID(int=9)), "taxonomy": "doorstep-need-types", "code": NEED, "name": NEED, "description": "x"}
    offices = [
        {
            "id": str(one), "name": name, "organization_id": str(UUID(int=50)), "status": "active",
            "service_areas": [{"id": str(UUID(int=9)), "uri": "urn:doorstep:station:station-7"}],
            "attributes": [{"id": str(UUID(int=9)), "taxonomy_term": term}], "fees": "免费",
        }
        for one, name in ((NEAR, "东街消防所"), (FAR, "西街消防所"))
    ]  # fmt: skip
    identifier = {"id": str(UUID(int=9)), "identifier_type": "doorstep-department", "identifier": "fire"}
    organization = {"id": str(UUID(int=50)), "name": "消防", "description": "消防"}
    header = {"version": "2026-1", "title": {"zh": "目录", "en": "Directory"}}
    header |= {"stations": [{"code": "station-7", "area": "110105007"}]}
    organizations = [{**organization, "organization_identifiers": [identifier]}]
    return {"directory": header, "organizations": organizations, "services": offices}


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own, with the directory in force."""
    made = await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")
    made.service.authenticator = Tokens()
    assert (await made.call("PUT", "/api/directories/2026-1", "supervisor", directory())).status == 200
    assert (await made.call("POST", "/api/directories/2026-1/activation", "another-supervisor")).status == 200
    return made


@pytest.fixture
async def desk(front, desk_over):
    """A desk at which nothing is open, and nobody has been at the inbox."""
    async with front.database.transaction() as session:
        tables = "request, rating, task, task_transition, handler, deputy, office_member, outbox, command, exclusion"
        await session.execute(text(f"TRUNCATE {tables} CASCADE"))
    found = desk_over(front.database, front.vault)
    found.now = datetime.now(UTC)
    return found


async def look(front, who: str, query: str = "") -> Any:
    answer = await front.call("GET", f"{INBOX}{query}", who, **SERVICE)
    assert answer.status == 200, answer.body
    return answer.body


async def refs(front, who: str, query: str = "") -> set[str]:
    return {one["ref"] for one in (await look(front, who, query))["requests"]}


async def give(front, who: str, task: Any, to: str | None) -> Any:
    body = {"id": str(uuid7()), "handler": to}
    return await front.call("POST", f"{FIRE}/requests/{task.ref}/handler", who, body)


async def step(front, who: str, task: Any, to: str, version: int = 1, **said: str) -> Any:
    body = {"id": str(uuid7()), "to": to, **said}
    return await front.call("POST", f"{FIRE}/requests/{task.ref}/transitions", who, body, if_match=f'"{version}"')


def code(answer: Any) -> str:
    return answer.body["type"].rpartition(":")[2]


def office_of(front, task: Any) -> UUID | None:
    return {office_index(front.vault, one): one for one in (NEAR, FAR)}.get(bytes(task.office_index or b""))


async def two(front, desk) -> tuple[Any, Any]:
    """A request of the near office, and one of the other."""
    tasks = [await desk.opened(NEED) for _ in range(2)]
    by_office = {office_of(front, one): one for one in tasks}
    return by_office[NEAR], by_office[FAR]


async def test_an_officer_sees_the_requests_of_their_own_office_and_of_none(front, desk) -> None:
    near, far = await two(front, desk)
    of_none = await desk.opened(NEED)
    async with front.database.transaction() as session:
        await session.execute(text("UPDATE task SET office_index = NULL WHERE ref = :ref"), {"ref": of_none.ref})
    seen = {name: str(one.ref) for name, one in (("near", near), ("far", far), ("none", of_none))}
    assert await refs(front, "ann") == {seen["near"], seen["none"]}
    assert await refs(front, "far") == {seen["far"], seen["none"]}
    assert await refs(front, "nowhere") == {seen["none"]}
    for who in ("anybody", "system"):
        assert await refs(front, who) == set(seen.values())
    assert await refs(front, "anybody", f"?office={FAR}") == {seen["far"]}
    assert await refs(front, "ann", f"?office={FAR}") == set()
    page = await look(front, "ann")
    assert [one["name"] for one in page["offices"]] == ["东街消防所"]
    assert page["counts"] == {"states": {"requested": 2}, "late": 0, "mine": 0, "nobodys": 2}
    assert {one["ref"]: one.get("office") for one in page["requests"]} == {seen["near"]: str(NEAR), seen["none"]: None}
    told = str(page)
    assert "王秀英" not in told
    assert "和平里" not in told


async def test_a_request_of_another_office_is_not_there_by_any_call(front, desk) -> None:
    near, far = await two(front, desk)
    path = f"{FIRE}/requests/{far.ref}"
    assert (await front.call("GET", path, "ann", **SERVICE)).status == 404
    assert (await front.call("GET", f"{path}/fhir", "ann", **SERVICE)).status == 404
    assert (await step(front, "ann", far, "accepted")).status == 404
    assert (await give(front, "ann", far, "ann-1")).status == 404
    listed = await front.call("GET", f"{FIRE}/requests", "ann", **SERVICE)
    assert [one["ref"] for one in listed.body["requests"]] == [str(near.ref)]
    assert (await front.call("GET", f"{FIRE}/requests/{near.ref}", "ann", **SERVICE)).status == 200
    assert {one["outcome"] for one in await front.refusals(far.subject_id)} == {"refused:request-unknown"}
    assert (await front.call("GET", f"{FIRE}/feed", "ann", **SERVICE)).status == 403


async def test_the_inbox_is_narrowed_by_state_status_due_time_lateness_and_handler(front, desk) -> None:
    near, _ = await two(front, desk)
    other = await desk.opened(NEED)
    desk.now -= timedelta(days=400)
    old = await desk.opened(NEED)
    await desk.step(other, TaskState.ACCEPTED)
    await desk.step(
        other, TaskState.ON_HOLD, reason=Reason.PAPERS_MISSING, business_status=BusinessStatus.WAITING_FOR_RESIDENT
    )
    assert await refs(front, "anybody", "?state=on-hold") == {str(other.ref)}
    assert await refs(front, "anybody", "?business_status=waiting-for-resident") == {str(other.ref)}
    assert str(old.ref) in await refs(front, "anybody", "?late=true")
    assert str(near.ref) not in await refs(front, "anybody", "?late=true")
    assert str(old.ref) not in await refs(front, "anybody", "?late=false")
    assert await refs(front, "anybody", "?open=false") == set()
    assert await refs(front, "anybody", "?open=true") == await refs(front, "anybody")
    before = (datetime.now(UTC) - timedelta(days=1)).isoformat().replace("+00:00", "Z")
    assert str(old.ref) in await refs(front, "anybody", f"?due_before={before}")
    assert str(near.ref) not in await refs(front, "anybody", f"?due_before={before}")
    assert (await give(front, "ann", near, "ann-1")).status == 200
    assert await refs(front, "ann", "?handler=me") == await refs(front, "anybody", "?handler=ann-1") == {str(near.ref)}
    assert str(near.ref) not in await refs(front, "anybody", "?handler=nobody")
    assert (await look(front, "ann"))["counts"]["mine"] == 1
    for wrong in ("?state=lost", "?due_before=yesterday", "?after=7", "?handler=%20", "?late=soon"):
        assert (await front.call("GET", f"{INBOX}{wrong}", "ann", **SERVICE)).status == 422, wrong


async def test_a_page_goes_on_where_the_one_before_ended_whatever_became_of_it(front, desk, monkeypatch) -> None:
    monkeypatch.setattr(inbox, "PAGE", 2)
    tasks = [await desk.opened(NEED) for _ in range(5)]
    found, after, first = [], "", True
    while True:
        page = await look(front, "anybody", f"?state=requested{after}")
        found += [one["ref"] for one in page["requests"]]
        if first:
            last = next(one for one in tasks if str(one.ref) == found[-1])
            await desk.step(last, TaskState.ACCEPTED)  # it is in no page of these any more
            first = False
        if "next" not in page:
            break
        after = f"&after={page['next']}"
    assert sorted(found) == sorted(str(one.ref) for one in tasks)
    gone = await front.call("GET", f"{INBOX}?after={uuid4()}", "anybody", **SERVICE)
    assert (gone.status, code(gone)) == (410, "cursor-expired")


async def test_who_is_excluded_neither_sees_nor_counts_it(front, desk) -> None:
    near, _ = await two(front, desk)
    async with front.database.transaction() as session:
        values = {"subject": near.subject_id, "staff": front.vault.pairwise("staff", "ann-1")}
        await session.execute(text("INSERT INTO exclusion (subject_id, staff) VALUES (:subject, :staff)"), values)
    page = await look(front, "ann")
    assert (page["requests"], page["counts"]["states"]) == ([], {})
    assert await refs(front, "bao") == {str(near.ref)}
    assert code(await give(front, "head", near, "ann-1")) == "officer-unknown"


async def test_whom_a_person_excludes_the_head_is_told_of_as_of_nobody_they_know(front, desk) -> None:
    """Byte for byte, and in the log: the answer does not say that the person named somebody."""
    near, _ = await two(front, desk)
    for who in ("ann", "bao"):
        await look(front, who)
    async with front.database.transaction() as session:
        values = {"subject": near.subject_id, "staff": front.vault.pairwise("staff", "ann-1")}
        await session.execute(text("INSERT INTO exclusion (subject_id, staff) VALUES (:subject, :staff)"), values)
    before = len(await front.logged(near.subject_id))
    path = f"{FIRE}/requests/{near.ref}/handler"
    excluded, stranger = [
        await front.call("POST", path, "head", {"id": str(uuid7()), "handler": one}) for one in ("ann-1", "nobody-1")
    ]
    assert (excluded.status, code(excluded)) == (422, "officer-unknown")
    assert (excluded.status, excluded.headers, excluded.raw) == (stranger.status, stranger.headers, stranger.raw)
    assert (await give(front, "head", near, "bao-1")).status == 200
    everything, nobody = [
        await front.call(
            "POST", f"{FIRE}/reassignments", "head", {"id": str(uuid7()), "officer": "bao-1", "handler": to}
        )
        for to in ("ann-1", "nobody-1")
    ]
    assert (everything.status, everything.headers, everything.raw) == (nobody.status, nobody.headers, nobody.raw)
    assert code(everything) == "officer-unknown"
    assert len(await front.logged(near.subject_id)) == before + 1  # that it was given to bao-1, and no refusal
    rows = await desk.rows("SELECT person FROM handler")
    assert [row.person for row in rows] == ["bao-1"]


async def test_feed_pull_inbox_request_and_fhir_tell_the_same_office(front, desk) -> None:
    key = new_private_key("key-1")
    put = await front.call("PUT", f"{FIRE}/keys/key-1", "system", key.as_dict(private=False))
    assert put.status == 200
    near, far = await two(front, desk)
    pulled = await front.call("GET", f"{FIRE}/feed", "system", **SERVICE)
    told = [
        json.loads(open_with({"key-1": key}, base64.b64decode(one["data_base64"]))) for one in pulled.body["messages"]
    ]
    by_feed = {one["offer"]["ref"]: one["offer"]["office"] for one in told}
    assert by_feed == {str(near.ref): str(NEAR), str(far.ref): str(FAR)}
    by_inbox = {one["ref"]: one["office"] for one in (await look(front, "anybody"))["requests"]}
    listed = await front.call("GET", f"{FIRE}/requests", "anybody", **SERVICE)
    by_list = {one["ref"]: one["offer"]["office"] for one in listed.body["requests"]}
    assert by_feed == by_inbox == by_list
    for task in (near, far):
        [event] = await desk.published("feed.fire", task.subject_id)
        assert event["offer"]["office"] == by_feed[str(task.ref)]
        path = f"{FIRE}/requests/{task.ref}"
        assert (await front.call("GET", path, "anybody", **SERVICE)).body["offer"]["office"] == by_feed[str(task.ref)]
        bundle = (await front.call("GET", f"{path}/fhir", "anybody", **SERVICE)).body
        performers = [one["identifier"] for one in bundle["entry"][1]["resource"]["performer"]]
        assert {"system": "urn:doorstep:office", "value": by_feed[str(task.ref)]} in performers
        assert await refs(front, "anybody", f"?office={by_feed[str(task.ref)]}") == {str(task.ref)}


async def test_what_no_office_has_names_none_anywhere(front, desk) -> None:
    async with front.database.transaction() as session:
        await session.execute(text("DELETE FROM directory_in_force"))
    try:
        task = await desk.opened(NEED)
        [event] = await desk.published("feed.fire", task.subject_id)
        request = await front.call("GET", f"{FIRE}/requests/{task.ref}", "anybody", **SERVICE)
        fhir = await front.call("GET", f"{FIRE}/requests/{task.ref}/fhir", "anybody", **SERVICE)
        [row] = (await look(front, "anybody"))["requests"]
        for one in (event["offer"], request.body["offer"], row):
            assert "office" not in one
        assert "urn:doorstep:office" not in fhir.raw.decode()
    finally:
        async with front.database.transaction() as session:
            await session.execute(text("INSERT INTO directory_in_force (version) VALUES ('2026-1')"))


async def test_documents_of_another_office_are_not_there(front, desk) -> None:
    near, far = await two(front, desk)
    for task in (near, far):
        await desk.step(task, TaskState.ACCEPTED)
    pdf, key = b"%PDF-1.7\n%%EOF", str(uuid7())
    path = f"{FIRE}/requests/{far.ref}/documents"
    sent = {"content_type": "application/pdf"}
    put = f"{path}/{key}?kind=inspection-report"
    assert (await front.call("PUT", put, "ann", pdf, **sent)).status == 404
    assert (await front.call("PUT", put, "far", pdf, **sent)).status == 200
    again = await front.call("PUT", put, "anybody", pdf, **sent)
    assert (again.status, code(again)) == (409, "id-reused")
    case = {"doorstep_case": str(far.ref)}
    for tail in ("", f"/{key}"):
        assert (await front.call("GET", f"{path}{tail}", "ann", **SERVICE, **case)).status == 404
        assert (await front.call("GET", f"{path}{tail}", "anybody", **SERVICE, **case)).status == 200
    near_path = f"{FIRE}/requests/{near.ref}/documents/{key}"
    missing = await front.call("GET", near_path, "ann", **SERVICE, doorstep_case=str(near.ref))
    assert (missing.status, code(missing)) == (404, "document-unknown")


async def test_of_many_that_are_accepted_the_good_ones_take_effect_and_each_refusal_is_named(front, desk) -> None:
    near, far = await two(front, desk)
    stale, again = await desk.opened(NEED), await desk.opened(NEED)
    nobodys = uuid4()
    seen = [(near, 1), (stale, 7), (far, 1), (again, 1)]
    body = {"id": str(uuid7()), "requests": [{"ref": str(one.ref), "version": version} for one, version in seen]}
    body["requests"].append({"ref": str(nobodys), "version": 1})
    await step(front, "anybody", again, "accepted")
    answer = await front.call("POST", f"{FIRE}/acceptances", "anybody", body)
    assert answer.status == 200
    assert [one.get("refused", one.get("state")) for one in answer.body["requests"]] == [
        "accepted", "version-stale", "accepted", "version-stale", "request-unknown",
    ]  # fmt: skip
    repeated = await front.call("POST", f"{FIRE}/acceptances", "anybody", body)
    assert repeated.body == answer.body
    assert [(await desk.task(one.need_id)).version for one, _ in seen] == [2, 1, 2, 2]
    by_office = await front.call("POST", f"{FIRE}/acceptances", "ann", {
        "id": str(uuid7()), "requests": [{"ref": str(far.ref), "version": 2}],
    })  # fmt: skip
    assert by_office.body["requests"] == [{"ref": str(far.ref), "refused": "request-unknown"}]
    assert [one["actor"] for one in await front.refusals(far.subject_id)] == ["ann-1"]
    twice = body["requests"][:1] * 2
    for wrong in ([], twice, [{"ref": "7", "version": 1}], [{"ref": str(near.ref), "version": 0}]):
        refused = await front.call("POST", f"{FIRE}/acceptances", "anybody", {"id": str(uuid7()), "requests": wrong})
        assert refused.status == 422
    await front.vault.destroy(near.subject_id)
    async with front.database.transaction() as session:
        await erase_subject(session, vault=front.vault, subject_id=near.subject_id, now=desk.now)
    erased = await front.call("POST", f"{FIRE}/acceptances", "anybody", body)
    assert erased.status == 410


async def test_of_two_who_take_a_request_at_once_one_has_it(front, desk) -> None:
    near, _ = await two(front, desk)
    answers = await asyncio.gather(give(front, "ann", near, "ann-1"), give(front, "bao", near, "bao-1"))
    assert sorted(one.status for one in answers) == [200, 409]
    rows = await desk.rows("SELECT person FROM handler")
    won = "ann-1" if answers[0].status == 200 else "bao-1"
    assert [row.person for row in rows] == [won]
    taken = [one for one in await front.logged(near.subject_id) if one["action"] == "take-request"]
    assert [(one["actor"], one["outcome"]) for one in taken if not one["outcome"].startswith("refused")] == [
        (won, "done")
    ]


async def test_a_request_that_somebody_has_is_theirs_the_heads_and_the_systems_to_move(front, desk) -> None:
    near, _ = await two(front, desk)
    assert (await give(front, "ann", near, "ann-1")).status == 200
    refused = await step(front, "bao", near, "accepted")
    assert (refused.status, code(refused)) == (409, "handled-by-another")
    assert "refused:handled-by-another" in [one["outcome"] for one in await front.refusals(near.subject_id)]
    assert code(await give(front, "bao", near, None)) == "handled-by-another"
    assert (await give(front, "bao", near, "cai-1")).status == 403
    assert (await step(front, "ann", near, "accepted")).status == 200
    assert (await step(front, "system", near, "in-progress", 2)).status == 200
    assert (await step(front, "head", near, "on-hold", 3, reason="no-capacity")).status == 200
    moved = [one for one in await front.logged(near.subject_id) if one["action"] == "transition-task"]
    done = [(one["actor"], one.get("officer")) for one in moved if not one["outcome"].startswith("refused")]
    assert done == [("ann-1", None), ("system-1", None), ("head-1", "ann-1")]
    assert (await give(front, "ann", near, None)).status == 200
    assert (await step(front, "bao", near, "in-progress", 4)).status == 200


async def test_a_deputy_acts_for_the_officer_meanwhile_and_the_log_names_both(front, desk) -> None:
    near, _ = await two(front, desk)
    for who in ("ann", "bao", "cai", "far"):
        await look(front, who)
    await give(front, "ann", near, "ann-1")
    now = datetime.now(UTC)

    def span(deputy: str, begins: int, ends: int, **more: str) -> dict[str, str]:
        told = {
            "since": (now + timedelta(hours=begins)).isoformat(),
            "until": (now + timedelta(hours=ends)).isoformat(),
        }
        return {"id": str(uuid7()), "deputy": deputy, **told, **more}

    for wrong in (span("ann-1", -1, 9), span("nobody-1", -1, 9), span("far-1", -1, 9)):
        assert code(await front.call("POST", DEPUTIES, "ann", wrong)) == "officer-unknown"
    for wrong in (span("bao-1", 9, 1), span("bao-1", 0, 24 * 99), span("bao-1", -9, -1)):
        assert (await front.call("POST", DEPUTIES, "ann", wrong)).status == 422
    assert (await front.call("POST", DEPUTIES, "bao", span("cai-1", -1, 9, officer="ann-1"))).status == 403
    named = await front.call("POST", DEPUTIES, "ann", span("bao-1", -1, 9))
    [deputy] = named.body["deputies"]
    assert (deputy["officer"], deputy["deputy"]) == ("ann-1", "bao-1")
    assert code(await front.call("POST", DEPUTIES, "ann", span("cai-1", 8, 20))) == "deputy-twice"
    assert (await front.call("POST", DEPUTIES, "bao", span("cai-1", -1, 9))).status == 200  # and not on for ann
    assert await refs(front, "bao", "?handler=standing-in") == {str(near.ref)}
    assert code(await step(front, "cai", near, "accepted")) == "handled-by-another"
    assert (await step(front, "bao", near, "accepted")).status == 200
    entry = [one for one in await front.logged(near.subject_id) if one["outcome"] == "accepted"][-1]
    assert (entry["actor"], entry["officer"]) == ("bao-1", "ann-1")
    end = {"id": str(uuid7())}
    assert (await front.call("POST", f"{DEPUTIES}/{deputy['deputy_id']}/end", "bao", end)).status == 404
    ended = await front.call("POST", f"{DEPUTIES}/{deputy['deputy_id']}/end", "ann", end)
    assert ended.body["deputies"] == []
    assert (await front.call("POST", f"{DEPUTIES}/{deputy['deputy_id']}/end", "ann", end)).status == 200
    assert code(await step(front, "bao", near, "in-progress", 2)) == "handled-by-another"


async def test_the_head_gives_requests_and_all_of_who_is_away_to_another(front, desk) -> None:
    near, far = await two(front, desk)
    more = [await desk.opened(NEED) for _ in range(4)]
    nears = [near, *(one for one in more if office_of(front, one) == NEAR)]
    for who in ("ann", "bao", "far"):
        await look(front, who)
    officers = (await look(front, "head"))["officers"]
    assert {one["officer"] for one in officers} == {"ann-1", "bao-1", "head-1"}
    assert "officers" not in (await look(front, "ann")) or (await look(front, "ann"))["officers"] == []
    for task in nears:
        assert (await give(front, "head", task, "ann-1")).status == 200
    assert code(await give(front, "head", near, "far-1")) == "officer-unknown"
    assert (await give(front, "head", far, "ann-1")).status == 404
    path, body = f"{FIRE}/reassignments", {"id": str(uuid7()), "officer": "ann-1", "handler": "bao-1"}
    assert (await front.call("POST", path, "bao", body)).status == 403
    answer = await front.call("POST", path, "head", body)
    assert answer.body == {"given": len(nears), "more": False}
    assert (await front.call("POST", path, "head", body)).body == answer.body
    assert await refs(front, "bao", "?handler=me") == {str(one.ref) for one in nears}
    for task in nears:
        entry = (await front.logged(task.subject_id))[-2]  # the last one is that it was listed
        assert (entry["action"], entry["actor"], entry["officer"]) == ("give-request", "head-1", "bao-1")
    nobody = {"id": str(uuid7()), "officer": "ann-1", "handler": "nobody-1"}
    assert (await front.call("POST", path, "head", nobody)).status == 422
    await step(front, "bao", near, "rejected", reason="not-ours")
    assert code(await give(front, "head", near, "ann-1")) == "nothing-to-handle"


async def test_an_erased_subject_leaves_no_handler(front, desk) -> None:
    near, _ = await two(front, desk)
    assert (await give(front, "ann", near, "ann-1")).status == 200
    await front.vault.destroy(near.subject_id)
    assert await refs(front, "ann") == set()
    async with front.database.transaction() as session:
        await erase_subject(session, vault=front.vault, subject_id=near.subject_id, now=desk.now)
    assert await desk.rows("SELECT 1 FROM handler") == []
    assert (await look(front, "ann"))["counts"]["states"] == {}


async def test_without_a_directory_nobody_is_kept_to_an_office(front, desk) -> None:
    async with front.database.transaction() as session:
        await session.execute(text("DELETE FROM directory_in_force"))
    try:
        tasks = [await desk.opened(NEED) for _ in range(2)]
        for who in ("ann", "far", "nowhere"):
            assert await refs(front, who) == {str(one.ref) for one in tasks}
        assert (await look(front, "ann"))["offices"] == []
    finally:
        async with front.database.transaction() as session:
            await session.execute(text("INSERT INTO directory_in_force (version) VALUES ('2026-1')"))
