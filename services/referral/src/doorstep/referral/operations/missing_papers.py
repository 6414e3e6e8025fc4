"""The notice of missing papers (一次性告知): all of them, once; meanwhile the completion is paused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, LegalBasis, Reason, TaskState
from doorstep.contracts.papers import Paper
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault
from doorstep.referral import queries
from doorstep.referral.columns import open_detail, seal_papers
from doorstep.referral.domain.deadline_errors import NoticeGiven, ResidentNotAwaited
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.handling import acting_for
from doorstep.referral.operations.pausing import pause
from doorstep.referral.operations.tasks import seen_by
from doorstep.referral.queries import TaskRow

_NOTICE = """
    UPDATE task SET missing_papers = :papers WHERE task_id = :task_id AND missing_papers IS NULL RETURNING task_id
"""


@dataclass(frozen=True, slots=True)
class Noticed:
    """What the resident was told to bring, and until when the completion is paused at most, if it is."""

    ref: UUID
    papers: tuple[Paper, ...]
    paused_until: datetime | None


async def list_missing_papers(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    ref: UUID,
    version: int,
    papers: Sequence[Paper],
    now: datetime,
) -> Noticed:
    """List all papers that a department's task waits for, and pause its completion; other parts go on as they do.

    Raises RequestUnknown, VersionStale, HandledByAnother, ResidentNotAwaited, or NoticeGiven where a list was given.
    """
    found = await queries.lock_department_task(session, department, ref)
    task = await seen_by(session, vault, access, [] if found is None else [found], version)
    acting = await acting_for(session, access, task, now)
    ring = await vault.ring([task.subject_id])
    if not await awaited(session, ring, task):
        raise ResidentNotAwaited(state=task.state.value)
    listed = tuple(sorted(set(papers)))
    blob = seal_papers(ring, task.subject_id, task.task_id, listed)
    if not await run(session, _NOTICE, {"task_id": task.task_id, "papers": blob}):
        raise NoticeGiven
    until = await pause(session, task, now)
    intent = intents.Intent(
        Action.LIST_MISSING_PAPERS,
        [task.subject_id],
        purpose=acting.purpose,
        legal_basis=LegalBasis(task.legal_basis),
        case=task.request_id,
        record=task.record_id,
        policies=acting.policies,
        officer=acting.officer,
    )
    intents.record(session, ring, intent, principal=acting.principal)
    return Noticed(ref, listed, until)


async def awaited(session: AsyncSession, ring: KeyRing, task: TaskRow) -> bool:
    """Whether the task is on hold for its resident: by the reason that was said when it was put there."""
    if task.state is not TaskState.ON_HOLD:
        return False
    put = [
        row
        for row in await queries.history(session, [task.task_id])
        if row.to_state == TaskState.ON_HOLD and row.from_state != TaskState.ON_HOLD
    ]
    detail = open_detail(ring, task.subject_id, task.task_id, put[-1].version, put[-1].detail)
    return detail.reason is Reason.WAITING_FOR_RESIDENT
