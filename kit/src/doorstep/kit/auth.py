"""Who calls: access tokens, checked in every service against the issuer's keys."""

import asyncio
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from doorstep.contracts.codes import Role

DEVELOPMENT_KEYS = "development-"
"""So begin the ids of keys that sign for whoever asks."""

_Checked = TypeVar("_Checked")
_ALGORITHMS = ["RS256"]
_LEEWAY = 30
_LONGEST = 8192
_KEYS_SERVE = 3600.0
_SOON = 600.0
_ASK_AGAIN = 10.0
_REMEMBERED = 30.0
_MOST_REMEMBERED = 2048


class NotAuthenticated(Exception):
    """The caller showed no token that this service accepts."""


@dataclass(frozen=True)
class Principal:
    """A caller. `subject` is a random id; `agency` is `station` or a department; `station` is where they serve.

    `account` is a service's, by the claim `client_id` (RFC 9068, section 2.2), or `azp` where an issuer has that alone.
    `office` is the id, in the service directory, of the office where an officer serves; `heads` says that they head it.
    """

    subject: str
    role: Role
    agency: str
    station: str | None = None
    account: str | None = None
    office: str | None = None
    heads: bool = False


class Authenticator:
    """Checks tokens of one issuer for one audience; keeps the issuer's keys for an hour, so that it may be away.

    A token that was accepted is accepted again for half a minute, unless it expires or the keys are asked for anew.
    """

    def __init__(self, *, issuer: str, jwks_url: str, audience: str, development: bool = False) -> None:
        """Accept tokens of `issuer` for `audience`, signed by a key published at `jwks_url`.

        Keys of the development issuer count in `development` alone.
        """
        self._jwks_url = jwks_url
        self._development = development
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
            role={"essential": True},
            agency={"essential": True},
        )
        self._keys = KeySet([])
        self._accepted: dict[str, tuple[float, Principal]] = {}
        self._asked = -_ASK_AGAIN
        self._answered = -_KEYS_SERVE
        self._asking = asyncio.Lock()
        self._renewing: asyncio.Task[bool] | None = None

    async def verify(self, token: str) -> Principal:
        """The principal that `token` names. Raises NotAuthenticated, which never says why in detail."""
        return await self._with_keys(token, self._decode)

    async def signed(self, token: str) -> jwt.Token:
        """Header and claims of a `token` that the issuer signed, for whomever and until whenever.

        Raises NotAuthenticated.
        """
        return await self._with_keys(token, self._opened)

    async def _with_keys(self, token: str, check: Callable[[str], _Checked]) -> _Checked:
        if len(token) > _LONGEST:
            raise NotAuthenticated("too long")
        answered = self._answered
        if _SOON < time.monotonic() - answered < _KEYS_SERVE:
            self._renew(answered)
        found = self._checked(token, check)
        if found is None and self._needs_keys(token) and await self._refresh(answered):
            found = self._checked(token, check)
        if found is None:
            raise NotAuthenticated("not valid")
        return found

    @staticmethod
    def _checked(token: str, check: Callable[[str], _Checked]) -> _Checked | None:
        try:
            return check(token)
        except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def _needs_keys(self, token: str) -> bool:
        """Whether other keys might make a difference: ours are old, or the token names one that we do not know."""
        if time.monotonic() - self._answered > _KEYS_SERVE:
            return True
        try:
            name = json.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))["kid"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        return name not in {key.kid for key in self._keys.keys}

    def _renew(self, answered: float) -> None:
        """Ask for the keys beside the requests, so that none waits and a withdrawn key soon serves no more."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._refresh(answered))

    def _opened(self, token: str) -> jwt.Token:
        if time.monotonic() - self._answered > _KEYS_SERVE:
            raise ValueError("no keys")
        return jwt.decode(token, self._keys, algorithms=_ALGORITHMS)

    def _decode(self, token: str) -> Principal:
        if time.monotonic() - self._answered > _KEYS_SERVE:
            raise ValueError("no keys")
        until, principal = self._accepted.get(token, (0.0, None))
        if principal is not None and time.time() < until:
            return principal
        decoded = self._opened(token)
        self._claims.validate(decoded.claims)
        claims = decoded.claims
        station = claims.get("station")
        if not isinstance(claims["sub"], str) or not isinstance(claims["agency"], str):
            raise ValueError("claims of another type")
        role = Role(claims["role"])
        account = claims.get("client_id", claims.get("azp")) if role is Role.SERVICE else None
        where, who = str(station) if station else None, str(account) if account else None
        office = claims.get("office")
        heads = claims.get("heads") is True
        principal = Principal(claims["sub"], role, claims["agency"], where, who, str(office) if office else None, heads)
        if len(self._accepted) >= _MOST_REMEMBERED:
            self._accepted.clear()
        self._accepted[token] = (min(time.time() + _REMEMBERED, claims["exp"]), principal)
        return principal

    async def _refresh(self, answered: float) -> bool:
        """Ask the issuer for its keys, at most once in ten seconds; whether new keys came since `answered`."""
        async with self._asking:
            if self._answered > answered:  # for somebody who asked while we waited
                return True
            if time.monotonic() - self._asked < _ASK_AGAIN:
                return False
            self._asked = time.monotonic()
            try:
                timeout = aiohttp.ClientTimeout(total=5)
                async with aiohttp.ClientSession(timeout=timeout) as client, client.get(self._jwks_url) as answer:
                    answer.raise_for_status()
                    self._keys = self._trusted(KeySet.import_key_set(await answer.json()))
                    self._accepted.clear()
            except (aiohttp.ClientError, JoseError, OSError, ValueError, TimeoutError):
                return False
            self._answered = time.monotonic()
            return True

    def _trusted(self, keys: KeySet) -> KeySet:
        if self._development:
            return keys
        return KeySet([key for key in keys.keys if not str(key.kid).startswith(DEVELOPMENT_KEYS)])
