"""A department that completes a request attests what its office decided or found, and nothing else."""

from datetime import timedelta
from uuid import UUID

import pytest

from doorstep.contracts.codes import Outcome, TaskState
from doorstep.contracts.intake import StatedFacts
from doorstep.contracts.referral import FactsAttested
from doorstep.referral.domain.attesting import Attested
from doorstep.referral.errors import AttestationRefused


async def attesting(desk, task, *attested: Attested, to: TaskState = TaskState.COMPLETED):
    return await desk.step(task, to, outcome=Outcome.GRANTED, attests=attested)


async def told(desk, task) -> list[FactsAttested]:
    """What the registry is told."""
    rows = await desk.rows(
        "SELECT body FROM outbox WHERE topic = 'referral.attestations' AND subject = :id", id=task.subject_id
    )
    return [FactsAttested.model_validate_json(bytes(row.body)) for row in rows]


async def test_with_completion_the_registry_is_told_what_the_department_states(desk) -> None:
    task = await desk.opened("minimum-living-allowance")
    await desk.step(task, TaskState.ACCEPTED)
    since = desk.now - timedelta(days=1)
    done = await attesting(desk, task, Attested("benefits.minimum-living", True, since))
    assert done.state is TaskState.COMPLETED
    (event,) = await told(desk, task)
    assert (event.request_id, event.file_id, event.record_id) == (task.request_id, task.file_id, task.record_id)
    ring = await desk.vault.ring([task.subject_id])
    (fact,) = ring.open(event.facts, StatedFacts).facts
    assert (fact.code, fact.value, fact.since) == ("benefits.minimum-living", True, since)
    assert (fact.said_by, fact.attested_by, fact.legal_basis) == ("department", "civil-affairs", "consent")
    assert isinstance(fact.fact_id, UUID)


@pytest.mark.parametrize(
    ("need_type", "code", "value", "where"),
    [
        ("wage-help", "benefits.minimum-living", True, "/attests/0/code"),
        ("wage-help", "petition.count", 1, "/attests/0/code"),
        ("minimum-living-allowance", "health.chronic-illness", True, "/attests/0/code"),
        ("gas-leak", "place.exit-blocked", True, "/attests/0/code"),
        ("minimum-living-allowance", "benefits.minimum-living", "yes", "/attests/0/value"),
        ("structure-danger", "dwelling.structure", "falling", "/attests/0/value"),
    ],
)
async def test_what_is_not_its_own_to_say_is_refused_and_nothing_moves(desk, need_type, code, value, where) -> None:
    task = await desk.opened(need_type)
    await desk.step(task, TaskState.ACCEPTED)
    with pytest.raises(AttestationRefused) as refused:
        await attesting(desk, task, Attested(code, value, desk.now))
    assert [flaw.where for flaw in refused.value.flaws] == [where]
    assert (await desk.task(task.need_id)).state == "accepted"
    assert await told(desk, task) == []


async def test_times_and_repetitions_are_checked(desk) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.ACCEPTED)
    late = Attested("work.wages-unpaid", True, desk.now + timedelta(hours=1))
    over = Attested("work.wages-unpaid", True, desk.now, desk.now)
    with pytest.raises(AttestationRefused) as refused:
        await attesting(desk, task, late, over)
    assert [flaw.where for flaw in refused.value.flaws] == [
        "/attests/0/since", "/attests/1/until", "/attests/1/code",
    ]  # fmt: skip


async def test_only_a_completion_attests_and_nothing_that_concerns_violence(desk) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.ACCEPTED)
    with pytest.raises(AttestationRefused):
        await attesting(desk, task, Attested("work.wages-unpaid", False, desk.now), to=TaskState.IN_PROGRESS)
    guarded = await desk.opened("protection-from-violence")
    await desk.step(guarded, TaskState.ACCEPTED)
    with pytest.raises(AttestationRefused):
        await attesting(desk, guarded, Attested("work.wages-unpaid", False, desk.now))
