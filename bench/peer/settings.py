"""What a process of the peer is told by its environment, and who calls it."""

import asyncio
import base64
from dataclasses import dataclass
from typing import Annotated

import aiohttp
from fastapi import Header, HTTPException, Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic_settings import BaseSettings, SettingsConfigDict


class PeerSettings(BaseSettings):
    """PEER_<NAME> in the environment; `services` has the address of each service."""

    model_config = SettingsConfigDict(env_prefix="PEER_")

    database_url: str = ""
    kafka: str
    issuer: str
    jwks_url: str
    audience: str
    column_key: str
    port: int
    services: dict[str, str] = {}
    fetch_wait_ms: int = 20

    @property
    def key(self) -> bytes:
        """The key that encrypts personal columns."""
        return base64.b64decode(self.column_key)


@dataclass(frozen=True)
class Caller:
    """Who calls, as the token says."""

    subject: str
    role: str
    agency: str
    station: str | None


class Tokens:
    """Checks tokens by the issuer's keys, which are asked for once."""

    def __init__(self, settings: PeerSettings) -> None:
        self._settings = settings
        self._keys: KeySet | None = None
        self._lock = asyncio.Lock()
        self._claims = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
        )

    async def verify(self, token: str) -> Caller:
        """The caller; raises HTTPException 401."""
        try:
            claims = jwt.decode(token, await self._key_set(), algorithms=["RS256"]).claims
            self._claims.validate(claims)
        except (JoseError, ValueError, KeyError):
            raise HTTPException(401) from None
        return Caller(claims["sub"], claims["role"], claims["agency"], claims.get("station"))

    async def _key_set(self) -> KeySet:
        async with self._lock:
            if self._keys is None:
                async with aiohttp.ClientSession() as client, client.get(self._settings.jwks_url) as answer:
                    self._keys = KeySet.import_key_set(await answer.json())
        return self._keys


async def caller(request: Request, authorization: Annotated[str, Header()] = "") -> Caller:
    """The authenticated caller of a request; raises HTTPException 401."""
    tokens: Tokens = request.app.state.tokens
    return await tokens.verify(authorization.removeprefix("Bearer "))
