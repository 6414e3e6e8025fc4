"""How a service runs: its settings, what it is composed of, its HTTP edge and its processes."""

import asyncio
import gc
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from doorstep.contracts.codes import Purpose
from doorstep.kit import problems
from doorstep.kit.auth import Authenticator, NotAuthenticated, Principal
from doorstep.kit.broker import Broker
from doorstep.kit.db import Database, migrate
from doorstep.kit.door import Door
from doorstep.kit.policy import Policy
from doorstep.kit.problems import Problem
from doorstep.kit.relay import Encode, Relay
from doorstep.kit.steps import Steps, die_at
from doorstep.kit.telemetry import configure_logging, configure_tracing
from doorstep.kit.vault import Keyset, Vault

log = logging.getLogger(__name__)

DEVELOPMENT_PROFILE = "embedded"


class Settings(BaseSettings):
    """What every service is told by its environment, as DOORSTEP_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="DOORSTEP_", extra="ignore")

    profile: str = "production"
    database_url: str
    keys_database_url: str
    kafka: str
    kafka_replication: int = 1
    kafka_fetch_wait_ms: int = 500
    keyset: Path
    issuer: str
    jwks_url: str
    issuer_profile: str = "production"
    audience: str = "doorstep"
    host: str = "127.0.0.1"
    port: int = 8080
    traces: Path | None = None
    trace_ratio: float = 0.05
    log_level: str = "info"
    kill_at: str | None = None


class EdgeFailed(Exception):
    """The HTTP edge does not start: its address is taken, or its application refuses; the log says which."""


Task = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


@dataclass
class Service:
    """One service's resources, made once at its start. `tasks` run beside the HTTP edge until the service stops."""

    name: str
    settings: Settings
    database: Database
    vault: Vault
    policy: Policy
    authenticator: Authenticator
    broker: Broker
    steps: Steps
    tasks: list[Task] = field(default_factory=list)
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def close(self) -> None:
        """Close connections."""
        for close in [*self.closers, self.broker.close, self.database.close]:
            await close()


def compose(name: str, settings: Settings) -> Service:
    """The resources of the service `name`; nothing is connected yet."""
    keys = Database(settings.keys_database_url, service="keys", pool_size=4)
    watcher = die_at(settings.kill_at) if settings.kill_at and settings.profile == DEVELOPMENT_PROFILE else None
    service = Service(
        name=name,
        settings=settings,
        database=Database(settings.database_url, service=name, pool_size=16),
        vault=Vault(keys, Keyset(settings.keyset)),
        policy=Policy(),
        authenticator=Authenticator(issuer=settings.issuer, jwks_url=settings.jwks_url, audience=settings.audience),
        broker=Broker(
            settings.kafka, replication=settings.kafka_replication, fetch_wait_ms=settings.kafka_fetch_wait_ms
        ),
        steps=Steps(watcher),
    )
    service.closers.append(keys.close)
    return service


def add_relay(service: Service, encode: Encode | None = None) -> Relay:
    """Have the service publish its outbox."""
    relay = Relay(service.database, service.broker, encode=encode, steps=service.steps)
    service.database.on_commit.append(relay.wake)
    service.tasks.append(relay.run)
    return relay


def create_app(service: Service, *routers: APIRouter, title: str, **options: Any) -> FastAPI:
    """The HTTP edge of `service`: its routes, problems, limits, health and metrics."""
    app = FastAPI(title=title, version="1", docs_url=None, redoc_url=None, **options)
    app.state.service = service
    problems.install(app)
    for router in routers:
        app.include_router(router)
    app.include_router(_health())
    app.add_middleware(Door, service=service.name)
    return app


def _health() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz(request: Request) -> Response:
        ready = await service_of(request).database.reachable()
        return Response("ready" if ready else "database away", 200 if ready else 503, media_type="text/plain")

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def service_of(request: Request) -> Service:
    """The service that answers `request`."""
    return cast("Service", request.app.state.service)


async def _service(request: Request) -> Service:
    return service_of(request)  # async, for FastAPI would run a plain function in a thread


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with service_of(request).database.transaction() as session:
        yield session


async def _principal(request: Request, authorization: Annotated[str, Header()] = "") -> Principal:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated("no token")
    return await service_of(request).authenticator.verify(token)


async def _purpose(doorstep_purpose: Annotated[str | None, Header()] = None) -> Purpose:
    known = "、".join(Purpose)
    if doorstep_purpose is None:
        zh, en = (
            f"读取个人信息须在 Doorstep-Purpose 头中写明用途：{known}。",
            f"Say why in the header Doorstep-Purpose: {known}.",
        )
        raise Problem(403, "purpose-missing", zh, en)
    try:
        return Purpose(doorstep_purpose)
    except ValueError:
        zh, en = f"Doorstep-Purpose 须为：{known}。", f"Doorstep-Purpose must be one of: {known}."
        raise Problem(403, "purpose-unknown", zh, en) from None


ServiceDep = Annotated[Service, Depends(_service)]
"""The service that answers."""

SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]
"""A transaction that is committed before the first byte of the answer leaves."""

PrincipalDep = Annotated[Principal, Depends(_principal)]
"""The authenticated caller."""

PurposeDep = Annotated[Purpose, Depends(_purpose)]
"""Why the caller reads personal data."""


@dataclass(frozen=True)
class Program:
    """What `python -m doorstep.<name>` runs: how the service is composed, its edge, its work, its migrations."""

    name: str
    compose: Callable[[], Service]
    app: Callable[[Service], FastAPI]
    work: Callable[[Service], None]
    migrations: str


def main(program: Program, arguments: Sequence[str]) -> int:
    """Run `program` as `api`, `worker`, `all`, `migrate` or `openapi`; gives the exit status."""
    mode = arguments[0] if arguments else "all"
    if mode not in ("api", "worker", "all", "migrate", "openapi"):
        log.error("unknown mode", extra={"mode": mode, "modes": "api, worker, all, migrate, openapi"})
        return 2
    service = program.compose()
    if mode == "openapi":
        sys.stdout.write(json.dumps(program.app(service).openapi(), ensure_ascii=False, indent=2) + "\n")
        return 0
    configure_logging(program.name, service.settings.log_level)
    configure_tracing(program.name, service.settings.trace_ratio, service.settings.traces)
    if service.settings.issuer_profile == DEVELOPMENT_PROFILE != service.settings.profile:
        log.error("the development issuer serves the embedded profile only")
        return 2
    with asyncio.Runner(loop_factory=uvicorn.Config("", loop="uvloop", log_config=None).get_loop_factory()) as runner:
        if mode == "migrate":
            runner.run(migrate_all(service, program.migrations))
        else:
            runner.run(serve(service, program, mode))
    return 0


async def migrate_all(service: Service, migrations: str) -> None:
    """Bring the service's database to the newest version of kit and service."""
    await migrate(service.settings.database_url, "doorstep.kit:migrations/service", migrations)


async def serve(service: Service, program: Program, mode: str) -> None:
    """Run edge and work until SIGTERM or SIGINT; then answer what was begun, publish what was written, and stop."""
    stopping = service.stopping
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    if mode in ("worker", "all"):
        program.work(service)
    async with _edge(service, program, mode), _working(service, stopping):
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        log.info("ready", extra={"port": service.settings.port})
        await stopping.wait()
        log.info("draining")
    await service.close()


@asynccontextmanager
async def _edge(service: Service, program: Program, mode: str) -> AsyncIterator[None]:
    app = program.app(service) if mode != "worker" else create_app(service, title=program.name)
    settings = service.settings
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http="httptools",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())  # noqa: SLF001
    while not server.started and not serving.done():  # noqa: ASYNC110 — uvicorn offers no event
        await asyncio.sleep(0.01)
    if serving.done():
        raise EdgeFailed(f"{settings.host}:{settings.port}")
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def _working(service: Service, stopping: asyncio.Event) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(task(stopping)) for task in service.tasks]
    for task in tasks:
        task.add_done_callback(lambda done: _ended(done, stopping))
    try:
        yield
    finally:
        stopping.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                await asyncio.gather(*tasks, return_exceptions=True)


def _ended(task: "asyncio.Task[None]", stopping: asyncio.Event) -> None:
    """A task that ends before it was told to takes the service with it, so that it is started anew."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("a task ended", exc_info=task.exception())
        stopping.set()
