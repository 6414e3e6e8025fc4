"""Who sequences and who matches, and when: of all instances the ones that hold the leases.

Entries are sequenced soon after something was submitted; manifests are matched, and the key store's journal is taken
over, every few seconds.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from prometheus_client import Gauge

from doorstep.audit.errors import LogContradicted, SequencedElsewhere
from doorstep.audit.operations.journaling import take_over
from doorstep.audit.operations.matching import Matcher
from doorstep.audit.operations.sequencing import Sequencer
from doorstep.audit.operations.submitting import SUBMITTED
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.leases import Lease
from doorstep.kit.telemetry import describe
from doorstep.kit.vault import Vault
from doorstep.kit.wakeups import sleep_unless

log = logging.getLogger(__name__)

CONTRADICTED = Gauge("doorstep_log_contradicted", "1 while the stored log is not the signed one: nothing is signed.")
_POLL = 0.5
_RETRY = 0.5
_CONTRADICTED_RETRY = 30.0
_MATCHING = 5.0
_JOURNAL = 5.0


class SequencerDuty:
    """Runs a sequencer while this instance holds the lease; entries that arrive within `window` seconds go together."""

    def __init__(self, database: Database, sequencer: Sequencer, *, window: float) -> None:
        """Do the duty of `sequencer` on `database`."""
        self._sequencer = sequencer
        self._window = window
        self._lease = Lease(database, "sequencer")
        self._lease_due = 0.0
        self._held = False
        self._woken = asyncio.Event()

    def wake(self, info: dict[Any, Any]) -> None:
        """Sequence soon, if the transaction with this `info` submitted something."""
        if info.get(SUBMITTED):
            self._woken.set()

    def on_duty(self) -> bool:
        """Whether this instance is the one that sequences."""
        return self._held

    async def run(self, stopping: asyncio.Event) -> None:
        """Sequence until `stopping` is set; what is stored by then gets its place first."""
        while not stopping.is_set():
            await self._wait(stopping, await self._turn(stopping))
        with suppress(*DATABASE_ERRORS, LogContradicted, SequencedElsewhere):
            async with asyncio.timeout(5):
                while self._held and await self._sequencer.turn():
                    pass
                await self._lease.give_back()

    async def _turn(self, stopping: asyncio.Event) -> float:
        """Do what is to be done now; gives the seconds until it is worth looking again, unless woken."""
        try:
            if not await self._holds():
                return self._lease.seconds / 2
            taken = await self._sequencer.turn()
        except SequencedElsewhere:
            return _RETRY
        except DATABASE_ERRORS as error:
            log.warning("sequencer interrupted", extra={"error": describe(error)})
            self._lease_due = 0.0
            return _RETRY
        except LogContradicted as error:
            CONTRADICTED.set(1)
            log.critical("the stored log is not the signed one; nothing is signed", extra={"detail": str(error)})
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _CONTRADICTED_RETRY)
            return _RETRY
        CONTRADICTED.set(0)
        return 0.0 if taken else _POLL

    async def _holds(self) -> bool:
        now = time.monotonic()
        if now >= self._lease_due:
            held = await self._lease.take()
            if held and not self._held:
                self._sequencer.forget()
            self._held = held
            self._lease_due = now + self._lease.seconds / 3
        return self._held

    async def _wait(self, stopping: asyncio.Event, seconds: float) -> None:
        """Wait until woken, `seconds` at most; then for the window, in which more may arrive."""
        if seconds:
            waiting = [asyncio.ensure_future(event.wait()) for event in (self._woken, stopping)]
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()
        if not stopping.is_set() and (self._woken.is_set() or not seconds):
            self._woken.clear()
            await asyncio.sleep(self._window)


class JournalDuty:
    """Takes over the key store's journal while this instance holds the lease."""

    def __init__(self, database: Database, vault: Vault) -> None:
        """Take it into the log in `database` by what `vault` has of the key store."""
        self._database = database
        self._vault = vault
        self._lease = Lease(database, "key-journal", seconds=3 * _JOURNAL)

    async def run(self, stopping: asyncio.Event) -> None:
        """Take over until `stopping` is set; a key store that is away is asked again."""
        while not stopping.is_set():
            try:
                while await self._lease.take() and await take_over(self._database, self._vault):
                    pass
            except DATABASE_ERRORS as error:
                log.warning("key store's journal not taken over", extra={"error": describe(error)})
            await sleep_unless(stopping, _JOURNAL)
        with suppress(*DATABASE_ERRORS):
            await self._lease.give_back()


class MatcherDuty:
    """Runs a matcher while this instance holds the lease."""

    def __init__(self, database: Database, matcher: Matcher) -> None:
        """Do the duty of `matcher` on `database`."""
        self._matcher = matcher
        self._lease = Lease(database, "matcher", seconds=3 * _MATCHING)

    async def run(self, stopping: asyncio.Event) -> None:
        """Match until `stopping` is set."""
        while not stopping.is_set():
            try:
                if await self._lease.take():
                    await self._matcher.turn()
                else:
                    self._matcher.rest()
            except DATABASE_ERRORS as error:
                log.warning("matcher interrupted", extra={"error": describe(error)})
            await sleep_unless(stopping, _MATCHING)
        self._matcher.rest()
        with suppress(*DATABASE_ERRORS):
            await self._lease.give_back()
