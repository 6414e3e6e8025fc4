"""The issuer as its client sees it: where people sign in and out, and what it gives for a code (OpenID Connect Core).

Invariants: proof of key by S256 always (RFC 7636); the ID token is signed by the issuer, for this client and this
sign-in; it names whom the access token names; no redirect of the issuer's is followed.
"""

import time
from collections.abc import Callable
from typing import Any

import aiohttp
from authlib.oauth2 import OAuth2Client
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749 import OAuth2Token
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc.errors import JoseError
from yarl import URL

from doorstep.gateway.domain.session import Beginning, Tokens
from doorstep.gateway.errors import IssuerAway, NoSignIn, SignInRefused
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.auth import Authenticator, NotAuthenticated

CALLBACK = "/sign-in/callback"
_NEEDED = ("authorization_endpoint", "token_endpoint")
_KEPT = 3600.0
_LEEWAY = 30
_WAIT = aiohttp.ClientTimeout(total=5, connect=3)
_AWAY = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class _Client(OAuth2Client):  # type: ignore[misc]
    """Authlib's client over aiohttp: what it says to the token endpoint, and what it takes for an answer."""

    async def _fetch_token(
        self, url: str, body: str = "", headers: Any = None, auth: ClientAuth | None = None, method: str = "POST"
    ) -> OAuth2Token:
        assert auth is not None  # noqa: S101
        url, headers, body = auth.prepare(method, url, dict(headers), body)
        try:
            async with self.session.post(
                url, data=body, headers=headers, allow_redirects=False, timeout=_WAIT
            ) as answer:
                if answer.status >= 500 or answer.status == 429:
                    raise IssuerAway
                told = await answer.json(content_type=None)
        except _AWAY:
            raise IssuerAway from None
        if not isinstance(told, dict) or not isinstance(told.get("access_token"), str):
            raise SignInRefused
        return OAuth2Token.from_dict(told)

    async def _refresh_token(
        self, url: str, refresh_token: str, body: str = "", headers: Any = None, auth: ClientAuth | None = None
    ) -> OAuth2Token:
        return {"refresh_token": refresh_token} | await self._fetch_token(url, body, headers, auth)


class Issuer:
    """What the gateway asks of the issuer. Its metadata is asked for once an hour."""

    def __init__(
        self, settings: GatewaySettings, http: Callable[[], aiohttp.ClientSession], keys: Callable[[], Authenticator]
    ) -> None:
        """Ask by `http`; `keys` check what the issuer signed."""
        self._settings = settings
        self._http = http
        self._keys = keys
        self._metadata: dict[str, Any] = {}
        self._asked = -_KEPT

    async def metadata(self) -> dict[str, Any]:
        """What the issuer says of itself (OpenID Connect Discovery). Raises IssuerAway, NoSignIn."""
        if not self._settings.public_url:
            raise NoSignIn
        if time.monotonic() - self._asked > _KEPT or not self._metadata:
            address = get_well_known_url(self._settings.issuer, external=True)
            try:
                async with self._http().get(address, allow_redirects=False, timeout=_WAIT) as answer:
                    if answer.status == 404:
                        raise NoSignIn
                    answer.raise_for_status()
                    told = await answer.json(content_type=None)
            except _AWAY:
                raise IssuerAway from None
            if not isinstance(told, dict) or told.get("issuer") != self._settings.issuer:
                raise NoSignIn
            self._metadata, self._asked = told, time.monotonic()
        if not all(isinstance(self._metadata.get(name), str) for name in _NEEDED):
            raise NoSignIn
        return self._metadata

    def _client(self) -> _Client:
        return _Client(
            self._http(),
            self._settings.page_client_id,
            self._settings.page_client_secret.get_secret_value() or None,
            scope="openid",
            redirect_uri=self._settings.public_url + CALLBACK,
            code_challenge_method="S256",
        )

    async def sign_in_address(self, beginning: Beginning) -> str:
        """Where the browser is sent to sign in. Raises IssuerAway, NoSignIn."""
        endpoint = (await self.metadata())["authorization_endpoint"]
        address, _ = self._client().create_authorization_url(
            endpoint, beginning.state, beginning.verifier, nonce=beginning.nonce
        )
        return str(address)

    async def exchange(self, code: str, beginning: Beginning) -> Tokens:
        """What a code is given for. Raises IssuerAway, NoSignIn, SignInRefused."""
        endpoint = (await self.metadata())["token_endpoint"]
        told = await self._client().fetch_token(
            endpoint, grant_type="authorization_code", code=code, code_verifier=beginning.verifier
        )
        tokens = _tokens(told, "")
        await self._check(tokens, beginning.nonce)
        return tokens

    async def renewed(self, tokens: Tokens) -> Tokens:
        """What the refresh token is given for. Raises IssuerAway, NoSignIn, SignInRefused."""
        if tokens.refresh is None:
            raise SignInRefused
        endpoint = (await self.metadata())["token_endpoint"]
        told = await self._client().refresh_token(endpoint, refresh_token=tokens.refresh)
        return _tokens(told, tokens.identity)

    async def _check(self, tokens: Tokens, nonce: str) -> None:
        """OpenID Connect Core, section 3.1.3.7."""
        try:
            signed = await self._keys().signed(tokens.identity)
            principal = await self._keys().verify(tokens.access)
            options: Any = {
                "iss": {"essential": True, "value": self._settings.issuer},
                "aud": {"essential": True, "value": self._settings.page_client_id},
            }
            params = {"nonce": nonce, "client_id": self._settings.page_client_id, "access_token": tokens.access}
            claims = CodeIDToken(signed.claims, signed.header, options, params)
            claims.validate(leeway=_LEEWAY)
        except (NotAuthenticated, JoseError, ValueError, TypeError, KeyError):
            raise SignInRefused from None
        if claims["sub"] != principal.subject:
            raise SignInRefused

    async def sign_out_address(self, identity: str) -> str | None:
        """Where the browser is sent to sign out at the issuer too (RP-Initiated Logout); None if it has no such place.

        Raises IssuerAway, NoSignIn.
        """
        endpoint = (await self.metadata()).get("end_session_endpoint")
        if not isinstance(endpoint, str):
            return None
        query = {
            "client_id": self._settings.page_client_id,
            "id_token_hint": identity,
            "post_logout_redirect_uri": self._settings.public_url + "/",
        }
        return str(URL(endpoint).update_query(query))


def _tokens(told: OAuth2Token, identity: str) -> Tokens:
    expires_at, refresh, given = told.get("expires_at"), told.get("refresh_token"), told.get("id_token", identity)
    if not isinstance(expires_at, int) or not isinstance(given, str):
        raise SignInRefused
    return Tokens(told["access_token"], refresh if isinstance(refresh, str) else None, given, float(expires_at))
