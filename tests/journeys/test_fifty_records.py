"""Fifty drawn records reach the departments that a table written by hand says, and a fact taken away takes its request.

The table below was written from the list of services, not from the rules: it is the second opinion on both the rule
pack and the routing.
"""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from doorstep.contracts.codes import Department
from doorstep.contracts.facts import CATALOGUE, Fact, SubjectKind
from doorstep.contracts.needs import NEED_TYPES
from doorstep.local.records import demonstration, draw_records
from doorstep.referral.domain.routing import route
from doorstep.risk.domain.assessment import assess
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import published_pack

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
PACK = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)

# fact -> values that call for help -> what for -> the department that owes it
TABLE: dict[str, tuple[tuple[object, ...], str, str]] = {
    "wish.minimum-living-allowance": ((True,), "minimum living allowance", "civil-affairs"),
    "wish.temporary-relief": ((True,), "temporary relief", "civil-affairs"),
    "wish.legal-aid": ((True,), "legal aid", "justice"),
    "wish.mediation": ((True,), "mediation", "justice"),
    "wish.health-advice": ((True,), "health advice", "health"),
    "wish.fire-check": ((True,), "fire safety check", "fire"),
    "wish.wage-help": ((True,), "unpaid wages", "labour"),
    "wish.work-training": ((True,), "work or training", "labour"),
    "wish.housing-repair": ((True,), "repair of the home", "housing"),
    "health.chronic-illness": ((True,), "follow-up of a chronic illness", "health"),
    "work.wages-unpaid": ((True,), "unpaid wages", "labour"),
    "work.seeking": ((True,), "work or training", "labour"),
    "dwelling.gas-smell": ((True,), "gas leak", "fire"),
    "dwelling.gas-hose": (("expired", "cracked"), "new gas hose", "fire"),
    "dwelling.wiring": (("unsafe",), "wiring", "fire"),
    "dwelling.e-bike-charging": ((True,), "e-bike indoors", "fire"),
    "dwelling.structure": (("danger",), "dangerous structure", "housing"),
    "dwelling.heating": (("none",), "no heating", "civil-affairs"),
    "place.e-bike-charging": ((True,), "e-bikes in the stairwell", "fire"),
    "place.exit-blocked": ((True,), "blocked exit", "fire"),
}


class Owed(NamedTuple):
    """One request: about whom, what for, and who owes it."""

    subject: int
    what: str
    department: str


class Stated(NamedTuple):
    """One subject of a record with its facts."""

    kind: SubjectKind
    facts: tuple[Fact, ...]


def stated(body: dict[str, Any]) -> list[Stated]:
    """The subjects of a record with their facts, as contracts."""
    return [
        Stated(SubjectKind(one["kind"]), tuple(Fact.model_validate_json(json.dumps(fact)) for fact in one["facts"]))
        for one in body["subjects"]
    ]


def expected(record: list[Stated]) -> set[Owed]:
    """What the table says is owed."""
    return {
        Owed(place, TABLE[fact.code][1], TABLE[fact.code][2])
        for place, subject in enumerate(record)
        for fact in subject.facts
        if fact.code in TABLE and fact.value in TABLE[fact.code][0]
    }


def reached(record: list[Stated]) -> set[tuple[int, str, str]]:
    """What triage finds and routing sends, if the reviewer confirms everything: subject, need type and department."""
    requests = [
        (place, finding.need.need_type, str(route(finding.need.need_type)))
        for place, subject in enumerate(record)
        for finding in assess(PACK, subject.kind, subject.facts, at=NOW).findings
    ]
    assert len(set(requests)) == len(requests), "one request was opened twice"
    return set(requests)


def by_department(requests: Iterable[tuple[int, str, str]]) -> Counter[tuple[int, str]]:
    """How many requests about each subject reach each department."""
    return Counter((subject, department) for subject, _, department in requests)


def without(record: list[Stated], fact: Fact) -> list[Stated]:
    """The record as if that had not been said."""
    return [Stated(one.kind, tuple(other for other in one.facts if other is not fact)) for one in record]


RECORDS = [stated(body) for body in draw_records(2026, 50, now=NOW)]


def test_the_draw_covers_every_row_of_the_table_and_every_department() -> None:
    said = {fact.code for record in RECORDS for subject in record for fact in subject.facts}
    assert set(TABLE) <= said
    assert {owed.department for record in RECORDS for owed in expected(record)} == set(map(str, Department))
    assert any(not expected(record) for record in RECORDS), "no record without a need was drawn"


@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_a_drawn_record_reaches_the_departments_of_the_table(number: int) -> None:
    record = RECORDS[number]
    assert by_department(reached(record)) == by_department(expected(record))


@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_a_fact_taken_away_takes_away_exactly_its_request(number: int) -> None:
    record = RECORDS[number]
    before = reached(record)
    for place, subject in enumerate(record):
        for fact in subject.facts:
            rest = without(record, fact)
            after, gone = reached(rest), expected(record) - expected(rest)
            assert after <= before
            assert by_department(before - after) == by_department(gone)
            assert len(gone) == (1 if calls_alone(place, fact, rest) else 0)


def calls_alone(place: int, fact: Fact, rest: list[Stated]) -> bool:
    """Whether the fact asks for something that nothing else said of the same subject asks for."""
    if fact.code not in TABLE or fact.value not in TABLE[fact.code][0]:
        return False
    return all((owed.subject, owed.what) != (place, TABLE[fact.code][1]) for owed in expected(rest))


def test_the_demonstration_reaches_civil_affairs_health_justice_and_fire() -> None:
    record = stated(demonstration(1, now=NOW))
    assert {(owed.what, owed.department) for owed in expected(record)} == {
        ("minimum living allowance", "civil-affairs"),
        ("follow-up of a chronic illness", "health"),
        ("legal aid", "justice"),
        ("new gas hose", "fire"),
        ("e-bikes in the stairwell", "fire"),
    }
    assert by_department(reached(record)) == by_department(expected(record))
