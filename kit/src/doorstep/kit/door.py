"""What every request passes first: limits on load, size, type and nesting, and the span and count of the answer."""

import asyncio
import json
import re
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from opentelemetry.trace import SpanKind
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from doorstep.contracts.documents import DOCUMENT_BYTES, DocumentForm
from doorstep.kit.problems import FHIR_TYPE, Problem, answer, speaks_fhir
from doorstep.kit.telemetry import REQUESTS, span

T = TypeVar("T")

HEADER_BYTES = 16_384
"""So much all headers of a request may have, names and values; a token has half of it at most."""
HEADERS = 100
UNPARSED_BYTES = 65_536
"""So much is read of a head, or of what comes behind a body, before it is whole."""
BODY_BYTES = 1_048_576
NESTING = 32
IN_FLIGHT = 64
LARGE_IN_FLIGHT = 8
"""So many requests at once may bring a document, which is larger than all else that is sent."""
_NOT_COUNTED = ("/healthz", "/readyz", "/metrics", "/events", "/api/board")
SECONDS_TO_SEND = 30.0
_ONCE = ("authorization", "host", "content-type", "doorstep-purpose", "doorstep-case", "origin", "x-road-userid")
_DOOR = "doorstep.door"
_JSON = "application/json"
_DOCUMENT = re.compile(r"/api/departments/[^/]+/requests/[^/]+/documents/[^/]+")
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: 49\r\nConnection: close\r\n\r\n"
    b'{"type":"urn:doorstep:problem:headers-too-large"}'
)
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose heads and trailers end: the parser itself would keep all that comes until they are whole."""

    _unparsed = 0
    _went_on = False

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what goes on too long without becoming a head or a piece of a body."""
        self._went_on = False
        super().data_received(data)
        self._unparsed = 0 if self._went_on else self._unparsed + len(data)
        if self._unparsed > UNPARSED_BYTES and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._went_on = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body came."""
        self._went_on = True
        super().on_body(body)


@dataclass(frozen=True, slots=True)
class _Takes:
    """What a body may be, by its media types, and how large."""

    types: tuple[str, ...]
    most: int = BODY_BYTES

    @property
    def is_large(self) -> bool:
        """Whether it may be larger than what is sent elsewhere; such a body is no JSON."""
        return self.most > BODY_BYTES


class Door:
    """ASGI middleware of every service."""

    def __init__(self, app: ASGIApp, *, service: str) -> None:
        """Stand before `app` on behalf of `service`."""
        self._app = app
        self._service = service
        self._in_flight = 0
        self._large = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        status = 500

        async def count(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        scope[_DOOR] = self
        counted = not scope["path"].endswith(_NOT_COUNTED)  # an open stream is no load
        takes = _taken(scope["method"], scope["path"])
        self._in_flight += counted
        self._large += takes.is_large
        try:
            with span(f"{self._service} {scope['method']}", parent=headers.get("traceparent"), kind=SpanKind.SERVER):
                if (counted and self._in_flight > IN_FLIGHT) or (takes.is_large and self._large > LARGE_IN_FLIGHT):
                    await answer(Request(scope), _busy())(scope, receive, count)
                else:
                    await self._enter(scope, headers, receive, count, takes)
        finally:
            self._in_flight -= counted
            self._large -= takes.is_large
            route = getattr(scope.get("route"), "path", "unmatched")
            REQUESTS.labels(self._service, route, str(status)).inc()

    def rest(self, more: int) -> None:
        """So many `more` of the requests that were let in wait for something and do nothing."""
        self._in_flight -= more

    async def _enter(self, scope: Scope, headers: Headers, receive: Receive, send: Send, takes: _Takes) -> None:
        try:
            check_headers(headers)
            if scope["method"] in ("POST", "PUT", "PATCH"):
                body = await _body_in_time(headers, receive, takes)
                receive = _again(body, receive)
            await self._app(scope, receive, send)
        except Problem as problem:
            await answer(Request(scope), problem)(scope, receive, send)


async def at_rest(request: Request, waited: Coroutine[Any, Any, T], *, ending: asyncio.Event) -> T:
    """What is `waited` for; meanwhile the request is no load: another is let in in its place.

    `waited` is cancelled as soon as the caller hung up, with a Problem, or when `ending` is set, with TimeoutError.
    """
    door: Door = request.scope[_DOOR]
    waiting = asyncio.create_task(waited)
    gone, ended = asyncio.create_task(_hung_up(request.receive)), asyncio.create_task(ending.wait())
    door.rest(1)
    try:
        await asyncio.wait((waiting, gone, ended), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        if gone.done():
            raise Problem(400, "incomplete", "请求没有等到答复就中断了。", "The request broke off.")
        raise TimeoutError
    finally:
        door.rest(-1)
        for task in (waiting, gone, ended):
            task.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def check_headers(headers: Headers) -> None:
    """Refuse too many or too large headers, what stands twice where two would be read differently, and bodies that
    somebody would have to unpack.

    Raises Problem.
    """
    if len(headers.raw) > HEADERS or sum(len(name) + len(value) for name, value in headers.raw) > HEADER_BYTES:
        zh = f"请求头超过 {HEADER_BYTES // 1024} KiB 或 {HEADERS} 个，请减少请求头或换较短的令牌。"
        en = f"The headers are over {HEADER_BYTES // 1024} KiB, or over {HEADERS}; send fewer, or a shorter token."
        raise Problem(431, "headers-too-large", zh, en)
    if any(len(headers.getlist(name)) > 1 for name in _ONCE):
        raise Problem(400, "header-twice", "同一请求头出现两次。", "A header stands twice.")
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        zh, en = "请不要压缩请求体。", "Send the body as it is, not compressed."
        raise Problem(415, "content-encoding", zh, en, headers={"Accept-Encoding": "identity"})


def _taken(method: str, path: str) -> _Takes:
    """As what a body may be sent to `path`: JSON; where FHIR is spoken its own type too; a document as what it is."""
    if method == "PUT" and _DOCUMENT.fullmatch(path):
        return _Takes(tuple(DocumentForm), DOCUMENT_BYTES)
    return _Takes((FHIR_TYPE, _JSON) if speaks_fhir(path) else (_JSON,))


async def _body_in_time(headers: Headers, receive: Receive, takes: _Takes) -> bytes:
    try:
        async with asyncio.timeout(SECONDS_TO_SEND):
            return await _body(headers, receive, takes)
    except TimeoutError:
        zh, en = "请求体发送太慢，请重发。", "The body came too slowly; send it again."
        raise Problem(408, "too-slow", zh, en, headers={"Connection": "close"}) from None


async def _body(headers: Headers, receive: Receive, takes: _Takes) -> bytes:
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()) or int(declared) > takes.most:
        raise _too_large(takes.most)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "incomplete", "请求没有发完。", "The request broke off.")
        body += message.get("body", b"")
        if len(body) > takes.most:
            raise _too_large(takes.most)
        if not message.get("more_body"):
            break
    if body:
        _check(bytes(body), headers, takes)
    return bytes(body)


def _check(body: bytes, headers: Headers, takes: _Takes) -> None:
    """Refuse what is said to be of another type than is taken, or of that and is not. Raises Problem."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in takes.types:
        named = takes.types if takes.is_large else takes.types[:1]
        raise Problem(415, "content-type", f"请以 {'、'.join(named)} 发送。", f"Send {' or '.join(named)}.")
    if not takes.is_large:
        _check_json(body)


def _busy() -> Problem:
    zh, en = "现在太忙，请稍后再试。", "Too busy; try again in a moment."
    return Problem(503, "busy", zh, en, headers={"Retry-After": "1"})


def _too_large(most: int) -> Problem:
    mebibytes = most // 1_048_576
    zh, en = f"请求体超过 {mebibytes} MiB，请分开发送。", f"The body is over {mebibytes} MiB; send it in parts."
    return Problem(413, "too-large", zh, en)


def _check_json(body: bytes) -> None:
    """Refuse what is not JSON text, is nested too deeply, or names a field twice."""
    if body.count(b"[") + body.count(b"{") > NESTING and _depth(body) > NESTING:
        raise Problem(400, "too-deep", f"嵌套超过 {NESTING} 层。", f"It is nested more than {NESTING} levels deep.")
    try:
        json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        if isinstance(error, _Twice):
            zh, en = "同一字段出现两次。", "A field stands twice in one object."
            raise Problem(400, "field-twice", zh, en) from None
        raise Problem(400, "malformed", "请求体不是有效的 JSON（UTF-8）。", "The body is not JSON in UTF-8.") from None


def _depth(body: bytes) -> int:
    """How deep objects and arrays are nested, whatever else is wrong with `body`."""
    depth = deepest = 0
    for found in _STRING_OR_BRACKET.finditer(body):
        first = body[found.start() : found.start() + 1]
        if first == b'"':
            continue
        depth += 1 if first in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


class _Twice(ValueError):
    """A name stands twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


def _again(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
