"""The resident after the visit: asks from the menu by a code, follows, withdraws, and has a human look again."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.needs import MENU
from doorstep.intake.operations.own_requests import OWN_REQUESTS_A_DAY
from doorstep.intake.operations.records import erase_subject, index_codes, index_moved_codes
from doorstep.local.neighbourhood import Town
from doorstep.local.records import Statement, person, record
from doorstep.referral.columns import open_content

SEEDS = count(4001)


async def visited(estate: Any, *stated: Statement, **card: Any) -> tuple[dict[str, Any], str]:
    """A woman who was visited: the record, and the code on her receipt."""
    rng, now = Random(next(SEEDS)), datetime.now(UTC)  # noqa: S311
    woman = Town(rng, now.date()).resident(age=61, sex="female", relation="head")
    body = record(rng, (person(woman, stated or [Statement("consent.service", True)]),), now=now)
    body["subjects"][0] |= card
    codes = await estate.hand_in(body)
    [code] = codes.values()
    return body, code


async def ask(estate: Any, code: str, service: str = "wage-help", **more: Any) -> Any:
    body = {"id": str(uuid7()), "code": code, "service": service} | more
    return await estate.ask("POST", "/api/own-requests", None, body)


async def followed(estate: Any, code: str) -> list[Mapping[str, Any]]:
    return list((await estate.ask("GET", f"/api/follow/{code}")).body["requests"])


async def test_the_menu_is_for_everybody_and_has_no_words_in_one_language_alone(estate: Any) -> None:
    answer = await estate.ask("GET", "/api/menu")
    assert answer.status == 200
    services = {one["code"]: one for one in answer.body["services"]}
    assert set(services) == {one.code for one in MENU}
    assert {"wage-help", "legal-aid", "fire-check"} <= set(services)
    assert "protection-from-violence" not in services  # asked only alone, at a visit or the station
    assert all(all(one.values()) for one in services.values())


async def test_a_request_of_ones_own_goes_the_whole_way_and_has_a_code(estate: Any) -> None:
    body, code = await visited(estate)
    asked = {"id": str(uuid7())}
    answer = await ask(estate, code, **asked)
    assert answer.status == 201
    again = await ask(estate, code, **asked)
    assert (again.status, again.body) == (200, answer.body)
    await estate.flow()
    [one] = await followed(estate, answer.body["follow_code"])
    assert one["state"] == "requested"
    assert await followed(estate, code) == []
    query = "SELECT file_id, channel, station FROM record WHERE record_id = :id"
    [row] = await estate.desks["intake"].rows(query, id=UUID(asked["id"]))
    assert (str(row.file_id), row.channel, row.station) == (body["file_id"], "resident", "station-7")
    path = "/api/departments/labour/requests"
    offers = (await estate.ask("GET", path, "labour", doorstep_purpose="service")).body["requests"]
    mine = [found["offer"] for found in offers if found["offer"]["name"] == body["subjects"][0]["name"]]
    assert [found["need_type"] for found in mine] == ["wage-help"]
    other = await ask(estate, code, "fire-check", **asked)
    assert other.status == 409


@pytest.mark.parametrize("code", ["0000-0000-0000-0000", "x", "王", "' OR 1=1 --"], ids=["none", "short", "zh", "sql"])
async def test_a_code_that_nobody_has_asks_for_nothing(estate: Any, code: str) -> None:
    answer = await ask(estate, code)
    assert (answer.status, answer.body["type"].rpartition(":")[2]) == (404, "code-unknown")


async def test_a_code_of_somebody_erased_is_as_unknown_as_one_that_never_was(estate: Any) -> None:
    body, code = await visited(estate)
    taken = await ask(estate, code)
    subject = UUID(body["subjects"][0]["subject_id"])
    desk = estate.desks["intake"]
    await desk.vault.destroy(subject)
    before = await ask(estate, code)
    async with desk.service.database.transaction() as session:
        await erase_subject(session, subject_id=subject)
    after, never = await ask(estate, code), await ask(estate, "0000-0000-0000-0000")
    assert {(one.status, one.raw) for one in (before, after, never)} == {(never.status, never.raw)}
    index = desk.vault.follow_index(code)
    kept = await desk.rows("SELECT 1 FROM command WHERE principal = :who", who=f"follow:{index.hex()}")
    assert (taken.status, kept) == (201, [])


@pytest.mark.parametrize(
    "wrong",
    [{"service": "protection-from-violence"}, {"service": "no-such"}, {"id": str(UUID(int=4 << 76 | 2 << 62))},
     {"code": ""}, {"code": "9" * 65}, {"more": 1}, {"id": None}],
    ids=["asked-alone", "unknown", "not-v7", "empty", "long", "more", "no-id"],
)  # fmt: skip
async def test_what_is_wrong_in_a_request_is_one_clear_answer(estate: Any, wrong: dict[str, Any]) -> None:
    body = {"id": str(uuid7()), "code": "0000-0000-0000-0000", "service": "wage-help"} | wrong
    answer = await estate.ask("POST", "/api/own-requests", None, body)
    assert answer.status == 422


async def test_a_safe_contact_is_not_handed_on_and_the_phone_at_home_is_left_out(estate: Any) -> None:
    safe = {"channel": "message", "number": "16900009876", "hours_from": "22:00", "hours_to": "06:30", "cover": "还书"}
    body, code = await visited(estate, Statement("contact.asked-alone", True), safe_contact=safe, phone="13800138000")
    answer = await ask(estate, code)
    desk = estate.desks["intake"]
    [row] = await desk.rows(
        "SELECT subject_id, content FROM record_subject WHERE record_id = :id", id=UUID(answer.body["record_id"])
    )
    ring = await desk.vault.ring([row.subject_id])
    content = ring.decrypt(row.subject_id, f"record_subject.content:{answer.body['record_id']}", bytes(row.content))
    assert body["subjects"][0]["name"] in content.decode()
    assert not {"13800138000", "16900009876", "还书"} & {part for part in content.decode().split('"')}


async def test_so_many_a_day_are_taken_by_one_code(estate: Any) -> None:
    _, code = await visited(estate)
    _, other = await visited(estate)
    answers = [await ask(estate, code) for _ in range(OWN_REQUESTS_A_DAY + 1)]
    assert [one.status for one in answers] == [201] * OWN_REQUESTS_A_DAY + [429]
    assert answers[-1].headers["retry-after"] == "86400"
    assert (await ask(estate, other)).status == 201


async def test_who_was_recorded_by_a_version_before_is_found_once_the_worker_looked(estate: Any) -> None:
    body, code = await visited(estate)
    desk = estate.desks["intake"]
    subject = UUID(body["subjects"][0]["subject_id"])
    async with desk.service.database.transaction() as session:
        await session.execute(text("UPDATE subject SET follow_index = NULL WHERE subject_id = :id"), {"id": subject})
    assert (await ask(estate, code)).status == 404
    async with desk.service.database.transaction() as session:
        assert not await index_codes(session, vault=desk.vault)
    assert (await ask(estate, code)).status == 201


async def test_it_is_withdrawn_by_the_code_at_once_and_once(estate: Any) -> None:
    _, code = await visited(estate, Statement("wish.wage-help", True))
    [one] = await followed(estate, code)
    asked = {"id": str(uuid7()), "ref": one["ref"]}
    path = f"/api/follow/{code}/withdrawals"
    first, again = [await estate.ask("POST", path, None, asked) for _ in range(2)]
    assert (first.status, first.body) == (again.status, again.body) == (200, {"ref": one["ref"], "state": "cancelled"})
    late = await estate.ask("POST", path, None, asked | {"id": str(uuid7())})
    assert (late.status, late.body["type"].rpartition(":")[2]) == (409, "transition-not-allowed")
    assert [found["state"] for found in await followed(estate, code)] == ["cancelled"]


async def test_a_human_who_had_no_part_looks_again_and_it_is_seen_by_the_code(estate: Any) -> None:
    _, code = await visited(estate, Statement("wish.wage-help", True))
    [one] = await followed(estate, code)
    asked = {"id": str(uuid7()), "ref": one["ref"]}
    path = f"/api/follow/{code}/looks"
    first, again = [await estate.ask("POST", path, None, asked) for _ in range(2)]
    assert (first.status, first.body) == (again.status, again.body)
    assert datetime.fromisoformat(first.body["due_by"]) > datetime.now(UTC) + timedelta(days=4)
    second = await estate.ask("POST", path, None, asked | {"id": str(uuid7())})
    assert (second.status, second.body["type"].rpartition(":")[2]) == (409, "look-asked-already")
    queue = await estate.ask("GET", "/api/requests/looks", "supervisor", doorstep_purpose="follow-up")
    [look] = [found for found in queue.body["looks"] if found["look_id"] == asked["id"]]
    assert set(look) == {"look_id", "request_id", "record_id", "asked_at", "due_by", "overdue"}
    answering = f"/api/requests/{look['request_id']}/looks/{look['look_id']}/answer"
    found = {"id": str(uuid7()), "finding": "stands"}
    took = await estate.ask("POST", answering, "collector-as-reviewer", found)
    assert (took.status, took.body["type"].rpartition(":")[2]) == (403, "decided-before")
    found["id"] = str(uuid7())
    for _ in range(2):
        answered = await estate.ask("POST", answering, "another-reviewer", found)
        assert (answered.status, answered.body["opened_anew"]) == (200, False)
    [seen] = (await estate.ask("GET", path)).body["looks"]
    assert (seen["ref"], seen["finding"]) == (one["ref"], "stands")
    assert (await estate.ask("GET", f"/api/follow/{uuid4().hex}/looks")).body == {"looks": []}
    late = await estate.ask("POST", answering, "another-reviewer", found | {"id": str(uuid7())})
    assert (late.status, late.body["type"].rpartition(":")[2]) == (409, "look-answered-already")


async def test_a_choice_of_notices_tells_no_known_code_from_another(estate: Any) -> None:
    _, code = await visited(estate, Statement("wish.wage-help", True))
    answers = [
        await estate.ask("PUT", f"/api/follow/{one}/notices", None, {"channel": "none"}) for one in (code, uuid4().hex)
    ]
    assert answers[0].raw == answers[1].raw
    assert {one.status for one in answers} == {200}
    wrong = await estate.ask("PUT", f"/api/follow/{code}/notices", None, {"channel": "telegram"})
    assert wrong.status == 422


async def test_an_unknown_code_and_one_whose_requests_are_gone_are_answered_alike(estate: Any) -> None:
    known = (await visited(estate))[1]
    for method, tail, body in (("GET", "", None), ("GET", "/looks", None),
                               ("POST", "/withdrawals", {"ref": str(uuid4())}),
                               ("POST", "/looks", {"ref": str(uuid4())})):  # fmt: skip
        answers = []
        for code in (known, uuid4().hex):
            sent = None if body is None else body | {"id": str(uuid7())}
            answers.append(await estate.ask(method, f"/api/follow/{code}{tail}", None, sent))
        assert (answers[0].status, answers[0].raw) == (answers[1].status, answers[1].raw)


async def leave(estate: Any, file_id: str, subject_id: str) -> dict[str, Any]:
    """Somebody leaves their household; gives their new file and code."""
    path = f"/api/files/{file_id}/subjects/{subject_id}/departure"
    answer = await estate.ask("POST", path, "reviewer", {"id": str(uuid7())}, doorstep_purpose="resident-request")
    assert answer.status == 201, answer.body
    await estate.flow()
    [code] = [one["follow_code"] for one in answer.body["codes"] if one["subject_id"] == subject_id]
    return {"file_id": answer.body["file_id"], "code": code}


async def test_who_left_asks_by_the_new_code_in_the_new_file_and_by_no_other(estate: Any) -> None:
    """The old code is on a receipt at home, and the phone may be the one there; whom she excludes stays excluded."""
    body, code = await visited(estate, phone="13800138000")
    subject = body["subjects"][0]["subject_id"]
    await estate.ask("PUT", "/api/exclusions", None, {"code": code, "staff": ["reviewer-2"]})
    first = await leave(estate, body["file_id"], subject)
    second = await leave(estate, first["file_id"], subject)
    unknown = await ask(estate, "0000-0000-0000-0000")
    for former in (code, first["code"]):
        answer = await ask(estate, former)
        assert (answer.status, answer.raw) == (unknown.status, unknown.raw) == (404, unknown.raw)
    asked = {"id": str(uuid7())}
    answer, again = [await ask(estate, second["code"], **asked) for _ in range(2)]
    assert (answer.status, again.status, again.body) == (201, 200, answer.body)
    await estate.flow()
    [one] = await followed(estate, answer.body["follow_code"])
    assert one["state"] == "requested"
    desk = estate.desks["intake"]
    [row] = await desk.rows("SELECT file_id FROM record WHERE record_id = :id", id=UUID(asked["id"]))
    assert str(row.file_id) == second["file_id"]
    path = "/api/departments/labour/requests"
    offers = (await estate.ask("GET", path, "labour", doorstep_purpose="service")).body["requests"]
    [mine] = [found["offer"] for found in offers if found["offer"]["name"] == body["subjects"][0]["name"]]
    assert "phone" not in mine
    listed = f"/api/requests?record_id={asked['id']}"
    shown = [
        len((await estate.ask("GET", listed, who, doorstep_purpose="triage")).body["requests"])
        for who in ("reviewer", "another-reviewer")
    ]
    assert shown == [1, 0]


async def test_who_left_before_there_was_a_code_here_is_found_once_the_worker_looked(estate: Any) -> None:
    body, _ = await visited(estate)
    subject = body["subjects"][0]["subject_id"]
    there = await leave(estate, body["file_id"], subject)
    desk = estate.desks["intake"]
    async with desk.service.database.transaction() as session:
        await session.execute(text("DELETE FROM moved_code WHERE subject_id = :id"), {"id": UUID(subject)})
    assert (await ask(estate, there["code"])).status == 404
    async with desk.service.database.transaction() as session:
        assert not await index_moved_codes(session, vault=desk.vault)
    assert (await ask(estate, there["code"])).status == 201
    index = desk.vault.follow_index(there["code"])
    async with desk.service.database.transaction() as session:
        await erase_subject(session, subject_id=UUID(subject))
    assert (await ask(estate, there["code"])).status == 404
    assert await desk.rows("SELECT 1 FROM command WHERE principal = :who", who=f"follow:{index.hex()}") == []


async def test_a_number_that_others_of_the_record_gave_is_marked_though_they_ask_for_nothing(estate: Any) -> None:
    """In the request of the visit and in one of her own; the department may call all the same."""
    rng, now = Random(next(SEEDS)), datetime.now(UTC)  # noqa: S311
    town, wish = Town(rng, now.date()), Statement("wish.wage-help", True)
    woman, man = (town.resident(age=61, sex=sex, relation="head") for sex in ("female", "male"))
    body = record(rng, (person(woman, [wish]), person(man, [])), now=now)
    for one in body["subjects"]:
        one["phone"] = "13800138000"
    codes = await estate.hand_in(body)
    taken = await ask(estate, codes[body["subjects"][0]["subject_id"]], "fire-check")
    await estate.flow()
    desk = estate.desks["referral"]
    for record_id in (body["record_id"], taken.body["record_id"]):
        query = "SELECT request_id, subject_id, content FROM request WHERE record_id = :id"
        [row] = await desk.rows(query, id=UUID(record_id))
        ring = await desk.vault.ring([row.subject_id])
        card = open_content(ring, row.subject_id, row.request_id, bytes(row.content)).card
        assert (card.phone, card.phone_shared) == ("13800138000", True)


async def test_who_showed_no_paper_asks_if_the_year_says_their_age_and_is_the_same_person(estate: Any) -> None:
    """So that whom they exclude stays excluded. Nobody is of their own age whose age is not known, or who is not."""
    years = {1961: 201, datetime.now(UTC).year - 13: 404, None: 404}
    for year, status in years.items():
        rng, now = Random(next(SEEDS)), datetime.now(UTC)  # noqa: S311
        woman = Town(rng, now.date()).resident(age=61, sex="female", relation="head")
        stated = [] if year is None else [Statement("identity.birth-year", year)]
        body = record(rng, (person(woman, stated),), now=now)
        for name in ("document_kind", "document_number"):
            del body["subjects"][0][name]
        [code] = (await estate.hand_in(body)).values()
        await estate.ask("PUT", "/api/exclusions", None, {"code": code, "staff": ["reviewer-2"]})
        taken = await ask(estate, code)
        assert taken.status == status, (year, taken.body)
        if status != 201:
            continue
        await estate.flow()
        query = "SELECT DISTINCT person_id FROM subject WHERE file_id = :id"
        assert len(await estate.desks["registry"].rows(query, id=UUID(body["file_id"]))) == 1
        listed = f"/api/requests?record_id={taken.body['record_id']}"
        shown = [
            len((await estate.ask("GET", listed, who, doorstep_purpose="triage")).body["requests"])
            for who in ("reviewer", "another-reviewer")
        ]
        assert shown == [1, 0]
        there = await leave(estate, body["file_id"], body["subjects"][0]["subject_id"])
        assert (await ask(estate, there["code"])).status == 201
        await estate.flow()
        assert len(await estate.desks["registry"].rows(query, id=UUID(there["file_id"]))) == 1
