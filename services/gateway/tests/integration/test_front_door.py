"""What the gateway answers itself, and what it says where nobody answers behind it."""

import asyncio
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web


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
    pages = ((f"/journeys/{uuid4()}", "text/html"), ("/pages/journey.js", "text/javascript"), ("/usage", "text/html"))
    for path, kind in pages:
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


@pytest.mark.parametrize(
    "cookie", ["doorstep_session=", "doorstep_session", "=;=;", "doorstep_session=\x80", "a" * 5000]
)
async def test_a_cookie_that_is_none_is_no_session(way, cookie) -> None:
    assert (await way.look(None, cookie=cookie)).status == 401


async def test_a_token_counts_before_a_cookie(way) -> None:
    assert (await way.look("collector", cookie="doorstep_session=reviewer")).status == 403


async def test_an_event_source_names_its_purpose_in_the_address(desk, way) -> None:
    path = f"/api/journeys/{way.record_id}"
    for query, status in (("?purpose=follow-up", 200), ("?purpose=service", 403), ("?purpose=x", 403), ("", 403)):
        assert (await desk.call("GET", path + query, "reviewer")).status == status


async def test_nobody_signs_in_outside_the_development_profile(in_production: Any, desk: Any) -> None:
    path = f"/sign-in?record={uuid4()}"
    assert (await in_production.call("GET", path)).status == 404
    answer = await desk.call("GET", path)
    assert (answer.status, answer.body["type"]) == (503, "urn:doorstep:problem:issuer-away")


@pytest.fixture
async def behind(desk, monkeypatch):
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
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    monkeypatch.setattr(desk.service.settings, "audit_url", f"http://127.0.0.1:{port}")
    yield told
    await runner.cleanup()


async def test_an_export_is_handed_on_as_it_comes_and_breaks_off_where_it_did(desk, behind) -> None:
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
            behind.set()  # the second line is not made before the first one left

    with pytest.raises(aiohttp.ClientError):
        await desk.call.app(scope, receive, send)
    assert sent[0]["status"] == 200
    assert [message["body"] for message in sent[1:]] == [b"one\n", b"two\n"]
    assert all(message["more_body"] for message in sent[1:])
