"""Every pair of states, by each party, on a fresh and on a stale version, as operations and over both doors."""

import itertools
from typing import Any

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Outcome, Reason, Role, TaskState
from doorstep.kit.auth import Principal
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.domain.states import OPEN, Party, Standing, Step, decide
from doorstep.referral.errors import TransitionRefused, VersionStale
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.tasks import Wish, transition_request, transition_task

PAIRS = list(itertools.product(TaskState, TaskState))
REASONS = {Party.RESIDENT: Reason.RESIDENT_WITHDREW}
OFFICER = Principal("officer-justice", Role.OFFICER, "justice")


class Officer:
    """Stands in for the authenticator: everybody is the officer of the department."""

    async def verify(self, token: str) -> Principal:
        return OFFICER


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    made = await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")
    made.service.authenticator = Officer()
    return made


@pytest.fixture
def desk(front, desk_over):
    """A desk with a record of its own."""
    return desk_over(front.database, front.vault)


async def put(desk: Any, task: Any, state: TaskState) -> int:
    """Put a task where a walk begins; gives its version."""
    async with desk.database.transaction() as session:
        query = (
            "UPDATE task SET state = :state, business_status = NULL, proposal = NULL, closed_at = NULL"
            " WHERE task_id = :id RETURNING version"
        )
        return (await session.execute(text(query), {"state": state, "id": task.task_id})).scalar_one()


async def standing(desk: Any, task: Any) -> tuple[str, int, bool]:
    """State and version of a task, and whether something waits for a word."""
    (row,) = await desk.rows("SELECT state, version, proposal FROM task WHERE task_id = :id", id=task.task_id)
    return row.state, row.version, row.proposal is not None


def published(source: TaskState, target: TaskState, party: Party, person: str) -> Standing | str:
    """Where the machine of states leads, or the name of its refusal."""
    step = Step(target, party, person, REASONS.get(party, Reason.DUPLICATE), Outcome.ADVICE_GIVEN)
    try:
        return decide(Standing(source), step)
    except TransitionRefused as refusal:
        return type(refusal).__name__


async def walk(
    desk: Any, task: Any, target: TaskState, party: Party, version: int, part: int | None = None
) -> str | None:
    """One step as an operation; gives the name of the refusal, if it is one."""
    wish = Wish(target, version, None, REASONS.get(party, Reason.DUPLICATE), Outcome.ADVICE_GIVEN, part=part)
    how: dict[str, Any] = {"vault": desk.vault, "wish": wish, "now": desk.now}
    try:
        async with desk.database.transaction() as session:
            if party is Party.DEPARTMENT:
                await transition_task(session, access=Access(OFFICER), department="justice", ref=task.ref, **how)
            else:
                how |= {"station": "station-7", "request_id": task.request_id, "access": Access(desk.second)}
                await transition_request(session, **how)
    except (TransitionRefused, VersionStale) as refusal:
        return type(refusal).__name__
    return None


@pytest.mark.parametrize("party", [Party.STATION, Party.DEPARTMENT])
async def test_every_pair_is_walked_as_published_and_never_on_a_stale_version(desk, party) -> None:
    task = await desk.opened("legal-aid")
    for source, target in PAIRS:
        version = await put(desk, task, source)
        for stale in (version - 1, version + 1):
            assert await walk(desk, task, target, party, stale) == "VersionStale", (source, target)
        assert await standing(desk, task) == (source, version, False)
        due = published(source, target, party, "reviewer-2")
        refused = await walk(desk, task, target, party, version)
        if isinstance(due, str):
            assert refused == due, (source, target)
            assert await standing(desk, task) == (source, version, False)
        else:
            assert refused is None
            assert await standing(desk, task) == (due.state, version + 1, due.proposal is not None), (source, target)


async def test_the_resident_withdraws_through_the_station_from_every_state_that_is_open(desk) -> None:
    task = await desk.opened("legal-aid")
    for source in TaskState:
        version = await put(desk, task, source)
        assert await walk(desk, task, TaskState.CANCELLED, Party.RESIDENT, version - 1) == "VersionStale"
        due = published(source, TaskState.CANCELLED, Party.RESIDENT, "reviewer-2")
        refused = await walk(desk, task, TaskState.CANCELLED, Party.RESIDENT, version)
        expected = due if isinstance(due, str) else None
        assert refused == expected, source
        ends = (source, version) if expected else (TaskState.CANCELLED, version + 1)
        assert await standing(desk, task) == (*ends, False)


@pytest.mark.parametrize("party", Party)
async def test_every_pair_of_a_part_is_walked_as_of_a_whole_and_no_other_part_moves(desk, party) -> None:
    lead = await desk.opened("minimum-living-allowance")
    task = await desk.add(lead, "justice", "mediation")
    other = await desk.add(lead, "health", "health-advice")
    part = None if party is Party.DEPARTMENT else task.part
    for source, target in PAIRS:
        if party is Party.RESIDENT and target is not TaskState.CANCELLED:
            continue  # the resident's only step is to withdraw
        version = await put(desk, task, source)
        assert await walk(desk, task, target, party, version - 1, part) == "VersionStale", (source, target)
        due = published(source, target, party, "reviewer-2")
        refused = await walk(desk, task, target, party, version, part)
        if isinstance(due, str):
            assert (refused, await standing(desk, task)) == (due, (source, version, False)), (source, target)
        else:
            ends = (due.state, version + 1, due.proposal is not None)
            assert (refused, await standing(desk, task)) == (None, ends), (source, target)
    for untouched in (lead, other):
        assert await standing(desk, untouched) == ("requested", 1, False)


@pytest.mark.parametrize("first", sorted(TaskState))
async def test_whatever_two_parts_are_in_the_resident_sees_one_state_and_withdraws_what_is_open(desk, first) -> None:
    lead = await desk.opened("minimum-living-allowance")
    task = await desk.add(lead, "justice", "mediation")
    for second in TaskState:
        before = {lead.task_id: await put(desk, lead, first), task.task_id: await put(desk, task, second)}
        version = before[lead.task_id]
        assert await walk(desk, lead, TaskState.CANCELLED, Party.RESIDENT, version + 1) == "VersionStale"
        refused = await walk(desk, lead, TaskState.CANCELLED, Party.RESIDENT, version)
        assert (refused is None) == bool({first, second} & OPEN), second
        for one, state in ((lead, first), (task, second)):
            moved = state in OPEN
            ends = (TaskState.CANCELLED if moved else state, before[one.task_id] + moved, False)
            assert await standing(desk, one) == ends, (state, second)


def in_json(target: TaskState) -> tuple[str, dict[str, Any], str]:
    body = {"id": str(uuid7()), "to": target, "reason": "duplicate", "outcome": "advice-given"}
    return "transitions", body, "application/json"


def in_fhir(target: TaskState) -> tuple[str, dict[str, Any], str]:
    kind = {"coding": [{"system": "urn:doorstep:task-output", "code": "outcome"}]}
    outcome = {"coding": [{"system": "urn:doorstep:outcome", "code": "advice-given"}]}
    body = {
        "resourceType": "Task", "status": target, "intent": "order",
        "identifier": [{"system": "urn:doorstep:step", "value": str(uuid7())}],
        "statusReason": {"coding": [{"system": "urn:doorstep:reason", "code": "duplicate"}]},
        "output": [{"type": kind, "valueCodeableConcept": outcome}],
    }  # fmt: skip
    return "fhir", body, "application/fhir+json"


def code(answer: Any) -> str:
    """The code of a refusal, in either form; nothing for what was done."""
    if "issue" in answer.body:
        return answer.body["issue"][0]["details"]["coding"][0]["code"]
    return answer.body.get("type", "").rpartition(":")[2]


async def test_a_department_is_answered_alike_at_both_doors_for_every_pair(front, desk) -> None:
    task = await desk.opened("legal-aid")
    for source, target in PAIRS:
        found = []
        for say in (in_json, in_fhir):
            version = await put(desk, task, source)
            tail, body, kind = say(target)
            address = f"/api/departments/justice/requests/{task.ref}/{tail}"
            stale = await front.call("POST", address, "x", body, if_match=f'"{version + 1}"', content_type=kind)
            assert (stale.status, code(stale)) == (412, "version-stale")
            answer = await front.call("POST", address, "x", body, if_match=f'"{version}"', content_type=kind)
            state, after, waits = await standing(desk, task)
            found.append((answer.status, code(answer), state, after - version, waits))
        assert found[0] == found[1], (source, target)
