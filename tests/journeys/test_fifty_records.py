"""Fifty drawn records reach the departments that a table written by hand says, and a fact taken away takes its request.

The table below was written from the list of services, not from the rules: it is the second opinion on both the rule
pack and the routing.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

import pytest

from doorstep.contracts.codes import Department
from doorstep.contracts.facts import CATALOGUE, Fact, SubjectKind
from doorstep.contracts.needs import NEED_TYPES
from doorstep.intake.domain.record import flaws
from doorstep.intake.schemas import RecordBody
from doorstep.kit.testing import eventually
from doorstep.local.front_door import FrontDoor, Refused
from doorstep.local.records import demonstration, draw_records
from doorstep.local.stack import Stack, StackOptions, running_stack
from doorstep.referral.domain.routing import route
from doorstep.risk.domain.assessment import assess
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import published_pack

STATION = "xingfuli"
NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
PACK = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)

# fact -> values that call for help -> what for -> the department that owes it
TABLE: dict[str, tuple[tuple[object, ...], str, str]] = {
    "wish.minimum-living-allowance": ((True,), "minimum living allowance", "civil-affairs"),
    "wish.temporary-relief": ((True,), "temporary relief", "civil-affairs"),
    "wish.emergency-food": ((True,), "food", "civil-affairs"),
    "wish.legal-aid": ((True,), "legal aid", "justice"),
    "wish.mediation": ((True,), "mediation", "justice"),
    "wish.health-advice": ((True,), "health advice", "health"),
    "wish.counselling": ((True,), "counselling", "health"),
    "wish.fire-check": ((True,), "fire safety check", "fire"),
    "wish.wage-help": ((True,), "unpaid wages", "labour"),
    "wish.work-training": ((True,), "work or training", "labour"),
    "wish.housing-repair": ((True,), "repair of the home", "housing"),
    "living.without-food": ((True,), "food", "civil-affairs"),
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


def stated(body: dict[str, Any], *, now: datetime = NOW) -> list[Stated]:
    """The subjects of a record with their facts, as intake takes them; it finds nothing wrong with them."""
    record = RecordBody.model_validate_json(json.dumps(body)).record()
    assert flaws(record, now=now) == []
    return [Stated(subject.kind, subject.facts) for subject in record.subjects]


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


BODIES = draw_records(2026, 50, now=NOW)
RECORDS = [stated(body) for body in BODIES]


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


async def test_fifty_drawn_records_reach_the_departments_of_the_table_through_the_services() -> None:
    now = datetime.now(UTC)
    bodies = [*draw_records(2026, 50, now=now), *demonstration_with_one_fact_less(now)]
    wanted = [by_department(expected(stated(body, now=now))) for body in bodies]
    async with running_stack(StackOptions(durable=False, port=0)) as stack, Station(stack) as station:
        await each(station.collector.hand_in, bodies)
        needs = await each(station.confirm_all, bodies)
        for body, subjects, counted in zip(bodies, needs, wanted, strict=True):
            await station.wait_for(body, sum(counted.values()))
            assert set(subjects.values()) == {subject for subject, _ in counted}
        opened = await each(station.requests, bodies)
    for number, requests in enumerate(opened):
        reached_of = Counter((needs[number][one["need_id"]], one["tasks"][0]["department"]) for one in requests)
        assert reached_of == wanted[number], f"record {number}"
        assert all(len(one["tasks"]) == 1 for one in requests)


async def each(ask: Callable[[dict[str, Any]], Awaitable[Any]], bodies: list[dict[str, Any]]) -> list[Any]:
    """What `ask` gives for each body, eight at a time."""
    turns = asyncio.Semaphore(8)

    async def one(body: dict[str, Any]) -> Any:
        async with turns:
            return await ask(body)

    return await asyncio.gather(*map(one, bodies))


def demonstration_with_one_fact_less(now: datetime) -> list[dict[str, Any]]:
    """The record of the demonstration, and once more without each of its facts in turn, at a door of its own."""
    bodies = [demonstration(1, now=now)]
    for subject in range(len(bodies[0]["subjects"])):
        for fact in range(len(bodies[0]["subjects"][subject]["facts"])):
            body = demonstration(100 * (subject + 1) + fact, now=now)
            del body["subjects"][subject]["facts"][fact]
            bodies.append(body)
    return bodies


class Station:
    """The station's people at the front door: one hands records in, another confirms whatever triage suggests."""

    def __init__(self, stack: Stack) -> None:
        self.collector = FrontDoor(stack.front_door, lambda: stack.token("collector", station=STATION))
        self.reviewer = FrontDoor(stack.front_door, lambda: stack.token("reviewer", station=STATION))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.collector.__aexit__(None, None, None)
        await self.reviewer.__aexit__(None, None, None)

    async def confirm_all(self, body: dict[str, Any]) -> dict[str, int]:
        """Confirm whatever waits, once the record is assessed; gives the place of each need's subject."""
        path, found = f"/api/assessments/{body['record_id']}", dict[str, Any]()

        async def assessed() -> bool:
            try:
                found.update(await self.reviewer.read(path, "triage"))
            except Refused as refused:
                assert refused.status == 404, refused
            return bool(found)

        await eventually(assessed, within=60)
        for need in found["needs"]:
            if need["state"] == "suggested":
                await self.reviewer.decide(need["need_id"], "confirmed", "经电话核实")
        places = {subject["subject_id"]: place for place, subject in enumerate(body["subjects"])}
        return {need["need_id"]: places[need["subject_id"]] for need in found["needs"]}

    async def requests(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The requests that came of the record so far."""
        answer = await self.reviewer.read(f"/api/requests?record_id={body['record_id']}", "triage")
        found: list[dict[str, Any]] = answer["requests"]
        return found

    async def wait_for(self, body: dict[str, Any], count: int) -> None:
        """Wait until so many requests have come of the record."""

        async def all_opened() -> bool:
            return len(await self.requests(body)) >= count

        await eventually(all_opened, within=60)
