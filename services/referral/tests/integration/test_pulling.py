"""Pulling a feed: the same messages as on the topic, behind a cursor, and nothing skipped by who commits later."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import text

from doorstep.contracts.codes import Department, TaskState
from doorstep.contracts.wire import STRUCTURED, from_message
from doorstep.kit import outbox
from doorstep.kit.db import Database
from doorstep.kit.delivery import NotForUs, new_private_key, open_with
from doorstep.kit.relay import NotDeliverable
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.domain.keys import WithdrawnFor
from doorstep.referral.errors import CursorExpired, KeyMissing
from doorstep.referral.operations.access import Access
from doorstep.referral.operations.delivering import SIZES, FeedEncoder
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.keys import register_department_key, withdraw_department_key
from doorstep.referral.operations.opening import open_requests
from doorstep.referral.operations.placing import forget_places, place_messages
from doorstep.referral.operations.pulling import pull_feed

FEED = Department.JUSTICE


@pytest.fixture
async def desk(own_databases, vault, desk_over):
    """A desk with feeds of its own."""
    database = Database(await own_databases.new(KIT_TABLES, "doorstep.referral:migrations"), service="referral")
    yield desk_over(database, vault)
    await database.close()


@pytest.fixture
async def key(desk):
    """The department's private key, the public one registered."""
    return await registered(desk, "justice-1")


async def registered(desk, kid: str, department: Department = FEED, **more):
    key = new_private_key(kid)
    async with desk.database.transaction() as session:
        await register_department_key(
            session, vault=desk.vault, access=Access(desk.officer(department)), department=department, kid=kid,
            jwk=key.as_dict(private=False) | {"kid": kid}, now=datetime.now(UTC), **more,
        )  # fmt: skip
    return key


async def withdrawn(desk, kid: str) -> None:
    async with desk.database.transaction() as session:
        await withdraw_department_key(
            session, vault=desk.vault, access=Access(desk.officer(FEED)), department=FEED, kid=kid,
            reason=WithdrawnFor.COMPROMISED, now=datetime.now(UTC),
        )  # fmt: skip


async def pulled(desk, after=None, limit: int = 100, department: Department = FEED):
    async with desk.database.transaction() as session:
        return await pull_feed(
            session, vault=desk.vault, access=Access(desk.officer(department)), department=department, after=after,
            limit=limit,
        )  # fmt: skip


def opened(keys, message):
    """The event in a pulled message, read as a subscriber to the topic would."""
    headers, key = [("content-type", STRUCTURED.encode())], message["partitionkey"].encode()
    envelope, value = from_message(headers, key, orjson.dumps(message))
    return envelope, orjson.loads(open_with({str(one.kid): one for one in keys}, value))


async def test_a_feed_is_pulled_page_by_page_and_each_message_once(desk, key) -> None:
    tasks = [await desk.opened("legal-aid") for _ in range(5)]
    await desk.station_step(tasks[0], TaskState.CANCELLED)
    seen, cursor, more = [], None, True
    while more:
        page = await pulled(desk, cursor, 2)
        seen, cursor, more = [*seen, *page.messages], page.next, page.more
        assert 0 < len(page.messages) <= 2
    found = [opened([key], message) for message in seen]
    assert [str(task.ref) for task in [*tasks, tasks[0]]] == [message["partitionkey"] for message in seen]
    assert [envelope.number for envelope, _ in found] == [1, 1, 1, 1, 1, 2]
    assert [event.get("ref") or event["offer"]["ref"] for _, event in found] == [one["partitionkey"] for one in seen]
    rows = await desk.rows("SELECT id FROM outbox WHERE topic = 'feed.justice' ORDER BY position")
    assert [message["id"] for message in seen] == [str(row.id) for row in rows]
    page = await pulled(desk, cursor)
    assert (page.messages, page.next, page.more) == ([], cursor, False)
    for message in seen:
        ciphertext = base64.b64decode(message["data_base64"]).split(b".")[3]
        assert len(ciphertext) * 3 // 4 % SIZES == 0
        assert message["time"].endswith(":00.000000Z")


async def test_what_commits_later_is_not_skipped_by_who_has_read_on(desk, key, desk_over) -> None:
    """The earlier row of the outbox commits after the later one was pulled."""
    first, second = await desk.need("legal-aid"), await desk.need("legal-aid")
    written, may_commit = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with desk.database.transaction() as session:
            await open_requests(session, vault=desk.vault, origin=desk.origin, needs=[first], now=desk.now)
            await outbox.flush(session)
            written.set()
            await may_commit.wait()

    task = asyncio.create_task(slow())
    await written.wait()
    await desk_over(desk.database, desk.vault).open(second)  # of another file: the first one's is locked
    page = await pulled(desk)
    assert len(page.messages) == 1
    may_commit.set()
    await task
    later = await pulled(desk, page.next)
    positions = await desk.rows("SELECT id, position FROM outbox WHERE topic = 'feed.justice' ORDER BY position")
    assert [str(row.id) for row in positions] == [later.messages[0]["id"], page.messages[0]["id"]]


async def test_many_who_pull_at_once_give_each_message_one_place(desk, key) -> None:
    tasks = [await desk.opened("legal-aid") for _ in range(12)]
    pages = await asyncio.gather(*(pulled(desk) for _ in range(6)))
    for page in pages:
        assert [message["partitionkey"] for message in page.messages] == [str(task.ref) for task in tasks]
    rows = await desk.rows("SELECT place FROM feed_message WHERE department = 'justice' ORDER BY place")
    assert [row.place for row in rows] == list(range(1, 13))


async def test_a_replay_has_the_same_ids_and_is_for_the_key_of_now(desk, key) -> None:
    await desk.opened("legal-aid")
    [before] = (await pulled(desk)).messages
    newer = await registered(desk, "justice-2")
    [again] = (await pulled(desk)).messages
    assert (again["id"], again["time"], again["partitionkey"]) == (before["id"], before["time"], before["partitionkey"])
    assert opened([newer], again) == opened([key], before)
    with pytest.raises(NotForUs):
        opened([key], again)


async def test_a_key_is_used_from_its_time_on_and_a_compromised_one_no_more(desk, key) -> None:
    await desk.opened("legal-aid")
    later = await registered(desk, "justice-2", use_from=datetime.now(UTC) + timedelta(days=1))
    assert opened([key], (await pulled(desk)).messages[0])
    async with desk.database.transaction() as session:
        await session.execute(text("UPDATE department_key SET use_from = now() WHERE kid = 'justice-2'"))
    assert opened([later], (await pulled(desk)).messages[0])
    await withdrawn(desk, "justice-2")
    assert opened([key], (await pulled(desk)).messages[0])
    await withdrawn(desk, "justice-1")
    with pytest.raises(KeyMissing):
        await pulled(desk)
    row = (await desk.rows("SELECT * FROM outbox WHERE topic = 'feed.justice'"))[0]
    with pytest.raises(NotDeliverable):
        await FeedEncoder(desk.database, desk.vault).encode(row)


async def test_erased_subjects_are_passed_over_and_their_withdrawal_comes(desk, key) -> None:
    gone, stays = await desk.opened("legal-aid"), await desk.opened("legal-aid")
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=gone.subject_id, now=datetime.now(UTC))
    await desk.vault.destroy(gone.subject_id)
    page = await pulled(desk, limit=1)
    assert (page.messages, page.more) == ([], True)  # the one erased; the cursor went on
    rest = (await pulled(desk, page.next)).messages
    assert [(one["partitionkey"], one["type"]) for one in rest] == [
        (str(stays.ref), "feed.request-offered.v1"), (str(gone.ref), "feed.request-withdrawn.v1"),
    ]  # fmt: skip


async def test_a_pull_is_logged_under_those_whom_it_concerns(desk, key) -> None:
    task, other = await desk.opened("legal-aid"), await desk.opened("chronic-illness-follow-up")
    await pulled(desk)
    entries = [one for one in await desk.logged(task.subject_id) if one["action"] == "read-feed"]
    assert [(one["agency"], one["purpose"]) for one in entries] == [("justice", "service")]
    assert "read-feed" not in [one["action"] for one in await desk.logged(other.subject_id)]


async def test_a_cursor_that_is_not_known_begins_anew_and_a_quiet_feed_keeps_its_own(desk, key) -> None:
    for _ in range(3):
        await desk.opened("legal-aid")
    first, second, third = (UUID(one["id"]) for one in (await pulled(desk)).messages)
    await registered(desk, "health-1", Department.HEALTH)
    with pytest.raises(CursorExpired):
        await pulled(desk, uuid4())
    with pytest.raises(CursorExpired):
        await pulled(desk, third, department=Department.HEALTH)
    async with desk.database.transaction() as session:
        await session.execute(text("DELETE FROM outbox WHERE topic = 'feed.justice'"))
        await session.execute(text("UPDATE feed_message SET placed_at = now() - interval '15 days'"))
        await forget_places(session)
    assert (await pulled(desk, third)).messages == []
    for old in (first, second):
        with pytest.raises(CursorExpired):
            await pulled(desk, old)


async def test_who_dies_before_the_commit_gives_no_place(desk, key) -> None:
    await desk.opened("legal-aid")
    with pytest.raises(RuntimeError):
        async with desk.database.transaction() as session:
            await place_messages(session, FEED)
            raise RuntimeError
    assert len((await pulled(desk)).messages) == 1
    rows = await desk.rows("SELECT last FROM feed WHERE department = 'justice'")
    assert rows[0].last == 1
