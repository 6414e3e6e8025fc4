"""Processor time of the processes under test, by group: services, PostgreSQL, broker, departments, ourselves."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

QUIET_SHARE = 0.12  # of a core above what idleness costs
QUIET_LOOKS = 3
_LOOK = 0.5


def spent(pids: Mapping[str, int]) -> dict[str, float]:
    """Seconds of processor time by name, of each process with its children, those that ended included."""
    return {name: _spent(pid) for name, pid in pids.items()}


def _spent(pid: int) -> float:
    process = psutil.Process(pid)
    own = process.cpu_times()
    total: float = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


@dataclass
class Meter:
    """Measures from its making on."""

    pids: Mapping[str, int]

    def __post_init__(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        self._before = spent(self.pids)

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def read(self) -> dict[str, float]:
        """Seconds of processor time since the beginning, by name."""
        now = spent(self.pids)
        return {name: now[name] - self._before[name] for name in now}


async def until_quiet(pids: Mapping[str, int], *, idle: float, within: float) -> bool:
    """Wait until the processes do no more than when idle (`idle` in cores); False if they still do `within` seconds."""
    quiet, ends = 0, time.monotonic() + within
    while quiet < QUIET_LOOKS:
        if time.monotonic() > ends:
            return False
        meter = Meter(pids)
        await asyncio.sleep(_LOOK)
        busy = sum(meter.read().values()) / meter.seconds
        quiet = quiet + 1 if busy < idle + QUIET_SHARE else 0
    return True
