"""Looking again (人工复核): a resident asks for a human, who had no part in it, and who answers in five working days.

Invariants: nothing is decided by itself, also when it is late; who has any duty on the record does not answer; of one
request one look is open, and one is asked for each version of it; the finding is sealed for the resident.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, BusinessStatus, LegalBasis, LookFinding, Purpose, TaskState
from doorstep.contracts.envelope import Contract
from doorstep.kit import calendar, intents
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault, hold_erasing
from doorstep.referral import queries
from doorstep.referral.columns import open_content
from doorstep.referral.domain.deadlines import due_times
from doorstep.referral.domain.parts import together
from doorstep.referral.errors import (
    DecidedBefore,
    LookAnsweredAlready,
    LookAskedAlready,
    LookUnknown,
    NothingToOpenAnew,
    RequestUnknown,
)
from doorstep.referral.operations.access import STAFF, Access, open_to
from doorstep.referral.operations.notifying import Occasion, make_notices
from doorstep.referral.operations.opening import Origin, prepare, write
from doorstep.referral.queries import BY_CODE, PAGE, TaskRow

LOOK_DAYS = 5
"""Working days in which a human has looked again."""
_CLOSED = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.REJECTED, TaskState.CANCELLED})
_ASK = """
    INSERT INTO look (look_id, request_id, subject_id, station, version, asked_at, due_by)
    VALUES (:look_id, :request_id, :subject_id, :station, :version, :asked_at, :due_by)
    ON CONFLICT DO NOTHING RETURNING look_id
"""
_OPEN = """
    SELECT l.look_id, l.request_id, r.record_id, l.subject_id, l.asked_at, l.due_by
    FROM look l JOIN request r USING (request_id) WHERE l.station = :station AND l.answered_at IS NULL
        AND NOT EXISTS (SELECT FROM duty d WHERE d.record_id = r.record_id AND d.person = :who)
        AND NOT EXISTS (SELECT FROM exclusion x WHERE x.subject_id = l.subject_id AND x.staff = :who)
    ORDER BY l.due_by, l.look_id LIMIT :page
"""
_ONE = "SELECT answered_at FROM look WHERE look_id = :look_id AND request_id = :request_id FOR NO KEY UPDATE"
_DUTY = """
    INSERT INTO duty (record_id, person, role) VALUES (:record_id, :person, :role)
    ON CONFLICT DO NOTHING RETURNING role
"""
_ANSWER = """
    UPDATE look SET answered_at = :now, answered_by = :person, answer = :answer WHERE look_id = :look_id
"""
_BY_CODE = f"""
    SELECT l.look_id, r.follow_ref, l.subject_id, l.asked_at, l.due_by, l.answered_at, l.answer
    FROM look l JOIN request r USING (request_id) WHERE {BY_CODE} ORDER BY l.asked_at, l.look_id
"""  # noqa: S608


class Answered(Contract):
    """`look.answer`: what was found."""

    finding: LookFinding


@dataclass(frozen=True, slots=True)
class OpenLook:
    """A look that the station owes."""

    look_id: UUID
    request_id: UUID
    record_id: UUID
    subject_id: UUID
    asked_at: datetime
    due_by: datetime


@dataclass(frozen=True, slots=True)
class OwnLook:
    """A look as who asked for it sees it."""

    ref: UUID
    asked_at: datetime
    due_by: datetime
    answered_at: datetime | None
    finding: LookFinding | None


async def ask_to_look_again(
    session: AsyncSession, *, vault: Vault, follow_index: bytes, ref: UUID, look_id: UUID, now: datetime
) -> datetime:
    """Ask that a human look again at the request that the code knows as `ref`; gives when they will have.

    Raises RequestUnknown, LookAskedAlready.
    """
    await hold_erasing(session)
    tasks = await queries.lock_followed_tasks(session, follow_index, ref)
    if not tasks:
        raise RequestUnknown
    task = tasks[0]
    ring = await vault.ring([task.subject_id])
    due_by = due_times(now, 0, LOOK_DAYS, calendar.worked).completion
    values = {
        "look_id": look_id,
        "request_id": task.request_id,
        "subject_id": task.subject_id,
        "station": task.station,
        "version": sum(one.version for one in tasks),  # each part counts on its own
        "asked_at": now,
        "due_by": due_by,
    }
    if not await run(session, _ASK, values):
        raise LookAskedAlready
    intents.record(session, ring, _intent(Action.ASK_TO_LOOK_AGAIN, task, Purpose.RESIDENT_REQUEST))
    return due_by


async def own_looks(session: AsyncSession, *, vault: Vault, follow_index: bytes) -> list[OwnLook]:
    """The looks at the requests of a code, with what was found; of an unknown code none."""
    rows = await run(session, _BY_CODE, {"index": follow_index})
    ring = await vault.ring({row["subject_id"] for row in rows})
    rows = [row for row in rows if row["subject_id"] in ring]
    if rows:
        subjects = intents.distinct(row["subject_id"] for row in rows)
        intent = intents.Intent(Action.FOLLOW_REQUEST, subjects, purpose=Purpose.RESIDENT_REQUEST)
        intents.record(session, ring, intent)
    return [
        OwnLook(row["follow_ref"], row["asked_at"], row["due_by"], row["answered_at"], _finding(ring, row))
        for row in rows
    ]


async def list_looks(session: AsyncSession, *, vault: Vault, access: Access, station: str) -> list[OpenLook]:
    """What the caller may look at again, the first due first: nothing in which they had a part, or may have none."""
    values = {"station": station, "who": vault.pairwise(STAFF, access.principal.subject), "page": PAGE}
    found = [OpenLook(**dict(row)) for row in await run(session, _OPEN, values)]
    ring = await vault.ring({one.subject_id for one in found})
    found = [one for one in found if one.subject_id in ring]
    if found:
        subjects = intents.distinct(one.subject_id for one in found)
        intent = intents.Intent(Action.LIST_LOOKS, subjects, purpose=access.purpose, policies=access.policies)
        intents.record(session, ring, intent, principal=access.principal)
    return found


async def answer_look(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    request_id: UUID,
    look_id: UUID,
    finding: LookFinding,
    now: datetime,
) -> bool:
    """Answer as somebody who had no part in it; whether a linked request was opened, which waits for a department.

    Raises RequestUnknown, or a LookRefused.
    """
    await hold_erasing(session)
    tasks = await queries.lock_station_tasks(session, station, request_id)
    if not await open_to(session, vault, access, tasks):
        raise RequestUnknown
    task = tasks[0]
    looks = await run(session, _ONE, {"look_id": look_id, "request_id": request_id})
    if not looks:
        raise LookUnknown
    person = vault.pairwise(STAFF, access.principal.subject)
    duty = {"record_id": task.record_id, "person": person, "role": access.principal.role}
    if looks[0]["answered_at"] is not None:
        raise LookAnsweredAlready
    if not await run(session, _DUTY, duty):
        raise DecidedBefore
    ring = await vault.ring([task.subject_id])
    opened = finding is LookFinding.OPENED_ANEW and await _open_anew(session, vault, ring, tasks, now)
    answer = ring.encrypt(task.subject_id, _context(look_id), Answered(finding=finding).model_dump_json().encode())
    await run(session, _ANSWER, {"look_id": look_id, "now": now, "person": person, "answer": answer})
    await make_notices(session, [Occasion(look_id, 0, request_id, task.subject_id)], now)
    intent = replace(_intent(Action.ANSWER_LOOK, task, access.purpose), outcome=finding.value, policies=access.policies)
    intents.record(session, ring, intent, principal=access.principal)
    return opened


async def _open_anew(
    session: AsyncSession, vault: Vault, ring: KeyRing, tasks: Sequence[TaskRow], now: datetime
) -> bool:
    """Open a linked request that waits at the station for a department. Raises NothingToOpenAnew."""
    task, state = tasks[0], together([one.state for one in tasks])
    if state not in _CLOSED or await queries.is_continued(session, task.request_id):
        raise NothingToOpenAnew(state=state.value)
    content = open_content(ring, task.subject_id, task.request_id, task.content)
    origin = Origin(task.record_id, task.file_id, task.station)
    opening = prepare(vault, origin, task.need_id, task.subject_id, content, None, now)
    linked = replace(opening, continues=task.request_id, business_status=BusinessStatus.REOPENED)
    return bool(await write(session, vault=vault, ring=ring, openings=[linked]))


def _finding(ring: KeyRing, row: Any) -> LookFinding | None:
    if row["answer"] is None:
        return None
    plain = ring.decrypt(row["subject_id"], _context(row["look_id"]), row["answer"])
    return Answered.model_validate_json(plain).finding


def _context(look_id: UUID) -> str:
    return f"look.answer:{look_id}"


def _intent(action: Action, task: TaskRow, purpose: Purpose) -> intents.Intent:
    return intents.Intent(
        action,
        [task.subject_id],
        purpose=purpose,
        legal_basis=LegalBasis(task.legal_basis),
        case=task.request_id,
        record=task.record_id,
    )
