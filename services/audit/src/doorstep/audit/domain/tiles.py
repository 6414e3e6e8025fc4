"""Tiles and entry bundles: how a tree is cut into files that never change (C2SP tlog-tiles).

- A full tile is 256 hashes, 8,192 bytes; a hash above level 0 is the root of a full tile below.
- The width of the partial tile at level l of a tree of size s is floor(s / 256**l) mod 256; no tile is empty.
- Index 1234067 is written x001/x234/067; there is one way to write an index.
- A bundle holds each entry behind its length as a big-endian 16-bit number.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.merkle import HASH_BYTES, SIZE_LIMIT, require_size

TILE_WIDTH = 256
FULL_TILE_BYTES = TILE_WIDTH * HASH_BYTES
ENTRY_LIMIT = 0xFFFF
"""An entry is at most 65,535 bytes."""
BUNDLE = -1
"""The level of entry bundles, which lie beside the tiles of level 0."""

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Which tile, or entry bundle (level BUNDLE): its level, its index in the level, its width in hashes (1 to 256).

    Raises Malformed for a tile that no tree below 2**63 entries can have.
    """

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if not BUNDLE <= self.level <= 63 or not 1 <= self.width <= TILE_WIDTH or self.index < 0:
            raise Malformed("tile: no such tile")
        if (self.index * TILE_WIDTH + self.width) << (8 * self.height) >= SIZE_LIMIT:
            raise Malformed("tile: beyond every tree")

    @property
    def height(self) -> int:
        """The level of the hashes that belong to it: 0 for a bundle."""
        return max(self.level, 0)

    @property
    def full(self) -> bool:
        """Whether it is 256 wide."""
        return self.width == TILE_WIDTH

    @property
    def start(self) -> int:
        """The number of its first hash in its level."""
        return self.index * TILE_WIDTH

    @property
    def path(self) -> str:
        """Its path below the log's prefix, such as tile/0/x001/234.p/7."""
        level = "entries" if self.level == BUNDLE else str(self.level)
        partial = "" if self.full else f".p/{self.width}"
        return f"tile/{level}/{_index_path(self.index)}{partial}"

    def within(self, size: int) -> bool:
        """Say whether a tree of `size` has all of this tile's hashes."""
        return self.start + self.width <= size >> (8 * self.height)


def _index_path(index: int) -> str:
    last = f"{index % 1000:03d}"
    while index := index // 1000:
        last = f"x{index % 1000:03d}/{last}"
    return last


def parse_path(path: str) -> Tile:
    """Return the tile that `path` names; raise Malformed unless it is written in the one right way."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise Malformed("tile path: not of the form tile/<L>/<N>[.p/<W>]")
    level, index, width = match.groups()
    if width is not None and int(width) >= TILE_WIDTH:
        raise Malformed("tile path: a partial tile is at most 255 wide")
    tile = Tile(
        BUNDLE if level == "entries" else int(level),
        int(index.replace("x", "").replace("/", "")),
        TILE_WIDTH if width is None else int(width),
    )
    if tile.path != path:
        raise Malformed("tile path: the index is not written in its shortest form")
    return tile


def tiles_of_level(size: int, level: int) -> Iterator[Tile]:
    """Yield the tiles (or, at level BUNDLE, the bundles) that a tree of `size` has at one level, from the left."""
    full, width = divmod(require_size(size) >> (8 * max(level, 0)), TILE_WIDTH)
    for index in range(full):
        yield Tile(level, index)
    if width:
        yield Tile(level, full, width)


def levels_of(size: int) -> int:
    """Return how many levels of tiles a tree of `size` has."""
    return (require_size(size).bit_length() + 7) // 8


def widest(level: int, index: int, size: int) -> Tile:
    """Return the tile at this place as wide as a tree of `size` has it; raise Malformed if it has none."""
    hashes = require_size(size) >> (8 * max(level, 0))
    return Tile(level, index, min(TILE_WIDTH, hashes - index * TILE_WIDTH))


def encode_hashes(hashes: Sequence[bytes]) -> bytes:
    """Return the bytes of a tile."""
    return b"".join(hashes)


def decode_hashes(data: bytes, width: int) -> list[bytes]:
    """Return the `width` hashes of a tile; raise Malformed unless it has exactly so many."""
    if len(data) != width * HASH_BYTES:
        raise Malformed(f"tile: {len(data)} bytes where {width * HASH_BYTES} were due")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the bytes of an entry bundle; raise Malformed for an entry above 65,535 bytes."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_LIMIT:
            raise Malformed("bundle: an entry is longer than 65,535 bytes")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the `width` entries of a bundle; raise Malformed unless it has exactly so many."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        begin = at + 2
        at = begin + int.from_bytes(data[at:begin], "big")
        if begin > len(data) or at > len(data):
            raise Malformed("bundle: it ends in the middle of an entry")
        entries.append(data[begin:at])
    if len(entries) != width:
        raise Malformed(f"bundle: {len(entries)} entries where {width} were due")
    return entries
