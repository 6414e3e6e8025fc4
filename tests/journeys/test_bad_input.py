"""Bad input at the front door: each answer is a problem that names the field; nothing is stored, nothing published."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

Body = dict[str, Any]
Change = Callable[[Body], Any]
MIB = 1_048_576


def later() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()


def at(path: str, value: Any) -> Change:
    """Puts `value` at a JSON pointer."""
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")[1:]]

    def change(body: Body) -> None:
        place: Any = body
        for part in way:
            place = place[part]
        place[last] = value

    return change


def without(path: str) -> Change:
    """Takes away what lies at a JSON pointer."""
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")[1:]]

    def change(body: Body) -> None:
        place: Any = body
        for part in way:
            place = place[part]
        del place[last]

    return change


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


FACT = "/subjects/0/facts/0"
RECORDS: dict[str, tuple[Change, str]] = {
    "unknown field": (at("/favourite", "tea"), "/favourite"),
    "unknown field of a subject": (at("/subjects/1/favourite", "tea"), "/subjects/1/favourite"),
    "unknown field of a fact": (at(f"{FACT}/favourite", "tea"), f"{FACT}/favourite"),
    "unknown field called like a person": (at("/王秀英 110101194803070028", 1), ""),
    "unknown field of a lone surrogate": (at("/\ud800", 1), ""),
    "unknown field of NUL": (at("/\0", 1), ""),
    "unknown channel": (at("/channel", "telepathy-77"), "/channel"),
    "unknown kind of subject": (at("/subjects/0/kind", "animal-77"), "/subjects/0/kind"),
    "unknown paper": (at("/subjects/0/document_kind", "library-card-77"), "/subjects/0/document_kind"),
    "unknown household word": (at("/household", "perhaps-77"), "/household"),
    "unknown fact": (at(f"{FACT}/code", "belief.religion-77"), f"{FACT}/code"),
    "unknown speaker": (at(f"{FACT}/said_by", "neighbour-77"), f"{FACT}/said_by"),
    "unknown legal basis": (at(f"{FACT}/legal_basis", "because-77"), f"{FACT}/legal_basis"),
    "future visit": (at("/visited_at", later()), "/visited_at"),
    "future fact": (at(f"{FACT}/since", later()), f"{FACT}/since"),
    "fact that ends before it begins": (at(f"{FACT}/until", "2020-01-01T00:00:00Z"), f"{FACT}/until"),
    "time without offset": (at("/visited_at", "2026-01-01T00:00:00"), "/visited_at"),
    "time before the calendar": (at("/visited_at", "0001-01-01T00:00:00+14:00"), "/visited_at"),
    "time after the calendar": (at(f"{FACT}/since", "9999-12-31T23:59:59-12:00"), f"{FACT}/since"),
    "time as a number": (at("/visited_at", 1_700_000_000), "/visited_at"),
    "resident ID with a wrong check digit": (
        at("/subjects/0/document_number", "11010519491231002X"[:17] + "1"),
        "/subjects/0/document_number",
    ),
    "resident ID of nobody's birthday": (at("/subjects/0/document_number", "1" * 18), "/subjects/0/document_number"),
    "paper without a number": (without("/subjects/0/document_number"), "/subjects/0/document_number"),
    "unknown household": (at("/household", "known"), "/file_id"),
    "NUL in a name": (at("/subjects/0/name", "王\0秀英"), "/subjects/0/name"),
    "NUL in a value": (at(f"{FACT}/value", "\0"), f"{FACT}/value"),
    "lone surrogate in a name": (at("/subjects/0/name", "王\ud800"), "/subjects/0/name"),
    "lone surrogate in a code": (at(f"{FACT}/code", "\udfff"), f"{FACT}/code"),
    "lone surrogate in an id": (at("/file_id", "\ud800"), "/file_id"),
    "lone surrogate in a channel": (at("/channel", "\ud800"), "/channel"),
    "text turned around": (at("/subjects/0/name", "王\u202e秀英"), "/subjects/0/name"),
    "blank name": (at("/subjects/0/name", " \u3000"), "/subjects/0/name"),
    "long name": (at("/subjects/0/name", "王" * 101), "/subjects/0/name"),
    "letters in a phone number": (at("/subjects/0/phone", "138OOOO1111"), "/subjects/0/phone"),
    "name as a number": (at("/subjects/0/name", 7), "/subjects/0/name"),
    "nested value": (at(f"{FACT}/value", nested(20)), f"{FACT}/value"),
    "list as a value": (at(f"{FACT}/value", ["true"]), f"{FACT}/value"),
    "null as a value": (at(f"{FACT}/value", None), f"{FACT}/value"),
    "fraction as a value": (at(f"{FACT}/value", 1950.5), f"{FACT}/value"),
    "yes as a count": (at(f"{FACT}/value", True), f"{FACT}/value"),
    "negative count": (at(f"{FACT}/value", -1), f"{FACT}/value"),
    "huge count": (at(f"{FACT}/value", 10**400), f"{FACT}/value"),
    "word as yes or no": (at("/subjects/0/facts/2/value", "yes"), "/subjects/0/facts/2/value"),
    "unknown choice": (at("/subjects/1/facts/0/value", "wobbly-77"), "/subjects/1/facts/0/value"),
    "id of version 4": (at("/record_id", str(uuid4())), "/record_id"),
    "id that is none": (at("/record_id", "7"), "/record_id"),
    "id as a number": (at("/record_id", 7), "/record_id"),
    "nil file": (at("/file_id", str(UUID(int=0))), "/file_id"),
    "nil subject": (at("/subjects/0/subject_id", str(UUID(int=0))), "/subjects/0/subject_id"),
    "guessable fact id": (at(f"{FACT}/fact_id", str(UUID(int=5))), f"{FACT}/fact_id"),
    "no subject": (at("/subjects", []), "/subjects"),
    "subjects as an object": (at("/subjects", {}), "/subjects"),
    "subject as null": (at("/subjects/0", None), "/subjects/0"),
    "facts as a word": (at("/subjects/0/facts", "none"), "/subjects/0/facts"),
    "subject twice": (
        lambda body: body["subjects"].append({**body["subjects"][0], "facts": []}),
        "/subjects/3/subject_id",
    ),
    "fact twice": (
        lambda body: body["subjects"][0]["facts"].append({**body["subjects"][0]["facts"][0], "fact_id": str(uuid7())}),
        "/subjects/0/facts/7/code",
    ),
    "fact id twice": (
        lambda body: body["subjects"][1]["facts"][0].update(fact_id=body["subjects"][0]["facts"][0]["fact_id"]),
        "/subjects/1/facts/0/fact_id",
    ),
    "two dwellings": (
        lambda body: body["subjects"].append({**body["subjects"][1], "subject_id": str(uuid7()), "facts": []}),
        "/subjects",
    ),
    "fact about the wrong kind of subject": (
        lambda body: body["subjects"][1]["facts"].append(body["subjects"][0]["facts"].pop()),
        "/subjects/1/facts/1/code",
    ),
    "collector who saw an illness": (at(f"{FACT}/said_by", "collector-saw"), f"{FACT}/said_by"),
    "collector who speaks for a department": (at(f"{FACT}/said_by", "department"), f"{FACT}/said_by"),
    "guardian is no department": (at("/subjects/0/facts/4/said_by", "department"), "/subjects/0/facts/4/said_by"),
    "address of a person": (at("/subjects/0/address", "幸福里9号"), "/subjects/0/address"),
    "name of a dwelling": (at("/subjects/1/name", "王秀英"), "/subjects/1/name"),
    "person without a name": (without("/subjects/0/name"), "/subjects/0/name"),
    "dwelling without an address": (without("/subjects/1/address"), "/subjects/1/address"),
    "place without a description": (without("/subjects/2/description"), "/subjects/2/description"),
    **{
        f"no {path}": (without(path), path)
        for path in ("/record_id", "/file_id", "/channel", "/visited_at", "/subjects", "/subjects/0/subject_id",
                     "/subjects/0/kind", f"{FACT}/fact_id", f"{FACT}/code", f"{FACT}/value", f"{FACT}/said_by",
                     f"{FACT}/legal_basis", f"{FACT}/since")
    },
    "25 subjects": (lambda body: body["subjects"].extend([body["subjects"][2]] * 22), "/subjects"),
    "61 facts": (lambda body: body["subjects"][0].update(facts=[body["subjects"][0]["facts"][0]] * 61),
                 "/subjects/0/facts"),
}  # fmt: skip

JSON = {"content_type": "application/json"}
RAW: dict[str, tuple[bytes | None, dict[str, str], int]] = {
    "nothing": (None, JSON, 422),
    "half a body": (b'{"record_id": ', JSON, 400),
    "a comma too many": (b'{"record_id": 1,}', JSON, 400),
    "single quotes": (b"{'record_id': 1}", JSON, 400),
    "two values": (b"{}{}", JSON, 400),
    "a name twice": (b'{"record_id": 1, "record_id": 1}', JSON, 400),
    "NaN": (b'{"visited_at": NaN}', JSON, 400),
    "Infinity": (b'{"visited_at": -Infinity}', JSON, 400),
    "a number of 5,000 digits": (b'{"visited_at": ' + b"1" * 5000 + b"}", JSON, 400),
    "a number beyond floats": (b'{"visited_at": 1e400}', JSON, 422),
    "a list": (b"[]", JSON, 422),
    "a word": (b'"record"', JSON, 422),
    "a lone surrogate as a word": (b'"\\ud800"', JSON, 422),
    "null": (b"null", JSON, 422),
    "40 levels": (json.dumps(nested(40)).encode(), JSON, 400),
    "40 levels in a field": (json.dumps({"record_id": nested(40)}).encode(), JSON, 400),
    "40 levels of lists, not closed": (b"[" * 40, JSON, 400),
    "100,000 levels": (b"[" * 100_000, JSON, 400),
    "raw surrogate bytes": (b'{"channel": "\xed\xa0\x80"}', JSON, 400),
    "bytes that are not UTF-8": (b'{"channel": "\xff\xfe"}', JSON, 400),
    "a raw NUL": (b'{"channel": "\0"}', JSON, 400),
    "GB18030": ('{"channel": "入户"}'.encode("gb18030"), JSON, 400),
    "UTF-16": ('{"channel": "入户"}'.encode("utf-16"), JSON, 400),
    "a byte order mark": ('\ufeff{"channel": "visit"}'.encode(), JSON, 400),
    "one byte over 1 MiB": (b" " * (MIB - 1) + b"{}", JSON, 413),
    "plain text": (b"{}", {"content_type": "text/plain"}, 415),
    "no content type": (b"{}", {}, 415),
    "a form": (b"record_id=7", {"content_type": "application/x-www-form-urlencoded"}, 415),
    "parts": (b"--x\r\n\r\n{}\r\n--x--", {"content_type": "multipart/form-data; boundary=x"}, 415),
    "XML": (b"<record/>", {"content_type": "application/xml"}, 415),
    "almost JSON": (b"{}", {"content_type": "application/json5"}, 415),
}


@pytest.fixture(scope="session")
async def quiet(house: Any) -> dict[str, Any]:
    """What was there before, and must be there after each refusal; a test that changes something says so."""
    return {"counts": await house.still()}


@pytest.fixture
async def nothing_changes(house: Any, quiet: dict[str, Any]) -> Any:
    """Fails the test that left a trace in any table of any database: states, outboxes, inboxes, keys.

    A test that was refused, and not only told of a flaw, leaves one in the log: it says so by `quiet["logged"]`.
    """
    if quiet["counts"] != await house.counts():
        quiet["counts"] = await house.still()
    yield
    logged = quiet.pop("logged", False)
    before, quiet["counts"] = quiet["counts"], await (house.still() if logged else house.counts())
    after = quiet["counts"]
    if logged:
        before, after = house.beside_the_log(before), house.beside_the_log(after)
    changed = {name: (before[name], rows) for name, rows in after.items() if rows != before[name]}
    assert changed == {}


def said(sent: Any) -> set[str]:
    """What was sent that tells of somebody: texts with Chinese letters, ids and numbers."""
    if isinstance(sent, dict):
        return {text for pair in sent.items() for part in pair for text in said(part)}
    if isinstance(sent, list):
        return {text for part in sent for text in said(part)}
    if isinstance(sent, str) and (re.search("[\u4e00-\u9fff]", sent) or len(re.findall("[0-9]", sent)) >= 2):
        return {sent}
    return set()


async def refused(house: Any, method: str, path: str, body: Any, status: int, where: str | None, **more: Any) -> Any:
    """The problem in English; in Chinese it says the same, and it is Chinese that is spoken by default."""
    english = await house.ask(method, path, body, accept_language="en-GB,en;q=0.9,zh;q=0.1", **more)
    chinese = await house.ask(method, path, body, **more)
    assert english.status == chinese.status == status, english.raw
    for answer, language in ((english, "en"), (chinese, "zh")):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["content-language"] == language
        assert {"type", "title", "status", "detail"} <= set(answer.body)
        assert (answer.body["status"], answer.body["type"][:20]) == (status, "urn:doorstep:problem")
        assert answer.body["detail"]
        faults = answer.body.get("errors", [])
        assert all(fault["detail"] for fault in faults)
        if where is not None:
            assert where in [fault["pointer"] for fault in faults]
        text = json.dumps({**answer.body, "errors": [fault["detail"] for fault in faults]}, ensure_ascii=False)
        assert [value for value in said(body) if value in text] == []
    assert re.search("[\u4e00-\u9fff]", chinese.body["title"] + chinese.body["detail"])
    assert not re.search("[\u4e00-\u9fff]", json.dumps(english.body, ensure_ascii=False))
    return english.body


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.usefixtures("nothing_changes")
async def test_a_record_with_a_flaw(house, quiet, name) -> None:
    change, where = RECORDS[name]
    body = house.record()
    change(body)
    await refused(house, "POST", "/api/records", body, 422, where, token=house.token("collector"))
    quiet["logged"] = name == "unknown household"  # it may be another station's


@pytest.mark.parametrize("name", RAW)
@pytest.mark.usefixtures("nothing_changes")
async def test_a_body_that_is_no_record(house, name) -> None:
    body, headers, status = RAW[name]
    await refused(house, "POST", "/api/records", body, status, None, token=house.token("collector"), **headers)


@pytest.mark.usefixtures("nothing_changes")
async def test_a_body_in_chunks_is_no_larger(house) -> None:
    async def chunks() -> Any:
        for _ in range(33):
            yield b" " * 32_768

    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {house.token('collector')}"}
    async with house.client.post(f"{house.stack.front_door}/api/records", data=chunks(), headers=headers) as answer:
        assert answer.status == 413
        assert answer.content_type == "application/problem+json"


@pytest.mark.usefixtures("nothing_changes")
async def test_all_flaws_are_named_at_once(house) -> None:
    body = house.record()
    names = ("unknown channel", "time as a number", "no subject")
    for name in names:
        RECORDS[name][0](body)
    problem = await refused(house, "POST", "/api/records", body, 422, None, token=house.token("collector"))
    assert {fault["pointer"] for fault in problem["errors"]} == {RECORDS[name][1] for name in names}


@pytest.mark.usefixtures("nothing_changes")
async def test_ten_thousand_unknown_fields_are_not_answered_one_by_one(house) -> None:
    body = {**house.record(), **{f"field_{number}": 1 for number in range(10_000)}}
    answer = await house.ask("POST", "/api/records", body, token=house.token("collector"))
    assert answer.status == 422
    assert len(answer.raw) < 20_000


async def test_a_record_of_one_mebibyte_is_taken(house) -> None:
    body = json.dumps(house.record()).encode()
    body += b" " * (MIB - len(body))
    assert (await house.ask("POST", "/api/records", body, token=house.token("collector"), **JSON)).status == 201


async def test_the_same_id_again(house, quiet, nothing_changes) -> None:
    body = house.record()
    await house.hand_in(body, who="first")
    quiet["counts"] = await house.still()
    other = {**body, "channel": "phone"}
    for sent, who in ((other, "first"), (body, "second"), (other, "second")):
        token = house.token("collector", who=who)
        problem = await refused(house, "POST", "/api/records", sent, 409, None, token=token)
        assert problem["type"] == "urn:doorstep:problem:id-reused"
    quiet["logged"] = True  # the id of another's command
    begun = {**house.record(), "file_id": body["file_id"]}
    await refused(house, "POST", "/api/records", begun, 422, "/file_id", token=house.token("collector", who="first"))
    mention = {**house.record(), "subjects": body["subjects"]}
    await refused(house, "POST", "/api/records", mention, 422, "/subjects", token=house.token("collector", who="first"))


@pytest.fixture(scope="module")
async def work(house: Any) -> dict[str, Any]:
    """A record on its way: a need that waits, a request that waits at justice, its follow code."""
    body = house.record()
    receipts = (await house.hand_in(body))["receipts"]
    needs = await house.assessed(body["record_id"])
    requests = await house.requests(body["record_id"], 2)
    (request,) = [one for one in requests if one["need_type"] == "legal-aid"]
    code = receipts[0]["follow_code"]
    followed = (await house.ask("GET", f"/api/follow/{code}")).body["requests"]
    offers = await house.offers("justice", state="requested")
    return {
        "record": body["record_id"],
        "file": body["file_id"],
        "need": next(need["need_id"] for need in needs if need["state"] == "suggested"),
        "wanted": next(need["need_id"] for need in needs if need["state"] == "handed-on"),
        "request": request["request_id"],
        "ref": offers[-1]["ref"],
        "followed": followed[0]["ref"],
        "code": code,
        "nobody": str(uuid4()),
    }


def command(**more: Any) -> Body:
    """The body of a command, with an id of its own."""
    return {"id": str(uuid7()), **more}


MOVE, KEY = "/api/departments/justice/requests/{ref}/transitions", "/api/departments/justice/keys/k1"
DECIDE, DIRECT, RATE = "/api/needs/{need}/decision", "/api/requests/{request}/transitions", "/api/follow/{code}/ratings"
POINT = "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"
OKP = {"kty": "OKP", "crv": "X25519"}
SEEN = {"If-Match": '"1"'}
COMMANDS: dict[str, tuple[str, str, Body, dict[str, str], int, str | None]] = {
    "decision of another kind": (DECIDE, "reviewer", {"decision": "maybe-77", "reason": "x"}, {}, 422, "/decision"),
    "decision without a reason": (DECIDE, "reviewer", {"decision": "confirmed"}, {}, 422, "/reason"),
    "decision with an empty reason": (DECIDE, "reviewer", {"decision": "confirmed", "reason": ""}, {}, 422, "/reason"),
    "decision with NUL": (DECIDE, "reviewer", {"decision": "confirmed", "reason": "a\0b"}, {}, 422, "/reason"),
    "decision with a surrogate": (
        DECIDE, "reviewer", {"decision": "confirmed", "reason": "\ud800"}, {}, 422, "/reason"),
    "decision with more": (
        DECIDE, "reviewer", {"decision": "confirmed", "reason": "x", "more": 1}, {}, 422, "/more"),
    "decision of version 4": (
        DECIDE, "reviewer", {"id": str(uuid4()), "decision": "confirmed", "reason": "x"}, {}, 422, "/id"),
    "decision on nothing": (
        "/api/needs/{nobody}/decision", "reviewer", {"decision": "confirmed", "reason": "x"}, {}, 404, None),
    "decision on what was wanted": (
        "/api/needs/{wanted}/decision", "reviewer", {"decision": "rejected", "reason": "x"}, {}, 409, None),
    "decision on no id": ("/api/needs/x/decision", "reviewer", {"decision": "confirmed", "reason": "x"}, {}, 422, None),
    "step without a version": (MOVE, "justice", {"to": "accepted"}, {}, 428, None),
    "step on a stale version": (MOVE, "justice", {"to": "accepted"}, {"If-Match": '"7"'}, 412, None),
    "step on no version": (MOVE, "justice", {"to": "accepted"}, {"If-Match": "yesterday"}, 412, None),
    "step on any version": (MOVE, "justice", {"to": "accepted"}, {"If-Match": "*"}, 412, None),
    "step on a huge version": (MOVE, "justice", {"to": "accepted"}, {"If-Match": f'"{10**30}"'}, 412, None),
    "step that leads nowhere": (MOVE, "justice", {"to": "in-progress"}, SEEN, 409, None),
    "step of the station": (MOVE, "justice", {"to": "cancelled", "reason": "duplicate"}, SEEN, 409, None),
    "rejection without a reason": (MOVE, "justice", {"to": "rejected"}, SEEN, 422, "/reason"),
    "rejection for another reason": (MOVE, "justice", {"to": "rejected", "reason": "other-77"}, SEEN, 422, "/reason"),
    "unknown state": (MOVE, "justice", {"to": "done-77"}, SEEN, 422, "/to"),
    "unknown outcome": (MOVE, "justice", {"to": "accepted", "outcome": "fine-77"}, SEEN, 422, "/outcome"),
    "status that contradicts": (
        MOVE, "justice", {"to": "accepted", "business_status": "attended-77"}, SEEN, 422, "/business_status"),
    "note with NUL": (MOVE, "justice", {"to": "accepted", "note": "\0"}, SEEN, 422, "/note"),
    "note with a surrogate": (MOVE, "justice", {"to": "accepted", "note": "\udc00"}, SEEN, 422, "/note"),
    "long note": (MOVE, "justice", {"to": "accepted", "note": "长" * 2001}, SEEN, 422, "/note"),
    "step without an id": (MOVE, "justice", {"id": None, "to": "accepted"}, SEEN, 422, "/id"),
    "step on nothing": (
        "/api/departments/justice/requests/{nobody}/transitions", "justice", {"to": "accepted"}, SEEN, 404, None),
    "step on another department's": (
        "/api/departments/health/requests/{ref}/transitions", "health", {"to": "accepted"}, SEEN, 404, None),
    "handing on to nobody": (DIRECT, "reviewer", {"to": "requested"}, SEEN, 422, ""),
    "handing on to the police": (
        DIRECT, "reviewer", {"to": "requested", "department": "police"}, SEEN, 422, "/department"),
    "completion by the station": (DIRECT, "reviewer", {"to": "completed"}, SEEN, 422, "/to"),
    "cancelling without a reason": (DIRECT, "reviewer", {"to": "cancelled"}, SEEN, 422, "/reason"),
    "cancelling a stale version": (
        DIRECT, "reviewer", {"to": "cancelled", "reason": "duplicate"}, {"If-Match": '"9"'}, 412, None),
    "no star": (RATE, "", {"ref": "{followed}", "solved": True, "stars": 0}, {}, 422, "/stars"),
    "six stars": (RATE, "", {"ref": "{followed}", "solved": True, "stars": 6}, {}, 422, "/stars"),
    "half a star": (RATE, "", {"ref": "{followed}", "solved": True, "stars": 4.5}, {}, 422, "/stars"),
    "stars in words": (RATE, "", {"ref": "{followed}", "solved": True, "stars": "5"}, {}, 422, "/stars"),
    "stars as yes": (RATE, "", {"ref": "{followed}", "solved": True, "stars": True}, {}, 422, "/stars"),
    "solved in words": (RATE, "", {"ref": "{followed}", "solved": "yes", "stars": 5}, {}, 422, "/solved"),
    "rating of what is not done": (RATE, "", {"ref": "{followed}", "solved": True, "stars": 5}, {}, 409, None),
    "rating of another's": (RATE, "", {"ref": "{nobody}", "solved": True, "stars": 5}, {}, 404, None),
    "rating by an unknown code": (
        "/api/follow/AAAA-BBBB/ratings", "", {"ref": "{followed}", "solved": True, "stars": 5}, {}, 404, None),
    "private key": (KEY, "system", {**OKP, "x": POINT, "d": POINT}, {}, 422, "/d"),
    "key of another kind": (KEY, "system", {"kty": "EC", "crv": "X25519", "x": POINT}, {}, 422, "/kty"),
    "key on another curve": (KEY, "system", {**OKP, "crv": "Ed25519", "x": POINT}, {}, 422, "/crv"),
    "short key": (KEY, "system", {**OKP, "x": POINT[:20]}, {}, 422, "/x"),
    "key of zeros": (KEY, "system", {**OKP, "x": "A" * 43}, {}, 422, "/x"),
    "key under another name": (KEY, "system", {**OKP, "x": POINT, "kid": "k2"}, {}, 422, "/kid"),
    "key under no name": (KEY + "%0A", "system", {**OKP, "x": POINT}, {}, 404, None),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.usefixtures("nothing_changes")
async def test_a_command_with_a_flaw(house, work, quiet, name) -> None:
    path, who, body, headers, status, where = COMMANDS[name]
    key = path.startswith(KEY)
    body = {part: text.format(**work) if isinstance(text, str) else text for part, text in body.items()}
    body = body if key else {name: value for name, value in command(**body).items() if value is not None}
    tokens = {
        "reviewer": lambda: house.token("reviewer"),
        "justice": lambda: house.token("officer", "justice"),
        "health": lambda: house.token("officer", "health"),
        "system": lambda: house.token("department-system", "justice"),
        "": lambda: None,
    }
    path = path.format(**work)
    found = await refused(house, "PUT" if key else "POST", path, body, status, where, token=tokens[who](), **headers)
    quiet["logged"] = status == 404 or found["type"].endswith(":not-this-party")


@pytest.mark.usefixtures("nothing_changes")
async def test_a_body_that_is_no_command(house, work) -> None:
    for path, token in ((MOVE, house.token("officer", "justice")), (RATE, None), (DECIDE, house.token("reviewer"))):
        for body, status in ((b"[]", 422), (b"{", 400), (b"\xff", 400), (b"[" * 40, 400), (b" " * (MIB + 1), 413)):
            sent = {**JSON, **SEEN}
            await refused(house, "POST", path.format(**work), body, status, None, token=token, **sent)


READS: dict[str, tuple[str, str, str | None, int, str | None]] = {
    "record that is no id": ("/api/records/x", "reviewer", "triage", 422, "/path/record_id"),
    "record with NUL": ("/api/records/%00", "reviewer", "triage", 404, None),
    "record in no UTF-8": ("/api/records/%FF%ED%A0%80", "reviewer", "triage", 422, "/path/record_id"),
    "unknown record": ("/api/records/{nobody}", "reviewer", "triage", 404, None),
    "unknown file": ("/api/files/{nobody}", "reviewer", "triage", 404, None),
    "unknown assessment": ("/api/assessments/{nobody}", "reviewer", "triage", 404, None),
    "unknown journey": ("/api/journeys/{nobody}", "reviewer", "triage", 404, None),
    "journey that is no id": ("/api/journeys/x", "reviewer", "triage", 422, "/path/record_id"),
    "stream of an unknown journey": ("/api/journeys/{nobody}/events", "reviewer", "triage", 404, None),
    "unknown state": (
        "/api/departments/justice/requests?state=x", "justice", "service", 422, "/query/state"),
    "after nothing": ("/api/departments/justice/requests?after=x", "justice", "service", 422, "/query/after"),
    "unknown department": (
        "/api/departments/police/requests", "justice", "service", 422, "/path/department"),
    "requests of nothing": ("/api/requests", "reviewer", "triage", 422, "/query/record_id"),
    "requests of both": (
        "/api/requests?record_id={record}&queue=rejected", "reviewer", "triage", 422, "/query/record_id"),
    "requests of no id": ("/api/requests?record_id=%00", "reviewer", "triage", 422, "/query/record_id"),
    "requests of no queue": ("/api/requests?queue=x", "reviewer", "triage", 422, "/query/queue"),
    "no purpose": ("/api/files/{file}", "reviewer", None, 403, None),
    "unknown purpose": ("/api/files/{file}", "reviewer", "curiosity", 403, None),
    "purpose of another role": ("/api/files/{file}", "reviewer", "service", 403, None),
    "purpose in small print": ("/api/files/{file}", "reviewer", "triage, follow-up", 403, None),
    "no path": ("/api/", "reviewer", None, 404, None),
    "unknown path": ("/api/petitions", "reviewer", None, 404, None),
    "inner path": ("/metrics/x", "reviewer", None, 404, None),
    "path that climbs": ("/api/follow/../dead-letters", "reviewer", None, 404, None),
    "path that climbs in disguise": ("/api/follow/%2e%2e/%2E%2E/metrics", "reviewer", None, 404, None),
    "path that climbs in one step": ("/api/follow/..%2f..%2fmetrics", "reviewer", None, 404, None),
    "path that climbs backwards": ("/api/follow/..%5c..%5cmetrics", "reviewer", None, 404, None),
    "path with a query in disguise": (
        "/api/records%3Fx=1", "reviewer", "triage", 404, None),
    "path with a fragment in disguise": ("/api/files/%23", "reviewer", "triage", 422, "/path/file_id"),
    "path with a slash at its end": ("/api/files/{file}/", "reviewer", "triage", 404, None),
    "path with two slashes": ("/api//files/{file}", "reviewer", "triage", 404, None),
    "path in capitals": ("/api/FILES/{file}", "reviewer", "triage", 404, None),
    "unknown page": ("/pages/..%2fapp.py", "reviewer", None, 404, None),
    "page of another name": ("/pages/app.py", "reviewer", None, 404, None),
    "sign-in to nothing": ("/sign-in", "", None, 422, "/query/page"),
    "path with NUL": ("/api/follow/%00", "", None, 404, None),
    "path with an empty part": ("/api/files//{file}", "reviewer", "triage", 404, None),
    "journey page of no id": ("/journeys/x", "", None, 422, "/path/record_id"),
    "long path": ("/api/files/" + "7" * 8000, "reviewer", "triage", 422, "/path/file_id"),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
@pytest.mark.usefixtures("nothing_changes")
async def test_a_question_with_a_flaw(house, work, quiet, name) -> None:
    path, who, purpose, status, where = READS[name]
    tokens = {"reviewer": house.token("reviewer"), "justice": house.token("officer", "justice"), "": None}
    headers = {} if purpose is None else {"doorstep_purpose": purpose, "doorstep_case": work["file"]}
    await refused(house, "GET", path.format(**work), None, status, where, token=tokens[who], **headers)
    quiet["logged"] = status in (403, 404)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY"])
@pytest.mark.usefixtures("nothing_changes")
async def test_a_method_that_is_not_offered(house, work, method) -> None:
    for path in ("/api/records", f"/api/files/{work['file']}", "/pages/journey.js", "/openapi.json"):
        await refused(house, method, path, None, 405, None, token=house.token("collector"))


@pytest.mark.usefixtures("nothing_changes")
async def test_get_where_only_post_is_offered(house, work) -> None:
    for path in ("/api/records", DECIDE, MOVE, RATE, DIRECT):
        await refused(house, "GET", path.format(**work), None, 405, None, token=house.token("reviewer"))


async def test_an_unknown_follow_code_shows_nothing_and_says_nothing(house, nothing_changes) -> None:
    for code in ("AAAA-BBBB-CCCC-DDDD", "x", "%FF", "..x", "%E7%8E%8B", "7" * 4000):
        answer = await house.ask("GET", f"/api/follow/{code}")
        assert (answer.status, answer.body) == (200, {"requests": []})
