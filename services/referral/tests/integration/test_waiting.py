"""Waiting at a feed: the answer comes with the message, and who waits costs neither a connection nor a place."""

import asyncio
import time

import pytest
from sqlalchemy import text

from doorstep.contracts.codes import Department
from doorstep.kit import door
from doorstep.kit.db import Database
from doorstep.kit.delivery import new_private_key
from doorstep.kit.telemetry import FEED_CALLERS_WAITING
from doorstep.kit.testing import KIT_TABLES, eventually
from doorstep.kit.vault import NOBODY
from doorstep.referral.app import new_app
from doorstep.referral.operations import waiting
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.waiting import MOST_WAITING, WaitingRoom, announcer

FEED = "/api/departments/fire/feed"
SERVICE = {"doorstep_purpose": "service"}
FIRE = Department.FIRE
pytestmark = pytest.mark.usefixtures("key")


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose feeds are empty, and nobody waits."""
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE department_key, outbox, feed, feed_message"))
    assert waiting_now() == 0
    return desk_over(front.database, front.vault)


@pytest.fixture
async def key(front, desk):
    """The department's private key, the public one published."""
    key = new_private_key("one")
    await front.call("PUT", "/api/departments/fire/keys/one", "officer", key.as_dict(private=False))
    return key


@pytest.fixture
def only_told(monkeypatch):
    """Nobody looks without having been told."""
    monkeypatch.setattr(waiting, "_LOOK", 3600)


@pytest.fixture
def pull(front):
    """Ask for the feed, with this query."""
    return lambda query: front.call("GET", f"{FEED}?{query}", "officer", **SERVICE)


def waiting_now() -> float:
    return FEED_CALLERS_WAITING.labels(FIRE)._value.get()


async def all_wait(count: int) -> None:
    async def they_do() -> bool:
        return waiting_now() == count

    await eventually(they_do)


async def test_what_is_there_is_answered_at_once_and_nothing_in_time_with_the_same_cursor(desk, pull) -> None:
    await desk.opened("gas-leak")
    began = time.monotonic()
    page = (await pull("wait=30")).body
    assert len(page["messages"]) == 1
    assert time.monotonic() - began < 15
    later = await pull(f"after={page['next']}&wait=1")
    assert (later.status, later.body) == (200, {"messages": [], "next": page["next"], "more": False})
    assert time.monotonic() - began >= 1


@pytest.mark.usefixtures("only_told")
async def test_many_who_wait_are_answered_by_one_message_without_a_connection_each(desk, pull, front) -> None:
    calls = [asyncio.create_task(pull("wait=30")) for _ in range(40)]
    await all_wait(40)
    assert front.database.engine.pool.checkedout() == 0
    assert len(await front.rows("SELECT 1 FROM pg_stat_activity WHERE datname = current_database()")) < 20
    other = await desk.opened("chronic-illness-follow-up")
    task = await desk.opened("gas-leak")
    answers = [(await call).body["messages"] for call in calls]
    assert {tuple(one["partitionkey"] for one in messages) for messages in answers} == {(str(task.ref),)}
    assert other.ref != task.ref
    assert waiting_now() == 0


@pytest.mark.usefixtures("only_told")
async def test_what_another_process_commits_is_told_to_who_waits_here(desk, pull, front, desk_over) -> None:
    elsewhere = Database(front.database.engine.url.render_as_string(hide_password=False), service="referral")
    telling = announcer(elsewhere)
    elsewhere.on_commit.append(telling.announce)
    call = asyncio.create_task(pull("wait=30"))
    await all_wait(1)
    task = await desk_over(elsewhere, front.vault).opened("gas-leak")
    assert [one["partitionkey"] for one in (await call).body["messages"]] == [str(task.ref)]
    await telling.close()
    await elsewhere.close()


async def test_what_nobody_told_of_because_the_teller_died_is_found(desk, pull, front, desk_over) -> None:
    silent = Database(front.database.engine.url.render_as_string(hide_password=False), service="referral")
    call = asyncio.create_task(pull("wait=30"))
    await all_wait(1)
    task = await desk_over(silent, front.vault).opened("gas-leak")
    assert [one["partitionkey"] for one in (await call).body["messages"]] == [str(task.ref)]
    await silent.close()


async def test_what_was_erased_or_forgotten_wakes_nobody_again_and_again(desk, pull, front, monkeypatch) -> None:
    gone = await desk.opened("gas-leak")
    await pull("limit=1")
    async with front.database.transaction() as session:
        await erase_subject(session, vault=front.vault, subject_id=gone.subject_id, now=desk.now)
    async with front.database.transaction() as session:
        await session.execute(text("DELETE FROM outbox WHERE topic = 'feed.fire'"))
    looks = []
    look = WaitingRoom._look

    async def counted(room: WaitingRoom) -> None:
        looks.append(1)
        await look(room)

    monkeypatch.setattr(WaitingRoom, "_look", counted)
    assert (await pull("wait=1")).body["messages"] == []
    assert 0 < len(looks) < 10


async def test_a_pull_that_waited_is_logged_when_something_came_and_not_before(desk, pull, front) -> None:
    call = asyncio.create_task(pull("wait=30"))
    await all_wait(1)
    assert "read-feed" not in [one["action"] for one in await front.logged(NOBODY)]
    task = await desk.opened("gas-leak")
    await call
    assert [one["action"] for one in await front.logged(task.subject_id)].count("read-feed") == 1


async def test_who_waits_is_no_load_and_the_next_one_too_many_is_told(desk, pull, monkeypatch) -> None:
    monkeypatch.setattr(door, "IN_FLIGHT", 2)
    monkeypatch.setattr(waiting, "MOST_WAITING", 5)
    calls = []
    for count in range(5):
        calls.append(asyncio.create_task(pull("wait=30")))
        await all_wait(count + 1)
    refused = await pull("wait=30")
    assert (refused.status, refused.body["type"]) == (429, "urn:doorstep:problem:too-many-wait")
    assert (await pull("limit=1")).status == 200
    await desk.opened("gas-leak")
    assert [(await call).status for call in calls] == [200] * 5
    assert MOST_WAITING * len(Department) < 1024  # the front door's connections


async def test_who_hung_up_waits_no_more_and_nothing_is_logged_for_them(desk, front) -> None:
    call, hang_up = front.call, asyncio.Event()
    body = iter([{"type": "http.request", "body": b""}])

    async def receive() -> dict:
        return next(body, None) or (await hang_up.wait() and {"type": "http.disconnect"})

    async def app(scope, _receive, send) -> None:
        await call.app(scope, receive, send)

    asked = asyncio.create_task(type(call)(app)("GET", f"{FEED}?wait=30", "officer", **SERVICE))
    await all_wait(1)
    hang_up.set()
    assert (await asked).status == 400
    assert waiting_now() == 0
    task = await desk.opened("gas-leak")
    assert "read-feed" not in [one["action"] for one in await front.logged(task.subject_id)]


async def test_when_the_service_stops_who_waits_is_answered_at_once(desk, pull, front) -> None:
    call = asyncio.create_task(pull("wait=30"))
    await all_wait(1)
    front.service.stopping.set()
    try:
        assert (await call).body["messages"] == []
        assert (await pull("wait=30")).status == 200
    finally:
        front.service.stopping.clear()


async def test_who_waits_is_answered_also_when_the_connections_of_the_room_broke(desk, pull, front) -> None:
    call = asyncio.create_task(pull("wait=30"))
    await all_wait(1)
    of_the_room = "query LIKE '%FROM unnest(CAST(%' OR query LIKE 'LISTEN %'"
    ours = "datname = current_database() AND pid <> pg_backend_pid()"
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours} AND ({of_the_room})"  # noqa: S608
    assert len(await front.rows(ended)) > 1
    await desk.opened("gas-leak")
    assert len((await call).body["messages"]) == 1


@pytest.mark.parametrize("query", ["wait=31", "wait=-1", "wait=x", "wait=", "wait=1e9", "wait=1&wait=x"])
async def test_a_wait_that_is_none_is_refused_with_its_place(pull, query) -> None:
    answer = await pull(query)
    assert (answer.status, answer.body["type"]) == (422, "urn:doorstep:problem:invalid")
