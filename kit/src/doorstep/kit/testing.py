"""What tests of the kit and of services are given: databases cloned from templates, keys, golden messages."""

import asyncio
import base64
import json
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc.jwk import OKPKey
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.postgres import PostgresContainer

from doorstep.contracts import topics
from doorstep.contracts.envelope import JOSE
from doorstep.contracts.wire import from_message
from doorstep.kit.consumer import Received
from doorstep.kit.db import Database
from doorstep.kit.delivery import open_with
from doorstep.kit.key_store import KeyStore
from doorstep.kit.keyset import Keyset, new_keyset
from doorstep.kit.migrations import migrate
from doorstep.kit.vault import KeyRing, Vault

KIT_TABLES = "doorstep.kit:migrations/service"
KEY_TABLES = "doorstep.kit:migrations/keys"
Url = Callable[[str], str]
NewKeyStore = Callable[[Database, Path], KeyStore]


class Databases:
    """Databases of a test cluster: each a clone, made in a tenth of a second, of a template with its migrations."""

    def __init__(self, url: Url, key_store: NewKeyStore | None = None) -> None:
        """`url` gives the address of a database of the cluster, with a role that may create databases.

        `key_store` makes a key store over a database of its own and a folder.
        """
        self._url = url
        self._key_store = key_store
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
        """A vault of its own, with a key store in this process and a keyset in `folder`."""
        if self._key_store is None:
            raise TypeError("it was not said how a key store is made")
        new_keyset(folder / "keyset.json")
        keys = Database(await self.new(KEY_TABLES), service="keystore", pool_size=2)
        return Vault(self._key_store(keys, folder), Keyset(folder / "keyset.json"))

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


async def arriving(missing: Callable[[], Awaitable[int]], *, within: float = 60.0) -> None:
    """Wait until nothing is `missing`; AssertionError if for `within` seconds not one less is."""
    fewest, ends = await missing(), time.monotonic() + within
    while fewest > 0:
        assert time.monotonic() < ends, f"{fewest} are missing, and none came within {within} s"  # noqa: S101
        await asyncio.sleep(0.05)
        found = await missing()
        if found < fewest:
            fewest, ends = found, time.monotonic() + within


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


EXAMPLES = Path(topics.__file__).parents[3] / "examples"


@dataclass(frozen=True)
class Golden:
    """A golden message of the contracts as it travels, and the plain content of its sealed parts by JSON pointer."""

    topic: str
    key: bytes
    headers: list[tuple[str, bytes]]
    value: bytes
    sealed: dict[str, dict[str, Any]]

    @property
    def received(self) -> Received:
        """What a consumer makes of it, a department after it decrypted the value. Raises MalformedEvent."""
        envelope, data = from_message(self.headers, self.key, self.value)
        if envelope.content_type == JOSE:
            data = open_with(golden_department_keys(), data)
        return Received(envelope, topics.EVENTS[envelope.type].model_validate_json(data), self.topic, self.value)


def golden(name: str) -> Golden:
    """The golden message called like its event, or with `.structured` behind it. Raises FileNotFoundError."""
    document = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    value = document["value"]
    text_value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    headers = [(header, content.encode()) for header, content in document["headers"].items()]
    key = document["key"].encode()
    return Golden(document["topic"], key, headers, text_value.encode(), document.get("sealed", {}))


def golden_ring() -> KeyRing:
    """The keys of the golden messages' subjects."""
    return KeyRing({subject: (version, AESGCM(key)) for subject, (version, key) in _golden_keys().items()})


def golden_department_keys() -> dict[str, OKPKey]:
    """The private keys of the golden feeds' departments by kid."""
    keys = json.loads((EXAMPLES / "keys.json").read_text(encoding="utf-8"))["departments"]
    return {jwk["kid"]: OKPKey.import_key(jwk) for jwk in keys.values()}


def hold_golden_keys(vault: Vault) -> None:
    """Let `vault` open what the golden messages seal."""
    for subject, (version, key) in _golden_keys().items():
        vault._cache[subject] = (math.inf, version, AESGCM(key))  # noqa: SLF001


def _golden_keys() -> dict[UUID, tuple[int, bytes]]:
    subjects = json.loads((EXAMPLES / "keys.json").read_text(encoding="utf-8"))["subjects"]
    return {UUID(one): (entry["version"], base64.b64decode(entry["key"])) for one, entry in subjects.items()}


def container_engine() -> bool:
    """Whether this machine seems to have a container engine."""
    return "DOCKER_HOST" in os.environ or Path("/var/run/docker.sock").exists()


@asynccontextmanager
async def kafka_container() -> AsyncIterator[str]:
    """An Apache Kafka in a container of its own, while the block lasts; yields HOST:PORT."""
    container = await asyncio.to_thread(lambda: KafkaContainer().with_kraft().start())
    try:
        yield container.get_bootstrap_server()
    finally:
        await asyncio.to_thread(container.stop)


@asynccontextmanager
async def postgres_container() -> AsyncIterator[Url]:
    """A PostgreSQL in a container of its own, while the block lasts; yields what gives the address of a database."""
    container = await asyncio.to_thread(lambda: PostgresContainer("postgres:17", driver="asyncpg").start())
    address = make_url(container.get_connection_url())
    try:
        yield lambda name: address.set(database=name).render_as_string(hide_password=False)
    finally:
        await asyncio.to_thread(container.stop)
