"""The departments' systems, each a process of its own, started, told its orders, listened to and ended."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from doorstep.contracts.codes import Department
from doorstep.local.children import die_with_parent
from doorstep.local.department import Orders

Told = Callable[[Department, dict[str, Any]], None]
_READY_WITHIN = 60.0


class Departments:
    """Processes that wait for their orders."""

    def __init__(self, processes: dict[Department, asyncio.subprocess.Process], told: Told) -> None:
        """Listen to `processes`; what they tell goes to `told`."""
        self._processes = processes
        self._told = told
        self._ready = {department: asyncio.Event() for department in processes}
        self._listening = [asyncio.create_task(self._listen(one)) for one in processes]

    async def begin(self, orders: Iterable[Orders]) -> None:
        """Give each department its orders, and wait until all take their feeds. Raises TimeoutError."""
        for one in orders:
            stdin = self._processes[one.department].stdin
            assert stdin is not None  # noqa: S101
            stdin.write(one.model_dump_json().encode() + b"\n")
            await stdin.drain()
        async with asyncio.timeout(_READY_WITHIN):
            for event in self._ready.values():
                await event.wait()

    async def _listen(self, department: Department) -> None:
        stdout = self._processes[department].stdout
        assert stdout is not None  # noqa: S101
        async for line in stdout:
            what = orjson.loads(line)
            if what["happened"] == "ready":
                self._ready[department].set()
            self._told(department, what)

    async def end(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            if process.returncode is None:
                process.terminate()
        for process in self._processes.values():
            await process.wait()
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)


@asynccontextmanager
async def department_systems(departments: Iterable[Department], told: Told) -> AsyncIterator[Departments]:
    """Start a process for each department; at the end of the block they are ended."""
    processes = {
        one: await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "doorstep.local.department",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        for one in departments
    }
    systems = Departments(processes, told)
    try:
        yield systems
    finally:
        await systems.end()
