"""A wrong message on a topic is a dead letter of each group that reads it, and the line behind it goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from doorstep.audit.domain.note import SigningKey
from doorstep.contracts.topics import SERVICES, TOPICS
from doorstep.kit.testing import eventually, golden
from doorstep.local.front_door import FrontDoor
from doorstep.local.story import verified

EXAMPLES = {
    "intake.visits": "intake.visit-recorded.v1",
    "registry.facts": "registry.facts-asserted.v1",
    "risk.needs": "risk.needs-assessed.v1",
    "referral.tasks": "referral.request-opened.v1",
    "registry.erasures": "registry.subject-erased.v1",
    "registry.openings": "registry.file-opened.v1",
    "audit.entry.intake": "audit.entry-submitted.v1",
}
OF_THE_FLOW = [topic for topic in EXAMPLES if not topic.startswith("audit.")]
Headers = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Sent:
    """A message as it is put on the topic."""

    key: bytes | None
    headers: Headers
    value: bytes | None

    def header(self, name: str, value: bytes | None) -> "Sent":
        """The message with another header, or without it."""
        rest = [pair for pair in self.headers if pair[0] != name]
        return replace(self, headers=rest if value is None else [*rest, (name, value)])


def genuine(topic: str) -> Sent:
    """What the topic's producer would send, about somebody new."""
    example = golden(EXAMPLES[topic])
    fresh, old = str(uuid4()), example.key.decode()
    headers = [(name, value.replace(old.encode(), fresh.encode())) for name, value in example.headers]
    message = Sent(fresh.encode(), headers, example.value.replace(old.encode(), fresh.encode()))
    return message.header("ce_id", str(uuid4()).encode())


def data(message: Sent, **more: Any) -> Sent:
    """The message with other data."""
    return replace(message, value=json.dumps({**json.loads(message.value or b"{}"), **more}).encode())


def poisons(topic: str) -> dict[str, Sent]:
    """Wrong messages, each wrong in one way, each of a key of its own."""

    def good() -> Sent:
        return genuine(topic)

    (event, *_) = TOPICS[topic].events
    required = next(name for name, field in event.model_fields.items() if field.is_required())
    elsewhere = EXAMPLES["risk.needs" if topic != "risk.needs" else "intake.visits"]
    made = {
        "garbage": Sent(b"\xff\xfe", [], b"\x00\x9c\xff garbage"),
        "nothing at all": Sent(None, [], b""),
        "a tombstone": replace(good(), value=None),
        "garbage as data": replace(good(), value=b"\xff\x00{"),
        "data that is a list": replace(good(), value=b"[]"),
        "data nested 5,000 times": replace(good(), value=b"[" * 5000),
        "no data": replace(good(), value=b"{}"),
        "a field of another type": data(good(), **{required: {"not": "this"}}),
        "a lone surrogate": replace(good(), value=(good().value or b"").replace(b'":"', b'":"\\ud800', 1)),
        "an unknown type": good().header("ce_type", b"intake.visit-imagined.v1"),
        "a type of another topic": good().header("ce_type", elsewhere.encode()),
        "no type": good().header("ce_type", None),
        "another version of CloudEvents": good().header("ce_specversion", b"0.3"),
        "no version": good().header("ce_specversion", None),
        "no key": replace(good(), key=None),
        "a key that is no id": replace(good(), key=b"household-7"),
        "a key of NUL": replace(good(), key=b"\0\0\0"),
        "an id that is none": good().header("ce_id", b"7"),
        "a time without offset": good().header("ce_time", b"2026-11-21T10:00:00"),
        "a header that is not text": good().header("ce_source", b"\xff\xfe"),
        "a header of NUL": good().header("ce_specversion", b"\0"),
        "a header twice": replace(good(), headers=[*good().headers, ("ce_type", b"x")]),
        "structured, and not JSON": replace(good(), headers=[("content-type", b"application/cloudevents+json")]),
    }
    if TOPICS[topic].ordered:
        made["no number"] = good().header("ce_number", None)
        made["number nought"] = good().header("ce_number", b"0")
        made["a number in words"] = good().header("ce_number", b"one")
    return made


@pytest.fixture(scope="module")
async def producer(house: Any) -> AsyncIterator[AIOKafkaProducer]:
    """Somebody who may write to every topic."""
    found = AIOKafkaProducer(bootstrap_servers=house.stack.kafka)
    await found.start()
    yield found
    await found.stop()


async def letters(house: Any, group: str, topic: str) -> list[Any]:
    return await house.rows(group, "SELECT * FROM dead_letter WHERE topic = $1 ORDER BY kafka_offset", topic)


async def on_dead_letter_topic(house: Any, name: str, count: int) -> list[Any]:
    """The first messages of a dead letter topic, once there are so many."""
    consumer = AIOKafkaConsumer(bootstrap_servers=house.stack.kafka, fetch_max_wait_ms=20)
    await consumer.start()
    try:
        place = TopicPartition(name, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        async with asyncio.timeout(30):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def goes_its_way(house: Any) -> None:
    """A record is taken, assessed, confirmed, handed on and shown, and its reads and writes are logged."""
    body = house.record()
    await house.hand_in(body)
    needs = await house.confirmed(body["record_id"])
    assert len(await house.requests(body["record_id"], len(needs))) == 5

    async def shown() -> bool:
        async with house.door("reviewer") as reviewer:
            steps = (await reviewer.read(f"/api/journeys/{body['record_id']}", "follow-up"))["steps"]
        return [step["kind"] for step in steps].count("request-opened") == 5

    await eventually(shown, within=30)


@pytest.mark.parametrize("topic", OF_THE_FLOW)
async def test_wrong_messages_are_dead_letters_and_the_line_goes_on(house, producer, topic) -> None:
    groups = TOPICS[topic].groups
    before = {group: len(await letters(house, group, topic)) for group in groups}
    made = poisons(topic)
    for message in made.values():
        await producer.send_and_wait(topic, message.value, key=message.key, headers=message.headers, partition=0)
    for group in groups:

        async def all_buried(group: str = group) -> bool:
            return len(await letters(house, group, topic)) >= before[group] + len(made)

        await eventually(all_buried, within=60)
    await goes_its_way(house)
    for group in groups:
        buried = (await letters(house, group, topic))[before[group] :]
        assert len(buried) == len(made)
        for row, (name, message) in zip(buried, made.items(), strict=True):
            assert bytes(row["body"]) == (message.value or b""), name
            assert row["error"], name
            assert "not this" not in row["error"], name
        sent_on = await on_dead_letter_topic(house, TOPICS[topic].dead_letter(group), before[group] + len(made))
        assert [one.value for one in sent_on[before[group] :]] == [bytes(row["body"]) for row in buried]


async def test_an_entry_that_nobody_can_read_has_its_place_in_the_log(house, producer) -> None:
    """The log leaves nothing out: what is wrong on an audit topic becomes an entry itself."""
    topic = "audit.entry.intake"
    query = "SELECT count(*) FROM unreadable WHERE topic = $1"
    before = (await house.rows("audit", query, topic))[0][0]
    made = poisons(topic)
    for message in made.values():
        await producer.send_and_wait(topic, message.value, key=message.key, headers=message.headers, partition=0)

    async def all_kept() -> bool:
        return bool((await house.rows("audit", query, topic))[0][0] >= before + len(made))

    await eventually(all_kept, within=30)
    await goes_its_way(house)
    kept = [bytes(row["message"]) for row in await house.rows("audit", "SELECT message FROM unreadable")]
    assert sorted(kept)[-len(made) :] == sorted(message.value or b"" for message in made.values())
    assert await letters(house, "audit", topic) == []
    key = SigningKey.parse(house.stack.log_key.read_text().strip()).verifier
    async with FrontDoor(house.stack.front_door) as outsider:
        entries, good, failure = await verified(outsider, key)
    assert good, failure
    assert entries >= len(made)


async def test_what_only_the_handler_can_find_wrong_is_a_dead_letter_too(house, producer) -> None:
    """The seal belongs to nobody that is known here: registry, risk and referral give it up."""
    for topic, group in (("intake.visits", "registry"), ("registry.facts", "risk")):
        message = genuine(topic)  # sealed with a key that is not in the key store of this stack
        subject = json.loads(message.value or b"{}")["subjects"][0]["subject_id"]
        other = (await house.rows("keys", "SELECT subject_id FROM data_key LIMIT 1"))[0][0]
        value = (message.value or b"").replace(subject.encode(), str(other).encode())
        before = len(await letters(house, group, topic))
        await producer.send_and_wait(topic, value, key=message.key, headers=message.headers, partition=0)

        async def buried(group: str = group, topic: str = topic, before: int = before) -> bool:
            return len(await letters(house, group, topic)) == before + 1

        await eventually(buried, within=30)
        error = (await letters(house, group, topic))[-1]["error"]
        assert "SealBroken" in error
    await goes_its_way(house)


async def test_an_operator_lists_and_reads_dead_letters_of_every_service_and_nobody_else_does(house) -> None:
    token = house.token("operator")
    for service in SERVICES:
        path = f"/api/dead-letters/{service}"
        listed = await house.ask("GET", path, token=token)
        assert listed.status == 200
        found = listed.body["dead_letters"]
        assert found
        for one in found[:1]:
            assert (await house.ask("GET", f"{path}/{one['id']}", token=token)).status == 403
            shown = await house.ask("GET", f"{path}/{one['id']}", token=token, doorstep_purpose="repair")
            assert shown.status == 200
            assert shown.body["id"] == one["id"]
        for role in ("collector", "reviewer", "supervisor", "auditor"):
            assert (await house.ask("GET", path, token=house.token(role))).status == 403
        unknown = await house.ask("GET", f"{path}/{UUID(int=7)}", token=token, doorstep_purpose="repair")
        assert unknown.status == 404
