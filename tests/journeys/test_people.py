"""Who may do what with one record: everybody else is refused, and every look is in the log."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.kit.testing import eventually

PEOPLE: dict[str, tuple[str, str, str | None]] = {
    "collector": ("collector", "station", "station-1"),
    "reviewer": ("reviewer", "station", "station-1"),
    "reviewer elsewhere": ("reviewer", "station", "station-2"),
    "supervisor": ("supervisor", "station", "station-1"),
    "justice": ("officer", "justice", None),
    "justice system": ("department-system", "justice", None),
    "health": ("officer", "health", None),
    "resident": ("resident", "station", "station-1"),
    "auditor": ("auditor", "station", "station-1"),
    "operator": ("operator", "station", "station-1"),
    "officer of the station": ("officer", "station", "station-1"),
    "reviewer of a department": ("reviewer", "health", None),
    "collector of a department": ("collector", "health", None),
}
REVIEWER, JUSTICE = {"reviewer"}, {"justice", "justice system"}
READS: dict[str, tuple[str, str, set[str]]] = {
    "the record": ("/api/records/{record}", "triage", REVIEWER),
    "the file": ("/api/files/{file}", "triage", REVIEWER),
    "the assessment": ("/api/assessments/{record}", "triage", REVIEWER),
    "the journey": ("/api/journeys/{record}", "follow-up", REVIEWER),
    "the live journey": ("/api/journeys/{record}/events", "follow-up", set()),
    "its requests": ("/api/requests?record_id={record}", "follow-up", {"reviewer", "reviewer elsewhere"}),
    "the requests of justice": ("/api/departments/justice/requests", "service", JUSTICE),
    "a request of justice": ("/api/departments/justice/requests/{ref}", "service", JUSTICE),
    "a request of justice, by health": ("/api/departments/health/requests/{ref}", "service", set()),
    "dead letters": ("/api/dead-letters/registry", "repair", {"operator"}),
}


@pytest.fixture(scope="module")
async def story(house: Any) -> dict[str, Any]:
    """A record that has come to the departments."""
    body = house.record()
    receipts = (await house.hand_in(body, who="collector of it"))["receipts"]
    needs = await house.confirmed(body["record_id"])
    await house.requests(body["record_id"], len(needs))
    number = body["subjects"][0]["document_number"]
    name = body["subjects"][0]["name"]
    (ref,) = [one["ref"] for one in await house.offers("justice") if one["offer"]["name"] == name]
    return {
        "body": body, "record": body["record_id"], "file": body["file_id"], "needs": needs, "ref": ref,
        "person": body["subjects"][0], "number": number, "code": receipts[0]["follow_code"],
    }  # fmt: skip


async def ask(house: Any, who: str | None, method: str, path: str, body: Any = None, purpose: str | None = None) -> Any:
    token = None
    if who is not None:
        role, agency, station = PEOPLE[who]
        token = house.token(role, agency, station=station)
    headers = {} if purpose is None else {"doorstep_purpose": purpose}
    return await house.ask(method, path, body, token=token, if_match='"1"', **headers)


@pytest.mark.parametrize("what", READS)
async def test_what_is_read_is_read_by_those_alone_who_need_it(house, story, what) -> None:
    path, purpose, allowed = READS[what]
    for who in [None, *PEOPLE]:
        if what == "the live journey" and who == "reviewer":
            continue  # it would not end
        answer = await ask(house, who, "GET", path.format(**story), purpose=purpose)
        told = answer.raw.decode()
        if who in allowed:
            assert answer.status == 200, (who, told)
            if who == "reviewer elsewhere":
                assert answer.body == {"requests": []}
        else:
            assert answer.status in ((401,) if who is None else (403, 404)), (who, told)
            for secret in ("name", "document_number", "phone"):
                assert story["person"][secret] not in told


@pytest.mark.parametrize("purpose", [None, "audit", "service", "repair", "intake", "resident-request"])
async def test_a_reviewer_reads_for_triage_or_follow_up_alone(house, story, purpose) -> None:
    for what in ("the record", "the file", "the assessment", "the journey", "its requests"):
        answer = await ask(house, "reviewer", "GET", READS[what][0].format(**story), purpose=purpose)
        assert answer.status == 403


@pytest.mark.parametrize("who", [None, *PEOPLE])
async def test_what_is_done_is_done_by_those_alone_whose_part_it_is(house, story, who) -> None:
    before = await house.still()
    key = {"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}
    need = story["needs"][0]["need_id"]
    commands: list[tuple[str, str, dict[str, Any], set[str]]] = [
        ("POST", "/api/records", house.record(), {"collector"}),
        ("POST", f"/api/needs/{need}/decision", {"decision": "confirmed", "reason": "x"}, REVIEWER),
        ("POST", "/api/departments/justice/requests/{ref}/transitions", {"to": "accepted"}, JUSTICE),
        ("PUT", "/api/departments/justice/keys/another", key, JUSTICE),
        ("POST", "/api/requests/{person[subject_id]}/transitions",
         {"to": "requested", "department": "health"}, REVIEWER | {"supervisor"}),
    ]  # fmt: skip
    for method, path, body, allowed in commands:
        if who in allowed:
            continue
        named = body if path == "/api/records" or method == "PUT" else {"id": str(uuid7()), **body}
        answer = await ask(house, who, method, path.format(**story), named)
        expected = {401} if who is None else {403, 404} if "elsewhere" in who else {403}
        assert answer.status in expected, (who, path, answer.raw)
    after = await house.counts()
    assert house.beside_the_log(after) == house.beside_the_log(before)
    assert (after == before) == (who is None)


async def test_who_took_the_record_is_not_its_reviewer(house, story) -> None:
    own = house.token("reviewer", who="collector of it")
    purpose = {"doorstep_purpose": "triage"}
    paths = (
        f"/api/records/{story['record']}",
        f"/api/assessments/{story['record']}",
        f"/api/journeys/{story['record']}",
    )
    for path in paths:
        answer = await house.ask("GET", path, token=own, **purpose)
        assert answer.status == 403
        assert story["person"]["name"] not in answer.raw.decode()
    body = house.record()
    await house.hand_in(body, who="collector of it")
    need = next(need for need in await house.assessed(body["record_id"]) if need["state"] == "suggested")
    path, decision = f"/api/needs/{need['need_id']}/decision", {"decision": "confirmed", "reason": "核实"}
    answer = await house.ask("POST", path, {"id": str(uuid7()), **decision}, token=own)
    assert answer.status == 403
    second = await house.ask("POST", path, {"id": str(uuid7()), **decision}, token=house.token("reviewer"))
    assert second.status == 200
    assert (await house.ask("POST", path, {"id": str(uuid7()), **decision}, token=own)).status == 403


async def test_every_look_is_one_entry_of_the_log_for_each_subject(house, story) -> None:
    looks = [
        ("reviewer", "/api/records/{record}", "triage", "intake", "read-record"),
        ("reviewer", "/api/files/{file}", "follow-up", "registry", "read-file"),
        ("reviewer", "/api/assessments/{record}", "triage", "risk", "read-assessment"),
        ("reviewer", "/api/journeys/{record}", "follow-up", "gateway", "read-journey"),
        ("reviewer", "/api/requests?record_id={record}", "triage", "referral", "list-requests"),
        ("justice", "/api/departments/justice/requests/{ref}", "service", "referral", "read-request"),
    ]
    subject = story["person"]["subject_id"]
    entries = await house.entries()
    for who, path, purpose, service, action in looks:
        told = await house.logged(service, subject)
        for _ in range(3):
            assert (await ask(house, who, "GET", path.format(**story), purpose=purpose)).status == 200
        role, agency, station = PEOPLE[who]
        fresh = (await house.logged(service, subject))[len(told) :]
        assert [(one["action"], one["purpose"], one["role"], one["agency"]) for one in fresh] == [
            (action, purpose, role, agency)
        ] * 3
        assert {one["actor"] for one in fresh} == {house.subjects[f"{role} {agency} {station}"]}
        assert all(one["policies"] for one in fresh)

    async def all_in_the_log() -> bool:
        return bool(await house.entries() >= entries + 3 * len(looks))

    await eventually(all_in_the_log, within=30)
    assert await house.entries() == entries + 3 * len(looks)


async def test_a_refused_look_at_ones_own_record_is_logged_too(house, story) -> None:
    own, subject = house.token("reviewer", who="collector of it"), story["person"]["subject_id"]
    for service, path in (
        ("intake", "/api/records/{record}"),
        ("risk", "/api/assessments/{record}"),
        ("gateway", "/api/journeys/{record}"),
    ):
        told = await house.logged(service, subject)
        assert (await house.ask("GET", path.format(**story), token=own, doorstep_purpose="follow-up")).status == 403
        (fresh,) = (await house.logged(service, subject))[len(told) :]
        assert fresh["action"].startswith("read-")
        assert (fresh["outcome"], fresh["actor"]) == ("refused:own-record", house.subjects["collector of it"])


async def test_a_police_reviewer_tries_to_read_a_record_and_the_log_gets_the_entry(house, story) -> None:
    """In each service of the way, under the resident's own key; and the log that anybody can verify grows by it."""
    token = house.outsider("police", who="police reviewer")
    subject, entries = story["person"]["subject_id"], await house.entries()
    reads = [("intake", "the record"), ("registry", "the file"), ("risk", "the assessment"), ("gateway", "the journey"),
             ("referral", "its requests"), ("referral", "a request of justice")]  # fmt: skip
    for service, what in reads:
        path, purpose, _ = READS[what]
        told = await house.logged(service, subject)
        for _ in range(2):
            answer = await house.ask("GET", path.format(**story), token=token, doorstep_purpose=purpose)
            assert (answer.status, answer.body["type"]) == (403, "urn:doorstep:problem:forbidden")
            assert story["person"]["name"] not in answer.raw.decode()
        (fresh,) = (await house.logged(service, subject))[len(told) :]
        assert (fresh["outcome"], fresh["actor"], fresh["agency"], fresh["purpose"]) == (
            "refused:forbidden", house.subjects["police reviewer"], "police", purpose,
        )  # fmt: skip
        assert fresh["policies"] == ["never-police-or-petitions"]

    async def all_in_the_log() -> bool:
        return bool(await house.entries() >= entries + len(reads))

    await eventually(all_in_the_log, within=30)
    assert await house.entries() == entries + len(reads)


async def test_a_hidden_record_is_answered_to_the_byte_like_one_that_is_not_there(house, story) -> None:
    stranger = house.token("reviewer", station="station-2", who="reviewer of another station")
    for what in ("the record", "the file", "the assessment", "the journey"):
        path, purpose, _ = READS[what]
        hidden, none = [
            await house.ask("GET", path.format(record=one, file=two), token=stranger, doorstep_purpose=purpose)
            for one, two in ((story["record"], story["file"]), (uuid4(), uuid4()))
        ]
        assert (hidden.status, hidden.raw) == (404, none.raw)
        volatile = {"date", "traceparent"}
        assert {name: value for name, value in hidden.headers.items() if name not in volatile} == {
            name: value for name, value in none.headers.items() if name not in volatile
        }


async def test_every_write_of_the_way_is_in_the_log_of_its_service(house, story) -> None:
    subject = story["person"]["subject_id"]
    for service, action in (
        ("intake", "record-visit"),
        ("registry", "assert-facts"),
        ("risk", "assess-needs"),
        ("risk", "decide-need"),
        ("referral", "open-request"),
    ):
        assert action in {one["action"] for one in await house.logged(service, subject)}, service


async def test_a_resident_follows_by_the_code_alone_and_sees_states_without_content(house, story) -> None:
    """Legal help is in no list that somebody else at home could open."""
    answer = await house.ask("GET", f"/api/follow/{story['code']}")
    assert answer.status == 200
    assert len(answer.body["requests"]) == 2
    for one in answer.body["requests"]:
        assert set(one) == {"ref", "state"}
    told = json.dumps(answer.body)
    assert not {story["record"], story["file"], story["ref"], story["person"]["subject_id"]} & set(told.split('"'))
    spoken = await house.ask("GET", f"/api/follow/{story['code'].lower().replace('-', '')}")
    assert spoken.status == 200


async def test_a_journey_is_told_live_each_step_once_and_each_subject_logged(house) -> None:
    body = house.record()
    await house.hand_in(body)
    seen: list[dict[str, Any]] = []

    async def follow() -> None:
        async with house.door("reviewer") as reviewer:
            async for step in reviewer.journey(body["record_id"]):
                seen.append(step)
                if [one["kind"] for one in seen].count("request-opened") == 5:
                    return

    await house.assessed(body["record_id"])
    async with asyncio.timeout(30):
        following = asyncio.create_task(follow())
        await house.confirmed(body["record_id"])
        await following
    assert len({step["step_id"] for step in seen}) == len(seen)
    async with house.door("reviewer") as reviewer:
        steps = (await reviewer.read(f"/api/journeys/{body['record_id']}", "follow-up"))["steps"]
    assert sorted(step["step_id"] for step in seen) == sorted(step["step_id"] for step in steps)
    for subject in body["subjects"]:
        actions = [one["action"] for one in await house.logged("gateway", subject["subject_id"])]
        assert actions == ["read-journey"] * 2
