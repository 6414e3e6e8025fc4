"""The database of a service: its transactions, which alone commit."""

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine


class DatabaseAway(Exception):
    """No connection to the database could be made."""


DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""All that the driver raises of its own; InternalClientError if the server died while it was between two states."""

DATABASE_ERRORS = (DatabaseAway, DBAPIError, PoolTimeout, *DRIVER_ERRORS)
"""All that can come of a statement or a connection."""

BeforeCommit = Callable[[AsyncSession], Awaitable[None]]
_RETRY_STATES = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
# connection lost; read-only, as a standby is; out of disk, memory or connections; shutting down; a disk that fails
_AWAY_STATES = ("08", "25006", "53", "57P", "58")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_DIRECT_CONNECTIONS = 8


class Database:
    """The engine of one service's database.

    `transaction()` is the only place where anything commits: before it does, whatever was buffered in the session
    (events, audit intents) is written; after it did, `on_commit` functions are called with the session's `info`.
    """

    def __init__(self, url: str, *, service: str = "", pool_size: int = 10) -> None:
        """Connect to `url` (postgresql+asyncpg) on behalf of `service`, with at most `pool_size` connections."""
        self.service = service
        self.engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            pool_reset_on_return=None,
            hide_parameters=True,
            connect_args={"async_creator_fn": _connect},
        )
        self.on_commit: list[Callable[[dict[Any, Any]], None]] = []
        self._direct: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work commits whole when the block ends, and not at all if it raises."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            session.info["service"] = self.service
            async with session.begin():
                yield session
                await write_buffered(session)
        for announce in self.on_commit:
            announce(session.info)

    async def fetch(self, statement: str, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        """The rows of one `statement` (parameters like `:name`) that is a transaction of its own, by the driver.

        Costs a tenth of a session. Raises DatabaseAway, or an asyncpg error (for a value that cannot be sent as well).
        """
        sql, names = positional(statement)
        try:
            pool = self._direct or await self._open_direct()
            async with pool.acquire(timeout=5) as connection:
                try:
                    rows: list[asyncpg.Record] = await connection.fetch(sql, *(values[name] for name in names))
                except asyncpg.InternalClientError as error:
                    connection.terminate()  # nobody knows what it would answer next
                    raise DatabaseAway from error
                return rows
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError) as error:
            if isinstance(error, ValueError):  # the driver could not encode a value: no outage
                raise
            raise DatabaseAway from error
        except asyncpg.PostgresError as error:
            if _cannot_now(error):
                raise DatabaseAway from error
            raise

    async def _open_direct(self) -> asyncpg.Pool:
        async with self._opening:
            if self._direct is None:
                _, options = self.engine.dialect.create_connect_args(self.engine.url)
                pool = asyncpg.create_pool(**options, min_size=0, max_size=_DIRECT_CONNECTIONS, reset=_keep)
                self._direct = await pool
            return self._direct

    async def reachable(self) -> bool:
        """Whether a statement can be run now."""
        try:
            async with asyncio.timeout(3), self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (TimeoutError, *DATABASE_ERRORS):
            return False
        return True

    async def close(self) -> None:
        """Close all connections."""
        direct, self._direct = self._direct, None
        if direct is not None:
            await direct.close()
        await self.engine.dispose()


async def run(session: AsyncSession, statement: str, values: Mapping[str, Any]) -> list[asyncpg.Record]:
    """The rows of one `statement` (parameters like `:name`) in the transaction of `session`, by the driver itself.

    For hot paths: a sixth of the cost of `session.execute`. Its errors are those of `session.execute`.
    """
    adapter: Any = session.info.get("driver")
    if adapter is None:
        connection = await session.connection()
        adapter = (await connection.get_raw_connection()).dbapi_connection
        session.info["driver"] = adapter
    sql, names = positional(statement)
    try:
        if adapter._transaction is None:  # noqa: SLF001 — SQLAlchemy begins at its own first statement
            await adapter._start_transaction()  # noqa: SLF001
        rows: list[asyncpg.Record] = await adapter.driver_connection.fetch(sql, *(values[name] for name in names))
    except asyncpg.InternalClientError as error:
        await (await session.connection()).invalidate()
        raise DatabaseAway from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, adapter.dbapi.Error) as error:
        raise await _as_execute_would(session, adapter, error, sql) from error
    return rows


async def _as_execute_would(session: AsyncSession, adapter: Any, error: Exception, sql: str) -> BaseException:
    """The error that `session.execute` would have raised; a connection that broke is not used again."""
    try:
        adapter._handle_exception(error)  # noqa: SLF001 — translates, as it does for its own statements
    except Exception as translated:  # noqa: BLE001 — it always raises, and what it does not know stays as it is
        error = translated
    connection = await session.connection()
    broken: bool = adapter.driver_connection.is_closed()
    if broken:
        await connection.invalidate()
    if not isinstance(error, adapter.dbapi.Error):
        return error
    kind = adapter.dbapi.Error
    instance: BaseException = DBAPIError.instance(
        sql, (), error, kind, hide_parameters=True, connection_invalidated=broken, dialect=connection.dialect
    )
    return instance


@functools.cache
def positional(statement: str) -> tuple[str, tuple[str, ...]]:
    """`statement` with `$1`, `$2`, ... in place of its named parameters, and their names in that order."""
    names: dict[str, int] = {}
    sql = _PARAMETER.sub(lambda found: f"${names.setdefault(found[1], len(names) + 1)}", statement)
    return sql, tuple(names)


async def _keep(connection: asyncpg.Connection) -> None:
    """Leave a connection that goes back as it is: nothing here sets anything in a session."""


async def _connect(*arguments: Any, **options: Any) -> asyncpg.Connection:
    """A connection; every failure to make one is told apart from what a handler's own calls may raise."""
    try:
        return await asyncpg.connect(*arguments, **options)
    except (*DRIVER_ERRORS, OSError) as error:
        raise DatabaseAway from error


def before_commit(session: AsyncSession, write: BeforeCommit) -> None:
    """Have `write` called once before `session` commits; functions run in the order of their first registration."""
    registered: list[BeforeCommit] = session.info.setdefault("before_commit", [])
    if write not in registered:
        registered.append(write)


async def write_buffered(session: AsyncSession) -> None:
    """Write what operations buffered in the session, also what is buffered by the writing."""
    while pending := session.info.pop("before_commit", None):
        for write in pending:
            await write(session)


def sql_state(error: BaseException) -> str | None:
    """The SQLSTATE behind `error`, if the database gave one."""
    original = getattr(error, "orig", error)
    return getattr(original, "sqlstate", None) or getattr(getattr(original, "__cause__", None), "sqlstate", None)


def _cannot_now(error: BaseException) -> bool:
    return (sql_state(error) or "").startswith(_AWAY_STATES)


def is_conflict(error: BaseException) -> bool:
    """Whether the same transaction may succeed when run again: a serialization failure or a deadlock."""
    return isinstance(error, DBAPIError | asyncpg.PostgresError) and sql_state(error) in _RETRY_STATES


def is_away(error: BaseException) -> bool:
    """Whether a database could not be reached, or can do no work now, so that nothing was decided on the message."""
    if isinstance(error, DBAPIError):
        wrong_value = isinstance(getattr(error.orig, "__cause__", None), ValueError)  # asyncpg could not encode it
        broken = error.connection_invalidated or (isinstance(error, InterfaceError) and not wrong_value)
        return broken or _cannot_now(error)
    return isinstance(error, DatabaseAway | PoolTimeout | asyncpg.InternalClientError)
