"""Many deadlines at once: how long announcing takes, and what it costs whoever takes needs in meanwhile.

    python -m bench.deadlines --count 20000

Real requests are opened in a database of its own, all past 100% of their response, and announced in the worker's
batches by one process, while another task opens a request ten times a second; the same is done before with nothing due.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from bench.spread import percentiles
from doorstep.contracts.codes import Urgency
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.intake import Card, StatedFacts
from doorstep.contracts.needs import Need
from doorstep.contracts.risk import AssessedNeed
from doorstep.keystore.app import local_table
from doorstep.kit.db import Database
from doorstep.kit.keyset import Keyset, new_keyset
from doorstep.kit.migrations import migrate
from doorstep.kit.vault import Vault
from doorstep.local.environment import KEYS
from doorstep.local.folder import DataFolder
from doorstep.local.postgres import EmbeddedPostgres
from doorstep.referral.operations.announcing import BATCH, Announcing
from doorstep.referral.operations.opening import Origin, open_requests

KIT, REFERRAL = "doorstep.kit:migrations/service", "doorstep.referral:migrations"
KEY_TABLES = "doorstep.kit:migrations/keys"
_AT_ONCE = 100
_EVERY = 0.1
_ALONE = 100


async def deadline_figures(folder: Path, count: int) -> dict[str, Any]:
    """Seconds for all of `count`, the longest batch, and milliseconds of an opening alone and meanwhile."""
    with DataFolder(folder / "data") as data:
        postgres = EmbeddedPostgres(data, folder)
        await postgres.start()
        try:
            await migrate(postgres.url("referral"), KIT, REFERRAL)
            await migrate(postgres.url(KEYS), KEY_TABLES)
            return await _measured(postgres, folder, count)
        finally:
            await postgres.stop()


async def _measured(postgres: EmbeddedPostgres, folder: Path, count: int) -> dict[str, Any]:
    new_keyset(folder / "keyset.json")
    keys = Database(postgres.url(KEYS), service="keystore", pool_size=4)
    database = Database(postgres.url("referral"), service="referral")
    vault = Vault(local_table(keys, folder), Keyset(folder / "keyset.json"))
    try:
        now = datetime.now(UTC)
        for _ in range(0, count, _AT_ONCE):
            await _open(database, vault, _AT_ONCE, now - timedelta(hours=25))
        alone = [await _timed(database, vault) for _ in range(_ALONE)]
        meanwhile: list[float] = []
        ended = asyncio.Event()
        opening = asyncio.create_task(_keep_opening(database, vault, meanwhile, ended))
        announcing, longest, begun = Announcing(database, vault), 0.0, time.monotonic()
        while True:
            before = time.monotonic()
            if await announcing.look(now) < BATCH:
                break
            longest = max(longest, time.monotonic() - before)
            await asyncio.sleep(0)
        lasted = time.monotonic() - begun
        ended.set()
        await opening
    finally:
        await database.close()
        await keys.close()
    return {
        "count": count, "seconds": lasted, "longest_batch": longest,
        "alone": percentiles(sorted(alone)), "meanwhile": percentiles(sorted(meanwhile)),
    }  # fmt: skip


async def _keep_opening(database: Database, vault: Vault, taken: list[float], ended: asyncio.Event) -> None:
    while not ended.is_set():
        taken.append(await _timed(database, vault))
        await asyncio.sleep(_EVERY)


async def _timed(database: Database, vault: Vault) -> float:
    begun = time.monotonic()
    await _open(database, vault, 1, datetime.now(UTC))
    return 1000 * (time.monotonic() - begun)


async def _open(database: Database, vault: Vault, count: int, at: datetime) -> None:
    subjects = [uuid4() for _ in range(count)]
    ring = await vault.ring(subjects, create=True)

    def need(subject: UUID) -> AssessedNeed:
        found = Need(need_type="housing-repair", urgency=Urgency.DAY, wanted=True, rule="bench", facts=())
        return AssessedNeed(
            need_id=uuid4(),
            subject_id=subject,
            kind=SubjectKind.PERSON,
            need=ring.seal(subject, found),
            card=ring.seal(subject, Card(name="王秀英", phone="13800138000")),
            facts=ring.seal(subject, StatedFacts(facts=())),
        )

    async with database.transaction() as session:
        origin = Origin(uuid4(), uuid4(), "station-7")
        await open_requests(session, vault=vault, origin=origin, needs=[need(one) for one in subjects], now=at)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory(prefix="doorstep-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        found = asyncio.run(deadline_figures(Path(folder), count))
    sys.stdout.write("".join(f"{name}: {value}\n" for name, value in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
