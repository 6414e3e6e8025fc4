"""Whole lifecycles against the stack in spikes and valleys, and the highest rate that it holds; who took the processor.

The client is a process of its own (`lives.py`). Processor time is read once a second, of each process with its
children, the client's too.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import psutil

from bench.drawn import WISHES
from bench.lives import Orders, Run
from bench.loads import Tell, idle
from bench.meter import until_quiet
from bench.profile import Life, Search, Step, by_step, held, spikes, timeline, times
from bench.site import Site
from bench.stored import COLUMNS
from doorstep.local.children import die_with_parent
from doorstep.local.environment import KEY_STORE

CLIENT = "client"
ROOT = Path(__file__).parents[1]
_LINE = 1 << 28
_SAMPLE = 1.0
_QUIET_WITHIN = 180.0
_ENDS_WITHIN = 10.0
_MANY_ROWS = 1000


class ClientFailed(RuntimeError):
    """The client's process ended before it told what became of the lifecycles."""


@dataclass(frozen=True)
class Measures:
    """How long everything lasts, in seconds: a step of the profile, a rung of the search, the warming up.

    `first` is the rate of the first rung, `rungs` bounds their number; 0 leaves the search out. `spike` is the rate of
    the one spike at the end of the profile.
    """

    step: float = 10.0
    rung: float = 15.0
    warm: float = 5.0
    first: float = 20.0
    rungs: int = 9
    spike: float = 120.0
    drain: float = 60.0


class Crowd:
    """The client's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Talk to `process`, which has its orders."""
        self._process = process
        self.pid = process.pid
        self.troubles: dict[str, int] = {}
        self.closed = 0

    async def heard(self) -> dict[str, Any]:
        """The next thing that it tells. Raises ClientFailed when it ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise ClientFailed(f"the client ended with {await self._process.wait()}")
        told: dict[str, Any] = orjson.loads(line)
        return told

    async def run(
        self, steps: Sequence[Step], drain: float, what: str, tell: Tell, sampling: "Samples | None" = None
    ) -> list[Life]:
        """Have lifecycles begun as `steps` say; gives all of them. Raises ClientFailed."""
        wanted = Run(steps=[(step.rate, step.seconds) for step in steps], drain=drain)
        assert self._process.stdin is not None
        self._process.stdin.write(wanted.model_dump_json().encode() + b"\n")
        await self._process.stdin.drain()
        while (told := await self.heard())["happened"] != "over":
            if told["happened"] == "begun" and sampling is not None:
                sampling.begin(told["at"])
            if told["happened"] == "going":
                tell(what, told["ended"] / max(1, told["due"]))
        self.closed = told["closed"]
        self.troubles = {name: told[name] for name in ("busy", "broken")}
        return [Life(**one) for one in told["lives"]]


@asynccontextmanager
async def crowd(site: Site) -> AsyncIterator[Crowd]:
    """Start the client's process; at the end of the block it is ended."""
    orders = Orders(
        front_door=site.front_door,
        kafka=site.kafka,
        database=site.stack.database_url("referral").replace("+asyncpg", ""),
        bells=site.bells,
        collector=site.collector(),
        officers={one: site.officer(one) for one in WISHES},
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.lives", cwd=ROOT, limit=_LINE, preexec_fn=die_with_parent(signal.SIGKILL),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    try:
        process.stdin.write(orders.model_dump_json().encode() + b"\n")
        started = Crowd(process)
        while (await started.heard())["happened"] != "ready":
            pass
        yield started
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(_ENDS_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


class Samples:
    """Processor time of the processes by name, once a second, as shares of a core."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Of these processes and all that they started."""
        self._pids = pids
        self._began = 0.0
        self._read: list[tuple[float, dict[str, float]]] = []

    def begin(self, at: float) -> None:
        """Count seconds from `at`, a time of the monotonic clock."""
        self._began = at
        self._read = [(0.0, _spent(self._pids))]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read once a second in the block, and at its end."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            self._take()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE)
            self._take()

    def _take(self) -> None:
        if self._began:
            self._read.append((time.monotonic() - self._began, _spent(self._pids)))

    def shares(self) -> list[dict[str, float]]:
        """Of each interval its middle, as `second`, and how much of a core each process took in it."""
        found = []
        for (began, before), (ended, after) in zip(self._read, self._read[1:], strict=False):
            if ended - began > _SAMPLE / 2:
                shares = {name: (after[name] - before[name]) / (ended - began) for name in after}
                found.append({"second": (began + ended) / 2, **shares})
        return found

    def seconds(self) -> dict[str, float]:
        """Seconds of processor time from the beginning to the last reading."""
        if not self._read:
            return {}
        first, last = self._read[0][1], self._read[-1][1]
        return {name: last[name] - first[name] for name in last}


def _spent(pids: Mapping[str, int]) -> dict[str, float]:
    """Seconds of processor time by name, with all children, in one look at the table of processes."""
    own: dict[int, float] = {}
    parent: dict[int, int] = {}
    for process in psutil.process_iter(["ppid", "cpu_times"]):
        spent = process.info["cpu_times"]
        if spent is not None:
            ended = getattr(spent, "children_user", 0.0) + getattr(spent, "children_system", 0.0)
            own[process.pid], parent[process.pid] = spent.user + spent.system + ended, process.info["ppid"]
    names = {pid: name for name, pid in pids.items()}
    found = dict.fromkeys(pids, 0.0)
    for pid, seconds in own.items():
        above: int | None = pid
        while above is not None and above not in names:
            above = parent.get(above)
        if above is not None:
            found[names[above]] += seconds
    return found


async def lifecycle_figures(site: Site, measures: Measures, tell: Tell) -> dict[str, Any]:
    """The profile and the highest rate that is held. Raises ClientFailed."""
    async with crowd(site) as many:
        pids = {**site.pids, KEY_STORE: site.stack.pid(KEY_STORE), CLIENT: many.pid}
        await many.run([Step(measures.first / 2, measures.warm)], measures.drain, "warming up", tell)
        idle_cores = await _rested(site, tell)
        steps = spikes(measures.step, measures.spike)
        before = await _read_without_index(site)
        samples = Samples(pids)
        with samples.running():
            lives = await many.run(steps, measures.drain, "spikes and valleys", tell, samples)
        found = {**_profile(lives, steps, samples), "troubles": many.troubles, "closed": many.closed}
        found["scanned"] = scanned(before, await _read_without_index(site), len(lives))
        if measures.rungs:
            found["sustained"] = await _sustained(site, many, measures, idle_cores, tell)
    return found


def _profile(lives: list[Life], steps: Sequence[Step], samples: Samples) -> dict[str, Any]:
    until = max([sum(step.seconds for step in steps), *(one.over for one in lives if one.over is not None)])
    done = sum(one.succeeded for one in lives)
    return {
        "lifecycles": len(lives),
        "succeeded": done,
        "failures": sorted({one.failed for one in lives if one.failed is not None})[:10],
        "times": times(lives),
        "steps": by_step(lives, steps),
        "timeline": timeline(lives, until),
        "shares": samples.shares(),
        "milliseconds_of_processor": {name: 1000 * spent / max(1, done) for name, spent in samples.seconds().items()},
    }


async def _sustained(site: Site, many: Crowd, measures: Measures, idle_cores: float, tell: Tell) -> dict[str, Any]:
    """The highest rate that is held for a rung, and every rung that was tried."""
    search = Search(measures.first)
    rungs: list[dict[str, Any]] = []
    while (rate := search.rate) is not None and len(rungs) < measures.rungs:
        await until_quiet(site.pids, idle=idle_cores, within=_QUIET_WITHIN)
        steps = [Step(rate, measures.rung)]
        psutil.cpu_percent()
        lives = await many.run(steps, measures.drain, f"{rate:.0f} lifecycles a second", tell)
        busy = psutil.cpu_percent()
        well = held(lives, steps)
        search.tried(rate, well=well)
        [step] = by_step(lives, steps)
        rungs.append({"held": well, "machine_percent": busy, "times": times(lives), **step})
    return {"rate": search.best, "rungs": rungs}


async def _rested(site: Site, tell: Tell) -> float:
    """How much of a core the site takes when nothing happens, once the log and the journeys have all."""
    tell("until the log and the journeys have all", 0.0)
    await until_quiet(site.pids, idle=0.2, within=_QUIET_WITHIN)
    return sum((await idle(site, 2.0)).values()) / 100


_READ = "SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname = ANY($1)"


async def _read_without_index(site: Site) -> dict[str, int]:
    """How many rows of each table that a lifecycle touches were read without an index since it was made."""
    found: dict[str, int] = {}
    for database, tables in COLUMNS.items():
        connection = await asyncpg.connect(site.stack.database_url(database).replace("+asyncpg", ""))
        try:
            found |= {f"{database}.{name}": count for name, count in await connection.fetch(_READ, list(tables))}
        finally:
            await connection.close()
    return found


def scanned(before: Mapping[str, int], after: Mapping[str, int], lifecycles: int) -> dict[str, float]:
    """The tables of which a lifecycle read more than so many rows without an index, and how many.

    What is small is read whole with good reason; with many requests stored nothing is to be named here.
    """
    read = {name: (after[name] - before.get(name, 0)) / max(1, lifecycles) for name in after}
    return {name: rows for name, rows in read.items() if rows > _MANY_ROWS}
