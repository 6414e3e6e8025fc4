"""A flow to be broken: a producer and a consumer with a database each, around one broker."""

import asyncio
import importlib.util
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio
import uvicorn
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text

from doorstep.contracts.risk import NeedsAssessed
from doorstep.contracts.wire import to_headers
from doorstep.keystore.app import local_table
from doorstep.kit import outbox
from doorstep.kit.auth import Authenticator
from doorstep.kit.broker import Broker, partition_of
from doorstep.kit.consumer import Consumer
from doorstep.kit.db import Database
from doorstep.kit.policy import Policy
from doorstep.kit.relay import Relay, _envelope
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    Service,
    SessionDep,
    Visibility,
    WhyDep,
    create_app,
    visible_to,
)
from doorstep.kit.steps import Steps
from doorstep.kit.testing import Databases, eventually, running
from doorstep.local.broker import EmbeddedBroker
from doorstep.local.issuer import AUDIENCE, Issuer
from doorstep.local.ports import free_ports
from doorstep.local.postgres import EmbeddedPostgres


def _load_small_service() -> ModuleType:
    path = Path(__file__).with_name("small_service.py")
    spec = importlib.util.spec_from_file_location("doorstep_kit_small_service", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


small = _load_small_service()


class Flow:
    """Events of `small_service` from a producer's database to a consumer's effects."""

    def __init__(self, databases: Databases, broker: Broker) -> None:
        self.databases = databases
        self.broker = broker
        self.small = small
        self.written: dict[int, UUID] = {}
        self._opened: list[Database] = []

    async def open(self) -> None:
        """Make both databases."""
        self.producer = await self.database(small.PRODUCER)
        self.consumer = await self.database(small.CONSUMER)

    async def database(self, service: str, url: str | None = None) -> Database:
        """A database of `service`: the one at `url`, or a fresh one with the tables of both sides."""
        fresh = url is None
        opened = Database(url or await self.databases.new(), service=service)
        self._opened.append(opened)
        if fresh:
            async with opened.transaction() as session:
                for statement in small.TABLES:
                    await session.execute(text(statement))
        return opened

    async def close(self) -> None:
        """Close the databases."""
        for database in self._opened:
            await database.close()

    async def write(self, *keys: UUID, database: Database | None = None) -> list[int]:
        """Write one event for each of `keys` in one transaction; their serial numbers."""
        async with (database or self.producer).transaction() as session:
            serials = await small.write(session, *keys)
        self.written |= dict(zip(serials, keys, strict=True))
        return serials

    def relay(self, database: Database | None = None, **options: Any) -> Relay:
        """A relay of the producer."""
        relay = Relay(database or self.producer, self.broker, **{"lease_seconds": 1.0, **options})
        (database or self.producer).on_commit.append(relay.wake)
        return relay

    def taker(self, handler: Any = None, database: Database | None = None, **options: Any) -> Consumer:
        """A consumer, which notes effects unless it has another handler."""
        return Consumer(database or self.consumer, self.broker, {NeedsAssessed: handler or small.note}, **options)

    async def effects(self, database: Database | None = None) -> list[tuple[int, UUID, int]]:
        """Serial, key and number of each effect, in the order in which they were made."""
        return await self.rows("SELECT serial, key, number FROM effect ORDER BY place", database or self.consumer)

    async def rows(self, statement: str, database: Database, **values: Any) -> list[Any]:
        """The rows that `statement` gives."""
        async with database.transaction() as session:
            result = await session.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    async def arrived(self, count: int, *, within: float = 30.0, database: Database | None = None) -> None:
        """Wait until there are `count` effects."""

        async def enough() -> bool:
            return len(await self.effects(database)) >= count

        await eventually(enough, within=within)

    async def check_exactly_once(self, database: Database | None = None, *, without: tuple[int, ...] = ()) -> None:
        """Every event that was written had its effect once, those of a key in the order of their numbers."""
        effects = await self.effects(database)
        assert sorted(serial for serial, _, _ in effects) == sorted(set(self.written) - set(without))
        for key in set(self.written.values()):
            numbers = [number for _, one, number in effects if one == key]
            assert numbers == sorted(numbers)

    async def published(self, *, within: float = 30.0) -> None:
        """Wait until nothing is left in the producer's outbox."""

        async def empty() -> bool:
            found = await self.rows("SELECT count(*) FROM outbox WHERE published_at IS NULL", self.producer)
            return found == [(0,)]

        await eventually(empty, within=within)

    async def send(self, key: UUID, number: int, serial: int, **changes: Any) -> None:
        """Send a message past the outbox: `headers` and `value` may be given instead of what is right."""
        row = outbox._row(outbox.TOPIC_OF[NeedsAssessed], NeedsAssessed.event_type, key, None, outbox.JSON, b"")
        envelope = _envelope(_Row(row, number), changes.pop("epoch", 1), first=changes.pop("first", False))
        headers = changes.pop("headers", to_headers(envelope))
        value = changes.pop("value", small.assessed(key, serial).model_dump_json(exclude_none=True).encode())
        raw_key = changes.pop("raw_key", str(key).encode())
        await self.broker.ensure_topics(small.PRODUCER)
        producer = await self.broker.producer()
        try:
            count = len(await producer.partitions_for(small.TOPIC))
            place = partition_of(key, count)
            await producer.send_and_wait(small.TOPIC, value, key=raw_key, headers=headers, partition=place)
            self.broker.ring(small.TOPIC)
        finally:
            await producer.stop()


class _Row:
    """An outbox row with a number."""

    def __init__(self, row: outbox.OutboxRow, number: int) -> None:
        self._row = row
        self.number = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)


@pytest_asyncio.fixture(loop_scope="session")
async def flow(databases: Databases, embedded_broker: EmbeddedBroker) -> AsyncIterator[Flow]:
    """Two databases around an empty broker."""
    broker = Broker(embedded_broker.address, fetch_wait_ms=20, bells=embedded_broker.bells, session_ms=3000)
    made = Flow(databases, broker)
    await made.open()
    yield made
    await made.close()
    await broker.close()


@pytest_asyncio.fixture(loop_scope="session")
async def store(databases: Databases) -> AsyncIterator[Flow]:
    """The two databases of a flow, without a broker."""
    made = Flow(databases, Broker("127.0.0.1:1"))
    await made.open()
    yield made
    await made.close()


class Stage:
    """One running consumer that a module's tests share; what its handler does to the events of a key is theirs."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.behaviour: dict[UUID, Any] = {}
        self.calls: dict[int, int] = {}

    async def handle(self, session: Any, received: Any) -> None:
        """Note the effect, then do as the test says."""
        serial = received.event.record_id.int
        self.calls[serial] = self.calls.get(serial, 0) + 1
        await small.note(session, received)
        behave = self.behaviour.get(received.envelope.key)
        if behave is not None:
            await behave(session, received)

    async def effects(self, *keys: UUID) -> list[int]:
        """The numbers of the effects of `keys`, in the order in which they were made."""
        return [number for _, key, number in await self.flow.effects() if key in keys]

    async def has(self, key: UUID, *numbers: int, within: float = 30.0) -> None:
        """Wait until exactly these effects of `key` are there, in this order."""

        async def as_expected() -> bool:
            return await self.effects(key) == list(numbers)

        await eventually(as_expected, within=within)

    async def letters(self, key: UUID) -> list[Any]:
        """Id, number and error of the dead letters of `key`."""
        query = "SELECT id, number, error FROM dead_letter WHERE key = :key ORDER BY number"
        return await self.flow.rows(query, self.flow.consumer, key=str(key))

    async def died(self, key: UUID, *numbers: int, within: float = 30.0) -> None:
        """Wait until exactly these messages of `key` are dead letters."""

        async def as_expected() -> bool:
            return [number for _, number, _ in await self.letters(key)] == list(numbers)

        await eventually(as_expected, within=within)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A producer's relay and a consumer, running, for all tests of a module."""
    server = EmbeddedBroker(tmp_path_factory.mktemp("stage") / "broker.log")
    await server.start()
    databases = Databases(postgres.url, local_table)
    flow = Flow(databases, Broker(server.address, fetch_wait_ms=20, bells=server.bells))
    await flow.open()
    made = Stage(flow)
    made.relay, made.taker = flow.relay(), flow.taker(made.handle, max_attempts=3)
    letters = flow.relay(flow.consumer)
    async with running(made.relay.run, made.taker.run, letters.run):
        yield made
    await flow.close()
    await flow.broker.close()
    await databases.drop()
    await server.stop()


class Echo(BaseModel):
    """A body with a strict shape."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(max_length=20)]
    count: int = 0
    inner: dict[str, list[int]] = {}


def example_router() -> APIRouter:
    """A few endpoints as services have them."""
    router = APIRouter(prefix="/api/things")
    add_waiting(router)
    add_failing(router)

    @router.post("", status_code=201)
    @visible_to(Visibility.PUBLIC)
    async def echo(body: Echo, session: SessionDep) -> dict[str, int]:
        return {"length": len(body.name)}

    @router.post("/written", status_code=201)
    @visible_to(Visibility.PUBLIC)
    async def write(session: SessionDep) -> dict[str, list[int]]:
        return {"serials": await small.write(session, UUID(int=1))}

    @router.get("/own")
    @visible_to(Visibility.PUBLIC)
    async def own(principal: PrincipalDep, purpose: PurposeDep) -> dict[str, str]:
        return {"sub": principal.subject, "purpose": purpose}

    @router.get("/case")
    @visible_to(Visibility.STATION)
    async def case(why: WhyDep) -> dict[str, str]:
        return {"purpose": why.purpose, "case": str(why.case)}

    return router


def add_waiting(router: APIRouter) -> None:
    """Endpoints that take their time."""

    @router.get("/slow")
    @visible_to(Visibility.PUBLIC)
    async def slow() -> str:
        await asyncio.sleep(1)
        return "done"

    @router.get("/events")
    @visible_to(Visibility.PUBLIC)
    async def stream(request: Request) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            yield ": open\n\n"
            await request.app.state.service.stopping.wait()

        return StreamingResponse(lines(), media_type="text/event-stream")


def add_failing(router: APIRouter) -> None:
    """An endpoint that fails in several ways."""

    @router.get("/fail/{how}")
    @visible_to(Visibility.PUBLIC)
    async def fail(how: str, session: SessionDep) -> None:
        if how == "conflict":
            await session.execute(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$"))
        if how == "away":
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        raise ValueError("张三")


class Edge:
    """The HTTP edge of a small service, and an issuer of tokens for it."""

    def __init__(self, service: Service, issuer: Issuer, url: str, client: aiohttp.ClientSession) -> None:
        self.service = service
        self.issuer = issuer
        self.url = url
        self.client = client

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Status, JSON body and headers of the answer."""
        role = options.pop("role", None)
        headers = dict(options.pop("headers", {}))
        if role is not None:
            headers["Authorization"] = f"Bearer {self.issuer.token(role)}"
        async with self.client.request(method, f"{self.url}{path}", headers=headers, **options) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None, answer.headers


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def edge(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    """A small service that listens, for all tests of a module."""
    folder = tmp_path_factory.mktemp("edge")
    databases = Databases(postgres.url, local_table)
    issuer = Issuer(folder / "issuer.json", free_ports(1)[0])
    await issuer.start()
    flow = Flow(databases, Broker("127.0.0.1:1"))
    vault = await databases.vault(folder)
    service = Service(
        name=small.CONSUMER,
        settings=SimpleNamespace(profile="embedded"),
        database=await flow.database(small.CONSUMER),
        vault=vault,
        policy=Policy(),
        authenticator=Authenticator(
            issuer=issuer.url, jwks_url=issuer.key_set_url, audience=AUDIENCE, development=True
        ),
        broker=flow.broker,
        steps=Steps(),
    )
    app = create_app(service, example_router(), title="A small service")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    serving = asyncio.create_task(server._serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as client:
        yield Edge(service, issuer, f"http://127.0.0.1:{port}", client)
    service.stopping.set()
    server.should_exit = True
    await serving
    await issuer.stop()
    await flow.close()
    await vault.store.database.close()
    await databases.drop()


@pytest.fixture
def small_service() -> ModuleType:
    """The module `small_service`."""
    return small


@pytest.fixture
def restart(embedded_broker: EmbeddedBroker) -> Callable[[], Any]:
    """Empties the broker as a crash does: it starts again on its port with nothing in it."""

    async def emptied() -> None:
        await embedded_broker.kill()
        await embedded_broker.start()

    return emptied
