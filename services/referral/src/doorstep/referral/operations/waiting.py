"""Waiting for a feed's next message: many callers, one look at the database for all of them.

Invariants: who waits holds neither transaction nor connection; a look comes after whoever began to wait, so that what
was committed before or after is seen by it or by the next; what nobody told of is found within seconds.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from doorstep.contracts.codes import Department
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.telemetry import FEED_CALLERS_WAITING, describe
from doorstep.kit.wakeups import Announcer, Listener, sleep_unless
from doorstep.referral.errors import TooManyWait

log = logging.getLogger(__name__)

LONGEST_WAIT = 30
"""Seconds."""
MOST_WAITING = 64
"""So many callers of one department wait at one process."""

_CHANNEL = "doorstep_feed"
_TOLD_BY = "outbox_recipients"
_COALESCE = 0.005
_LOOK = 2.0
_AWAY = 1.0
_NEWEST = """
    SELECT d.department, coalesce(f.last, 0) AS last,
        EXISTS (SELECT FROM feed_message m WHERE m.department = d.department AND m.place IS NULL) AS fresh
    FROM unnest(CAST(:departments AS text[])) AS d (department) LEFT JOIN feed f USING (department)
"""


def announcer(database: Database) -> Announcer:
    """Tells those who wait at other processes that messages for departments were committed by this one."""
    return Announcer(database, _CHANNEL, told_by=_TOLD_BY)


@dataclass(eq=False)
class _Waiting:
    """A caller who has all messages up to a place, and what they are told: the newest place."""

    department: Department
    place: int
    told: "asyncio.Future[int]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class WaitingRoom:
    """Where callers of one process wait."""

    def __init__(self, database: Database, stopping: asyncio.Event) -> None:
        """Look into `database` while somebody waits; nobody waits on once `stopping` is set."""
        self._database = database
        self._stopping = stopping
        self._waiting: set[_Waiting] = set()
        self._woken = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def heard(self, info: dict[Any, Any]) -> None:
        """A transaction of this process committed, with this `info`."""
        if info.get(_TOLD_BY):
            self._woken.set()

    async def wait(self, department: Department, place: int, seconds: float) -> int:
        """The newest place of the feed as soon as there is something behind `place`, be it without a place yet.

        Raises TimeoutError if nothing came in so many `seconds`, and TooManyWait.
        """
        if Counter(one.department for one in self._waiting)[department] >= MOST_WAITING:
            raise TooManyWait
        waiting = _Waiting(department, place)
        self._waiting.add(waiting)
        waits = FEED_CALLERS_WAITING.labels(department)
        waits.inc()
        self._begin()
        try:
            async with asyncio.timeout(seconds):
                return await waiting.told
        finally:
            self._waiting.discard(waiting)
            waits.dec()

    def _begin(self) -> None:
        self._woken.set()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())

    async def _look_on(self) -> None:
        """Look whenever there may be something, from the first who waits until the process ends."""
        listener = Listener(self._database, self._woken.set, _CHANNEL)
        try:
            while not self._stopping.is_set():
                try:
                    await listener.ensure()
                    self._woken.clear()
                    await self._look()
                except DATABASE_ERRORS as error:
                    log.warning("waiting callers not looked after", extra={"error": describe(error)})
                    await sleep_unless(self._stopping, _AWAY)
                await self._rest()
        finally:
            await listener.close()

    async def _rest(self) -> None:
        """Until something may have come, or it is time to look anyway; without end if nobody waits."""
        woken, ending = (asyncio.ensure_future(one.wait()) for one in (self._woken, self._stopping))
        within = _LOOK if self._waiting else None
        await asyncio.wait((woken, ending), timeout=within, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        ending.cancel()
        await asyncio.sleep(_COALESCE)

    async def _look(self) -> None:
        """Tell those for whom there is something. Raises one of DATABASE_ERRORS."""
        asked = list(self._waiting)
        if not asked:
            return
        rows = await self._database.fetch(_NEWEST, {"departments": sorted({one.department for one in asked})})
        self._answer(asked, rows)

    def _answer(self, asked: Sequence[_Waiting], rows: Sequence[asyncpg.Record]) -> None:
        for row in rows:
            come = [one for one in asked if one.department == row["department"]]
            for one in come:
                if (row["fresh"] or row["last"] > one.place) and not one.told.done():
                    one.told.set_result(row["last"])

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
