"""Writing the log out as files, so that any file server is a complete mirror of it.

Invariants: nothing is written that was not verified; what stood there stays if the log contradicts it; each file is
replaced whole, the checkpoint last, so that a mirror that was broken off is still the one that it was before. A full
tile never changes: one that lies there is read instead of being fetched, and verified like the others.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from doorstep.audit.domain.checkpoint import open_checkpoint
from doorstep.audit.domain.errors import LogError
from doorstep.audit.domain.note import VerifierKey
from doorstep.audit.domain.tiles import BUNDLE, Tile, levels_of, tiles_of_level
from doorstep.audit.domain.verify import (
    CHECKPOINT,
    WITNESSED,
    Fetch,
    VerificationFailed,
    VerifiedLog,
    check_saved,
    verify_log,
)

VKEY = "vkey"
_BEGUN = {"tile", *(name for one in (VKEY, WITNESSED, CHECKPOINT) for name in (one, f".{one}.fresh"))}
# what a first export leaves that was broken off


class FolderNotAMirror(LogError):
    """The folder holds something else, or a mirror of another log."""


async def mirror_log(fetch: Fetch, key: VerifierKey, folder: Path) -> VerifiedLog:
    """Verify the log whole and write it to `folder`, or bring the mirror there up to it.

    Raises VerificationFailed, LogForked and LogShrunk too, if it is not what the mirror has; FolderNotAMirror; OSError.
    """
    saved, old_size = _saved(folder, key)
    if saved is not None:
        await check_saved(fetch, key, saved)
    parts = _Parts(fetch, folder)
    try:
        log = await verify_log(parts.fetch, key)
    except VerificationFailed:
        if not parts.from_folder:
            raise
        parts = _Parts(fetch, None)  # what is damaged may be the mirror
        log = await verify_log(parts.fetch, key)
    _write(folder, parts.fetched, log, key, old_size)
    return log


class _Parts:
    """Tiles and bundles from the mirror where they lie there whole, else from the log."""

    def __init__(self, fetch: Fetch, folder: Path | None) -> None:
        self._fetch = fetch
        self._folder = folder
        self.fetched: dict[str, bytes] = {}
        self.from_folder = False

    async def fetch(self, path: str) -> bytes | None:
        """The bytes at `path`."""
        if self._folder is not None and path != CHECKPOINT and ".p/" not in path:
            file = self._folder / path
            if file.is_file():
                self.from_folder = True
                return file.read_bytes()
        data = await self._fetch(path)
        if data is not None:
            self.fetched[path] = data
        return data


def _saved(folder: Path, key: VerifierKey) -> tuple[bytes | None, int]:
    """The checkpoint of the mirror in `folder` and its size; None and 0 if nothing is there yet."""
    file = folder / CHECKPOINT
    if not file.exists():
        if folder.exists() and any(one.name not in _BEGUN for one in folder.iterdir()):
            raise FolderNotAMirror(f"{folder} holds something else than a mirror")
        return None, 0
    saved = file.read_bytes()
    try:
        return saved, open_checkpoint(saved, key.name, [key]).size
    except LogError as error:
        raise FolderNotAMirror(f"the mirror's own checkpoint is not of this log: {error}") from error


def _write(folder: Path, parts: dict[str, bytes], log: VerifiedLog, key: VerifierKey, old_size: int) -> None:
    for path, data in parts.items():
        if path != CHECKPOINT:
            _replace(folder / path, data)
    _replace(folder / VKEY, f"{key}\n".encode())
    _replace(folder / CHECKPOINT, log.checkpoint)
    kept = {tile.path for size in (old_size, log.size) for tile in _tiles(size)}  # who reads the old one may go on
    for file in (folder / "tile").glob("**/*.p/*"):
        if file.relative_to(folder).as_posix() not in kept:
            file.unlink()


def _tiles(size: int) -> Iterator[Tile]:
    for level in (BUNDLE, *range(levels_of(size))):
        yield from tiles_of_level(size, level)


def _replace(file: Path, data: bytes) -> None:
    """Put `data` in the place of `file`, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.fresh")
    with fresh.open("wb") as writing:
        writing.write(data)
        writing.flush()
        os.fsync(writing.fileno())
    fresh.replace(file)
