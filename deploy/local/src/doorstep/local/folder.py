"""The data folder of one stack: where everything lies, and the locks that keep a second stack out."""

import errno
import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from doorstep.local.failures import DiskFull, FolderInUse, FolderUnusable, StackFailed

RUNTIMES = "/tmp"  # noqa: S108 - sockets have short paths there, in folders made safely under random names
LONG_LOG = 16 * 1024 * 1024  # bytes; a longer one is put aside at the next start, the one before it is dropped
DATABASE_STOPS_WITHIN = 30.0  # seconds that the database of a killed stack may take to stop


def disk_failure(folder: Path, cause: OSError) -> StackFailed:
    """Return the failure to raise for an error of the operating system about this folder."""
    full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
    return DiskFull(folder) if full else FolderUnusable(folder, cause)


class DataFolder:
    """A claimed data folder; as a context manager it is released at the end.

    Two locks: `stack.lock` is held by the stack alone, so that a second one is refused at once;
    `postgres.lock` is held by the database's processes too, so that a database which outlived its
    stack for a moment is waited for and never joined by another on the same files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.logs = self.root / "logs"
        self.keys = self.root / "keys"
        self.postgres = self.root / "postgres"
        self.notices = self.root / "notices"
        self.duty_calls = self.keys / "duty-calls.jsonl"
        self.state = self.root / "stack.json"
        self._stack_lock = -1
        self.postgres_lock = -1

    def __enter__(self) -> Self:
        """Make and claim the folder; raises FolderInUse, FolderUnusable, DiskFull."""
        try:
            for folder in (self.root, self.logs, self.keys):
                folder.mkdir(parents=True, exist_ok=True)
            self.keys.chmod(0o700)
            self._stack_lock = self._lock("stack.lock", wait=0.0)
            os.ftruncate(self._stack_lock, 0)
            os.write(self._stack_lock, str(os.getpid()).encode())
            self.postgres_lock = self._lock("postgres.lock", wait=DATABASE_STOPS_WITHIN)
            self._turn_logs()
        except OSError as cause:
            self._release()
            raise disk_failure(self.root, cause) from cause
        except FolderInUse:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the folder."""
        self._release()

    def _lock(self, name: str, wait: float) -> int:
        path = self.root / name
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                holder = os.read(handle, 20).decode(errors="replace") or "?"
                os.close(handle)
                raise FolderInUse(self.root, holder) from None
            else:
                return handle

    def _release(self) -> None:
        for handle in (self._stack_lock, self.postgres_lock):
            if handle >= 0:
                os.close(handle)
        self._stack_lock = self.postgres_lock = -1

    def _turn_logs(self) -> None:
        for log in self.logs.glob("*.log"):
            if log.stat().st_size > LONG_LOG:
                log.replace(log.with_suffix(".log.1"))

    def log(self, name: str) -> Path:
        """Return the path of a process's log file."""
        return self.logs / f"{name}.log"

    def remembered_ports(self) -> dict[str, int]:
        """Return the ports of the last time, by name; empty on the first start or when the note cannot be read."""
        try:
            ports = json.loads(self.state.read_text(encoding="utf-8"))["ports"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {name: port for name, port in dict(ports).items() if isinstance(port, int) and 0 < port < 65536}

    def remember(self, *, ports: Mapping[str, int], running: Mapping[str, object]) -> None:
        """Note the ports for the next time, and the addresses of what runs now for other commands; raises OSError."""
        partial = self.state.with_suffix(".new")
        partial.write_text(json.dumps({"ports": ports, "running": running}, indent=2), encoding="utf-8")
        partial.chmod(0o600)
        partial.rename(self.state)
