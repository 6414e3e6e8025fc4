"""The two things under test, each on engines of its own: the product, and the plain peer."""

import base64
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from doorstep.contracts.codes import Department
from doorstep.contracts.topics import SERVICES, feed_topic
from doorstep.local.broker import EmbeddedBroker
from doorstep.local.children import Program
from doorstep.local.issuer import AUDIENCE
from doorstep.local.ports import HOST, free_ports
from doorstep.local.postgres import EmbeddedPostgres
from doorstep.local.stack import Stack, StackOptions, running_stack

Report = Callable[[str, str], None]
PEER_SERVICES = ("gateway", "intake", "registry", "risk", "referral")
PEER_TOPICS = ("peer.visits", "peer.facts", "peer.needs", "peer.tasks")
PRODUCT = "product"
ENGINES = ("postgres", "broker")
_OF_PRODUCT = "SELECT t.ref, r.record_id FROM request r JOIN task t USING (request_id)"
_OF_PEER = "SELECT ref, record_id FROM peer_request"


@dataclass(frozen=True)
class Site:
    """A running system: its front door, its broker, its processes by name, and who issues its tokens."""

    name: str
    front_door: str
    stack: Stack
    pids: Mapping[str, int]
    references: str

    @property
    def kafka(self) -> str:
        """HOST:PORT of the broker."""
        return self.stack.kafka

    @property
    def bells(self) -> Path | None:
        """The folder in which its producers ring consumers, if they do."""
        return self.stack.bells if self.name == PRODUCT else None

    @property
    def services(self) -> list[str]:
        """The names of the processes that are no engines."""
        return [name for name in self.pids if name not in ENGINES]

    def collector(self) -> str:
        """A token of somebody who writes records."""
        return self.stack.token("collector", station="station-1")

    def officer(self, department: Department) -> str:
        """A token of a department's system."""
        return self.stack.token("department-system", agency=department)

    async def records_of_refs(self) -> dict[str, str]:
        """Which record each department's reference came of: read from the table, for nobody outside may know."""
        connection = await asyncpg.connect(self.stack.database_url("referral").replace("+asyncpg", ""))
        try:
            return {str(ref): str(record) for ref, record in await connection.fetch(self.references) if ref}
        finally:
            await connection.close()


def _pids(stack: Stack, services: Mapping[str, str]) -> dict[str, int]:
    pids = {name: stack.pid(process) for name, process in services.items()}
    for name, engine in (("postgres", stack.postgres), ("broker", stack.broker)):
        if isinstance(engine, EmbeddedPostgres | EmbeddedBroker) and engine.child is not None:
            pids[name] = engine.child.process.pid
    return pids


@asynccontextmanager
async def product(report: Report = lambda step, state: None, *, data: Path | None = None) -> AsyncIterator[Site]:
    """The product as `doorstep up` runs it, in a folder that is removed at the end, or in one that is kept.

    It leaves no notices: these go out from 8:00 to 21:00 alone, and no figure is to depend on the hour.
    """
    options = StackOptions(port=0, data=data, environment={"DOORSTEP_NOTICES": ""})
    async with running_stack(options, report) as stack:
        pids = _pids(stack, {name: name for name in SERVICES})
        yield Site(PRODUCT, stack.front_door, stack, pids, _OF_PRODUCT)


@asynccontextmanager
async def peer(report: Report = lambda step, state: None) -> AsyncIterator[Site]:
    """The plain peer on the same engines, issuer and durability."""
    async with running_stack(StackOptions(port=0, services=()), report) as stack:
        await _make_topics(stack.kafka)
        ports = dict(zip(PEER_SERVICES, free_ports(len(PEER_SERVICES)), strict=True))
        await stack.supervisor.start(
            [_program(stack, name, ports) for name in PEER_SERVICES], lambda name: report(name, "ready")
        )
        pids = _pids(stack, {name: f"peer-{name}" for name in PEER_SERVICES})
        yield Site("peer", f"http://{HOST}:{ports['gateway']}", stack, pids, _OF_PEER)


def _program(stack: Stack, name: str, ports: Mapping[str, int]) -> Program:
    services = {service: f"http://{HOST}:{port}" for service, port in ports.items()}
    environment: dict[str, Any] = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("PEER_", "PG"))},
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "PEER_KAFKA": stack.kafka,
        "PEER_ISSUER": stack.issuer.url,
        "PEER_JWKS_URL": stack.issuer.key_set_url,
        "PEER_AUDIENCE": AUDIENCE,
        "PEER_COLUMN_KEY": _COLUMN_KEY,
        "PEER_PORT": str(ports[name]),
        "PEER_SERVICES": str(services).replace("'", '"'),
    }
    if name != "gateway":
        environment["PEER_DATABASE_URL"] = stack.database_url(name)
    command = [sys.executable, "-m", "bench.peer", name]
    return Program(f"peer-{name}", command, stack.folder.log(f"peer-{name}"), environment)


_COLUMN_KEY = base64.b64encode(secrets.token_bytes(32)).decode()


async def _make_topics(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, num_partitions=4, replication_factor=1) for name in PEER_TOPICS]
            + [NewTopic(feed_topic(one), num_partitions=1, replication_factor=1) for one in Department]
        )
    finally:
        await admin.close()
