"""Whole lifecycles of a need: recorded, offered, accepted, completed, looked up."""

import asyncio
import time
from typing import Any

import psutil

from bench.drawn import WISHES, bodies
from bench.loads import ARRIVES_WITHIN, Collector, Heard, Tell
from bench.meter import Meter
from bench.site import Site
from doorstep.contracts.codes import Department
from doorstep.local.department import OUTCOMES
from doorstep.local.front_door import FrontDoor


class Lifecycles:
    """Keeps `at_once` lifecycles going, each begun when another one is over."""

    def __init__(self, site: Site, heard: Heard, *, at_once: int) -> None:
        """Begin on `site`; which request came where is `heard`."""
        self._heard = heard
        self._gate = asyncio.Semaphore(at_once)
        self._tokens = {one: site.officer(one) for one in WISHES}
        self._doors = {one: self._door(site, one) for one in WISHES}
        self._collector = Collector(site)
        self._ending = False
        self._all_over = asyncio.Event()
        self.begun = 0
        self.finished = 0

    def _door(self, site: Site, department: Department) -> FrontDoor:
        return FrontDoor(site.front_door, lambda: self._tokens[department])

    async def run(self, seconds: float, most: int, tell: Tell) -> tuple[int, float]:
        """Go on so long; gives how many were finished by then and the seconds. Those under way are finished after."""
        waiting = iter(list(bodies(most, needs=1)))
        while not self._heard.arrived.empty():
            self._heard.arrived.get_nowait()
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(self._take(group))
            while time.monotonic() < began + seconds and self.begun < most:
                await self._gate.acquire()
                group.create_task(self._collector.hand_in(next(waiting)))
                self.begun += 1
                tell("lifecycles", (time.monotonic() - began) / seconds)
            finished, lasted = self.finished, time.monotonic() - began
            async with asyncio.timeout(ARRIVES_WITHIN):
                self._ending = True
                self._look_whether_over()
                await self._all_over.wait()
            taking.cancel()
        return finished, lasted

    async def _take(self, group: asyncio.TaskGroup) -> None:
        while True:
            department, ref = await self._heard.arrived.get()
            group.create_task(self._finish(department, ref))

    async def _finish(self, department: Department, ref: str) -> None:
        door = self._doors[department]
        etag = await door.move(department, ref, '"1"', "accepted")
        await door.move(department, ref, etag, "completed", outcome=OUTCOMES[department])
        found, _ = await door.look_up(department, ref)
        if found["state"] != "completed":
            raise AssertionError(f"{ref} is {found['state']}")
        self.finished += 1
        self._gate.release()
        self._look_whether_over()

    def _look_whether_over(self) -> None:
        if self._ending and self.finished == self.begun:
            self._all_over.set()

    async def close(self) -> None:
        """Close the connections."""
        await self._collector.close()
        for door in self._doors.values():
            await door.__aexit__(None, None, None)


async def lifecycles(
    site: Site, heard: Heard, *, seconds: float, most: int, at_once: int, tell: Tell
) -> dict[str, Any]:
    """Lifecycles a second with so many at once, and how much of the machine they took, clients included."""
    many = Lifecycles(site, heard, at_once=at_once)
    meter = Meter(site.pids)
    psutil.cpu_percent()
    try:
        finished, lasted = await many.run(seconds, most, tell)
        spent, over, busy = sum(meter.read().values()), meter.seconds, psutil.cpu_percent()
    finally:
        await many.close()
    return {
        "at_once": at_once,
        "lifecycles": finished,
        "lifecycles_per_second": finished / lasted,
        "machine_percent": busy,
        "site_cores": spent / over,
    }
