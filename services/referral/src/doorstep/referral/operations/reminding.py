"""Reminding a department: the station's word that a request is due, at most once a day for each task."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Deadline, Department, DueStep, LegalBasis
from doorstep.contracts.referral import DueDetail
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.vault import Vault
from doorstep.referral import queries
from doorstep.referral.domain.announcements import Announcement, Watched, owed
from doorstep.referral.domain.deadline_errors import NobodyToRemind, RemindedToday
from doorstep.referral.domain.deadlines import SHANGHAI, DueTimes
from doorstep.referral.domain.states import OPEN
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.announcing import publish, tell_department
from doorstep.referral.operations.tasks import content_of, meant
from doorstep.referral.queries import TaskRow

_REMIND = """
    INSERT INTO reminder (task_id, day, at, person) VALUES (:task_id, :day, :at, :person)
    ON CONFLICT DO NOTHING RETURNING task_id
"""


@dataclass(frozen=True, slots=True)
class Reminded:
    """Of which part of what, and on which day of the place, a department was reminded."""

    request_id: UUID
    part: int
    department: Department
    deadline: Deadline
    due_by: datetime
    day: date


async def remind_department(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    station: str,
    request_id: UUID,
    part: int | None,
    now: datetime,
) -> Reminded:
    """Remind the department that has a request of the station, or a part of it, of the deadline that is next.

    Raises RequestUnknown, PartUnnamed, PartUnknown, NobodyToRemind where no department has it, or RemindedToday.
    """
    tasks = await queries.lock_station_tasks(session, station, request_id)
    task = await meant(session, vault, access, tasks, part)
    if task.department is None or task.state not in OPEN:
        raise NobodyToRemind(state=task.state.value)
    day = now.astimezone(SHANGHAI).date()
    values = {"task_id": task.task_id, "day": day, "at": now, "person": access.principal.subject}
    if not await run(session, _REMIND, values):
        raise RemindedToday
    reminded = await _tell(session, vault, task, Department(task.department), day, now)
    ring = await vault.ring([task.subject_id])
    intent = intents.Intent(
        Action.REMIND_DEPARTMENT,
        [task.subject_id],
        purpose=access.purpose,
        legal_basis=LegalBasis(task.legal_basis),
        case=task.request_id,
        record=task.record_id,
        policies=access.policies,
    )
    intents.record(session, ring, intent, principal=access.principal)
    return reminded


async def _tell(
    session: AsyncSession, vault: Vault, task: TaskRow, department: Department, day: date, now: datetime
) -> Reminded:
    ring = await vault.ring([task.subject_id])
    watched = Watched(task.state, task.opened_at, DueTimes(task.respond_by, task.complete_by, task.provisional))
    deadline, due_by = owed(watched)[0]
    row: dict[str, Any] = {
        "request_id": task.request_id, "task_id": task.task_id, "record_id": task.record_id, "file_id": task.file_id,
        "subject_id": task.subject_id, "ref": task.ref, "part": task.part,
    }  # fmt: skip
    detail = DueDetail(
        department=department,
        deadline=deadline,
        step=DueStep.REMINDER,
        due_by=due_by,
        late=False,
        reserved=content_of(ring, task).reserved or None,
    )
    publish(session, ring, row, detail, now)
    tell_department(session, ring, row, department, Announcement(deadline, DueStep.REMINDER, due_by, now), now)
    return Reminded(task.request_id, task.part, department, deadline, due_by, day)
