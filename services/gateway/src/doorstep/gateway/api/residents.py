"""HTTP: residents sign in with a one-time code, link an account, see who used their data, exclude, ask."""

import time
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from doorstep.contracts.codes import Action
from doorstep.gateway import queries
from doorstep.gateway.api.forward import hand_on, too_often
from doorstep.gateway.api.front import ADDRESS, RESIDENT, Sessions
from doorstep.gateway.api.sign_in import set_session
from doorstep.gateway.domain.pace import Pace
from doorstep.gateway.errors import AccountLinked, CodeUnknown, RecordUnknown, TooYoung, VisitOver
from doorstep.gateway.operations import residents
from doorstep.gateway.operations.residents import Account
from doorstep.gateway.operations.sessions import Open
from doorstep.gateway.operations.sign_in_codes import THING, Asking, SignInCode, draw_code, index_of
from doorstep.gateway.schemas import (
    CodeBody,
    CodeDrawn,
    DrawCodeBody,
    OwnExclusionsBody,
    OwnServiceBody,
    OwnUsageBody,
    ResidentSession,
)
from doorstep.kit import idempotency
from doorstep.kit.exclusions import moved
from doorstep.kit.policy import Resource
from doorstep.kit.problems import Problem
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    attempts,
    visible_to,
)
from doorstep.kit.telemetry import REFUSALS

router = APIRouter(tags=["residents"])

TRIES_OF_A_CODE = 5
"""So often one code is tried in a minute at one process, whether anybody has it or not."""


class CodePace:
    """How often codes are tried: from one address, and one code."""

    def __init__(self, from_an_address: int) -> None:
        """Let so many tries in a minute through from one address."""
        self._addresses = Pace(from_an_address)
        self._codes = Pace(TRIES_OF_A_CODE)

    def wait(self, address: str | None, code: bytes) -> int:
        """Count a try; in how many seconds to come again, mostly 0."""
        now = time.monotonic()
        return (self._addresses.wait(address, now) if address else 0) or self._codes.wait(code.hex(), now)


@router.post("/api/sign-in-codes/{record_id}/subjects/{subject_id}", status_code=201)
@attempts(Action.DRAW_SIGN_IN_CODE, "subject_id", queries.itself)
@visible_to(Visibility.STATION)
async def post_code(
    record_id: UUID,
    subject_id: UUID,
    body: DrawCodeBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
    request: Request,
) -> CodeDrawn:
    """Ask, as the collector at the visit and alone with the person, for the code by which they sign in once.

    Sent again it is answered with the same code. A new one takes the place of the one before.
    """
    asking = Asking(principal, purpose, service.policy)
    service.policy.authorize(principal, Action.DRAW_SIGN_IN_CODE, Resource(THING), purpose=purpose)
    digest = idempotency.digest_of(service.vault, body, record_id, subject_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        kept = replay.answer
        valid_until = datetime.fromisoformat(kept["valid_until"])
        return _drawn(service, SignInCode(UUID(kept["subject_id"]), kept["salt"], valid_until))
    asked: Sessions = request.app.state.sessions
    try:
        drawn = await draw_code(
            session,
            vault=service.vault,
            asking=asking,
            record_id=record_id,
            subject_id=subject_id,
            now=datetime.now(UTC),
            holds=asked.settings.sign_in_code_holds,
        )
    except RecordUnknown:
        zh, en = (
            "没有您采集的这份记录或其中没有此人，或尚未到达。",
            "No record of yours with this person, or not here yet.",
        )
        raise Problem(404, "record-unknown", zh, en) from None
    except VisitOver:
        zh, en = "上门已过一天，请在下次上门时索取。", "The visit is more than a day ago; ask at the next one."
        raise Problem(409, "visit-over", zh, en) from None
    except TooYoung:
        zh, en = "不满十四周岁的人没有自己的登录码。", "Somebody under fourteen has no code of their own."
        raise Problem(409, "too-young", zh, en) from None
    kept = {"subject_id": str(subject_id), "salt": drawn.salt, "valid_until": drawn.valid_until.isoformat()}
    await idempotency.keep(session, body.id, kept)
    return _drawn(service, drawn)


def _drawn(service: Service, drawn: SignInCode) -> CodeDrawn:
    return CodeDrawn(code=drawn.written(service.vault), valid_until=drawn.valid_until)


@router.post("/api/resident/session", status_code=201, response_model=ResidentSession)
@visible_to(Visibility.SUBJECT)
async def post_session(body: CodeBody, request: Request, session: SessionDep, service: ServiceDep) -> Response:
    """Sign in with a one-time code: the browser gets the cookie of a short session. No code is told from another."""
    asked: Sessions = request.app.state.sessions
    asked.check_sent_by_our_page("POST", request.headers, None)
    _count(request, service, body.code)
    opening = asked.opening(request.headers, resident=True)
    try:
        value = await residents.sign_in_by_code(session, vault=service.vault, code=body.code, opening=opening)
    except CodeUnknown:
        raise _code_unknown(service) from None
    return _opened(asked, value)


def _opened(asked: Sessions, value: str) -> Response:
    response = JSONResponse(ResidentSession(ends_in=asked.settings.resident_ends).model_dump(), 201)
    set_session(response, asked.settings, value)
    return response


def _count(request: Request, service: Service, code: str) -> None:
    pace: CodePace = request.app.state.code_pace
    seconds = pace.wait(getattr(request.state, ADDRESS, None), index_of(service.vault, code))
    if seconds:
        raise too_often(service, seconds)


def _code_unknown(service: Service) -> Problem:
    REFUSALS.labels(service.name, "code-unknown").inc()
    zh, en = (
        "登录码无效、已使用或已过期，请向工作人员索取新的。",
        "No such code, used, or over; ask staff for a new one.",
    )
    return Problem(403, "code-unknown", zh, en, refusal=False)


async def _resident(request: Request) -> Open:
    found: Open | None = getattr(request.state, RESIDENT, None)
    if found is None:
        raise Problem(401, "not-signed-in", "请先登录。", "Sign in first.", refusal=False)
    return found


async def _known(found: Annotated[Open, Depends(_resident)]) -> UUID:
    if found.subject_id is None:
        zh, en = (
            "此账户尚未与您本人关联，请先输入登录码。",
            "This account is linked to nobody yet; give a one-time code first.",
        )
        raise Problem(403, "not-linked", zh, en, refusal=False)
    return found.subject_id


ResidentDep = Annotated[Open, Depends(_resident)]
"""The resident's session."""

KnownDep = Annotated[UUID, Depends(_known)]
"""Whom the resident's session names."""


@router.put("/api/resident/account", status_code=201, response_model=ResidentSession)
@visible_to(Visibility.SUBJECT)
async def put_account(
    body: CodeBody, request: Request, resident: ResidentDep, session: SessionDep, service: ServiceDep
) -> Response:
    """Link the account with which you signed in to yourself, by a one-time code; in the place of one before."""
    asked: Sessions = request.app.state.sessions
    _count(request, service, body.code)
    if resident.account is None or resident.tokens is None or resident.subject_id is not None:
        raise _not_to_link()
    account, opening = Account(resident.account, resident.tokens), asked.opening(request.headers, resident=True)
    try:
        value = await residents.link_account(
            session, vault=service.vault, code=body.code, account=account, opening=opening
        )
    except CodeUnknown:
        raise _code_unknown(service) from None
    except AccountLinked:
        raise _not_to_link() from None
    return _opened(asked, value)


def _not_to_link() -> Problem:
    zh, en = "请用尚未关联的居民账户登录后再关联。", "Sign in with a resident's account that is not linked yet."
    return Problem(409, "nothing-to-link", zh, en)


@router.delete("/api/resident/account", status_code=204)
@visible_to(Visibility.SUBJECT)
async def delete_account(request: Request, subject_id: KnownDep, session: SessionDep, service: ServiceDep) -> Response:
    """Unlink your account, whichever it is, and end all your sessions, this one too."""
    asked: Sessions = request.app.state.sessions
    await residents.unlink_account(session, vault=service.vault, subject_id=subject_id)
    response = Response(status_code=204)
    set_session(response, asked.settings, None)
    return response


@router.post("/api/resident/usage", response_model=None)
@visible_to(Visibility.SUBJECT)
async def see_own_usages(body: OwnUsageBody, request: Request, subject_id: KnownDep, service: ServiceDep) -> Response:
    """Who used your data, of all records that mention you, as far as your codes tell; the look is logged."""
    async with service.database.transaction() as session:
        mentions = await queries.one_person(session, subject_id)
        files = await moved(session, mentions)
    first, *others = (service.vault.follow_code(one, files.get(one)) for one in mentions)
    before = None if body.before is None else body.before.model_dump(mode="json")
    asked = {"code": first, "others": others, "before": before}
    return await hand_on(request, "audit", "/api/usage", orjson.dumps(asked))


@router.put("/api/resident/exclusions", response_model=None)
@visible_to(Visibility.SUBJECT)
async def put_own_exclusions(
    body: OwnExclusionsBody, request: Request, subject_id: KnownDep, session: SessionDep, service: ServiceDep
) -> Response:
    """Say who of the staff must not handle your matter, in the place of whom you said before. Nobody can read it."""
    since = (await moved(session, [subject_id])).get(subject_id)
    asked = {"code": service.vault.follow_code(subject_id, since), "staff": body.staff}
    return await hand_on(request, "registry", "/api/exclusions", orjson.dumps(asked))


@router.post("/api/resident/own-requests", status_code=201, response_model=None)
@visible_to(Visibility.SUBJECT)
async def ask_for_service(
    body: OwnServiceBody, request: Request, subject_id: KnownDep, session: SessionDep, service: ServiceDep
) -> Response:
    """Ask for a service of the menu, in your own name; what is answered has the code by which it is followed."""
    since = (await moved(session, [subject_id])).get(subject_id)
    asked = {"id": str(body.id), "code": service.vault.follow_code(subject_id, since), "service": body.service}
    return await hand_on(request, "intake", "/api/own-requests", orjson.dumps(asked))
