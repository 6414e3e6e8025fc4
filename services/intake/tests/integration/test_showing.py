"""A record is shown to a reviewer who did not take it, and to nobody else; every look is logged."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from doorstep.contracts.registry import FileOpened
from doorstep.kit.edge import open_file
from doorstep.local.records import demonstration

SEEDS = count(1000)


@pytest.fixture
async def body(desk) -> dict[str, Any]:
    """A record that was taken."""
    body = demonstration(next(SEEDS), now=datetime.now(UTC))
    assert (await desk.call("POST", "/api/records", "collector", body)).status == 201
    return body


async def look(desk: Any, body: dict[str, Any], who: str | None = "reviewer", purpose: str | None = "triage") -> Any:
    headers = {} if purpose is None else {"doorstep_purpose": purpose}
    return await desk.call("GET", f"/api/records/{body['record_id']}", who, **headers)


async def test_a_reviewer_sees_what_was_written(desk, body) -> None:
    shown = (await look(desk, body)).body
    assert shown["station"] == "station-7"
    for written, found in zip(body["subjects"], shown["subjects"], strict=True):
        for name in ("subject_id", "kind", "name", "document_number", "phone", "address", "description"):
            assert found.get(name) == written.get(name)
        seen = [fact["fact_id"] for fact in written["facts"] if not fact["code"].startswith("health.")]
        assert [fact["fact_id"] for fact in found["facts"]] == seen
    assert "follow_code" not in str(shown)


async def test_every_look_is_logged_for_every_subject_before_the_first_byte(desk, body) -> None:
    for purpose in ("triage", "follow-up"):
        await look(desk, body, purpose=purpose)
        for subject in body["subjects"]:
            entry = (await desk.logged(subject["subject_id"]))[-1]
            assert (entry["action"], entry["actor"], entry["purpose"]) == ("read-record", "reviewer-1", purpose)
            assert entry["policies"]
            assert entry["case"] == body["record_id"]


async def test_who_has_no_business_here_sees_nothing(desk, body, refused) -> None:
    who, purpose, status = refused
    await assert_sees_nothing(desk, body, who, purpose, status)


async def test_who_took_the_record_does_not_read_it_as_a_reviewer(desk, body) -> None:
    await assert_sees_nothing(desk, body, "collector-as-reviewer", "triage", 403)


async def assert_sees_nothing(desk, body, who, purpose, status) -> None:
    answer = await look(desk, body, who, purpose)
    assert answer.status == status
    assert body["subjects"][0]["name"] not in answer.raw.decode()
    subjects = [one["subject_id"] for one in body["subjects"]]
    assert await desk.unlogged(answer, who, "read-record", body["record_id"], *subjects) == []
    for subject in subjects:
        assert ("read-record", "done") not in {(one["action"], one["outcome"]) for one in await desk.logged(subject)}


async def test_the_purposes_that_count_are_named_to_who_forgot(desk, body) -> None:
    assert "triage" in (await look(desk, body, purpose=None)).body["detail"]


async def test_an_unknown_record_and_another_stations_are_answered_alike(desk, body) -> None:
    before = await desk.counts()
    unknown = await look(desk, {"record_id": str(uuid4())}, "reviewer-elsewhere")
    assert await desk.counts() == {**before, "outbox": before["outbox"] + 1}
    assert unknown == await look(desk, body, "reviewer-elsewhere")
    assert await desk.counts() == {**before, "outbox": before["outbox"] + 2}


async def test_an_erased_person_is_left_out_and_the_rest_is_shown(desk, body) -> None:
    person = body["subjects"][0]["subject_id"]
    await desk.vault.destroy(UUID(person))
    answer = await look(desk, body)
    assert answer.status == 200
    assert [one["kind"] for one in answer.body["subjects"]] == ["dwelling", "place"]


async def test_when_the_log_cannot_be_written_nothing_is_shown(desk, body) -> None:
    async with desk.database.transaction() as session:
        await session.execute(text("ALTER TABLE outbox RENAME TO outbox_away"))
    try:
        answer = await look(desk, body)
    finally:
        async with desk.database.transaction() as session:
            await session.execute(text("ALTER TABLE outbox_away RENAME TO outbox"))
    assert answer.status == 500
    assert body["subjects"][0]["name"] not in answer.raw.decode()


async def test_a_record_is_read_for_itself_or_its_file_and_for_no_other_case(desk, body) -> None:
    another = demonstration(next(SEEDS), now=datetime.now(UTC))
    assert (await desk.call("POST", "/api/records", "collector", another)).status == 201
    path, statuses = f"/api/records/{body['record_id']}", []
    for case in (body["record_id"], body["file_id"], another["record_id"], another["file_id"], str(uuid4())):
        answer = await desk.call("GET", path, "reviewer", doorstep_purpose="triage", doorstep_case=case)
        statuses.append(answer.status)
    assert statuses == [200, 200, 403, 403, 403]


async def test_what_a_file_was_opened_for_elsewhere_opens_its_records_here_too(desk, body) -> None:
    now, opening = datetime.now(UTC), uuid4()
    opened = FileOpened(
        opening_id=opening,
        file_id=UUID(body["file_id"]),
        opened_by=desk.vault.pairwise("staff", "supervisor-1"),
        opened_at=now,
        until=now + timedelta(hours=1),
    )
    why = {"doorstep_purpose": "emergency", "doorstep_case": str(opening)}
    assert (await desk.call("GET", f"/api/records/{body['record_id']}", "supervisor", **why)).status == 403
    for event in (opened, opened.model_copy(update={"opening_id": uuid4(), "until": now - timedelta(seconds=1)})):
        async with desk.database.transaction() as session:
            await open_file(session, event)
        why = {"doorstep_purpose": "emergency", "doorstep_case": str(event.opening_id)}
        answer = await desk.call("GET", f"/api/records/{body['record_id']}", "supervisor", **why)
        assert answer.status == (200 if event is opened else 403)
        assert (await desk.call("GET", f"/api/records/{body['record_id']}", "reviewer", **why)).status == 403
