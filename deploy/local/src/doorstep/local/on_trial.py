"""The consumer on trial: started where we run it, and heard by its standard output or by calls to an address of ours.

The protocol: one JSON object for each effect, as a line or as the body of `POST /effects`.

    {"effect": "offered",   "id": "<ce_id>", "ref": "<ref>", "need_type": "<need_type>"}
    {"effect": "withdrawn", "id": "<ce_id>", "ref": "<ref>"}
    {"effect": "set-aside", "id": "<ce_id>"}

Lines that are no JSON object with an `effect` are the consumer's own affair.
"""

import asyncio
import json
import os
import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aiohttp import web

from doorstep.cli.failures import Refusal
from doorstep.local.children import die_with_parent
from doorstep.local.failures import PortTaken
from doorstep.local.ports import HOST

_LONGEST = 64 * 1024
_ENDS_WITHIN = 5.0
_ERROR = re.compile(r"[\w.]*(Error|Exception)\b")


class NotStarted(Refusal):
    """The consumer's command cannot be run."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(
            f"无法运行命令 {command}：{reason}。", f"The command {command} cannot be run: {reason}.", exit_code=2
        )


class Kind(StrEnum):
    """What a consumer can have done about a message."""

    OFFERED = "offered"
    WITHDRAWN = "withdrawn"
    SET_ASIDE = "set-aside"


class Unreadable(ValueError):
    """What the consumer told is no effect of the protocol."""


@dataclass(frozen=True)
class Effect:
    """What the consumer says that it did about one message."""

    kind: Kind
    id: str
    ref: str | None = None
    need_type: str | None = None

    @classmethod
    def parse(cls, text: bytes) -> "Effect | None":
        """The effect in a line, None for a line that is none. Raises Unreadable."""
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(told, dict) or "effect" not in told:
            return None
        if not isinstance(told["effect"], str) or told["effect"] not in set(Kind):
            raise Unreadable(f"effect: {' | '.join(Kind)}")
        event, ref, need = (told.get(name) for name in ("id", "ref", "need_type"))
        if not isinstance(event, str) or not isinstance(ref, str | None) or not isinstance(need, str | None):
            raise Unreadable("id, ref, need_type: text")
        return cls(Kind(told["effect"]), event, ref, need)


class Heard:
    """The effects that were told so far, and whether more can come."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.unreadable: list[str] = []
        self._news = asyncio.Event()

    def take(self, line: bytes) -> str | None:
        """Note the effect in `line`; gives what is wrong with it."""
        try:
            effect = Effect.parse(line)
        except Unreadable as error:
            self.unreadable.append(str(error))
            return str(error)
        if effect is not None:
            self.effects.append(effect)
            self._news.set()
        return None

    def wake(self) -> None:
        """Have whoever waits look again."""
        self._news.set()

    async def until(self, event_id: str, ended: asyncio.Event, within: float) -> bool:
        """Whether the consumer told of this event `within` seconds, before it ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not (found := any(one.id == event_id for one in self.effects)) and not ended.is_set():
                    self._news.clear()
                    await self._news.wait()
                return found
        return False


class Ear:
    """An address at which effects are told by HTTP."""

    def __init__(self, heard: Heard, port: int) -> None:
        """Listen on `port`, as soon as started; what is told goes to `heard`."""
        self.heard = heard
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """Where a consumer posts its effects."""
        return f"http://{HOST}:{self._port}/effects"

    async def start(self) -> None:
        """Listen; raises PortTaken."""
        application = web.Application(client_max_size=_LONGEST)
        application.router.add_post("/effects", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port).start()
        except OSError as cause:
            await self.stop()
            raise PortTaken(self._port) from cause

    async def stop(self) -> None:
        """Listen no longer."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        before = len(self.heard.effects)
        wrong = self.heard.take(await request.read())
        if wrong is None and len(self.heard.effects) > before:
            return web.Response(status=204)
        problem = {
            "type": "about:blank",
            "title": "不是一条结果 Not an effect",
            "status": 400,
            "detail": wrong or "JSON",
        }
        return web.json_response(problem, status=400, content_type="application/problem+json")


class Process:
    """The consumer as a process of ours."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, heard: Heard) -> None:
        """Run `command` when started; its errors go to `log`, its effects to `heard`."""
        self._command = command
        self._environment = environment
        self._log = log
        self._heard = heard
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    async def start(self) -> None:
        """Start it; raises NotStarted."""
        self.ended.clear()
        with self._log.open("ab") as log:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **self._environment},
                    limit=_LONGEST,
                    start_new_session=True,
                    preexec_fn=die_with_parent(signal.SIGKILL),
                )
            except OSError as cause:
                raise NotStarted(self._command[0], cause.strerror or str(cause)) from cause
        self._listening = asyncio.create_task(self._listen(self._process))

    async def kill(self) -> None:
        """End it, and whatever it started, as a crash would."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        if self._listening is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._listening, _ENDS_WITHIN)

    def last_line(self) -> str:
        """The last line of its errors that names an error, or else the last that says something."""
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        named = [line for line in lines if _ERROR.match(line)]
        return (named or lines or ["—"])[-1][:200]

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        stdout = process.stdout
        assert stdout is not None  # noqa: S101
        while True:
            try:
                line = await stdout.readline()
            except ValueError:  # longer than any effect
                continue
            if not line:
                break
            self._heard.take(line)
        await process.wait()
        self.ended.set()
        self._heard.wake()
