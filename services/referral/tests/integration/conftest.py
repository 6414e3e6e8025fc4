"""A station's desk over a real database: needs are assessed, requests opened, steps taken, and all of it looked at."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
import pytest_asyncio
from sqlalchemy import text

from doorstep.contracts.codes import Barred, Department, LegalBasis, Reason, Role, SaidBy, TaskState, Urgency
from doorstep.contracts.facts import CATALOGUE, Fact, SubjectKind, Value
from doorstep.contracts.intake import Card, SafeContact, StatedFacts
from doorstep.contracts.needs import NEED_TYPES, Need
from doorstep.contracts.risk import AssessedNeed
from doorstep.keystore.app import local_table
from doorstep.kit import outbox
from doorstep.kit.auth import Principal
from doorstep.kit.db import Database
from doorstep.kit.testing import KIT_TABLES, Databases
from doorstep.kit.vault import Vault
from doorstep.local.postgres import EmbeddedPostgres
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.handing_on import Route, hand_on_request
from doorstep.referral.operations.opening import Origin, open_requests
from doorstep.referral.operations.parts import NewPart, add_part
from doorstep.referral.operations.tasks import Moved, Wish, transition_request, transition_task

STATION = "station-7"
REVIEWER = Principal("reviewer-1", Role.REVIEWER, "station", STATION)
SECOND = Principal("reviewer-2", Role.REVIEWER, "station", STATION)
ARBITER = Principal("supervisor-1", Role.SUPERVISOR, "station", STATION)
DUE_FACTS = ("wish.legal-aid", "health.chronic-illness", "income.monthly-per-head", "dwelling.gas-hose")


def officer(department: Department) -> Principal:
    """Somebody at `department`."""
    return Principal(f"officer-{department}", Role.OFFICER, str(department))


@dataclass
class Desk:
    """The station's desk, at a time that the test sets."""

    database: Database
    vault: Vault
    now: datetime = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    origin: Origin = field(default_factory=lambda: Origin(uuid4(), uuid4(), STATION))
    second: Principal = SECOND

    officer = staticmethod(officer)

    async def need(
        self,
        need_type: str,
        *,
        follow_code: str | None = None,
        subject: UUID | None = None,
        safe_contact: SafeContact | None = None,
        asks_for: tuple[Barred, ...] | None = None,
        language: str | None = None,
    ) -> AssessedNeed:
        """A need as triage assesses it, its content sealed for its subject."""
        subject_id = subject or uuid4()
        ring = await self.vault.ring([subject_id], create=True)
        card = Card(
            name="王秀英",
            phone="13800138000",
            address="和平里 5 号楼 301",
            document_number="110101194803070028",
            follow_code=follow_code,
            safe_contact=safe_contact,
            asks_for=asks_for,
            language=language,
        )
        facts = tuple(
            Fact(
                fact_id=uuid4(),
                code=code,
                value={Value.YES_NO: True, Value.COUNT: 800}.get(CATALOGUE[code].value) or CATALOGUE[code].choices[-1],
                said_by=SaidBy.PERSON,
                legal_basis=LegalBasis.CONSENT,
                since=self.now,
            )
            for code in DUE_FACTS
        )
        known = NEED_TYPES.get(need_type)
        need = Need(
            need_type=need_type, urgency=known.urgency if known else Urgency.DAY, wanted=True, rule="r", facts=()
        )
        return AssessedNeed(
            need_id=uuid4(),
            subject_id=subject_id,
            kind=SubjectKind.PERSON,
            need=ring.seal(subject_id, need),
            card=ring.seal(subject_id, card),
            facts=ring.seal(subject_id, StatedFacts(facts=facts)),
        )

    async def open(self, *needs: AssessedNeed) -> int:
        """Open requests for these needs."""
        async with self.database.transaction() as session:
            return await open_requests(session, vault=self.vault, origin=self.origin, needs=needs, now=self.now)

    async def opened(self, need_type: str, **how: Any) -> Any:
        """Open one request and give its task's row."""
        need = await self.need(need_type, **how)
        await self.open(need)
        return await self.task(need.need_id)

    async def task(self, need_id: UUID) -> Any:
        """The live task of a need, with its request."""
        rows = await self.rows(
            "SELECT * FROM task JOIN request USING (request_id) WHERE need_id = :id"
            " ORDER BY request.opened_at DESC, part, sequence DESC",
            id=need_id,
        )
        return rows[0] if rows else None

    async def parts(self, need_id: UUID) -> dict[int, Any]:
        """The live task of each part of the newest request of a need, with the request."""
        rows = await self.rows(
            "SELECT * FROM task JOIN request USING (request_id) WHERE need_id = :id"
            " ORDER BY request.opened_at, part, sequence",
            id=need_id,
        )
        return {row.part: row for row in rows if row.request_id == rows[-1].request_id}

    async def add(self, task: Any, department: str, need_type: str, **said: Any) -> Any:
        """The station adds a part, on the number of parts that there are unless another is said; its task."""
        told = {"consented": True, "parts": max(await self.parts(task.need_id))} | said
        async with self.database.transaction() as session:
            added = await add_part(
                session,
                vault=self.vault,
                access=Access(REVIEWER),
                station=STATION,
                request_id=task.request_id,
                new=NewPart(Department(department), need_type, **told),
                now=self.now,
            )
        return (await self.parts(task.need_id))[added.part]

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """What a SELECT finds."""
        async with self.database.transaction() as session:
            return list(await session.execute(text(query), values))

    async def step(self, task: Any, to: TaskState, *, version: int | None = None, **said: Any) -> Moved:
        """A step by the task's department."""
        async with self.database.transaction() as session:
            return await transition_task(
                session,
                vault=self.vault,
                access=Access(officer(Department(task.department))),
                department=Department(task.department),
                ref=task.ref,
                wish=Wish(to, version or (await self.task(task.need_id)).version, **said),
                now=self.now,
            )

    async def station_step(
        self, task: Any, to: TaskState, *, principal: Principal = REVIEWER, station: str = STATION, **said: Any
    ) -> Moved:
        """A step by the station."""
        said.setdefault("reason", Reason.DUPLICATE)
        version = said.pop("version", None) or (await self.task(task.need_id)).version
        async with self.database.transaction() as session:
            return await transition_request(
                session,
                vault=self.vault,
                access=Access(principal),
                station=station,
                request_id=task.request_id,
                wish=Wish(to, version, **said),
                now=self.now,
            )

    async def hand_on(
        self, task: Any, department: str, *, arbiter: bool = False, version: int | None = None, part: int | None = None
    ) -> Moved:
        """The station hands the live task, of a part if one is named, on."""
        async with self.database.transaction() as session:
            return await hand_on_request(
                session,
                vault=self.vault,
                access=Access(ARBITER if arbiter else REVIEWER),
                station=STATION,
                request_id=task.request_id,
                route=Route(department, version or (await self.task(task.need_id)).version, arbiter, part=part),
                now=self.now,
            )

    async def published(self, topic: str, subject: UUID) -> list[dict[str, Any]]:
        """The events about a subject on a topic, in order; of a feed decrypted from the outbox, and with its type."""
        ring = await self.vault.ring([subject])
        query = """
            SELECT type, key, body, recipient FROM outbox WHERE topic = :topic AND subject = :subject ORDER BY position
        """
        found = []
        for row in await self.rows(query, topic=topic, subject=subject):
            plain = ring.decrypt(subject, outbox.feed_context(row.key), row.body) if row.recipient else row.body
            found.append({"type": row.type, "key": row.key, **orjson.loads(plain)})
        return found

    async def logged(self, subject: UUID) -> list[dict[str, Any]]:
        """What the log was told about a subject."""
        ring = await self.vault.ring([subject])
        found = []
        for row in await self.rows("SELECT body FROM outbox WHERE type = 'audit.entry-submitted.v1' ORDER BY position"):
            for detail in orjson.loads(row.body)["details"]:
                if detail["subject_id"] == str(subject):
                    blob = detail["key_version"].to_bytes(4) + base64.b64decode(detail["ciphertext"])
                    found.append(orjson.loads(ring.decrypt(subject, "AuditDetail", blob)))
        return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def own_databases(postgres: EmbeddedPostgres) -> AsyncIterator[Databases]:
    """Databases that these tests share: each has subjects of its own, and cloning would cost more than all of them."""
    found = Databases(postgres.url, local_table)
    yield found
    await found.drop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def database(own_databases: Databases) -> AsyncIterator[Database]:
    """The database of referral."""
    found = Database(await own_databases.new(KIT_TABLES, "doorstep.referral:migrations"), service="referral")
    yield found
    await found.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def vault(own_databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """The vault of these tests."""
    return await own_databases.vault(tmp_path_factory.mktemp("referral"))


@pytest.fixture
def desk(database: Database, vault: Vault) -> Desk:
    """A desk with a record of its own."""
    return Desk(database, vault)


@pytest.fixture(scope="session")
def desk_over() -> type[Desk]:
    """A desk over a database of the test's choice."""
    return Desk
