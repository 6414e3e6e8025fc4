"""Changing what was offered to departments while it lies in the outbox: who decrypts it later finds it changed.

The message stays the same by its id. What a department received before is with the department.
"""

from collections.abc import Callable, Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.feeds import Offer, RequestOffered
from doorstep.kit import outbox
from doorstep.kit.vault import KeyRing
from doorstep.referral import queries


async def change_offers(
    session: AsyncSession, ring: KeyRing, subjects: Mapping[UUID, UUID], change: Callable[[Offer], Offer]
) -> None:
    """Change the offers with these ids of departments; `subjects` says for each whose key it is sealed under."""

    def changed(ref: UUID, body: bytes) -> bytes:
        subject_id, context = subjects[ref], outbox.feed_context(ref)
        event = RequestOffered.model_validate_json(ring.decrypt(subject_id, context, body))
        event = event.model_copy(update={"offer": change(event.offer)})
        return ring.encrypt(subject_id, context, event.model_dump_json(exclude_none=True).encode())

    found = await queries.offers(session, list(subjects))
    await queries.rewrite_offers(session, {one.position: changed(one.key, one.body) for one in found})
