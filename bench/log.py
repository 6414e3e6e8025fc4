"""The audit log alone: from submission to the signed checkpoint, proofs, searches, the check from the rows up, bytes.

Beside them the bare ceiling in the same run: rows by COPY, their tiles and a signed checkpoint in one commit.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import asyncpg
from sqlalchemy import text

from bench.loads import Tell
from bench.spread import percentiles
from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.criteria import Criteria, hour_of
from doorstep.audit.domain.edge import RightEdge
from doorstep.audit.domain.entry import Entry
from doorstep.audit.domain.keys import LogKeys
from doorstep.audit.domain.merkle import leaf_hash
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.operations.anchoring import Anchor
from doorstep.audit.operations.checking import check_log
from doorstep.audit.operations.duty import SequencerDuty
from doorstep.audit.operations.opening import Place
from doorstep.audit.operations.proving import receipt
from doorstep.audit.operations.searching import search
from doorstep.audit.operations.sequencing import Sequencer
from doorstep.audit.operations.submitting import Submission, submit, submit_own
from doorstep.audit.queries import Trusted
from doorstep.contracts.codes import Action, Purpose
from doorstep.keystore.app import local_table
from doorstep.kit.db import Database
from doorstep.kit.intents import COMMITMENTS, Intent
from doorstep.kit.keyset import Keyset
from doorstep.kit.migrations import migrate
from doorstep.kit.vault import Vault
from doorstep.local.stack import StackOptions, running_stack

ORIGIN = "bench.example/log"
TICK = 0.01  # seconds; what is submitted within it goes in one transaction, as a consumer's batch does
WINDOW = 0.05
BATCH = 256
_PORTION = 100_000
_DETAILS = 20_000
_SUBJECTS = 1000
NOBODY = Trusted()
_FILL = """
    INSERT INTO pending (entry_id, body) SELECT id, convert_to(format(
        '{"commitments":["%1$s","%1$s","%1$s","%1$s"],"hour":"2026-11-21T10","id":"%2$s"}',
        encode(sha256(id::text::bytea), 'hex'), id
    ), 'UTF8') FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1)) AS made
"""
_BARE = (
    "CREATE TABLE bare (index bigint PRIMARY KEY, entry_id uuid NOT NULL UNIQUE, body bytea NOT NULL, leaf bytea)",
    "CREATE TABLE bare_tile (level smallint, index bigint, hashes bytea, PRIMARY KEY (level, index))",
    "CREATE TABLE bare_checkpoint (size bigint PRIMARY KEY, note bytea NOT NULL)",
)


@dataclass
class Log:
    """An empty log on an engine of its own."""

    database: Database
    anchor: Anchor
    keys: LogKeys
    vault: Vault
    address: str

    def sequencer(self) -> Sequencer:
        """A sequencer of it."""
        return Sequencer(self.database, self.keys, self.anchor)


@asynccontextmanager
async def _log() -> AsyncIterator[Log]:
    async with running_stack(StackOptions(port=0, services=())) as stack:
        url = stack.database_url("audit")
        await migrate(url, "doorstep.kit:migrations/service", "doorstep.audit:migrations")
        database = Database(url, service="audit")
        second = Database(stack.database_url("keys"), service="audit", pool_size=2)
        keys = LogKeys((SigningKey.generate(ORIGIN),))
        vault = Vault(local_table(second, stack.keks.parent), Keyset(stack.keyset))
        yield Log(database, Anchor(second, origin=ORIGIN), keys, vault, url.replace("+asyncpg", ""))
        await database.close()
        await second.close()


async def log_figures(seconds: float, entries: int, tell: Tell) -> dict[str, Any]:
    """Figures of an empty log under load for so many seconds, then of one with so many entries more."""
    found: dict[str, Any] = {"entries": entries}
    async with _log() as log:
        tell("log: bare COPY, tiles and signature", 0.0)
        found["ceiling_entries_per_second"] = await _bare(log, seconds)
        for rate, part in ((1000, 0.2), (5000, 0.4)):
            tell(f"log: {rate} entries/s to the signed checkpoint", part)
            found[f"signed_at_{rate}"] = await _signed(log, rate, seconds)
        tell(f"log: {entries:,} entries", 0.6)
        found |= await _filled(log, entries)
        tell("log: proofs", 0.8)
        found["receipts_per_second"] = await _receipts(log, seconds)
        tell("log: details gone through", 0.85)
        found["details_searched_per_second"] = await _searched(log, seconds, min(entries, _DETAILS))
        tell("log: fsck", 0.9)
        found["checked_per_second"] = await _checked(log)
    return found


async def _bare(log: Log, seconds: float) -> float:
    """Entries a second that go in by COPY, with their tiles of level 0 and a signed checkpoint, one commit a batch."""
    connection = await asyncpg.connect(log.address)
    for statement in _BARE:
        await connection.execute(statement)
    edge, began = RightEdge(), time.monotonic()
    while time.monotonic() < began + seconds:
        made = [_entry() for _ in range(BATCH)]
        leaves = [leaf_hash(one.body) for one in made]
        rows = [
            (edge.size + at, one.entry_id, one.body, leaf)
            for at, (one, leaf) in enumerate(zip(made, leaves, strict=True))
        ]
        async with connection.transaction():
            await connection.copy_records_to_table("bare", records=rows)
            tiles = [(tile.level, tile.index, b"".join(tile.hashes)) for tile in edge.append(leaves)]
            await connection.copy_records_to_table("bare_tile", records=tiles)
            note = Checkpoint(ORIGIN, edge.size, edge.root()).sign(*log.keys.signing)
            await connection.execute("INSERT INTO bare_checkpoint VALUES ($1, $2)", edge.size, note)
    rate = edge.size / (time.monotonic() - began)
    await connection.close()
    return rate


class _Timed:
    """A sequencer that notes how long after its due time each entry was under a stored checkpoint."""

    def __init__(self, inner: Sequencer, began: float, rate: int) -> None:
        self._inner = inner
        self.began = began
        self._rate = rate
        self.spans: list[float] = []

    async def turn(self) -> int:
        taken = await self._inner.turn()
        since = (time.monotonic() - self.began) * 1000
        first = len(self.spans)
        self.spans += [since - number * 1000 / self._rate for number in range(first, first + taken)]
        return taken

    def forget(self) -> None:
        self._inner.forget()


async def _signed(log: Log, rate: int, seconds: float) -> dict[str, float]:
    """Milliseconds from the time at which an entry is due to the stored checkpoint over it, at `rate` a second."""
    await log.sequencer().turn()
    timed = _Timed(log.sequencer(), time.monotonic(), rate)
    duty = SequencerDuty(log.database, cast("Sequencer", timed), window=WINDOW)
    log.database.on_commit.append(duty.wake)
    stopping = asyncio.Event()
    working = asyncio.create_task(duty.run(stopping))
    await asyncio.sleep(0.2)
    sent, began = 0, time.monotonic()
    timed.began = began
    while (elapsed := time.monotonic() - began) < seconds:
        due = int(elapsed * rate) - sent
        if due:
            async with log.database.transaction() as session:
                for _ in range(due):
                    submit(session, _entry())
            sent += due
        await asyncio.sleep(TICK)
    stopping.set()
    await working
    log.database.on_commit.remove(duty.wake)
    return {"achieved_rate": sent / seconds, **percentiles(sorted(timed.spans))}


async def _filled(log: Log, entries: int) -> dict[str, float]:
    """How fast entries that wait get their place, by batches as large as the product takes, and what they weigh."""
    before = await _bytes(log)
    connection = await asyncpg.connect(log.address)
    for start in range(0, entries, _PORTION):
        await connection.execute(_FILL, min(_PORTION, entries - start))
    sequencer, began = log.sequencer(), time.monotonic()
    while await sequencer.turn():
        pass
    rate = entries / (time.monotonic() - began)
    await connection.execute("VACUUM FULL pending")
    await connection.close()
    return {"sequenced_per_second": rate, "bytes_per_entry": (await _bytes(log) - before) / entries}


async def _bytes(log: Log) -> int:
    async with log.database.transaction() as session:
        sizes = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN ('entry', 'tile', 'checkpoint')"
        return int((await session.execute(text(sizes))).scalar_one())


async def _receipts(log: Log, seconds: float) -> float:
    """Receipts a second, one by one: proof, entry and checkpoint, each read from the tiles in the database."""
    async with log.database.transaction() as session:
        chosen = (await session.execute(text("SELECT entry_id FROM entry TABLESAMPLE SYSTEM (1) LIMIT 5000"))).scalars()
        ids = list(chosen) or list((await session.execute(text("SELECT entry_id FROM entry LIMIT 500"))).scalars())
    done, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        async with log.database.transaction() as session:
            await receipt(session, entry_id=ids[done % len(ids)], trusted=NOBODY)
        done += 1
    return done / (time.monotonic() - began)


async def _searched(log: Log, seconds: float, details: int) -> float:
    """Details a second that a search goes through, each opened under its subject's key; it finds none."""
    subjects = [uuid4() for _ in range(_SUBJECTS)]
    ring = await log.vault.ring(subjects, create=True)
    for start in range(0, details, BATCH):
        async with log.database.transaction() as session:
            for at in range(start, min(start + BATCH, details)):
                intent = Intent(Action.READ_FILE, [subjects[at % _SUBJECTS]], Purpose.TRIAGE, case=uuid4())
                submit_own(session, ring, intent, vault=log.vault)
    sequencer = log.sequencer()
    while await sequencer.turn():
        pass
    now = datetime.now(UTC)
    criteria = Criteria(now - timedelta(days=1), now, action=Action.RATE_REQUEST)
    done, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        async with log.database.transaction() as session:
            after = Place.before(hour_of(criteria.since))
            done += (await search(session, log.vault, criteria=criteria, after=after, limit=1)).gone_through
    return done / (time.monotonic() - began)


async def _checked(log: Log) -> float:
    """Entries a second that fsck checks; raises RuntimeError if it finds anything."""
    began = time.monotonic()
    report = await check_log(log.database, log.keys.verifiers, anchor=log.anchor)
    if report.findings:
        raise RuntimeError(f"the log of the benchmark is not sound: {report.findings[:3]}")
    return report.size / (time.monotonic() - began)


def _entry() -> Submission:
    entry = Entry(uuid4(), "2026-11-21T10", tuple(secrets.token_bytes(32) for _ in range(COMMITMENTS)))
    return Submission(entry.id, entry.encode())
