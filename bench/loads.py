"""What is measured of a running site: idleness, records through it, the time to a department, whole lifecycles."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import psutil

from bench.drawn import WISHES, bodies
from bench.meter import Meter, until_quiet
from bench.site import Site
from bench.spread import histogram, percentiles
from doorstep.contracts.codes import Department
from doorstep.local.department import Orders
from doorstep.local.departments import department_systems

Tell = Callable[[str, float], None]
"""Told what is done and how much of it is, from 0 to 1."""

IN_FLIGHT = 32
CONSUMERS = ("registry", "risk", "referral")  # take one event and publish the next; nobody calls them meanwhile
ARRIVES_WITHIN = 120.0
_KEYS_ARE_KNOWN = 1.5  # seconds until a feed is encrypted for a new key


@dataclass
class Heard:
    """What the departments' processes told: when each reference could be read there, by the wall clock."""

    offered: dict[str, float] = field(default_factory=dict)
    arrived: "asyncio.Queue[tuple[Department, str]]" = field(default_factory=asyncio.Queue)
    departments: dict[str, Department] = field(default_factory=dict)

    def told(self, department: Department, what: dict[str, Any]) -> None:
        """Take one line of a department's."""
        if what["happened"] == "offered":
            self.offered[what["ref"]] = what["at"]
            self.departments[what["ref"]] = department
            self.arrived.put_nowait((department, what["ref"]))


@asynccontextmanager
async def listening(site: Site, *, fetch_wait_ms: int) -> AsyncIterator[Heard]:
    """Four departments' systems that take their feeds and do not answer, each a process of its own.

    The embedded broker does not end a fetch when a message comes: the product rings, the peer does not. `fetch_wait_ms`
    is how often they look.
    """
    heard = Heard()
    async with department_systems(WISHES, heard.told) as systems:
        await systems.begin(
            Orders(
                department=one,
                front_door=site.front_door,
                kafka=site.kafka,
                token=site.officer(one),
                works=False,
                fetch_wait_ms=fetch_wait_ms,
                bells=site.bells,
            )
            for one in WISHES
        )
        await asyncio.sleep(_KEYS_ARE_KNOWN)
        yield heard


class Collector:
    """Hands in records that were written beforehand."""

    def __init__(self, site: Site) -> None:
        headers = {"Authorization": f"Bearer {site.collector()}", "Content-Type": "application/json"}
        self._client = aiohttp.ClientSession(
            site.front_door, headers=headers, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(60)
        )
        self.busy = 0

    async def __aenter__(self) -> "Collector":
        """Nothing is connected before the first record."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def hand_in(self, body: bytes) -> str:
        """Hand in a record, again where the site is busy or closed the connection just then; gives its id."""
        while True:
            try:
                async with self._client.post("/api/records", data=body) as answer:
                    content = await answer.read()
            except aiohttp.ServerDisconnectedError:
                continue
            if answer.status in (200, 201):
                return str(orjson.loads(content)["record_id"])
            if answer.status != 503:
                raise AssertionError(f"{answer.status}: {content[:200]!r}")
            self.busy += 1
            await asyncio.sleep(0.05)


async def idle(site: Site, seconds: float) -> dict[str, float]:
    """Percent of a core that each process takes while nothing happens."""
    meter = Meter(site.pids)
    await asyncio.sleep(seconds)
    return {name: 100 * spent / meter.seconds for name, spent in meter.read().items()}


async def throughput(
    site: Site, heard: Heard, *, seconds: float, most: int, idle_cores: float, tell: Tell
) -> dict[str, Any]:
    """Records a second from the first sent to the last request decrypted, at saturation; one need a record.

    Then it waits until the site is quiet (the log has its entries, the journeys their steps) and reads the processor
    time: of the site's processes alone.
    """
    ready = list(bodies(most, needs=1))
    begun, sent, waiting = len(heard.offered), 0, iter(ready)
    meter, began, stop = Meter(site.pids), time.time(), time.monotonic() + seconds
    async with Collector(site) as collector:

        async def worker() -> None:
            nonlocal sent
            for body in waiting:
                if time.monotonic() > stop:
                    return
                await collector.hand_in(body)
                sent += 1
                tell("records through all services", min(1.0, 1 - (stop - time.monotonic()) / seconds))

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        taken = time.time() - began
        await _arrived(heard, begun + sent)
        busy = collector.busy
    arrived = max(heard.offered.values()) - began
    quiet = await until_quiet(site.pids, idle=idle_cores, within=ARRIVES_WITHIN)
    spent = meter.read()
    idle_part = idle_cores * (meter.seconds - arrived)
    return {
        "records": sent,
        "records_per_second": sent / arrived,
        "taken_per_second": sent / taken,
        "milliseconds_of_processor_per_record": 1000 * (sum(spent.values()) - max(idle_part, 0.0)) / sent,
        "milliseconds_of_a_consumer_per_record": 1000 * sum(spent[one] for one in CONSUMERS) / len(CONSUMERS) / sent,
        "by_process": {name: 1000 * one / sent for name, one in spent.items()},
        "answered_busy": busy,
        "quiet_again": quiet,
    }


async def latency(
    site: Site, heard: Heard, *, rate: float, seconds: float, warm: float, needs: int, tell: Tell
) -> dict[str, Any]:
    """Milliseconds from the 201 to the request decrypted in each department's process, at `rate` records a second.

    The records of the first `warm` seconds are not counted.
    """
    count = int(rate * (seconds + warm))
    ready, answered = list(bodies(count, needs=needs)), {}
    begun = len(heard.offered)
    meter, began = Meter(site.pids), time.monotonic()
    psutil.cpu_percent()
    async with Collector(site) as collector:

        async def hand_in(body: bytes) -> None:
            record_id = await collector.hand_in(body)
            answered[record_id] = time.time()

        async with asyncio.TaskGroup() as group:
            for at, body in enumerate(ready):
                await asyncio.sleep(max(0.0, began + at / rate - time.monotonic()))
                group.create_task(hand_in(body))
                tell(f"{rate:.0f} records/s of {needs} needs", at / count)
        spent, lasted, busy = sum(meter.read().values()), meter.seconds, psutil.cpu_percent()
        await _arrived(heard, begun + count * needs)
    records = await site.records_of_refs()
    first = min(answered.values()) + warm
    return {
        "rate": rate,
        "needs": needs,
        "seconds": seconds,
        "achieved_rate": count / lasted,
        "machine_percent": busy,
        "site_cores": spent / lasted,
        **_latencies(heard, records, answered, first),
    }


def _latencies(heard: Heard, records: dict[str, str], answered: dict[str, float], first: float) -> dict[str, Any]:
    by_department: dict[str, list[float]] = {}
    for ref, at in heard.offered.items():
        accepted = answered.get(records.get(ref, ""))
        if accepted is not None and accepted >= first:
            by_department.setdefault(str(heard.departments[ref]), []).append(1000 * (at - accepted))
    everything = sorted(itertools.chain.from_iterable(by_department.values()))
    return {
        "requests": len(everything),
        **percentiles(everything),
        "departments": {one: percentiles(sorted(times)) for one, times in sorted(by_department.items())},
        "histogram": histogram(everything),
    }


async def _arrived(heard: Heard, count: int) -> None:
    """Wait until so many requests were decrypted; AssertionError if they are not in time."""
    ends = time.monotonic() + ARRIVES_WITHIN
    while len(heard.offered) < count:
        if time.monotonic() > ends:
            raise AssertionError(f"{len(heard.offered)} of {count} requests arrived in {ARRIVES_WITHIN:.0f} s")
        await asyncio.sleep(0.02)
