"""Engines for every test: one PostgreSQL a test process, a broker where a test asks for one."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiohttp.web import AppRunner
from hypothesis import settings

from doorstep.keystore.app import Store, answering, local_store, local_table
from doorstep.kit.auth import Authenticator
from doorstep.kit.broker import Broker
from doorstep.kit.db import Database
from doorstep.kit.key_store import RemoteKeys, ServiceToken
from doorstep.kit.testing import Databases
from doorstep.kit.vault import Vault
from doorstep.local.broker import EmbeddedBroker
from doorstep.local.clients import client_id
from doorstep.local.folder import DataFolder
from doorstep.local.issuer import AUDIENCE, Issuer
from doorstep.local.ports import HOST, free_ports
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
    return Databases(postgres.url, local_table)


@pytest_asyncio.fixture(loop_scope="session")
async def databases(cluster: Databases) -> AsyncIterator[Databases]:
    """Fresh databases for one test, dropped after it."""
    yield cluster
    await cluster.drop()


@pytest_asyncio.fixture(loop_scope="session")
async def vault(databases: Databases, tmp_path: Path) -> Vault:
    """A vault with a key store of its own."""
    return await databases.vault(tmp_path)


@dataclass(frozen=True)
class ServedKeys:
    """A key store that answers, with an issuer of its own."""

    store: Store
    issuer: Issuer
    url: str
    runner: AppRunner

    @property
    def environment(self) -> dict[str, str]:
        """What a service is told of it."""
        return {
            "KEY_STORE_URL": self.url,
            "TOKEN_URL": self.issuer.service_token_url,
            "CLIENT_ID": client_id(ACCOUNT),
            "CLIENT_SECRET": str(self.issuer.clients.folder / ACCOUNT),
        }

    def client(self) -> RemoteKeys:
        """What a service has of it."""
        token = self.environment["TOKEN_URL"]
        secret = Path(self.environment["CLIENT_SECRET"])
        return RemoteKeys(self.url, ServiceToken(url=token, client_id=client_id(ACCOUNT), secret=secret))


ACCOUNT = "audit"  # which may ask for all that services may
ServeKeys = Callable[[str], Awaitable[ServedKeys]]


@pytest_asyncio.fixture(loop_scope="session")
async def serve_keys(tmp_path: Path) -> AsyncIterator[ServeKeys]:
    """Serves a key store over a database, its key-encryption keys in the test's folder: `await serve_keys(url)`."""
    async with AsyncExitStack() as closing:

        async def serve(url: str) -> ServedKeys:
            issuer_port, port = free_ports(2)
            folder = tmp_path / "issuer"
            folder.mkdir()
            issuer = Issuer(folder / "issuer.json", issuer_port)
            issuer.clients.make([ACCOUNT])
            await issuer.start()
            closing.push_async_callback(issuer.stop)
            store = local_store(Database(url, service="keystore", pool_size=2), tmp_path)
            closing.push_async_callback(store.table.close)
            known = Authenticator(issuer=issuer.url, jwks_url=issuer.key_set_url, audience=AUDIENCE, development=True)
            runner = await answering(store, known, HOST, port)
            closing.push_async_callback(runner.cleanup)
            return ServedKeys(store, issuer, f"http://{HOST}:{port}", runner)

        yield serve


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
