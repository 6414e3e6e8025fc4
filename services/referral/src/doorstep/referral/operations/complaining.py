"""Complaints: a resident says by the code how they were treated, and a human who had no part answers.

Invariants: what is said, and the answer, are sealed for the person; no event, figure, list or decision elsewhere reads
this table; whoever has a duty on the record, is named, or is kept from the matter neither reads nor answers, and no
department does; what is taken back is gone, with its answer and what was kept of the commands. The follow code lists
none: it lay in other hands; of what it shows, a complaint is shown to who has the complaint's own code as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, LegalBasis, Purpose
from doorstep.contracts.envelope import Contract
from doorstep.kit import calendar, idempotency, intents
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault, hold_erasing
from doorstep.referral import queries
from doorstep.referral.domain.complaint_errors import ComplaintAnswered, ComplaintUnknown, HadAPart, TooManyComplaints
from doorstep.referral.domain.complaints import MOST_OPEN, About, Complaint, ComplaintAnswer, answer_by
from doorstep.referral.errors import RequestUnknown
from doorstep.referral.operations.access import STAFF, Access, open_to
from doorstep.referral.operations.notifying import Occasion, make_notices
from doorstep.referral.queries import BY_CODE, PAGE, TaskRow

Held = TypeVar("Held", bound=Contract)

KIND = "complaint"
"""Of what a complaint's own code is the code."""
_WAITING = "SELECT count(*) FROM complaint WHERE request_id = :request_id AND answered_at IS NULL"
_MAKE = """
    INSERT INTO complaint (complaint_id, request_id, made_at, content, named)
    VALUES (:complaint_id, :request_id, :made_at, :content, CAST(:named AS uuid[]))
    ON CONFLICT DO NOTHING RETURNING complaint_id
"""
_BY_CODE = f"""
    SELECT c.complaint_id, r.follow_ref, r.subject_id, c.made_at, c.content, c.answered_at, c.answer
    FROM complaint c JOIN request r USING (request_id) WHERE {BY_CODE}
"""  # noqa: S608
_MADE = f"""
    SELECT r.request_id, c.made_at FROM complaint c JOIN request r USING (request_id)
    WHERE {BY_CODE} AND c.complaint_id = :complaint_id
"""  # noqa: S608
_TAKE_BACK = f"""
    DELETE FROM complaint c USING request r
    WHERE c.complaint_id = :complaint_id AND r.request_id = c.request_id AND {BY_CODE}
    RETURNING r.request_id, r.record_id, r.subject_id, r.legal_basis
"""  # noqa: S608
_NOT_TOLD = "DELETE FROM notice WHERE cause = :complaint_id AND state = 'waiting'"
_OWED = """
    SELECT c.complaint_id, c.request_id, r.subject_id, c.made_at
    FROM complaint c JOIN request r USING (request_id) WHERE r.station = :station AND c.answered_at IS NULL
        AND CAST(:who AS uuid) <> ALL(c.named)
        AND NOT EXISTS (SELECT FROM duty d WHERE d.record_id = r.record_id AND d.person = :who)
        AND NOT EXISTS (SELECT FROM exclusion x WHERE x.subject_id = r.subject_id AND x.staff = :who)
    ORDER BY c.made_at, c.complaint_id LIMIT :page
"""
_ONE = """
    SELECT made_at, content, named, answered_at, answer FROM complaint
    WHERE complaint_id = :complaint_id AND request_id = :request_id FOR UPDATE
"""
_DUTY = "SELECT 1 FROM duty WHERE record_id = :record_id AND person = :person"
_DEPARTMENTS = """
    SELECT DISTINCT department FROM task WHERE request_id = :request_id AND department IS NOT NULL ORDER BY department
"""
_ANSWER = """
    UPDATE complaint SET answered_at = :now, answered_by = :person, answer = :answer WHERE complaint_id = :complaint_id
"""


@dataclass(frozen=True, slots=True)
class OwnComplaint:
    """A complaint as who made it sees it by its code: what they said is not said again."""

    ref: UUID
    about: About
    made_at: datetime
    due_by: datetime
    answered_at: datetime | None
    answer: ComplaintAnswer | None


@dataclass(frozen=True, slots=True)
class MadeComplaint:
    """A complaint that was received: by which code its maker alone sees it, and until when it is answered."""

    request_id: UUID
    code: str
    due_by: datetime


@dataclass(frozen=True, slots=True)
class OwedComplaint:
    """A complaint that waits for an answer, without what it says."""

    complaint_id: UUID
    request_id: UUID
    made_at: datetime
    due_by: datetime


@dataclass(frozen=True, slots=True)
class ReadComplaint:
    """A complaint as who answers it reads it, and which departments had the request."""

    made_at: datetime
    due_by: datetime
    content: Complaint
    departments: tuple[Department, ...]
    answered_at: datetime | None
    answer: ComplaintAnswer | None


async def complain(
    session: AsyncSession,
    *,
    vault: Vault,
    follow_index: bytes,
    ref: UUID,
    complaint_id: UUID,
    content: Complaint,
    staff: Sequence[str],
    now: datetime,
) -> MadeComplaint:
    """Keep what somebody says of how they were treated over the request that the code knows as `ref`.

    `staff` are whom they name, by the numbers on their badges. Raises RequestUnknown, TooManyComplaints, IdReused.
    """
    await hold_erasing(session)
    tasks = await queries.lock_followed_tasks(session, follow_index, ref)
    ring = await vault.ring([task.subject_id for task in tasks[:1]])
    if not tasks or tasks[0].subject_id not in ring:
        raise RequestUnknown
    task = tasks[0]
    waiting = await run(session, _WAITING, {"request_id": task.request_id})  # the request is locked: nobody adds one
    if waiting[0]["count"] >= MOST_OPEN:
        raise TooManyComplaints
    values = {
        "complaint_id": complaint_id,
        "request_id": task.request_id,
        "made_at": now,
        "content": _seal(ring, task.subject_id, f"complaint.content:{complaint_id}", content),
        "named": sorted({vault.pairwise(STAFF, one) for one in staff}),
    }
    if not await run(session, _MAKE, values):
        raise idempotency.IdReused
    intents.record(session, ring, _intent(Action.MAKE_COMPLAINT, task, Purpose.RESIDENT_REQUEST))
    return _made(vault, task.request_id, complaint_id, now)


async def made_before(session: AsyncSession, *, vault: Vault, follow_index: bytes, complaint_id: UUID) -> MadeComplaint:
    """The same once more, for who sends the command again. Raises RequestUnknown where the code opens it no more."""
    rows = await run(session, _MADE, {"index": follow_index, "complaint_id": complaint_id})
    if not rows:
        raise RequestUnknown
    return _made(vault, rows[0]["request_id"], complaint_id, rows[0]["made_at"])


async def own_complaint(session: AsyncSession, *, vault: Vault, follow_index: bytes, code: str) -> OwnComplaint:
    """The complaint whose code that is, about a request of the follow code. Raises ComplaintUnknown."""
    row = await _own(session, vault, follow_index, code)
    subjects = [] if row is None else [row["subject_id"]]
    ring = await vault.ring(subjects)
    if row is None or row["subject_id"] not in ring:
        raise ComplaintUnknown
    intent = intents.Intent(Action.FOLLOW_REQUEST, subjects, purpose=Purpose.RESIDENT_REQUEST)
    intents.record(session, ring, intent)
    return OwnComplaint(
        row["follow_ref"],
        _content(ring, row["subject_id"], row["complaint_id"], row).about,
        row["made_at"],
        answer_by(row["made_at"], calendar.worked),
        row["answered_at"],
        _answer(ring, row["subject_id"], row["complaint_id"], row),
    )


async def take_back(session: AsyncSession, *, vault: Vault, follow_index: bytes, code: str) -> None:
    """Delete the complaint whose code that is, with its answer if there is one; nothing where there is none.

    What was kept of its commands goes with it: sent again, they are answered as erased.
    """
    await hold_erasing(session)
    found = await _own(session, vault, follow_index, code)
    if found is None:
        return
    complaint_id = found["complaint_id"]
    for row in await run(session, _TAKE_BACK, {"index": follow_index, "complaint_id": complaint_id}):
        await run(session, _NOT_TOLD, {"complaint_id": complaint_id})
        await idempotency.erase_about(session, [complaint_id])
        ring = await vault.ring([row["subject_id"]])
        if row["subject_id"] in ring:
            intent = intents.Intent(
                Action.WITHDRAW_COMPLAINT,
                [row["subject_id"]],
                purpose=Purpose.RESIDENT_REQUEST,
                legal_basis=LegalBasis(row["legal_basis"]),
                case=row["request_id"],
                record=row["record_id"],
            )
            intents.record(session, ring, intent)


async def list_complaints(session: AsyncSession, *, vault: Vault, access: Access, station: str) -> list[OwedComplaint]:
    """What waits for an answer of somebody like the caller, the first due first; nothing of what it says."""
    values = {"station": station, "who": vault.pairwise(STAFF, access.principal.subject), "page": PAGE}
    rows = await run(session, _OWED, values)
    ring = await vault.ring({row["subject_id"] for row in rows})
    rows = [row for row in rows if row["subject_id"] in ring]
    if rows:
        subjects = intents.distinct(row["subject_id"] for row in rows)
        intent = intents.Intent(Action.LIST_COMPLAINTS, subjects, purpose=access.purpose, policies=access.policies)
        intents.record(session, ring, intent, principal=access.principal)
    return [
        OwedComplaint(
            row["complaint_id"], row["request_id"], row["made_at"], answer_by(row["made_at"], calendar.worked)
        )
        for row in rows
    ]


async def read_complaint(
    session: AsyncSession, *, vault: Vault, access: Access, station: str, request_id: UUID, complaint_id: UUID
) -> ReadComplaint:
    """What a complaint says, for who is to answer it. Raises RequestUnknown, HadAPart, ComplaintUnknown."""
    task, ring, row = await _reach(session, vault, access, station, request_id, complaint_id)
    found = await run(session, _DEPARTMENTS, {"request_id": request_id})
    intent = _intent(Action.READ_COMPLAINT, task, access.purpose, access)
    intents.record(session, ring, intent, principal=access.principal)
    return ReadComplaint(
        row["made_at"],
        answer_by(row["made_at"], calendar.worked),
        _content(ring, task.subject_id, complaint_id, row),
        tuple(Department(one["department"]) for one in found),
        row["answered_at"],
        _answer(ring, task.subject_id, complaint_id, row),
    )


async def answer_complaint(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    request_id: UUID,
    complaint_id: UUID,
    answer: ComplaintAnswer,
    now: datetime,
) -> None:
    """Answer, as somebody who had no part; the person is told that there is news.

    Raises RequestUnknown, HadAPart, ComplaintUnknown, ComplaintAnswered.
    """
    await hold_erasing(session)
    task, ring, row = await _reach(session, vault, access, station, request_id, complaint_id)
    if row["answered_at"] is not None:
        raise ComplaintAnswered
    values = {
        "complaint_id": complaint_id,
        "now": now,
        "person": vault.pairwise(STAFF, access.principal.subject),
        "answer": _seal(ring, task.subject_id, f"complaint.answer:{complaint_id}", answer),
    }
    await run(session, _ANSWER, values)
    subject_id = task.subject_id
    await make_notices(session, [Occasion(complaint_id, 0, request_id, subject_id)], now)
    intent = _intent(Action.ANSWER_COMPLAINT, task, access.purpose, access)
    intents.record(session, ring, intent, principal=access.principal)


async def _own(session: AsyncSession, vault: Vault, follow_index: bytes, code: str) -> Any:
    rows = await run(session, _BY_CODE, {"index": follow_index})
    return next((row for row in rows if vault.opens(code, KIND, row["complaint_id"])), None)


def _made(vault: Vault, request_id: UUID, complaint_id: UUID, made_at: datetime) -> MadeComplaint:
    return MadeComplaint(request_id, vault.code_of(KIND, complaint_id), answer_by(made_at, calendar.worked))


async def _reach(
    session: AsyncSession, vault: Vault, access: Access, station: str, request_id: UUID, complaint_id: UUID
) -> tuple[TaskRow, KeyRing, Any]:
    """The request and the complaint, both locked; what is not for the caller is not there."""
    tasks = await queries.lock_station_tasks(session, station, request_id)
    if not await open_to(session, vault, access, tasks):
        raise RequestUnknown
    task, who = tasks[0], vault.pairwise(STAFF, access.principal.subject)
    rows = await run(session, _ONE, {"complaint_id": complaint_id, "request_id": request_id})
    ring = await vault.ring([task.subject_id])
    if not rows or who in rows[0]["named"] or task.subject_id not in ring:
        raise ComplaintUnknown
    if await run(session, _DUTY, {"record_id": task.record_id, "person": who}):
        raise HadAPart
    return task, ring, rows[0]


def _seal(ring: KeyRing, subject_id: UUID, context: str, held: Contract) -> bytes:
    return ring.encrypt(subject_id, context, held.model_dump_json(exclude_none=True).encode())


def _open(ring: KeyRing, subject_id: UUID, context: str, blob: bytes, model: type[Held]) -> Held:
    return model.model_validate_json(ring.decrypt(subject_id, context, bytes(blob)))


def _content(ring: KeyRing, subject_id: UUID, complaint_id: UUID, row: Any) -> Complaint:
    return _open(ring, subject_id, f"complaint.content:{complaint_id}", row["content"], Complaint)


def _answer(ring: KeyRing, subject_id: UUID, complaint_id: UUID, row: Any) -> ComplaintAnswer | None:
    if row["answer"] is None:
        return None
    return _open(ring, subject_id, f"complaint.answer:{complaint_id}", row["answer"], ComplaintAnswer)


def _intent(action: Action, task: TaskRow, purpose: Purpose, access: Access | None = None) -> intents.Intent:
    return intents.Intent(
        action,
        [task.subject_id],
        purpose=purpose,
        legal_basis=LegalBasis(task.legal_basis),
        case=task.request_id,
        record=task.record_id,
        policies=() if access is None else access.policies,
    )
