"""Forgetting where people are: their requests do, and so does every offer of them that waits or may leave again."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.kit.db import write_buffered
from doorstep.kit.vault import Vault
from doorstep.referral import queries
from doorstep.referral.columns import open_content, seal_content
from doorstep.referral.operations.offered import change_offers
from doorstep.referral.queries import TaskRow

_ADDRESS = {"address": None}
_OF_BEFORE = {"address": None, "phone": None}


async def seal_address(session: AsyncSession, *, vault: Vault, file_id: UUID) -> None:
    """Forget the address of a file. Done again, it changes nothing."""
    await write_buffered(session)
    await _forget(session, vault, await queries.lock_file_tasks(session, file_id), _ADDRESS)


async def forget_former_home(session: AsyncSession, *, vault: Vault, subjects: Sequence[UUID]) -> None:
    """Forget the address and the phone of the household that these mentions left. Done again, it changes nothing."""
    await write_buffered(session)
    for subject_id in sorted(subjects):
        await _forget(session, vault, await queries.lock_subject_tasks(session, subject_id), _OF_BEFORE)


async def _forget(session: AsyncSession, vault: Vault, tasks: Sequence[TaskRow], gone: dict[str, None]) -> None:
    ring = await vault.ring({task.subject_id for task in tasks})
    changed: dict[UUID, bytes] = {}
    for task in tasks:
        if task.subject_id in ring and task.request_id not in changed:
            content = open_content(ring, task.subject_id, task.request_id, task.content)
            if any(getattr(content.card, field) is not None for field in gone):
                without = content.model_copy(update={"card": content.card.model_copy(update=gone)})
                changed[task.request_id] = seal_content(ring, task.subject_id, task.request_id, without)
    await queries.rewrite_contents(session, changed)
    told = {task.ref: task.subject_id for task in tasks if task.ref is not None and task.request_id in changed}
    await change_offers(session, ring, told, lambda offer: offer.model_copy(update=gone))
