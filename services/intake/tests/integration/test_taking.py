"""A record is taken once, whole or not at all, however often it is sent."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import orjson
import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.intake import Card, StatedFacts, VisitRecorded
from doorstep.kit import outbox
from doorstep.local.records import demonstration, draw_records

SEEDS = count(1)


@pytest.fixture
def body() -> dict[str, Any]:
    """A record of its own: a person, a dwelling, a place."""
    return demonstration(next(SEEDS), now=datetime.now(UTC))


def anew(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Another record about the same door, told by new people."""
    subjects = [
        {**one, "subject_id": str(uuid7())} if one["kind"] == "person" else one
        for one in orjson.loads(orjson.dumps(body["subjects"]))
    ]
    for one in subjects:
        for fact in one["facts"]:
            fact["fact_id"] = str(uuid7())
    return {**body, "record_id": str(uuid7()), "subjects": subjects, **more}


async def hand_in(desk: Any, body: Any, who: str = "collector") -> Any:
    return await desk.call("POST", "/api/records", who, body)


async def published(desk: Any, body: dict[str, Any]) -> list[VisitRecorded]:
    rows = await desk.rows(
        "SELECT body FROM outbox WHERE topic = 'intake.visits' AND key = :key ORDER BY number", key=body["file_id"]
    )
    return [VisitRecorded.model_validate_json(bytes(row.body)) for row in rows]


async def test_a_record_is_stored_published_and_logged_in_one_transaction(desk, body) -> None:
    answer = await hand_in(desk, body)
    assert answer.status == 201
    assert (answer.body["record_id"], answer.body["file_id"]) == (body["record_id"], body["file_id"])
    writers = set()
    for table, column in (
        ("record", "record_id"),
        ("record_subject", "record_id"),
        ("subject", "record_id"),
        ("command", "id"),
        ("outbox", "subject"),
    ):
        query = f"SELECT DISTINCT CAST(xmin AS text) FROM {table} WHERE {column} = :id"  # noqa: S608
        writers |= {row.xmin for row in await desk.rows(query, id=UUID(body["record_id"]))}
    assert len(writers) == 1
    for subject in body["subjects"]:
        (entry,) = await desk.logged(subject["subject_id"])
        assert (entry["action"], entry["actor"], entry["purpose"]) == ("record-visit", "collector-1", "intake")
        assert entry["case"] == body["record_id"]


async def test_the_event_says_all_that_was_written_sealed_for_each_subject(desk, body) -> None:
    receipts = {one["subject_id"]: one["follow_code"] for one in (await hand_in(desk, body)).body["receipts"]}
    (event,) = await published(desk, body)
    assert (str(event.record_id), event.station) == (body["record_id"], "station-7")
    ring = await desk.vault.ring(subject.subject_id for subject in event.subjects)
    for written, subject in zip(body["subjects"], event.subjects, strict=True):
        card = ring.open(subject.card, Card).model_dump(exclude_none=True)
        assert card.pop("follow_code", None) == receipts.get(written["subject_id"])
        assert card == {name: written[name] for name in Card.model_fields if name in written}
        facts = ring.open(subject.facts, StatedFacts).facts
        assert [(fact.code, fact.value) for fact in facts] == [
            (fact["code"], fact["value"]) for fact in written["facts"]
        ]
    assert "collector-1" not in event.model_dump_json()


async def test_nothing_personal_lies_in_the_database_in_clear(desk, body) -> None:
    await hand_in(desk, body)
    secrets = [
        value
        for subject in body["subjects"]
        for name, value in subject.items()
        if name in ("name", "document_number", "phone", "address", "description")
    ] + ["wish.legal-aid", "health.chronic-illness", "resident-id"]
    for table in await desk.counts():
        for row in await desk.rows(f"SELECT CAST(t AS text) FROM {table} t"):  # noqa: S608
            for secret in secrets:
                assert secret not in row[0], table
                assert secret.encode().hex() not in row[0], table


async def test_the_same_body_again_is_answered_again_and_nothing_is_doubled(desk, body) -> None:
    first, before = await hand_in(desk, body), await desk.counts()
    again = await hand_in(desk, {name: body[name] for name in reversed(body)})
    assert (first.status, again.status) == (201, 200)
    assert again.body == first.body
    assert await desk.counts() == before


async def test_the_same_id_with_another_body_is_refused_and_changes_nothing(desk, body) -> None:
    await hand_in(desk, body)
    before = await desk.counts()
    body["subjects"][0]["facts"][2]["value"] = False
    answer = await hand_in(desk, body)
    assert (answer.status, answer.body["type"]) == (409, "urn:doorstep:problem:id-reused")
    assert await desk.counts() == before


@pytest.mark.parametrize("who", ["another-collector", "collector-elsewhere"])
async def test_a_stranger_with_the_same_id_learns_nothing(desk, body, who) -> None:
    first = await hand_in(desk, body)
    before = await desk.counts()
    answer = await hand_in(desk, body, who)
    assert (answer.status, answer.body["type"]) == (409, "urn:doorstep:problem:id-reused")
    assert first.body["receipts"][0]["follow_code"] not in answer.raw.decode()
    assert await desk.counts() == {**before, "outbox": before["outbox"] + 1}
    assert (await desk.about(who))[-1]["outcome"] == "refused:id-reused"


async def test_a_record_that_was_queued_offline_and_sent_ten_times_at_once_is_taken_once(desk, body) -> None:
    answers = await asyncio.gather(*(hand_in(desk, body) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [200] * 9 + [201]
    assert len({answer.raw for answer in answers}) == 1
    assert len(await published(desk, body)) == 1
    assert await desk.value("SELECT count(*) FROM record WHERE record_id = :id", id=UUID(body["record_id"])) == 1


async def test_two_bodies_with_one_id_at_once_are_one_record_and_one_refusal(desk, body) -> None:
    other = {**body, "channel": "phone"}
    answers = await asyncio.gather(hand_in(desk, body), hand_in(desk, other))
    assert sorted(answer.status for answer in answers) == [201, 409]
    assert len(await published(desk, body)) == 1


async def test_a_known_household_is_continued_and_its_events_are_numbered(desk, body) -> None:
    await hand_in(desk, body)
    assert (await hand_in(desk, anew(body, household="known"))).status == 201
    rows = await desk.rows(
        "SELECT number FROM outbox WHERE topic = 'intake.visits' AND key = :key ORDER BY position", key=body["file_id"]
    )
    assert [row.number for row in rows] == [1, 2]


@pytest.mark.parametrize(
    ("who", "begun", "household", "detail"),
    [
        ("collector", False, "known", "no such household"),
        ("collector-elsewhere", True, "known", "no such household"),
        ("collector", True, "new", "the household is known"),
    ],
)
async def test_a_household_that_is_not_what_the_record_says_is_named(desk, body, who, begun, household, detail) -> None:
    subjects = [subject["subject_id"] for subject in body["subjects"]]
    if begun:
        await hand_in(desk, body)
    before = await desk.counts()
    answer = await hand_in(desk, anew(body, household=household), who)
    assert answer.status == 422
    (error,) = answer.body["errors"]
    assert error["pointer"] == "/file_id"
    assert error["detail"].startswith(detail)
    hidden = detail == "no such household"
    assert await desk.counts() == {**before, "outbox": before["outbox"] + hidden}
    if begun:
        assert await desk.unlogged(answer, who, "record-visit", body["file_id"], *subjects[:hidden]) == []
    elif hidden:
        assert (await desk.about(who))[-1]["outcome"] == "refused:invalid"


async def test_two_records_that_begin_one_household_at_once_are_one_beginning(desk, body) -> None:
    one, other = anew(body, subjects=body["subjects"][:1]), anew(body)
    answers = await asyncio.gather(hand_in(desk, one), hand_in(desk, other))
    assert sorted(answer.status for answer in answers) == [201, 422]


async def test_a_persons_mention_belongs_to_one_record(desk, body) -> None:
    await hand_in(desk, body)
    before = await desk.counts()
    answer = await hand_in(desk, {**anew(body, household="known"), "subjects": body["subjects"]})
    assert (answer.status, answer.body["errors"][0]["pointer"]) == (422, "/subjects")
    assert await desk.counts() == {**before, "outbox": before["outbox"] + 1}


async def test_a_dwelling_belongs_to_one_household_and_a_place_to_nobody(desk, body) -> None:
    await hand_in(desk, body)
    _, dwelling, place = body["subjects"]
    for subject, status in ((dwelling, 422), (place, 201)):
        other = anew(body, file_id=str(uuid7()), subjects=[subject])
        assert (await hand_in(desk, other)).status == status


async def test_an_id_is_of_one_kind_of_subject(desk, body) -> None:
    await hand_in(desk, body)
    taken = {**body["subjects"][2], "subject_id": body["subjects"][1]["subject_id"]}
    assert (await hand_in(desk, anew(body, household="known", subjects=[taken]))).status == 422


async def test_every_flaw_is_named_at_once_and_nothing_stored(desk, body) -> None:
    before = await desk.counts()
    body["visited_at"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body["subjects"][0]["document_number"] = "110101194803070020"
    body["subjects"][1]["facts"][0]["value"] = "old"
    answer = await hand_in(desk, body)
    assert answer.status == 422
    assert {error["pointer"] for error in answer.body["errors"]} == {
        "/visited_at",
        "/subjects/0/document_number",
        "/subjects/1/facts/0/value",
    }
    assert "110101194803070020" not in answer.raw.decode()
    assert await desk.counts() == before


@pytest.mark.parametrize("who", ["reviewer", "supervisor", "officer", "resident", "police", "homeless-collector"])
async def test_only_a_collector_of_a_station_hands_in(desk, body, who) -> None:
    before = await desk.counts()
    answer = await hand_in(desk, body, who)
    assert answer.status == 403
    assert await desk.counts() == {**before, "outbox": before["outbox"] + 1}
    (entry,) = await desk.about(who)
    code = answer.body["type"].rpartition(":")[2]
    assert (entry["action"], entry["outcome"]) == ("record-visit", f"refused:{code}")
    assert "case" not in entry


async def test_no_token_no_record(desk, body) -> None:
    for who in (None, "nobody"):
        assert (await desk.call("POST", "/api/records", who, body)).status == 401


async def test_when_the_outbox_cannot_take_the_event_nothing_is_stored(desk, body, monkeypatch) -> None:
    before = await desk.counts()
    monkeypatch.setattr(outbox, "EVENT_BYTES", 100)
    assert (await hand_in(desk, body)).status == 413
    assert await desk.counts() == before


async def test_the_largest_record_fits_into_its_event(desk) -> None:
    wide = "𰻞" * 100
    person, dwelling, _ = demonstration(1, now=datetime.now(UTC))["subjects"]
    codes = [fact["code"] for record in draw_records(5, 200, now=datetime.now(UTC)) for one in record["subjects"]
             if one["kind"] == "person" for fact in one["facts"]]  # fmt: skip
    facts = [{**person["facts"][2], "code": code, "value": True} for code in dict.fromkeys(codes)]
    facts = [fact for fact in facts if fact["code"].startswith(("wish.", "health.", "work.", "living.", "consent."))]
    people = [
        {
            **person,
            "subject_id": str(uuid7()),
            "name": wide,
            "facts": [{**fact, "fact_id": str(uuid7()), "said_by": "person"} for fact in facts],
        }
        for _ in range(23)
    ]
    at = person["facts"][0]["since"]
    body = {
        "record_id": str(uuid7()), "file_id": str(uuid7()), "channel": "visit", "visited_at": at,
        "subjects": [*people, {**dwelling, "subject_id": str(uuid7()), "address": wide * 2}],
    }  # fmt: skip
    answer = await hand_in(desk, body)
    assert answer.status == 201, answer.raw
    assert len(answer.body["receipts"]) == 23


async def test_a_community_officer_writes_four_kinds_of_fact_and_reads_nothing_back(desk) -> None:
    body = demonstration(next(SEEDS), now=datetime.now(UTC))
    refused = await desk.call("POST", "/api/records", "community-officer", body)
    assert (refused.status, refused.body["type"]) == (403, "urn:doorstep:problem:forbidden")
    kinds = ("identity.", "contact.", "dwelling.", "place.", "wish.")
    for subject in body["subjects"]:
        subject["facts"] = [fact for fact in subject["facts"] if fact["code"].startswith(kinds)]
    taken = await desk.call("POST", "/api/records", "community-officer", body)
    again = await desk.call("POST", "/api/records", "community-officer", body)
    assert (taken.status, again.status, taken.body["receipts"], again.body["receipts"]) == (201, 200, [], [])
    for purpose in ("triage", "follow-up", "emergency", "intake"):
        path = f"/api/records/{body['record_id']}"
        assert (await desk.call("GET", path, "community-officer", doorstep_purpose=purpose)).status == 403
