"""HTTP: the pages of a record's journey, of who saw one's data, of auditors; signing in with a development token."""

from importlib.resources import files
from typing import Annotated
from uuid import UUID

import aiohttp
from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from doorstep.kit.problems import Problem
from doorstep.kit.service import DEVELOPMENT_PROFILE, Visibility, visible_to

router = APIRouter(include_in_schema=False)

COOKIE = "doorstep_session"
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_SCRIPT, _STYLE = "text/javascript", "text/css"
_ASSETS = {
    "journey.js": _SCRIPT,
    "journey.css": _STYLE,
    "audit.js": _SCRIPT,
    "audit-words.js": _SCRIPT,
    "audit.css": _STYLE,
    "usage.js": _SCRIPT,
    "usage.css": _STYLE,
}


def _asset(name: str) -> str:
    return (files("doorstep.gateway") / "pages" / name).read_text(encoding="utf-8")


@router.get("/journeys/{record_id}")
@visible_to(Visibility.PUBLIC)
async def journey_page(record_id: UUID) -> HTMLResponse:
    """The page of a record's journey; what it shows it asks for itself."""
    return HTMLResponse(_asset("journey.html"), headers=_SECURITY)


@router.get("/usage")
@visible_to(Visibility.PUBLIC)
async def usage_page() -> HTMLResponse:
    """The page on which residents see who used their data; the code that they type stands in no address."""
    return HTMLResponse(_asset("usage.html"), headers=_SECURITY)


@router.get("/audit")
@visible_to(Visibility.PUBLIC)
async def audit_page() -> HTMLResponse:
    """The auditors' page: the log's state, its gaps, what is to be asked about, a search; it asks for all itself."""
    return HTMLResponse(_asset("audit.html"), headers=_SECURITY)


@router.get("/pages/{name}")
@visible_to(Visibility.PUBLIC)
async def asset(name: str) -> Response:
    """A file of a page."""
    if name not in _ASSETS:
        raise Problem(404, "no-such-page", "没有这个文件。", "No such file.")
    return Response(_asset(name), media_type=_ASSETS[name], headers=_SECURITY)


@router.get("/sign-in")
@visible_to(Visibility.PUBLIC)
async def sign_in(request: Request, record: Annotated[UUID, Query()]) -> Response:
    """Sign in as a made-up reviewer of the station: on the embedded profile alone, then back to the record."""
    return await _signed_in(request, f"/journeys/{record}", role="reviewer", agency="station", station="station-1")


@router.get("/sign-in/auditor")
@visible_to(Visibility.PUBLIC)
async def sign_in_as_auditor(request: Request) -> Response:
    """Sign in as a made-up auditor: on the embedded profile alone, then to the auditors' page."""
    return await _signed_in(request, "/audit", role="auditor", agency="station")


async def _signed_in(request: Request, page: str, **form: str) -> Response:
    """To `page`, with the session of somebody whom the development issuer makes up by `form`."""
    settings = request.app.state.service.settings
    if settings.profile != DEVELOPMENT_PROFILE:
        raise Problem(404, "no-such-page", "没有这个页面。", "No such page.")
    client: aiohttp.ClientSession = request.app.state.client()
    try:
        async with client.post(f"{settings.issuer}/token", data=form) as answer:
            token = (await answer.json())["access_token"]
    except (aiohttp.ClientError, TimeoutError, OSError):
        zh, en = "登录服务暂时没有回应，请稍后再试。", "The issuer does not answer now; try again in a moment."
        raise Problem(503, "issuer-away", zh, en, headers={"Retry-After": "2"}) from None
    response = RedirectResponse(page, status_code=303)
    response.set_cookie(COOKIE, token, max_age=3600, httponly=True, samesite="strict")
    return response
