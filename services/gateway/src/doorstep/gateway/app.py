"""The HTTP edge of the gateway, composed."""

import re
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

import aiohttp
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doorstep.contracts.codes import Purpose
from doorstep.gateway.api import dead_letters, description, forward, journeys, pages
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.service import Service, compose, create_app

NAME = "gateway"
_KEPT_OPEN = 4  # seconds; less than the five after which a service closes, so that no request meets a closing one
_JOURNEYS = "/api/journeys/"
_FIELDS = 4
_ID = re.compile(r"[0-9a-fA-F-]{36}")
_READ_BY_PAGES = (_JOURNEYS, "/api/log/")
_ON_EVERY_ANSWER = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def new_service() -> Service:
    """The resources of the service, as its environment describes them."""
    return compose(NAME, GatewaySettings())


def new_app(service: Service) -> FastAPI:
    """The HTTP edge of `service`."""
    routers = (journeys.router, pages.router, description.router, dead_letters.router, forward.router)
    app = create_app(service, *routers, title="Doorstep", openapi_url=None)
    app.state.client = _client(service)
    app.add_middleware(Browser)
    return app


def _client(service: Service) -> Callable[[], aiohttp.ClientSession]:
    """Gives the one HTTP client, made when it is first asked for and closed with the service."""
    made: list[aiohttp.ClientSession] = []

    def client() -> aiohttp.ClientSession:
        if not made:
            made.append(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=128, keepalive_timeout=_KEPT_OPEN),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=20, connect=3),
                    auto_decompress=False,
                )
            )
        return made[0]

    async def close() -> None:
        for one in made:
            await one.close()

    service.closers.insert(0, close)
    return client


class Browser:
    """What a browser cannot say in headers: its session is a cookie, for reading journeys and the log alone, and an
    event source's purpose and case stand in the address. A cookie never carries a command, so that no other site can
    send one. No answer is kept by caches unless its service says so, or taken for another type than it names."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers that the browser could not."""
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(_READ_BY_PAGES):
            headers = MutableHeaders(scope=scope)
            token = _session(headers.get("cookie", ""))
            if token and "authorization" not in headers:
                headers["authorization"] = f"Bearer {token}"
            if scope["path"].startswith(_JOURNEYS):
                _say_why(headers, scope["query_string"].decode("latin-1"))

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ON_EVERY_ANSWER.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


def _say_why(headers: MutableHeaders, query: str) -> None:
    """Take purpose and case from the address, where the headers name none."""
    named = dict(parse_qsl(query, max_num_fields=_FIELDS)) if query.count("&") < _FIELDS else {}
    if named.get("purpose") in set(Purpose) and "doorstep-purpose" not in headers:
        headers["doorstep-purpose"] = named["purpose"]
    if _ID.fullmatch(named.get("case", "")) and "doorstep-case" not in headers:
        headers["doorstep-case"] = named["case"]


def _session(cookies: str) -> str | None:
    try:
        found = SimpleCookie(cookies).get(pages.COOKIE)
    except CookieError:
        return None
    return found.value if found else None
