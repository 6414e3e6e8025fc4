"""Callers who wait at the front door for a feed's next message: no load, and let go when they or the gateway end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from doorstep.gateway.settings import GatewaySettings
from doorstep.kit import door
from doorstep.local.ports import free_ports

FEED = "/api/departments/fire/feed?wait=30"


@dataclass
class Behind:
    """A service in which whoever waits does so until `may_go`; `waiting` of them, `left` of whom hung up."""

    may_go: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        if "wait" in request.query:
            self.came.release()
            try:
                await self.may_go.wait()
            except asyncio.CancelledError:
                self.left.set()
                raise
        return web.json_response({})


@pytest.fixture
async def behind(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Behind]:
    """The service behind the gateway."""
    found, application = Behind(), web.Application()
    application.router.add_get("/{path:.*}", found.answer)
    runner, port = web.AppRunner(application, handler_cancellation=True), free_ports(1)[0]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    monkeypatch.setattr(GatewaySettings, "address_of", lambda *_: f"http://127.0.0.1:{port}")
    yield found
    await runner.cleanup()


async def test_who_waits_keeps_nobody_else_out(desk, behind, monkeypatch) -> None:
    monkeypatch.setattr(door, "IN_FLIGHT", 1)
    calls = [asyncio.create_task(desk.call("GET", FEED, "officer")) for _ in range(1)]
    for _ in range(4):
        await behind.came.acquire()
        calls.append(asyncio.create_task(desk.call("GET", FEED, "officer")))
    await behind.came.acquire()
    assert (await desk.call("GET", "/api/rule-packs/current")).status == 200
    behind.may_go.set()
    assert [(await call).status for call in calls] == [200] * 5


async def test_when_the_gateway_stops_who_waits_is_told_to_come_again(desk, behind) -> None:
    call = asyncio.create_task(desk.call("GET", FEED, "officer"))
    await behind.came.acquire()
    desk.service.stopping.set()
    try:
        answer = await call
    finally:
        desk.service.stopping.clear()
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    await behind.left.wait()


async def test_who_hangs_up_is_not_waited_for_behind_the_door(desk, behind) -> None:
    hang_up = asyncio.Event()
    said = iter([{"type": "http.request", "body": b""}])

    async def receive() -> Any:
        return next(said, None) or (await hang_up.wait() and {"type": "http.disconnect"})

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await desk.call.app(scope, receive, send)

    call = asyncio.create_task(type(desk.call)(app)("GET", FEED, "officer"))
    await behind.came.acquire()
    hang_up.set()
    assert (await call).status == 400
    await behind.left.wait()
