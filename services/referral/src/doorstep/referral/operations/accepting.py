"""Accepting many requests at once, each for itself: the good ones take effect, each of the others says why not.

Invariant: a step refuses before it writes anything, so that what is refused leaves nothing behind in the transaction in
which the others take effect.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department, TaskState
from doorstep.kit import intents
from doorstep.kit.vault import SubjectErased, Vault
from doorstep.referral import queries
from doorstep.referral.errors import Refusal, RequestUnknown
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.tasks import Moved, Wish, transition_task


async def accept_requests(
    session: AsyncSession,
    *,
    vault: Vault,
    access: Access,
    department: Department,
    seen: Sequence[tuple[UUID, int]],
    now: datetime,
) -> dict[UUID, Moved | Refusal]:
    """Accept each of these requests on the version that was seen; what became of it by its id.

    They are locked in the order of their ids, so that two who accept the same ones do not wait for each other.
    """
    found: dict[UUID, Moved | Refusal] = {}
    for ref, version in sorted(seen):
        try:
            found[ref] = await transition_task(
                session,
                vault=vault,
                access=access,
                department=department,
                ref=ref,
                wish=Wish(TaskState.ACCEPTED, version),
                now=now,
            )
        except Refusal as refusal:
            found[ref] = refusal
        except SubjectErased:
            found[ref] = RequestUnknown()
    return found


async def log_refused(session: AsyncSession, *, vault: Vault, access: Access, ref: UUID, code: str) -> None:
    """Tell the log that a step of several was refused, about whom the request is if it is anybody's here."""
    known = await queries.subjects_of_ref(session, ref)
    ring, subjects = await intents.concerned(vault, known, access.principal)
    intent = intents.Intent(
        Action.TRANSITION_TASK,
        subjects,
        case=ref if known else None,
        outcome=f"refused:{code}",
        policies=access.policies,
    )
    intents.record(session, ring, intent, principal=access.principal)
