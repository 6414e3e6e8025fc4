"""HTTP/1.1 as a load generator needs it: kept connections, requests made beforehand as bytes, one request on each.

Invariants: a request is sent again only where the connection ended before any byte of an answer came, or the site
answered 503: every request that is sent here has an id by which the site knows it again.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

BUSY_WAITS = 0.05
"""Seconds until what was answered 503 is sent again."""

_TRIES = 40


class NoAnswer(ConnectionError):
    """The site ended the connection again and again, or was busy for seconds."""


class Answered(Exception):
    """The site answered with a problem: the status, and the beginning of what it said."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body[:300].decode(errors='replace')}")
        self.status = status


@dataclass
class Answer:
    """What was answered; header names are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def request(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a request; its host stands for none."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
    if body:
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join((*lines, "", "")).encode("ascii") + body


class _Connection(asyncio.Protocol):
    """One kept connection, on which one request at a time is answered."""

    def __init__(self) -> None:
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are no subclass

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        self._end()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self.usable = self.usable and self._parser.should_keep_alive()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            status = self._parser.get_status_code()
            waiting.set_result(Answer(status, self._headers, b"".join(self._parts)))
        self._headers, self._parts = {}, []

    def ask(self, sent: bytes) -> "asyncio.Future[Answer]":
        """Send a request; what comes raises ConnectionError where the connection ends before."""
        self._waiting = asyncio.get_running_loop().create_future()
        if self._transport is None or not self.usable:
            self._end()
            raise ConnectionError
        self._transport.write(sent)
        return self._waiting

    def close(self) -> None:
        """End the connection."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def _end(self) -> None:
        self.usable = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(ConnectionError("ended before the answer"))
        if self._transport is not None:
            self._transport.close()


class Wire:
    """Kept connections to one address, made as they are needed, `most` at the same time; who finds none free waits."""

    def __init__(self, address: str, *, most: int = 48) -> None:
        """Connect to the host and port of `address`; nothing is connected yet."""
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._gate = asyncio.Semaphore(most)
        self._free: deque[_Connection] = deque()
        self.busy = 0
        self.broken = 0

    async def ask(self, sent: bytes) -> Answer:
        """What is answered to a request that may be sent again. Raises Answered, NoAnswer."""
        for _ in range(_TRIES):
            try:
                answer = await self._once(sent)
            except ConnectionError:
                self.broken += 1
                continue
            if answer.status < 400:
                return answer
            if answer.status != 503:
                raise Answered(answer.status, answer.body)
            self.busy += 1
            await asyncio.sleep(BUSY_WAITS)
        raise NoAnswer(f"no answer after {_TRIES} times")

    async def _once(self, sent: bytes) -> Answer:
        async with self._gate:
            connection = await self._connection()
            try:
                answer = await connection.ask(sent)
            except BaseException:  # cancelled as well: an answer may still come, and is nobody else's
                connection.close()
                raise
            if connection.usable:
                self._free.append(connection)
            return answer

    async def _connection(self) -> _Connection:
        while self._free:
            connection = self._free.pop()  # the one that was used last: its caches are warm, and the others may end
            if connection.usable:
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return connection

    def close(self) -> None:
        """End all connections."""
        while self._free:
            self._free.pop().close()
