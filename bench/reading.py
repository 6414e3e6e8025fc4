"""What is read: a request that a department was sent, and the file of a household of three."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from doorstep.contracts.codes import Channel, Department, LegalBasis, Purpose, Role, SaidBy, Urgency
from doorstep.contracts.facts import Fact, FactValue, SubjectKind
from doorstep.contracts.intake import Card, RecordedSubject, StatedFacts, VisitRecorded
from doorstep.contracts.needs import Need
from doorstep.contracts.risk import AssessedNeed
from doorstep.kit.resources import Service
from doorstep.referral.operations.opening import Origin, open_requests
from doorstep.registry.operations.files import assert_facts

STATION = "station-1"
_PERSON = (("living.alone", True), ("identity.birth-year", 1948), ("health.chronic-illness", True))
_DWELLING = (("dwelling.gas-hose", "expired"), ("dwelling.heating", "working"))


@dataclass(frozen=True)
class Reading:
    """A read: its path, for which case, why and as whom it is done, and whose keys it needs."""

    path: str
    case: UUID
    purpose: Purpose
    role: Role
    agency: str
    station: str | None
    subjects: tuple[UUID, ...]


async def request_of_department(service: Service) -> Reading:
    """A request for advice on health, as triage and referral make one."""
    subject, now = uuid4(), datetime.now(UTC)
    ring = await service.vault.ring([subject], create=True)
    need = Need(need_type="health-advice", urgency=Urgency.DAY, wanted=True, rule="wish-health-advice", facts=())
    assessed = AssessedNeed(
        need_id=uuid4(),
        subject_id=subject,
        kind=SubjectKind.PERSON,
        need=ring.seal(subject, need),
        card=ring.seal(subject, _card()),
        facts=ring.seal(subject, StatedFacts(facts=tuple(_fact(*one) for one in _PERSON))),
    )
    async with service.database.transaction() as session:
        origin = Origin(uuid4(), uuid4(), STATION)
        await open_requests(session, vault=service.vault, origin=origin, needs=[assessed], now=now)
    statement = "SELECT ref FROM task JOIN request USING (request_id) WHERE need_id = :need_id"
    [row] = await service.database.fetch(statement, {"need_id": assessed.need_id})
    path = f"/api/departments/{Department.HEALTH}/requests/{row['ref']}"
    return Reading(path, row["ref"], Purpose.SERVICE, Role.DEPARTMENT_SYSTEM, Department.HEALTH, None, (subject,))


async def file_of_household(service: Service) -> Reading:
    """The file of two people and their dwelling, eight facts in all."""
    kinds = {uuid4(): kind for kind in (SubjectKind.PERSON, SubjectKind.PERSON, SubjectKind.DWELLING)}
    ring = await service.vault.ring(kinds, create=True)
    now, file_id = datetime.now(UTC), uuid4()
    recorded = VisitRecorded(
        record_id=uuid4(),
        file_id=file_id,
        station=STATION,
        channel=Channel.VISIT,
        visited_at=now,
        recorded_at=now,
        recorded_by=uuid4(),
        subjects=tuple(
            RecordedSubject(
                subject_id=one,
                kind=kind,
                card=ring.seal(one, _card() if kind is SubjectKind.PERSON else Card(address="和平里 5 号楼 301")),
                facts=ring.seal(one, _stated(kind)),
            )
            for one, kind in kinds.items()
        ),
    )
    async with service.database.transaction() as session:
        await assert_facts(session, vault=service.vault, recorded=recorded)
    return Reading(f"/api/files/{file_id}", file_id, Purpose.TRIAGE, Role.REVIEWER, "station", STATION, tuple(kinds))


def _stated(kind: SubjectKind) -> StatedFacts:
    told = _PERSON if kind is SubjectKind.PERSON else _DWELLING
    return StatedFacts(facts=tuple(_fact(*one) for one in told))


def _fact(code: str, value: FactValue) -> Fact:
    return Fact(
        fact_id=uuid4(),
        code=code,
        value=value,
        said_by=SaidBy.PERSON,
        legal_basis=LegalBasis.CONSENT,
        since=datetime.now(UTC),
    )


def _card() -> Card:
    return Card(name="王秀英", phone="13800138000", address="和平里 5 号楼 301")
