"""Turns the epochs: each night, or when an operator asks, live keys are wrapped anew and the old wrapping key goes.

What is to be done is read from the database each time, so that whoever dies between two lines is followed by whoever
looks next.
"""

import asyncio
import logging
from math import ceil
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from doorstep.keystore.domain.night import due
from doorstep.keystore.epochs import Epoch, Epochs
from doorstep.keystore.journal import Journal
from doorstep.keystore.places import Place
from doorstep.keystore.table import KeyTable
from doorstep.kit.auth import Principal
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.leases import Lease
from doorstep.kit.steps import Step, Steps
from doorstep.kit.telemetry import describe
from doorstep.kit.wakeups import sleep_unless

log = logging.getLogger(__name__)

_NOW = "SELECT now()"
_LEASE = 60.0
_STEP = 1.0  # seconds that an operator may wait


class Turning:
    """The nightly work of one instance; of several, one does it."""

    def __init__(
        self, database: Database, table: KeyTable, epochs: Epochs, *, steps: Steps | None = None, look: float = 30.0
    ) -> None:
        """Look every `look` seconds whether there is something to do."""
        self._database = database
        self._table = table
        self._epochs = epochs
        self._steps = steps or Steps()
        self._look = look
        self._lease = Lease(database, "epochs", seconds=_LEASE)
        self._asked = asyncio.Event()

    async def ask(self, *, to: Place | None = None, by: Principal | None = None) -> str:
        """Begin an epoch now, whatever the hour, in the place `to`, and have the work done; gives its key's name."""
        newest = await self._epochs.all()
        name = await self._epochs.begin(newest[0].name if newest else None, to=to, by=by)
        self._asked.set()
        return name

    async def run(self, stopping: asyncio.Event) -> None:
        """Turn epochs until `stopping` is set."""
        while not stopping.is_set():
            self._asked.clear()
            try:
                await self.look(stopping)
            except DATABASE_ERRORS as error:
                log.warning("epoch not turned", extra={"error": describe(error)})
            for _ in range(ceil(self._look / _STEP)):
                if self._asked.is_set() or stopping.is_set():
                    break
                await sleep_unless(stopping, _STEP)

    async def look(self, stopping: asyncio.Event) -> None:
        """Do what is due now, unless another instance is at it."""
        self._epochs.look_again()
        await self._epochs.current()  # the first is made here
        epochs = await self._epochs.all()
        newest = epochs[0]
        if len(epochs) == 1 and not await self._is_due(newest) and not await self._epochs.leftover():
            return
        if not await self._lease.take():
            return
        try:
            await self._turn(newest, stopping)
        finally:
            await self._lease.give_back()

    async def _is_due(self, newest: Epoch) -> bool:
        [(now,)] = await self._database.fetch(_NOW, {})
        return bool(due(newest.made_at) <= now)

    async def _turn(self, newest: Epoch, stopping: asyncio.Event) -> None:
        name = await self._epochs.begin(newest.name) if await self._is_due(newest) else newest.name
        old = [one.name for one in await self._epochs.all() if one.name != name]
        last: UUID | None = None
        while old and (last := await self._table.rewrap(name, old, last)) is not None:
            self._steps.passed(Step.EPOCH_REWRAPPED)
            if stopping.is_set() or not await self._lease.take():
                return
        try:
            ended = await self._epochs.end(name)
        except DBAPIError as error:  # something was just wrapped under an old key: the next look sees to it
            log.info("epoch still in use", extra={"error": describe(error)})
            return
        await Journal(self._database).trim()
        log.info("epochs ended", extra={"ended": len(ended)})
