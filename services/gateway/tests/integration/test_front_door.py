"""What the gateway answers itself, and what it says where nobody answers behind it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from doorstep.contracts.codes import (
    Action,
    BusinessStatus,
    Deadline,
    Department,
    LookFinding,
    Outcome,
    Purpose,
    Reason,
    Role,
    TaskState,
)
from doorstep.contracts.documents import DocumentForm, DocumentKind
from doorstep.contracts.facts import FactKind
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.papers import Paper
from doorstep.contracts.topics import SERVICES
from doorstep.gateway.api.pages import router
from doorstep.gateway.app import new_app
from doorstep.gateway.domain.session import leads_to_a_page
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.testing import KIT_TABLES
from doorstep.local.ports import free_ports

REFERRAL = Path(__file__).parents[4] / "contracts" / "schemas" / "openapi" / "referral.json"
SIGNED = "Sun, 22 Nov 2026 05:21:36 GMT"


async def running(application: web.Application) -> tuple[web.AppRunner, str]:
    """An application that answers on a port of its own, and its address."""
    runner, port = web.AppRunner(application), free_ports(1)[0]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, f"http://127.0.0.1:{port}"


@pytest.fixture
async def behind(desk: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[tuple[str, str, Any, Any]]]:
    """Method, address, token and purpose of what is handed on to a service that answers everything."""
    asked: list[tuple[str, str, Any, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        told = request.headers
        asked.append((request.method, request.path_qs, told.get("Authorization"), told.get("Doorstep-Purpose")))
        return web.json_response({}, headers={"Last-Modified": SIGNED})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner, address = await running(application)
    monkeypatch.setattr(GatewaySettings, "address_of", lambda *_: address)
    yield asked
    await runner.cleanup()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_where_nobody_answers_it_says_so_and_when_to_come_again(desk, method) -> None:
    body = {} if method != "GET" else None
    answer = await desk.call(method, "/api/records", "collector", body)
    assert (answer.status, answer.body["type"]) == (503, "urn:doorstep:problem:service-away")
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_its_own_journeys_do_not_need_the_others(way) -> None:
    assert (await way.look()).status == 200


async def test_it_describes_itself_while_the_others_are_away(desk) -> None:
    document = (await desk.call("GET", "/openapi.json")).body
    assert "/api/journeys/{record_id}" in document["paths"]
    assert "/api/dead-letters/gateway" in document["paths"]
    assert "/api/records" not in document["paths"]


async def test_a_page_runs_its_own_scripts_alone_and_in_no_frame(desk) -> None:
    for path, kind in (
        (f"/journeys/{uuid4()}", "text/html"), ("/pages/journey.js", "text/javascript"), ("/audit", "text/html"),
        ("/pages/audit.js", "text/javascript"), ("/pages/audit-words.js", "text/javascript"),
        ("/pages/audit.css", "text/css"), ("/usage", "text/html"), ("/", "text/html"),
        ("/pages/session.js", "text/javascript"), ("/own", "text/html"), ("/pages/own.js", "text/javascript"),
        ("/pages/own.css", "text/css"), ("/office", "text/html"), ("/pages/office.js", "text/javascript"),
        ("/pages/office.css", "text/css"), ("/notices", "text/html"), ("/pages/notices.js", "text/javascript"),
        ("/desk", "text/html"), ("/pages/desk.js", "text/javascript"), ("/pages/desk.css", "text/css"),
    ):  # fmt: skip
        answer = await desk.call("GET", path)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_a_page_holds_nothing_of_the_record_and_names_nobody_else(desk, way) -> None:
    page = (await desk.call("GET", f"/journeys/{way.record_id}")).raw.decode()
    assert str(way.record_id) not in page
    assert "<script>" not in page
    assert "style=" not in page
    assert "://" not in page.replace("http://www.w3.org/", "")


async def scripts_of(desk, path: str) -> str:
    """The scripts of a page, which is plain, in both languages, and takes nothing from elsewhere."""
    page = (await desk.call("GET", path)).raw.decode()
    for forbidden in ("<script>", "style=", "onclick", "://"):
        assert forbidden not in page
    assert page.count("data-zh=") == page.count("data-en=") > 10
    files = re.findall(r'(?:src|href)="(/pages/[^"]+)"', page)
    assert len(files) == len(set(files)) >= 5
    answers = [await desk.call("GET", file) for file in files]
    assert {answer.status for answer in answers} == {200}
    found = "".join(answer.raw.decode() for file, answer in zip(files, answers, strict=True) if file.endswith(".js"))
    assert not re.search(r"innerHTML|eval\(|://|import ", found)
    return found


async def test_the_auditors_page_is_plain_in_both_languages_and_takes_nothing_from_elsewhere(desk) -> None:
    assert await scripts_of(desk, "/audit")
    assert (await desk.call("GET", "/pages/audit.html")).status == 404


async def test_the_residents_page_is_plain_in_both_languages_and_takes_nothing_from_elsewhere(desk) -> None:
    script = await scripts_of(desk, "/own")
    for told in (TaskState, LookFinding):
        assert [one for one in told if not re.search(rf'"{one}": \["[^"]+", "[^"]+"\]', script)] == []


async def test_the_departments_page_is_plain_in_both_languages_and_takes_nothing_from_elsewhere(desk) -> None:
    script = await scripts_of(desk, "/office")
    shown = {*TaskState, *BusinessStatus, *Outcome, *DocumentKind} - {TaskState.DRAFT}
    assert [code for code in sorted(shown) if f'"{code}": [' not in script] == []
    offered = [*Outcome, *DocumentKind, *DocumentForm]
    assert [code for code in offered if f'"{code}"' not in script.replace(f'"{code}": ["', "")] == []


async def test_the_stations_page_is_plain_in_both_languages_and_takes_nothing_from_elsewhere(desk) -> None:
    script = await scripts_of(desk, "/desk")
    kinds = {one.name.lower().replace("_", "-") for one in FactKind}
    described = json.loads(await asyncio.to_thread(REFERRAL.read_text))["components"]["schemas"]
    steps = described["NextStep"]["enum"]
    told = {*TaskState, *LookFinding, *Deadline, *Department, *Paper, *NEED_TYPES, *Reason, *kinds, *steps}
    assert [one for one in sorted(told) if not re.search(rf'"{one}": \["[^"]+", "[^"]+"\]', script)] == []
    for need in NEED_TYPES.values():
        named = f'"{need.code}": ["{need.zh}", "{need.en}"]'
        assert named in script.partition(f'"{need.department}": {{')[2].partition("}")[0], need.code


async def test_every_page_that_offers_a_sign_in_is_one_to_which_it_leads_back(desk) -> None:
    offering = []
    for path in sorted({route.path for route in router.routes} - {"/pages/{name}"}):
        page = path.replace("{record_id}", str(uuid4()))
        answer = await desk.call("GET", page)
        scripts = re.findall(r'src="(/pages/[^"]+)"', answer.raw.decode())
        told = [(await desk.call("GET", script)).raw.decode() for script in scripts]
        if any("signedIn.link(" in one for one in told):
            offering.append(path)
            assert leads_to_a_page(page), path
    assert {"/audit", "/board", "/desk", "/journeys/{record_id}", "/office", "/usage"} <= set(offering)


async def test_the_first_page_leads_to_every_page_but_that_of_one_record(desk) -> None:
    page = (await desk.call("GET", "/")).raw.decode()
    pages = {route.path for route in router.routes if "{" not in route.path} - {"/"}
    assert set(re.findall(r'<a href="(/[^"]*)">[^<]+ <span lang="en">[^<]+</span>', page)) == pages


async def test_every_code_of_the_log_has_its_words_on_the_auditors_page(desk) -> None:
    words = (await desk.call("GET", "/pages/audit-words.js")).raw.decode()
    codes = {*Action, *Role, *Purpose, *Department, *SERVICES, *TaskState} - {TaskState.DRAFT}
    assert [code for code in sorted(codes) if not re.search(rf'"{code}": \["[^"]+", "[^"]+"\]', words)] == []


async def test_when_the_log_was_signed_is_handed_back(desk, behind) -> None:
    answer = await desk.call("GET", "/api/log/checkpoint")
    assert answer.headers["last-modified"] == SIGNED


@pytest.mark.parametrize(
    "cookie",
    ["doorstep_session=", "doorstep_session", "=;=;", "doorstep_session=\x80", "a" * 5000, "doorstep_session=reviewer"],
)
async def test_a_cookie_that_is_none_is_no_session(way, cookie) -> None:
    assert (await way.look(None, cookie=cookie)).status == 401


async def paced(new_desk: Any, settings_for: Any, new_browser: Any, **limits: Any) -> Any:
    """A browser at a gateway with limits."""
    made = await new_desk("gateway", new_app, settings_for(**limits), KIT_TABLES, "doorstep.gateway:migrations")
    return new_browser(made)


async def test_who_asks_too_often_from_one_address_waits_and_another_does_not(
    new_desk, settings_for, new_browser
) -> None:
    browser = await paced(new_desk, settings_for, new_browser, limit_per_address=5)
    answers = [await browser.ask("GET", "/usage", x_forwarded_for=f"198.51.100.{one}") for one in range(7)]
    assert [status for status, _, _ in answers] == [200] * 5 + [429] * 2
    _, headers, body = answers[-1]
    assert json.loads(body)["type"] == "urn:doorstep:problem:too-many-requests"
    assert 1 <= int(headers["retry-after"]) <= 61
    assert headers["x-content-type-options"] == "nosniff"
    browser.peer = "192.0.2.2"
    assert (await browser.ask("GET", "/usage"))[0] == 200
    assert (await browser.ask("GET", "/healthz"))[0] == 200


async def test_behind_a_proxy_that_was_named_its_callers_are_counted_apart(new_desk, settings_for, new_browser) -> None:
    named = {"limit_per_address": 2, "trusted_proxies": "192.0.2.0/24, 2001:db8::/32"}
    browser = await paced(new_desk, settings_for, new_browser, **named)
    for caller in ("198.51.100.1", "198.51.100.2"):
        forged = f"203.0.113.{caller[-1]}, {caller}"
        answers = [await browser.ask("GET", "/usage", x_forwarded_for=forged) for _ in range(3)]
        assert [status for status, _, _ in answers] == [200, 200, 429]


async def test_who_asks_too_often_waits_wherever_they_ask_from(new_desk, settings_for, new_browser) -> None:
    browser = await paced(new_desk, settings_for, new_browser, limit_per_principal=3)
    told = []
    for one in range(5):
        browser.peer = f"192.0.2.{one}"
        told.append((await browser.ask("GET", "/api/session", authorization="Bearer reviewer"))[0])
    assert told == [200, 200, 200, 429, 429]
    assert (await browser.ask("GET", "/api/session", authorization="Bearer collector"))[0] == 200
    assert (await browser.ask("GET", "/api/session", authorization="Bearer nobody"))[0] != 429


@pytest.mark.parametrize("name", ["authorization", "host", "content-type", "doorstep-purpose", "origin"])
async def test_a_header_that_stands_twice_is_refused_before_anything_is_looked_at(desk, name) -> None:
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "query_string": b"",
        "path": "/api/session", "raw_path": b"/api/session", "root_path": "", "scheme": "http",
        "headers": [(name.encode(), b"Bearer reviewer"), (name.encode(), b"Bearer auditor")],
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    asked = len(desk.call.asked)
    await desk.call.app(scope, receive, send)
    assert (sent[0]["status"], json.loads(sent[1]["body"])["type"]) == (400, "urn:doorstep:problem:header-twice")
    assert len(desk.call.asked) == asked


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"])
async def test_a_body_that_somebody_would_have_to_unpack_is_refused(desk, encoding) -> None:
    answer = await desk.call("POST", "/api/records", "collector", b"\x1f\x8b" * 9, content_encoding=encoding)
    assert (answer.status, answer.body["type"]) == (415, "urn:doorstep:problem:content-encoding")


async def test_an_event_source_names_its_purpose_in_the_address(desk, way) -> None:
    path = f"/api/journeys/{way.record_id}"
    own, other = f"case={way.record_id}", f"case={uuid4()}"
    for query, status in ((f"?purpose=follow-up&{own}", 200), (f"?{own}&purpose=triage&more", 200),
                          (f"?purpose=follow-up&{other}", 403), ("?purpose=follow-up", 403), (f"?{own}", 403),
                          ("?purpose=follow-up&case=x", 403), (f"?purpose=service&{own}", 403),
                          (f"?purpose=x&{own}", 403), ("", 403),
                          (f"?a&b&c&d&purpose=follow-up&{own}", 403)):  # fmt: skip
        assert (await desk.call("GET", path + query, "reviewer")).status == status


@pytest.fixture
async def exporting(desk, monkeypatch):
    """A log's service behind the gateway, which exports a second line once `told` is set, and then breaks off."""
    told, application = asyncio.Event(), web.Application()

    async def export(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await answer.prepare(request)
        await answer.write(b"one\n")
        await told.wait()
        await answer.write(b"two\n")
        request.transport.close()
        return answer

    application.router.add_get("/api/log/entries.jsonl", export)
    runner, address = await running(application)
    monkeypatch.setattr(desk.service.settings, "audit_url", address)
    yield told
    await runner.cleanup()


async def test_an_export_is_handed_on_as_it_comes_and_breaks_off_where_it_did(desk, exporting) -> None:
    sent: list[Any] = []
    asked: list[bool] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "query_string": b"",
        "path": "/api/log/entries.jsonl", "raw_path": b"/api/log/entries.jsonl", "root_path": "", "scheme": "http",
        "headers": [(b"authorization", b"Bearer auditor")],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        if asked:
            await asyncio.Event().wait()  # the reader stays
        asked.append(True)
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body") == b"one\n":
            exporting.set()  # the second line is not made before the first one left

    with pytest.raises(aiohttp.ClientError):
        await desk.call.app(scope, receive, send)
    assert sent[0]["status"] == 200
    assert [message["body"] for message in sent[1:]] == [b"one\n", b"two\n"]
    assert all(message["more_body"] for message in sent[1:])
