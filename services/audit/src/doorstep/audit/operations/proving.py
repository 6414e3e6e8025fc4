"""Proofs that an entry is in the log, computed from its tiles, and receipts made of them, one by one or many."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit import queries
from doorstep.audit.domain.merkle import Range, consistency_ranges, inclusion_ranges
from doorstep.audit.domain.proving import ProofTiles
from doorstep.audit.domain.receipt import Receipt
from doorstep.audit.errors import EntryPending, EntryUnknown, LogContradicted
from doorstep.audit.queries import Trusted

_MOST_TILES = 2000


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That entry `index`, whose leaf hash is `leaf`, is under `checkpoint` (a signed note) of `size` entries."""

    index: int
    size: int
    leaf: bytes
    hashes: tuple[bytes, ...]
    checkpoint: bytes


async def prove_inclusion(session: AsyncSession, *, entry_id: UUID) -> InclusionProof:
    """Prove that an entry is under the newest checkpoint; raises EntryUnknown, EntryPending, LogContradicted."""
    index, leaf = await _place(session, entry_id)
    newest = await queries.newest_checkpoint(session)
    if newest is None or index >= newest[0]:
        raise EntryPending
    return await _prove(session, index, leaf, *newest)


async def prove_consistency(session: AsyncSession, *, old_size: int, size: int) -> tuple[bytes, ...]:
    """Prove that the tree of `size` begins with the one of `old_size`, from 1 to `size`; raises LogContradicted."""
    return await _hashes(session, size, consistency_ranges(old_size, size))


async def receipt(session: AsyncSession, *, entry_id: UUID, trusted: Trusted) -> Receipt:
    """The receipt of an entry, with the entry in it, under the newest witnessed checkpoint if it covers the entry.

    Else under the newest one. Raises EntryUnknown, EntryPending, LogContradicted.
    """
    index, leaf = await _place(session, entry_id)
    witnessed = await queries.newest_witnessed(session, trusted)
    if witnessed is not None and index < witnessed[0]:
        proof = await _prove(session, index, leaf, *witnessed)
    else:
        proof = await prove_inclusion(session, entry_id=entry_id)
        proof = replace(proof, checkpoint=await queries.cosigned(session, proof.size, proof.checkpoint))
    rows = await queries.rows(session, proof.index, proof.index + 1)
    if not rows:
        raise LogContradicted(f"entry {proof.index} is missing")
    return Receipt(proof.index, proof.hashes, proof.checkpoint, extra=rows[0][1])


async def _place(session: AsyncSession, entry_id: UUID) -> tuple[int, bytes]:
    place = await queries.place(session, entry_id)
    if place is None:
        raise EntryUnknown
    index, leaf = place
    if index is None or leaf is None:
        raise EntryPending
    return index, leaf


async def _prove(session: AsyncSession, index: int, leaf: bytes, size: int, checkpoint: bytes) -> InclusionProof:
    return InclusionProof(index, size, leaf, await _hashes(session, size, inclusion_ranges(index, size)), checkpoint)


async def _hashes(session: AsyncSession, size: int, spans: Sequence[Range]) -> tuple[bytes, ...]:
    tiles = ProofTiles(size)
    for tile in tiles.missing(spans):
        data = await queries.tile(session, tile)
        if data is None:
            raise LogContradicted(f"{tile.path} is missing")
        tiles.add(tile, data)
    return tuple(tiles.hashes(spans))


class SharedProofs:
    """Receipts of many entries under one checkpoint, a signed note over `size` entries: no tile is read for each anew.

    It holds at most about 2,000 tiles, and begins anew when there are more.
    """

    def __init__(self, size: int, checkpoint: bytes) -> None:
        self.size = size
        self._checkpoint = checkpoint
        self._begin()

    async def receipts(self, session: AsyncSession, indexes: Sequence[int]) -> list[Receipt]:
        """The receipts, with the entries in them, of the entries at these places, below the size.

        Raises LogContradicted.
        """
        if self._held > _MOST_TILES:
            self._begin()
        spans = {index: inclusion_ranges(index, self.size) for index in indexes}
        await self._read(session, {span for some in spans.values() for span in some} - self._known.keys())
        bodies = await queries.bodies(session, indexes)
        if len(bodies) < len(spans):
            raise LogContradicted(f"entry {min(spans.keys() - bodies.keys())} is missing")
        return [
            Receipt(index, tuple(self._known[span] for span in spans[index]), self._checkpoint, extra=bodies[index])
            for index in indexes
        ]

    async def _read(self, session: AsyncSession, fresh: set[Range]) -> None:
        missing = self._tiles.missing(fresh)
        found = await queries.tiles(session, missing)
        for tile in missing:
            if tile not in found:
                raise LogContradicted(f"{tile.path} is missing")
            self._tiles.add(tile, found[tile])
        self._held += len(missing)
        spans = list(fresh)
        self._known.update(zip(spans, self._tiles.hashes(spans), strict=True))

    def _begin(self) -> None:
        self._tiles = ProofTiles(self.size)
        self._known: dict[Range, bytes] = {}
        self._held = 0
