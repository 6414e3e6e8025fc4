"""Sealing an address: requests of the file forget it, and so does every offer of them that waits or may leave again."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.kit.db import write_buffered
from doorstep.kit.vault import Vault
from doorstep.referral import queries
from doorstep.referral.columns import open_content, seal_content
from doorstep.referral.operations.offered import change_offers


async def seal_address(session: AsyncSession, *, vault: Vault, file_id: UUID) -> None:
    """Forget the address of a file. Done again, it changes nothing."""
    await write_buffered(session)
    tasks = await queries.lock_file_tasks(session, file_id)
    ring = await vault.ring({task.subject_id for task in tasks})
    sealed: dict[UUID, bytes] = {}
    for task in tasks:
        if task.subject_id in ring and task.request_id not in sealed:
            content = open_content(ring, task.subject_id, task.request_id, task.content)
            if content.card.address is not None:
                without = content.model_copy(update={"card": content.card.model_copy(update={"address": None})})
                sealed[task.request_id] = seal_content(ring, task.subject_id, task.request_id, without)
    await queries.rewrite_contents(session, sealed)
    told = {task.ref: task.subject_id for task in tasks if task.ref is not None and task.request_id in sealed}
    await change_offers(session, ring, told, lambda offer: offer.model_copy(update={"address": None}))
