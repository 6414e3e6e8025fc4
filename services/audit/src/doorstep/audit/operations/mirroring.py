"""Writing the log out as files, so that any file server is a complete mirror of it.

Invariants: nothing is written that was not verified; what stood there stays if the log contradicts it; each file is
replaced whole, the checkpoint after the tiles, so that a mirror that was broken off is still the one that it was, and
the witnessed checkpoint last, so that it is never newer than the newest. A full tile never changes: one that lies there
is read instead of being fetched, and verified like the others.
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
_BEGUN = {"tile", VKEY, f".{VKEY}.fresh", f".{CHECKPOINT}.fresh"}  # what a first export leaves that was broken off


class FolderNotAMirror(LogError):
    """The folder holds something else, or a mirror of another log."""


async def mirror_log(fetch: Fetch, key: VerifierKey, folder: Path) -> VerifiedLog:
    """Verify the log whole and write it to `folder`, or bring the mirror there up to it.

    Raises VerificationFailed, LogForked and LogShrunk too, if it is not what the mirror has; FolderNotAMirror; OSError.
    """
    saved, old_sizes = _saved(folder, key)
    if saved is not None:
        await check_saved(fetch, key, saved)
    parts = _Parts(fetch, folder)
    try:
        logs = await _verify(parts.fetch, key)
    except VerificationFailed:
        if not parts.from_folder:
            raise
        parts = _Parts(fetch, None)  # what is damaged may be the mirror
        logs = await _verify(parts.fetch, key)
    _write(folder, parts.fetched, logs, key, old_sizes)
    return logs[CHECKPOINT]


async def _verify(fetch: Fetch, key: VerifierKey) -> dict[str, VerifiedLog]:
    """The log as verified under its newest checkpoint, and under its newest witnessed one, if there is one."""
    witnessed = await fetch(WITNESSED)  # before the newest one, which is then no older
    logs = {CHECKPOINT: await verify_log(fetch, key)}
    if witnessed is not None:
        logs[WITNESSED] = await verify_log(fetch, key, under=WITNESSED)
        await check_saved(fetch, key, witnessed)
    return logs


class _Parts:
    """Tiles and bundles from the mirror where they lie there whole, else from the log."""

    def __init__(self, fetch: Fetch, folder: Path | None) -> None:
        self._fetch = fetch
        self._folder = folder
        self.fetched: dict[str, bytes] = {}
        self.from_folder = False

    async def fetch(self, path: str) -> bytes | None:
        """The bytes at `path`; what was fetched once is the same ever after."""
        if path in self.fetched:
            return self.fetched[path]
        if self._folder is not None and path not in (CHECKPOINT, WITNESSED) and ".p/" not in path:
            file = self._folder / path
            if file.is_file():
                self.from_folder = True
                return file.read_bytes()
        data = await self._fetch(path)
        if data is not None:
            self.fetched[path] = data
        return data


def _saved(folder: Path, key: VerifierKey) -> tuple[bytes | None, list[int]]:
    """The checkpoint of the mirror in `folder`, None if nothing is there yet; the sizes of the logs that it holds."""
    file = folder / CHECKPOINT
    if not file.exists():
        if folder.exists() and any(one.name not in _BEGUN for one in folder.iterdir()):
            raise FolderNotAMirror(f"{folder} holds something else than a mirror")
        return None, []
    notes = [one.read_bytes() for one in (file, folder / WITNESSED) if one.exists()]
    try:
        return notes[0], [open_checkpoint(note, key.name, [key]).size for note in notes]
    except LogError as error:
        raise FolderNotAMirror(f"the mirror's own checkpoint is not of this log: {error}") from error


def _write(
    folder: Path, parts: dict[str, bytes], logs: dict[str, VerifiedLog], key: VerifierKey, old_sizes: list[int]
) -> None:
    for path, data in parts.items():
        if path not in (CHECKPOINT, WITNESSED):
            _replace(folder / path, data)
    _replace(folder / VKEY, f"{key}\n".encode())
    for name in (CHECKPOINT, WITNESSED):
        if name in logs:
            _replace(folder / name, logs[name].checkpoint)
    sizes = {*old_sizes, *(log.size for log in logs.values())}
    kept = {tile.path for size in sizes for tile in _tiles(size)}  # who reads the old one may go on
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
