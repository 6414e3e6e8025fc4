"""Codes that nobody has, guessed at the front door: by each path that a code opens, until their address has to wait."""

from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.gateway.domain.pace import Pace
from doorstep.local.neighbourhood import Town
from doorstep.local.records import Statement, person, record

NOBODY = "0000-0000-0000-0000"
FOLLOW = "/api/follow/{code}"


def tries() -> dict[str, tuple[str, str, Any]]:
    """By name: method, path and body of all that is asked by a code alone; `{code}` is in the path or the body."""
    of_request = {"id": str(uuid7()), "ref": str(uuid4())}
    return {
        "follow": ("GET", FOLLOW, None),
        "looks": ("GET", f"{FOLLOW}/looks", None),
        "ask to look": ("POST", f"{FOLLOW}/looks", of_request),
        "withdraw": ("POST", f"{FOLLOW}/withdrawals", of_request),
        "rate": ("POST", f"{FOLLOW}/ratings", of_request | {"solved": True, "stars": 5}),
        "complain": ("POST", f"{FOLLOW}/complaints", of_request | {"about": "station", "treatment": ["not-answered"]}),
        "see a complaint": ("GET", f"{FOLLOW}/complaints/{NOBODY}", None),
        "take a complaint back": ("POST", f"{FOLLOW}/complaints/{NOBODY}/withdrawal", None),
        "choose notices": ("PUT", f"{FOLLOW}/notices", {"channel": "none"}),
        "ask for a service": ("POST", "/api/own-requests", {"id": str(uuid7()), "code": "", "service": "wage-help"}),
        "usage": ("POST", "/api/usage", {"code": ""}),
        "exclude": ("PUT", "/api/exclusions", {"code": "", "staff": []}),
        "name a proxy": ("PUT", "/api/proxies", {"code": "", "proxy": None}),
        "contest a plan": ("POST", "/api/plans/contests", {"code": ""}),
        "leave a plan": ("POST", "/api/plans/withdrawals", {"code": ""}),
    }


def door(estate: Any, guesses: int) -> Any:
    """Asks at the front door from one address, which may guess so many codes."""
    call = estate.desks["gateway"].call
    call.app.state.guesses = Pace(guesses)

    async def from_home(scope: Any, receive: Any, send: Any) -> None:
        await call.app(scope | {"client": ("192.0.2.1", 1)}, receive, send)

    home = type(call)(from_home)

    async def ask(what: str, code: str) -> Any:
        method, path, body = tries()[what]
        told = None if body is None else {name: code if name == "code" else said for name, said in body.items()}
        return await home(method, path.format(code=code), None, told)

    return ask


async def visited(estate: Any) -> str:
    """The code of a request that is shown by it."""
    rng, now = Random(977), datetime.now(UTC)  # noqa: S311
    woman = Town(rng, now.date()).resident(age=61, sex="female", relation="head")
    body = record(rng, (person(woman, [Statement("consent.service", True)]),), now=now)
    [code] = (await estate.hand_in(body)).values()
    asked = {"id": str(uuid7()), "code": code, "service": "wage-help"}
    own: str = (await estate.ask("POST", "/api/own-requests", None, asked)).body["follow_code"]
    await estate.flow()
    return own


@pytest.mark.parametrize("what", tries())
async def test_a_code_that_nobody_has_counts_wherever_it_is_tried(estate: Any, front: None, what: str) -> None:
    ask = door(estate, 1)
    assert (await ask(what, NOBODY)).status < 405
    for other in ("follow", what):
        refused = await ask(other, NOBODY)
        assert (refused.status, refused.body["type"].rpartition(":")[2]) == (429, "too-often")
        assert int(refused.headers["retry-after"]) >= 1


async def test_a_code_that_shows_something_counts_nowhere(estate: Any, front: None) -> None:
    code, ask = await visited(estate), door(estate, 1)
    for _ in range(5):
        assert len((await ask("follow", code)).body["requests"]) == 1
    assert (await ask("follow", NOBODY)).body == {"requests": []}
    assert (await ask("follow", code)).status == 429
