"""Webhooks: in order, signed, until they are taken; the same as on the topic and by pull; and to nowhere inside."""

import asyncio
import base64
import hashlib
import hmac
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiokafka import TopicPartition
from sqlalchemy import text

from doorstep.contracts.codes import Department, TaskState
from doorstep.contracts.wire import STRUCTURED, from_message
from doorstep.kit.db import Database
from doorstep.kit.delivery import new_private_key, open_with
from doorstep.kit.relay import Relay
from doorstep.kit.testing import KIT_TABLES, eventually, running
from doorstep.local.ports import free_ports
from doorstep.referral.errors import AddressRefused
from doorstep.referral.operations import endpoints
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.delivering import FeedEncoder
from doorstep.referral.operations.keys import register_department_key
from doorstep.referral.operations.posting import Poster
from doorstep.referral.operations.pulling import pull_feed

FEED = Department.JUSTICE
TABLES = "outbox, outbox_counter, feed, feed_message, feed_endpoint, feed_dead_letter, owed_erasure, lease"


@dataclass
class Receiver:
    """A department's endpoint that answers as it is told and keeps what it was sent."""

    url: str
    answers: list[Any] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Keep a post and answer it."""
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        answer = self.answers.pop(0) if self.answers else 204
        if callable(answer):
            return await answer(request)
        return web.Response(status=answer, headers={"location": f"{self.url}/elsewhere"} if answer == 302 else {})

    @property
    def ids(self) -> list[str]:
        """The ids in the order in which they came."""
        return [headers["webhook-id"] for headers, _ in self.got]


@asynccontextmanager
async def receiving(receiver: Receiver):
    """Have the receiver listen."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(receiver.url.rpartition(":")[2])).start()
    yield receiver
    await runner.cleanup()


@pytest.fixture(scope="module")
async def house(own_databases):
    """A database for these tests."""
    database = Database(await own_databases.new(KIT_TABLES, "doorstep.referral:migrations"), service="referral")
    yield database
    await database.close()


@pytest.fixture(scope="module")
def key():
    """The department's private key."""
    return new_private_key("justice-1")


@pytest.fixture
async def desk(house, vault, desk_over, key):
    """A desk with feeds that nobody has read yet, and a key for them."""
    async with house.transaction() as session:
        await session.execute(text(f"TRUNCATE {TABLES}"))
        await register_department_key(
            session, vault=vault, access=Access(desk_over.officer(FEED)), department=FEED, kid="justice-1",
            jwk=key.as_dict(private=False) | {"kid": "justice-1"}, now=datetime.now(UTC),
        )  # fmt: skip
    return desk_over(house, vault)


@pytest.fixture
async def receiver():
    """An endpoint on this machine."""
    async with receiving(Receiver(f"http://127.0.0.1:{free_ports(1)[0]}")) as found:
        yield found


@pytest.fixture
async def poster(desk):
    """Posts to this machine too, and waits for nothing."""
    async with Poster(desk.database, desk.vault, inside=True, first_wait=0.0) as found:
        yield found


async def registered(desk, url: str, *, inside: bool = True, department: Department = FEED) -> str:
    async with desk.database.transaction() as session:
        return await endpoints.register_endpoint(
            session, vault=desk.vault, access=Access(desk.officer(department)), department=department, url=url,
            inside=inside, now=datetime.now(UTC),
        )  # fmt: skip


async def posted(poster) -> None:
    """One turn, with all that it began."""
    await poster.turn()
    await asyncio.gather(*poster._posting.values())


async def state(desk):
    async with desk.database.transaction() as session:
        return await endpoints.find_endpoint(session, FEED)


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the signatures is by `secret`, computed as the specification says."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in headers["webhook-signature"].split(" ")


def told(key, headers, message_key: bytes, value: bytes):
    """Id, type, time, key, number and decrypted payload of a message, however it came."""
    envelope, jwe = from_message(headers, message_key, value)
    plain = orjson.loads(open_with({"justice-1": key}, jwe))
    return envelope.id, envelope.type, envelope.time, envelope.key, envelope.number, plain


async def test_topic_webhook_and_pull_deliver_the_same(desk, key, receiver, poster, broker) -> None:
    secret = await registered(desk, f"{receiver.url}/feed")
    tasks = [await desk.opened("legal-aid") for _ in range(3)]
    await desk.station_step(tasks[1], TaskState.CANCELLED)
    relay = Relay(desk.database, broker, encode=FeedEncoder(desk.database, desk.vault).encode)
    async with running(relay.run):
        await eventually(lambda: all_left(desk))
    start = {TopicPartition("feed.justice", 0): 0}
    on_topic = [one async for _, some in broker.tails(start) for one in some]
    await posted(poster)
    async with desk.database.transaction() as session:
        page = await pull_feed(
            session, vault=desk.vault, access=Access(desk.officer(FEED)), department=FEED, after=None, limit=50
        )
    binary = [told(key, one.headers, one.key, one.value) for one in on_topic]
    hooks = [
        told(key, [("content-type", headers["content-type"].encode())], partition(body), body)
        for headers, body in receiver.got
    ]
    structured = [("content-type", STRUCTURED.encode())]
    pulls = [told(key, structured, one["partitionkey"].encode(), orjson.dumps(one)) for one in page.messages]
    assert sorted(binary, key=str) == sorted(hooks, key=str)
    assert hooks == pulls
    assert len(hooks) == 4
    assert [str(one[0]) for one in hooks] == receiver.ids
    for headers, body in receiver.got:
        assert verified(secret, headers, body)
        assert not verified(secret, headers, body + b" ")
        assert abs(datetime.now(UTC).timestamp() - int(headers["webhook-timestamp"])) < 300
    assert {one.timestamp % 60_000 for one in on_topic} == {0}


def partition(body: bytes) -> bytes:
    return orjson.loads(body)["partitionkey"].encode()


async def all_left(desk) -> bool:
    return not await desk.rows("SELECT 1 FROM outbox WHERE recipient = 'justice' AND published_at IS NULL")


async def test_who_dies_after_a_post_posts_it_again_under_the_same_id(desk, receiver, poster) -> None:
    await registered(desk, receiver.url)
    await desk.opened("legal-aid")
    await desk.opened("legal-aid")

    async def die(_: web.Request) -> web.Response:
        for task in poster._posting.values():
            task.cancel()
        return web.Response(status=204)

    receiver.answers = [die]
    await poster.turn()
    await asyncio.gather(*poster._posting.values(), return_exceptions=True)
    assert len(receiver.got) == 1
    await posted(poster)
    assert len(receiver.got) == 3
    assert receiver.ids[0] == receiver.ids[1] != receiver.ids[2]


async def test_an_endpoint_that_fails_gets_the_same_message_until_it_takes_it(desk, receiver, poster) -> None:
    await registered(desk, receiver.url)
    await desk.opened("legal-aid")
    await desk.opened("legal-aid")
    receiver.answers = [500, 302, 404]
    for _ in range(3):
        await posted(poster)
    assert len(set(receiver.ids)) == 1
    assert (await state(desk)).failures == 3
    assert (await state(desk)).last_status == 404
    await posted(poster)
    assert len(receiver.ids) == 5
    assert len(set(receiver.ids)) == 2
    assert ((await state(desk)).failures, (await state(desk)).waiting) == (0, 0)


async def test_a_failure_waits_and_a_long_one_pauses_until_the_department_asks_again(desk, receiver) -> None:
    await registered(desk, receiver.url)
    await desk.opened("legal-aid")
    receiver.answers = [503, 503]
    async with Poster(desk.database, desk.vault, inside=True, first_wait=60.0) as poster:
        await posted(poster)
        await posted(poster)
        assert len(receiver.got) == 1
        failing = await state(desk)
        assert failing.next_attempt_at > datetime.now(UTC) + timedelta(seconds=20)
        async with desk.database.transaction() as session:
            await session.execute(
                text("UPDATE feed_endpoint SET failing_since = now() - interval '4 days', next_attempt_at = now()")
            )
        await posted(poster)
        assert (await state(desk)).state == "paused"
        await posted(poster)
        assert len(receiver.got) == 2
        await registered(desk, receiver.url)
        await posted(poster)
    assert (await state(desk)).state == "active"
    assert len(set(receiver.ids)) == 1
    assert len(receiver.got) == 3


async def test_an_answer_that_comes_too_late_is_none_and_others_are_served_meanwhile(desk, receiver, vault) -> None:
    other = Department.FIRE
    async with desk.database.transaction() as session:
        await register_department_key(
            session, vault=vault, access=Access(desk.officer(other)), department=other, kid="fire-1",
            jwk=new_private_key("fire-1").as_dict(private=False) | {"kid": "fire-1"}, now=datetime.now(UTC),
        )  # fmt: skip
    asked, over = asyncio.Event(), asyncio.Event()

    async def late(_: web.Request) -> web.Response:
        asked.set()
        await over.wait()
        return web.Response(status=200)

    receiver.answers = [late]
    await registered(desk, receiver.url)
    await desk.opened("legal-aid")
    async with (
        receiving(Receiver(f"http://127.0.0.1:{free_ports(1)[0]}")) as quick,
        Poster(desk.database, desk.vault, inside=True, first_wait=0.0, answers_within=3.0) as poster,
    ):
        await registered(desk, quick.url, department=other)
        await desk.opened("gas-hose-replacement")
        await poster.turn()
        await asyncio.wait_for(asked.wait(), 3.0)
        await asyncio.wait_for(poster._posting[other], 3.0)
        assert len(quick.got) == 1
        assert not poster._posting[FEED].done()  # the slow one is waited for, and nobody waits for it
        await asyncio.wait_for(poster._posting[FEED], 10.0)
        over.set()  # now it says 200
        found = await state(desk)
        assert (found.failures, found.last_status, found.waiting) == (1, None, 1)
        await posted(poster)
    found = await state(desk)
    assert (found.failures, found.last_status, found.waiting) == (0, 204, 0)
    assert receiver.ids == [receiver.ids[0]] * 2


async def test_gone_is_gone(desk, receiver, poster) -> None:
    await registered(desk, receiver.url)
    await desk.opened("legal-aid")
    receiver.answers = [410]
    await posted(poster)
    await posted(poster)
    assert len(receiver.got) == 1
    assert (await state(desk)).state == "gone"


async def test_a_message_that_is_refused_for_what_it_is_becomes_a_dead_letter_and_can_be_sent_again(
    desk, receiver, poster
) -> None:
    await registered(desk, receiver.url)
    await desk.opened("legal-aid")
    await desk.opened("legal-aid")
    receiver.answers = [422] * 5
    for _ in range(6):
        await posted(poster)
    found = await state(desk)
    assert [(str(one.id), one.status) for one in found.dead_letters] == [(receiver.ids[0], 422)]
    assert receiver.ids[:5] == [receiver.ids[0]] * 5
    assert (len(receiver.ids), found.waiting, found.failures) == (6, 0, 0)
    async with desk.database.transaction() as session:
        await endpoints.replay_webhooks(
            session, vault=desk.vault, access=Access(desk.officer(FEED)), department=FEED,
            since=datetime.now(UTC) - timedelta(hours=1),
        )  # fmt: skip
    await posted(poster)
    assert receiver.ids[6:] == [receiver.ids[0], receiver.ids[5]]


async def test_a_change_of_secret_overlaps(desk, receiver, poster) -> None:
    old = await registered(desk, receiver.url)
    new = await registered(desk, receiver.url)
    await desk.opened("legal-aid")
    await posted(poster)
    [(headers, body)] = receiver.got
    assert old != new
    assert verified(old, headers, body)
    assert verified(new, headers, body)
    rows = await desk.rows("SELECT secret, old_secret FROM feed_endpoint")
    for secret in (old, new):
        assert base64.b64decode(secret.removeprefix("whsec_")) not in bytes(rows[0].secret) + bytes(rows[0].old_secret)


async def test_nothing_goes_to_an_address_inside(desk, receiver) -> None:
    port = receiver.url.rpartition(":")[2]
    for url in (receiver.url, f"https://127.0.0.1:{port}/", f"https://[::1]:{port}/"):
        with pytest.raises(AddressRefused):
            await registered(desk, url, inside=False)
    await registered(desk, f"https://localhost:{port}/", inside=False)  # a name is looked up when it is called
    await desk.opened("legal-aid")
    async with Poster(desk.database, desk.vault, first_wait=0.0) as poster:
        await posted(poster)
    assert receiver.got == []
    assert ((await state(desk)).failures, (await state(desk)).last_status) == (1, None)
