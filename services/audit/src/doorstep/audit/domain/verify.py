"""Checking a log from outside, believing nothing but the log's verifier key.

`verify_log` reads everything: each entry is hashed again, each tile is computed again from what lies below it, and the
root from the entries and the root from the tiles must both be the one that was signed. `check_saved` reads a few tiles
and checks that the log still begins with what an older checkpoint signed: an honest log only grows.

VerificationFailed
├── CheckpointRejected    no checkpoint, not a checkpoint, another log's, or not signed by a key
├── PartMissing           a tile or bundle that the checkpoint promises is not there, or is cut short
├── EntryEdited           an entry is not the one whose hash was signed
├── EntryRejected         an entry is not in its format, or its id stands at two places
├── TileWrong             a tile is not what the entries, or the tiles below it, make
├── RootWrong             entries and tiles are not what was signed, neither of them
├── LogShrunk             the log is shorter than it was
└── LogForked             the log does not begin with what was signed before
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from doorstep.audit.domain.checkpoint import Checkpoint, open_checkpoint
from doorstep.audit.domain.edge import RightEdge
from doorstep.audit.domain.entry import Entry, parse_entry
from doorstep.audit.domain.errors import LogError, Malformed, NotWitnessed, ProofRejected
from doorstep.audit.domain.merkle import check_consistency, consistency_ranges, leaf_hash
from doorstep.audit.domain.note import VerifierKey
from doorstep.audit.domain.proving import ProofTiles
from doorstep.audit.domain.quorum import Quorum, check_witnessed
from doorstep.audit.domain.sm2 import SM2VerifierKey, require_sm2
from doorstep.audit.domain.tiles import (
    BUNDLE,
    TILE_WIDTH,
    Tile,
    decode_bundle,
    decode_hashes,
    encode_hashes,
    levels_of,
    tiles_of_level,
    widest,
)

Fetch = Callable[[str], Awaitable[bytes | None]]
"""The bytes at a path below the log's prefix, such as `checkpoint` or `tile/0/000.p/7`; None if it is not there."""

CHECKPOINT, WITNESSED = "checkpoint", "witnessed-checkpoint"
AT_ONCE = 8
Part = TypeVar("Part")


class VerificationFailed(LogError):
    """The log is not what it says it is."""


class CheckpointRejected(VerificationFailed):
    """There is no checkpoint that the verifier key signed."""


class PartMissing(VerificationFailed):
    """The log does not hold what its checkpoint promises: `path` is not there, or not whole."""

    def __init__(self, path: str, size: int, why: str) -> None:
        super().__init__(f"{path}: {why}, though the checkpoint promises {size} entries")
        self.path = path


class EntryEdited(VerificationFailed):
    """Entries are not those whose hashes were signed; `indexes` are their numbers, `tile` has the first's hash."""

    def __init__(self, indexes: Sequence[int], tile: str) -> None:
        more = f" (and {len(indexes) - 1} more)" if len(indexes) > 1 else ""
        super().__init__(f"entry {indexes[0]}{more} was edited: its hash is not the one in {tile} that was signed")
        self.indexes = tuple(indexes)
        self.tile = tile


class EntryRejected(VerificationFailed):
    """An entry that was signed is no entry, or stands there a second time; `index` is its number."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"entry {index}: {why}")
        self.index = index


class TileWrong(VerificationFailed):
    """A tile is not what lies below it makes; `path` is the tile, `offset` the first wrong hash in it."""

    def __init__(self, path: str, offset: int) -> None:
        super().__init__(f"{path}: hash {offset} is not the one that the entries make")
        self.path = path
        self.offset = offset


class RootWrong(VerificationFailed):
    """Neither the entries nor the tiles have the root that was signed."""

    def __init__(self, size: int, differing: int | None) -> None:
        where = "entries and tiles agree" if differing is None else f"they first differ at entry {differing}"
        super().__init__(f"the {size} entries do not have the signed root, nor have the tiles ({where})")
        self.size = size


class LogShrunk(VerificationFailed):
    """The log is shorter than a checkpoint that it signed before."""

    def __init__(self, saved: int, size: int) -> None:
        super().__init__(f"the log has {size} entries and once had {saved}: it was cut")
        self.saved = saved
        self.size = size


class LogForked(VerificationFailed):
    """The log does not begin with what it signed before."""

    def __init__(self, saved: int, size: int, why: str) -> None:
        super().__init__(f"the log of {size} entries does not begin with the {saved} that it signed before ({why})")
        self.saved = saved
        self.size = size


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """A log that was read whole and found to be what was signed; `checkpoint` is worth saving for `check_saved`."""

    size: int
    root: bytes
    entries: tuple[Entry, ...]
    checkpoint: bytes


async def verify_log(
    fetch: Fetch, verifier_key: VerifierKey, *, origin: str | None = None, under: str = CHECKPOINT
) -> VerifiedLog:
    """Read the whole log and check it against its signed checkpoint; raises VerificationFailed.

    `origin` is the log's name if it is not the key's, `under` the path of the checkpoint. Memory: every entry is kept.
    """
    signed, checkpoint = await _checkpoint(fetch, verifier_key, origin, under)
    size = checkpoint.size
    raw = [
        entry
        for entries in await _each(tiles_of_level(size, BUNDLE), lambda tile: _bundle(fetch, tile, size))
        for entry in entries
    ]
    levels = [
        [
            hash_
            for hashes in await _each(tiles_of_level(size, level), lambda tile: _hashes(fetch, tile, size))
            for hash_ in hashes
        ]
        for level in range(levels_of(size))
    ]
    _compare([leaf_hash(entry) for entry in raw], levels, checkpoint)
    return VerifiedLog(size, checkpoint.root, _entries(raw), signed)


async def verify_witnessed(fetch: Fetch, verifier_key: VerifierKey, quorum: Quorum, now: float) -> VerifiedLog:
    """Read the log whole up to the newest checkpoint that its witnesses cosigned, and check that it goes on from there.

    Raises VerificationFailed, NotWitnessed if fewer than `quorum` cosigned it, or too long ago.
    """
    if await fetch(WITNESSED) is None:
        raise NotWitnessed("the log has no checkpoint that enough witnesses cosigned")
    signed, _ = await _checkpoint(fetch, verifier_key, None, WITNESSED)
    check_witnessed(signed, quorum, now)
    log = await verify_log(_with(signed, fetch), verifier_key, under=WITNESSED)
    await check_saved(fetch, verifier_key, signed)
    return log


def _with(signed: bytes, fetch: Fetch) -> Fetch:
    """As `fetch`, with the witnessed checkpoint that was checked and no later one."""

    async def fetch_or_know(path: str) -> bytes | None:
        return signed if path == WITNESSED else await fetch(path)

    return fetch_or_know


async def check_saved(
    fetch: Fetch, verifier_key: VerifierKey, saved: bytes, *, origin: str | None = None
) -> Checkpoint:
    """Check that the log still begins with what the checkpoint `saved` signed, and return its newest checkpoint.

    Raises VerificationFailed; once a log passed `verify_log`, LogShrunk and LogForked show that it contradicts itself.
    """
    _, newest = await _checkpoint(fetch, verifier_key, origin)
    old = _open(saved, verifier_key, origin)
    if newest.size < old.size:
        raise LogShrunk(old.size, newest.size)
    if old.size == 0:
        return newest
    spans = consistency_ranges(old.size, newest.size)
    tiles = ProofTiles(newest.size)
    for tile in tiles.missing(spans):
        tiles.add(tile, encode_hashes(await _hashes(fetch, tile, newest.size)))
    try:
        check_consistency(old.size, old.root, newest.size, newest.root, tiles.hashes(spans))
    except ProofRejected as error:
        raise LogForked(old.size, newest.size, str(error)) from error
    return newest


def check_sm2(signed: bytes, key: SM2VerifierKey) -> None:
    """Check that `key` signed a checkpoint too; raises CheckpointRejected."""
    try:
        require_sm2(signed, key)
    except LogError as error:
        raise CheckpointRejected(str(error)) from error


async def _checkpoint(
    fetch: Fetch, key: VerifierKey, origin: str | None, path: str = CHECKPOINT
) -> tuple[bytes, Checkpoint]:
    signed = await fetch(path)
    if signed is None:
        raise CheckpointRejected(f"the log has no {path}")
    return signed, _open(signed, key, origin)


def _open(signed: bytes, key: VerifierKey, origin: str | None) -> Checkpoint:
    try:
        return open_checkpoint(signed, origin or key.name, [key])
    except LogError as error:
        raise CheckpointRejected(str(error)) from error


async def _each(tiles: Iterable[Tile], read: Callable[[Tile], Awaitable[Part]]) -> list[Part]:
    parts: list[Part] = []
    waiting = list(tiles)
    for at in range(0, len(waiting), AT_ONCE):
        parts += await asyncio.gather(*(read(tile) for tile in waiting[at : at + AT_ONCE]))
    return parts


async def _read(fetch: Fetch, tile: Tile, size: int, decode: Callable[[bytes, int], list[Part]]) -> list[Part]:
    """Read a tile, or the full one that took the place of a partial one."""
    for candidate in dict.fromkeys((tile, Tile(tile.level, tile.index))):
        data = await fetch(candidate.path)
        if data is not None:
            try:
                return decode(data, candidate.width)[: tile.width]
            except Malformed as error:
                raise PartMissing(candidate.path, size, str(error)) from error
    raise PartMissing(tile.path, size, "it is not there")


async def _bundle(fetch: Fetch, tile: Tile, size: int) -> list[bytes]:
    return await _read(fetch, tile, size, decode_bundle)


async def _hashes(fetch: Fetch, tile: Tile, size: int) -> list[bytes]:
    return await _read(fetch, tile, size, decode_hashes)


def _compare(leaves: list[bytes], levels: list[list[bytes]], checkpoint: Checkpoint) -> None:
    """Check entries' hashes, tiles and signed root against each other, and say which of them is at fault."""
    made = RightEdge()
    full = made.append(leaves)
    stored = levels[0] if levels else []
    edge = RightEdge()
    edge.append(stored)
    differing = [index for index, (ours, theirs) in enumerate(zip(leaves, stored, strict=True)) if ours != theirs]
    entries_hold, tiles_hold = made.root() == checkpoint.root, edge.root() == checkpoint.root
    if not entries_hold and not tiles_hold:
        raise RootWrong(checkpoint.size, differing[0] if differing else None)
    if not entries_hold:
        raise EntryEdited(differing, widest(0, differing[0] // TILE_WIDTH, checkpoint.size).path)
    for level, hashes in enumerate(levels):
        due = leaves if level == 0 else [tile.root for tile in full if tile.level == level - 1]
        for number, (ours, theirs) in enumerate(zip(due, hashes, strict=True)):
            if ours != theirs:
                raise TileWrong(widest(level, number // TILE_WIDTH, checkpoint.size).path, number % TILE_WIDTH)


def _entries(raw: list[bytes]) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    seen: dict[UUID, int] = {}
    for index, data in enumerate(raw):
        try:
            entry = parse_entry(data)
        except Malformed as error:
            raise EntryRejected(index, str(error)) from error
        if seen.setdefault(entry.id, index) != index:
            raise EntryRejected(index, f"it is there already, as entry {seen[entry.id]}")
        entries.append(entry)
    return tuple(entries)
