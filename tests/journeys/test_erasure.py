"""A resident wants to be forgotten: two people of the station agree, and nothing of her can be read anywhere."""

import asyncio
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from doorstep.audit.domain.note import SigningKey
from doorstep.contracts.feeds import RequestWithdrawn
from doorstep.contracts.topics import SERVICES, feed_topic
from doorstep.contracts.wire import from_message
from doorstep.kit.delivery import NotForUs, new_private_key, open_with
from doorstep.kit.testing import eventually
from doorstep.local.front_door import FrontDoor, fresh_id
from doorstep.local.story import verified

WHY = "resident-request"
STAYS = {"outbox", "erased_subject", "erasure", "data_key"}
"""Where the random id of an erased subject may still stand: see the decision record on erasure."""


async def erase(house: Any, file_id: str, subject: str) -> None:
    """A reviewer asks for it, a supervisor confirms."""
    erasure = str(fresh_id())
    path = f"/api/files/{file_id}/subjects/{subject}/erasure"
    asked = await house.ask("POST", path, {"id": erasure}, token=house.token("reviewer"), doorstep_purpose=WHY)
    assert asked.status == 202, asked.raw
    path, body = f"/api/erasures/{erasure}/confirmation", {"id": str(fresh_id())}
    confirmed = await house.ask("POST", path, body, token=house.token("supervisor"), doorstep_purpose=WHY)
    assert confirmed.status == 202, confirmed.raw


async def tables_that_name(house: Any, needle: str) -> set[str]:
    """The tables of all databases in a row of which an id stands, as itself or in bytes."""
    found = set()
    for database in (*SERVICES, "keys"):
        for (table,) in await house.rows(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
            query = f"SELECT 1 FROM {table} t WHERE CAST(t AS text) LIKE ANY($1) LIMIT 1"  # noqa: S608
            if await house.rows(database, query, [f"%{needle}%", f"%{needle.encode().hex()}%"]):
                found.add(table)
    return found


async def test_a_person_is_erased_everywhere_the_log_verifies_and_departments_are_told(house) -> None:
    key = new_private_key("justice-erasure")
    async with house.door("department-system", "justice") as system:
        await system.publish_key("justice", key.as_dict(private=False))
    body = house.record()
    receipts = (await house.hand_in(body))["receipts"]
    person, *others = (one["subject_id"] for one in body["subjects"])
    [code] = [one["follow_code"] for one in receipts if one["subject_id"] == person]
    needs = await house.confirmed(body["record_id"])
    await house.requests(body["record_id"], len(needs))
    before = await house.entries()

    await erase(house, body["file_id"], person)

    vault = house.vault()

    async def key_is_gone() -> bool:
        return await vault.erased([UUID(person)]) == {UUID(person)}

    await eventually(key_is_gone, within=60)
    ref = await withdrawn(house, key)
    await house.still()
    assert await tables_that_name(house, person) <= STAYS
    assert UUID(person) not in await vault.ring([UUID(person)])
    index = vault.blind_index("audit.subject", person)
    assert await house.rows("audit", "SELECT 1 FROM detail WHERE subject = $1", index) == []
    await vault.store.close()
    await nothing_is_shown(house, body, person, others, code, ref)

    again = await house.ask("POST", "/api/records", body, token=house.token("collector", who=""))
    assert (again.status, again.body["type"]) == (410, "urn:doorstep:problem:erased")
    key_of_the_log = SigningKey.parse(house.stack.log_key.read_text().strip()).verifier
    async with FrontDoor(house.stack.front_door) as outsider:
        entries, good, failure = await verified(outsider, key_of_the_log)
    assert good, failure
    assert entries > before
    assert b'"kind":"erased"' in b"".join(row["body"] for row in await house.rows("audit", "SELECT body FROM entry"))


async def withdrawn(house: Any, key: Any) -> str:
    """What justice reads in its feed: the request is to be deleted."""
    consumer = AIOKafkaConsumer(bootstrap_servers=house.stack.kafka, fetch_max_wait_ms=20)
    await consumer.start()
    try:
        place = TopicPartition(feed_topic("justice"), 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        async with asyncio.timeout(60):
            async for message in consumer:
                envelope, value = from_message(message.headers, message.key, message.value)
                try:
                    data = open_with({str(key.kid): key}, value)
                except NotForUs:
                    continue
                if envelope.type == RequestWithdrawn.event_type:
                    return str(RequestWithdrawn.model_validate_json(data).ref)
    finally:
        await consumer.stop()
    raise AssertionError


async def nothing_is_shown(house: Any, body: Any, person: str, others: list[str], code: str, ref: str) -> None:
    """By no endpoint; what is about the dwelling and the stairwell stays."""
    record = body["record_id"]
    shown = {}
    async with house.door("reviewer") as reviewer, house.door("officer", "justice") as officer:
        for path in (f"files/{body['file_id']}", f"records/{record}", f"assessments/{record}", f"journeys/{record}"):
            shown[path] = await reviewer.read(f"/api/{path}", "follow-up")
            assert person not in str(shown[path]), path
            assert body["subjects"][0]["name"] not in str(shown[path]), path
        assert await officer.follow(code) == []
    subjects = {one["subject_id"] for one in shown[f"files/{body['file_id']}"]["subjects"]}
    assert subjects == set(others)
    answer = await house.ask(
        "GET", f"/api/departments/justice/requests/{ref}", token=house.token("officer", "justice"),
        doorstep_purpose="service",
    )  # fmt: skip
    assert answer.status == 404
