"""Issuing numbered notices, showing them again, and saying of a number and a hash whether they are one of this station.

Invariants: of a request each kind is issued once, and shown again as it was issued; its number is random, so that
numbers tell neither how many there are nor in which order; the file is sealed under the subject's key and goes with it;
whoever checks one learns yes or no.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, LegalBasis, TaskState
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault
from doorstep.referral import queries
from doorstep.referral.columns import open_detail
from doorstep.referral.domain.content import Content, project
from doorstep.referral.domain.deadlines import SHANGHAI, DueTimes
from doorstep.referral.domain.notice_pdf import Seal, WetSeal, draw_notice
from doorstep.referral.domain.numbered_notices import HANDED_ON, STATES, Kind, Notice
from doorstep.referral.errors import NothingToNotify, NoticeBarred, NoticeUnknown, RequestUnknown
from doorstep.referral.operations.access import Access, open_to
from doorstep.referral.operations.handling import acting_for
from doorstep.referral.operations.tasks import content_of
from doorstep.referral.queries import TaskRow, TransitionRow

_CODE = "notice.code"
_FOUND = "SELECT notice_id, kind, file, issued_at FROM numbered_notice WHERE task_id = :task_id AND kind = :kind"
_ISSUE = """
    INSERT INTO numbered_notice (notice_id, task_id, kind, code, said, file_digest, file, issued_at, issued_by)
    VALUES (:notice_id, :task_id, :kind, :code, :said, :file_digest, :file, :issued_at, :issued_by)
"""
_CHECK = "SELECT said, file_digest FROM numbered_notice WHERE code = :code"


@dataclass(frozen=True, slots=True)
class Issued:
    """A notice as it was issued."""

    notice_id: UUID
    kind: Kind
    issued_at: datetime
    file: bytes


@dataclass(frozen=True, slots=True)
class Office:
    """By whom notices are issued: where they are checked, and how they are sealed."""

    public_url: str
    seal: Seal = WetSeal()  # noqa: RUF009 — it holds nothing


async def issue_notice(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    task: TaskRow | None,
    notice_id: UUID,
    kind: Kind,
    office: Office,
    now: datetime,
) -> Issued:
    """The notice of this kind about a locked `task`: the one that was issued, or a new one.

    Raises RequestUnknown, HandledByAnother, NothingToNotify or NoticeBarred.
    """
    if task is None or task.department is None or not await open_to(session, vault, access, [task]):
        raise RequestUnknown
    if access.principal.agency == task.department:
        access = await acting_for(session, access, task, now)
    ring = await vault.ring([task.subject_id])
    found = await _found(session, ring, task, kind)
    if found is not None:
        return found
    history = await queries.history(session, [task.task_id])
    said = _said_by(kind, task.state, history)
    if said is None:
        raise NothingToNotify(kind=kind.value, state=task.state.value)
    content = content_of(ring, task)
    if task.confidential and content.card.safe_contact is None:
        raise NoticeBarred
    notice = _notice(vault, ring, task, content, kind, said)
    number = notice.number
    address = f"{office.public_url}/notices#{number}.{encoded(notice.digest)}"
    file = await asyncio.to_thread(draw_notice, notice, address, seal=office.seal)
    row = {
        "notice_id": notice_id,
        "task_id": task.task_id,
        "kind": kind.value,
        "code": code_of_number(vault, number),
        "said": notice.digest,
        "file_digest": hashlib.sha256(file).digest(),
        "file": ring.encrypt(task.subject_id, _context(task, kind), file),
        "issued_at": now,
        "issued_by": access.principal.subject,
    }
    await run(session, _ISSUE, row)
    _log(session, ring, access, task, Action.ISSUE_NOTICE, kind.value)
    return Issued(notice_id, kind, now, file)


async def read_notice(
    session: AsyncSession, *, vault: Vault, access: Access, task: TaskRow | None, kind: Kind
) -> Issued:
    """A notice that was issued; that it was read is logged. Raises RequestUnknown or NoticeUnknown."""
    if task is None or not await open_to(session, vault, access, [task]):
        raise RequestUnknown
    ring = await vault.ring([task.subject_id])
    found = await _found(session, ring, task, kind)
    if found is None:
        raise NoticeUnknown
    _log(session, ring, access, task, Action.READ_REQUEST, "done")
    return found


async def is_genuine(session: AsyncSession, *, vault: Vault, number: str, digest: bytes) -> bool:
    """Whether a notice has this number, and what it says, or its file, this SHA-256."""
    rows = await run(session, _CHECK, {"code": code_of_number(vault, number)})
    held = [bytes(one) for one in rows[0]] if rows else [b"", b""]
    return any([hmac.compare_digest(one, digest) for one in held])


def code_of_number(vault: Vault, number: str) -> bytes:
    """By what a notice is found, however its letters are written and grouped."""
    return vault.blind_index(_CODE, "".join(sign for sign in number if sign.isalnum()).upper())


def encoded(digest: bytes) -> str:
    """A hash as it stands in the QR code."""
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


async def _found(session: AsyncSession, ring: KeyRing, task: TaskRow, kind: Kind) -> Issued | None:
    rows = await run(session, _FOUND, {"task_id": task.task_id, "kind": kind.value})
    if not rows:
        return None
    file = ring.decrypt(task.subject_id, _context(task, kind), bytes(rows[0]["file"]))
    return Issued(rows[0]["notice_id"], kind, rows[0]["issued_at"], file)


def _said_by(kind: Kind, state: TaskState, history: Sequence[TransitionRow]) -> TransitionRow | None:
    """The step of a task in `state` of which a notice of this kind tells; None where there is none to tell of.

    Routing by rules hands nothing on: a hand-on is the station's, of what waited or came back.
    """
    if state not in STATES[kind]:
        return None
    if kind is Kind.HAND_ON:
        steps = (one for one in history if (one.from_state, one.to_state) == HANDED_ON)
    else:
        steps = (one for one in history if one.to_state == state)
    return max(steps, key=lambda one: one.version, default=None)


def _notice(vault: Vault, ring: KeyRing, task: TaskRow, content: Content, kind: Kind, said: TransitionRow) -> Notice:
    """What the notice says: of the person the name alone, if the department knows it."""
    department, ref = Department(str(task.department)), task.ref
    assert ref is not None  # noqa: S101 — a task with a department has one
    due = DueTimes(task.respond_by, task.complete_by, task.provisional)
    subject_ref = vault.pairwise(department, task.subject_id)
    offer = project(department, content, ref=ref, subject_ref=subject_ref, due=due)
    detail = open_detail(ring, task.subject_id, task.task_id, said.version, said.detail)
    return Notice(
        number=vault.new_code(),
        kind=kind,
        department=department,
        station=task.station,
        need_type=offer.need_type,
        day=str(said.at.astimezone(SHANGHAI).date()),
        name=offer.name,
        complete_by=str(due.completion.astimezone(SHANGHAI).date()) if kind is Kind.ACCEPTANCE else None,
        reason=detail.reason if kind in (Kind.REFUSAL, Kind.COMPLETION) else None,
        outcome=detail.outcome if kind is Kind.COMPLETION else None,
    )


def _context(task: TaskRow, kind: Kind) -> str:
    return f"notice.file:{task.task_id}/{kind}"


def _log(session: AsyncSession, ring: KeyRing, access: Access, task: TaskRow, action: Action, outcome: str) -> None:
    intent = intents.Intent(
        action,
        [task.subject_id],
        purpose=access.purpose,
        legal_basis=LegalBasis(task.legal_basis),
        case=task.request_id,
        outcome=outcome,
        record=task.record_id,
        policies=access.policies,
        officer=access.officer,
    )
    intents.record(session, ring, intent, principal=access.principal)
