"""HTTP: the pages of a record's journey, of one's own requests, of who saw one's data, of all who work."""

from importlib.resources import files
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from doorstep.kit.problems import Problem
from doorstep.kit.service import Visibility, visible_to

router = APIRouter(include_in_schema=False)

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
    "own.js": _SCRIPT,
    "own.css": _STYLE,
    "notices.js": _SCRIPT,
    "office.js": _SCRIPT,
    "office-acts.js": _SCRIPT,
    "papers.js": _SCRIPT,
    "office.css": _STYLE,
    "usage.js": _SCRIPT,
    "usage.css": _STYLE,
    "desk.js": _SCRIPT,
    "desk-acts.js": _SCRIPT,
    "desk-words.js": _SCRIPT,
    "desk.css": _STYLE,
    "asking.js": _SCRIPT,
    "conferences.js": _SCRIPT,
    "session.js": _SCRIPT,
    "board.js": _SCRIPT,
    "board.css": _STYLE,
}


def _asset(name: str) -> str:
    return (files("doorstep.gateway") / "pages" / name).read_text(encoding="utf-8")


@router.get("/journeys/{record_id}")
@visible_to(Visibility.PUBLIC)
async def journey_page(record_id: UUID) -> HTMLResponse:
    """The page of a record's journey; what it shows it asks for itself."""
    return HTMLResponse(_asset("journey.html"), headers=_SECURITY)


@router.get("/")
@visible_to(Visibility.PUBLIC)
async def first_page() -> HTMLResponse:
    """Where whoever signed out comes to: the ways in."""
    return HTMLResponse(_asset("index.html"), headers=_SECURITY)


@router.get("/own")
@visible_to(Visibility.PUBLIC)
async def own_page() -> HTMLResponse:
    """The page on which residents ask, follow, withdraw, rate, and have a human look again."""
    return HTMLResponse(_asset("own.html"), headers=_SECURITY)


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


@router.get("/board")
@visible_to(Visibility.PUBLIC)
async def board_page() -> HTMLResponse:
    """The station's board, to be read from afar; it asks for all itself."""
    return HTMLResponse(_asset("board.html"), headers=_SECURITY)


@router.get("/office")
@visible_to(Visibility.PUBLIC)
async def office_page() -> HTMLResponse:
    """The inbox of a department's officers; what it shows it asks for itself."""
    return HTMLResponse(_asset("office.html"), headers=_SECURITY)


@router.get("/desk")
@visible_to(Visibility.PUBLIC)
async def desk_page() -> HTMLResponse:
    """What the station answers for until it is closed; what it shows it asks for itself."""
    return HTMLResponse(_asset("desk.html"), headers=_SECURITY)


@router.get("/notices")
@visible_to(Visibility.PUBLIC)
async def notices_page() -> HTMLResponse:
    """Where everybody checks a notice; what its QR code says stands behind a # and reaches no server but in a body."""
    return HTMLResponse(_asset("notices.html"), headers=_SECURITY)


@router.get("/pages/{name}")
@visible_to(Visibility.PUBLIC)
async def asset(name: str) -> Response:
    """A file of a page."""
    if name not in _ASSETS:
        raise Problem(404, "no-such-page", "没有这个文件。", "No such file.")
    return Response(_asset(name), media_type=_ASSETS[name], headers=_SECURITY)
