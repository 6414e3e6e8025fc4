"""HTTP: signing in and out with a browser, by the code flow of the issuer, and who is signed in."""

import hmac
import secrets
import time
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, RedirectResponse, Response

from doorstep.contracts.codes import Role
from doorstep.gateway.api.front import REQUEST_TOKEN, RESIDENT, SESSION, Sessions, cookie_of
from doorstep.gateway.domain.session import PAGE, Beginning, Tokens
from doorstep.gateway.errors import IssuerAway, NoSignIn, SignInRefused
from doorstep.gateway.operations import sessions
from doorstep.gateway.operations.residents import account_of, sign_in_by_account
from doorstep.gateway.operations.sessions import Open
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.auth import NotAuthenticated
from doorstep.kit.problems import Problem
from doorstep.kit.service import ServiceDep, SessionDep, Visibility, visible_to
from doorstep.kit.vault import NOBODY, SealBroken, SubjectErased, Vault

router = APIRouter(include_in_schema=False)

BEGINNING = "sign_in"
_LASTS = 600
_SEALED = "SignIn"


class WhoIsSignedIn(BaseModel):
    """What a page is told of its reader, and nothing else."""

    role: Role
    agency: str
    station: str | None


class ResidentSignedIn(WhoIsSignedIn):
    """The same of a resident: whether it is known who they are, and whether they signed in with an account."""

    known: bool
    account: bool


@router.get("/sign-in")
@visible_to(Visibility.PUBLIC)
async def sign_in(request: Request, page: Annotated[str, Query(max_length=100, pattern=f"^{PAGE}$")]) -> Response:
    """Send the browser to the issuer; after that it comes back to `page`."""
    asked: Sessions = request.app.state.sessions
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    beginning = Beginning(state, nonce, verifier, page, time.time() + _LASTS)
    try:
        address = await asked.issuer.sign_in_address(beginning)
    except NoSignIn:
        raise _no_sign_in() from None
    except IssuerAway:
        raise _away() from None
    response = RedirectResponse(address, status_code=303)
    sealed = await _sealed(asked.service.vault, beginning)
    response.set_cookie(
        asked.settings.cookie(BEGINNING), sealed, max_age=_LASTS, httponly=True, secure=asked.settings.secure,
        samesite="lax",  # it has to come back with the issuer's redirect
    )  # fmt: skip
    return response


@router.get("/sign-in/callback")
@visible_to(Visibility.PUBLIC)
async def callback(
    request: Request,
    session: SessionDep,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4096)] = "",
    iss: Annotated[str | None, Query(max_length=1000)] = None,
) -> Response:
    """Take the code that the issuer gave the browser, and open a session under a new cookie."""
    asked: Sessions = request.app.state.sessions
    sealed = cookie_of(request.headers, asked.settings.cookie(BEGINNING))
    beginning = await _opened(asked.service.vault, sealed or "")
    if beginning is None or not hmac.compare_digest(state.encode(), beginning.state.encode()):
        zh, en = "登录已过期或不是在这里开始的，请重新登录。", "This sign-in is over or began elsewhere; begin again."
        raise Problem(400, "sign-in-unknown", zh, en)
    try:
        if not code or iss not in (None, asked.settings.issuer):  # RFC 9207, section 2.4
            raise SignInRefused
        tokens = await asked.issuer.exchange(code, beginning)
    except (SignInRefused, NoSignIn):
        zh, en = "登录未完成，或该账户在本站没有身份。", "Not signed in, or this account has no role here."
        raise Problem(403, "sign-in-refused", zh, en) from None
    except IssuerAway:
        raise _away() from None
    value = await _open(asked, session, request, tokens)
    response = RedirectResponse(beginning.page, status_code=303)
    set_session(response, asked.settings, value)
    secure = asked.settings.secure
    response.delete_cookie(asked.settings.cookie(BEGINNING), httponly=True, secure=secure, samesite="lax")
    return response


async def _open(asked: Sessions, session: AsyncSession, request: Request, tokens: Tokens) -> str:
    """Open a session of whom the tokens name; of a resident, of whom their account is linked to."""
    vault, principal = asked.service.vault, await asked.service.authenticator.verify(tokens.access)
    opening = asked.opening(request.headers, resident=principal.role is Role.RESIDENT)
    if principal.role is not Role.RESIDENT:
        return await sessions.open_session(
            session, vault=vault, opening=opening, tokens=tokens, owner=principal.subject
        )
    account = account_of(vault, asked.settings.issuer, principal.subject, tokens)
    return await sign_in_by_account(session, vault=vault, account=account, opening=opening)


def set_session(response: Response, settings: GatewaySettings, value: str | None) -> None:
    """Give the browser the cookie of its session, or take it away."""
    name = settings.cookie(SESSION)
    if value is None:
        response.delete_cookie(name, httponly=True, secure=settings.secure, samesite="strict")
    else:
        response.set_cookie(name, value, httponly=True, secure=settings.secure, samesite="strict")


@router.post("/sign-out")
@visible_to(Visibility.CALLER)
async def sign_out(request: Request, session: SessionDep) -> Response:
    """End the session here; `continue` is where the browser signs out at the issuer too."""
    asked: Sessions = request.app.state.sessions
    onward = None
    value = cookie_of(request.headers, asked.settings.cookie(SESSION))
    if value:
        asked.check_sent_by_our_page("POST", request.headers, value)
        tokens = await sessions.end_session(session, vault=asked.service.vault, value=value)
        onward = None if tokens is None else await _onward(asked, tokens.identity)
    response = JSONResponse({"continue": onward})
    set_session(response, asked.settings, None)
    return response


async def _onward(asked: Sessions, identity: str) -> str | None:
    """Where the issuer is told; an issuer that is away does not keep anybody signed in here."""
    try:
        return await asked.issuer.sign_out_address(identity)
    except (NoSignIn, IssuerAway):
        return None


@router.get("/api/session")
@visible_to(Visibility.CALLER)
async def who_is_signed_in(
    request: Request, service: ServiceDep, authorization: Annotated[str, Header()] = ""
) -> Response:
    """Who is signed in, and in a header what their pages say when they change something."""
    asked: Sessions = request.app.state.sessions
    resident: Open | None = getattr(request.state, RESIDENT, None)
    if resident is not None:
        known, account = resident.subject_id is not None, resident.account is not None
        who = ResidentSignedIn(role=Role.RESIDENT, agency="resident", station=None, known=known, account=account)
        return _told(asked, request, who)
    try:
        principal = await service.authenticator.verify(authorization.partition(" ")[2])
    except NotAuthenticated:
        await _offered(asked)
        raise Problem(401, "not-signed-in", "请先登录。", "Sign in first.", refusal=False) from None
    return _told(asked, request, WhoIsSignedIn(role=principal.role, agency=principal.agency, station=principal.station))


def _told(asked: Sessions, request: Request, who: WhoIsSignedIn) -> Response:
    value = cookie_of(request.headers, asked.settings.cookie(SESSION))
    headers = {REQUEST_TOKEN: sessions.request_token(asked.service.vault, value)} if value else None
    return JSONResponse(who.model_dump(mode="json"), headers=headers)


async def _offered(asked: Sessions) -> None:
    try:
        await asked.issuer.metadata()
    except NoSignIn:
        raise _no_sign_in() from None
    except IssuerAway:
        return


def _no_sign_in() -> Problem:
    zh, en = "这里没有设置网页登录，请使用访问令牌。", "Browsers do not sign in here; send an access token."
    return Problem(404, "no-sign-in", zh, en, refusal=False)


def _away() -> Problem:
    zh, en = "登录服务暂时没有回应，请稍后再试。", "The issuer does not answer now; try again in a moment."
    return Problem(503, "issuer-away", zh, en, headers={"Retry-After": "2"})


async def _sealed(vault: Vault, beginning: Beginning) -> str:
    ring = await vault.ring([NOBODY], create=True)
    return ring.encrypt(NOBODY, _SEALED, beginning.to_bytes()).hex()


async def _opened(vault: Vault, sealed: str) -> Beginning | None:
    """The sign-in that a cookie begins; None if it is none of ours, or over."""
    ring = await vault.ring([NOBODY], create=True)
    try:
        beginning = Beginning.from_bytes(ring.decrypt(NOBODY, _SEALED, bytes.fromhex(sealed)))
    except (SealBroken, SubjectErased, ValueError):
        return None
    return beginning if beginning.ends_at > time.time() else None
