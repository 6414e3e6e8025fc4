"""Proofs made from tiles: which tiles a proof needs, and its hashes once they are there.

Without reading or writing anything itself, so that the log's server and a client compute proofs by the same code.
"""

from collections.abc import Iterable, Iterator, Sequence

from doorstep.audit.domain.merkle import Range, complete_root, fold, peaks
from doorstep.audit.domain.tiles import TILE_WIDTH, Tile, decode_hashes, widest


def _complete(span: Range) -> Iterator[tuple[int, int, int]]:
    """Yield, for each complete subtree of `span`, the level of its hashes, the first of them and how many."""
    start, end = span
    for left, right in peaks(end - start):
        bits = (right - left).bit_length() - 1
        level = bits // 8
        yield level, (start + left) >> (8 * level), 1 << (bits % 8)


class ProofTiles:
    """The tiles of a tree of `size` from which hashes of subtrees are computed."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._hashes: dict[tuple[int, int], list[bytes]] = {}

    def missing(self, spans: Iterable[Range]) -> list[Tile]:
        """Return the tiles that the subtrees `spans` need and that were not added yet."""
        places = {(level, first // TILE_WIDTH) for span in spans for level, first, _ in _complete(span)}
        return [widest(level, index, self.size) for level, index in sorted(places - self._hashes.keys())]

    def add(self, tile: Tile, data: bytes) -> None:
        """Keep a tile's bytes; raises Malformed if they are not of its width."""
        self._hashes[tile.level, tile.index] = decode_hashes(data, tile.width)

    def hashes(self, spans: Sequence[Range]) -> list[bytes]:
        """Return the hash of each subtree; the tiles that `missing` names must have been added."""
        return [fold([self._root(*part) for part in _complete(span)]) for span in spans]

    def _root(self, level: int, first: int, count: int) -> bytes:
        index, offset = divmod(first, TILE_WIDTH)
        return complete_root(self._hashes[level, index][offset : offset + count])
