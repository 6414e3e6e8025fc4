"""Exporting entries with their details and proofs, a page at a time, all under one checkpoint.

Invariants: that somebody exports is in the log before the first line leaves; whom a question for one matter concerns is
logged before the lines about them leave, page by page; what the checkpoint does not cover is counted and left out.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit import queries
from doorstep.audit.domain.criteria import Criteria, hour_of
from doorstep.audit.domain.export import Ending, encode_line
from doorstep.audit.operations.opening import OpenedEntry, Place, opened
from doorstep.audit.operations.proving import SharedProofs
from doorstep.audit.queries import Trusted
from doorstep.kit.intents import distinct
from doorstep.kit.vault import Vault

PORTION = 200
"""So many lines are made at once, so that others have their turn in between."""


@dataclass(slots=True)
class Export:
    """An export under way: what is asked for, the proofs, where it is, how many lines left, how many have no proof."""

    criteria: Criteria
    proofs: SharedProofs
    after: Place
    lines: int = 0
    waiting: int = 0

    @property
    def ending(self) -> Ending:
        """The last line."""
        return Ending(self.criteria.text(), self.lines, self.waiting)


@dataclass(frozen=True, slots=True)
class Page:
    """Lines that may leave once it is logged whom they are about."""

    lines: list[bytes]
    subjects: tuple[UUID, ...]


async def begin_export(session: AsyncSession, *, criteria: Criteria, trusted: Trusted) -> Export | None:
    """Begin an export, under the newest witnessed checkpoint if it covers what is of that time, else the newest.

    None before the first checkpoint.
    """
    checkpoint = await queries.newest_witnessed(session, trusted)
    due = await queries.covering(session, hour_of(criteria.since), criteria.until)
    if checkpoint is None or checkpoint[0] < due:
        newest = await queries.newest_checkpoint(session)
        if newest is None:
            return None
        checkpoint = newest[0], await queries.cosigned(session, *newest)
    return Export(criteria, SharedProofs(*checkpoint), Place.before(hour_of(criteria.since)))


async def next_page(session: AsyncSession, vault: Vault, export: Export) -> Page | None:
    """The next lines of an export; None if it is at its end. Raises LogContradicted."""
    async with aclosing(opened(session, vault, after=export.after, until=export.criteria.until)) as going:
        async for place, entries in going:
            found = [one for one in entries if export.criteria.meets(one.said)]
            lines = await _lines(session, export, found)
            export.after = place
            return Page(lines, distinct(each.subject for one in found for each in one.details))
    return None


async def _lines(session: AsyncSession, export: Export, found: Sequence[OpenedEntry]) -> list[bytes]:
    proved = [(one.index, one) for one in found if one.index is not None and one.index < export.proofs.size]
    export.waiting += len(found) - len(proved)
    lines: list[bytes] = []
    for start in range(0, len(proved), PORTION):
        portion = proved[start : start + PORTION]
        receipts = await export.proofs.receipts(session, [index for index, _ in portion])
        for receipt, (_, entry) in zip(receipts, portion, strict=True):
            details = [(one.position, one.detail.model_dump(mode="json", exclude_none=True)) for one in entry.details]
            lines.append(encode_line(receipt, details))
    export.lines += len(lines)
    return lines
