"""The issuer of development tokens: whoever asks gets one, so it exists in the embedded profile alone."""

import json
import os
import secrets
import time
from pathlib import Path
from uuid import uuid4

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

from doorstep.contracts.codes import COMMUNITY_OFFICE, HOTLINE, Department, Role
from doorstep.kit.auth import DEVELOPMENT_KEYS
from doorstep.local.clients import LIFETIME as CLIENT_LIFETIME
from doorstep.local.clients import Clients, UnknownClient, client_id
from doorstep.local.failures import PortTaken
from doorstep.local.ports import HOST
from doorstep.local.sign_in import Refused, SignIn

AUDIENCE = "doorstep"
STATION = "station"
LIFETIME = 12 * 3600  # seconds
KEY_ID_PREFIX = DEVELOPMENT_KEYS
"""Every key id begins so; an authenticator outside the embedded profile refuses such keys."""

_PORTAL = "national-portal"
_RESIDENT = "resident"
_AGENCIES = frozenset({STATION, COMMUNITY_OFFICE, _PORTAL, _RESIDENT, HOTLINE, *(str(one) for one in Department)})


class UnknownClaim(ValueError):
    """A token was asked for with a role or agency that does not exist."""


class Issuer:
    """Signs tokens with an RSA key kept in the data folder, and answers `/token`, the key set and the sign-in."""

    def __init__(self, key_file: Path, port: int) -> None:
        self._key_file = key_file
        self.clients = Clients(key_file.with_name("clients"))
        self._port = port
        self._key: RSAKey | None = None
        self._runner: web.AppRunner | None = None
        self._sign_in = SignIn(self.url, self._signing_key, self.token)

    @property
    def url(self) -> str:
        """The issuer's name, the `iss` of its tokens."""
        return f"http://{HOST}:{self._port}"

    @property
    def key_set_url(self) -> str:
        """Where the public key is."""
        return f"{self.url}/.well-known/jwks.json"

    @property
    def service_token_url(self) -> str:
        """Where services get tokens, by their client credentials."""
        return f"{self.url}/service-token"

    async def start(self) -> None:
        """Listen; raises PortTaken."""
        self._key = _kept_key(self._key_file)
        application = web.Application()
        application.router.add_get("/.well-known/jwks.json", self._answer_keys)
        application.router.add_post("/token", self._answer_token)
        application.router.add_post("/service-token", self._answer_service)
        self._sign_in.add_routes(application.router)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port).start()
        except OSError as cause:
            await self.stop()
            raise PortTaken(self._port) from cause

    async def stop(self) -> None:
        """Listen no longer."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def token(
        self,
        role: str,
        *,
        agency: str = STATION,
        station: str | None = None,
        subject: str | None = None,
        seconds: int = LIFETIME,
        account: str | None = None,
        office: str | None = None,
        heads: bool = False,
    ) -> str:
        """Return a signed token; raises UnknownClaim.

        `subject` is a random staff id, one is made up when none is given; `station` is the station a person works for;
        `account` is a service's (RFC 9068, section 2.2). `office` is the office that an officer serves in, `heads`
        says that they head it.
        """
        if role not in set(Role):
            raise UnknownClaim(f"role: one of {', '.join(Role)}")
        if agency not in _AGENCIES:
            raise UnknownClaim(f"agency: one of {', '.join(sorted(_AGENCIES))}")
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject or str(uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "role": role,
            "agency": agency,
        }
        if station is not None:
            claims["station"] = station
        if account is not None:
            claims["client_id"] = account
        if office is not None:
            claims["office"] = office
        if heads:
            claims["heads"] = True
        key = self._signing_key()
        return jwt.encode({"alg": "RS256", "kid": str(key.kid)}, claims, key, algorithms=["RS256"])

    def _signing_key(self) -> RSAKey:
        if self._key is None:
            self._key = _kept_key(self._key_file)
        return self._key

    async def _answer_keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self._signing_key().as_dict(private=False, use="sig", alg="RS256")]})

    async def _answer_token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = {name: value for name, value in form.items() if isinstance(value, str) and value}
        if "grant_type" in asked:
            try:
                return web.json_response(self._sign_in.exchange(asked), headers={"Cache-Control": "no-store"})
            except Refused as refused:
                return web.json_response({"error": str(refused)}, status=400)
        try:
            if asked.get("role") == Role.SERVICE:
                raise UnknownClaim("role: service is for those with a secret")
            token = self.token(
                asked.get("role", ""),
                agency=asked.get("agency", STATION),
                station=asked.get("station"),
                subject=asked.get("sub"),
                office=asked.get("office"),
                heads=asked.get("heads") == "true",
            )
        except UnknownClaim as unknown:
            problem = {"type": "about:blank", "title": "未知的身份 Unknown claim", "status": 400}
            problem["detail"] = str(unknown)
            return web.json_response(problem, status=400, content_type="application/problem+json")
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME})

    async def _answer_service(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            if form.get("grant_type") != "client_credentials":
                return web.json_response({"error": "unsupported_grant_type"}, status=400)
            name = self.clients.service(str(form.get("client_id", "")), str(form.get("client_secret", "")))
        except UnknownClient:
            return web.json_response({"error": "invalid_client"}, status=401)
        token = self.token(Role.SERVICE, subject=name, seconds=CLIENT_LIFETIME, account=client_id(name))
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": CLIENT_LIFETIME})


def _kept_key(path: Path) -> RSAKey:
    """Return the key at this path, made on the first call."""
    try:
        return RSAKey.import_key(json.loads(path.read_text(encoding="ascii")))
    except FileNotFoundError:
        pass
    key = RSAKey.generate_key(2048, {"kid": KEY_ID_PREFIX + secrets.token_hex(4)})
    partial = path.with_suffix(".new")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump(key.as_dict(private=True), file)
    partial.rename(path)
    return key
