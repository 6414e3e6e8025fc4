"""Tells the relay in another process of a commit, and consumers of messages where the broker itself does not.

A commit is told after it, coalesced, never inside the transaction; a message after the broker has it. What tells
carries no data. What is not heard costs the time until the next look, and no event.
"""

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from sqlalchemy import text

from doorstep.kit.db import DATABASE_ERRORS, DRIVER_ERRORS, Database, DatabaseAway
from doorstep.kit.telemetry import describe

log = logging.getLogger(__name__)

Messages = dict[TopicPartition, list[ConsumerRecord[Any, Any]]]
CHANNEL = "doorstep_outbox"
_COALESCE = 0.01
_SOONEST_LOOK, _LATEST_LOOK = 0.05, 2.0
_ANSWERS_WITHIN_MS = 15
_LOOK_MS = 10
_POLL_MS = 250
_SEPARATOR = "~"


class Announcer:
    """Notifies other processes that transactions of this one wrote to the outbox."""

    def __init__(self, database: Database, channel: str = CHANNEL, *, told_by: str = "outbox_written") -> None:
        """Notify over `channel` of `database` about transactions whose info says something under `told_by`."""
        self._database = database
        self._channel = channel
        self._told_by = told_by
        self._announcing: asyncio.Task[None] | None = None
        self._again = False

    def announce(self, info: dict[Any, Any]) -> None:
        """Notify soon, if the transaction with this `info` is to be told; to be called after its commit."""
        if not info.get(self._told_by):
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
                    await autocommitting.execute(text(f"NOTIFY {self._channel}"))
            except DATABASE_ERRORS as error:
                log.warning("not announced", extra={"error": describe(error)})

    async def close(self) -> None:
        """Finish what is being announced."""
        if self._announcing is not None:
            await self._announcing


class Listener:
    """Hears of commits in other processes, on a connection of its own."""

    def __init__(self, database: Database, heard: Callable[[], None], channel: str = CHANNEL) -> None:
        """Call `heard` for each notification over `channel`."""
        self._database = database
        self._channel = channel
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
            await self._connection.add_listener(self._channel, lambda *_: self._heard())
        except (*DRIVER_ERRORS, OSError) as error:
            raise DatabaseAway from error

    async def close(self) -> None:
        """Hear no more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*DRIVER_ERRORS, OSError):
                await connection.close(timeout=2)


async def sleep_unless(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep, but no longer than until `stopping` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


class NoBell:
    """Where the broker itself ends a fetch when messages come."""

    async def fetch(self, client: AIOKafkaConsumer, most: int) -> Messages:
        """At most so many messages that have come, or none after a moment."""
        fetched: Messages = await client.getmany(timeout_ms=_POLL_MS, max_records=most)
        return fetched

    def ring(self) -> None:
        """Nothing: the next fetch begins at once anyway."""

    def close(self) -> None:
        """Nothing was opened."""


class Bell(NoBell):
    """Has a consumer fetch when a producer rang, where the broker does not end a fetch when messages come.

    A socket of its own in a folder of the machine; in between the consumer is paused, so that nothing is fetched.
    """

    def __init__(self, folder: Path, group: str, *, rest: float, ending: asyncio.Event) -> None:
        """Be rung for `group` in `folder`, once when `ending` is set; fetches are at least `rest` seconds apart.

        The first fetch does not wait. Raises OSError.
        """
        self._path = folder / f"{group}{_SEPARATOR}{secrets.token_hex(4)}"
        self._rest = rest
        self._rung = asyncio.Event()
        self._rung.set()
        self._look = _SOONEST_LOOK
        self._not_before = 0.0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.bind(str(self._path))
        except OSError:
            self._socket.close()
            raise
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._hear)
        self._ending = asyncio.create_task(self._ring_at(ending))

    async def _ring_at(self, ending: asyncio.Event) -> None:
        await ending.wait()
        self.ring()

    def ring(self) -> None:
        """Have the next fetch begin at once."""
        self._rung.set()

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(1)
                self._rung.set()

    async def fetch(self, client: AIOKafkaConsumer, most: int) -> Messages:
        """At most so many messages that came when the bell rang, or when it was time to look anyway."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look):
                await self._rung.wait()
        await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
        rung = self._rung.is_set()
        self._rung.clear()
        client.resume(*client.assignment())
        fetched: Messages = await client.getmany(timeout_ms=_ANSWERS_WITHIN_MS if rung else _LOOK_MS, max_records=most)
        client.pause(*client.assignment())
        self._not_before = time.monotonic() + self._rest
        self._look = _SOONEST_LOOK if rung or fetched else min(2 * self._look, _LATEST_LOOK)
        if sum(map(len, fetched.values())) >= most:
            self._rung.set()
        return fetched

    def close(self) -> None:
        """Hear no more."""
        self._ending.cancel()
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)


class Ringer:
    """Rings the bells of a folder."""

    def __init__(self, folder: Path) -> None:
        """Ring those in `folder`."""
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def ring(self, groups: Iterable[str]) -> None:
        """Tell every consumer of `groups` that there are messages; one that does not hear looks by itself later."""
        wanted = set(groups)
        with suppress(OSError):
            for bell in self._folder.iterdir():
                if bell.name.partition(_SEPARATOR)[0] in wanted:
                    with suppress(OSError):  # nobody behind it any more, or rung so often that one more tells nothing
                        self._socket.sendto(b"\0", str(bell))

    def close(self) -> None:
        """Ring no more."""
        self._socket.close()
