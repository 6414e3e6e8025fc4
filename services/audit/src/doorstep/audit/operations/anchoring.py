"""The anchor: the newest size and root of the log, in a store that is backed up apart from it.

A checkpoint is signed only after the anchor moved to its size and root, by compare-and-swap. So a database of the log
that is put back to yesterday's state, or cut short, meets an anchor that is ahead of it, and nothing is signed that
would contradict what was signed before; and of two sequencers one moves it.
"""

from dataclasses import dataclass

from sqlalchemy import text

from doorstep.audit.errors import SequencedElsewhere
from doorstep.kit.db import Database

_READ = text("SELECT size, root FROM anchor WHERE origin = :origin")
_DROP = text(
    """
    INSERT INTO anchor (origin, size, root) VALUES (:origin, :size, :root) ON CONFLICT DO NOTHING RETURNING size
    """
)
_MOVE = text(
    """
    UPDATE anchor SET size = :size, root = :root, moved_at = now()
    WHERE origin = :origin AND size = :old_size AND root = :old_root RETURNING size
    """
)


@dataclass(frozen=True, slots=True)
class Anchored:
    """Where the anchor lies: a size of the log, and its root then."""

    size: int
    root: bytes


class Anchor:
    """The anchor of one log."""

    def __init__(self, database: Database, *, origin: str) -> None:
        """Keep the anchor of the log `origin` in `database`, which is not the log's own."""
        self._database = database
        self._origin = origin

    async def read(self) -> Anchored | None:
        """Where it lies; None if this log never had one."""
        async with self._database.transaction() as session:
            row = (await session.execute(_READ, {"origin": self._origin})).first()
        return None if row is None else Anchored(row.size, row.root)

    async def move(self, before: Anchored | None, after: Anchored) -> None:
        """Move it from `before` to `after`; raises SequencedElsewhere if it does not lie at `before`."""
        values = {"origin": self._origin, "size": after.size, "root": after.root}
        async with self._database.transaction() as session:
            if before is None:
                moved = await session.execute(_DROP, values)
            else:
                moved = await session.execute(_MOVE, {**values, "old_size": before.size, "old_root": before.root})
            if moved.first() is None:
                raise SequencedElsewhere
