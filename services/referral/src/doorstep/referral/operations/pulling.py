"""Pulling a feed: the messages behind a cursor, encrypted for the department's current key when they are asked for."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Department
from doorstep.kit import intents
from doorstep.kit.relay import NotDeliverable, Withdrawn
from doorstep.kit.vault import NOBODY, Vault
from doorstep.referral.errors import KeyMissing
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.delivering import cloud_event, current_key, encode_for
from doorstep.referral.operations.placing import messages_after, place_messages, place_of

PAGE_BYTES = 1_000_000
"""A page that has so many bytes takes no further message."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Some messages of a feed as CloudEvents; `next` is the cursor behind them, `more` whether others wait there.

    `place` is that of the cursor.
    """

    messages: list[dict[str, Any]]
    next: UUID | None
    more: bool
    place: int = 0


async def pull_feed(
    session: AsyncSession, *, vault: Vault, access: Access, department: Department, after: UUID | None, limit: int
) -> FeedPage:
    """The department's messages behind the cursor `after`, or from the oldest that is kept.

    What was erased meanwhile is passed over. The read is one entry in the log, about all whom the page concerns.
    Raises KeyMissing and CursorExpired.
    """
    try:
        key = await current_key(session, department)
    except NotDeliverable:
        raise KeyMissing from None
    await place_messages(session, department)
    place = 0 if after is None else await place_of(session, department, after)
    rows = await messages_after(session, department, place, limit + 1)
    messages, size, subjects = [], 0, []
    cursor = after
    for row in rows[:limit]:
        if size >= PAGE_BYTES:
            break
        cursor, place = row.id, row.place
        try:
            value = await encode_for(key, vault, row)
        except Withdrawn:
            continue
        size += len(value)
        subjects.append(row.subject)
        messages.append(cloud_event(row, value))
    if messages:
        about = intents.distinct(one for one in subjects if one != NOBODY) or (NOBODY,)
        ring = await vault.ring(about)
        intent = intents.Intent(Action.READ_FEED, about, purpose=access.purpose, policies=access.policies)
        intents.record(session, ring, intent, principal=access.principal)
    return FeedPage(messages, cursor, bool(rows) and rows[-1].id != cursor, place)
