"""HTTP: the sessions of whoever asks: what is open in their name, and an end to it."""

from datetime import datetime
from typing import cast
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel

from doorstep.gateway.api.front import SESSION, cookie_of
from doorstep.gateway.domain.session import Browser
from doorstep.gateway.operations import sessions
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.problems import Problem
from doorstep.kit.service import PrincipalDep, ServiceDep, SessionDep, Visibility, visible_to

# As `/api/session`, these are about the caller's own browsers alone: no policy decides, and they describe no data.
router = APIRouter(prefix="/api/sessions", include_in_schema=False)


class OwnSession(BaseModel):
    """A session of the caller; `current` is the one that asks."""

    id: UUID
    began_at: datetime
    used_at: datetime
    ends_at: datetime
    browser: Browser
    current: bool


class OwnSessions(BaseModel):
    """The open sessions of the caller, the newest first."""

    sessions: tuple[OwnSession, ...]


class Ended(BaseModel):
    """How many sessions were ended."""

    ended: int


@router.get("")
@visible_to(Visibility.CALLER)
async def list_sessions(
    request: Request, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> OwnSessions:
    """Where the caller is signed in: since when, when it was last used to the minute, and in what kind of browser."""
    settings = cast("GatewaySettings", service.settings)
    found = await sessions.own_sessions(
        session,
        vault=service.vault,
        owner=principal.subject,
        value=_own_cookie(request, settings),
        idle=settings.session_idle,
    )
    return OwnSessions(sessions=tuple(OwnSession(**vars(one)) for one in found))


@router.delete("/{session_id}")
@visible_to(Visibility.CALLER)
async def end_session(session_id: UUID, service: ServiceDep, principal: PrincipalDep, session: SessionDep) -> Ended:
    """End one of the caller's sessions; somebody else's is as if it were not there."""
    if not await sessions.end_own_session(session, vault=service.vault, owner=principal.subject, shown_id=session_id):
        raise Problem(
            404, "session-unknown", "没有这个会话，或已结束。", "No such session, or it is over.", refusal=False
        )
    return Ended(ended=1)


@router.delete("")
@visible_to(Visibility.CALLER)
async def end_other_sessions(
    request: Request, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> Ended:
    """End all sessions of the caller but the one that asks."""
    value = _own_cookie(request, cast("GatewaySettings", service.settings))
    return Ended(
        ended=await sessions.end_other_sessions(session, vault=service.vault, owner=principal.subject, value=value)
    )


def _own_cookie(request: Request, settings: GatewaySettings) -> str:
    return cookie_of(request.headers, settings.cookie(SESSION)) or ""
