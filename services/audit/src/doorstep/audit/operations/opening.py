"""Going through the details of the log, in the order of their hours, opened under their subjects' keys.

Nothing of a detail is kept open, and no index names what is in it: whoever looks for something opens what is there in
the time they ask for. So nothing is left to find of a subject that was erased, in no table and no backup.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.operations.submitting import holder_of
from doorstep.contracts.audit import AuditDetail
from doorstep.kit.vault import KeyRing, SealBroken, Vault

PAGE = 2000
"""Rows read at once; more than an entry can have details."""
_CONTEXT = AuditDetail.__name__

_DETAILS = text(
    """
    SELECT d.entry_id, d.position, d.hour, d.holder, d.sealed, e.index
    FROM detail d LEFT JOIN entry e USING (entry_id)
    WHERE d.holder IS NOT NULL AND d.hour < :until AND (d.hour, d.entry_id) > (:hour, CAST(:entry_id AS uuid))
    ORDER BY d.hour, d.entry_id, d.position LIMIT :most
    """
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody who goes through the details is: behind the entry of this id, of this hour."""

    hour: datetime
    entry_id: UUID

    @classmethod
    def before(cls, hour: datetime) -> "Place":
        """Before all entries of `hour`."""
        return cls(hour, UUID(int=0))


@dataclass(frozen=True, slots=True)
class OpenedDetail:
    """A detail, the place of its commitment in the entry, and whose it is."""

    position: int
    subject: UUID
    detail: AuditDetail


@dataclass(frozen=True, slots=True)
class OpenedEntry:
    """An entry with those of its details that can be read; `index` is None while it waits for its place.

    The details say the same, each with a nonce of its own.
    """

    place: Place
    index: int | None
    details: tuple[OpenedDetail, ...]

    @property
    def entry_id(self) -> UUID:
        """The entry's id."""
        return self.place.entry_id

    @property
    def said(self) -> AuditDetail:
        """What was done, by whom and why."""
        return self.details[0].detail


async def opened(
    session: AsyncSession, vault: Vault, *, after: Place, until: datetime
) -> AsyncGenerator[tuple[Place, list[OpenedEntry]], None]:
    """The entries behind `after` whose hour is before `until`, a page at a time, with the place that it reaches to.

    Entries of which nothing can be read any more are left out. Of one hour, entries are in the order of their ids.
    """
    while True:
        values = {"hour": after.hour, "entry_id": after.entry_id, "until": until, "most": PAGE}
        rows: Sequence[Row[Any]] = (await session.execute(_DETAILS, values)).all()
        whole = _whole(rows)
        if not whole:
            return
        after = Place(whole[-1].hour, whole[-1].entry_id)
        yield after, await open_rows(vault, whole)
        if len(rows) < PAGE:
            return


def _whole(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """The rows of those entries all of whose details are among `rows`."""
    if len(rows) < PAGE:
        return rows
    last = rows[-1].entry_id
    return [row for row in rows if row.entry_id != last]


async def open_rows(vault: Vault, rows: Sequence[Row[Any]]) -> list[OpenedEntry]:
    """The entries of `rows` (entry_id, position, hour, holder, sealed, index), which are sorted by entry."""
    holders = {row.holder: holder_of(vault, row.holder) for row in rows}
    ring = await vault.ring(set(holders.values()))
    found = []
    for (entry_id, hour, index), group in groupby(rows, key=lambda row: (row.entry_id, row.hour, row.index)):
        details = tuple(one for row in group if (one := _open(ring, holders[row.holder], row)) is not None)
        if details:
            found.append(OpenedEntry(Place(hour, entry_id), index, details))
    return found


def _open(ring: KeyRing, subject: UUID, row: Row[Any]) -> OpenedDetail | None:
    """The detail of a row; None if its subject was erased, or if what was sealed was never a detail."""
    if subject not in ring:
        return None
    try:
        detail = AuditDetail.model_validate_json(ring.decrypt(subject, _CONTEXT, row.sealed))
    except (SealBroken, ValueError):
        return None
    return OpenedDetail(row.position, subject, detail)
