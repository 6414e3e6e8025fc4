"""Tells the relay in another process of a commit: after it, coalesced, never inside the transaction.

The channel carries no data. A lost notification costs the relay's next look at the outbox, a second, and no event.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
from sqlalchemy import text

from doorstep.kit.db import DATABASE_ERRORS, Database, DatabaseAway
from doorstep.kit.telemetry import describe

log = logging.getLogger(__name__)

CHANNEL = "doorstep_outbox"
_COALESCE = 0.01


class Announcer:
    """Notifies other processes that transactions of this one wrote to the outbox."""

    def __init__(self, database: Database) -> None:
        """Notify over `database`."""
        self._database = database
        self._announcing: asyncio.Task[None] | None = None
        self._again = False

    def announce(self, info: dict[Any, Any]) -> None:
        """Notify soon, if the transaction with this `info` wrote to the outbox; to be called after its commit."""
        if not info.get("outbox_written"):
            return
        self._again = True
        if self._announcing is None or self._announcing.done():
            self._announcing = asyncio.get_running_loop().create_task(self._announce())

    async def _announce(self) -> None:
        while self._again:
            await asyncio.sleep(_COALESCE)
            self._again = False
            try:
                async with self._database.engine.connect() as connection:
                    autocommitting = await connection.execution_options(isolation_level="AUTOCOMMIT")
                    await autocommitting.execute(text(f"NOTIFY {CHANNEL}"))
            except DATABASE_ERRORS as error:
                log.warning("not announced", extra={"error": describe(error)})

    async def close(self) -> None:
        """Finish what is being announced."""
        if self._announcing is not None:
            await self._announcing


class Listener:
    """Hears of commits in other processes, on a connection of its own."""

    def __init__(self, database: Database, heard: Callable[[], None]) -> None:
        """Call `heard` for each notification."""
        self._database = database
        self._heard = heard
        self._connection: asyncpg.Connection | None = None

    async def ensure(self) -> None:
        """Listen, again if the connection broke. Raises DatabaseAway."""
        if self._connection is not None and not self._connection.is_closed():
            return
        engine = self._database.engine
        _, options = engine.dialect.create_connect_args(engine.url)
        try:
            self._connection = await asyncpg.connect(**options)
            await self._connection.add_listener(CHANNEL, lambda *_: self._heard())
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise DatabaseAway from error

    async def close(self) -> None:
        """Hear no more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await connection.close(timeout=2)


async def sleep_unless(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep, but no longer than until `stopping` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
