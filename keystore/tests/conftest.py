"""A key store over a database of its own, and what its tests see of it from inside."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest_asyncio

from doorstep.keystore.app import Store, local_store
from doorstep.kit.db import Database
from doorstep.kit.keyset import Suite
from doorstep.kit.testing import KEY_TABLES, Databases


@dataclass
class Stores:
    """Instances of one key store: a database and a file."""

    url: str
    folder: Path
    made: list[Store]

    def new(self, suite: Suite = Suite.INTERNATIONAL) -> Store:
        """One more instance."""
        store = local_store(Database(self.url, service="keystore", pool_size=3), self.folder, suite)
        self.made.append(store)
        return store

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """What a statement gives."""
        store = self.made[0] if self.made else self.new()
        return await store.table.database.fetch(query, values)

    async def age(self, days: int) -> None:
        """Let the epochs have begun so many days earlier."""
        await self.rows("UPDATE kek SET made_at = made_at - make_interval(days => :days)", days=days)

    async def under(self) -> set[str | None]:
        """What live keys are wrapped under."""
        return {row[0] for row in await self.rows("SELECT DISTINCT kek FROM data_key WHERE wrapped IS NOT NULL")}

    async def live(self) -> set[UUID]:
        """Who has a key."""
        return {row[0] for row in await self.rows("SELECT subject_id FROM data_key WHERE wrapped IS NOT NULL")}


@pytest_asyncio.fixture(loop_scope="session")
async def stores(databases: Databases, tmp_path: Path) -> AsyncIterator[Stores]:
    """A key store with no instance yet."""
    made = Stores(await databases.new(KEY_TABLES), tmp_path, [])
    yield made
    for store in made.made:
        await store.table.close()
