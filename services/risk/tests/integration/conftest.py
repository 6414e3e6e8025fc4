"""Triage over a real database: facts come in, needs go out, a reviewer looks and decides."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from doorstep.contracts.codes import LegalBasis, Role, SaidBy
from doorstep.contracts.envelope import Event
from doorstep.contracts.facts import CATALOGUE, Fact, FactValue, SubjectKind
from doorstep.contracts.intake import Card, StatedFacts
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.registry import AssertedSubject, FactsAsserted
from doorstep.contracts.topics import EVENTS
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.db import Database
from doorstep.kit.policy import Policy
from doorstep.kit.service import Service
from doorstep.kit.testing import KIT_TABLES, Databases
from doorstep.kit.vault import Vault
from doorstep.risk.app import make_app
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import published_pack
from doorstep.risk.operations import STAFF, assess_record

STATION = "station-7"
COLLECTOR = Principal("collector-1", Role.COLLECTOR, "station", STATION)
REVIEWER = Principal("reviewer-1", Role.REVIEWER, "station", STATION)
NAME = "王秀英"
PACK = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)


def fact(code: str, value: FactValue = True) -> Fact:
    """A fact told today."""
    return Fact(
        fact_id=uuid4(),
        code=code,
        value=value,
        said_by=SaidBy.PERSON,
        legal_basis=LegalBasis.CONSENT,
        since=datetime.now(UTC),
    )


@dataclass
class Desk:
    """The triage of one station."""

    database: Database
    vault: Vault
    subjects: dict[str, UUID] = field(default_factory=dict)

    async def facts(self, **stated: list[Fact]) -> FactsAsserted:
        """The event by which the registry tells of these facts on person, dwelling or place."""
        self.subjects = {kind: uuid4() for kind in stated}
        ring = await self.vault.ring(self.subjects.values(), create=True)
        card = Card(name=NAME, phone="16900001234")
        return FactsAsserted(
            record_id=uuid4(),
            file_id=uuid4(),
            file_version=1,
            station=STATION,
            recorded_by=self.vault.pairwise(STAFF, COLLECTOR.subject),
            asserted_at=datetime.now(UTC),
            subjects=tuple(
                AssertedSubject(
                    subject_id=self.subjects[kind],
                    kind=SubjectKind(kind),
                    person_id=None,
                    card=ring.seal(self.subjects[kind], card),
                    facts=ring.seal(self.subjects[kind], StatedFacts(facts=tuple(facts))),
                )
                for kind, facts in stated.items()
            ),
        )

    async def assess(self, event: FactsAsserted) -> None:
        """Let triage take the event."""
        async with self.database.transaction() as session:
            await assess_record(session, event=event, vault=self.vault, pack=PACK)

    async def assessed(self, **stated: list[Fact]) -> FactsAsserted:
        """Facts that triage has taken."""
        event = await self.facts(**stated)
        await self.assess(event)
        return event

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """What a SELECT finds."""
        async with self.database.transaction() as session:
            return list(await session.execute(text(query), values))

    async def published(self, key: UUID) -> list[Event]:
        """The events of a file on the topic of needs, in order."""
        query = "SELECT type, body FROM outbox WHERE topic = 'risk.needs' AND key = :key ORDER BY number"
        return [EVENTS[row.type].model_validate_json(row.body) for row in await self.rows(query, key=key)]

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


@pytest.fixture(scope="module")
async def database(cluster: Databases) -> AsyncIterator[Database]:
    """The service's database, one for all tests of a module; they tell their rows by random ids."""
    found = Database(await cluster.new(KIT_TABLES, "doorstep.risk:migrations"), service="risk")
    yield found
    await found.close()


@pytest.fixture(scope="module")
async def keys(cluster: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Vault]:
    """The vault of a module's tests."""
    found = await cluster.vault(tmp_path_factory.mktemp("keys"))
    yield found
    await found.store.close()


@pytest.fixture
def desk(database: Database, keys: Vault) -> Desk:
    """A desk with records of its own."""
    return Desk(database, keys)


@dataclass
class Answer:
    """What the service answered."""

    status: int
    body: Any


class Caller:
    """Speaks to the service as whoever holds a token; the token is the name of one of the `principals`."""

    principals: ClassVar = {
        "collector": COLLECTOR,
        "reviewer": REVIEWER,
        "colleague": Principal("reviewer-2", Role.REVIEWER, "station", STATION),
        "own-reviewer": Principal(COLLECTOR.subject, Role.REVIEWER, "station", STATION),
        "stranger": Principal("reviewer-3", Role.REVIEWER, "station", "station-8"),
        "officer": Principal("officer-1", Role.OFFICER, "fire"),
    }

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def verify(self, token: str) -> Principal:
        """Stand in for the authenticator."""
        if token not in self.principals:
            raise NotAuthenticated
        return self.principals[token]

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        purpose: str | None = None,
        case: str | None = None,
        body: Any = None,
    ) -> Answer:
        """Send one request straight into the application."""
        headers = [(b"content-type", b"application/json"), (b"accept-language", b"en")]
        headers += [(b"authorization", f"Bearer {token}".encode())] if token else []
        headers += [(b"doorstep-purpose", purpose.encode())] if purpose else []
        headers += [(b"doorstep-case", (case or path.rpartition("/")[2]).encode())] if purpose else []
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": headers,
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"" if body is None else orjson.dumps(body)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return Answer(sent[0]["status"], orjson.loads(b"".join(part.get("body", b"") for part in sent[1:]) or b"null"))


@pytest.fixture
def call(desk: Desk) -> Caller:
    """The service's edge over the desk's database."""
    service = Service(
        name="risk",
        settings=None,
        database=desk.database,
        vault=desk.vault,
        policy=Policy(),
        authenticator=None,
        broker=None,
        steps=None,
    )
    caller = Caller(make_app(service))
    service.authenticator = caller
    return caller


@pytest.fixture(name="fact")
def make_fact() -> Any:
    """Makes a fact that was told today."""
    return fact
