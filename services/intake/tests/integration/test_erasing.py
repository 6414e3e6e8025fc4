"""What a record says of an erased subject is gone, and the record sent again is answered as erased."""

from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.intake.consumers import handlers
from doorstep.kit.consumer import Received
from doorstep.kit.testing import golden
from doorstep.local.records import demonstration

SEEDS = count(7001)


@pytest.fixture
async def body(desk: Any) -> dict[str, Any]:
    """A record that was taken: a person, a dwelling, a place."""
    made = demonstration(next(SEEDS), now=datetime.now(UTC))
    assert (await desk.call("POST", "/api/records", "collector", made)).status == 201
    return made


async def erase(desk: Any, subject: str | UUID) -> None:
    received = golden("registry.subject-erased.v1").received
    event = received.event.model_copy(update={"subject_id": UUID(str(subject))})
    async with desk.database.transaction() as session:
        await handlers(desk.vault)[type(event)](session, Received(received.envelope, event))


async def kept(desk: Any, subject: str) -> list[str]:
    query = "SELECT 1 FROM {} WHERE subject_id = CAST(:id AS uuid)"
    return [table for table in ("subject", "record_subject") if await desk.rows(query.format(table), id=UUID(subject))]


async def test_rows_of_the_subject_go_and_those_of_the_others_stay(desk, body) -> None:
    gone, *others = (one["subject_id"] for one in body["subjects"])
    for _ in range(2):
        await erase(desk, gone)
    assert await kept(desk, gone) == []
    assert [await kept(desk, one) for one in others] == [["subject", "record_subject"]] * 2
    shown = await desk.call("GET", f"/api/records/{body['record_id']}", "reviewer", doorstep_purpose="triage")
    assert [one["subject_id"] for one in shown.body["subjects"]] == others


async def test_the_record_sent_again_is_410_and_nothing_is_kept_by_which_its_body_is_known(desk, body) -> None:
    await erase(desk, body["subjects"][0]["subject_id"])
    before = await desk.counts()
    answer = await desk.call("POST", "/api/records", "collector", body)
    assert (answer.status, answer.body["type"]) == (410, "urn:doorstep:problem:erased")
    assert await desk.counts() == before
    [command] = await desk.rows("SELECT digest, answer FROM command WHERE id = :id", id=UUID(body["record_id"]))
    assert (bytes(command.digest), command.answer) == (b"", None)


async def test_a_later_record_about_an_erased_dwelling_needs_another_id_for_it(desk, body) -> None:
    dwelling = body["subjects"][1]
    await desk.vault.destroy(UUID(dwelling["subject_id"]))
    await erase(desk, dwelling["subject_id"])
    facts = [{**one, "fact_id": str(uuid7())} for one in dwelling["facts"]]
    later = {**body, "record_id": str(uuid7()), "household": "known", "subjects": [{**dwelling, "facts": facts}]}
    assert (await desk.call("POST", "/api/records", "collector", later)).status == 410
    fresh = {**later, "subjects": [{**later["subjects"][0], "subject_id": str(uuid7())}]}
    assert (await desk.call("POST", "/api/records", "collector", fresh)).status == 201


async def test_an_unknown_subject_is_no_error(desk, body) -> None:
    await erase(desk, uuid4())
    assert await kept(desk, body["subjects"][0]["subject_id"]) == ["subject", "record_subject"]
