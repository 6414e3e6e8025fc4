"""A log in a real database, filled and read without HTTP."""

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

import aiohttp
import pytest
import uvicorn

from doorstep.audit import queries
from doorstep.audit.app import new_app
from doorstep.audit.domain.entry import Entry
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.tiles import BUNDLE, encode_bundle, parse_path
from doorstep.audit.domain.verify import VerifiedLog, verify_log
from doorstep.audit.operations.sequencing import Sequencer, SequencerStep
from doorstep.audit.operations.submitting import Submission, submit
from doorstep.audit.settings import LogSettings
from doorstep.contracts.codes import Role
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.db import Database
from doorstep.kit.service import compose

ORIGIN = "doorstep.example/log"


class StoredLog:
    """The log of one database."""

    key = SigningKey(ORIGIN, bytes(range(32)))
    origin = ORIGIN

    EDIT = r"""
    UPDATE entry SET body =
        convert_to(regexp_replace(convert_from(body, 'UTF8'), '"hour":"[^"]*"', '"hour":"2020-01-01T00"'), 'UTF8')
    WHERE index = {}
    """
    REHASH = r"UPDATE entry SET leaf = sha256('\x00'::bytea || body) WHERE index = {}"

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.url = url

    def sequencer(self, *, batch: int = 100, watch: Callable[[SequencerStep], None] | None = None) -> Sequencer:
        return Sequencer(self.database, self.key, origin=self.origin, batch=batch, watch=watch)

    async def submit(self, count: int) -> list[UUID]:
        """Submit so many new entries in one transaction and return their ids."""
        entries = [Entry(uuid4(), "2026-11-21T10", (secrets.token_bytes(32),)) for _ in range(count)]
        await self.submit_these([Submission(entry.id, entry.encode()) for entry in entries])
        return [entry.id for entry in entries]

    async def submit_these(self, submissions: Sequence[Submission]) -> None:
        """Submit these in one transaction."""
        async with self.database.transaction() as session:
            for one in submissions:
                submit(session, one)

    async def drain(self, sequencer: Sequencer | None = None) -> None:
        """Let the sequencer work until nothing is pending."""
        sequencer = sequencer or self.sequencer()
        while await sequencer.turn():
            pass

    async def fetch(self, path: str) -> bytes | None:
        async with self.database.transaction() as session:
            if path == "checkpoint":
                newest = await queries.newest_checkpoint(session)
                return newest and newest[1]
            tile = parse_path(path)
            if tile.level != BUNDLE:
                return await queries.tile(session, tile)
            rows = await queries.rows(session, tile.start, tile.start + tile.width)
            return encode_bundle([body for _, body, _ in rows]) or None

    async def verify(self) -> VerifiedLog:
        return await verify_log(self.fetch, self.key.verifier)

    async def run(self, statement: str) -> None:
        """Run SQL as somebody at the database would."""
        async with self.database.engine.begin() as connection:
            await connection.exec_driver_sql(statement)

    async def tamper(self, *statements: str) -> None:
        """Do what somebody can who owns the database."""
        tables = ("entry", "tile", "checkpoint")
        switched = [f"ALTER TABLE {table} {{}} TRIGGER only_grows" for table in tables]
        for statement in (
            *(switch.format("DISABLE") for switch in switched),
            *statements,
            *(switch.format("ENABLE") for switch in switched),
        ):
            await self.run(statement)


@pytest.fixture
async def log(databases):
    """The empty log of a fresh database."""
    url = await databases.new("doorstep.kit:migrations/service", "doorstep.audit:migrations")
    database = Database(url, service="audit")
    yield StoredLog(database, url)
    await database.close()


@pytest.fixture
def service(log, vault, tmp_path):
    """The log's service over the database of `log`, with no broker to reach."""
    key_file = tmp_path / "log.key"
    key_file.write_text(log.key.encode() + "\n")
    settings = LogSettings(
        database_url=log.url,
        keys_database_url=log.url,
        kafka="127.0.0.1:1",
        keyset=tmp_path / "keyset.json",
        issuer="https://issuer.example",
        jwks_url="https://issuer.example/jwks",
        log_origin=log.origin,
        log_key=key_file,
    )
    service = compose("audit", settings)
    service.database, service.vault = log.database, vault
    return service


@pytest.fixture
async def url(service):
    """Where the log's HTTP edge answers."""
    server = uvicorn.Server(uvicorn.Config(new_app(service), port=0, log_config=None))
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/log"
    server.should_exit = True
    await serving
    listener.close()


class Tokens:
    """Takes the name of a role for its token."""

    async def verify(self, token: str) -> Principal:
        if token not in set(Role):
            raise NotAuthenticated("no such token")
        return Principal("somebody", Role(token), "station")


@pytest.fixture
async def ask(service, url):
    """Gives status and body of GET /api/log/manifests for a role."""
    service.authenticator = Tokens()
    async with aiohttp.ClientSession() as client:

        async def ask(role: str | None, query: str = ""):
            headers = {} if role is None else {"Authorization": f"Bearer {role}"}
            async with client.get(f"{url}/manifests{query}", headers=headers) as answer:
                return answer.status, await answer.json()

        yield ask
