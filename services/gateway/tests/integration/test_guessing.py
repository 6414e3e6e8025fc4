"""Codes that show nothing are counted by address: who guesses waits, and whoever has a code does not until then."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import generate_latest

from doorstep.gateway.app import new_app
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.testing import KIT_TABLES
from doorstep.local.ports import free_ports

GOOD, CLOSED = "7Q2M-7Q2M-7Q2M-7Q2M", "0000-0000-0000-0000"
FOLLOW = "/api/follow/{code}"
FAMILY = "192.0.2.77"


@pytest.fixture
async def behind(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """Paths that are handed on to services that know one code, and answer as ours do."""
    asked: list[str] = []

    async def follow(request: web.Request) -> web.Response:
        asked.append(request.path)
        shown = [{"ref": "x", "state": "requested"}] if request.match_info["code"] == GOOD else []
        return web.json_response({"requests": shown})

    async def rate(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({}, status=409 if request.match_info["code"] == GOOD else 404)

    async def alike(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"heard": True}, status=202)

    application, port = web.Application(), free_ports(1)[0]
    application.router.add_get(FOLLOW, follow)
    application.router.add_post(f"{FOLLOW}/ratings", rate)
    application.router.add_post("/api/plans/withdrawals", alike)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    monkeypatch.setattr(GatewaySettings, "address_of", lambda *_: f"http://127.0.0.1:{port}")
    yield asked
    await runner.cleanup()


@pytest.fixture
async def browser(new_desk: Any, settings_for: Any, new_browser: Any, behind: list[str]) -> Any:
    """A browser at a gateway that lets four codes be guessed in a minute."""
    told = settings_for(limit_guesses_per_address=4)
    made = await new_desk("gateway", new_app, told, KIT_TABLES, "doorstep.gateway:migrations")
    return new_browser(made, peer=FAMILY)


async def follow(browser: Any, code: str) -> tuple[int, Any, str | None]:
    """Status, what is told, and when to come again."""
    status, headers, body = await browser.ask("GET", FOLLOW.format(code=code))
    return status, json.loads(body), headers.get("retry-after")


async def test_whoever_has_a_code_follows_as_often_as_they_like(browser: Any, behind: list[str]) -> None:
    for _ in range(20):
        status, told, again = await follow(browser, GOOD)
        assert (status, told["requests"][0]["state"], again) == (200, "requested", None)
    assert len(behind) == 20


async def test_who_guesses_waits_and_is_told_of_no_code_whose_it_is(browser: Any, behind: list[str]) -> None:
    tries = [await follow(browser, f"AAAA-AAAA-AAAA-000{one}") for one in range(3)]
    assert [one[:2] for one in tries] == [(200, {"requests": []})] * 3
    assert (await follow(browser, GOOD))[0] == 200  # below the limit as before, and it is no guess
    assert (await follow(browser, CLOSED))[0] == 200
    asked = len(behind)
    refused = [await follow(browser, code) for code in (GOOD, CLOSED, "AAAA-AAAA-AAAA-0009")]
    assert {one[0] for one in refused} == {429}
    assert refused[0][1] == refused[1][1] == refused[2][1]
    assert refused[0][1]["type"] == "urn:doorstep:problem:too-often"
    assert all(1 <= int(one[2] or 0) <= 61 for one in refused)
    assert len(behind) == asked  # nobody was asked


async def test_another_address_is_not_touched_and_all_of_one_prefix_are_one(browser: Any) -> None:
    browser.peer = "2001:db8::1"
    for _ in range(4):
        await follow(browser, CLOSED)
    assert (await follow(browser, GOOD))[0] == 429
    browser.peer = "2001:db8::2"
    assert (await follow(browser, GOOD))[0] == 429
    for other in ("2001:db8:0:1::1", "192.0.2.78"):
        browser.peer = other
        assert (await follow(browser, GOOD))[0] == 200


async def test_all_that_a_code_opens_is_counted_together_by_what_its_answer_shows(browser: Any) -> None:
    for code, status in ((GOOD, 409), (GOOD, 409), (GOOD, 409), (CLOSED, 404), (CLOSED, 404)):
        assert (await browser.ask("POST", f"{FOLLOW.format(code=code)}/ratings", {}))[0] == status
    for code in (GOOD, CLOSED):  # answered alike, and counted alike
        assert (await browser.ask("POST", "/api/plans/withdrawals", {"code": code}))[0] == 202
    assert (await browser.ask("POST", "/api/plans/withdrawals", {"code": GOOD}))[0] == 429
    assert (await follow(browser, GOOD))[0] == 429


async def test_who_has_to_wait_for_codes_is_answered_all_else(browser: Any) -> None:
    for _ in range(4):
        await follow(browser, CLOSED)
    assert (await browser.ask("GET", "/own"))[0] == 200
    assert (await browser.ask("GET", "/api/menu"))[0] == 404  # nobody of these services has it, and it was asked for
    assert (await follow(browser, CLOSED))[0] == 429


async def test_neither_code_nor_address_is_in_a_metric_or_a_log(browser: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    for _ in range(6):
        await follow(browser, CLOSED)
    assert (await follow(browser, GOOD))[0] == 429
    told = generate_latest().decode() + caplog.text
    assert 'doorstep_refusals_total{problem="too-often",service="gateway"}' in told
    assert not [one for one in (CLOSED, GOOD, FAMILY) if one in told]
