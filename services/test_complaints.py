"""Complaints over HTTP: by the code, once, seen by a supervisor who had no part, answered, and taken back."""

import re
from datetime import UTC, datetime
from importlib.resources import files
from itertools import count
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.local.neighbourhood import Town
from doorstep.local.records import Statement, person, record
from doorstep.referral.domain.complaints import About, ComplaintFinding, Treatment

SEEDS = count(5101)
NONE = "0000-0000-0000-0000"
WORDS = "窗口说系统坏了让我下周再来"


async def asked(estate: Any, wish: str = "wage-help") -> tuple[str, str]:
    """A woman who asked for a service: the code on her receipt, and what it calls the request."""
    rng, now = Random(next(SEEDS)), datetime.now(UTC)  # noqa: S311
    woman = Town(rng, now.date()).resident(age=61, sex="female", relation="head")
    [code] = (await estate.hand_in(record(rng, (person(woman, [Statement(f"wish.{wish}", True)]),), now=now))).values()
    shown = (await estate.ask("GET", f"/api/follow/{code}")).body["requests"]
    return code, shown[0]["ref"] if shown else str(uuid4())


def said(ref: str, **more: Any) -> dict[str, Any]:
    return {"id": str(uuid7()), "ref": ref, "about": "department", "treatment": ["not-answered"]} | more


async def complain(estate: Any, code: str, body: dict[str, Any]) -> Any:
    return await estate.ask("POST", f"/api/follow/{code}/complaints", None, body)


async def queue(estate: Any, who: str) -> list[dict[str, Any]]:
    answer = await estate.ask("GET", "/api/requests/complaints", who, doorstep_purpose="follow-up")
    return list(answer.body["complaints"])


async def about(estate: Any, code: str, who: str = "supervisor") -> list[dict[str, Any]]:
    """What waits about the request of a code."""
    desk = estate.desks["referral"]
    query = "SELECT request_id FROM request WHERE follow_index = :index"
    ids = {str(row.request_id) for row in await desk.rows(query, index=desk.vault.follow_index(code))}
    return [one for one in await queue(estate, who) if one["request_id"] in ids]


async def kept(estate: Any, command_id: str) -> Any:
    """What is kept of a command's answer."""
    [row] = await estate.desks["referral"].rows("SELECT answer FROM command WHERE id = :id", id=UUID(command_id))
    return row.answer


async def test_it_is_received_once_read_and_answered_by_a_supervisor_and_seen_by_the_code(estate: Any) -> None:
    code, ref = await asked(estate)
    body = said(ref, text=WORDS, staff=["supervisor-2"])
    first, again = [await complain(estate, code, body) for _ in range(2)]
    assert (first.status, first.raw) == (again.status, again.raw)
    assert set(first.body) == {"complaint_code", "ref", "due_by"}
    assert (await complain(estate, code, body | {"text": "另"})).status == 409
    [owed] = await about(estate, code)
    assert set(owed) == {"complaint_id", "request_id", "made_at", "due_by", "overdue"}
    assert body["id"] not in str(owed)  # who sends it again is told the code: that id is its sender's alone
    assert await about(estate, code, "another-supervisor") == []  # who is named
    path = f"/api/requests/{owed['request_id']}/complaints/{owed['complaint_id']}"
    why = {"doorstep_purpose": "follow-up", "doorstep_case": owed["request_id"]}
    read = await estate.ask("GET", path, "supervisor", **why)
    assert (read.body["text"], read.body["treatment"], read.body["departments"]) == (
        WORDS, ["not-answered"], ["labour"],
    )  # fmt: skip
    finding = {"id": str(uuid7()), "finding": "partly-upheld", "text": "已提醒窗口人员"}
    for who, status in (("reviewer", 403), ("labour", 403), ("another-supervisor", 404)):
        assert (await estate.ask("GET", path, who, **why)).status == status, who
        answer = await estate.ask("POST", f"{path}/answer", who, finding | {"id": str(uuid7())})
        assert answer.status == status, who
    for _ in range(2):
        told = await estate.ask("POST", f"{path}/answer", "supervisor", finding)
        assert (told.status, told.body["finding"]) == (200, "partly-upheld")
    for command in (body, finding):
        ids = {"request": owed["request_id"], "complaint_id": owed["complaint_id"]}
        assert await kept(estate, command["id"]) == ids
    late = await estate.ask("POST", f"{path}/answer", "supervisor", finding | {"id": str(uuid7())})
    assert (late.status, late.body["type"].rpartition(":")[2]) == (409, "complaint-answered")
    shown = await estate.ask("GET", f"/api/follow/{code}/complaints/{first.body['complaint_code']}")
    mine = shown.body
    assert (mine["finding"], mine["answer"], mine["overdue"]) == ("partly-upheld", "已提醒窗口人员", False)
    assert WORDS not in shown.raw.decode()  # the code may lie open


async def test_taken_back_or_never_made_or_by_an_unknown_code_all_is_answered_alike(estate: Any) -> None:
    code, ref = await asked(estate)
    body = said(ref)
    own = (await complain(estate, code, body)).body["complaint_code"]
    assert len(await about(estate, code)) == 1
    answers = []
    for who, which in ((uuid4().hex, own), (code, str(uuid4())), (code, code), (code, own), (code, own)):
        taken = await estate.ask("POST", f"/api/follow/{who}/complaints/{which}/withdrawal")
        answers.append((taken.status, taken.raw))
        assert len(await about(estate, code)) == (0 if which == own and who == code else 1)
    assert set(answers) == {(204, b"")}
    nothing = [
        await estate.ask("GET", f"/api/follow/{one}/complaints/{which}")
        for one, which in ((code, own), (uuid4().hex, own), (code, code), (code, body["id"]))
    ]
    assert {(one.status, one.raw) for one in nothing} == {(404, nothing[0].raw)}
    hidden, its = await asked(estate, "legal-aid")
    unknown = [await complain(estate, who, said(its)) for who in (hidden, uuid4().hex, code)]
    assert {(one.status, one.raw) for one in unknown} == {(404, unknown[0].raw)}


async def test_who_has_the_code_on_the_receipt_and_no_more_learns_nothing_of_a_complaint(estate: Any) -> None:
    """The collector had it in their hands, and the household's paper may lie about."""
    (code, ref), (other, _) = await asked(estate), await asked(estate)
    body = said(ref, text=WORDS)
    before = [(one.status, one.body) for one in await seen_by(estate, code)]
    own = (await complain(estate, code, body)).body["complaint_code"]
    assert [(one.status, one.body) for one in await seen_by(estate, code)] == before
    assert (await complain(estate, other, body)).status == 409
    assert (await estate.ask("GET", f"/api/follow/{other}/complaints/{own}")).status == 404
    assert (await estate.ask("POST", f"/api/follow/{other}/complaints/{own}/withdrawal")).status == 204
    assert (await estate.ask("GET", f"/api/follow/{code}/complaints/{own.lower()}")).body["ref"] == ref


async def seen_by(estate: Any, code: str) -> list[Any]:
    """All that the code on a receipt shows."""
    return [
        await estate.ask("GET", f"/api/follow/{code}{tail}")
        for tail in ("", "/looks", "/complaints", f"/complaints/{NONE}")
    ]


async def test_of_what_is_taken_back_nothing_is_kept_of_a_command(estate: Any) -> None:
    code, ref = await asked(estate)
    body, finding = said(ref), {"id": str(uuid7()), "finding": "upheld"}
    own = (await complain(estate, code, body)).body["complaint_code"]
    [owed] = await about(estate, code)
    path = f"/api/requests/{owed['request_id']}/complaints/{owed['complaint_id']}/answer"
    assert (await estate.ask("POST", path, "supervisor", finding)).status == 200
    for _ in range(2):
        assert (await estate.ask("POST", f"/api/follow/{code}/complaints/{own}/withdrawal")).status == 204
    assert [await kept(estate, one["id"]) for one in (body, finding)] == [None, None]
    again = [await complain(estate, code, body), await estate.ask("POST", path, "supervisor", finding)]
    assert [(one.status, one.body["type"].rpartition(":")[2]) for one in again] == [(410, "erased")] * 2
    assert (await complain(estate, code, said(ref))).status == 201


@pytest.mark.parametrize(
    "wrong",
    [{"about": "police"}, {"treatment": []}, {"treatment": ["rude", "rude"]}, {"treatment": ["other"]}, {"text": ""},
     {"text": "长" * 2001}, {"text": "a\0b"}, {"staff": ["a\nb"]}, {"staff": ["1"] * 6}, {"ref": "x"}, {"more": 1},
     {"id": str(uuid4())}, {"treatment": None}],
    ids=["about", "nothing", "twice", "code", "blank", "long", "nul", "badge", "badges", "ref", "more", "id", "null"],
)  # fmt: skip
async def test_what_is_wrong_in_a_complaint_is_one_clear_answer(estate: Any, wrong: dict[str, Any]) -> None:
    answer = await complain(estate, "0000-0000-0000-0000", said(str(uuid4())) | wrong)
    assert answer.status == 422


def test_the_page_has_words_in_both_languages_for_every_code() -> None:
    script = (files("doorstep.gateway") / "pages" / "own.js").read_text(encoding="utf-8")
    for told in (About, Treatment, ComplaintFinding):
        assert [one for one in told if not re.search(rf'"{one}": \["[^"]+", "[^"]+"\]', script)] == []
