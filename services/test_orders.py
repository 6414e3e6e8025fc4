"""Orders of the 12345 hotline go the whole way: handed in, answered, returned, prolonged, called back, joined."""

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import orjson
import pytest
from uuid_utils.compat import uuid7

from doorstep.intake.operations.records import erase_subject as erase_in_intake
from doorstep.local.neighbourhood import Town
from doorstep.referral.operations.erasing import erase_subject

NUMBERS, SEEDS = count(1), count(12345)
OFFICERS = {"fire": "officer"}


def somebody() -> dict[str, Any]:
    """A caller with a paper, as the hotline names them."""
    one = Town(Random(next(SEEDS)), datetime.now(UTC).date()).resident(age=48, sex="male", relation="head")  # noqa: S311
    return {"name": f"{one.name}{next(SEEDS)}", "document_kind": "resident-id", "document_number": str(one.resident_id),
            "phone": "13800138000"}  # fmt: skip


def order(*need_types: str, days: float = 3, **more: Any) -> dict[str, Any]:
    """An order; about a person unless `more` says otherwise."""
    now = datetime.now(UTC)
    body = {
        "number": f"QX-20261121-{next(NUMBERS):05}",
        "called_at": (now - timedelta(minutes=9)).isoformat(),
        "due_by": (now + timedelta(days=days)).isoformat(),
        "need_types": list(need_types or ("wage-help",)),
        "area": "330102001",
    }
    return body | ({} if {"address", "place"} & more.keys() else {"caller": somebody()}) | more


async def handed_in(estate: Any, body: dict[str, Any]) -> str:
    """The receipt of an order that went its way."""
    answer = await estate.ask("POST", "/api/orders", "hotline", body)
    assert answer.status == 201, answer.body
    await estate.flow()
    return str(answer.body["receipt"])


async def told(estate: Any, receipt: str) -> list[dict[str, Any]]:
    """What the hotline is told of one order, from the beginning, page by page."""
    found, after = [], 0
    while True:
        page = (await estate.ask("GET", f"/api/orders/news?after={after}", "hotline")).body
        if page["next"] == after:
            return [one for one in found if one["receipt"] == receipt]
        found, after = found + page["news"], page["next"]


async def kinds(estate: Any, receipt: str) -> list[str]:
    return [one["kind"] for one in await told(estate, receipt)]


async def offered(estate: Any, body: dict[str, Any], department: str = "labour") -> list[dict[str, Any]]:
    """What a department has of an order's caller."""
    path, who = f"/api/departments/{department}/requests", OFFICERS.get(department, department)
    found, after = [], ""
    while True:
        page = (await estate.ask("GET", path + after, who, doorstep_purpose="service")).body
        found += [one for one in page["requests"] if one["offer"]["name"] == body["caller"]["name"]]
        if "next" not in page:
            return found
        after = f"?after={page['next']}"


async def step(
    estate: Any, request: dict[str, Any], version: int, to: str, department: str = "labour", **said: Any
) -> Any:
    path = f"/api/departments/{department}/requests/{request['ref']}/transitions"
    body = {"id": str(uuid7()), "to": to, **said}
    answer = await estate.ask("POST", path, OFFICERS.get(department, department), body, if_match=f'"{version}"')
    assert answer.status == 200, answer.body
    return answer


async def done(estate: Any, request: dict[str, Any], department: str = "labour") -> None:
    await step(estate, request, 1, "accepted", department)
    await step(estate, request, 2, "completed", department, outcome="service-provided")


async def listed(estate: Any, receipt: str) -> dict[str, Any]:
    page = (await estate.ask("GET", "/api/orders/open", "reviewer", doorstep_purpose="follow-up")).body
    return next(one for one in page["orders"] if one["receipt"] == receipt)


async def says(estate: Any, who: str, receipt: str, tail: str, **said: Any) -> Any:
    """What somebody is answered who does something with an order."""
    body = said if tail.endswith("/answer") else {"id": str(uuid7()), **said}
    return await estate.ask("POST", f"/api/orders/{receipt}/{tail}", who, body)


def code(answer: Any) -> tuple[int, str]:
    return answer.status, answer.body["type"].rpartition(":")[2]


async def test_an_order_goes_the_whole_way_and_its_hotline_is_told_codes_alone(estate: Any) -> None:
    body = order(said="工地拖欠三个月工资，请帮助。")
    receipt = await handed_in(estate, body)
    assert await kinds(estate, receipt) == ["received"]
    [request] = await offered(estate, body)
    assert request["offer"]["need_type"] == "wage-help"
    await step(estate, request, 1, "accepted")
    assert await kinds(estate, receipt) == ["received", "accepted"]
    await step(estate, request, 2, "completed", outcome="agreement-reached", note="工资已结清，联系人张工")
    news = await told(estate, receipt)
    assert [(one["kind"], one.get("outcome")) for one in news] == [
        ("received", None), ("accepted", None), ("done", "agreement-reached"),
    ]  # fmt: skip
    assert {one["number"] for one in news} == {body["number"]}
    assert set(news[-1]) == {"position", "receipt", "number", "kind", "at", "outcome"}
    desk = estate.desks["intake"]
    [row] = await desk.rows(
        "SELECT record_id, channel FROM record WHERE channel = 'hotline-12345' ORDER BY recorded_at DESC LIMIT 1"
    )
    assert str(row.record_id) != receipt
    shown = await estate.ask("GET", f"/api/records/{row.record_id}", "reviewer", doorstep_purpose="follow-up")
    assert shown.body["subjects"][0]["said"] == body["said"]


async def test_number_and_words_stand_in_no_key_row_or_event_in_clear(estate: Any) -> None:
    body = order(said="请勿外传的话")
    await handed_in(estate, body)
    for desk in estate.desks.values():
        for name in await desk.counts():
            rows = await desk.rows(f"SELECT row_to_json(t)::text AS said FROM {name} t")  # noqa: S608
            assert not [1 for row in rows if body["number"] in row.said or body["said"] in row.said], name
    published = await estate.told("intake") + await estate.told("referral")
    assert body["said"] not in published  # not even sealed


async def test_the_same_order_again_is_the_same_answer_and_another_under_its_number_is_refused(estate: Any) -> None:
    body = order()
    first, again = [await estate.ask("POST", "/api/orders", "hotline", body) for _ in range(2)]
    assert (first.status, again.status, first.body) == (201, 200, again.body)
    elsewhere = await estate.ask("POST", "/api/orders", "hotline-clerk", body)
    assert (elsewhere.status, elsewhere.body) == (200, first.body)  # whoever of the hotline sends it
    other = await estate.ask("POST", "/api/orders", "hotline", body | {"need_types": ["fire-check"]})
    assert other.status == 409
    await estate.flow()
    assert len(await offered(estate, body)) == 1
    assert await offered(estate, body, "fire") == []


WRONG: dict[str, dict[str, Any]] = {
    "number with a slash": {"number": "QX/1"},
    "number too long": {"number": "1" * 41},
    "number with an end of line": {"number": "QX-1\n"},
    "unknown need": {"need_types": ["no-such"]},
    "asked alone": {"need_types": ["protection-from-violence"]},
    "twice": {"need_types": ["wage-help", "wage-help"]},
    "two kinds": {"need_types": ["wage-help", "no-heating"]},
    "no caller": {"caller": None},
    "caller without a name": {"caller": {"phone": "13800138000"}},
    "caller and place": {"place": "3 号楼楼道"},
    "wrong paper": {"caller": {"name": "王", "document_kind": "resident-id", "document_number": "1"}},
    "due before the call": {"due_by": "2020-01-01T00:00:00Z"},
    "due in a century": {"due_by": "2120-01-01T00:00:00Z"},
    "called tomorrow": {"called_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
    "time without zone": {"due_by": "2026-12-01T00:00:00"},
    "area": {"area": "杭州"},
    "control characters": {"said": "a\u0000b"},
    "more": {"more": 1},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_what_is_no_order_is_refused_and_leaves_nothing(estate: Any, wrong: dict[str, Any]) -> None:
    before = await estate.desks["intake"].counts()
    answer = await estate.ask("POST", "/api/orders", "hotline", order() | wrong)
    assert code(answer) == (422, "invalid")
    assert answer.body["errors"]
    assert await estate.desks["intake"].counts() == before


async def test_the_order_of_the_documentation_is_taken(estate: Any) -> None:
    page = (Path(__file__).parent.parent / "docs" / "hotline.md").read_text(encoding="utf-8")
    body = orjson.loads(page.partition("```json\n")[2].partition("```")[0])
    assert await kinds(estate, await handed_in(estate, body)) == ["received"]
    assert len(await offered(estate, body)) == 1


@pytest.mark.parametrize("who", ["reviewer", "collector", "officer", "portal", "resident", "police", "hotline-nowhere"])
async def test_nobody_else_hands_in_or_follows_orders(estate: Any, who: str) -> None:
    assert (await estate.ask("POST", "/api/orders", who, order())).status == 403
    assert (await estate.ask("GET", "/api/orders/news", who)).status == 403


async def decided(estate: Any, receipt: str, decision: str, only: str | None = None) -> None:
    """A reviewer decides on what an order tells of a place or a dwelling, or on one need type of it."""
    record_id = (await listed(estate, receipt))["record_id"]
    seen = await estate.ask("GET", f"/api/assessments/{record_id}", "reviewer", doorstep_purpose="triage")
    for need in [one for one in seen.body["needs"] if only in (None, one["need_type"])]:
        body = {"id": str(uuid7()), "decision": decision, "reason": "现场核实"}
        assert (await estate.ask("POST", f"/api/needs/{need['need_id']}/decision", "reviewer", body)).status == 200
    await estate.flow()


async def test_who_tells_of_a_place_may_be_anonymous_and_a_reviewer_decides(estate: Any) -> None:
    receipt = await handed_in(estate, order("blocked-exit", place="幸福街道 3 号楼北门通道"))
    assert await kinds(estate, receipt) == ["received"]
    await decided(estate, receipt, "confirmed")
    assert len((await listed(estate, receipt))["requests"]) == 1


async def test_an_order_in_which_a_reviewer_finds_no_need_ends(estate: Any) -> None:
    receipt = await handed_in(estate, order("blocked-exit", "stairwell-charging", place="幸福街道 5 号楼"))
    await decided(estate, receipt, "rejected")
    assert await kinds(estate, receipt) == ["received", "ended"]
    page = (await estate.ask("GET", "/api/orders/open", "reviewer", doorstep_purpose="follow-up")).body
    assert receipt not in str(page)


async def test_an_order_is_not_done_before_a_reviewer_decided_on_all_of_it(estate: Any) -> None:
    receipt = await handed_in(estate, order("blocked-exit", "stairwell-charging", place="幸福街道 7 号楼"))
    await decided(estate, receipt, "confirmed", "blocked-exit")
    query = "SELECT ref FROM task JOIN order_request USING (request_id) WHERE order_id = :id"
    [row] = await estate.desks["referral"].rows(query, id=UUID(receipt))
    await done(estate, {"ref": row.ref}, "fire")
    assert await kinds(estate, receipt) == ["received", "accepted"]
    await decided(estate, receipt, "rejected", "stairwell-charging")  # for it is open still
    assert await kinds(estate, receipt) == ["received", "accepted", "done"]


async def test_of_what_is_confidential_the_hotline_hears_the_same_two_words_whatever_happens(estate: Any) -> None:
    for need, department in (("legal-aid", "justice"), ("health-advice", "health")):
        body = order(need)
        receipt = await handed_in(estate, body)
        before = await told(estate, receipt)
        assert [one["kind"] for one in before] == ["received", "answered-to-caller"]
        later = (datetime.now(UTC) + timedelta(days=9)).isoformat()
        asked = await says(estate, "reviewer", receipt, "extensions", until=later, reason="weather")
        [request] = await offered(estate, body, department)
        path = f"/api/departments/{department}/requests/{request['ref']}/extensions"
        by = await estate.ask("POST", path, department, {"id": str(uuid7()), "until": later, "reason": "weather"})
        assert (code(asked), code(by)) == ((409, "order-withheld"), (404, "order-unknown"))
        returned = await says(estate, "reviewer", receipt, "return", reason="other-authority")
        open_still = await says(estate, "hotline", receipt, "call-backs", result="not-satisfied")
        await done(estate, request, department)
        closed = await says(estate, "hotline", receipt, "call-backs", result="not-satisfied")
        assert {code(one) for one in (returned, open_still, closed)} == {(409, "order-withheld")}
        assert await told(estate, receipt) == before


async def test_an_order_that_is_not_the_stations_is_returned_once_and_its_requests_go(estate: Any) -> None:
    body = order("wage-help", "fire-check")
    receipt = await handed_in(estate, body)
    [request] = await offered(estate, body)
    await step(estate, request, 1, "rejected", reason="not-ours")
    asked = {"id": str(uuid7()), "reason": "other-district"}
    path = f"/api/orders/{receipt}/return"
    first, again = [await estate.ask("POST", path, "reviewer", asked) for _ in range(2)]
    assert (first.status, first.body) == (again.status, again.body) == (200, {"receipt": receipt})
    [*_, news] = await told(estate, receipt)
    assert (news["kind"], news["reason"]) == ("returned", "other-district")
    query = "SELECT DISTINCT t.state FROM task t JOIN order_request USING (request_id) WHERE order_id = :id"
    assert [row.state for row in await estate.desks["referral"].rows(query, id=UUID(receipt))] == ["cancelled"]
    assert code(await says(estate, "reviewer", receipt, "return", reason="other-authority")) == (409, "order-returned")
    queue = await estate.ask("GET", "/api/requests?queue=rejected", "reviewer", doorstep_purpose="triage")
    assert (await offered(estate, body))[0]["state"] == "cancelled"
    assert body["caller"]["name"] not in queue.raw.decode()


async def test_what_was_accepted_is_not_returned_nor_another_stations_seen(estate: Any) -> None:
    body = order()
    receipt = await handed_in(estate, body)
    [request] = await offered(estate, body)
    await step(estate, request, 1, "accepted")
    assert code(await says(estate, "reviewer", receipt, "return", reason="other-authority")) == (409, "order-accepted")
    for who in ("reviewer-elsewhere",):
        assert code(await says(estate, who, receipt, "return", reason="other-authority")) == (404, "order-unknown")
    assert (await says(estate, "supervisor", receipt, "return", reason="other-authority")).status == 403
    assert (await says(estate, "hotline", receipt, "return", reason="other-authority")).status == 403
    [request] = await offered(estate, body)
    assert request["state"] == "accepted"


async def test_a_call_back_comes_once_for_each_closing_and_not_satisfied_opens_anew(estate: Any) -> None:
    body = order()
    receipt = await handed_in(estate, body)
    [request] = await offered(estate, body)
    early = await says(estate, "hotline", receipt, "call-backs", result="satisfied")
    assert code(early) == (409, "order-not-closed")
    await done(estate, request)
    heard = {"id": str(uuid7()), "result": "not-satisfied"}
    path = f"/api/orders/{receipt}/call-backs"
    first, again = [await estate.ask("POST", path, "hotline", heard) for _ in range(2)]
    assert (first.status, first.body) == (again.status, again.body) == (200, {"receipt": receipt, "reopened": True})
    await estate.flow()
    one, anew = await offered(estate, body)
    assert (one["state"], anew["state"], anew["business_status"]) == ("completed", "requested", "reopened")
    assert code(await says(estate, "hotline", receipt, "call-backs", result="satisfied")) == (409, "order-not-closed")
    await done(estate, anew)
    assert (await says(estate, "hotline", receipt, "call-backs", result="satisfied")).body["reopened"] is False
    assert code(await says(estate, "hotline", receipt, "call-backs", result="satisfied")) == (409, "call-back-given")
    assert await kinds(estate, receipt) == [
        "received", "accepted", "done", "reopened", "accepted", "done",
    ]  # fmt: skip


async def test_who_directs_an_order_has_a_duty_on_its_record_and_none_who_has_another(estate: Any) -> None:
    desk, later = estate.desks["referral"], (datetime.now(UTC) + timedelta(days=9)).isoformat()
    first, second, third = [await handed_in(estate, order()) for _ in range(3)]
    twin = "UPDATE hotline_order SET person_index = '\\x12345678' WHERE order_id = ANY($1)"
    duty = "INSERT INTO duty (record_id, person, role) SELECT record_id, $2, $3 FROM hotline_order WHERE order_id = $1"
    person = desk.vault.pairwise("staff", "collector-1")
    async with desk.database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(twin, ([UUID(first), UUID(second)],))
        for receipt in (first, second, third):
            await connection.exec_driver_sql(duty, (UUID(receipt), person, "collector"))
    for receipt, tail, said in (
        (first, "join", {"into": second}),
        (second, "extensions", {"until": later, "reason": "weather"}),
        (third, "return", {"reason": "other-district"}),
    ):
        assert (await says(estate, "collector-as-reviewer", receipt, tail, **said)).status == 403, tail
        assert (await says(estate, "reviewer", receipt, tail, **said)).status == 200, tail
        had = "SELECT role FROM duty JOIN hotline_order USING (record_id) WHERE order_id = :id AND person = :who"
        who = desk.vault.pairwise("staff", "reviewer-1")
        assert [row.role for row in await desk.rows(had, id=UUID(receipt), who=who)] == ["reviewer"], tail


async def test_of_somebody_erased_nothing_is_told_and_the_number_is_gone(estate: Any) -> None:
    body = order()
    receipt = await handed_in(estate, body)
    [subject] = [row.subject_id for row in await estate.desks["referral"].rows(
        "SELECT subject_id FROM hotline_order WHERE order_id = :id", id=UUID(receipt)
    )]  # fmt: skip
    for name, erase in (("intake", erase_in_intake), ("referral", erase_subject)):
        desk = estate.desks[name]
        more = {"vault": desk.vault, "now": datetime.now(UTC)} if name == "referral" else {}
        async with desk.service.database.transaction() as session:
            await erase(session, subject_id=subject, **more)
    assert await told(estate, receipt) == []
    left = "SELECT (SELECT count(*) FROM {0} WHERE order_id = :id)"
    for table in ("hotline_order", "order_request", "order_news"):
        assert await estate.desks["referral"].value(left.format(table), id=UUID(receipt)) == 0
    assert (await estate.ask("POST", "/api/orders", "hotline", body)).status == 410
    await estate.desks["referral"].vault.destroy(subject)
