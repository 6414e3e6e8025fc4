"""A folder in which an office without Kafka finds its requests, and leaves its answers.

    requests/  <ref>.json and <ref>.pdf of each request, gone when it is withdrawn or its time is over
    answers/   the office's steps, a file each: {"ref", "version", "to", "reason"?, "outcome"?, "note"?, ...} or a list
    done/      answers that took effect
    refused/   answers that did not, each with the reason in a file beside it
    set-aside/ messages that no key of ours opens, as they came

What names a request goes with it when it is withdrawn, and what is done, refused or set aside after a feed's days.

Invariants: what stands under its name is whole (written beside, synced, renamed); the cursor moves when a page of the
feed is in the folder, so that whatever ends the program, the page is taken again and comes out the same; a step has an
id that follows from its file, so that one that was sent and not moved yet is sent again as the same step.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from doorstep.contracts.codes import Department
from doorstep.contracts.feeds import FEED_DAYS, RequestOffered
from doorstep.referral.domain.request_pdf import draw_request

REQUESTS, ANSWERS, DONE, REFUSED, ASIDE = "requests", "answers", "done", "refused", "set-aside"
BIGGEST = 65_536
SETTLED = 2.0
"""A file that changed less than so many seconds ago may still be written by somebody."""
MOST_STEPS = 20
_STEP = frozenset({"ref", "version", "to", "business_status", "reason", "outcome", "note"}) | {
    "progress", "appointment", "template", "attests",
}  # fmt: skip
_CURSOR, _LOCK = ".cursor", ".lock"


class InUse(Exception):
    """Another program works in this folder."""


class BadAnswer(Exception):
    """An answer's file says nothing that can be sent; the message says why, in both languages."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an answer's file: its command's id, the request, the version seen, what is to be sent."""

    id: UUID
    ref: UUID
    version: int
    said: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Drop:
    """The folder. Raises OSError where the machine does."""

    folder: Path
    department: Department

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make what is missing, and keep others out meanwhile. Raises InUse."""
        for name in (REQUESTS, ANSWERS, DONE, REFUSED, ASIDE):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUse from None
            yield

    def cursor(self) -> UUID | None:
        """Behind which message the feed goes on; None for the beginning, also where what is kept is none."""
        try:
            return UUID((self.folder / _CURSOR).read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None

    def keep_cursor(self, cursor: UUID | None) -> None:
        """Go on behind this message from now on."""
        if cursor is None:
            (self.folder / _CURSOR).unlink(missing_ok=True)
        else:
            _write(self.folder / _CURSOR, str(cursor).encode())

    def put(self, offered: RequestOffered) -> None:
        """A request is there: the page first, so that whoever finds the file finds the page."""
        name = str(offered.offer.ref)
        _write(self.folder / REQUESTS / f"{name}.pdf", draw_request(self.department, offered))
        told = offered.model_dump_json(exclude_none=True, indent=2)
        _write(self.folder / REQUESTS / f"{name}.json", told.encode())

    def take_away(self, ref: UUID) -> None:
        """A request is no longer the department's, nor is what was answered about it."""
        for end in ("json", "pdf"):
            (self.folder / REQUESTS / f"{ref}.{end}").unlink(missing_ok=True)
        for name in (ANSWERS, DONE, REFUSED):
            for file in (self.folder / name).glob("*.json"):
                if str(ref).encode() in file.read_bytes():
                    _forget(file)
            _sync(self.folder / name)
        _sync(self.folder / REQUESTS)

    def set_aside(self, message_id: UUID, value: bytes) -> None:
        """Nobody's key opens it: it waits for a person."""
        _write(self.folder / ASIDE / f"{message_id}.jwe", value)

    def sweep(self, now: datetime) -> int:
        """Delete requests whose time is over, and what a program that ended left half written; how many requests."""
        gone = 0
        for left in self.folder.glob("**/.*.partial"):
            left.unlink(missing_ok=True)
        since = (now - timedelta(days=FEED_DAYS)).timestamp()
        for name in (DONE, REFUSED, ASIDE):
            for old in (self.folder / name).iterdir():
                if old.is_file() and old.stat().st_mtime < since:
                    old.unlink(missing_ok=True)
        for file in sorted((self.folder / REQUESTS).glob("*.json")):
            try:
                delete_by = datetime.fromisoformat(json.loads(file.read_bytes())["delete_by"])
                over = delete_by < now
            except (ValueError, KeyError, TypeError):
                continue  # not written by us
            if over:
                self.take_away(UUID(file.stem))
                gone += 1
        return gone

    def answers(self) -> list[Path]:
        """The files of answers that nobody is writing, in the order of their names."""
        before = time.time() - SETTLED
        found = sorted(one for one in (self.folder / ANSWERS).iterdir() if one.suffix == ".json")
        return [one for one in found if one.is_file() and not one.is_symlink() and one.stat().st_mtime <= before]

    def done(self, file: Path) -> None:
        """The answer took effect."""
        _move(file, self.folder / DONE)

    def refused(self, file: Path, reason: str) -> None:
        """The answer took no effect, or not all of it; the reason first, so that no refused file is without one."""
        place = _free(file, self.folder / REFUSED)
        _write(place.with_name(f"{place.name}.reason.txt"), f"{reason}\n".encode())
        file.replace(place)
        _sync(place.parent)


def read_answer(file: Path) -> list[Step]:
    """The steps in an answer's file. Raises BadAnswer."""
    text = file.read_bytes()[: BIGGEST + 1]
    if len(text) > BIGGEST:
        raise BadAnswer("文件超过 64 KiB。 The file is over 64 KiB.")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise BadAnswer("不是 JSON。 This is not JSON.") from None
    steps = found if isinstance(found, list) else [found]
    if not 0 < len(steps) <= MOST_STEPS:
        raise BadAnswer(f"须有 1 至 {MOST_STEPS} 步。 An answer has 1 to {MOST_STEPS} steps.")
    return [_step(one, number, text) for number, one in enumerate(steps)]


def _step(said: Any, number: int, text: bytes) -> Step:
    where = f"第 {number + 1} 步 step {number + 1}"
    if not isinstance(said, dict):
        raise BadAnswer(f"{where}: 须为 JSON 对象。 It is to be a JSON object.")
    if unknown := sorted(set(said) - _STEP):
        raise BadAnswer(f"{where}: 不认识的字段 unknown fields: {', '.join(one[:40] for one in unknown[:5])}")
    version = said.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not 0 < version < 10**9:
        raise BadAnswer(f"{where}: version 须为所见版本。 version is to be the version that was seen.")
    try:
        ref = UUID(str(said.get("ref")))
    except ValueError:
        raise BadAnswer(f"{where}: ref 不是请求编号。 ref is no request's.") from None
    return Step(
        step_id(text, number), ref, version, {name: said[name] for name in said if name not in ("ref", "version")}
    )


def step_id(text: bytes, number: int) -> UUID:
    """The command's id, in the form of a UUIDv7: the same for the same file, whoever sends it and when."""
    drawn = int.from_bytes(hashlib.sha256(number.to_bytes(2) + text).digest()[:16])
    return UUID(int=drawn & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48)


def _write(place: Path, content: bytes) -> None:
    partial = place.with_name(f".{place.name}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(place)
    _sync(place.parent)


def _forget(file: Path) -> None:
    """Delete an answer, and why it was refused."""
    file.unlink(missing_ok=True)
    file.with_name(f"{file.name}.reason.txt").unlink(missing_ok=True)


def _move(file: Path, folder: Path) -> None:
    file.replace(_free(file, folder))
    _sync(folder)


def _free(file: Path, folder: Path) -> Path:
    """A name there that no earlier file has."""
    place, number = folder / file.name, 1
    while place.exists():
        number += 1
        place = folder / f"{file.stem}-{number}{file.suffix}"
    return place


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)
