"""A log written to memory by the definitions, and the ways to tamper with it."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.entry import Entry
from doorstep.audit.domain.merkle import leaf_hash, root_of
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.tiles import BUNDLE, encode_bundle, encode_hashes, levels_of, tiles_of_level

ORIGIN = "doorstep.example/log"
KEY = SigningKey(ORIGIN, bytes(range(32)))


def entry(number: int, *, hour: str = "2026-11-21T10") -> bytes:
    """Entry bytes that differ for each number."""
    return Entry(UUID(int=number), hour, (number.to_bytes(32, "big"),)).encode()


class WrittenLog:
    """Files of a log by their paths; `fetch` reads them as `verify_log` wants."""

    key = KEY
    origin = ORIGIN

    def __init__(self, entries: Sequence[bytes], *, key: SigningKey = KEY) -> None:
        self.files: dict[str, bytes] = {}
        self.write_bundles(entries)
        self.write_tiles([leaf_hash(data) for data in entries])
        self.sign(entries, key=key)

    async def fetch(self, path: str) -> bytes | None:
        return self.files.get(path)

    def write_bundles(self, entries: Sequence[bytes]) -> None:
        for tile in tiles_of_level(len(entries), BUNDLE):
            self.files[tile.path] = encode_bundle(entries[tile.start : tile.start + tile.width])

    def write_tiles(self, leaves: Sequence[bytes]) -> None:
        for level in range(levels_of(len(leaves))):
            span = 256**level
            for tile in tiles_of_level(len(leaves), level):
                numbers = range(tile.start, tile.start + tile.width)
                hashes = [root_of(leaves[number * span : (number + 1) * span]) for number in numbers]
                self.files[tile.path] = encode_hashes(hashes)

    def sign(self, entries: Sequence[bytes], *, key: SigningKey = KEY) -> None:
        root = root_of([leaf_hash(data) for data in entries])
        self.files["checkpoint"] = Checkpoint(ORIGIN, len(entries), root).sign(key)


@pytest.fixture(scope="session")
def written_log():
    """The class of logs in memory."""
    return WrittenLog


@pytest.fixture(scope="session")
def entries():
    """Eight hundred different entries."""
    return [entry(number) for number in range(800)]
