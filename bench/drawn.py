"""The records of the benchmarks: one person who wishes for one thing or several."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import cycle
from random import Random
from typing import Any

import orjson

from doorstep.contracts.codes import Department
from doorstep.local.neighbourhood import Resident, Town
from doorstep.local.records import CONSENTS, Statement, person, record

WISHES: dict[Department, str] = {
    Department.CIVIL_AFFAIRS: "minimum-living-allowance",
    Department.HEALTH: "health-advice",
    Department.JUSTICE: "mediation",
    Department.FIRE: "fire-check",
}
"""One service of each of four departments."""

_RANDOM = Random()
_PEOPLE = 4000


@cache
def _people() -> Iterator[Resident]:
    """Residents without end: so many different ones, then the same again, each at another door."""
    town = Town(_RANDOM, datetime.now(UTC).date())
    drawn = (town.resident(age=_RANDOM.randint(20, 90), sex="female", relation="head") for _ in range(_PEOPLE))
    return cycle(drawn)


def wishing(departments: Sequence[Department]) -> dict[str, Any]:
    """The body of a record of one person who wishes for a service of each of `departments`."""
    now = datetime.now(UTC)
    wishes = [Statement(f"wish.{WISHES[one]}", True) for one in departments]
    return record(_RANDOM, [person(next(_people()), [CONSENTS, *wishes])], now=now)


def bodies(count: int, *, needs: int) -> Iterator[bytes]:
    """`count` records as JSON: of one need, the department by turns, or of four."""
    turns = cycle(WISHES)
    for _ in range(count):
        departments = tuple(WISHES) if needs > 1 else (next(turns),)
        yield orjson.dumps(wishing(departments))
