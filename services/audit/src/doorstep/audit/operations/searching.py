"""Searching the log: its details are gone through and opened, and those that meet the criteria are found.

Nothing is indexed by what a detail says. One search goes through so many details and no more, and says how far it came.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.criteria import Criteria
from doorstep.audit.operations.opening import PAGE, OpenedEntry, Place, open_rows, opened
from doorstep.audit.operations.submitting import as_holder, subject_index
from doorstep.kit.intents import Intent, distinct
from doorstep.kit.vault import NOBODY, KeyRing, Vault

AT_MOST = 20_000
"""One search goes through at most so many details."""
SUBJECTS_AN_ENTRY = 500
"""So many subjects fit into one entry of the log, with room to spare."""

_EVER = Criteria(datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC))
_ABOUT = text(
    """
    SELECT d.entry_id, d.position, d.hour, CAST(:holder AS bytea) AS holder, d.sealed, e.index
    FROM detail d LEFT JOIN entry e USING (entry_id)
    WHERE d.subject = :subject AND (d.hour, d.entry_id) > (:hour, CAST(:entry_id AS uuid))
    ORDER BY d.hour, d.entry_id, d.position LIMIT :most
    """
)


@dataclass(frozen=True, slots=True)
class Found:
    """Entries in the order of their time; how many were gone through; up to where, None if to the end."""

    entries: list[OpenedEntry]
    gone_through: int
    reached: Place | None

    @property
    def subjects(self) -> tuple[UUID, ...]:
        """Whom the entries are about."""
        return distinct(one.subject for entry in self.entries for one in entry.details)


async def search(session: AsyncSession, vault: Vault, *, criteria: Criteria, after: Place, limit: int) -> Found:
    """The first entries behind `after` that meet `criteria`, at most `limit`."""
    found: list[OpenedEntry] = []
    through = pages = 0
    async with aclosing(opened(session, vault, after=after, until=criteria.until)) as going:
        async for place, entries in going:
            for entry in entries:
                through += 1
                if criteria.meets(entry.said):
                    found.append(entry)
                if len(found) == limit:
                    return Found(in_time(found), through, entry.place)
            pages += 1
            if pages * PAGE >= AT_MOST:
                return Found(in_time(found), through, place)
    return Found(in_time(found), through, None)


async def about(session: AsyncSession, vault: Vault, *, subject: UUID, after: Place, limit: int) -> Found:
    """The first entries about `subject` behind `after`, found by its blind index; none if it was erased or unknown.

    The details are those about this subject alone.
    """
    values = {
        "subject": subject_index(vault, subject),
        "holder": as_holder(vault, subject),
        "hour": after.hour,
        "entry_id": after.entry_id,
        "most": limit + 1,
    }
    rows = (await session.execute(_ABOUT, values)).all()
    within = rows[:limit]
    reached = Place(within[-1].hour, within[-1].entry_id) if len(rows) > limit else None
    entries = [one for one in await open_rows(vault, within) if _EVER.meets(one.said)]
    return Found(in_time(entries), len(within), reached)


def in_time(entries: Iterable[OpenedEntry]) -> list[OpenedEntry]:
    """`entries` in the order of their exact time."""
    return sorted(entries, key=lambda entry: entry.said.at_us)


async def whom_it_concerns(vault: Vault, subjects: Sequence[UUID]) -> tuple[KeyRing, tuple[UUID, ...]]:
    """Whom a question that shows what is about `subjects` is logged under, with their keys: nobody if there are none.

    `subjects` can be read, or could a moment ago.
    """
    ring = await vault.ring(subjects)
    readable = tuple(one for one in subjects if one in ring)
    if readable:
        return ring, readable
    return await vault.ring([NOBODY], create=True), (NOBODY,)


def portions(intent: Intent) -> Iterator[Intent]:
    """`intent` as intents of so many subjects as an entry holds."""
    for start in range(0, len(intent.subjects), SUBJECTS_AN_ENTRY):
        yield replace(intent, subjects=intent.subjects[start : start + SUBJECTS_AN_ENTRY])
