"""The registry over a real database, and the records that intake tells it of."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from doorstep.contracts.codes import Channel, LegalBasis, Role, SaidBy
from doorstep.contracts.facts import Fact, FactValue, SubjectKind
from doorstep.contracts.intake import Card, RecordedSubject, StatedFacts, VisitRecorded
from doorstep.contracts.registry import FactsAsserted
from doorstep.kit.auth import Principal
from doorstep.kit.testing import KIT_TABLES
from doorstep.registry.app import new_app
from doorstep.registry.operations.files import assert_facts
from doorstep.registry.operations.roster import see

STATION = "station-7"
COLLEAGUES = {Role.COLLECTOR: ("collector-2",), Role.REVIEWER: ("reviewer-1",), Role.SUPERVISOR: ("supervisor-1",)}
"""Who was at the station today."""


@dataclass(frozen=True)
class Told:
    """A subject of a record: its card and facts; `same` gives it the id of a subject told before."""

    kind: SubjectKind
    card: dict[str, str]
    facts: tuple[Fact, ...] = ()
    same: UUID | None = None


def fact(code: str, value: FactValue = True, **more: Any) -> Fact:
    """A fact told now."""
    given = {
        "fact_id": uuid4(),
        "said_by": SaidBy.PERSON,
        "legal_basis": LegalBasis.CONSENT,
        "since": datetime.now(UTC),
    }
    return Fact(code=code, value=value, **(given | more))


@dataclass(frozen=True)
class Files:
    """The registry, told of records as its consumer would be."""

    desk: Any

    async def event(self, *told: Told, file_id: UUID | None = None, station: str = STATION) -> VisitRecorded:
        """The event of a record, each subject sealed under its key."""
        ids = [one.same or uuid4() for one in told]
        ring = await self.desk.vault.ring(ids, create=True)
        return VisitRecorded(
            record_id=uuid4(),
            file_id=file_id or uuid4(),
            station=station,
            channel=Channel.VISIT,
            visited_at=datetime.now(UTC),
            recorded_at=datetime.now(UTC),
            recorded_by=uuid4(),
            subjects=tuple(
                RecordedSubject(
                    subject_id=subject,
                    kind=one.kind,
                    card=ring.seal(subject, Card(**one.card)),
                    facts=ring.seal(subject, StatedFacts(facts=one.facts)),
                )
                for subject, one in zip(ids, told, strict=True)
            ),
        )

    async def take(self, event: VisitRecorded) -> None:
        """Let the registry take the event."""
        async with self.desk.database.transaction() as session:
            await assert_facts(session, vault=self.desk.vault, recorded=event)

    async def taken(self, *told: Told, **more: Any) -> VisitRecorded:
        """A record that the registry has taken."""
        event = await self.event(*told, **more)
        await self.take(event)
        return event

    async def published(self, file_id: UUID) -> list[FactsAsserted]:
        """What the registry published of a file, in order."""
        rows = await self.desk.rows(
            "SELECT body FROM outbox WHERE topic = 'registry.facts' AND key = :key ORDER BY number", key=file_id
        )
        return [FactsAsserted.model_validate_json(bytes(row.body)) for row in rows]

    async def persons(self, event: VisitRecorded) -> list[UUID | None]:
        """Of whom the subjects of a record are mentions."""
        (asserted,) = [one for one in await self.published(event.file_id) if one.record_id == event.record_id]
        return [subject.person_id for subject in asserted.subjects]

    async def look(self, file_id: UUID, who: str | None = "reviewer", purpose: str | None = "triage") -> Any:
        """What somebody is answered who asks for a file."""
        headers = {} if purpose is None else {"doorstep_purpose": purpose}
        return await self.desk.call("GET", f"/api/files/{file_id}", who, **headers)


@pytest.fixture(scope="module")
async def files(new_desk: Any) -> Files:
    """The registry, one for all tests of a module; they tell their rows by random ids."""
    found = Files(await new_desk("registry", new_app, None, KIT_TABLES, "doorstep.registry:migrations"))
    async with found.desk.database.transaction() as session:
        for role, names in COLLEAGUES.items():
            for name in names:
                who, today = Principal(name, role, "station", STATION), datetime.now(UTC).date()
                await see(session, vault=found.desk.vault, principal=who, today=today)
    return found


@pytest.fixture
def person() -> Callable[..., Told]:
    """Makes a person of a record: `person(number, fact, ...)`; None shows no paper."""

    def make(number: str | None = "", *facts: Fact, kind: str = "resident-id") -> Told:
        number = uuid4().hex if number == "" else number
        card = {"name": "王秀英", "phone": "13800001111", "follow_code": "AAAA-BBBB-CCCC-DDDD"}
        paper = {} if number is None else {"document_kind": kind, "document_number": number}
        return Told(SubjectKind.PERSON, card | paper, facts)

    return make


@pytest.fixture
def dwelling() -> Callable[..., Told]:
    """Makes the dwelling of a record."""

    def make(*facts: Fact, same: UUID | None = None) -> Told:
        return Told(SubjectKind.DWELLING, {"address": "幸福里3号楼502室"}, facts, same)

    return make


@pytest.fixture(name="fact")
def make_fact() -> Callable[..., Fact]:
    """Makes a fact told now."""
    return fact
