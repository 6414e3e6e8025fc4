"""The journey that product and peer must both pass before anything of them is measured."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from joserfc.jwk import OKPKey

from bench.drawn import WISHES, wishing
from bench.site import Site
from doorstep.contracts.codes import Department
from doorstep.contracts.feeds import FEEDS, RequestOffered
from doorstep.contracts.topics import feed_topic
from doorstep.contracts.wire import from_message
from doorstep.kit.delivery import new_private_key, open_with
from doorstep.local.front_door import FrontDoor, Refused, fresh_id

WITHIN = 30.0


class JourneyBroken(AssertionError):
    """The system under test does not do what the journey asks; its figures would say nothing."""


def _must(holds: object, what: str) -> None:
    if not holds:
        raise JourneyBroken(what)


async def check_journey(site: Site) -> float:
    """Take one record its whole way; gives the seconds that it took. Raises JourneyBroken.

    A record is taken once, however often it is sent, and from nobody without a token. Each of four departments gets
    its own request and nothing of the others', encrypted for its key alone, with the fields of its projection. It
    reads, accepts and completes it on the version that it saw; a stale version and a stranger are refused.
    """
    token, body = site.collector(), wishing(tuple(WISHES))
    keys = {one: new_private_key(f"{one}-{fresh_id()}") for one in WISHES}
    async with FrontDoor(site.front_door, lambda: token) as collector, FrontDoor(site.front_door) as nobody:
        for department, key in keys.items():
            officer = site.officer(department)
            async with FrontDoor(site.front_door, lambda officer=officer: officer) as door:  # type: ignore[misc]
                await door.publish_key(department, key.as_dict(private=False))
        await _refused(nobody.hand_in(body), {401}, "a record without a token")
        began = time.monotonic()
        async with _feeds(site) as feeds:
            taken = await collector.hand_in(body)
            _must(taken["record_id"] == body["record_id"], "the record was not taken")
            again = await collector.hand_in(body)
            _must(again["recorded_at"] == taken["recorded_at"], "the same record was not answered again")
            other = {**body, "channel": "phone"}
            await _refused(collector.hand_in(other), {409}, "another record under the same id")
            async with asyncio.timeout(WITHIN):
                await asyncio.gather(*(_department(site, one, key, feeds[one], body) for one, key in keys.items()))
        return time.monotonic() - began


@asynccontextmanager
async def _feeds(site: Site) -> AsyncIterator[dict[Department, AIOKafkaConsumer]]:
    feeds: dict[Department, AIOKafkaConsumer] = {}
    try:
        for one in WISHES:
            feeds[one] = AIOKafkaConsumer(
                bootstrap_servers=site.kafka, auto_offset_reset="earliest", fetch_max_wait_ms=20
            )
            await feeds[one].start()
            feeds[one].assign([TopicPartition(feed_topic(one), 0)])
        yield feeds
    finally:
        for feed in feeds.values():
            await feed.stop()


async def _department(
    site: Site, department: Department, key: OKPKey, feed: AIOKafkaConsumer, body: dict[str, Any]
) -> None:
    message = await feed.getone()
    person = body["subjects"][0]
    raw = message.value + b"".join(value for _, value in message.headers)
    _must(not any(person[name].encode() in raw for name in ("name", "phone", "document_number")), "a feed in the clear")
    _, value = from_message(message.headers, message.key, message.value)
    offer = RequestOffered.model_validate_json(open_with({str(key.kid): key}, value)).offer
    _must(offer.need_type == WISHES[department], f"{department} got another's request")
    for field in ("name", "phone", "document_number"):
        expected = person[field] if field in FEEDS[department].fields else None
        _must(getattr(offer, field) == expected, f"{department} got {field} wrongly")
    ref, token = str(offer.ref), site.officer(department)
    stranger = site.officer(next(one for one in WISHES if one is not department))
    async with (
        FrontDoor(site.front_door, lambda: token) as door,
        FrontDoor(site.front_door, lambda: stranger) as other,
    ):
        await _refused(other.look_up(department, ref), {403, 404}, "a stranger's look")
        found, etag = await door.look_up(department, ref)
        _must(found["state"] == "requested", "a new request is not requested")
        accepted = await door.move(department, ref, etag, "accepted")
        await _refused(door.move(department, ref, etag, "rejected", reason="not-ours"), {412}, "a stale version")
        await door.move(department, ref, accepted, "completed", outcome="service-provided")
        found, _ = await door.look_up(department, ref)
        _must(found["state"] == "completed", "a completed request is not completed")
        shown = orjson.dumps(found["history"])
        _must(b"accepted" in shown and b"service-provided" in shown, "the history lacks a step")


async def _refused(call: Any, statuses: set[int], what: str) -> None:
    try:
        await call
    except Refused as refused:
        _must(refused.status in statuses, f"{what}: {refused.status}")
    else:
        raise JourneyBroken(f"{what} was let through")
