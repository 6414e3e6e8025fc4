"""HTTP: hands requests on to the service that answers them."""

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import aiohttp
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response
from yarl import URL

from doorstep.gateway.api.front import ADDRESS, BY_COOKIE, SESSION, cookie_of
from doorstep.gateway.domain.guessing import is_by_code, shows_nothing
from doorstep.gateway.domain.pace import Pace
from doorstep.gateway.domain.routes import route
from doorstep.gateway.errors import IssuerAway
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.auth import NotAuthenticated
from doorstep.kit.db import DATABASE_ERRORS
from doorstep.kit.door import at_rest
from doorstep.kit.problems import Problem
from doorstep.kit.service import Service
from doorstep.kit.telemetry import REFUSALS, current_traceparent

router = APIRouter(include_in_schema=False)

_HANDED_ON = (
    "authorization", "content-type", "accept", "accept-language", "if-match", "if-none-match", "doorstep-purpose",
    "doorstep-case",
    "x-road-userid", "last-event-id",
)  # fmt: skip
_HANDED_BACK = (
    "content-type", "content-language", "etag", "location", "retry-after", "cache-control", "www-authenticate",
    "last-modified", "content-disposition",
)  # fmt: skip
_LINES = "application/jsonl"
_STREAMED = ".jsonl"
_AS_LONG_AS_IT_COMES = aiohttp.ClientTimeout(total=None, connect=3, sock_read=20)
_FEED = "/feed"
_BOARD = "/api/board"
_EVENTS = "text/event-stream"
_LOOK = 1.0
_LOOK_AT_SESSION = 10.0
_UNTIL_SOMETHING_COMES = aiohttp.ClientTimeout(total=50, connect=3)  # longer than a feed lets its callers wait


async def forward(request: Request) -> Response:
    """Hand the request on, and the answer back; 404 for a path that leads nowhere, 503 where nobody answers.

    429 where from the caller's address too many codes were tried that show nothing, whatever code it is now. JSON Lines
    are handed back as they come; where they break off, so does the answer.
    """
    raw_path: bytes = request.scope.get("raw_path") or quote(f"/api/{request.path_params['path']}").encode()
    found = route(raw_path.decode("ascii", "replace").removeprefix("/api/"))
    if found is None:
        raise Problem(404, "no-such-path", "没有这个地址，见 /openapi.json。", "No such address; see /openapi.json.")
    service, inner = found
    body = await request.body()
    if not is_by_code(request.method, inner):
        return await hand_on(request, service, inner, body)
    address: str | None = getattr(request.state, ADDRESS, None)
    if address is None:
        return await hand_on(request, service, inner, body)
    guesses: Pace = request.app.state.guesses
    seconds = guesses.closed(address, time.monotonic())
    if seconds:  # before anything is looked at: alike for every code
        raise too_often(request.app.state.service, seconds)
    answer = await hand_on(request, service, inner, body)
    if shows_nothing(inner, answer.status_code, bytes(answer.body)):
        guesses.count(address, time.monotonic())
    return answer


def too_often(service: Service, seconds: int) -> Problem:
    """The answer to who tries codes too often, and is to come again in so many seconds."""
    REFUSALS.labels(service.name, "too-often").inc()
    zh, en = "尝试过于频繁，请稍后再试。", "Too often; try again later."
    return Problem(429, "too-often", zh, en, headers={"Retry-After": str(seconds)})


async def hand_on(request: Request, service: str, inner: str, body: bytes) -> Response:
    """Ask a service behind, as `request` asks, for `inner` with this body, and hand back what it answers."""
    settings: GatewaySettings = request.app.state.service.settings
    client: aiohttp.ClientSession = request.app.state.client()
    url = URL(settings.address_of(service) + inner, encoded=True).with_query(request.query_params.multi_items())
    try:
        if inner.endswith(_FEED) and "wait" in request.query_params:
            handed_on = _handed_on(request, client, url, body, _UNTIL_SOMETHING_COMES)
            answer = await at_rest(request, handed_on, ending=request.app.state.service.stopping)
        else:
            wait = _AS_LONG_AS_IT_COMES if inner.endswith(_STREAMED) or inner == _BOARD else client.timeout
            answer = await _handed_on(request, client, url, body, wait)
        back = {name: answer.headers[name] for name in _HANDED_BACK if name in answer.headers}
        if answer.content_type == _LINES:
            return StreamingResponse(_as_it_comes(answer), answer.status, headers=back)
        if answer.content_type == _EVENTS:
            live = StreamingResponse(_while_signed_in(request, answer), answer.status, headers=back)
            live.headers["X-Accel-Buffering"] = "no"
            return live
        async with answer:
            content = await answer.read()
    except (aiohttp.ClientError, TimeoutError, OSError):
        zh, en = "这项服务暂时没有回应，请稍后再试。", "This service does not answer now; try again in a moment."
        raise Problem(503, "service-away", zh, en, headers={"Retry-After": "2"}) from None
    return Response(content, answer.status, headers=back)


async def _handed_on(
    request: Request, client: aiohttp.ClientSession, url: URL, body: bytes, wait: aiohttp.ClientTimeout
) -> aiohttp.ClientResponse:
    headers = {name: request.headers[name] for name in _HANDED_ON if name in request.headers}
    parent = current_traceparent()
    if parent is not None:
        headers["traceparent"] = parent
    return await client.request(
        request.method, url, headers=headers, data=body or None, allow_redirects=False, timeout=wait
    )


async def _while_signed_in(request: Request, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Events as they come, until the service ends them, the gateway stops, or the session they were asked in ends."""
    state, token = request.app.state, request.headers.get("authorization")
    looked = time.monotonic()
    chunks: asyncio.Task[bytes] | None = None
    try:
        while not state.service.stopping.is_set():
            chunks = chunks or asyncio.ensure_future(answer.content.readany())
            done, _ = await asyncio.wait([chunks], timeout=_LOOK)
            if time.monotonic() - looked > _LOOK_AT_SESSION:
                looked = time.monotonic()
                if not await still_signed_in(request, token):
                    return
            if done:
                chunk, chunks = chunks.result(), None
                if not chunk:
                    return
                yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError):
        return  # the reader comes again
    finally:
        if chunks is not None:
            chunks.cancel()
        answer.close()


async def still_signed_in(request: Request, authorization: str | None) -> bool:
    """Whether what somebody asked with is good still: the session of their browser, or the token that they sent."""
    state = request.app.state
    value = cookie_of(request.headers, state.service.settings.cookie(SESSION))
    try:
        if request.scope.get("state", {}).get(BY_COOKIE):
            return value is not None and await state.sessions.find(value) is not None
        await state.service.authenticator.verify((authorization or "").partition(" ")[2])
    except (NotAuthenticated, IssuerAway, *DATABASE_ERRORS):
        return False
    return True


async def _as_it_comes(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for chunk in answer.content.iter_any():
            yield chunk


# Not one of FastAPI's own routes: there is nothing to parse and nothing to check before it is handed on.
router.add_route("/api/{path:path}", forward, methods=["GET", "POST", "PUT"], include_in_schema=False)
