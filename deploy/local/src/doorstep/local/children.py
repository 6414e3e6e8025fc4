"""A child process that never outlives its parent: started, watched, asked to end, ended."""

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

POLL = 0.02  # seconds between two looks at a process or its log
_PR_SET_PDEATHSIG = 1
_TAIL = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Identity:
    """The user that a child becomes; absent for the user that we are."""

    user: int
    group: int


@dataclass(frozen=True)
class Program:
    """What to run: `on_orphan` is the signal that the kernel sends when the parent is gone, however it went."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    identity: Identity | None = None
    keep_open: Sequence[int] = ()
    on_orphan: signal.Signals = signal.SIGKILL


@dataclass
class Child:
    """A running program, watched by polling: this needs no thread and works under every event loop."""

    program: Program
    process: subprocess.Popen[bytes]
    log_start: int
    expected: bool = field(default=False)  # its end was asked for

    @property
    def name(self) -> str:
        """The program's name."""
        return self.program.name

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def output(self) -> str:
        """Return the end (64 KiB) of what it has written since it was started."""
        with self.program.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self.log_start, size - _TAIL))
            return log.read().decode("utf-8", errors="replace")

    def last_line(self) -> str:
        """Return the last line it wrote that says something, at most 300 characters."""
        lines = [line.strip() for line in self.output().splitlines() if line.strip()]
        return lines[-1][:300] if lines else "—"

    def send(self, number: signal.Signals) -> None:
        """Send a signal; its end is expected from now on."""
        self.expected = True
        if self.alive:
            self.process.send_signal(number)

    async def ended(self, seconds: float) -> bool:
        """Wait for its end; False when it still runs after so many seconds."""
        deadline = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL)
        return True

    async def stop(self, number: signal.Signals, seconds: float) -> bool:
        """Ask it to end, and kill it when it has not after so many seconds; tell whether it ended by itself."""
        self.send(number)
        if await self.ended(seconds):
            return True
        self.send(signal.SIGKILL)
        await self.ended(10.0)
        return False


def start(program: Program) -> Child:
    """Start a program in a session of its own, its output appended to its log; raises OSError.

    Call it from the thread that lives as long as the child shall live: the kernel watches that thread.
    """
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with program.log.open("ab") as log:
        log_start = log.tell()
        process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            list(program.command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/" if program.identity else None,
            env=dict(program.environment),
            start_new_session=True,
            pass_fds=tuple(program.keep_open),
            user=program.identity.user if program.identity else None,
            group=program.identity.group if program.identity else None,
            extra_groups=[] if program.identity else None,
            preexec_fn=die_with_parent(program.on_orphan),
        )
    return Child(program=program, process=process, log_start=log_start)


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before its program, so that it gets `number` when we die; None where that cannot be had."""
    if _libc is None:
        return None
    parent = os.getpid()
    prctl = _libc.prctl

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return arrange


class EventReader:
    """Reads a child's JSON log lines as they come, to find an event by name."""

    def __init__(self, child: Child) -> None:
        self._path = child.program.log
        self._position = child.log_start
        self._rest = b""

    def saw(self, event: str) -> bool:
        """Tell whether a new complete line {"event": event} has come since the last look."""
        with self._path.open("rb") as log:
            log.seek(self._position)
            data = log.read()
        self._position += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return any(_event(line) == event for line in lines)


def _event(line: bytes) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry.get("event") if isinstance(entry, dict) else None
