"""Made-up households of three with one record and four requests; the same part has the same ids.

A family that records are made of again and again, as many as are wanted: no two share a paper. One of a hundred has
been recorded just now, so that its requests are open, all others in the months before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from uuid import UUID

from bench.drawn import WISHES
from doorstep.contracts.codes import Department, LegalBasis, SaidBy
from doorstep.contracts.facts import Fact
from doorstep.contracts.intake import Card
from doorstep.local.neighbourhood import GIVEN_NAMES, PHONE_PREFIX, SURNAMES, resident_id
from doorstep.local.records import new_id

HOUSEHOLDS = 250
"""Households of a part."""

PART = HOUSEHOLDS * len(WISHES)
"""Requests of a part: each household wishes for one service of each of four departments."""

_PEOPLE = 3
_OPEN_IN = 100
_DAYS = 330
_FIRST_BIRTHDAY, _BIRTHDAYS = date(1936, 1, 1), 25_000


@dataclass(frozen=True)
class Mention:
    """A person of a household as recorded once; `wishes` are the departments whose service they wish for."""

    subject_id: UUID
    person_id: UUID
    card: Card
    facts: tuple[Fact, ...]
    wishes: tuple[Department, ...]

    def wish(self, department: Department) -> Fact:
        """The fact by which they wish for that department's service."""
        return next(fact for fact in self.facts if fact.code == f"wish.{WISHES[department]}")


@dataclass(frozen=True)
class Household:
    """A household with its one record; `rng` goes on where its drawing ended."""

    number: int
    file_id: UUID
    record_id: UUID
    at: datetime
    people: tuple[Mention, ...]
    rng: Random

    @property
    def open(self) -> bool:
        """Whether its requests are not answered yet."""
        return self.number % _OPEN_IN == 0


def households(part: int, began: datetime) -> list[Household]:
    """The households of a part, of the months before `began`; the same for the same part and time."""
    return [_household(number, began) for number in range(part * HOUSEHOLDS, (part + 1) * HOUSEHOLDS)]


def _household(number: int, began: datetime) -> Household:
    rng = Random(f"{began.isoformat()} {number}")
    before = timedelta(minutes=rng.randint(5, 55)) if number % _OPEN_IN == 0 else _long_ago(rng)
    at = began - before
    departments = list(WISHES)
    rng.shuffle(departments)
    shares = (departments[:1], departments[1:2], departments[2:])
    family = rng.choices(list(SURNAMES), weights=list(SURNAMES.values()))[0]
    people = tuple(_mention(rng, number * _PEOPLE + place, family, at, each) for place, each in enumerate(shares))
    return Household(number, new_id(rng, at), new_id(rng, at), at, people, rng)


def _long_ago(rng: Random) -> timedelta:
    return timedelta(days=rng.randint(15, _DAYS), seconds=rng.randrange(86_400))


def _mention(rng: Random, number: int, family: str, at: datetime, wishes: Sequence[Department]) -> Mention:
    """Person `number`, whose paper nobody else has; their telephone is one that answers nobody."""
    born = _FIRST_BIRTHDAY + timedelta(days=number % _BIRTHDAYS)
    _, women, men = rng.choice(GIVEN_NAMES[1:])
    names = (women if number % 2 else men).split()
    card = Card(
        name=family + rng.choice(names),
        document_kind="resident-id",
        document_number=resident_id(born, number // _BIRTHDAYS + 1),
        phone=f"{PHONE_PREFIX}{number % 10_000:04d}",
    )
    codes = ("consent.service", *(f"wish.{WISHES[one]}" for one in wishes))
    facts = tuple(
        Fact(
            fact_id=new_id(rng, at),
            code=code,
            value=True,
            said_by=SaidBy.PERSON,
            legal_basis=LegalBasis.CONSENT,
            since=at,
        )
        for code in codes
    )
    return Mention(new_id(rng, at), random_id(rng), card, facts, tuple(wishes))


def random_id(rng: Random) -> UUID:
    """A UUIDv4 that `rng` draws."""
    return UUID(int=rng.getrandbits(128), version=4)
