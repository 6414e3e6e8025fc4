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

from doorstep.contracts.codes import COMMUNITY_OFFICE, Department, Role
from doorstep.local.failures import PortTaken
from doorstep.local.ports import HOST

AUDIENCE = "doorstep"
STATION = "station"
LIFETIME = 12 * 3600  # seconds
KEY_ID_PREFIX = "development-"
"""Every key id begins so; an authenticator outside the embedded profile refuses such keys."""

_PORTAL = "national-portal"
_AGENCIES = frozenset({STATION, COMMUNITY_OFFICE, _PORTAL, *(str(department) for department in Department)})


class UnknownClaim(ValueError):
    """A token was asked for with a role or agency that does not exist."""


class Issuer:
    """Signs tokens with an RSA key kept in the data folder, and answers `/token` and the key set."""

    def __init__(self, key_file: Path, port: int) -> None:
        self._key_file = key_file
        self._port = port
        self._key: RSAKey | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The issuer's name, the `iss` of its tokens."""
        return f"http://{HOST}:{self._port}"

    @property
    def key_set_url(self) -> str:
        """Where the public key is."""
        return f"{self.url}/.well-known/jwks.json"

    async def start(self) -> None:
        """Listen; raises PortTaken."""
        self._key = _kept_key(self._key_file)
        application = web.Application()
        application.router.add_get("/.well-known/jwks.json", self._answer_keys)
        application.router.add_post("/token", self._answer_token)
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

    def token(self, role: str, *, agency: str = STATION, station: str | None = None, subject: str | None = None) -> str:
        """Return a signed token; raises UnknownClaim.

        `subject` is a random staff id, one is made up when none is given; `station` is the station a person works for.
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
            "exp": now + LIFETIME,
            "role": role,
            "agency": agency,
        }
        if station is not None:
            claims["station"] = station
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
        try:
            token = self.token(
                asked.get("role", ""),
                agency=asked.get("agency", STATION),
                station=asked.get("station"),
                subject=asked.get("sub"),
            )
        except UnknownClaim as unknown:
            problem = {"type": "about:blank", "title": "未知的身份 Unknown claim", "status": 400}
            problem["detail"] = str(unknown)
            return web.json_response(problem, status=400, content_type="application/problem+json")
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME})


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
