"""The sequencer: gives pending entries their place in the tree, and signs what is stored.

In order: entries and full tiles commit in one transaction; the root is computed from the rows as they were read back;
the anchor moves to it; then it is signed; then the checkpoint is stored, if the newest is still the one that it grew
from. Invariants: an index is given once (it is the primary key); nothing is signed unless the rows still have the root
of the newest checkpoint, whose own signature is checked first, and of the anchor; of several instances one holds the
lock; an entry is counted for its service's minute when it gets its place, and if a manifest of that minute is there
already, that is matched anew. Whatever fails, the state in memory is dropped and read again: a process may die between
any two steps.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit import queries
from doorstep.audit.domain.checkpoint import Checkpoint, open_checkpoint
from doorstep.audit.domain.edge import FullTile, RightEdge
from doorstep.audit.domain.errors import LogError, Malformed
from doorstep.audit.domain.keys import LogKeys
from doorstep.audit.domain.merkle import leaf_hash
from doorstep.audit.domain.tiles import encode_hashes
from doorstep.audit.errors import LogContradicted, SequencedElsewhere
from doorstep.audit.operations.anchoring import Anchor, Anchored
from doorstep.kit.db import Database

BATCH = 4096
_LOCK = text("SELECT pg_try_advisory_xact_lock(6962)")
_MOVE = text(
    """
    WITH taken AS (
        DELETE FROM pending WHERE arrival IN (SELECT arrival FROM pending ORDER BY arrival LIMIT :most)
        RETURNING arrival, entry_id, body, service, minute, digest
    ), placed AS (
        INSERT INTO entry (index, entry_id, body, leaf)
        SELECT :size + row_number() OVER (ORDER BY arrival) - 1, entry_id, body, sha256('\\x00'::bytea || body)
        FROM taken WHERE NOT EXISTS (SELECT FROM entry WHERE entry.entry_id = taken.entry_id)
        RETURNING entry_id
    ), counted AS (
        INSERT INTO tally (service, minute, count, digest)
        SELECT service, minute, count(*), sum(digest) FROM taken JOIN placed USING (entry_id)
        WHERE service IS NOT NULL GROUP BY service, minute ORDER BY service, minute
        ON CONFLICT (service, minute) DO UPDATE
            SET count = tally.count + excluded.count, digest = tally.digest + excluded.digest
        RETURNING service, minute
    ), matched_anew AS (
        UPDATE manifest SET matched = false FROM counted
        WHERE manifest.service = counted.service AND minute >= begins AND minute < ends
    )
    SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM placed)
    """
)
_TILES = text(
    """
    INSERT INTO tile (level, index, hashes, root)
    SELECT * FROM unnest(
        CAST(:levels AS smallint[]), CAST(:indexes AS bigint[]), CAST(:hashes AS bytea[]), CAST(:roots AS bytea[])
    )
    """
)
_PUBLISH = text(
    """
    INSERT INTO checkpoint (size, note) SELECT :size, :note
    WHERE (SELECT max(size) FROM checkpoint) IS NOT DISTINCT FROM CAST(:before AS bigint)
    ON CONFLICT DO NOTHING RETURNING size
    """
)


class SequencerStep(StrEnum):
    """A point in the sequencer's work that has just been passed."""

    MOVED = "moved"
    READ_BACK = "read-back"
    TILES_WRITTEN = "tiles-written"
    COMMITTED = "committed"
    ANCHORED = "anchored"
    SIGNED = "signed"
    PUBLISHED = "published"


class Sequencer:
    """Appends to the log of one database; of several, one at a time gets through.

    It keeps the right edge of the tree as of the newest checkpoint: appending costs as much as what is appended.
    """

    def __init__(
        self,
        database: Database,
        keys: LogKeys,
        anchor: Anchor,
        *,
        batch: int = BATCH,
        watch: Callable[[SequencerStep], None] | None = None,
    ) -> None:
        """Append at most `batch` entries a transaction and sign with `keys`; `watch` is told each step."""
        self._database = database
        self._keys = keys
        self._anchor = anchor
        self._batch = batch
        self._watch = watch or (lambda _: None)
        self._edge: RightEdge | None = None

    async def turn(self) -> int:
        """Append one batch and sign; gives how many entries were taken from what is pending, 0 if there was nothing.

        Raises LogContradicted if the stored log is not the signed one, SequencedElsewhere if another one appends.
        """
        edge, self._edge = self._edge, None
        if edge is None:
            edge = await self._open()
        elif not await self._anything_pending():
            self._edge = edge
            return 0
        taken, grown = await self._append(edge)
        if grown.size > edge.size:
            await self._publish(edge.size, _anchored(edge), grown)
        self._edge = grown
        return taken

    def forget(self) -> None:
        """Read the edge from the rows again at the next turn: somebody else may have appended since."""
        self._edge = None

    async def _anything_pending(self) -> bool:
        async with self._database.transaction() as session:
            return await queries.anything_pending(session)

    async def _open(self) -> RightEdge:
        """Read the edge from the rows, check it against checkpoint and anchor, and sign what was stored after it."""
        anchored = await self._anchor.read()
        async with self._database.transaction() as session:
            newest = await queries.newest_checkpoint(session)
            size = newest[0] if newest else 0
            edge = await _edge(session, size)
            if newest is not None:
                self._check(newest[1], edge)
            if anchored is None and newest is not None:
                anchored = _anchored(edge)
                await self._anchor.move(None, anchored)
            grown = await self._grow(session, edge, anchored)
        if newest is None or grown.size > size:
            await self._publish(None if newest is None else size, anchored, grown)
        return grown

    async def _grow(self, session: AsyncSession, edge: RightEdge, anchored: Anchored | None) -> RightEdge:
        """The edge with all stored rows behind it; raises LogContradicted if they do not lead over the anchor."""
        stored = await queries.stored_size(session)
        stops = {edge.size, stored}
        if anchored is not None:
            if anchored.size > stored:
                raise LogContradicted(f"{stored} entries are stored, and {anchored.size} were anchored")
            if anchored.size < edge.size:
                _require_anchored(await _edge(session, anchored.size), anchored)
            stops.add(max(anchored.size, edge.size))
        grown = edge.copy()
        for stop in sorted(stops):
            rows = await queries.rows(session, grown.size, stop)
            for tile in grown.append(_leaves(rows, grown.size)):
                found = await queries.hashes(session, tile.level + 1, tile.index, tile.index + 1)
                if found != [tile.root]:
                    raise LogContradicted(f"tile {tile.index} of level {tile.level} is not what its entries make")
            if anchored is not None and grown.size == anchored.size:
                _require_anchored(grown, anchored)
        return grown

    def _check(self, note: bytes, edge: RightEdge) -> None:
        try:
            signed = open_checkpoint(note, self._keys.name, self._keys.verifiers)
        except LogError as error:
            raise LogContradicted(f"the newest checkpoint is not ours: {error}") from error
        if (signed.size, signed.root) != (edge.size, edge.root()):
            raise LogContradicted(f"the {edge.size} stored entries do not have the root that was signed")

    async def _append(self, edge: RightEdge) -> tuple[int, RightEdge]:
        async with self._database.transaction() as session:
            if not (await session.execute(_LOCK)).scalar_one():
                raise SequencedElsewhere
            if await queries.stored_size(session) != edge.size:
                raise SequencedElsewhere
            taken, placed = (await session.execute(_MOVE, {"most": self._batch, "size": edge.size})).one()
            self._watch(SequencerStep.MOVED)
            rows = await queries.rows(session, edge.size, edge.size + placed)
            grown = edge.copy()
            filled = grown.append(_leaves(rows, edge.size))
            self._watch(SequencerStep.READ_BACK)
            await _write_tiles(session, filled)
            self._watch(SequencerStep.TILES_WRITTEN)
        self._watch(SequencerStep.COMMITTED)
        return taken, grown

    async def _publish(self, before: int | None, anchored: Anchored | None, edge: RightEdge) -> None:
        """Move the anchor to `edge`, sign it, and store the checkpoint behind the one of the size `before`."""
        target = _anchored(edge)
        if anchored != target:
            await self._anchor.move(anchored, target)
        self._watch(SequencerStep.ANCHORED)
        note = await self._sign(Checkpoint(self._keys.name, target.size, target.root))
        self._watch(SequencerStep.SIGNED)
        async with self._database.transaction() as session:
            stored = await session.execute(_PUBLISH, {"size": edge.size, "note": note, "before": before})
            if stored.first() is None:
                raise SequencedElsewhere
        self._watch(SequencerStep.PUBLISHED)

    async def _sign(self, checkpoint: Checkpoint) -> bytes:
        if self._keys.sm2 is None:
            return checkpoint.sign(*self._keys.signing)
        return await asyncio.to_thread(checkpoint.sign, *self._keys.signing, self._keys.sm2)  # SM2 takes milliseconds


def _anchored(edge: RightEdge) -> Anchored:
    return Anchored(edge.size, edge.root())


def _require_anchored(edge: RightEdge, anchored: Anchored) -> None:
    if _anchored(edge) != anchored:
        raise LogContradicted(f"the first {edge.size} stored entries do not have the root that was anchored")


async def _edge(session: AsyncSession, size: int) -> RightEdge:
    try:
        return RightEdge(size, await queries.edge(session, size))
    except Malformed as error:
        raise LogContradicted(f"rows under the first {size} entries are missing") from error


def _leaves(rows: Sequence[tuple[int, bytes, bytes]], start: int) -> list[bytes]:
    """The hashes of the rows from `start` on, each computed anew."""
    leaves = [leaf_hash(body) for _, body, _ in rows]
    for at, (leaf, (index, _, stored)) in enumerate(zip(leaves, rows, strict=True), start):
        if index != at or stored != leaf:
            raise LogContradicted(f"entry {at} was not read back as it was written")
    return leaves


async def _write_tiles(session: AsyncSession, filled: Sequence[FullTile]) -> None:
    if filled:
        await session.execute(
            _TILES,
            {
                "levels": [tile.level for tile in filled],
                "indexes": [tile.index for tile in filled],
                "hashes": [encode_hashes(tile.hashes) for tile in filled],
                "roots": [tile.root for tile in filled],
            },
        )
