"""The documents of a request: attached by its department, read by that and, with the outcome, by the station.

Invariants: a document is sealed under its subject's key, bytes and what it is, and goes with it; it is one task's, so
that no other department ever has it, whoever has the request later; what was attached in error is kept and shown to
nobody. Of what is confidential the station has the outcome's code, and no document, which says more.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import OPEN_DEPARTMENTS, Action, Department, LegalBasis
from doorstep.contracts.documents import DocumentForm, DocumentKind
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.edge import case_kind
from doorstep.kit.idempotency import IdReused
from doorstep.kit.policy import CaseKind, Policy, Resource, Why
from doorstep.kit.vault import KeyRing, Vault
from doorstep.referral import queries
from doorstep.referral.columns import About, open_about, open_file, seal_about, seal_file
from doorstep.referral.domain.document_errors import (
    DocumentUnknown,
    DocumentUnreadable,
    NothingToDocument,
    TooManyDocuments,
)
from doorstep.referral.domain.documents import ANSWERED, MOST, MOST_KEPT, OF_WORK, form_of
from doorstep.referral.errors import RequestUnknown
from doorstep.referral.operations.access import Access, open_to
from doorstep.referral.operations.handling import acting_for
from doorstep.referral.queries import TaskRow

ATTACHED, LISTED, READ, IN_ERROR = "attached", "listed", "read", "entered-in-error"
"""The outcomes that the log names."""

_COUNT = """
    SELECT count(*) FILTER (WHERE error_at IS NULL) AS listed, count(*) AS kept FROM document WHERE task_id = :task_id
"""
_ATTACH = """
    INSERT INTO document (document_id, task_id, about, file, attached_at, attached_by)
    VALUES (:document_id, :task_id, :about, :file, :attached_at, :attached_by)
    ON CONFLICT DO NOTHING RETURNING document_id
"""
_LISTED = """
    SELECT document_id, task_id, about, attached_at, attached_by FROM document
    WHERE task_id = ANY(CAST(:task_ids AS uuid[])) AND error_at IS NULL ORDER BY attached_at, document_id
"""
_FILE = "SELECT file FROM document WHERE document_id = :document_id"
_IN_ERROR = """
    UPDATE document SET error_at = :now, error_by = :person
    WHERE document_id = :document_id AND task_id = :task_id AND error_at IS NULL RETURNING document_id
"""
_RECORD = "SELECT record_id FROM request WHERE request_id = :request_id AND station = :station"


@dataclass(frozen=True, slots=True)
class New:
    """A document that is to be attached, in the form that its sender says it has."""

    document_id: UUID
    kind: DocumentKind
    form: DocumentForm | None
    file: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """What a document is, of which task, since when, and who of the department attached it."""

    document_id: UUID
    about: About
    task: TaskRow
    attached_at: datetime
    attached_by: str


async def attach_document(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, ref: UUID, new: New, now: datetime
) -> Document:
    """Attach a document to the department's own task, which stays locked, so that no two are the last that fits.

    Raises RequestUnknown, HandledByAnother, IdReused or a DocumentRefused.
    """
    task = await _own(session, vault, access, await queries.lock_department_task(session, department, ref))
    acting = await acting_for(session, access, task, now)
    if new.form is None or form_of(new.file) is not new.form:
        raise DocumentUnreadable
    if task.state not in OF_WORK:
        raise NothingToDocument(state=task.state.value)
    [(listed, kept)] = await run(session, _COUNT, {"task_id": task.task_id})
    if listed >= MOST or kept >= MOST_KEPT:
        raise TooManyDocuments(most=MOST, kept=MOST_KEPT)
    ring = await vault.ring([task.subject_id])
    about = About(kind=new.kind, form=new.form, size=len(new.file), sha256=hashlib.sha256(new.file).hexdigest())
    row = {
        "document_id": new.document_id,
        "task_id": task.task_id,
        "about": seal_about(ring, task.subject_id, new.document_id, about),
        "file": seal_file(ring, task.subject_id, new.document_id, new.file),
        "attached_at": now,
        "attached_by": access.principal.subject,
    }
    if not await run(session, _ATTACH, row):
        raise IdReused
    _log(session, ring, acting, [task], Action.ATTACH_DOCUMENT, ATTACHED)
    return Document(new.document_id, about, task, now, access.principal.subject)


async def attached_before(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, ref: UUID, document_id: UUID
) -> Document:
    """The document that the caller attached before. Raises RequestUnknown, or DocumentUnknown once it was in error."""
    task = await _own(session, vault, access, await queries.department_task(session, department, ref))
    return _one(await _documents(session, await vault.ring([task.subject_id]), [task]), document_id)


async def list_documents(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, ref: UUID
) -> list[Document]:
    """The documents of the department's own task, oldest first; that they were listed is logged.

    Raises RequestUnknown, or a Problem where the case is another.
    """
    task, ring = await _read(session, vault, access, department, ref)
    _log(session, ring, access, [task], Action.READ_DOCUMENT, LISTED)
    return await _documents(session, ring, [task])


async def read_document(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, ref: UUID, document_id: UUID
) -> tuple[Document, bytes]:
    """A document of the department's own task. Raises RequestUnknown, DocumentUnknown, or a Problem as listing does."""
    task, ring = await _read(session, vault, access, department, ref)
    found = _one(await _documents(session, ring, [task]), document_id)
    return found, await _file(session, ring, access, found)


async def enter_in_error(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    ref: UUID,
    document_id: UUID,
    now: datetime,
) -> None:
    """The department says that a document does not belong there: it stays sealed, and is shown to nobody any more.

    Raises RequestUnknown, HandledByAnother or DocumentUnknown.
    """
    task = await _own(session, vault, access, await queries.lock_department_task(session, department, ref))
    acting = await acting_for(session, access, task, now)
    values = {"document_id": document_id, "task_id": task.task_id, "now": now, "person": access.principal.subject}
    if not await run(session, _IN_ERROR, values):
        raise DocumentUnknown
    ring = await vault.ring([task.subject_id])
    _log(session, ring, acting, [task], Action.ATTACH_DOCUMENT, IN_ERROR)


async def list_for_station(
    session: AsyncSession,
    *,
    vault: Vault,
    policy: Policy,
    principal: Principal,
    why: Why,
    station: str,
    request_id: UUID,
) -> list[Document]:
    """The documents that came with the outcomes of a request of the station; of what is confidential none.

    The case is as for its outcome: the request, its record, its file, or an emergency access to that.
    Raises RequestUnknown, Forbidden, Problem.
    """  # fmt: skip
    access, tasks = await _of_station(session, vault, policy, principal, why, station, request_id)
    ring = await vault.ring([tasks[0].subject_id])
    _log(session, ring, access, tasks, Action.READ_DOCUMENT, LISTED)
    return await _documents(session, ring, _answered(tasks))


async def read_for_station(
    session: AsyncSession,
    *,
    vault: Vault,
    policy: Policy,
    principal: Principal,
    why: Why,
    station: str,
    request_id: UUID,
    document_id: UUID,
) -> tuple[Document, bytes]:
    """One of them. Raises DocumentUnknown too, as for one that is not there."""
    access, tasks = await _of_station(session, vault, policy, principal, why, station, request_id)
    ring = await vault.ring([tasks[0].subject_id])
    found = _one(await _documents(session, ring, _answered(tasks)), document_id)
    return found, await _file(session, ring, access, found)


async def _own(session: AsyncSession, vault: Vault, access: Access, task: TaskRow | None) -> TaskRow:
    if task is None or not await open_to(session, vault, access, [task]):
        raise RequestUnknown
    return task


async def _read(
    session: AsyncSession, vault: Vault, access: Access, department: Department, ref: UUID
) -> tuple[TaskRow, KeyRing]:
    """The department's task, read for itself."""
    task = await _own(session, vault, access, await queries.department_task(session, department, ref))
    if access.case is not None:
        await case_kind(session, vault, access.principal, access.case, file_id=None, own={ref: CaseKind.REQUEST})
    return task, await vault.ring([task.subject_id])


async def _of_station(
    session: AsyncSession, vault: Vault, policy: Policy, principal: Principal, why: Why, station: str, request_id: UUID
) -> tuple[Access, list[TaskRow]]:
    """All tasks of a request, for whoever may see its outcome: who may list what came of its record, for that case."""
    kind, thing = why.expected(CaseKind.REQUEST), Resource("request")
    policy.read(principal, Action.LIST_REQUESTS, thing, why, kind)
    rows = await run(session, _RECORD, {"request_id": request_id, "station": station})
    found = await queries.record_tasks(session, station, rows[0]["record_id"]) if rows else []
    tasks = [task for task in found if task.request_id == request_id]
    if not tasks or not await open_to(session, vault, Access(principal), tasks):
        raise RequestUnknown
    one = tasks[0]
    own = {request_id: CaseKind.REQUEST, one.record_id: CaseKind.RECORD, one.file_id: CaseKind.FILE}
    kind = await case_kind(session, vault, principal, why.case, file_id=one.file_id, own=own)
    allowed = policy.read(principal, Action.LIST_REQUESTS, thing, why, kind)
    return Access(principal, why.purpose, allowed.policies, why.case), tasks


def _answered(tasks: Sequence[TaskRow]) -> list[TaskRow]:
    """Those whose documents the station sees: none that tell of health, of a dispute or of what is confidential."""
    return [
        task
        for task in tasks
        if task.state in ANSWERED and not task.confidential and task.department in OPEN_DEPARTMENTS
    ]


async def _documents(session: AsyncSession, ring: KeyRing, tasks: Sequence[TaskRow]) -> list[Document]:
    by_id = {task.task_id: task for task in tasks}
    rows = await run(session, _LISTED, {"task_ids": list(by_id)})
    return [_document(ring, by_id[row["task_id"]], row) for row in rows]


def _document(ring: KeyRing, task: TaskRow, row: Any) -> Document:
    about = open_about(ring, task.subject_id, row["document_id"], bytes(row["about"]))
    return Document(row["document_id"], about, task, row["attached_at"], row["attached_by"])


def _one(found: Sequence[Document], document_id: UUID) -> Document:
    document = next((one for one in found if one.document_id == document_id), None)
    if document is None:
        raise DocumentUnknown
    return document


async def _file(session: AsyncSession, ring: KeyRing, access: Access, found: Document) -> bytes:
    """The bytes of a document; that they were read is logged."""
    [(blob,)] = await run(session, _FILE, {"document_id": found.document_id})
    file = open_file(ring, found.task.subject_id, found.document_id, bytes(blob))
    _log(session, ring, access, [found.task], Action.READ_DOCUMENT, READ)
    return file


def _log(
    session: AsyncSession, ring: KeyRing, access: Access, tasks: Sequence[TaskRow], action: Action, outcome: str
) -> None:
    """One entry, for the tasks of one request."""
    bases = {task.legal_basis for task in tasks}
    intent = intents.Intent(
        action,
        [tasks[0].subject_id],
        purpose=access.purpose,
        legal_basis=LegalBasis(bases.pop()) if len(bases) == 1 else None,
        case=tasks[0].request_id,
        outcome=outcome,
        record=tasks[0].record_id,
        policies=access.policies,
        officer=access.officer,
    )
    intents.record(session, ring, intent, principal=access.principal)
