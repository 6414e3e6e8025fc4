"""The embedded PostgreSQL: a cluster in the data folder, reached by a socket alone, with one database a service."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import asyncpg

from doorstep.local.children import POLL, Child, Identity, Program, start
from doorstep.local.distribution import can_enter, database_identity, programs
from doorstep.local.failures import DiskFull, EngineFailed
from doorstep.local.folder import DataFolder, disk_failure

NAME = "PostgreSQL"
ROLE = "doorstep"
LOG_ROLE = "doorstep_log"
"""The role of the log's service, which can add to the log and not change it."""
SUPERUSER = "postgres"
DATABASES = ("intake", "registry", "risk", "referral", "audit", "gateway", "keys")
STARTS_WITHIN = 120.0  # seconds; after a crash the log is replayed first
STOPS_WITHIN = 30.0
_VERSION = "17"
_LINGERING = "pre-existing shared memory block"
_QUICK = ("fsync=off", "full_page_writes=off", "autovacuum=off")
_SETTINGS = ("listen_addresses=", "max_connections=300", "timezone=UTC", "log_timezone=UTC", "jit=off")


class Postgres(Protocol):
    """The database server of a stack, ours or the caller's.

    `log_role` is the role under which the log's service runs, None if it is the one that owns the tables.
    """

    log_role: str | None

    def url(self, database: str, role: str | None = None) -> str:
        """Return the SQLAlchemy URL (asyncpg) of a database, for the role that owns it if none is named."""
        ...

    async def start(self) -> None:
        """Have all databases ready; raises StackFailed."""
        ...

    async def stop(self) -> None:
        """Let go of it."""
        ...


class EmbeddedPostgres:
    """A cluster of our own.

    `durable=False` gives up every promise about a crash of the machine, for tests; `kept=False` says that the folder
    is thrown away at the end, so that nothing need be written out when it is made and when it is left.

    The server holds the folder's `postgres.lock` as an inherited handle: whoever has taken that lock knows that no
    server runs on these files, and may remove what a killed one left behind.
    """

    log_role: str | None = LOG_ROLE

    def __init__(self, folder: DataFolder, runtime: Path, *, durable: bool = True, kept: bool = True) -> None:
        self._folder = folder
        self._runtime = runtime
        self._durable = durable
        self._kept = kept
        self._identity: Identity | None = None
        self._programs = runtime
        self.sockets = runtime / "s"
        self.child: Child | None = None

    def url(self, database: str, role: str | None = None) -> str:
        """Return the SQLAlchemy URL (asyncpg) of a database, for the role that owns it if none is named."""
        return f"postgresql+asyncpg://{role or ROLE}@/{database}?host={quote(str(self.sockets))}"

    async def start(self) -> None:
        """Make the cluster on the first start, start the server, make the roles and the databases.

        Raises EngineFailed, DiskFull, FolderUnusable, NoUnprivilegedUser.
        """
        try:
            self._identity = database_identity()
            self._programs = await asyncio.to_thread(programs, self._identity, self._runtime)
            await asyncio.to_thread(self._prepare)
            child = self._launch()
            while not await self._ready(child):
                await asyncio.sleep(0.2)
                child = self._launch()
        except OSError as cause:
            raise disk_failure(self._folder.root, cause) from cause
        await self._create_databases()

    async def stop(self) -> None:
        """Stop the server: open transactions are rolled back, everything committed is on disk if it is to be kept."""
        if self.child is not None:
            await self.child.stop(signal.SIGINT if self._kept else signal.SIGQUIT, STOPS_WITHIN)

    async def kill(self) -> None:
        """End the server as a crash would; `start` recovers it."""
        if self.child is not None:
            await self.child.stop(signal.SIGKILL, STOPS_WITHIN)

    def _prepare(self) -> None:
        cluster = self._folder.postgres
        if not self.sockets.is_dir():
            self.sockets.mkdir(mode=0o700)
            self._give(self.sockets)
        for leftover in self.sockets.iterdir():
            leftover.unlink()
        if not cluster.is_dir():
            self._make_cluster()
        version = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != _VERSION:
            raise EngineFailed(NAME, f"{cluster}: PostgreSQL {version} != {_VERSION}", self._folder.log("postgres"))
        if self.child is None:  # whoever ran here before us is gone: we hold the lock they held
            (cluster / "postmaster.pid").unlink(missing_ok=True)

    def _make_cluster(self) -> None:
        fresh = self._folder.postgres.with_name("postgres.new")
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        handle = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY)
        command = [str(self._programs / "initdb"), "-D", self._path(fresh, handle), "-U", SUPERUSER]
        command += ["--locale=C.UTF-8", "--encoding=UTF8", "--auth=trust", "--no-instructions"]
        command += [] if self._durable and self._kept else ["--no-sync"]
        try:
            done = subprocess.run(  # noqa: S603 - the wheel's program, no shell
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_environment(),
                pass_fds=(handle,),
                user=self._identity.user if self._identity else None,
                group=self._identity.group if self._identity else None,
                extra_groups=[] if self._identity else None,
            )
        finally:
            os.close(handle)
        if done.returncode != 0:
            raise self._failure(done.stdout.decode(errors="replace"))
        fresh.rename(self._folder.postgres)

    def _launch(self) -> Child:
        handle = os.open(self._folder.postgres, os.O_RDONLY | os.O_DIRECTORY)
        command = [str(self._programs / "postgres"), "-D", self._path(self._folder.postgres, handle)]
        settings = (*_SETTINGS, f"unix_socket_directories={self.sockets}", *(() if self._durable else _QUICK))
        for setting in settings:
            command += ["-c", setting]
        try:
            self.child = start(
                Program(
                    name="postgres",
                    command=command,
                    log=self._folder.log("postgres"),
                    environment=_environment(),
                    identity=self._identity,
                    keep_open=(handle, self._folder.postgres_lock),
                    on_orphan=signal.SIGINT,
                )
            )
        finally:
            os.close(handle)
        return self.child

    async def _ready(self, child: Child) -> bool:
        """Wait until it takes connections; False when processes of a killed server still linger."""
        status = self._folder.postgres / "postmaster.pid"
        for _ in range(int(STARTS_WITHIN / POLL)):
            if not child.alive:
                if _LINGERING in child.output():
                    return False
                raise self._failure(child.output())
            try:
                lines = (await asyncio.to_thread(status.read_text, "utf-8")).splitlines()
            except FileNotFoundError:
                lines = []
            if len(lines) >= 8 and lines[0] == str(child.process.pid) and lines[7].strip() == "ready":
                return True
            await asyncio.sleep(POLL)
        raise self._failure(child.output())

    async def _create_databases(self) -> None:
        connection = await asyncpg.connect(
            host=str(self.sockets), port=5432, user=SUPERUSER, database="postgres", password=None
        )
        try:
            roles = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
            for role in (ROLE, LOG_ROLE):
                if role not in roles:
                    await connection.execute(f"CREATE ROLE {role} LOGIN")
            there = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
            for database in DATABASES:
                if database not in there:
                    await connection.execute(f"CREATE DATABASE {database} OWNER {ROLE}")
        except asyncpg.DiskFullError as cause:
            raise DiskFull(self._folder.root) from cause
        finally:
            await connection.close()

    def _give(self, folder: Path) -> None:
        if self._identity is not None:
            os.chown(folder, self._identity.user, self._identity.group)

    def _path(self, folder: Path, handle: int) -> str:
        """Return a path by which the database's user reaches the folder, even inside folders closed to it."""
        return str(folder) if can_enter(folder.parent, self._identity) else f"/proc/self/fd/{handle}"

    def _failure(self, output: str) -> EngineFailed | DiskFull:
        if "No space left on device" in output:
            return DiskFull(self._folder.root)
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        telling = [line for line in lines if "FATAL" in line or "error:" in line] or lines or ["—"]
        return EngineFailed(NAME, telling[-1][:300], self._folder.log("postgres"))


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
