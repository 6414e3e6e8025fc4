"""A log in a real database, filled and read without HTTP."""

import secrets
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

import pytest

from doorstep.audit import queries
from doorstep.audit.domain.entry import Entry
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.tiles import BUNDLE, encode_bundle, parse_path
from doorstep.audit.domain.verify import VerifiedLog, verify_log
from doorstep.audit.operations.sequencing import Sequencer, SequencerStep
from doorstep.audit.operations.submitting import Submission, submit
from doorstep.kit.db import Database

ORIGIN = "doorstep.example/log"


class StoredLog:
    """The log of one database."""

    key = SigningKey(ORIGIN, bytes(range(32)))
    origin = ORIGIN

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


@pytest.fixture
async def log(databases):
    """The empty log of a fresh database."""
    url = await databases.new("doorstep.kit:migrations/service", "doorstep.audit:migrations")
    database = Database(url, service="audit")
    yield StoredLog(database, url)
    await database.close()
