"""What a service answers to requests that are too much, malformed, unwelcome or unlucky."""

import asyncio
import io
import json
from uuid import UUID, uuid4

import pytest

from doorstep.kit.door import BODY_BYTES, IN_FLIGHT, _depth
from doorstep.kit.problems import preferred_language

THINGS = "/api/things"
JSON = {"Content-Type": "application/json"}


def nested(levels: int) -> str:
    return '{"name": "x", "inner": ' + "[" * levels + "]" * levels + "}"


HOSTILE = {
    "40 levels": (nested(40), 400, "too-deep"),
    "400000 brackets": ("[" * 400_000, 400, "too-deep"),
    "brackets behind an escaped quote": (
        '{"a": "\\"\\n", "b": ' + "[" * 40 + "]" * 40 + ', "c": 1}',
        400,
        "too-deep",
    ),
    "quotes without end": ("[" * 40 + '"' + '\\"' * 200_000, 400, "too-deep"),
    "invalid UTF-8": (b'{"name": "\xff"}', 400, "malformed"),
    "GB18030": ('{"name": "张三"}'.encode("gb18030"), 400, "malformed"),
    "a byte order mark": (b'\xef\xbb\xbf{"name": "x"}', 400, "malformed"),
    "half": (b'{"name": ', 400, "malformed"),
    "NaN": (b'{"name": "x", "count": NaN}', 400, "malformed"),
    "Infinity": (b'{"name": "x", "count": -Infinity}', 400, "malformed"),
    "a number of 5000 digits": (b'{"name": "x", "count": ' + b"9" * 5000 + b"}", 400, "malformed"),
    "a field twice": (b'{"name": "x", "name": "y"}', 400, "field-twice"),
    "a field twice, once escaped": (b'{"name": "x", "n\\u0061me": "y"}', 400, "field-twice"),
    "a field twice, inside": (b'{"name": "x", "inner": {"a": [], "a": []}}', 400, "field-twice"),
    "an unknown field": (b'{"name": "x", "nome": "secret-value"}', 422, "invalid"),
    "an unknown field that is no text": (b'{"name": "x", "\\ud800": 1}', 422, "invalid"),
    "a lone surrogate": (b'{"name": "\\ud800"}', 422, "invalid"),
    "another type": (b'{"name": 7}', 422, "invalid"),
    "an array": (b"[]", 422, "invalid"),
    "null": (b"null", 422, "invalid"),
    "too long": (b'{"name": "secret-value-secret-value"}', 422, "invalid"),
    "nothing": (b"", 422, "invalid"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_body_is_a_problem_that_repeats_nothing(edge, name):
    body, status, code = HOSTILE[name]
    async with asyncio.timeout(10):
        found, problem, headers = await edge.ask("POST", THINGS, data=body, headers=JSON)
    assert (found, problem["type"]) == (status, f"urn:doorstep:problem:{code}")
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Content-Language"] == "zh"
    assert "secret-value" not in json.dumps(problem)


async def test_a_body_of_32_levels_with_brackets_in_its_texts_is_let_in(edge):
    body = {"name": '[[[["\\{{{', "inner": {"[[[": [1, 2], "}}}" * 20: []}}
    assert (await edge.ask("POST", THINGS, json=body))[0] == 201
    assert _depth(nested(31).encode()) == 32
    assert _depth(b'"[[[[" [ "\\"[[[" ]') == 1


async def test_a_body_over_a_mebibyte_is_refused_whether_its_length_is_declared_or_not(edge):
    big = b'{"name": "' + b"x" * BODY_BYTES + b'"}'

    async def chunks():
        for start in range(0, len(big), 65536):
            yield big[start : start + 65536]

    assert (await edge.ask("POST", THINGS, data=io.BytesIO(big), headers=JSON))[0] == 413
    assert (await edge.ask("POST", THINGS, data=chunks(), headers=JSON))[0] == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "application/jsonx", ""])
async def test_another_content_type_is_refused(edge, kind):
    status, problem, _ = await edge.ask("POST", THINGS, data=b'{"name": "x"}', headers={"Content-Type": kind})
    assert (status, problem["type"]) == (415, "urn:doorstep:problem:content-type")


async def test_above_a_limit_of_requests_in_flight_the_others_are_sent_away_and_health_is_not(edge):
    waiting = [asyncio.create_task(edge.ask("GET", f"{THINGS}/slow")) for _ in range(IN_FLIGHT + 20)]
    await asyncio.sleep(0.3)
    assert (await edge.ask("GET", "/healthz"))[0] == 200
    answers = await asyncio.gather(*waiting)
    statuses = [status for status, _, _ in answers]
    assert 0 < statuses.count(503) <= 20
    assert statuses.count(200) + statuses.count(503) == IN_FLIGHT + 20
    shed = next(headers for status, _, headers in answers if status == 503)
    assert shed["Retry-After"] == "1"


async def test_open_streams_are_no_load(edge):
    streams = [await edge.client.get(f"{edge.url}{THINGS}/events") for _ in range(IN_FLIGHT + 5)]
    assert {stream.status for stream in streams} == {200}
    assert (await edge.ask("GET", f"{THINGS}/slow"))[0] == 200
    for stream in streams:
        stream.close()


async def test_what_may_succeed_soon_is_503_and_our_own_mistake_500_without_its_message(edge):
    for how in ("conflict", "away"):
        status, _, headers = await edge.ask("GET", f"{THINGS}/fail/{how}")
        assert (status, headers["Retry-After"]) == (503, "1")
    status, problem, _ = await edge.ask("GET", f"{THINGS}/fail/otherwise")
    assert status == 500
    assert "张三" not in json.dumps(problem, ensure_ascii=False)


async def test_paths_and_methods_that_are_not_there_are_problems_too(edge):
    for method, path, expected in (("GET", "/nothing", 404), ("DELETE", THINGS, 405)):
        status, _, headers = await edge.ask(method, path)
        assert (status, headers["Content-Type"]) == (expected, "application/problem+json")


async def test_a_read_needs_a_token_and_a_known_purpose(edge):
    status, _, headers = await edge.ask("GET", f"{THINGS}/own")
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    status, problem, _ = await edge.ask("GET", f"{THINGS}/own", role="reviewer")
    assert (status, problem["type"]) == (403, "urn:doorstep:problem:purpose-missing")
    curious = {"Doorstep-Purpose": "curiosity"}
    status, problem, _ = await edge.ask("GET", f"{THINGS}/own", role="reviewer", headers=curious)
    assert (status, problem["type"]) == (403, "urn:doorstep:problem:purpose-unknown")
    assert "curiosity" not in json.dumps(problem)
    status, found, _ = await edge.ask("GET", f"{THINGS}/own", role="reviewer", headers={"Doorstep-Purpose": "triage"})
    assert (status, found["purpose"]) == (200, "triage")


@pytest.mark.parametrize(
    ("purpose", "case", "code"),
    [
        (None, None, "purpose-missing"),
        (None, str(UUID(int=1)), "purpose-missing"),
        ("curiosity", str(UUID(int=1)), "purpose-unknown"),
        ("triage", None, "case-missing"),
        ("triage", "", "case-unknown"),
        ("triage", "张三".encode().decode("latin-1"), "case-unknown"),
        ("triage", "7", "case-unknown"),
        ("triage", "'; DROP TABLE file; --", "case-unknown"),
    ],
)
async def test_a_read_of_one_thing_says_which_of_purpose_and_case_is_missing(edge, purpose, case, code):
    headers = ({"Doorstep-Purpose": purpose} if purpose else {}) | ({} if case is None else {"Doorstep-Case": case})
    status, problem, _ = await edge.ask("GET", f"{THINGS}/case", role="reviewer", headers=headers)
    assert (status, problem["type"]) == (403, f"urn:doorstep:problem:{code}")
    assert not case or case not in json.dumps(problem, ensure_ascii=False)


async def test_a_read_with_purpose_and_case_is_told_both(edge):
    why = {"Doorstep-Purpose": "triage", "Doorstep-Case": str(uuid4())}
    status, found, _ = await edge.ask("GET", f"{THINGS}/case", role="reviewer", headers=why)
    assert (status, found) == (200, {"purpose": "triage", "case": why["Doorstep-Case"]})


async def test_what_a_request_wrote_is_committed_before_the_answer_leaves(edge):
    status, answer, _ = await edge.ask("POST", f"{THINGS}/written")
    assert status == 201
    async with edge.service.database.transaction() as session:
        found = await edge.service.database.fetch("SELECT serial FROM written WHERE serial = ANY(:serials)", answer)
        assert len(found) == 1
        assert session is not None


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en", "en"),
        ("en-GB;q=0.5, zh;q=0.4", "en"),
        ("en; q=0.3, zh; q=0.7", "zh"),
        ("EN", "en"),
        ("fr, de", "zh"),
        ("zh;q=0, en;q=0.1", "en"),
        ("en;q=nan", "zh"),
        ("en;q=9, zh;q=0.1", "zh"),
        ("en;q=", "zh"),
        ("english", "zh"),
        ("*", "zh"),
        (",;,", "zh"),
    ],
)
async def test_answers_come_in_the_language_that_the_caller_prefers(edge, header, language):
    assert preferred_language(header) == language
    _, problem, headers = await edge.ask("GET", f"/{uuid4()}", headers={"Accept-Language": header})
    assert headers["Content-Language"] == language
    assert problem["title"] == {"zh": "没有找到", "en": "Not found"}[language]
