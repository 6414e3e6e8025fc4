"""One run: ceilings, the product, the peer, and a second demonstration, one after the other."""

import asyncio
import json
import shutil
import sys
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ceilings import ceilings
from bench.journey import check_journey
from bench.keys import key_figures
from bench.lifecycles import lifecycles
from bench.loads import Tell, idle, latency, listening, throughput
from bench.log import log_figures
from bench.machine import machine
from bench.meter import until_quiet
from bench.reads import read_figures
from bench.seed import seed
from bench.site import Site, peer, product
from bench.spikes import Measures, lifecycle_figures

ROOT = Path(__file__).parents[1]
_SETTLES, _SETTLES_WITHIN, _DEMO_WITHIN = 3.0, 120.0, 120.0
_EASE = 0.1  # of the rate
SELDOM, OFTEN = 100, 20  # milliseconds: how often the departments look


@dataclass(frozen=True)
class Plan:
    """How long each part lasts, in seconds; `most` bounds the records of a part, `entries` are those of the log."""

    ceiling: float
    idle: float
    warm: float
    through: float
    latency: float
    lifecycles: float
    log: float
    read: float
    spikes: Measures
    most: int = 30_000
    entries: int = 200_000
    rate: float = 50.0
    at_once: int = 32
    peer: bool = True
    demo: bool = True


SMOKE = Plan(
    ceiling=0.3,
    idle=0.5,
    warm=0.2,
    through=1.0,
    latency=1.0,
    lifecycles=1.0,
    log=1.0,
    read=0.3,
    spikes=Measures(step=0.5, rung=0.5, warm=0.5, first=2.0, rungs=1, spike=10.0, drain=30.0),
    most=40,
    entries=2000,
    rate=5.0,
    demo=False,
)
QUICK = Plan(
    ceiling=1.5,
    idle=4.0,
    warm=2.0,
    through=8.0,
    latency=10.0,
    lifecycles=8.0,
    log=4.0,
    read=3.0,
    spikes=Measures(step=3.0, rung=6.0, warm=3.0, rungs=6),
    entries=100_000,
)
USUAL = Plan(
    ceiling=4.0,
    idle=10.0,
    warm=5.0,
    through=20.0,
    latency=60.0,
    lifecycles=20.0,
    log=10.0,
    read=8.0,
    spikes=Measures(),
)
FULL = Plan(
    ceiling=4.0,
    idle=10.0,
    warm=5.0,
    through=20.0,
    latency=600.0,
    lifecycles=20.0,
    log=30.0,
    read=20.0,
    spikes=Measures(step=30.0, rung=60.0, warm=10.0, rungs=12),
    most=60_000,
    entries=10_000_000,
)


async def run(plan: Plan, tell: Tell) -> dict[str, Any]:
    """All figures of one run. Raises JourneyBroken if product or peer does not do what is measured."""
    began = time.monotonic()
    found: dict[str, Any] = {"machine": machine()}
    found["ceilings"] = await ceilings(plan.ceiling, tell)
    found["log"] = await log_figures(plan.log, plan.entries, tell)
    found["reads"] = await read_figures(plan.read, tell)
    found["product"] = await _measured(product(), plan, tell, whole=True)
    if plan.peer:
        found["peer"] = await _measured(peer(), plan, tell, whole=False)
        found["ratios"] = _ratios(found["product"], found["peer"])
    if plan.demo:
        tell("the second make demo", 0.0)
        found["demo_seconds"] = await _demo()
    found["seconds"] = time.monotonic() - began
    return found


async def run_reads(plan: Plan, tell: Tell) -> dict[str, Any]:
    """The figures of policy decisions and of reads alone."""
    began = time.monotonic()
    found: dict[str, Any] = {"machine": machine(), "reads": await read_figures(plan.read, tell)}
    return found | {"seconds": time.monotonic() - began}


async def run_keys(plan: Plan, tell: Tell) -> dict[str, Any]:
    """What asking the key store costs, alone."""
    began = time.monotonic()
    found: dict[str, Any] = {"machine": machine(), "keys": await key_figures(plan.read, tell)}
    return found | {"seconds": time.monotonic() - began}


@dataclass(frozen=True)
class Stored:
    """So many requests to be stored before lifecycles are measured again, and the data folder that keeps them."""

    requests: int
    folder: Path


async def run_lifecycles(plan: Plan, tell: Tell, stored: Stored | None) -> dict[str, Any]:
    """Whole lifecycles in spikes and valleys, and the highest rate held: empty, and then with requests stored."""
    began = time.monotonic()
    found: dict[str, Any] = {}
    on = machine()
    async with product() as site:
        found["empty"] = await lifecycle_figures(site, plan.spikes, tell)
    if stored is not None:
        async with product(data=stored.folder) as site:

            def told(count: int) -> None:
                tell("requests stored", count / stored.requests)

            there = await seed(site.stack, stored.requests, told)
            measured = await lifecycle_figures(site, plan.spikes, tell)
            found[f"{there['requests']:,} requests stored"] = {"stored": there, **measured}
    return {"machine": on, "lifecycles": found, "seconds": time.monotonic() - began}


async def _measured(
    running: AbstractAsyncContextManager[Site], plan: Plan, tell: Tell, *, whole: bool
) -> dict[str, Any]:
    """The figures of one site; `whole` adds those that only the product is asked for."""
    async with running as site:

        def told(what: str, part: float) -> None:
            tell(f"{site.name}: {what}", part)

        told("its journey", 0.0)
        found: dict[str, Any] = {"journey_seconds": await check_journey(site)}
        told("idle", 0.0)
        await asyncio.sleep(_SETTLES)
        found["idle"] = await idle(site, plan.idle)
        async with listening(site, fetch_wait_ms=SELDOM) as heard:
            told("warming up", 0.0)
            await throughput(site, heard, seconds=plan.warm, most=plan.most, idle_cores=1.0, tell=told)
            idle_cores = sum((await idle(site, 2.0)).values()) / 100
            found["throughput"] = await throughput(
                site, heard, seconds=plan.through, most=plan.most, idle_cores=idle_cores, tell=told
            )
        async with listening(site, fetch_wait_ms=OFTEN) as heard:
            if whole:
                for name, part, needs in (("at_ease", _EASE, 4), ("of_1", 1.0, 1), ("of_4", 1.0, 4)):
                    told("until the log and the journeys have all", 0.0)
                    await until_quiet(site.pids, idle=idle_cores, within=_SETTLES_WITHIN)
                    found[f"latency_{name}"] = await latency(
                        site, heard, rate=plan.rate * part, seconds=plan.latency, warm=plan.warm, needs=needs, tell=told
                    )
            told("until the log and the journeys have all", 0.0)
            await until_quiet(site.pids, idle=idle_cores, within=_SETTLES_WITHIN)
            found["lifecycles"] = await lifecycles(
                site, heard, seconds=plan.lifecycles, most=plan.most, at_once=plan.at_once, tell=told
            )
    return found


def _ratios(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """How many times the peer's figures ours are."""
    return {
        "records": ours["throughput"]["records_per_second"] / theirs["throughput"]["records_per_second"],
        "lifecycles": ours["lifecycles"]["lifecycles_per_second"] / theirs["lifecycles"]["lifecycles_per_second"],
        "processor": theirs["throughput"]["milliseconds_of_processor_per_record"]
        / ours["throughput"]["milliseconds_of_processor_per_record"],
    }


async def _demo() -> float | None:
    """Seconds of `make demo` where everything is installed; None if it did not succeed."""
    make = shutil.which("make")
    command = (
        [make, "--no-print-directory", "demo", "ARGS=--json"]
        if make
        else [sys.executable, "-m", "doorstep.cli", "demo", "--json"]
    )
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_DEMO_WITHIN):
            output, _ = await process.communicate()
    except TimeoutError:
        process.terminate()
        await process.wait()
        return None
    seconds = time.monotonic() - began
    lines = output.decode().strip().splitlines()
    if process.returncode != 0 or not lines or not json.loads(lines[-1])["closed"]:
        return None
    return seconds
