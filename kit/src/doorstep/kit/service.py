"""How a service runs: its HTTP edge, composed, and its processes."""

import asyncio
import gc
import importlib
import json
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from doorstep.kit import operators, problems
from doorstep.kit.door import BoundedProtocol, Door
from doorstep.kit.edge import (
    CaseDep,
    PrincipalDep,
    PurposeDep,
    Refusals,
    ServiceDep,
    SessionDep,
    Visibility,
    VisibilityMissing,
    WhyDep,
    attempts,
    service_of,
    visibility_of,
    visible_to,
)
from doorstep.kit.resources import DEVELOPMENT_PROFILE, Service, Settings, Task, add_relay, compose, log_activations
from doorstep.kit.telemetry import configure_logging, configure_tracing
from doorstep.kit.wakeups import Announcer

__all__ = [
    "DEVELOPMENT_PROFILE",
    "CaseDep",
    "Migrate",
    "PrincipalDep",
    "Program",
    "PurposeDep",
    "Service",
    "ServiceDep",
    "SessionDep",
    "Settings",
    "Task",
    "Visibility",
    "VisibilityMissing",
    "WhyDep",
    "add_relay",
    "attempts",
    "compose",
    "create_app",
    "main",
    "service_of",
    "visible_to",
]

log = logging.getLogger(__name__)

_NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,  # its spans hold whole addresses, with follow codes in them; `Door` makes ours
    "operation_spans": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
OPENAPI_VISIBILITY = "x-doorstep-visibility"
"""By this name an OpenAPI document says who sees what an operation answers."""
_WORK_ENDS = 15.0
_PUBLISHING_ENDS = 10.0


class EdgeFailed(Exception):
    """The HTTP edge does not start: HOST:PORT, and whether the address is taken or the application refuses."""


def create_app(service: Service, *routers: APIRouter, title: str, metrics: bool = True, **options: Any) -> FastAPI:
    """The HTTP edge of `service`: its routes, problems, limits, health and, where callers are our own, its metrics.

    Raises VisibilityMissing where an endpoint does not declare who sees its answers.
    """
    app = FastAPI(
        title=title,
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would name the address at which the service listens itself
        telemetry=_NO_TELEMETRY,
        **options,
    )
    app.state.service = service
    app.state.refusals = Refusals(service)
    problems.install(app)
    for router in (*routers, operators.router, _health(), *((_metrics(),) if metrics else ())):
        _show_visibility(router)
        app.include_router(router)
    app.add_middleware(Door, service=service.name)
    return app


def _show_visibility(router: APIRouter) -> None:
    """Write into the OpenAPI of each endpoint who sees its answers; what merely hands on has none of its own."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            shown = {OPENAPI_VISIBILITY: visibility_of(route.endpoint).value}
            route.openapi_extra = (route.openapi_extra or {}) | shown


def _health() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    @visible_to(Visibility.SYSTEM)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    @visible_to(Visibility.SYSTEM)
    async def readyz(request: Request) -> Response:
        ready = await service_of(request).database.reachable()
        return Response("ready" if ready else "database away", 200 if ready else 503, media_type="text/plain")

    return router


def _metrics() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    @visible_to(Visibility.SYSTEM)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


Migrate = Callable[..., Coroutine[Any, Any, None]]
"""Brings the database at an address to the newest version of some packages."""


@dataclass(frozen=True)
class Program:
    """What `python -m doorstep.<name>` runs: how the service is composed, its edge, its work, its migrations.

    `also` does what else there is to `migrate`, such as a store outside the service's own database.
    """

    name: str
    compose: Callable[[], Service]
    app: Callable[[Service], FastAPI]
    work: Callable[[Service], None]
    migrations: str
    also: Callable[[Service, Migrate], Coroutine[Any, Any, None]] | None = None


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
            migrations = importlib.import_module("doorstep.kit.migrations")  # here, to start a service without Alembic
            packages = ("doorstep.kit:migrations/service", program.migrations)
            runner.run(migrations.migrate(service.settings.database_url, *packages))
            if program.also is not None:
                runner.run(program.also(service, migrations.migrate))
            return 0
        try:
            return 0 if runner.run(serve(service, program, mode)) else 1
        except EdgeFailed as failure:
            log.critical("the edge does not start", extra={"address": str(failure)})
            return 1


async def serve(service: Service, program: Program, mode: str) -> bool:
    """Run edge and work until SIGTERM or SIGINT; then answer what was begun, publish what was written, and stop.

    Whether it ended because it was told to, and not because a task failed.
    """
    stopping = service.stopping
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    service.tasks.append(service.vault.forget_erased)
    if mode in ("worker", "all"):
        program.work(service)
        service.tasks.append(partial(log_activations, service))
    else:
        service.database.on_commit.append(Announcer(service.database).announce)
    failures: list[BaseException] = []
    async with _working(service, failures), _edge(service, program, mode):
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        log.info("ready", extra={"port": service.settings.port})
        await stopping.wait()
        log.info("draining")
    await service.close()
    return not failures


@asynccontextmanager
async def _edge(service: Service, program: Program, mode: str) -> AsyncIterator[None]:
    settings = service.settings
    app = program.app(service) if mode != "worker" else create_app(service, title=program.name)
    async with AsyncExitStack() as open_ports:
        if settings.metrics_port is not None:
            inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, telemetry=_NO_TELEMETRY)
            inner.include_router(_metrics())
            await open_ports.enter_async_context(_answering(inner, settings.host, settings.metrics_port))
        await open_ports.enter_async_context(_answering(app, settings.host, settings.port))
        yield


@asynccontextmanager
async def _answering(app: FastAPI, host: str, port: int) -> AsyncIterator[None]:
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http=BoundedProtocol,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # who calls from where is believed of nobody here; the front door has a setting
            timeout_graceful_shutdown=10,
        )
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve([_listening(host, port)]))  # noqa: SLF001
    while not server.started and not serving.done():  # noqa: ASYNC110 — uvicorn offers no event
        await asyncio.sleep(0.01)
    if serving.done():
        raise EdgeFailed(f"{host}:{port}: the application refuses")
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _listening(host: str, port: int) -> socket.socket:
    """Listen here and not in uvicorn, which ends the process at an address that is taken and does not say so."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as cause:
        raise EdgeFailed(f"{host}:{port}: {cause.strerror}") from cause


@asynccontextmanager
async def _working(service: Service, failures: list[BaseException]) -> AsyncIterator[None]:
    """Run the service's tasks; `failures` gets what ended one before it was told to."""
    written = asyncio.Event()

    def begin(task: Task) -> "asyncio.Task[None]":
        begun = asyncio.create_task(task(written if task in service.publishers else service.stopping))
        begun.add_done_callback(ended)
        return begun

    def ended(task: "asyncio.Task[None]") -> None:
        """A task that ends before it was told to takes the service with it, so that it is started anew."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.critical("a task ended", exc_info=error)
            failures.append(error)
            service.stopping.set()

    publishing = [begin(task) for task in service.publishers]
    working = [begin(task) for task in service.tasks if task not in service.publishers]
    try:
        yield
    finally:
        service.stopping.set()
        await _finish(working, _WORK_ENDS)
        written.set()
        await _finish(publishing, _PUBLISHING_ENDS)


async def _finish(tasks: Sequence["asyncio.Task[None]"], seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*tasks, return_exceptions=True)
