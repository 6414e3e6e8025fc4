"""By pull and webhook a department has the same; two cannot join what they have; a broker shows nothing of anybody."""

import asyncio
import base64
import itertools
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from doorstep.contracts.codes import Department
from doorstep.contracts.wire import STRUCTURED, from_message
from doorstep.kit.delivery import NotForUs, new_private_key, open_with
from doorstep.kit.testing import eventually
from doorstep.local.ports import free_ports

REACHED = ("civil-affairs", "health", "justice", "fire")
UUIDS = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
PARTED = 256


@dataclass
class Seen:
    """What one department received, each way: the messages as they travelled, and their events."""

    key: Any
    hooks: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    pulled: list[dict[str, Any]] = field(default_factory=list)

    def event(self, message: bytes) -> tuple[Any, dict[str, Any]] | None:
        """Envelope and event of a structured message, None if it is for an earlier key."""
        headers, key = [("content-type", STRUCTURED.encode())], json.loads(message)["partitionkey"].encode()
        envelope, value = from_message(headers, key, message)
        try:
            return envelope, json.loads(open_with({str(self.key.kid): self.key}, value))
        except NotForUs:
            return None


@pytest.fixture(scope="module")
async def receivers(house: Any):
    """An endpoint of each department on this machine, and a key for its feed."""
    seen = {one: Seen(new_private_key(f"{one}-feeds")) for one in REACHED}

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen[request.path[1:]].hooks.append((headers, await request.read()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/{department}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    [port] = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    for department, one in seen.items():
        async with house.door("department-system", department) as system:
            await system.publish_key(department, one.key.as_dict(private=False))
            path, now = f"/api/departments/{department}/endpoint", datetime.now(UTC).isoformat()
            await system.call("PUT", path, {"url": f"http://127.0.0.1:{port}/{department}"})
            await system.call("POST", f"{path}/replays", {"since": now})  # what came before is not of this story
    try:
        yield seen
    finally:
        await runner.cleanup()
    for department in seen:
        async with house.door("department-system", department) as system:
            await system.call("POST", f"/api/departments/{department}/endpoint/removal")


@pytest.fixture(scope="module")
async def told(house: Any, receivers: dict[str, Seen]) -> tuple[dict[str, Any], dict[str, Seen]]:
    """A record whose requests came to four departments, by webhook and by pull."""
    body = house.record()
    await house.hand_in(body)
    await house.confirmed(body["record_id"])
    await house.requests(body["record_id"], 5)

    async def all_there() -> bool:
        return sum(len(one.hooks) for one in receivers.values()) >= 5

    await eventually(all_there, within=30)
    for department, one in receivers.items():
        ids = {headers["webhook-id"] for headers, _ in one.hooks}
        cursor = ""
        async with house.door("department-system", department) as system:
            while True:
                page = await system.read(f"/api/departments/{department}/feed?limit=100{cursor}", "service")
                one.pulled += [message for message in page["messages"] if message["id"] in ids]
                cursor = f"&after={page['next']}"
                if not page["more"]:
                    break
    return body, receivers


async def test_webhook_and_pull_tell_the_same(told) -> None:
    for one in told[1].values():
        hooks = [one.event(body) for _, body in one.hooks]
        assert hooks
        assert hooks == [one.event(json.dumps(message).encode()) for message in one.pulled]
        assert None not in hooks


async def test_two_departments_cannot_join_what_came_by_webhook_and_pull(told) -> None:
    """No id is known to two, times are whole minutes, lengths fall into few classes, and no header names a record."""
    body, seen = told
    ids = {}
    for department, one in seen.items():
        outside = "".join(json.dumps(headers) for headers, _ in one.hooks)
        inside = "".join(json.dumps(one.event(raw)[1]) for _, raw in one.hooks)
        ids[department] = set(UUIDS.findall(outside + inside + json.dumps(one.pulled)))
        assert ids[department]
        assert not ids[department] & set(UUIDS.findall(json.dumps(body)))
        for headers, raw in one.hooks:
            assert int(headers["webhook-timestamp"]) % 60 == 0
            assert json.loads(raw)["time"].endswith(":00.000000Z")
            assert {name for name in headers if name.startswith(("ce", "trace", "x-"))} == set()
            ciphertext = base64.b64decode(json.loads(raw)["data_base64"]).split(b".")[3]
            assert len(ciphertext) * 3 // 4 % PARTED == 0
    for one, other in itertools.combinations(ids, 2):
        assert not ids[one] & ids[other]


async def test_who_runs_the_broker_reads_nothing_of_anybody(house, told) -> None:
    """Every byte of every topic is looked through for what the record says, in any of the forms it could take."""
    body, _ = told
    marked = {
        str(subject[name]).encode() for subject in body["subjects"]
        for name in ("name", "document_number", "phone", "address", "description") if name in subject
    }  # fmt: skip
    marked |= {fact["code"].encode() for subject in body["subjects"] for fact in subject["facts"]}
    forms = marked | {base64.b64encode(one)[:-4] for one in marked} | {one.hex().encode() for one in marked}
    everything = await every_byte(house.stack.kafka)
    assert body["record_id"].encode() in everything  # it is there, without what it says
    assert len(marked) > 8
    assert [form for form in forms if form in everything] == []
    for department in Department:
        assert f"feed.{department}".encode() in everything


async def every_byte(kafka: str) -> bytes:
    """Names, keys, headers and values of all messages of all topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    topics = [name for name in await admin.list_topics() if not name.startswith("__")]
    await admin.close()
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, fetch_max_wait_ms=20, auto_offset_reset="earliest")
    await reader.start()
    found = [name.encode() for name in topics]
    try:
        await reader._client.set_topics(topics)
        places = [TopicPartition(name, part) for name in topics for part in reader.partitions_for_topic(name) or ()]
        reader.assign(places)
        quiet = 0
        while quiet < 10:
            some = await reader.getmany(timeout_ms=100)
            quiet = 0 if some else quiet + 1
            for message in itertools.chain.from_iterable(some.values()):
                headers = itertools.chain.from_iterable(message.headers)
                parts = (
                    message.key,
                    message.value,
                    *(one if isinstance(one, bytes) else one.encode() for one in headers),
                )
                found += [part or b"" for part in parts]
            await asyncio.sleep(0)
    finally:
        await reader.stop()
    return b"\n".join(found)
