"""HTTP: an auditor searches the log, exports what is found with proofs, and reads what it has on one record.

What was asked is logged before the first byte leaves: under nobody's key where many matters are asked for, under those
of whoever it is about where one is.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.criteria import Criteria, hour_of, made_at
from doorstep.audit.domain.cursor import Cursor, Mac
from doorstep.audit.domain.errors import Malformed
from doorstep.audit.operations.exporting import Export, begin_export, next_page
from doorstep.audit.operations.opening import Place
from doorstep.audit.operations.searching import Found, portions, search, whom_it_concerns
from doorstep.audit.schemas import CriteriaAsked, EntriesFound, LifeAsked, SearchAsked, TimeAsked
from doorstep.audit.views import view_entry
from doorstep.contracts.codes import Action, Purpose
from doorstep.kit.auth import Principal
from doorstep.kit.edge import case_kind
from doorstep.kit.intents import Intent, concerned
from doorstep.kit.policy import CaseKind, Resource
from doorstep.kit.problems import Problem
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    WhyDep,
    attempts,
    visible_to,
)
from doorstep.kit.vault import NOBODY, Vault

router = APIRouter(prefix="/api/log", tags=["auditors"])

JSON_LINES = "application/jsonl"
USUAL = timedelta(days=7)
_DAY = timedelta(days=1)
_CURSOR_FIELD = "audit.cursor"
_NOT_KEPT = {"Cache-Control": "no-store"}
_AS_LINES: dict[int | str, dict[str, Any]] = {200: {"content": {JSON_LINES: {"schema": {"type": "string"}}}}}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, why, and which policies permit it."""

    principal: Principal
    purpose: Purpose
    policies: tuple[str, ...]

    def intent(self, action: Action, subjects: tuple[UUID, ...] = (NOBODY,), **more: Any) -> Intent:
        """What is logged of their asking."""
        return Intent(action, subjects, purpose=self.purpose, policies=self.policies, **more)


@router.get("/entries")
@attempts(Action.SEARCH_LOG)
@visible_to(Visibility.AUDITOR)
async def search_entries(
    asked: Annotated[SearchAsked, Query()],
    service: ServiceDep,
    session: SessionDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
) -> EntriesFound:
    """Search the log by what its details say; the last seven days unless it is said otherwise.

    One answer goes through at most 20,000 details; then it is to be gone on with its cursor, though it found nothing.
    """
    caller = permitted(service, principal, purpose, Action.SEARCH_LOG)
    criteria = _criteria(asked, USUAL)
    criteria, found, answer = await _found(service, session, criteria, asked)
    text = criteria.text()
    ring, subjects = await whom_it_concerns(service.vault, found.subjects if criteria.narrow else ())
    for intent in portions(caller.intent(Action.SEARCH_LOG, subjects, asked=text)):
        service.record(session, ring, intent, principal=principal)
    return answer


@router.get("/entries.jsonl", response_class=StreamingResponse, responses=_AS_LINES)
@attempts(Action.EXPORT_LOG)
@visible_to(Visibility.AUDITOR)
async def export_entries(
    asked: Annotated[CriteriaAsked, Query()],
    request: Request,
    service: ServiceDep,
    session: SessionDep,
    principal: PrincipalDep,
    purpose: PurposeDep,
) -> StreamingResponse:
    """Export what a search finds as JSON Lines: each entry with details, nonces and a receipt under one checkpoint.

    The last line is `{"end": ...}` with the number of those before it; without it the export was cut off. Entries that
    the checkpoint does not cover yet are counted there, and left out.
    """
    caller = permitted(service, principal, purpose, Action.EXPORT_LOG)
    criteria = _criteria(asked, USUAL)
    export = await begin_export(session, criteria=criteria, trusted=request.app.state.trusted)
    if export is None:
        zh, en = "日志尚未开始。", "The log has not begun."
        raise Problem(503, "log-not-begun", zh, en, headers={"Retry-After": "1"})
    ring = await service.vault.ring([NOBODY], create=True)
    intent = caller.intent(Action.EXPORT_LOG, asked=criteria.text())
    service.record(session, ring, intent, principal=principal)
    return StreamingResponse(_lines(service, caller, export), media_type=JSON_LINES, headers=_NOT_KEPT)


@router.get("/life/{record_id}")
@attempts(Action.READ_LIFE, "record_id")
@visible_to(Visibility.AUDITOR)
async def read_life(
    record_id: UUID,
    asked: Annotated[LifeAsked, Query()],
    service: ServiceDep,
    session: SessionDep,
    principal: PrincipalDep,
    why: WhyDep,
) -> EntriesFound:
    """Read the life of a record: every entry whose case it is, or whose case came of it, who read it too.

    Since a day before the record was made, as its UUIDv7 says, else the last seven days. A file is a case of its own:
    who read the household's file is told under the file's id. The read is logged under those whom the entries are
    about.
    """
    caller = permitted(service, principal, why.purpose, Action.READ_LIFE, CaseKind.RECORD)
    await case_kind(session, service.vault, principal, why.case, file_id=None, own={record_id: CaseKind.RECORD})
    made = made_at(record_id)
    criteria = _criteria(asked, USUAL, since=None if made is None else made - _DAY)
    criteria, found, answer = await _found(service, session, replace(criteria, life=str(record_id)), asked)
    ring, subjects = await concerned(service.vault, found.subjects, principal)
    for intent in portions(caller.intent(Action.READ_LIFE, subjects, case=record_id if found.entries else None)):
        service.record(session, ring, intent, principal=principal)
    return answer


def permitted(
    service: Service, principal: Principal, purpose: Purpose, action: Action, case: CaseKind | None = None
) -> Caller:
    """The caller, who may do `action`; a search is its own case. Raises Forbidden."""
    allowed = service.policy.authorize(principal, action, Resource("log"), purpose=purpose, case=case)
    return Caller(principal, purpose, allowed.policies)


def cursor_mac(vault: Vault) -> Mac:
    """What seals cursors."""
    return partial(vault.blind_index, _CURSOR_FIELD)


def stale_cursor() -> Problem:
    """The answer to a cursor that is none, or that of another search."""
    zh, en = "游标无效，或属于另一次检索；请从头检索。", "The cursor is none of this search; begin it anew."
    return Problem(422, "cursor-invalid", zh, en)


def _criteria(asked: TimeAsked, usual: timedelta, *, since: datetime | None = None) -> Criteria:
    """What is asked for, with the usual time where none is said; raises Problem."""
    until = asked.until or datetime.now(UTC)
    begins = asked.since or (since if since is not None and since < until else until - usual)
    if begins >= until:
        zh, en = "起始时间须早于截止时间。", "The time since must be before the time until."
        raise Problem(422, "no-such-time", zh, en)
    values = asked.model_dump(exclude_none=True, exclude={"since", "until", "limit", "cursor"})
    try:
        return Criteria(begins, until, **{name: str(value) for name, value in values.items()})
    except Malformed:
        zh, en = "条件过多，请去掉几项。", "These are too many criteria at once; leave some out."
        raise Problem(422, "too-many-criteria", zh, en) from None


async def _found(
    service: Service, session: AsyncSession, criteria: Criteria, asked: SearchAsked | LifeAsked
) -> tuple[Criteria, Found, EntriesFound]:
    """What a portion of a search finds, with the criteria as its first portion had them."""
    mac, after = cursor_mac(service.vault), Place.before(hour_of(criteria.since))
    if asked.cursor is not None:
        try:
            cursor = Cursor.parse(asked.cursor)
            criteria = replace(criteria, since=asked.since or cursor.since, until=asked.until or cursor.until)
            if (criteria.since, criteria.until) != (cursor.since, cursor.until):
                raise Malformed("cursor: of another time")
            cursor.check(asked.cursor, mac, criteria.text())
        except Malformed:
            raise stale_cursor() from None
        after = Place(cursor.hour, cursor.entry_id)
    found = await search(session, service.vault, criteria=criteria, after=after, limit=asked.limit)
    place = found.reached
    answer = EntriesFound(
        since=criteria.since,
        until=criteria.until,
        reached=criteria.until if place is None else max(place.hour, criteria.since),
        gone_through=found.gone_through,
        cursor=None
        if place is None
        else Cursor(criteria.since, criteria.until, place.hour, place.entry_id).encode(mac, criteria.text()),
        entries=[view_entry(one) for one in found.entries],
    )
    return criteria, found, answer


async def _lines(service: Service, caller: Caller, export: Export) -> AsyncIterator[bytes]:
    """The lines of an export; a page leaves after what is to be logged of it was committed."""
    more = True
    while more:
        async with service.database.transaction() as session:
            page = await next_page(session, service.vault, export)
            more = page is not None
            if page is not None and page.lines and export.criteria.narrow:
                ring, subjects = await whom_it_concerns(service.vault, page.subjects)
                intent = caller.intent(Action.EXPORT_LOG, subjects, asked=export.criteria.text())
                for one in portions(intent):
                    service.record(session, ring, one, principal=caller.principal)
        for line in page.lines if page is not None else ():
            yield line
    yield export.ending.encode()
