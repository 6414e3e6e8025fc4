"""The right edge of a growing tree: all that appending needs, and no more than 255 hashes a level."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.merkle import complete_root, fold, peaks, require_hash
from doorstep.audit.domain.tiles import TILE_WIDTH


@dataclass(frozen=True, slots=True)
class FullTile:
    """A tile that has just become full: its place, its 256 hashes and the root over them."""

    level: int
    index: int
    hashes: tuple[bytes, ...]
    root: bytes


class RightEdge:
    """The partial tiles of a tree, level 0 first; a level may be empty.

    `levels[l]` are the hashes of level l that no full tile holds yet. Raises Malformed for 256 or more of them.
    """

    def __init__(self, size: int = 0, levels: Sequence[Sequence[bytes]] = ()) -> None:
        self.levels = [[require_hash(hash_, "right edge") for hash_ in level] for level in levels]
        while self.levels and not self.levels[-1]:
            self.levels.pop()
        if any(len(level) >= TILE_WIDTH for level in self.levels):
            raise Malformed("right edge: a partial tile is at most 255 wide")
        if sum(len(level) << (8 * number) for number, level in enumerate(self.levels)) != size:
            raise Malformed("right edge: the partial tiles do not add up to the size")
        self.size = size

    def copy(self) -> "RightEdge":
        """Return an edge of its own with the same hashes."""
        return RightEdge(self.size, self.levels)

    def append(self, leaves: Iterable[bytes]) -> list[FullTile]:
        """Append leaf hashes and return the tiles that became full, lower before higher."""
        filled: list[FullTile] = []
        for leaf in leaves:
            self._push(0, leaf, filled)
            self.size += 1
        return filled

    def root(self) -> bytes:
        """Return the root of the tree."""
        return fold(
            [complete_root(level[start:end]) for level in reversed(self.levels) for start, end in peaks(len(level))]
        )

    def _push(self, level: int, hash_: bytes, filled: list[FullTile]) -> None:
        while True:
            if level == len(self.levels):
                self.levels.append([])
            row = self.levels[level]
            row.append(hash_)
            if len(row) < TILE_WIDTH:
                return
            hash_ = complete_root(row)
            filled.append(FullTile(level, self.size >> (8 * (level + 1)), tuple(row), hash_))
            row.clear()
            level += 1
