"""A department that does not answer: after its time the request is taken from it, and goes to another."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Reason, TaskState
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing
from doorstep.referral.domain.deadline_errors import NotOverdue
from doorstep.referral.domain.states import Party, Standing, Step
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.notifying import NOT_IN_TIME, Occasion, make_notices
from doorstep.referral.operations.tasks import Wish, publish_step, withdraw, write_step
from doorstep.referral.queries import TaskRow

_NOTICED = "UPDATE task_transition SET noticed = true WHERE task_id = :task_id AND version = :version"


def is_silent(task: TaskRow, target: str, now: datetime) -> bool:
    """Whether the department that has the task did not answer in time, and another is to have it.

    Raises NotOverdue where it has time left, or is to have it again.
    """
    if task.state is not TaskState.REQUESTED:
        return False
    respond_by = task.respond_by if task.hotline_due_by is None else min(task.respond_by, task.hotline_due_by)
    if now <= respond_by or target == task.department:
        raise NotOverdue
    return True


async def take_back(session: AsyncSession, ring: KeyRing, access: Access, task: TaskRow, now: datetime) -> TaskRow:
    """Cancel a locked task that nobody answered, as the station; the department is told, and owes its erasure.

    Its resident is told that nobody answered in time, unless they were told before, and nothing else: the request goes
    on. Gives the task as it is then. Nobody else takes a step in between: the request is locked.
    """
    step = Step(TaskState.CANCELLED, Party.STATION, access.principal.subject, Reason.NO_RESPONSE)
    after = Standing(TaskState.CANCELLED)
    wish = Wish(TaskState.CANCELLED, task.version, reason=Reason.NO_RESPONSE)
    await write_step(session, ring, task, step, after, wish, now)
    publish_step(session, ring, task, step, after, now)
    await withdraw(session, ring, task.subject_id, task, now)
    await make_notices(session, [Occasion(task.task_id, NOT_IN_TIME, task.request_id, task.subject_id)], now)
    await run(session, _NOTICED, {"task_id": task.task_id, "version": task.version + 1})
    return replace(task, state=TaskState.CANCELLED, version=task.version + 1)
