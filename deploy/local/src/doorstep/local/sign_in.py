"""The development issuer's sign-in: a page on which one chooses who to be, and the code flow with proof of key.

OpenID Connect Core 1.0, RFC 7636 (S256 alone), RFC 9207, RP-Initiated Logout 1.0; refresh tokens are used once, and one
that comes again ends its sign-in. It sends browsers back to this machine alone. What it knows is gone when it stops.
"""

import base64
import hashlib
import html
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import NAMESPACE_URL, uuid4, uuid5

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from doorstep.contracts.codes import AGENCY_NAMES, Department, Role
from doorstep.local.ports import HOST

CLIENT = "doorstep-page"
ACCESS_SECONDS = 300
_CODE_SECONDS = 60
_FIRST_STATION = "station-1"
_ROLES = {
    Role.COLLECTOR: "采集员 collector",
    Role.REVIEWER: "审核员 reviewer",
    Role.SUPERVISOR: "监督员 supervisor",
    Role.AUDITOR: "审计员 auditor",
    Role.OPERATOR: "运维员 operator",
}
_RESIDENTS = {
    "resident": "居民（账户一） resident, first account",
    "resident-2": "居民（账户二） resident, second account",
}
_PAGE = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>登录 Sign in</title><style>body{{font:16px/1.6 system-ui,sans-serif;max-width:30rem;margin:3rem auto}}
button{{display:block;width:100%;padding:.6rem;margin:.4rem 0;font:inherit;text-align:left}}</style>
<h1>以谁的身份登录？ Sign in as</h1><p>仅供开发和演示，不是真实登录。 For development and demonstration alone.</p>
<form method="post">{hidden}{buttons}</form></html>"""


@dataclass(frozen=True)
class Person:
    """Somebody whom one can choose to be; the same choice is the same person."""

    role: str
    agency: str
    station: str | None
    account: str = ""

    @property
    def subject(self) -> str:
        """What the issuer calls them."""
        return str(uuid5(NAMESPACE_URL, f"doorstep:{self.role}/{self.agency}{self.account}"))


PEOPLE = (
    {f"{role}": Person(role, "station", _FIRST_STATION) for role in _ROLES}
    | {f"officer-{one}": Person(Role.OFFICER, one, None) for one in Department}
    | {name: Person(Role.RESIDENT, "resident", None, name) for name in _RESIDENTS}
)


@dataclass(frozen=True)
class _Asked:
    """What a client asked for when it sent a browser."""

    redirect_uri: str
    state: str
    nonce: str
    challenge: str


@dataclass(frozen=True)
class _Granted:
    """What a code stands for, until `ends`."""

    person: Person
    asked: _Asked
    ends: float


class Refused(Exception):
    """The request is not one of the flow; the argument is the error's code of RFC 6749."""


def _asked(given: Any) -> _Asked:
    values = {name: given.get(name, "") for name in ("redirect_uri", "state", "nonce", "code_challenge")}
    redirect = urlsplit(values["redirect_uri"])
    known = given.get("client_id") == CLIENT and redirect.scheme == "http" and redirect.hostname == HOST
    if not known or redirect.path != "/sign-in/callback" or given.get("response_type") != "code":
        raise Refused("invalid_request")
    if given.get("code_challenge_method") != "S256" or not values["code_challenge"]:
        raise Refused("invalid_request")
    return _Asked(values["redirect_uri"], values["state"], values["nonce"], values["code_challenge"])


class SignIn:
    """What the issuer answers to browsers, and to the client that sends them."""

    def __init__(self, url: str, key: Callable[[], RSAKey], token: Callable[..., str]) -> None:
        """Sign as `url` by `key`; `token` makes access tokens."""
        self._url = url
        self._key = key
        self._token = token
        self._codes: dict[str, _Granted] = {}
        self._refresh: dict[str, tuple[str, Person]] = {}
        self._used: dict[str, str] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer at the addresses that the metadata name; the token endpoint is the issuer's own."""
        router.add_get("/.well-known/openid-configuration", self._answer_metadata)
        router.add_get("/authorize", self._answer_authorize)
        router.add_post("/authorize", self._answer_choice)
        router.add_get("/sign-out", self._answer_sign_out)

    async def _answer_metadata(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self._url,
                "authorization_endpoint": f"{self._url}/authorize",
                "token_endpoint": f"{self._url}/token",
                "end_session_endpoint": f"{self._url}/sign-out",
                "jwks_uri": f"{self._url}/.well-known/jwks.json",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _answer_authorize(self, request: web.Request) -> web.Response:
        try:
            _asked(request.query)
        except Refused as refused:
            return web.json_response({"error": str(refused)}, status=400)
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in request.query.items()
        )
        buttons = "".join(
            f'<button name="person" value="{name}">{html.escape(_title(person))}</button>'
            for name, person in PEOPLE.items()
        )
        return web.Response(text=_PAGE.format(hidden=hidden, buttons=buttons), content_type="text/html")

    async def _answer_choice(self, request: web.Request) -> web.Response:
        given = await request.post()
        try:
            asked = _asked(given)
            person = PEOPLE[str(given.get("person"))]
        except (Refused, KeyError):
            return web.json_response({"error": "invalid_request"}, status=400)
        code = secrets.token_urlsafe(24)
        self._codes = {one: granted for one, granted in self._codes.items() if granted.ends > time.time()}
        self._codes[code] = _Granted(person, asked, time.time() + _CODE_SECONDS)
        back = urlencode({"code": code, "state": asked.state, "iss": self._url})
        raise web.HTTPSeeOther(f"{asked.redirect_uri}?{back}")

    def exchange(self, form: dict[str, str]) -> dict[str, Any]:
        """What the token endpoint answers to a code or refresh token. Raises Refused."""
        if form.get("client_id") != CLIENT:
            raise Refused("invalid_client")
        if form["grant_type"] == "authorization_code":
            return self._for_code(form)
        if form["grant_type"] == "refresh_token":
            return self._for_refresh(form.get("refresh_token", ""))
        raise Refused("unsupported_grant_type")

    def _for_code(self, form: dict[str, str]) -> dict[str, Any]:
        granted = self._codes.pop(form.get("code", ""), None)
        proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        if granted is None or granted.ends < time.time() or challenge != granted.asked.challenge:
            raise Refused("invalid_grant")
        if form.get("redirect_uri") != granted.asked.redirect_uri:
            raise Refused("invalid_grant")
        return self._given(str(uuid4()), granted.person, granted.asked.nonce)

    def _for_refresh(self, token: str) -> dict[str, Any]:
        found = self._refresh.pop(token, None)
        if found is None:
            self._end(self._used.get(token, ""))
            raise Refused("invalid_grant")
        self._used[token] = found[0]
        return self._given(*found, nonce=None)

    def _given(self, sign_in: str, person: Person, nonce: str | None) -> dict[str, Any]:
        access = self._token(
            person.role, agency=person.agency, station=person.station, subject=person.subject, seconds=ACCESS_SECONDS
        )
        now = int(time.time())
        half = hashlib.sha256(access.encode()).digest()[:16]
        claims: dict[str, Any] = {
            "iss": self._url, "aud": CLIENT, "sub": person.subject, "iat": now, "exp": now + ACCESS_SECONDS,
            "sid": sign_in, "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        }  # fmt: skip
        if nonce:
            claims["nonce"] = nonce
        key = self._key()
        refresh = secrets.token_urlsafe(32)
        self._refresh[refresh] = (sign_in, person)
        return {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": ACCESS_SECONDS,
            "refresh_token": refresh,
            "id_token": jwt.encode({"alg": "RS256", "kid": str(key.kid)}, claims, key, algorithms=["RS256"]),
        }

    def _end(self, sign_in: str) -> None:
        self._refresh = {token: found for token, found in self._refresh.items() if found[0] != sign_in}

    async def _answer_sign_out(self, request: web.Request) -> web.Response:
        try:
            hint = jwt.decode(request.query.get("id_token_hint", ""), self._key(), algorithms=["RS256"])
        except (JoseError, ValueError):
            return web.json_response({"error": "invalid_request"}, status=400)
        self._end(str(hint.claims.get("sid")))
        onward = request.query.get("post_logout_redirect_uri", "")
        if urlsplit(onward).hostname != HOST:
            return web.Response(text="已退出 Signed out")
        raise web.HTTPSeeOther(onward)


def _title(person: Person) -> str:
    if person.role == Role.OFFICER:
        zh, en = AGENCY_NAMES[person.agency]
        return f"{zh}经办人 officer, {en.lower()}"
    return _RESIDENTS.get(person.account) or _ROLES[Role(person.role)]
