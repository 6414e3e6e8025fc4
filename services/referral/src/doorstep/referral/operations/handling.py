"""Who of a department works on a request: taken by an officer, given by the head of the office, done by a deputy.

Invariants: a request has one handler or none; while it has one, steps on it are the handler's, their deputy's, the
head's and the department's own system's, and the log names both who acted and for whom; a deputy (AB岗) stands in for
one officer, for a span, and for nobody for whom that officer stands in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, LegalBasis, Role
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral import queries
from doorstep.referral.domain.states import FINAL
from doorstep.referral.errors import (
    DeputyTwice,
    DeputyUnknown,
    HandledByAnother,
    NothingToHandle,
    OfficerUnknown,
    RequestUnknown,
)
from doorstep.referral.operations.access import STAFF, Access, open_to
from doorstep.referral.queries import TaskRow

MOST_AT_ONCE = 500
"""So many requests are given to somebody else at once; who has more is asked about again."""

_NOTE = """
    INSERT INTO office_member (department, member, person, office, heads, seen_at)
    VALUES (:department, :member, :person, :office, :heads, :now)
    ON CONFLICT (department, member) DO UPDATE SET office = :office, heads = :heads, seen_at = :now
"""
_MEMBER = "SELECT office FROM office_member WHERE department = :department AND member = :member"
_MEMBERS = "SELECT person, office, heads FROM office_member WHERE department = :department ORDER BY person"
_LOCK_MEMBER = f"{_MEMBER} FOR NO KEY UPDATE"
# Whom the person keeps from their matter has it no more: it is as nobody's.
_HANDLER = """
    SELECT h.person FROM handler h JOIN task t USING (task_id) JOIN request r USING (request_id)
    WHERE h.task_id = :task_id
        AND NOT EXISTS (SELECT FROM exclusion x WHERE x.subject_id = r.subject_id AND x.staff = h.member)
"""
_GIVE = """
    INSERT INTO handler (task_id, member, person, given_by, given_at)
    SELECT id, :member, :person, :given_by, :now FROM unnest(CAST(:task_ids AS uuid[])) AS t (id)
    ON CONFLICT (task_id) DO UPDATE SET member = :member, person = :person, given_by = :given_by, given_at = :now
"""
_TAKE_AWAY = "DELETE FROM handler WHERE task_id = ANY(CAST(:task_ids AS uuid[]))"
_OF_OFFICER = """
    SELECT t.ref FROM handler h JOIN task t USING (task_id)
    WHERE t.department = :department AND h.member = :member AND t.closed_at IS NULL
    ORDER BY t.ref LIMIT :most FOR NO KEY UPDATE OF t
"""
_STANDS_IN = """
    SELECT officer FROM deputy
    WHERE department = :department AND deputy = :person AND since <= :now AND until > :now ORDER BY officer
"""
_OVERLAPS = """
    SELECT 1 FROM deputy
    WHERE department = :department AND officer = :officer AND since < :until AND until > :since
"""
_NAME = """
    WITH past AS (DELETE FROM deputy WHERE until < now() - interval '90 days')
    INSERT INTO deputy (deputy_id, department, officer, deputy, since, until, named_by)
    VALUES (:deputy_id, :department, :officer, :deputy, :since, :until, :named_by)
"""
_DEPUTIES = """
    SELECT deputy_id, officer, deputy, since, until FROM deputy
    WHERE department = :department AND until > :now ORDER BY since, deputy_id
"""
_END = "DELETE FROM deputy WHERE deputy_id = :deputy_id AND department = :department"


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who has been at a department's inbox, and the office that their token named then."""

    person: str
    office: str | None
    heads: bool


@dataclass(frozen=True, slots=True)
class Deputy:
    """Who stands in for an officer, from when until when."""

    deputy_id: UUID
    officer: str
    deputy: str
    since: datetime
    until: datetime


def member_id(vault: Vault, person: str) -> UUID:
    """By what an officer is looked up."""
    return vault.pairwise(STAFF, person)


async def note_member(
    session: AsyncSession, vault: Vault, department: Department, principal: Principal, now: datetime
) -> None:
    """An officer is at the inbox: from now on requests can be given to them. A system is nobody."""
    if principal.role is Role.OFFICER:
        values = {"department": department, "member": member_id(vault, principal.subject), "person": principal.subject}
        values |= {"office": principal.office}
        await run(session, _NOTE, {**values, "heads": principal.heads, "now": now})


async def members(session: AsyncSession, department: Department, principal: Principal) -> list[Member]:
    """Who can be given requests by the head of an office: its own people and those of no office; all by one of none."""
    found = [Member(*row) for row in await run(session, _MEMBERS, {"department": department})]
    return [one for one in found if principal.office is None or one.office in (None, principal.office)]


async def stands_in_for(session: AsyncSession, department: str, person: str, now: datetime) -> list[str]:
    """The officers whose deputy somebody is at this moment."""
    rows = await run(session, _STANDS_IN, {"department": department, "person": person, "now": now})
    return [row["officer"] for row in rows]


async def acting_for(session: AsyncSession, access: Access, task: TaskRow, now: datetime) -> Access:
    """The caller's access with the officer in whose place they act on `task`. Raises HandledByAnother."""
    rows = await run(session, _HANDLER, {"task_id": task.task_id})
    me = access.principal
    if not rows or me.role is Role.DEPARTMENT_SYSTEM or rows[0]["person"] == me.subject:
        return access
    handler = str(rows[0]["person"])
    if not me.heads and handler not in await stands_in_for(session, me.agency, me.subject, now):
        raise HandledByAnother
    return replace(access, officer=handler)


async def give_request(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    ref: UUID,
    to: str | None,
    now: datetime,
) -> None:
    """An officer takes a request that nobody has, or gives back their own; the head gives it to anybody, or nobody.

    Raises RequestUnknown, NothingToHandle, HandledByAnother or OfficerUnknown.
    """
    task = await queries.lock_department_task(session, department, ref)
    if task is None or not await open_to(session, vault, access, [task]):
        raise RequestUnknown
    if task.state in FINAL:
        raise NothingToHandle
    rows = await run(session, _HANDLER, {"task_id": task.task_id})
    has, me = (rows[0]["person"] if rows else None), access.principal
    if not me.heads and {has, to} - {None, me.subject}:
        raise HandledByAnother
    if to not in (None, me.subject):
        await _check_member(session, vault, department, str(to), [task])
    await _give(session, vault, access, [task], to, now)


async def reassign_requests(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    officer: str,
    to: str | None,
    now: datetime,
) -> int:
    """The head gives all open requests of an officer to another, or back to nobody; how many they were.

    At most MOST_AT_ONCE. Raises OfficerUnknown.
    """  # fmt: skip
    values = {"department": department, "member": member_id(vault, officer), "most": MOST_AT_ONCE}
    refs = [row["ref"] for row in await run(session, _OF_OFFICER, values)]
    tasks = await open_to(session, vault, access, await queries.tasks_of_department(session, department, refs))
    if to not in (None, access.principal.subject):
        await _check_member(session, vault, department, str(to), tasks)
    if tasks:
        await _give(session, vault, access, tasks, to, now)
    return len(tasks)


async def _check_member(
    session: AsyncSession, vault: Vault, department: Department, person: str, tasks: Sequence[TaskRow]
) -> None:
    """Raises OfficerUnknown for who was never at the inbox, or serves in another office than one of `tasks`."""
    rows = await run(session, _MEMBER, {"department": department, "member": member_id(vault, person)})
    if not rows:
        raise OfficerUnknown
    member = Principal(person, Role.OFFICER, department, office=rows[0]["office"])
    if len(await open_to(session, vault, Access(member), tasks)) != len(tasks):
        raise OfficerUnknown


async def _give(
    session: AsyncSession, vault: Vault, access: Access, tasks: Sequence[TaskRow], to: str | None, now: datetime
) -> None:
    """Write it down, and tell the log once about all of them."""
    ids = {"task_ids": [task.task_id for task in tasks]}
    me = access.principal.subject
    if to is None:
        await run(session, _TAKE_AWAY, ids)
    else:
        await run(session, _GIVE, {**ids, "member": member_id(vault, to), "person": to, "given_by": me, "now": now})
    subjects = intents.distinct(task.subject_id for task in tasks)
    ring = await vault.ring(subjects)
    readable = [one for one in subjects if one in ring]
    if not readable:
        return
    bases = {task.legal_basis for task in tasks}
    intent = intents.Intent(
        Action.TAKE_REQUEST if to == me else Action.GIVE_REQUEST,
        readable,
        purpose=access.purpose,
        legal_basis=LegalBasis(bases.pop()) if len(bases) == 1 else None,
        case=tasks[0].request_id if len(tasks) == 1 else None,
        outcome="given-back" if to is None else "done",
        policies=access.policies,
        officer=None if to == me else to,
    )
    intents.record(session, ring, intent, principal=access.principal)


async def name_deputy(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, named: Deputy
) -> None:
    """Somebody stands in for an officer for a span. Raises OfficerUnknown, DeputyTwice.

    The officer's row is locked, so that of two who name one at once the second sees the first.
    """
    me = access.principal
    first, second = (member_id(vault, one) for one in (named.officer, named.deputy))
    officer = await run(session, _LOCK_MEMBER, {"department": department, "member": first})
    other = await run(session, _MEMBER, {"department": department, "member": second})
    if not officer or not other or named.officer == named.deputy:
        raise OfficerUnknown
    offices = {officer[0]["office"], other[0]["office"], me.office}
    if len(offices - {None}) > 1:
        raise OfficerUnknown
    span = {"since": named.since, "until": named.until}
    if await run(session, _OVERLAPS, {"department": department, "officer": named.officer, **span}):
        raise DeputyTwice
    row = {"deputy_id": named.deputy_id, "department": department, "officer": named.officer, "deputy": named.deputy}
    await run(session, _NAME, {**row, **span, "named_by": me.subject})
    await _log_deputy(session, vault, access, named.deputy if named.officer == me.subject else named.officer, "done")


async def deputies(session: AsyncSession, department: Department, principal: Principal, now: datetime) -> list[Deputy]:
    """Who stands in for whom now or later, as far as it concerns the caller; all of it for the head of the office."""
    found = [Deputy(*row) for row in await run(session, _DEPUTIES, {"department": department, "now": now})]
    known = {one.person for one in await members(session, department, principal)} if principal.heads else set()
    return [one for one in found if principal.subject in (one.officer, one.deputy) or one.officer in known]


async def end_deputy(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, deputy_id: UUID, now: datetime
) -> None:
    """Nobody stands in any more; the officer says so, or the head. Raises DeputyUnknown."""
    me = access.principal
    found = {one.deputy_id: one for one in await deputies(session, department, me, now)}
    one = found.get(deputy_id)
    if one is None or not (me.heads or one.officer == me.subject):
        raise DeputyUnknown
    await run(session, _END, {"deputy_id": deputy_id, "department": department})
    await _log_deputy(session, vault, access, None if one.officer == me.subject else one.officer, "ended")


async def _log_deputy(session: AsyncSession, vault: Vault, access: Access, officer: str | None, outcome: str) -> None:
    ring, concerned = await intents.concerned(vault, (), access.principal)
    intent = intents.Intent(Action.NAME_DEPUTY, concerned, outcome=outcome, policies=access.policies, officer=officer)
    intents.record(session, ring, intent, principal=access.principal)
