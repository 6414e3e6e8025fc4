"""Each department receives its own requests, for its own key, under its own ids, and nothing of anybody else's."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from doorstep.contracts.codes import Department
from doorstep.contracts.feeds import FEEDS, Offer, RequestOffered
from doorstep.contracts.topics import feed_topic
from doorstep.contracts.wire import from_message
from doorstep.kit.delivery import NotForUs, new_private_key, open_with

UUIDS = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MOMENTS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9.]+")
EVEN = {"00", "00.000000"}
REACHED = ("civil-affairs", "health", "justice", "fire")


@dataclass(frozen=True)
class Delivered:
    """A message of a feed as it travels, and what its department reads in it."""

    raw: Any
    event: RequestOffered

    @property
    def outside(self) -> str:
        """Key and headers as text."""
        return str(self.raw.key) + str(self.raw.headers)


@dataclass(frozen=True)
class Read:
    """What all departments received of one record."""

    body: dict[str, Any]
    keys: dict[str, Any]
    delivered: dict[str, list[Delivered]]
    shown: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
async def keys(house: Any) -> dict[str, Any]:
    """A private key of each department, the public one registered."""
    made = {str(one): new_private_key(f"{one}-journey") for one in Department}
    for department, key in made.items():
        async with house.door("department-system", department) as system:
            await system.publish_key(department, key.as_dict(private=False))
    await asyncio.sleep(1.1)  # for a second the key that another story published before may still be used
    return made


@pytest.fixture(scope="module")
async def consumer(house: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """Somebody who may read every feed, from here on."""
    found = AIOKafkaConsumer(bootstrap_servers=house.stack.kafka, fetch_max_wait_ms=20, auto_offset_reset="earliest")
    await found.start()
    found.assign([TopicPartition(feed_topic(one), 0) for one in Department])
    yield found
    await found.stop()


@pytest.fixture(scope="module")
async def read(house: Any, keys: dict[str, Any], consumer: AIOKafkaConsumer) -> Read:
    """A record whose requests came to four departments, read by feed and by API."""
    body = house.record()
    await house.hand_in(body)
    needs = await house.confirmed(body["record_id"])
    await house.requests(body["record_id"], len(needs))
    about = {subject["subject_id"]: subject for subject in body["subjects"]}
    own = {str(value) for subject in about.values() for value in (subject.get("name"), subject.get("address"),
           subject.get("description")) if value}  # fmt: skip
    delivered: dict[str, list[Delivered]] = {}
    async with asyncio.timeout(30):
        async for message in consumer:
            department = message.topic.removeprefix("feed.")
            envelope, value = from_message(message.headers, message.key, message.value)
            try:
                data = open_with({str(keys[department].kid): keys[department]}, value)
            except NotForUs:
                continue
            if envelope.type != RequestOffered.event_type:
                continue
            event = RequestOffered.model_validate_json(data)
            if {event.offer.name, event.offer.address, event.offer.place} & own:
                delivered.setdefault(department, []).append(Delivered(message, event))
            if sum(map(len, delivered.values())) == len(needs):
                break
    shown = {}
    for department, messages in delivered.items():
        refs = {str(one.event.offer.ref) for one in messages}
        shown[department] = [one for one in await house.offers(department) if one["ref"] in refs]
    return Read(body, keys, delivered, shown)


async def test_the_record_reaches_the_four_departments_that_owe_something(read) -> None:
    assert {department: len(messages) for department, messages in read.delivered.items()} == {
        "civil-affairs": 1, "health": 1, "justice": 1, "fire": 2,
    }  # fmt: skip


async def test_each_department_decrypts_its_own_feed_alone(read) -> None:
    for department, messages in read.delivered.items():
        for message in messages:
            _, value = from_message(message.raw.headers, message.raw.key, message.raw.value)
            for other, key in read.keys.items():
                if other == department:
                    open_with({str(key.kid): key}, value)
                    continue
                for kid in (str(key.kid), str(read.keys[department].kid)):
                    with pytest.raises(NotForUs):
                        open_with({kid: key}, value)


async def test_what_travels_shows_nothing_of_what_it_says(read) -> None:
    for messages in read.delivered.values():
        for message in messages:
            text = message.outside + message.raw.value.decode("latin-1")
            for secret in secrets(read.body):
                assert secret not in text
                assert secret.encode().hex() not in text


def secrets(body: dict[str, Any]) -> list[str]:
    """The texts of a record that tell of somebody."""
    names = ("name", "document_number", "phone", "address", "description")
    return [subject[name] for subject in body["subjects"] for name in names if name in subject]


async def test_the_feed_and_the_inbox_show_the_same_projection(read) -> None:
    for department, messages in read.delivered.items():
        inbox = {one["ref"]: one["offer"] for one in read.shown[department]}
        assert len(inbox) == len(messages)
        for message in messages:
            offer = message.event.offer
            assert Offer.model_validate_json(json.dumps(inbox[str(offer.ref)])) == offer


async def test_a_department_sees_its_fields_and_kinds_of_fact_and_no_other(read) -> None:
    for department, messages in read.delivered.items():
        feed = FEEDS[Department(department)]
        for message in messages:
            offer = message.event.offer.model_dump(exclude_none=True)
            told = set(offer) & {"name", "phone", "address", "place", "document_number"}
            assert told <= set(feed.fields)
            assert len(offer["facts"]) == 1
            assert offer["facts"][0]["code"] in {fact["code"] for one in read.body["subjects"] for fact in one["facts"]}
    justice = read.delivered["justice"][0].event.model_dump_json()
    for subject in read.body["subjects"]:
        for name in ("document_number", "address", "description"):
            assert subject.get(name, "nowhere") not in justice
    for hidden in ("health.chronic-illness", "wish.minimum-living-allowance", "living.alone", "dwelling.gas-hose"):
        assert hidden not in justice


async def test_two_departments_cannot_join_what_they_received(read) -> None:
    """No id, trace or exact moment of one department is known to another, or to who wrote the record."""
    ids: dict[str, set[str]] = {}
    for department, messages in read.delivered.items():
        text = "".join(message.event.model_dump_json() + message.outside for message in messages)
        ids[department] = set(UUIDS.findall(text + json.dumps(read.shown[department])))
        assert ids[department]
        assert {name for message in messages for name, _ in message.raw.headers} == {
            "content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_epoch", "ce_number",
        }  # fmt: skip
        assert {moment[17:] for moment in MOMENTS.findall(text + json.dumps(read.shown[department]))} <= EVEN
    station = set(UUIDS.findall(json.dumps(read.body)))
    for department, own in ids.items():
        assert not own & station
        for other in set(ids) - {department}:
            assert not own & ids[other]


async def test_two_requests_about_one_subject_are_known_to_be_so_by_their_department_alone(house, read) -> None:
    hose, bikes = (message.event.offer for message in read.delivered["fire"])
    assert hose.subject_ref != bikes.subject_ref  # a dwelling and a place
    person = read.body["subjects"][0]
    assert read.delivered["justice"][0].event.offer.name == person["name"]
    refs = {read.delivered[one][0].event.offer.subject_ref for one in ("civil-affairs", "health", "justice")}
    assert len(refs) == 3


async def test_a_request_moves_on_in_the_inbox_and_the_journey_and_nowhere_else(house, read) -> None:
    ref = str(read.delivered["health"][0].event.offer.ref)
    async with house.door("officer", "health") as officer:
        shown, etag = await officer.look_up("health", ref)
        assert shown["state"] == "requested"
        etag = await officer.move("health", ref, etag, "accepted")
        etag = await officer.move("health", ref, etag, "in-progress")
        await officer.move("health", ref, etag, "completed", outcome="service-provided")
    for department in set(REACHED) - {"health"}:
        async with house.door("officer", department) as officer:
            states = [
                (await officer.look_up(department, str(one.event.offer.ref)))[0]["state"]
                for one in read.delivered[department]
            ]
            assert set(states) == {"requested"}
    requests = await house.requests(read.body["record_id"], 5)
    assert [one["tasks"][0]["state"] for one in requests].count("completed") == 1


async def test_of_two_officers_at_once_one_moves_the_request_and_the_other_is_told_so(house, read) -> None:
    ref = str(read.delivered["justice"][0].event.offer.ref)
    path = f"/api/departments/justice/requests/{ref}/transitions"
    async with house.door("officer", "justice") as one:
        _, etag = await one.look_up("justice", ref)

    async def accept(number: int) -> int:
        token = house.token("officer", "justice", who=f"officer {number}")
        body = {"id": f"019abcde-0000-7000-8000-{number:012}", "to": "accepted"}
        return int((await house.ask("POST", path, body, token=token, if_match=etag)).status)

    assert sorted(await asyncio.gather(*map(accept, range(6)))) == [200] + [412] * 5
