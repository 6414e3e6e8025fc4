"""What tests of the kit and of services are given: databases cloned from templates, keys, a composed service."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from doorstep.kit.db import Database, migrate
from doorstep.kit.vault import Keyset, Vault, new_keyset

KIT_TABLES = "doorstep.kit:migrations/service"
KEY_TABLES = "doorstep.kit:migrations/keys"
Url = Callable[[str], str]


class Databases:
    """Databases of a test cluster: each a clone, made in a tenth of a second, of a template with its migrations."""

    def __init__(self, url: Url) -> None:
        """`url` gives the address of a database of the cluster, with a role that may create databases."""
        self._url = url
        self._templates: dict[tuple[str, ...], str] = {}
        self._making = asyncio.Lock()
        self._made: list[str] = []

    async def new(self, *packages: str) -> str:
        """The address of a fresh database with the migrations of `packages`, those of the kit if none is named."""
        packages = packages or (KIT_TABLES,)
        async with self._making:
            if packages not in self._templates:
                template = f"template_{uuid4().hex[:12]}"
                await self._run(f"CREATE DATABASE {template}")
                await migrate(self._url(template), *packages)
                self._templates[packages] = template
            name = f"test_{uuid4().hex[:12]}"
            await self._run(f"CREATE DATABASE {name} TEMPLATE {self._templates[packages]} STRATEGY wal_log")
        self._made.append(name)
        return self._url(name)

    async def vault(self, folder: Path) -> Vault:
        """A vault of its own, with a keyset in `folder`."""
        new_keyset(folder / "keyset.json")
        keys = Database(await self.new(KEY_TABLES), service="keys", pool_size=2)
        return Vault(keys, Keyset(folder / "keyset.json"))

    async def drop(self) -> None:
        """Drop the databases that were made since the last time; templates stay."""
        made, self._made = self._made, []
        for name in made:
            await self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _run(self, statement: str) -> None:
        engine = create_async_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                await connection.execute(text(statement))
        finally:
            await engine.dispose()


async def eventually(check: Callable[[], Awaitable[bool]], *, within: float = 15.0) -> None:
    """Wait until `check` holds; AssertionError if it does not `within` seconds."""
    ends = time.monotonic() + within
    while not await check():
        assert time.monotonic() < ends, f"not within {within} s: {getattr(check, '__name__', check)}"  # noqa: S101
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(*works: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> AsyncIterator[asyncio.Event]:
    """Run `works`, like a relay's or a consumer's `run`, until the block ends; yields what stops them."""
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(work(stopping)) for work in works]
    try:
        yield stopping
    finally:
        stopping.set()
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks)
