"""Pausing a completion: it begins with the notice of missing papers, and ends after fifteen days or before."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import BusinessStatus, TaskState
from doorstep.kit import calendar
from doorstep.kit.db import run
from doorstep.referral.domain.pauses import LONGEST, extended
from doorstep.referral.domain.states import Standing
from doorstep.referral.queries import TaskRow

_PAUSE = """
    UPDATE task SET paused_at = :now, paused_until = :until, complete_by_unpaused = complete_by, complete_by = :due
    WHERE task_id = :task_id
"""
_PAUSED = "SELECT paused_at, complete_by_unpaused FROM task WHERE task_id = :task_id AND paused_until > :now"
_RESUME = "UPDATE task SET paused_until = :now, complete_by = :due WHERE task_id = :task_id"


async def pause(session: AsyncSession, task: TaskRow, now: datetime) -> datetime | None:
    """Pause the completion of a locked task from now on; until when at most. What is late already is not paused."""
    if now > task.complete_by:
        return None
    until = now + LONGEST
    due = extended(task.complete_by, now, until, calendar.worked)
    await run(session, _PAUSE, {"task_id": task.task_id, "now": now, "until": until, "due": due})
    return until


async def resume(session: AsyncSession, task: TaskRow, after: Standing, now: datetime) -> None:
    """End the pause of a locked task whose resident is not waited for any more; else nothing changes."""
    waits = after.state is TaskState.ON_HOLD and after.business_status != BusinessStatus.NO_CAPACITY
    if task.state is not TaskState.ON_HOLD or waits:
        return
    for since, before in await run(session, _PAUSED, {"task_id": task.task_id, "now": now}):
        due = extended(before, since, now, calendar.worked)
        await run(session, _RESUME, {"task_id": task.task_id, "now": now, "due": due})
