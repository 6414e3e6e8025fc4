"""A station whose processes and engines are killed while records come in, on the embedded broker or Apache Kafka."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from doorstep.audit.domain.note import SigningKey
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.topics import SERVICES
from doorstep.kit.testing import arriving
from doorstep.local import apache_kafka
from doorstep.local.front_door import Body, FrontDoor, Refused
from doorstep.local.neighbourhood import Town
from doorstep.local.records import CONSENTS, Statement, person, record
from doorstep.local.stack import Stack
from doorstep.local.story import STATION, verified

WISHES = {
    "wish.minimum-living-allowance": "civil-affairs",
    "wish.health-advice": "health",
    "wish.mediation": "justice",
    "wish.fire-check": "fire",
}


@pytest_asyncio.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)], loop_scope="session")
async def kafka(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str | None]:
    """None for the embedded broker, or the address of an Apache Kafka of the test's own."""
    if request.param == "embedded":
        yield None
        return
    if reason := apache_kafka.missing():
        pytest.skip(reason)
    async with apache_kafka.running_kafka(tmp_path / "kafka") as address:
        yield address


@dataclass
class Station:
    """Collectors who hand in records whatever happens, and what must have become of them."""

    stack: Stack
    random: Random = field(default_factory=lambda: Random(11))
    taken: dict[str, str] = field(default_factory=dict)

    def draw(self) -> tuple[Body, str]:
        """A record of one person with one wish, and the department that owes it."""
        now = datetime.now(UTC)
        resident = Town(self.random, now.date()).resident(age=70, sex="female", relation="head")
        wish = self.random.choice(sorted(WISHES))
        subject = person(resident, [CONSENTS, Statement(wish, True)])
        assert subject.kind is SubjectKind.PERSON
        return record(self.random, [subject], now=now), WISHES[wish]

    async def hand_in(self, count: int, *, pause: float = 0.02) -> None:
        """Hand in `count` records, each again until it is taken, as a phone does."""
        token = self.stack.token("collector", station=STATION)
        async with FrontDoor(self.stack.front_door, lambda: token) as collector:
            for _ in range(count):
                body, department = self.draw()
                while not await self._taken(collector, body):  # noqa: ASYNC110 — a phone asks again
                    await asyncio.sleep(0.2)
                self.taken[body["record_id"]] = department
                await asyncio.sleep(pause)

    @staticmethod
    async def _taken(collector: FrontDoor, body: Body) -> bool:
        try:
            await collector.hand_in(body)
        except Refused as refused:
            assert refused.status in (500, 503), refused
            return False
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        return True

    async def rows(self, database: str, query: str) -> list[asyncpg.Record]:
        """What a service's database answers."""
        connection = await asyncpg.connect(self.stack.database_url(database).replace("+asyncpg", ""))
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    async def opened(self) -> dict[str, list[str]]:
        """The departments of the requests of each record."""
        found: dict[str, list[str]] = {}
        query = "SELECT r.record_id, t.department FROM request r JOIN task t USING (request_id)"
        for row in await self.rows("referral", query):
            found.setdefault(str(row["record_id"]), []).append(row["department"])
        return found

    async def assert_all_is_well(self, *, within: float = 200) -> None:
        """Each record reached exactly the department that owes it, no message died, and the log verifies.

        It fails if nothing comes `within` seconds: a broker that was killed may leave a client with requests that
        nobody answers, each for 40 seconds.
        """
        try:
            await self._assert_all_is_well(within)
        except AssertionError as failed:
            raise AssertionError(self.last_words()) from failed

    def last_words(self) -> str:
        """The end of what each process logged."""
        logs = sorted(self.stack.folder.logs.glob("*.log"))
        return "\n".join(f"{one.name}: {one.read_text(errors='replace')[-2000:]}" for one in logs)

    async def _assert_all_is_well(self, within: float) -> None:
        wanted = {record_id: [department] for record_id, department in self.taken.items()}

        async def requests_missing() -> int:
            return len(wanted) - len(await self.opened())

        await arriving(requests_missing, within=within)
        assert await self.opened() == wanted
        for service in SERVICES:
            assert await self.rows(service, "SELECT topic, error FROM dead_letter") == [], service
            assert await self.rows(service, "SELECT topic, reason FROM parked") == [], service
        await self._assert_log_is_whole(within)

    async def _assert_log_is_whole(self, within: float) -> None:
        """Every intent that a service committed is in the log, and the log verifies from outside."""
        submitted: set[str] = set()
        for service in SERVICES:
            if service != "audit":
                query = "SELECT key FROM outbox WHERE type = 'audit.entry-submitted.v1'"
                submitted |= {str(row["key"]) for row in await self.rows(service, query)}

        async def entries_missing() -> int:
            signed = "SELECT entry_id FROM entry WHERE index < (SELECT max(size) FROM checkpoint)"
            logged = await self.rows("audit", signed)
            return len(submitted - {str(row["entry_id"]) for row in logged})

        await arriving(entries_missing, within=within)
        key = SigningKey.parse(self.stack.log_key.read_text().strip()).verifier
        async with FrontDoor(self.stack.front_door) as outsider:
            entries, is_verified, failure = await verified(outsider, key)
        assert is_verified, failure
        assert entries >= len(submitted)


@pytest.fixture
def new_station() -> type[Station]:
    """A station upon a stack."""
    return Station
