"""A reviewer looks at an assessment and decides, once, on what was suggested."""

import asyncio
import hashlib
import json
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.needs import Need


@pytest.fixture
async def record(desk, fact):
    """A record with a wish, an illness and a gas leak."""
    return await desk.assessed(
        person=[fact("wish.legal-aid"), fact("health.chronic-illness"), fact("living.alone")],
        dwelling=[fact("dwelling.gas-smell")],
    )


async def looked_at(call, record):
    answer = await call("GET", f"/api/assessments/{record.record_id}", token="reviewer", purpose="triage")
    assert answer.status == 200
    return {need["need_type"]: need for need in answer.body["needs"]}


def decision(word: str = "confirmed", reason: str = "电话核实过", command: UUID | None = None) -> dict[str, str]:
    return {"id": str(command or uuid7()), "decision": word, "reason": reason}


async def test_a_reviewer_sees_needs_with_rule_facts_and_state_the_urgent_first(call, record) -> None:
    answer = await call("GET", f"/api/assessments/{record.record_id}", token="reviewer", purpose="triage")
    assert [need["need_type"] for need in answer.body["needs"]] == [
        "gas-leak",
        "legal-aid",
        "chronic-illness-follow-up",
    ]
    legal = answer.body["needs"][1]
    assert (legal["state"], legal["rule"], legal["department"]) == ("handed-on", "wish-legal-aid", "justice")
    assert [fact["code"] for fact in legal["facts"]] == ["wish.legal-aid"]
    assert answer.body["needs"][0]["state"] == "suggested"
    gaps = {gap["rule"]: gap["missing"] for one in answer.body["subjects"] for gap in one["not_evaluated"]}
    assert gaps["wages-unpaid"] == ["work.wages-unpaid"]
    assert "16900001234" not in json.dumps(answer.body)


async def test_a_look_is_logged_for_every_subject_with_its_purpose(call, desk, record) -> None:
    await looked_at(call, record)
    for subject in desk.subjects.values():
        entry = (await desk.logged(subject))[-1]
        assert (entry["action"], entry["actor"], entry["purpose"]) == ("read-assessment", "reviewer-1", "triage")
        assert entry["policies"]


@pytest.mark.parametrize(
    ("token", "purpose", "status"),
    [
        (None, "triage", 401),
        ("forged", "triage", 401),
        ("collector", "triage", 403),
        ("officer", "triage", 403),
        ("reviewer", None, 403),
        ("reviewer", "curiosity", 403),
        ("reviewer", "service", 403),
        ("own-reviewer", "triage", 403),
        ("stranger", "triage", 404),
    ],
)
async def test_who_has_no_business_here_sees_nothing(call, desk, record, token, purpose, status) -> None:
    answer = await call("GET", f"/api/assessments/{record.record_id}", token=token, purpose=purpose)
    assert answer.status == status
    assert "needs" not in answer.body
    for subject in desk.subjects.values():
        tries = [
            (one["action"], one["outcome"]) for one in await desk.logged(subject) if one["action"] != "assess-needs"
        ]
        code = answer.body["type"].rpartition(":")[2]
        assert tries == ([] if status == 401 else [("read-assessment", f"refused:{code}")])


async def test_keeping_somebody_from_their_own_record_is_logged(call, desk, record) -> None:
    need = (await looked_at(call, record))["chronic-illness-follow-up"]
    await call("GET", f"/api/assessments/{record.record_id}", token="own-reviewer", purpose="follow-up")
    await call("POST", f"/api/needs/{need['need_id']}/decision", token="own-reviewer", body=decision())
    look, word = (await desk.logged(desk.subjects["person"]))[-2:]
    for entry, action in ((look, "read-assessment"), (word, "decide-need")):
        assert (entry["action"], entry["outcome"], entry["actor"]) == (action, "refused:own-record", "collector-1")
    assert (look["case"], word["case"]) == (str(record.record_id), need["need_id"])


async def test_an_unknown_record_has_no_assessment(call) -> None:
    answer = await call("GET", f"/api/assessments/{uuid4()}", token="reviewer", purpose="triage")
    assert (answer.status, answer.body["type"]) == (404, "urn:doorstep:problem:record-not-assessed")


@pytest.mark.parametrize("word", ["confirmed", "rejected"])
async def test_a_decision_is_published_with_the_need_and_without_the_reason(call, desk, record, word) -> None:
    need = (await looked_at(call, record))["chronic-illness-follow-up"]
    answer = await call("POST", f"/api/needs/{need['need_id']}/decision", token="reviewer", body=decision(word))
    assert (answer.status, answer.body) == (200, {"need_id": need["need_id"], "decision": word})
    decided = (await desk.published(record.file_id))[-1]
    ring = await desk.vault.ring(desk.subjects.values())
    assert decided.decision == word
    assert ring.open(decided.need.need, Need).need_type == "chronic-illness-follow-up"
    assert decided.decided_by != record.recorded_by
    after = (await looked_at(call, record))["chronic-illness-follow-up"]
    assert (after["state"], after["reason"]) == (word, "电话核实过")
    entry = next(one for one in await desk.logged(desk.subjects["person"]) if one["action"] == "decide-need")
    assert (entry["outcome"], entry["actor"], entry["case"]) == (word, "reviewer-1", str(record.record_id))


async def test_the_same_command_again_is_answered_again_and_changes_nothing(call, desk, record) -> None:
    need = (await looked_at(call, record))["gas-leak"]
    body = decision()
    answers = [await call("POST", f"/api/needs/{need['need_id']}/decision", token="reviewer", body=body) for _ in "12"]
    assert answers[0] == answers[1]
    assert len(await desk.published(record.file_id)) == 2
    other = await call(
        "POST", f"/api/needs/{need['need_id']}/decision", token="reviewer", body={**body, "decision": "rejected"}
    )
    assert (other.status, other.body["type"]) == (409, "urn:doorstep:problem:id-reused")


async def test_a_need_is_decided_once(call, desk, record) -> None:
    path = f"/api/needs/{(await looked_at(call, record))['gas-leak']['need_id']}/decision"
    assert (await call("POST", path, token="reviewer", body=decision("confirmed"))).status == 200
    assert (await call("POST", path, token="colleague", body=decision("confirmed"))).status == 200
    other = await call("POST", path, token="colleague", body=decision("rejected"))
    assert (other.status, other.body["type"]) == (409, "urn:doorstep:problem:decided-already")
    assert len(await desk.published(record.file_id)) == 2


async def test_of_two_simultaneous_decisions_one_stands(call, desk, record) -> None:
    path = f"/api/needs/{(await looked_at(call, record))['gas-leak']['need_id']}/decision"
    words = ["confirmed", "rejected"] * 3
    answers = await asyncio.gather(*(call("POST", path, token="reviewer", body=decision(word)) for word in words))
    standing = {answer.body["decision"] for answer in answers if answer.status == 200}
    assert len(standing) == 1
    assert {answer.status for answer in answers} == {200, 409}
    assert len(await desk.published(record.file_id)) == 2


@pytest.mark.parametrize(
    ("need_type", "token", "status", "problem"),
    [
        ("gas-leak", "own-reviewer", 403, "own-record"),
        ("gas-leak", "collector", 403, "forbidden"),
        ("gas-leak", "officer", 403, "forbidden"),
        ("gas-leak", "stranger", 404, "need-unknown"),
        ("gas-leak", None, 401, "not-authenticated"),
        ("legal-aid", "reviewer", 409, "need-wanted"),
    ],
)
async def test_a_decision_that_does_not_stand_changes_nothing(
    call, desk, record, need_type, token, status, problem
) -> None:
    need = (await looked_at(call, record))[need_type]
    body = decision()
    answer = await call("POST", f"/api/needs/{need['need_id']}/decision", token=token, body=body)
    assert (answer.status, answer.body["type"]) == (status, f"urn:doorstep:problem:{problem}")
    refused = [one["outcome"] for one in await desk.logged(UUID(need["subject_id"])) if one["action"] == "decide-need"]
    assert refused == ([f"refused:{problem}"] if status in (403, 404) else [])
    assert len(await desk.published(record.file_id)) == 1
    assert await desk.rows("SELECT 1 FROM decision WHERE need_id = CAST(:id AS uuid)", id=need["need_id"]) == []
    assert await desk.rows("SELECT 1 FROM command WHERE id = CAST(:id AS uuid)", id=body["id"]) == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"decision": "perhaps"}, "/decision"),
        ({"id": "7"}, "/id"),
        ({"id": "00000000-0000-4000-8000-000000000000"}, "/id"),
        ({"reason": ""}, "/reason"),
        ({"reason": "  "}, "/reason"),
        ({"reason": "a\0b"}, "/reason"),
        ({"reason": "长" * 501}, "/reason"),
        ({"score": 3}, "/score"),
    ],
)
async def test_a_malformed_decision_names_the_field(call, record, change, pointer) -> None:
    need = (await looked_at(call, record))["gas-leak"]
    answer = await call(
        "POST", f"/api/needs/{need['need_id']}/decision", token="reviewer", body={**decision(), **change}
    )
    assert answer.status == 422
    assert [error["pointer"] for error in answer.body["errors"]] == [pointer]


async def test_an_erased_subject_is_left_out_and_cannot_be_decided_on(call, desk, record) -> None:
    need = (await looked_at(call, record))["chronic-illness-follow-up"]
    await desk.vault.destroy(desk.subjects["person"])
    assert set(await looked_at(call, record)) == {"gas-leak"}
    answer = await call("POST", f"/api/needs/{need['need_id']}/decision", token="reviewer", body=decision())
    assert answer.status == 410


async def test_anybody_reads_the_rule_pack_and_can_recompute_its_digest(call, desk, record) -> None:
    answer = await call("GET", "/api/rule-packs/current")
    assert answer.status == 200
    canonical = json.dumps(answer.body["pack"], ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert answer.body["digest"] == hashlib.sha256(canonical).hexdigest()
    (assessed,) = await desk.published(record.file_id)
    assert assessed.rule_pack == answer.body["name"] == f"2026-1@{answer.body['digest']}"


async def test_health_facts_are_seen_for_triage_where_a_rule_read_them_and_for_nothing_else(call, record) -> None:
    path, seen = f"/api/assessments/{record.record_id}", {}
    for purpose in ("triage", "follow-up"):
        needs = (await call("GET", path, token="reviewer", purpose=purpose)).body["needs"]
        seen[purpose] = {fact["code"] for need in needs for fact in need["facts"]}
    assert "health.chronic-illness" in seen["triage"]
    assert seen["follow-up"] == seen["triage"] - {"health.chronic-illness"}


async def test_an_assessment_is_read_for_its_record_or_file_and_for_no_other_case(call, record) -> None:
    path = f"/api/assessments/{record.record_id}"
    for case, status in ((record.record_id, 200), (record.file_id, 200), (uuid4(), 403)):
        answer = await call("GET", path, token="reviewer", purpose="triage", case=str(case))
        assert answer.status == status
