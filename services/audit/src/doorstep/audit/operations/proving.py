"""Proofs that an entry is in the log, computed from its tiles, and receipts made of them."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit import queries
from doorstep.audit.domain.merkle import inclusion_ranges
from doorstep.audit.domain.proving import ProofTiles
from doorstep.audit.domain.receipt import Receipt
from doorstep.audit.errors import EntryPending, EntryUnknown, LogContradicted


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
    newest = await queries.newest_checkpoint(session)
    place = await queries.place(session, entry_id)
    if place is None:
        raise EntryUnknown
    index, leaf = place
    if newest is None or index is None or leaf is None or index >= newest[0]:
        raise EntryPending
    size, checkpoint = newest
    spans = inclusion_ranges(index, size)
    tiles = ProofTiles(size)
    for tile in tiles.missing(spans):
        data = await queries.tile(session, tile)
        if data is None:
            raise LogContradicted(f"{tile.path} is missing")
        tiles.add(tile, data)
    return InclusionProof(index, size, leaf, tuple(tiles.hashes(spans)), checkpoint)


async def receipt(session: AsyncSession, *, entry_id: UUID) -> Receipt:
    """The receipt of an entry, with the entry in it; raises EntryUnknown, EntryPending, LogContradicted."""
    proof = await prove_inclusion(session, entry_id=entry_id)
    rows = await queries.rows(session, proof.index, proof.index + 1)
    if not rows:
        raise LogContradicted(f"entry {proof.index} is missing")
    return Receipt(proof.index, proof.hashes, proof.checkpoint, extra=rows[0][1])
