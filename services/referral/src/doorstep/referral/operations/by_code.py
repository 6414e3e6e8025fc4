"""What a resident does by the code alone: withdraws a request, at once; says by what they want notices, or none.

Invariant: nothing else changes by it, and an unknown code is answered as a known one.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, NoticeChannel, Purpose, Reason, Role, TaskState
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.vault import Vault, hold_erasing
from doorstep.referral import queries
from doorstep.referral.errors import RequestUnknown
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.tasks import Moved, Wish, transition_request

RESIDENT = Principal("resident", Role.RESIDENT, "resident")
"""Who acts by a code, in the log: whom the entry is about says whose it is."""
_OF_CODE = f"""
    SELECT DISTINCT r.subject_id FROM request r WHERE r.follow_index = :index AND {queries.NOT_CLOSED}
    ORDER BY r.subject_id
"""  # noqa: S608
_SHOWS = f"SELECT 1 FROM request r WHERE {queries.BY_CODE} LIMIT 1"  # noqa: S608
_CHOOSE = """
    INSERT INTO notice_choice (subject_id, channel) VALUES (:subject_id, :channel)
    ON CONFLICT (subject_id) DO UPDATE SET channel = excluded.channel
"""


async def shows(session: AsyncSession, follow_index: bytes) -> bool:
    """Whether a code opens anything."""
    return bool(await run(session, _SHOWS, {"index": follow_index}))


async def withdraw_request(
    session: AsyncSession, *, vault: Vault, follow_index: bytes, ref: UUID, now: datetime
) -> Moved:
    """Withdraw the request that the code knows as `ref`, whatever its department says; from any open state.

    Raises RequestUnknown, NoSuchTransition.
    """
    tasks = await queries.lock_followed_tasks(session, follow_index, ref)
    if not tasks:
        raise RequestUnknown
    task = tasks[0]
    return await transition_request(
        session,
        vault=vault,
        access=Access(RESIDENT, Purpose.RESIDENT_REQUEST),
        station=task.station,
        request_id=task.request_id,
        wish=Wish(TaskState.CANCELLED, task.version, reason=Reason.RESIDENT_WITHDREW),
        now=now,
    )


async def choose_notices(session: AsyncSession, *, vault: Vault, follow_index: bytes, channel: NoticeChannel) -> None:
    """Have the notices of the code's person go by `channel`, or none at all."""
    await hold_erasing(session)
    subjects = [row["subject_id"] for row in await run(session, _OF_CODE, {"index": follow_index})]
    ring = await vault.ring(subjects)
    for subject_id in subjects:
        if subject_id in ring:
            await run(session, _CHOOSE, {"subject_id": subject_id, "channel": channel})
            intent = intents.Intent(Action.CHOOSE_NOTICES, [subject_id], purpose=Purpose.RESIDENT_REQUEST)
            intents.record(session, ring, intent, principal=RESIDENT)
