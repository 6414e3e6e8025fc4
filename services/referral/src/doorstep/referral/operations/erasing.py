"""Erasing a subject: its requests go with all that hangs on them, and departments are told to delete what they hold.

Invariants: nobody opens or reopens a request of the subject while it is erased, or later; what tells a department so is
sealed for nobody's key, since the subject's is destroyed before or after; done again, it changes nothing.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.kit import idempotency
from doorstep.kit.db import run
from doorstep.kit.vault import NOBODY, Vault, begin_erasing
from doorstep.referral import queries
from doorstep.referral.operations.access import follower
from doorstep.referral.operations.orders import orders_of_subject
from doorstep.referral.operations.tasks import TAKEN_BACK, withdraw

_MARK = "INSERT INTO erased_subject (subject_id) VALUES (:subject_id) ON CONFLICT DO NOTHING"
_CONFERENCES = "SELECT conference_id FROM conference WHERE request_id = ANY(CAST(:requests AS uuid[]))"
_DELETE = (
    "DELETE FROM notice WHERE request_id = ANY(CAST(:requests AS uuid[]))",
    "DELETE FROM look WHERE request_id = ANY(CAST(:requests AS uuid[]))",
    "DELETE FROM complaint WHERE request_id = ANY(CAST(:requests AS uuid[]))",
    f"DELETE FROM minute WHERE conference_id IN ({_CONFERENCES})",  # noqa: S608
    f"DELETE FROM conference_seat WHERE conference_id IN ({_CONFERENCES})",  # noqa: S608
    "DELETE FROM conference WHERE request_id = ANY(CAST(:requests AS uuid[]))",
    "DELETE FROM rating WHERE request_id = ANY(CAST(:requests AS uuid[]))",
    *(
        f"DELETE FROM {table} WHERE task_id IN (SELECT task_id FROM task WHERE request_id = ANY(:requests))"  # noqa: S608
        for table in (
            "numbered_notice",
            "document",
            "handler",
            "announcement",
            "duty_call",
            "duty_call_attempt",
            "reminder",
        )
    ),
    "DELETE FROM task_transition WHERE task_id IN (SELECT task_id FROM task WHERE request_id = ANY(:requests))",
    "DELETE FROM task WHERE request_id = ANY(CAST(:requests AS uuid[]))",
    "DELETE FROM request WHERE request_id = ANY(CAST(:requests AS uuid[]))",
)


async def erase_subject(session: AsyncSession, *, vault: Vault, subject_id: UUID, now: datetime) -> None:
    """Withdraw what departments have of a subject, and delete its requests; commands about them are erased too.

    The index of the follow code goes with the requests, and with the commands of whoever held the code.
    """
    await begin_erasing(session)
    await run(session, _MARK, {"subject_id": subject_id})
    tasks = await queries.lock_subject_tasks(session, subject_id)
    ring = await vault.ring([NOBODY], create=True)
    for task in tasks:
        if task.state not in TAKEN_BACK:
            await withdraw(session, ring, NOBODY, task, now)
    requests = sorted({task.request_id for task in tasks})
    orders = await orders_of_subject(session, subject_id)
    refs = (task.ref for task in tasks if task.ref is not None)
    await idempotency.erase_about(session, [*requests, *orders, *refs])
    for index in {task.follow_index for task in tasks if task.follow_index is not None}:
        await idempotency.forget(session, follower(index))
    for statement in _DELETE:
        await run(session, statement, {"requests": requests})
    for table in (
        "exclusion",
        "proxy",
        "guardian",
        "moved_mention",
        "notice_choice",
        "heard_need",
        "declined_need",
        "hotline_order",
    ):
        await run(session, f"DELETE FROM {table} WHERE subject_id = :subject_id", {"subject_id": subject_id})  # noqa: S608
