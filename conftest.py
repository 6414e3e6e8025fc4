"""Engines for every test: one PostgreSQL a test process, a broker where a test asks for one."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import settings

from doorstep.kit.broker import Broker
from doorstep.kit.testing import Databases
from doorstep.kit.vault import Vault
from doorstep.local.broker import EmbeddedBroker
from doorstep.local.folder import DataFolder
from doorstep.local.postgres import ROLE, SUPERUSER, EmbeddedPostgres

# How long one example takes says more about the machine than about the code.
settings.register_profile("doorstep", deadline=None)
settings.load_profile("doorstep")


@pytest.fixture(scope="session")
def engine_folder() -> Iterator[Path]:
    """A folder that the database's user may enter, with a short path for its socket."""
    folder = Path(tempfile.mkdtemp(prefix="doorstep-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(engine_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A running PostgreSQL of this test process, quick and forgetful."""
    with DataFolder(engine_folder / "data") as folder:
        server = EmbeddedPostgres(folder, engine_folder, durable=False)
        await server.start()
        await _let_role_make_databases(server)
        yield server
        await server.stop()


async def _let_role_make_databases(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(host=str(server.sockets), user=SUPERUSER, database="postgres")
    await connection.execute(f"ALTER ROLE {ROLE} CREATEDB")
    await connection.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(postgres: EmbeddedPostgres) -> Databases:
    """Databases of the test PostgreSQL."""
    return Databases(postgres.url)


@pytest_asyncio.fixture(loop_scope="session")
async def databases(cluster: Databases) -> AsyncIterator[Databases]:
    """Fresh databases for one test, dropped after it."""
    yield cluster
    await cluster.drop()


@pytest_asyncio.fixture(loop_scope="session")
async def vault(databases: Databases, tmp_path: Path) -> Vault:
    """A vault with a key store of its own."""
    return await databases.vault(tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def embedded_broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    """An empty broker of one test's own."""
    server = EmbeddedBroker(tmp_path / "broker.log")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def broker(embedded_broker: EmbeddedBroker) -> AsyncIterator[Broker]:
    """A client of the empty broker."""
    client = Broker(embedded_broker.address, fetch_wait_ms=20, bells=embedded_broker.bells)
    yield client
    await client.close()
