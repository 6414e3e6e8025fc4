"""Whoever was suspended as a guardian stays so when the child leaves the household, with whomever."""

import runpy
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.audit.queries import Trusted
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.registry import GuardianRecorded, HouseholdLeft
from doorstep.kit.consumer import Received
from doorstep.local.records import person, record

_FAMILY = runpy.run_path(str(Path(__file__).with_name("test_guardians.py")))
Family, TRAINING, NOBODY, WHY = (_FAMILY[name] for name in ("Family", "TRAINING", "NOBODY", "WHY"))


@pytest.fixture(scope="module", autouse=True)
async def open_log(estate: Any) -> None:
    """The log answers who looked."""
    state = estate.desks["audit"].call.app.state
    state.verifier_keys, state.trusted = ("key",), Trusted()


async def leave(made: Any, *along: int) -> Any:
    """The child leaves, and others go along; the answer, after all services heard of it."""
    path = f"/api/files/{made.file_id}/subjects/{made.mention(2)}/departure"
    body = {"id": str(uuid7()), "together": [made.mention(one) for one in along]}
    answer = await made.estate.ask("POST", path, "reviewer", body, doorstep_purpose=WHY)
    assert answer.status == 201, answer.body
    await made.estate.flow()
    return answer.body


@pytest.mark.parametrize("along", [(0,), (1,), ()], ids=["the-guardian-himself", "the-other-parent", "alone"])
async def test_who_was_suspended_stays_so_when_the_child_leaves_with_whomever(estate: Any, along: tuple[int]) -> None:
    """Not recorded again in the new file, by nothing but the same mention or the same paper; and codes stay closed."""
    made = Family(estate, 90 + len(along) + sum(along))
    await made.visited(TRAINING)
    await made.guarded()
    await made.suspended()
    left = await leave(made, *along)
    codes = {one["subject_id"]: one["follow_code"] for one in left["codes"]}
    assert await made.shown(codes[made.mention(2)]) == await made.shown(NOBODY)
    subjects = [person(made.people[who], ()) for who in (0, 1)]
    body = record(made.rng, (*subjects, person(made.people[2], [TRAINING])), now=made.now)
    body |= {"file_id": left["file_id"], "household": "known"}
    handed = await estate.hand_in(body)
    mother, father, child = (one["subject_id"] for one in body["subjects"])
    assert await made.shown(handed[child]) == await made.shown(NOBODY)  # nor by a receipt of the new place
    path, why = f"/api/files/{left['file_id']}/subjects/{child}/guardian", {"doorstep_purpose": WHY}
    wish = {"id": str(uuid7()), "guardian": mother, "basis": "parent"}
    refused = await estate.ask("PUT", path, "reviewer", wish, **why)
    assert refused.body["type"].endswith("guardian-suspended"), refused.body
    taken = await estate.ask("PUT", path, "reviewer", wish | {"id": str(uuid7()), "guardian": father}, **why)
    await estate.flow()
    assert len((await made.shown(taken.body["guardian_code"]))[0]["requests"]) == 2
    assert await made.shown(codes[made.mention(2)]) == await made.shown(NOBODY)


async def test_whichever_of_leaving_and_suspension_is_heard_first_the_codes_stay_closed(estate: Any) -> None:
    made = Family(estate, 96)
    await made.visited(TRAINING)
    await made.guarded()
    await made.suspended()
    left = await leave(made, 1)
    [code] = [one["follow_code"] for one in left["codes"] if one["subject_id"] == made.mention(2)]
    found = await estate.desks["registry"].rows(
        "SELECT type, body FROM outbox WHERE key = :key ORDER BY position", key=UUID(left["file_id"])
    )
    kinds = {one.event_type: one for one in (GuardianRecorded, HouseholdLeft)}
    events = [kinds[row.type].model_validate_json(row.body) for row in found if row.type in kinds]
    assert {type(one) for one in events} == {GuardianRecorded, HouseholdLeft}
    for group, moved in (("referral", "moved_mention"), ("audit", "moved")):
        desk = estate.desks[group]
        for order in (events, events[::-1]):
            async with desk.database.transaction() as session:
                for table in ("guardian", moved):
                    await session.execute(text(f"DELETE FROM {table}"))  # noqa: S608
            for event in order:
                envelope = Envelope(
                    id=uuid4(), source="registry", type=event.event_type, time=made.now, key=event.file_id
                )
                await estate.take(group, [Received(envelope, event, "registry.proxies", b"{}")])
            assert await made.shown(code) == await made.shown(NOBODY)


async def test_a_guardian_who_was_not_suspended_ends_with_leaving_and_may_be_recorded_anew(estate: Any) -> None:
    made = Family(estate, 97)
    await made.visited(TRAINING)
    code = (await made.guarded()).body["guardian_code"]
    left = await leave(made, 0)
    assert await made.shown(code) == await made.shown(NOBODY)
    path = f"/api/files/{left['file_id']}/subjects/{made.mention(2)}/guardian"
    wish = {"id": str(uuid7()), "guardian": made.mention(0), "basis": "parent"}
    anew = await estate.ask("PUT", path, "reviewer", wish, doorstep_purpose=WHY)
    await estate.flow()
    assert len((await made.shown(anew.body["guardian_code"]))[0]["requests"]) == 1


async def test_whoever_was_suspended_stays_so_after_another_guardian_and_after_leaving(estate: Any) -> None:
    """And a receipt that is handed to the household opens nothing, whoever is the guardian now."""
    made = Family(estate, 98)
    await made.visited(TRAINING)
    await made.guarded(0)
    await made.suspended()
    assert (await made.guarded(1)).status == 200
    assert (await made.guarded(0)).body["type"].endswith("guardian-suspended")
    await made.visited(TRAINING)
    assert await made.shown(made.code(of=1)) == await made.shown(NOBODY)
    left = await leave(made, 0, 1)
    [code] = [one["follow_code"] for one in left["codes"] if one["subject_id"] == made.mention(2)]
    assert await made.shown(code) == await made.shown(NOBODY)
    path = f"/api/files/{left['file_id']}/subjects/{made.mention(2)}/guardian"
    for guardian, problem in ((0, "guardian-suspended"), (1, None)):
        wish = {"id": str(uuid7()), "guardian": made.mention(guardian), "basis": "parent"}
        answer = await estate.ask("PUT", path, "reviewer", wish, doorstep_purpose=WHY)
        assert answer.body.get("type", "").endswith(problem or ""), answer.body
        assert (answer.status == 200) is (problem is None)


async def test_two_who_were_suspended_one_after_the_other_both_stay_so(estate: Any) -> None:
    made = Family(estate, 99)
    await made.visited(TRAINING)
    for one in (0, 1):
        assert (await made.guarded(one)).status == 200
        assert (await made.suspended()).status == 201
    for one in (0, 1):
        assert (await made.guarded(one)).body["type"].endswith("guardian-suspended")
