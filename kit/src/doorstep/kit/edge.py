"""What endpoints ask for: service, transaction, caller, purpose, case; who sees what they answer; and the log of what
callers are refused.

A case is checked by the service that answers: it concerns the thing, or is an emergency access to the thing's file that
is open to the caller at this moment.

A refusal is the no to a caller whose token was accepted. Invariants: its entry commits before it is answered, in a
transaction of its own after the request's was rolled back; it is about whom the thing asked for is about if this
service knows it, else about the caller alone; a hidden thing and one that is not there take the same steps; what one
caller can add to the log in a minute is bounded.
"""

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

from fastapi import Depends, Header, Request
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Purpose
from doorstep.contracts.registry import FileOpened
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.db import run
from doorstep.kit.intents import Intent, concerned, distinct
from doorstep.kit.policy import CaseKind, Why
from doorstep.kit.problems import Problem
from doorstep.kit.resources import Service
from doorstep.kit.telemetry import REFUSALS
from doorstep.kit.vault import Vault

REFUSALS_A_MINUTE = 600
"""So many entries one caller can make in a minute at one process; after that nothing is looked at for them."""

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Find = Callable[[AsyncSession, UUID], Awaitable[Iterable[UUID]]]

_MINUTE = 60.0
_DECLARED = "doorstep_attempt"
_VISIBILITY = "doorstep_visibility"
_TOO_MANY = "too-many-refusals"
_STAFF = "staff"
_OPEN = """
    SELECT 1 FROM opened_file
    WHERE opening_id = :opening_id AND file_id = :file_id AND opened_by = :opened_by AND until > now()
"""
_OPENED = """
    WITH closed AS (DELETE FROM opened_file WHERE until < now())
    INSERT INTO opened_file (opening_id, file_id, opened_by, until)
    VALUES (:opening_id, :file_id, :opened_by, :until) ON CONFLICT DO NOTHING
"""


class Visibility(StrEnum):
    """Who sees what an endpoint answers: one of these and nobody besides."""

    PUBLIC = "public"
    """Anybody: nothing of it is about a person."""
    CALLER = "caller"
    """The caller, about themselves."""
    SUBJECT = "subject"
    """The person whom it is about, by their own code or paper; nobody else of their household."""
    STATION = "station"
    """Staff of the station that took the record in."""
    DEPARTMENT = "department"
    """The department to which it was sent."""
    TEAM = "team"
    """The team of a care plan, or who is named to decide on it, of whichever agency."""
    HOTLINE = "hotline"
    """The 12345 hotline, of orders that it handed in, and never what is withheld from it."""
    AUDITOR = "auditor"
    """Auditors."""
    OPERATOR = "operator"
    """Operators."""
    SYSTEM = "system"
    """Machines of the installation itself."""


class VisibilityMissing(Exception):
    """An endpoint does not declare who sees what it answers."""


def visible_to(visibility: Visibility) -> Callable[[Endpoint], Endpoint]:
    """Declare who sees what an endpoint answers; an edge with one that does not is not made."""

    def declare(endpoint: Endpoint) -> Endpoint:
        vars(endpoint)[_VISIBILITY] = visibility
        return endpoint

    return declare


def visibility_of(endpoint: Callable[..., Any]) -> Visibility:
    """What `endpoint` declared. Raises VisibilityMissing."""
    try:
        return cast("Visibility", vars(endpoint)[_VISIBILITY])
    except KeyError:
        raise VisibilityMissing(f"{endpoint.__module__}.{endpoint.__qualname__}") from None


@dataclass(frozen=True)
class Attempt:
    """What a call of an endpoint attempts, in the words of the log, and whose data that would concern.

    `thing` is the parameter, of path or query, with the id of what it is done to; `subjects` finds whom that is about.
    """

    action: Action = Action.REFUSE
    thing: str | None = None
    subjects: Find | None = None


def attempts(action: Action, thing: str | None = None, subjects: Find | None = None) -> Callable[[Endpoint], Endpoint]:
    """Declare what callers of an endpoint attempt: the one thing it has to say for its refusals to be logged."""

    def declare(endpoint: Endpoint) -> Endpoint:
        vars(endpoint)[_DECLARED] = Attempt(action, thing, subjects)
        return endpoint

    return declare


@dataclass(frozen=True)
class _Try:
    """One refused try, by which another like it is known."""

    principal: Principal
    attempt: Attempt
    thing: UUID | None
    purpose: Purpose | None
    code: str


@dataclass
class _Minute:
    """What of one caller is in the log, until `ends`."""

    ends: float
    logged: set[_Try] = field(default_factory=set)


class Refusals:
    """The refusals of one service's edge. For a minute at a time it knows what of whom is in the log already."""

    def __init__(self, service: Service, *, a_minute: int = REFUSALS_A_MINUTE) -> None:
        """Log on behalf of `service`, for one caller at most so many a minute."""
        self._service = service
        self._a_minute = a_minute
        self._minutes: dict[str, _Minute] = {}

    def closed_for(self, principal: Principal) -> int:
        """For how many seconds nothing is looked at for `principal`, who was refused too often; mostly 0."""
        minute = self._minutes.get(principal.subject)
        if minute is None or len(minute.logged) < self._a_minute:
            return 0
        return max(0, math.ceil(minute.ends - time.monotonic()))

    async def log(self, request: Request, problem: Problem) -> None:
        """Commit the entry of `problem` if it is a refusal; of equal ones within a minute the first has one.

        Raises one of DATABASE_ERRORS.
        """
        principal: Principal | None = getattr(request.state, "principal", None)
        if not problem.refusal or (principal is None and problem.status != 401):
            return
        REFUSALS.labels(self._service.name, problem.code).inc()
        if principal is None:
            return
        tried, minute = _tried(request, problem, principal), self._minute(principal)
        if tried in minute.logged:
            return
        async with self._service.database.transaction() as session:
            known = await _subjects(session, tried)
            ring, subjects = await concerned(self._service.vault, known, principal)
            intent = Intent(
                tried.attempt.action,
                subjects,
                purpose=tried.purpose,
                case=tried.thing if known else None,
                outcome=f"refused:{tried.code}",
                policies=problem.policies,
            )
            self._service.record(session, ring, intent, principal=principal)
        minute.logged.add(tried)  # not before it is committed: what came meanwhile makes an entry of its own

    def _minute(self, principal: Principal) -> _Minute:
        now = time.monotonic()
        found = self._minutes.get(principal.subject)
        if found is None or found.ends <= now:
            self._minutes = {who: minute for who, minute in self._minutes.items() if minute.ends > now}
            found = self._minutes[principal.subject] = _Minute(now + _MINUTE)
        return found


def _tried(request: Request, problem: Problem, principal: Principal) -> _Try:
    if problem.code == _TOO_MANY:  # nothing was looked at
        return _Try(principal, Attempt(), None, None, problem.code)
    attempt: Attempt = vars(request.scope.get("endpoint")).get(_DECLARED, Attempt())
    named = request.headers.get("doorstep-purpose", "")
    purpose = Purpose(named) if named in set(Purpose) else None
    return _Try(principal, attempt, problem.about or _thing(request, attempt), purpose, problem.code)


def _thing(request: Request, attempt: Attempt) -> UUID | None:
    named = attempt.thing or ""
    try:
        return UUID(str(request.path_params.get(named) or request.query_params.get(named, "")))
    except ValueError:
        return None


async def _subjects(session: AsyncSession, tried: _Try) -> tuple[UUID, ...]:
    """Whom the thing is about; nobody if there is none, or no such thing here."""
    if tried.thing is None or tried.attempt.subjects is None:
        return ()
    return distinct(await tried.attempt.subjects(session, tried.thing))


def service_of(request: Request) -> Service:
    """The service that answers `request`."""
    return cast("Service", request.app.state.service)


async def _service(request: Request) -> Service:
    return service_of(request)  # async, for FastAPI would run a plain function in a thread


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with service_of(request).database.transaction() as session:
        yield session


async def _principal(request: Request, authorization: Annotated[str, Header()] = "") -> Principal:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated("no token")
    principal = await service_of(request).authenticator.verify(token)
    request.state.principal = principal
    refusals: Refusals = request.app.state.refusals
    seconds = refusals.closed_for(principal)
    if seconds:
        zh, en = "被拒绝的请求过多，请稍后再试。", "Too much was refused to you; try again later."
        raise Problem(429, _TOO_MANY, zh, en, headers={"Retry-After": str(seconds)}, refusal=True)
    return principal


PrincipalDep = Annotated[Principal, Depends(_principal)]
"""The authenticated caller."""


async def _purpose(_: PrincipalDep, doorstep_purpose: Annotated[str | None, Header()] = None) -> Purpose:
    known = "、".join(Purpose)
    if doorstep_purpose is None:
        zh, en = (
            f"读取个人信息须在 Doorstep-Purpose 头中写明用途：{known}。",
            f"Say why in the header Doorstep-Purpose: {known}.",
        )
        raise Problem(403, "purpose-missing", zh, en)
    try:
        return Purpose(doorstep_purpose)
    except ValueError:
        zh, en = f"Doorstep-Purpose 须为：{known}。", f"Doorstep-Purpose must be one of: {known}."
        raise Problem(403, "purpose-unknown", zh, en) from None


async def _case(_: PrincipalDep, doorstep_case: Annotated[str | None, Header()] = None) -> UUID | None:
    try:
        return None if doorstep_case is None else UUID(doorstep_case)
    except ValueError:
        zh, en = (
            "Doorstep-Case 不是事项编号。",
            "Doorstep-Case is no id of a case.",
        )
        raise Problem(403, "case-unknown", zh, en) from None


ServiceDep = Annotated[Service, Depends(_service)]
"""The service that answers."""

SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]
"""A transaction that is committed before the first byte of the answer leaves."""

PurposeDep = Annotated[Purpose, Depends(_purpose)]
"""To what end the caller searches, lists or commands something whose elements, or which itself, is the case."""

CaseDep = Annotated[UUID | None, Depends(_case)]
"""The case that the caller names, if one is named."""


def why(purpose: Purpose, case: UUID | None) -> Why:
    """Why somebody reads, who has to name a case."""
    if case is None:
        zh, en = (
            "读取个人信息须在 Doorstep-Case 头中写明所办理的记录、户档、请求或紧急授权的编号。",
            "Say in the header Doorstep-Case for which record, file, request or emergency access you read.",
        )
        raise Problem(403, "case-missing", zh, en)
    return Why(purpose, case)


async def _why(purpose: PurposeDep, case: CaseDep) -> Why:
    return why(purpose, case)


WhyDep = Annotated[Why, Depends(_why)]
"""Why the caller reads the personal data of one thing: to what end, and for which case."""


async def case_kind(
    session: AsyncSession,
    vault: Vault,
    principal: Principal,
    case: UUID,
    *,
    file_id: UUID | None,
    own: Mapping[UUID, CaseKind],
) -> CaseKind:
    """What `case` is to a thing, of which `own` are the cases, in a file: one of them, or an access open to the caller.

    Raises a Problem, case-unrelated, alike for a case that is none, another's or over.
    """
    if case in own:
        return own[case]
    opening = {"opening_id": case, "file_id": file_id, "opened_by": vault.pairwise(_STAFF, principal.subject)}
    if file_id is not None and await run(session, _OPEN, opening):
        return CaseKind.BREAK_GLASS
    zh, en = "所写的事项与此无关，或紧急授权已结束。", "The case has nothing to do with this, or is over."
    raise Problem(403, "case-unrelated", zh, en)


async def open_file(session: AsyncSession, opened: FileOpened) -> None:
    """From now on a file is open to somebody in an emergency; what is over is forgotten."""
    values = {
        "opening_id": opened.opening_id,
        "file_id": opened.file_id,
        "opened_by": opened.opened_by,
        "until": opened.until,
    }
    await run(session, _OPENED, values)
