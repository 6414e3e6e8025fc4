"""The board through the front door: events as they come, until the session they were asked in ends, or the gateway."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from doorstep.gateway.api import forward
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.auth import NotAuthenticated
from doorstep.local.ports import free_ports

BOARD = "/api/board?purpose=follow-up"
EVENT = b"id: 1\nevent: board\ndata: {}\n\n"


@dataclass
class Behind:
    """A service whose board sends one event and then nothing; `left` when whoever listens hung up."""

    asked: list[dict[str, str]] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    ends: bool = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({name.lower(): value for name, value in request.headers.items()})
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(EVENT)
        self.told.set()
        if self.ends:
            return answer
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return answer


@pytest.fixture
async def behind(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Behind]:
    """The service behind the gateway, and a gateway that looks at sessions often."""
    found, application = Behind(), web.Application()
    application.router.add_get("/{path:.*}", found.answer)
    runner, port = web.AppRunner(application, handler_cancellation=True), free_ports(1)[0]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    monkeypatch.setattr(GatewaySettings, "address_of", lambda *_: f"http://127.0.0.1:{port}")
    monkeypatch.setattr(forward, "_LOOK", 0.02)
    monkeypatch.setattr(forward, "_LOOK_AT_SESSION", 0.04)
    yield found
    await runner.cleanup()


async def test_events_come_as_they_are_sent_with_purpose_and_place(desk, behind) -> None:
    behind.ends = True
    answer = await desk.call("GET", BOARD, "supervisor", last_event_id="7")
    assert answer.raw == EVENT
    assert (answer.status, answer.headers["x-accel-buffering"]) == (200, "no")
    (asked,) = behind.asked
    assert (asked["doorstep-purpose"], asked["last-event-id"]) == ("follow-up", "7")


async def test_it_ends_with_the_session_in_which_it_was_asked(door, new_browser, behind) -> None:
    async def patient(scope: Any, receive: Any, send: Any) -> None:
        """The application, for a browser that sends its request once and then listens."""
        said = iter([await receive()])

        async def listening() -> Any:
            return next(said, None) or await asyncio.Event().wait()

        await door.call.app(scope, listening, send)

    browser = new_browser(door)
    await browser.sign_in("supervisor")
    ours = {"origin": "http://127.0.0.1:8600", "sec_fetch_site": "same-origin"}
    ours["doorstep_request_token"] = await browser.request_token()
    wall = type(browser)(patient, dict(browser.cookies))
    call = asyncio.create_task(wall.ask("GET", BOARD, sec_fetch_site="same-origin"))
    await behind.told.wait()
    assert behind.asked[0]["authorization"].startswith("Bearer ")
    assert "cookie" not in behind.asked[0]
    await asyncio.sleep(0.2)
    assert not call.done()
    assert (await browser.ask("POST", "/sign-out", **ours))[0] == 200
    status, _, body = await asyncio.wait_for(call, 20)
    assert (status, body) == (200, EVENT)
    await behind.left.wait()


async def test_it_ends_when_a_token_that_was_sent_is_good_no_more(desk, behind, monkeypatch) -> None:
    call = asyncio.create_task(desk.call("GET", BOARD, "supervisor"))
    await behind.told.wait()
    await asyncio.sleep(0.2)
    assert not call.done()

    async def expired(_: str) -> None:
        raise NotAuthenticated

    monkeypatch.setattr(desk.service.authenticator, "verify", expired)
    assert (await asyncio.wait_for(call, 20)).status == 200
    await behind.left.wait()


async def test_it_ends_when_the_gateway_stops(desk, behind) -> None:
    call = asyncio.create_task(desk.call("GET", BOARD, "supervisor"))
    await behind.told.wait()
    desk.service.stopping.set()
    try:
        assert (await call).status == 200
    finally:
        desk.service.stopping.clear()
    await behind.left.wait()
