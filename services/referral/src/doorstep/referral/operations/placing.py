"""The places of a department's messages: an order in which nothing comes behind somebody who has already read on.

The outbox counts its rows when they are written, and they are seen when they are committed, in another order; whoever
reads "after the last that I saw" would miss some. So a message gets its place when it is first seen, under a lock, one
after the other. Invariants: places have no gap and never change; of one key they follow its numbers; a cursor is the
id of a message, so that it means the same, or nothing, after a restore.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Department
from doorstep.contracts.feeds import FEED_DAYS
from doorstep.kit.db import run
from doorstep.referral.errors import CursorExpired

_WAITING = "SELECT 1 FROM feed_message WHERE department = :department AND place IS NULL LIMIT 1"
_COUNT = "INSERT INTO feed (department) VALUES (:department) ON CONFLICT DO NOTHING"
_LOCK = "SELECT last FROM feed WHERE department = :department FOR UPDATE"
_PLACE = """
    WITH waiting AS (
        SELECT id, row_number() OVER (ORDER BY position) AS i FROM feed_message
        WHERE department = :department AND place IS NULL
    ), placed AS (
        UPDATE feed_message m SET place = CAST(:last AS bigint) + waiting.i, placed_at = now()
        FROM waiting WHERE m.id = waiting.id RETURNING m.place
    )
    UPDATE feed SET last = greatest(last, (SELECT max(place) FROM placed)) WHERE department = :department
"""
_AFTER = """
    SELECT m.place, o.id, o.key, o.number, o.type, o.subject, o.time, o.body
    FROM feed_message m JOIN outbox o USING (id)
    WHERE m.department = :department AND m.place > :place ORDER BY m.place LIMIT :limit
"""
_CURSOR = "SELECT place FROM feed_message WHERE department = :department AND id = :id AND place IS NOT NULL"
_BEFORE_TIME = """
    SELECT coalesce(min(m.place) - 1, (SELECT max(last) FROM feed WHERE department = :department), 0)
    FROM feed_message m JOIN outbox o USING (id)
    WHERE m.department = :department AND m.place IS NOT NULL AND o.time >= :since
"""
_FORGET = f"""
    DELETE FROM feed_message m USING feed f
    WHERE f.department = m.department AND m.place < f.last AND m.placed_at < now() - make_interval(days => {FEED_DAYS})
        AND NOT EXISTS (SELECT FROM outbox o WHERE o.id = m.id)
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class FeedRow:
    """A message of a feed; `body` is its projection, encrypted under the key of `subject`."""

    place: int
    id: UUID
    key: UUID
    number: int
    type: str
    subject: UUID
    time: datetime
    body: bytes


async def place_messages(session: AsyncSession, department: Department) -> None:
    """Give those of the department's messages a place that have none yet.

    The counter is locked by a statement of its own, so that what another placed meanwhile is seen by the next.
    """
    if not await run(session, _WAITING, {"department": department}):
        return
    await run(session, _COUNT, {"department": department})
    [(last,)] = await run(session, _LOCK, {"department": department})
    await run(session, _PLACE, {"department": department, "last": last})


async def messages_after(session: AsyncSession, department: Department, place: int, limit: int) -> list[FeedRow]:
    """The department's next messages behind `place`, in order; those that the outbox has deleted are none of them."""
    rows = await run(session, _AFTER, {"department": department, "place": place, "limit": limit})
    return [FeedRow(*row) for row in rows]


async def place_of(session: AsyncSession, department: Department, cursor: UUID) -> int:
    """The place of the message `cursor`. Raises CursorExpired if the department has, or has any more, no such one."""
    rows = await run(session, _CURSOR, {"department": department, "id": cursor})
    if not rows:
        raise CursorExpired
    return int(rows[0][0])


async def place_before(session: AsyncSession, department: Department, since: datetime) -> int:
    """The place behind which the messages from `since` on begin."""
    [(place,)] = await run(session, _BEFORE_TIME, {"department": department, "since": since})
    return int(place)


async def forget_places(session: AsyncSession) -> None:
    """Forget the places of messages that the outbox has deleted, but for the last: a quiet feed keeps its cursor."""
    await run(session, _FORGET, {})
