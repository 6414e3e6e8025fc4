"""Records of visits in the made-up neighbourhood: the one that the demonstration sends, ordinary ones, drawn ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from doorstep.contracts.codes import LegalBasis, SaidBy
from doorstep.contracts.facts import CATALOGUE, FactType, FactValue, SubjectKind, Value
from doorstep.local.neighbourhood import Household, Resident, Town, age_on, make_neighbourhood

PLACES: Final = ("楼道一层", "楼道二层", "单元门口", "地下车棚通道")
Body = dict[str, Any]


@dataclass(frozen=True)
class Statement:
    """A fact as it was stated at the door."""

    code: str
    value: FactValue
    said_by: SaidBy = SaidBy.PERSON


CONSENTS: Final = Statement("consent.service", True)


@dataclass(frozen=True)
class Subject:
    """A person, a dwelling or a place, and what was stated of it."""

    kind: SubjectKind
    card: dict[str, str]
    statements: tuple[Statement, ...]


def demonstration(seed: int, *, now: datetime) -> Body:
    """The record of the demonstration.

    A woman of 78 living alone, with an old gas hose and a chronic illness, asks for the minimum living allowance and
    for legal help with a contract that a salesman talked her into; in the stairwell e-bikes are charged.
    """
    rng = Random(seed)  # noqa: S311 - made up, not secret
    woman = Town(rng, now.date()).resident(age=78, sex="female", relation="head")
    door = "清溪市幸福街道幸福里社区3号楼2单元502室"
    subjects = (
        person(
            woman,
            [
                Statement("identity.birth-year", woman.born.year),
                Statement("contact.channel", "phone"),
                Statement("living.alone", True),
                Statement("health.chronic-illness", True),
                Statement("wish.minimum-living-allowance", True),
                Statement("wish.legal-aid", True),
                CONSENTS,
            ],
        ),
        dwelling(door, [Statement("dwelling.gas-hose", "expired", SaidBy.COLLECTOR_SAW)]),
        place("幸福里社区3号楼2单元楼道", [Statement("place.e-bike-charging", True)]),
    )
    return record(rng, subjects, now=now)


def visit(rng: Random, household: Household, *, now: datetime) -> Body:
    """An ordinary visit: what is known of everybody at that door, and in one of twelve an old gas hose."""
    hose = "expired" if rng.random() < 1 / 12 else "sound"
    seen = [
        Statement("dwelling.gas-hose", hose, SaidBy.COLLECTOR_SAW),
        Statement("dwelling.wiring", "sound", SaidBy.COLLECTOR_SAW),
    ]
    size = len(household.residents)
    people = [person(resident, _basics(resident, size, now.date())) for resident in household.residents]
    return record(rng, (*people, dwelling(household.address, seen)), now=now)


def neighbourhood_records(seed: int, *, households: int = 200, now: datetime) -> list[Body]:
    """An ordinary visit at every door of the neighbourhood, the same for the same seed and time."""
    rng = Random(seed)  # noqa: S311 - made up, not secret
    return [visit(rng, one, now=now) for one in make_neighbourhood(seed, households=households, today=now.date())]


def draw_records(seed: int, count: int, *, now: datetime) -> list[Body]:
    """`count` records at random doors with random facts, true and false, seen and told; the same for the same seed."""
    rng = Random(seed)  # noqa: S311 - made up, not secret
    doors = make_neighbourhood(seed, today=now.date())
    return [_draw(rng, rng.choice(doors), now) for _record in range(count)]


def _draw(rng: Random, household: Household, now: datetime) -> Body:
    people = [person(resident, (CONSENTS, *_some(rng, SubjectKind.PERSON))) for resident in household.residents]
    subjects = [*people, dwelling(household.address, _some(rng, SubjectKind.DWELLING))]
    if rng.random() < 0.4:
        subjects.append(place(f"{household.address[:-4]}{rng.choice(PLACES)}", _some(rng, SubjectKind.PLACE)))
    return record(rng, [subject for subject in subjects if subject.statements], now=now)


def _some(rng: Random, kind: SubjectKind) -> tuple[Statement, ...]:
    """From none to five facts of the catalogue about this kind of subject, each at most once."""
    entries = [
        entry
        for entry in CATALOGUE.values()
        if entry.subject is kind and entry.code != CONSENTS.code and not entry.alone
    ]
    chosen = rng.sample(entries, min(rng.choice((0, 0, 1, 2, 3, 5)), len(entries)))
    return tuple(Statement(entry.code, _any_value(rng, entry), rng.choice(_speakers(entry))) for entry in chosen)


def _any_value(rng: Random, entry: FactType) -> FactValue:
    if entry.code == "identity.birth-year":
        return rng.randint(1930, 2020)
    if entry.value is Value.YES_NO:
        return rng.random() < 0.6
    return rng.choice(entry.choices) if entry.value is Value.CODE else rng.randint(0, 9)


def _speakers(entry: FactType) -> list[SaidBy]:
    return [speaker for speaker in (SaidBy.PERSON, SaidBy.COLLECTOR_SAW) if speaker in entry.said_by]


def _basics(resident: Resident, size: int, today: date) -> list[Statement]:
    said_by = SaidBy.PERSON if age_on(today, resident.born) >= 14 else SaidBy.GUARDIAN
    statements = [
        Statement("identity.birth-year", resident.born.year, said_by),
        Statement("living.alone", size == 1, said_by),
        Statement("together.family-purse", size, said_by),
        Statement("register.where", "elsewhere" if resident.relation == "housemate" else "here", said_by),
        Statement("consent.service", True, said_by),
    ]
    if resident.phone:
        statements.append(Statement("contact.channel", "phone", said_by))
    return statements


def person(resident: Resident, statements: Iterable[Statement]) -> Subject:
    """A person as named and reached in a record."""
    card = {"name": resident.name, "document_kind": "resident-id", "document_number": resident.resident_id}
    if resident.phone:
        card["phone"] = resident.phone
    return Subject(SubjectKind.PERSON, card, tuple(statements))


def dwelling(address: str, statements: Iterable[Statement]) -> Subject:
    """The dwelling behind a door."""
    return Subject(SubjectKind.DWELLING, {"address": address}, tuple(statements))


def place(description: str, statements: Iterable[Statement]) -> Subject:
    """A place that is nobody's home."""
    return Subject(SubjectKind.PLACE, {"description": description}, tuple(statements))


def record(rng: Random, subjects: Sequence[Subject], *, now: datetime) -> Body:
    """The body of POST /api/records; ids are UUIDv7 of a moment before `now`, random by `rng`."""
    at = now.astimezone(UTC) - timedelta(minutes=rng.randint(5, 25))
    return {
        "record_id": str(new_id(rng, at)),
        "file_id": str(new_id(rng, at)),
        "channel": "visit",
        "visited_at": _wire(at),
        "subjects": [
            {
                "subject_id": str(new_id(rng, at)),
                "kind": str(subject.kind),
                **subject.card,
                "facts": [_fact(rng, statement, at) for statement in subject.statements],
            }
            for subject in subjects
        ],
    }


def _fact(rng: Random, statement: Statement, at: datetime) -> Body:
    personal = CATALOGUE[statement.code].subject is SubjectKind.PERSON
    return {
        "fact_id": str(new_id(rng, at)),
        "code": statement.code,
        "value": statement.value,
        "said_by": str(statement.said_by),
        "legal_basis": str(LegalBasis.CONSENT if personal else LegalBasis.PUBLIC_SAFETY),
        "since": _wire(at),
    }


def new_id(rng: Random, at: datetime) -> UUID:
    """A UUIDv7 (RFC 9562 section 5.7) of that moment."""
    moment = int(at.timestamp() * 1000)
    bits = moment << 80 | 0x7 << 76 | rng.getrandbits(12) << 64 | 0b10 << 62 | rng.getrandbits(62)
    return UUID(int=bits)


def _wire(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
