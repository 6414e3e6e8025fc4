"""Engines that the caller runs: a PostgreSQL server and a Kafka cluster, reached by their addresses."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import asyncpg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from doorstep.contracts.topics import SERVICES
from doorstep.local.broker import answers, security
from doorstep.local.failures import ExternalUnreachable
from doorstep.local.postgres import DATABASES

_TIMEOUT = 10.0  # seconds


class ExternalPostgres:
    """A server named by a URL whose role may create databases; the databases are made where they are missing."""

    log_role: str | None = None  # we do not make roles on a server that is not ours

    def __init__(self, address: str) -> None:
        try:
            given = make_url(address)
        except ArgumentError as cause:
            raise ExternalUnreachable("PostgreSQL", address, "postgresql://USER:PASSWORD@HOST:PORT/postgres") from cause
        if given.get_backend_name() != "postgresql":
            raise ExternalUnreachable("PostgreSQL", _shown(given), "postgresql://USER:PASSWORD@HOST:PORT/postgres")
        self._given = given.set(drivername="postgresql+asyncpg")

    def url(self, database: str, role: str | None = None) -> str:
        """Return the SQLAlchemy URL (asyncpg) of a database; its role is the one of the given address."""
        return self._given.set(database=database).render_as_string(hide_password=False)

    async def start(self) -> None:
        """Make the databases that are missing; raises ExternalUnreachable."""
        plain = self._given.set(drivername="postgresql", database=self._given.database or "postgres")
        try:
            connection = await asyncpg.connect(plain.render_as_string(hide_password=False), timeout=_TIMEOUT)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as cause:
            raise ExternalUnreachable("PostgreSQL", _shown(plain), str(cause) or type(cause).__name__) from cause
        try:
            there = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
            for database in DATABASES:
                if database not in there:
                    await connection.execute(f"CREATE DATABASE {database}")
        except asyncpg.PostgresError as cause:
            raise ExternalUnreachable("PostgreSQL", _shown(plain), str(cause)) from cause
        finally:
            await connection.close()

    async def stop(self) -> None:
        """Leave it as it is."""


class ExternalKafka:
    """A cluster named by HOST:PORT, several separated by commas.

    With `secrets`, a folder with each user's password in a file of their name, everybody signs in as themselves.
    """

    bells: Path | None = None  # Apache Kafka ends a fetch when messages come

    def __init__(self, address: str, secrets: Path | None = None) -> None:
        self.address = address
        self.secrets = secrets
        if not all(_is_host_and_port(part) for part in address.split(",")):
            raise ExternalUnreachable("Kafka", address, "HOST:PORT")

    async def start(self) -> None:
        """See that it answers, to every service if they sign in; raises ExternalUnreachable."""
        for user in SERVICES if self.secrets is not None else SERVICES[:1]:
            try:
                signed_in = security(self.address, self.secrets, user)
                found = await asyncio.wait_for(answers(self.address, **signed_in), _TIMEOUT)
            except OSError as cause:
                if isinstance(cause, TimeoutError):
                    found = False
                else:
                    raise ExternalUnreachable("Kafka", self.address, f"{user}: {cause.strerror}") from cause
            if not found:
                who = "" if self.secrets is None else f" to {user}"
                raise ExternalUnreachable("Kafka", self.address, f"no answer{who} in {_TIMEOUT:.0f} s")

    async def stop(self) -> None:
        """Leave it as it is."""


def _is_host_and_port(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def _shown(address: URL) -> str:
    shown: Mapping[str, str | int | None] = {"host": address.host, "port": address.port or 5432}
    return f"{shown['host']}:{shown['port']}"
