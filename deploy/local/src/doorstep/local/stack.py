"""The whole stack on one machine: engines, issuer and services, composed, started and stopped."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from doorstep.contracts.topics import SERVICES
from doorstep.kit.keyset import Keyset, Suite, new_keyset
from doorstep.local.broker import FETCH_WAIT_MS, KAFKA_FETCH_WAIT_MS, Broker, EmbeddedBroker
from doorstep.local.environment import KEY_STORE, KEYS, LOG_ORIGIN, Engines, Layout, key_store_program, service_programs
from doorstep.local.external import ExternalKafka, ExternalPostgres
from doorstep.local.folder import RUNTIMES, DataFolder, disk_failure
from doorstep.local.guard import guarded
from doorstep.local.issuer import Issuer
from doorstep.local.log_key import new_log_key, new_sm2_key
from doorstep.local.migrations import migrate_all
from doorstep.local.ports import HOST, free_ports, front_door_port, is_free
from doorstep.local.postgres import EmbeddedPostgres, Postgres
from doorstep.local.processes import Supervisor

Report = Callable[[str, str], None]
"""Told (step, "starting" | "ready" | "stopping" | "stopped"); steps: postgres kafka migrations keystore services."""


@dataclass(frozen=True)
class StackOptions:
    """What kind of stack: without `data` it lives in a temporary folder that is removed at the end.

    `port` is the front door's (0: any; None: the one of the last time, or 8600, or any). `kafka` (HOST:PORT) and
    `postgres` (a URL) name engines that the caller runs, `kafka_secrets` a folder with the password of each user of
    that Kafka, if one signs in there, `witnesses` a file with those of the log. `environment` is added to every
    service's. `suite` is what a stack encrypts with, and signs its log (None: what its folder was made with,
    international if that is new). `instances` says how many processes of a service run. `durable=False` saves the
    database the trips to the disk, for tests.
    """

    data: Path | None = None
    port: int | None = None
    kafka: str | None = None
    kafka_secrets: Path | None = None
    postgres: str | None = None
    witnesses: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    instances: Mapping[str, int] = field(default_factory=dict)
    services: Sequence[str] = SERVICES
    durable: bool = True
    suite: Suite | None = None


@dataclass(frozen=True)
class Stack:
    """A running stack. Processes may be ended and started again by name; that is no failure of the stack."""

    folder: DataFolder
    postgres: Postgres
    broker: Broker
    issuer: Issuer
    layout: Layout
    supervisor: Supervisor
    keyset: Path
    keks: Path
    log_key: Path

    @property
    def front_door(self) -> str:
        """The address of the gateway, without a slash at the end."""
        return f"http://{HOST}:{self.layout.front_door}"

    @property
    def kafka(self) -> str:
        """HOST:PORT of the broker."""
        return self.broker.address

    @property
    def bells(self) -> Path | None:
        """The folder in which consumers are rung, if the broker needs it."""
        return self.broker.bells

    def database_url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a service's database, or of `keys`."""
        return self.postgres.url(database)

    @property
    def key_store(self) -> str:
        """The address of the key store, without a slash at the end."""
        return f"http://{HOST}:{self.layout.key_store}"

    def service_url(self, service: str, instance: int = 0) -> str:
        """Return the address at which an instance of a service listens itself."""
        return self.layout.url(service, instance)

    def metrics_url(self, service: str, instance: int = 0) -> str:
        """Return the address at which an instance of a service tells its metrics."""
        return self.layout.metrics_url(service, instance)

    def token(
        self, role: str, *, agency: str = "station", station: str | None = None, subject: str | None = None
    ) -> str:
        """Return a token for that role; raises UnknownClaim."""
        return self.issuer.token(role, agency=agency, station=station, subject=subject)

    def pid(self, process: str) -> int:
        """Return the process id of `registry`, `registry-2`, ..."""
        return self.supervisor.child(process).process.pid

    async def kill(self, process: str) -> None:
        """End a service's process as a crash would (kill -9)."""
        await self.supervisor.kill(process)

    async def drain(self, process: str) -> bool:
        """Ask a service's process to end (SIGTERM); tell whether it did so by itself in time."""
        return await self.supervisor.drain(process)

    async def restart(self, process: str) -> None:
        """Start a service's process again and wait until it is ready; raises ServiceFailed."""
        await self.supervisor.restart(process)


@asynccontextmanager
async def running_stack(
    options: StackOptions = StackOptions(),
    report: Report = lambda step, state: None,
) -> AsyncIterator[Stack]:
    """Start a stack, stop it at the end; raises StackFailed.

    If a process ends unasked, the task that entered is cancelled and StackFailed leaves the block.
    """
    async with AsyncExitStack() as closing:
        root = options.data if options.data is not None else _temporary_root(closing)
        folder = closing.enter_context(DataFolder(root))
        stack = await _start(folder, options, report, closing)
        async with guarded(stack.supervisor.failure):
            yield stack


async def _start(folder: DataFolder, options: StackOptions, report: Report, closing: AsyncExitStack) -> Stack:
    remembered = folder.remembered_ports()
    front_door = front_door_port(options.port, remembered.get("front_door"))
    issuer_port = remembered.get("issuer")
    if issuer_port is None or not is_free(issuer_port):
        issuer_port = free_ports(1)[0]
    layout = Layout.choose(options.services, options.instances, front_door)
    keyset, log_key = folder.keys / "keyset.json", folder.keys / "log.key"
    issuer = Issuer(folder.keys / "issuer.json", issuer_port)
    try:
        suite = _make_keys(folder, options.suite)
        issuer.clients.make(options.services)
        await issuer.start()
    except OSError as cause:
        raise disk_failure(folder.root, cause) from cause
    closing.push_async_callback(issuer.stop)

    postgres, broker = _engines(folder, options, closing)
    await _start_engines(postgres, broker, report, closing)
    report("migrations", "starting")
    await migrate_all(postgres, options.services)
    report("migrations", "ready")

    supervisor = Supervisor()
    for name, engine in (("PostgreSQL", postgres), ("Kafka broker", broker)):
        if isinstance(engine, EmbeddedPostgres | EmbeddedBroker):
            supervisor.watch_engine(name, lambda engine=engine: engine.child)  # type: ignore[misc]
    closing.push_async_callback(_stopping("services", supervisor.stop, report))
    engines = _shared(folder, options, suite, postgres, broker, issuer)
    programs = service_programs(engines, layout, options.environment)
    if options.services:
        programs.insert(0, key_store_program(engines, layout, {"DOORSTEP_SUITE": suite, **options.environment}))
    for program in programs:
        report(program.name, "starting")
    await supervisor.start(programs, lambda name: report(name, "ready"))
    stack = Stack(folder, postgres, broker, issuer, layout, supervisor, keyset, engines.keks, log_key)
    folder.remember(ports={"front_door": front_door, "issuer": issuer_port}, running=_addresses(stack))
    closing.callback(folder.remember, ports={"front_door": front_door, "issuer": issuer_port}, running={})
    return stack


def _make_keys(folder: DataFolder, asked: Suite | None) -> Suite:
    """Make those keys that are not there yet; gives the suite. Services tell of a keyset that is none."""
    new_keyset(folder.keys / "keyset.json", asked or Suite.INTERNATIONAL)
    new_log_key(folder.keys / "log.key", LOG_ORIGIN)
    try:
        suite = asked or Keyset(folder.keys / "keyset.json").suite
    except ValueError:
        return Suite.INTERNATIONAL
    if suite is Suite.NATIONAL:
        new_sm2_key(folder.keys / "log-sm2.key", LOG_ORIGIN)
    return suite


def _shared(
    folder: DataFolder, options: StackOptions, suite: Suite, postgres: Postgres, broker: Broker, issuer: Issuer
) -> Engines:
    return Engines(
        databases=_databases(postgres, options.services),
        kafka=broker.address,
        fetch_wait_ms=KAFKA_FETCH_WAIT_MS if broker.bells is None else FETCH_WAIT_MS,
        bells=broker.bells,
        issuer=issuer.url,
        key_set=issuer.key_set_url,
        token=issuer.service_token_url,
        keyset=folder.keys / "keyset.json",
        keks=folder.keys / "keks.json",
        clients=issuer.clients.folder,
        log_key=folder.keys / "log.key",
        log_sm2_key=folder.keys / "log-sm2.key" if suite is Suite.NATIONAL else None,
        logs=folder.logs,
        log_witnesses=options.witnesses,
        kafka_secrets=broker.secrets,
        notices=folder.notices,
    )


def _databases(postgres: Postgres, services: Sequence[str]) -> dict[str, str]:
    """The addresses at which services find their databases, each under its role."""
    return {name: postgres.url(name, postgres.log_role if name == "audit" else None) for name in (*services, KEYS)}


def _engines(folder: DataFolder, options: StackOptions, closing: AsyncExitStack) -> tuple[Postgres, Broker]:
    broker = (
        ExternalKafka(options.kafka, options.kafka_secrets) if options.kafka else EmbeddedBroker(folder.log("broker"))
    )
    if options.postgres:
        return ExternalPostgres(options.postgres), broker
    return EmbeddedPostgres(
        folder, _runtime(folder, closing), durable=options.durable, kept=options.data is not None
    ), broker


async def _start_engines(postgres: Postgres, broker: Broker, report: Report, closing: AsyncExitStack) -> None:
    async def start(name: str, engine: Postgres | Broker) -> None:
        closing.push_async_callback(_stopping(name, engine.stop, report))
        report(name, "starting")
        await engine.start()
        report(name, "ready")

    starts = [asyncio.create_task(start("postgres", postgres)), asyncio.create_task(start("kafka", broker))]
    try:
        await asyncio.gather(*starts)
    finally:
        for one in starts:
            one.cancel()
        await asyncio.gather(*starts, return_exceptions=True)


def _stopping(name: str, stop: Callable[[], Awaitable[None]], report: Report) -> Callable[[], Awaitable[None]]:
    async def reported_stop() -> None:
        report(name, "stopping")
        await stop()
        report(name, "stopped")

    return reported_stop


def _addresses(stack: Stack) -> dict[str, object]:
    return {
        "front_door": stack.front_door,
        "services": {service: stack.service_url(service) for service in stack.layout.ports},
        "metrics": {service: stack.metrics_url(service) for service in stack.layout.ports},
        "issuer": stack.issuer.url,
        KEY_STORE: stack.key_store,
        "kafka": stack.kafka,
        "databases": {name: stack.database_url(name) for name in (*stack.layout.ports, KEYS)},
        "keyset": str(stack.keyset),
    }


def _temporary_root(closing: AsyncExitStack) -> Path:
    root = Path(tempfile.mkdtemp(prefix="doorstep-data-"))
    closing.callback(shutil.rmtree, root, ignore_errors=True)
    return root


def _runtime(folder: DataFolder, closing: AsyncExitStack) -> Path:
    """Make a folder with a short name for the database's socket: its path may have 107 bytes at most."""
    note = folder.root / "runtime"
    left = note.read_text(encoding="utf-8") if note.is_file() else ""
    if left.startswith(f"{RUNTIMES}/doorstep-"):  # of a stack that was killed
        shutil.rmtree(left, ignore_errors=True)
    runtime = Path(tempfile.mkdtemp(prefix="doorstep-", dir=RUNTIMES))
    runtime.chmod(0o711)
    closing.callback(note.unlink, missing_ok=True)
    closing.callback(shutil.rmtree, runtime, ignore_errors=True)
    note.write_text(str(runtime), encoding="utf-8")
    return runtime
