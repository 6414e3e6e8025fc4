"""Going on against a promise (容缺受理): papers that were listed are promised, and the task is in progress again."""

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Department, TaskState
from doorstep.contracts.papers import Paper
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral import queries
from doorstep.referral.columns import open_papers
from doorstep.referral.domain.deadline_errors import ResidentNotAwaited
from doorstep.referral.domain.promises import promise
from doorstep.referral.domain.states import Party, Step, decide
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.handling import acting_for
from doorstep.referral.operations.missing_papers import awaited
from doorstep.referral.operations.tasks import Moved, Wish, seen_by, standing_of, take

_LISTED = "SELECT missing_papers FROM task WHERE task_id = :task_id"


async def go_on_against_promise(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    ref: UUID,
    version: int,
    papers: Collection[Paper],
    until: date,
    now: datetime,
) -> Moved:
    """Put a task that waits for its resident in progress, since they promise the `papers` that were listed.

    The step's detail says which, and until when; the pause of the completion ends. Raises RequestUnknown, VersionStale,
    HandledByAnother, ResidentNotAwaited, NothingListed, PaperNotListed or DayRefused.
    """
    found = await queries.lock_department_task(session, department, ref)
    task = await seen_by(session, vault, access, [] if found is None else [found], version)
    acting = await acting_for(session, access, task, now)
    ring = await vault.ring([task.subject_id])
    if not await awaited(session, ring, task):
        raise ResidentNotAwaited
    [(blob,)] = await run(session, _LISTED, {"task_id": task.task_id})
    listed = open_papers(ring, task.subject_id, task.task_id, blob)
    promised = promise(papers, until, listed=listed, now=now)
    step = Step(TaskState.IN_PROGRESS, Party.DEPARTMENT, acting.principal.subject)
    after = decide(standing_of(ring, task), step)
    wish = Wish(TaskState.IN_PROGRESS, version, promised=promised)
    return await take(session, ring, acting, task, step, after, wish, now)
