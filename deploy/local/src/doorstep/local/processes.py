"""The services as processes of their own: started together, watched, drained together."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence

from doorstep.local.children import Child, EventReader, Program, start
from doorstep.local.failures import EngineFailed, ServiceFailed, StackFailed

READY_WITHIN = 90.0  # seconds; two cores share six starts
DRAINS_WITHIN = 20.0
_LOOK = 0.05  # seconds between two looks at a starting service
_WATCH = 0.2  # and at a running one
_READY = "ready"

Watched = Callable[[], Child | None]
Reached = Callable[[str], None]


class Supervisor:
    """Runs programs that print {"event": "ready"} and end at SIGTERM.

    One that ends unasked is a failure of the whole: `failure` is done then, with the service's name and last line.
    """

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}
        self._engines: dict[str, Watched] = {}
        self._watcher: asyncio.Task[None] | None = None
        self.failure: asyncio.Future[StackFailed] = asyncio.get_running_loop().create_future()

    def watch_engine(self, name: str, child: Watched) -> None:
        """Watch an engine as well: `child` returns its process, which a restart may have replaced."""
        self._engines[name] = child

    def child(self, name: str) -> Child:
        """Return the process of a service; raises KeyError."""
        return self._children[name]

    async def start(self, programs: Sequence[Program], on_ready: Reached = lambda _: None) -> None:
        """Start them all at once and wait until each is ready; raises ServiceFailed, and has then stopped nothing."""
        for program in programs:
            previous = self._children.get(program.name)
            if previous is None or not previous.alive:
                self._children[program.name] = start(program)
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name="supervisor")
        waits = [asyncio.create_task(self._until_ready(self._children[one.name], on_ready)) for one in programs]
        try:
            await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()

    async def restart(self, name: str) -> None:
        """Start a service again that was stopped or killed, and wait until it is ready."""
        await self.start([self._children[name].program])

    async def drain(self, name: str) -> bool:
        """Ask a service to end; tell whether it did so by itself in time."""
        return await self._children[name].stop(signal.SIGTERM, DRAINS_WITHIN)

    async def kill(self, name: str) -> None:
        """End a service as a crash would."""
        await self._children[name].stop(signal.SIGKILL, DRAINS_WITHIN)

    async def stop(self) -> None:
        """Ask all to end, and end those that take too long."""
        for child in self._children.values():
            child.expected = True
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        await asyncio.gather(*(self.drain(name) for name in self._children))

    async def _until_ready(self, child: Child, on_ready: Reached) -> None:
        reader = EventReader(child)
        for _ in range(int(READY_WITHIN / _LOOK)):
            if reader.saw(_READY):
                on_ready(child.name)
                return
            if not child.alive:
                raise _ended(child)
            await asyncio.sleep(_LOOK)
        raise ServiceFailed(child.name, "late", child.last_line(), child.program.log)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH)
            for child in self._children.values():
                if not child.expected and not child.alive:
                    self._fail(_ended(child))
            for name, watched in self._engines.items():
                engine = watched()
                if engine is not None and not engine.expected and not engine.alive:
                    self._fail(EngineFailed(name, engine.last_line(), engine.program.log))

    def _fail(self, failure: StackFailed) -> None:
        if not self.failure.done():
            self.failure.set_result(failure)


def _ended(child: Child) -> ServiceFailed:
    return ServiceFailed(child.name, "ended", child.last_line(), child.program.log)
