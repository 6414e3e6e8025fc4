"""What the gateway answers itself, and what it says where nobody answers behind it."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from doorstep.contracts.codes import Action, Department, Purpose, Role, TaskState
from doorstep.contracts.topics import SERVICES
from doorstep.gateway.settings import GatewaySettings
from doorstep.local.ports import free_ports

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


@pytest.fixture
async def issuer(desk: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """An issuer whose tokens are the role that was asked for."""

    async def token(request: web.Request) -> web.Response:
        return web.json_response({"access_token": str((await request.post())["role"])})

    application = web.Application()
    application.router.add_post("/token", token)
    runner, address = await running(application)
    monkeypatch.setattr(desk.service.settings, "issuer", address)
    yield
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
        ("/pages/audit.css", "text/css"), ("/usage", "text/html"),
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


async def test_the_auditors_page_is_plain_in_both_languages_and_takes_nothing_from_elsewhere(desk) -> None:
    page = (await desk.call("GET", "/audit")).raw.decode()
    for forbidden in ("<script>", "style=", "onclick", "://"):
        assert forbidden not in page
    assert page.count("data-zh=") == page.count("data-en=") > 10
    files = re.findall(r'(?:src|href)="(/pages/[^"]+)"', page)
    assert len(files) == 4
    for file in files:
        answer = await desk.call("GET", file)
        assert answer.status == 200
        assert not re.search(r"innerHTML|eval\(|://|import ", answer.raw.decode())
    assert (await desk.call("GET", "/pages/audit.html")).status == 404


async def test_every_code_of_the_log_has_its_words_on_the_auditors_page(desk) -> None:
    words = (await desk.call("GET", "/pages/audit-words.js")).raw.decode()
    codes = {*Action, *Role, *Purpose, *Department, *SERVICES, *TaskState} - {TaskState.DRAFT}
    assert [code for code in sorted(codes) if not re.search(rf'"{code}": \["[^"]+", "[^"]+"\]', words)] == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_cookie_reads_journeys_and_does_nothing_else(desk, way, method) -> None:
    cookie = {"cookie": "other=1; doorstep_session=reviewer; more=2"}
    read = await way.look(None, **cookie)
    assert read.status == 200
    asked = len(desk.call.asked)
    await desk.call(method, f"/api/journeys/{way.record_id}", None, {}, **cookie)
    answer = await desk.call("POST", "/api/dead-letters/gateway/pass-over", None, {}, **cookie)
    assert answer.status == 401
    assert len(desk.call.asked) == asked


async def test_a_cookie_reads_the_log_and_names_no_purpose_by_its_address(desk, behind) -> None:
    cookie = {"cookie": "doorstep_session=auditor"}
    assert (await desk.call("GET", "/api/log/entries?purpose=audit", None, **cookie)).status == 200
    assert (await desk.call("GET", "/api/log/conduct", None, doorstep_purpose="audit", **cookie)).status == 200
    assert (await desk.call("PUT", "/api/log/ties", None, {"cases": []}, **cookie)).status == 200
    assert (await desk.call("GET", "/api/requests", None, **cookie)).status == 200
    assert behind == [
        ("GET", "/api/log/entries?purpose=audit", "Bearer auditor", None),
        ("GET", "/api/log/conduct", "Bearer auditor", "audit"),
        ("PUT", "/api/log/ties", None, None),
        ("GET", "/api/requests", None, None),
    ]


async def test_when_the_log_was_signed_is_handed_back(desk, behind) -> None:
    answer = await desk.call("GET", "/api/log/checkpoint")
    assert answer.headers["last-modified"] == SIGNED


@pytest.mark.parametrize(
    "cookie", ["doorstep_session=", "doorstep_session", "=;=;", "doorstep_session=\x80", "a" * 5000]
)
async def test_a_cookie_that_is_none_is_no_session(way, cookie) -> None:
    assert (await way.look(None, cookie=cookie)).status == 401


async def test_a_token_counts_before_a_cookie(way) -> None:
    assert (await way.look("collector", cookie="doorstep_session=reviewer")).status == 403


async def test_an_event_source_names_its_purpose_in_the_address(desk, way) -> None:
    path = f"/api/journeys/{way.record_id}"
    own, other = f"case={way.record_id}", f"case={uuid4()}"
    for query, status in ((f"?purpose=follow-up&{own}", 200), (f"?{own}&purpose=triage&more", 200),
                          (f"?purpose=follow-up&{other}", 403), ("?purpose=follow-up", 403), (f"?{own}", 403),
                          ("?purpose=follow-up&case=x", 403), (f"?purpose=service&{own}", 403),
                          (f"?purpose=x&{own}", 403), ("", 403),
                          (f"?a&b&c&d&purpose=follow-up&{own}", 403)):  # fmt: skip
        assert (await desk.call("GET", path + query, "reviewer")).status == status


async def test_nobody_signs_in_outside_the_development_profile(in_production: Any, desk: Any) -> None:
    for path in (f"/sign-in?record={uuid4()}", "/sign-in/auditor"):
        assert (await in_production.call("GET", path)).status == 404
        answer = await desk.call("GET", path)
        assert (answer.status, answer.body["type"]) == (503, "urn:doorstep:problem:issuer-away")


async def test_who_signs_in_gets_a_cookie_that_scripts_cannot_read_and_goes_on_to_their_page(desk, issuer) -> None:
    record = uuid4()
    for path, page, role in ((f"/sign-in?record={record}", f"/journeys/{record}", "reviewer"),
                             ("/sign-in/auditor", "/audit", "auditor")):  # fmt: skip
        answer = await desk.call("GET", path)
        assert (answer.status, answer.headers["location"]) == (303, page)
        cookie = answer.headers["set-cookie"].lower()
        assert cookie.startswith(f"doorstep_session={role};")
        assert {"httponly", "samesite=strict"} <= {part.strip() for part in cookie.split(";")}


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
