"""What comes before every endpoint of the front door: how often one asks, and whose session a cookie is.

A browser cannot send a token: its session's cookie becomes the token that the issuer gave for it. Invariants: what
changes something by a cookie comes from a page of ours, which says the session's request token, or is refused; a
cookie counts for nobody else's page; where a token is sent, no cookie is looked at; a resident's session becomes no
token, and opens nothing but what is for residents. An event source cannot send a
header: its purpose and case stand in the address. No answer is kept by caches unless its service says so, or taken for
another type than it names.
"""

import asyncio
import hmac
import re
import time
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doorstep.contracts.codes import Purpose
from doorstep.gateway.api.issuer import Issuer
from doorstep.gateway.domain.addresses import caller_address, networks
from doorstep.gateway.domain.pace import Pace
from doorstep.gateway.domain.session import SAFE, Tokens, kind_of, of_our_pages
from doorstep.gateway.errors import IssuerAway, NoSignIn, SignInRefused
from doorstep.gateway.operations import sessions
from doorstep.gateway.operations.sessions import Idle, Open, Opening
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.auth import NotAuthenticated
from doorstep.kit.db import DATABASE_ERRORS
from doorstep.kit.door import check_headers
from doorstep.kit.problems import Problem, answer
from doorstep.kit.service import Service
from doorstep.kit.telemetry import REFUSALS, REQUESTS

SESSION = "session"
REQUEST_TOKEN = "doorstep-request-token"  # noqa: S105 — a header's name
ADDRESS, RESIDENT, BY_COOKIE = "address", "resident", "by-cookie"
"""Under these names a request's state has from where it comes, a resident's open session, and that a cookie counted."""

_API = "/api/"
_BY_EVENT_SOURCE = ("/api/journeys/", "/api/board")
_NOT_COUNTED = ("/healthz", "/readyz")
_ON_EVERY_ANSWER = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
_BY_TLS = {"Strict-Transport-Security": "max-age=31536000"}
_RENEWED_BEFORE = 60.0
_LOOK, _LOOKS = 0.1, 60
_FIELDS = 4
_ID = re.compile(r"[0-9a-fA-F-]{36}")


def cookie_of(headers: Headers, name: str) -> str | None:
    """The value of a cookie; None if there is none, or the header is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return (found.value or None) if found else None


@dataclass
class Sessions:
    """What of a browser's session is asked at the edge."""

    service: Service
    settings: GatewaySettings
    issuer: Issuer

    def opening(self, headers: Headers, *, resident: bool) -> Opening:
        """How a session of this browser is opened."""
        ends = self.settings.resident_ends if resident else self.settings.session_ends
        browser, replaced = kind_of(headers.get("user-agent", "")), cookie_of(headers, self.settings.cookie(SESSION))
        return Opening(browser, replaced or "", ends, self._idle)

    @property
    def _idle(self) -> Idle:
        return Idle(self.settings.session_idle, self.settings.resident_idle)

    async def find(self, value: str) -> Open | None:
        """The open session of a cookie, a staff's tokens still good for a while; None if there is none any more.

        Raises IssuerAway, one of DATABASE_ERRORS.
        """
        for _ in range(_LOOKS):
            found = await self._find(value)
            if found is None or found.resident or found.tokens is None:
                return found
            if found.tokens.expires_at - time.time() > _RENEWED_BEFORE:
                return found
            async with self.service.database.transaction() as session:
                claimed = await sessions.claim_renewal(session, found=found)
            if claimed:
                return await self._renewed(value, found, found.tokens)
            if found.tokens.expires_at > time.time():
                return found  # somebody else is renewing it, and it still serves
            await asyncio.sleep(_LOOK)
        raise IssuerAway

    async def _find(self, value: str) -> Open | None:
        async with self.service.database.transaction() as session:
            return await sessions.find_session(session, vault=self.service.vault, value=value, idle=self._idle)

    async def _renewed(self, value: str, found: Open, old: Tokens) -> Open | None:
        try:
            tokens = await self.issuer.renewed(old)
        except (IssuerAway, NoSignIn):
            if old.expires_at > time.time():
                return found
            raise IssuerAway from None
        except SignInRefused:  # signed out at the issuer, or the token was used already by somebody who then died
            async with self.service.database.transaction() as session:
                await sessions.end_session(session, vault=self.service.vault, value=value)
            return None
        async with self.service.database.transaction() as session:
            await sessions.renew_session(session, vault=self.service.vault, found=found, tokens=tokens)
        return Open(found.id, tokens, found.version + 1)

    def check_sent_by_our_page(self, method: str, headers: Headers, value: str | None) -> None:
        """Refuse what another site has a browser send with its cookie, or to have one set. Raises Problem."""
        safe = method in SAFE
        ours = of_our_pages(
            self.settings.public_url, origin=headers.get("origin"), fetch_site=headers.get("sec-fetch-site"), safe=safe
        )
        told = headers.get(REQUEST_TOKEN, "").encode("latin-1")
        token = "" if value is None else sessions.request_token(self.service.vault, value)
        if not ours or not (safe or value is None or hmac.compare_digest(told, token.encode())):
            zh, en = "请从本站页面发起操作。", "Do this from a page of this site."
            raise Problem(403, "cross-site", zh, en)


class Front:
    """ASGI middleware of the front door."""

    def __init__(self, app: ASGIApp, *, service: Service, settings: GatewaySettings, sessions: Sessions) -> None:
        """Stand before `app`."""
        self._app = app
        self._service = service
        self._settings = settings
        self._sessions = sessions
        self._told = _ON_EVERY_ANSWER | (_BY_TLS if settings.secure else {})
        self._proxies = networks(settings.trusted_proxies)
        self._addresses = Pace(settings.limit_per_address)
        self._principals = Pace(settings.limit_per_principal)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in as whom it comes from, or answer a problem."""
        if scope["type"] != "http" or scope["path"] in _NOT_COUNTED:
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._told.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._admit(scope)
        except Problem as problem:
            if problem.refusal or problem.status == 429:
                REFUSALS.labels(self._service.name, problem.code).inc()
            REQUESTS.labels(self._service.name, "front", str(problem.status)).inc()
            await answer(Request(scope), problem)(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    async def _admit(self, scope: Scope) -> None:
        headers = MutableHeaders(scope=scope)
        check_headers(headers)
        if scope.get("client"):
            address = caller_address(scope["client"][0], headers.getlist("x-forwarded-for"), self._proxies)
            scope.setdefault("state", {})[ADDRESS] = address
            self._count(self._addresses, address)
        if not scope["path"].startswith(_API):
            return
        value = cookie_of(headers, self._settings.cookie(SESSION))
        if value and "authorization" not in headers:
            await self._by_cookie(scope, headers, value)
        await self._count_principal(headers.get("authorization", ""))
        if scope["method"] == "GET" and scope["path"].startswith(_BY_EVENT_SOURCE):
            _say_why(headers, scope["query_string"].decode("latin-1"))

    async def _by_cookie(self, scope: Scope, headers: MutableHeaders, value: str) -> None:
        try:
            found = await self._sessions.find(value)
        except IssuerAway:
            zh, en = "登录服务暂时没有回应，请稍后再试。", "The issuer does not answer now; try again in a moment."
            raise Problem(503, "issuer-away", zh, en, headers={"Retry-After": "2"}) from None
        except DATABASE_ERRORS:
            zh, en = "数据库暂时没有回应，请稍后再试。", "The database does not answer now; try again in a moment."
            raise Problem(503, "database-away", zh, en, headers={"Retry-After": "1"}) from None
        if found is None:
            return
        self._sessions.check_sent_by_our_page(scope["method"], headers, value)
        if found.resident:
            scope.setdefault("state", {})[RESIDENT] = found
            self._count(self._principals, found.id.hex())
        elif found.tokens is not None:
            headers["authorization"] = f"Bearer {found.tokens.access}"
            scope.setdefault("state", {})[BY_COOKIE] = True

    async def _count_principal(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return
        try:
            principal = await self._service.authenticator.verify(token)
        except NotAuthenticated:
            return  # whoever answers says so
        self._count(self._principals, principal.subject)

    @staticmethod
    def _count(pace: Pace, key: str) -> None:
        seconds = pace.wait(key, time.monotonic())
        if seconds:
            zh, en = "请求过于频繁，请稍后再试。", "Too many requests; come again later."
            raise Problem(429, "too-many-requests", zh, en, headers={"Retry-After": str(seconds)})


def _say_why(headers: MutableHeaders, query: str) -> None:
    """Take purpose and case from the address, where the headers name none."""
    named = dict(parse_qsl(query, max_num_fields=_FIELDS)) if query.count("&") < _FIELDS else {}
    if named.get("purpose") in set(Purpose) and "doorstep-purpose" not in headers:
        headers["doorstep-purpose"] = named["purpose"]
    if _ID.fullmatch(named.get("case", "")) and "doorstep-case" not in headers:
        headers["doorstep-case"] = named["case"]
