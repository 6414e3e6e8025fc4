"""An erased subject has no requests any more, and every department that had one is told to delete it."""

import asyncio
import math
from datetime import datetime
from uuid import UUID, uuid4

import orjson
import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Outcome, Reason, TaskState
from doorstep.contracts.feeds import FEED_DAYS
from doorstep.kit import idempotency, outbox
from doorstep.kit.delivery import new_private_key, open_with, public_key
from doorstep.kit.testing import golden
from doorstep.kit.vault import NOBODY
from doorstep.referral.consumers import handlers
from doorstep.referral.operations.access import follower
from doorstep.referral.operations.delivering import FeedEncoder
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.ratings import rate_request


async def erase(desk, subject: UUID) -> None:
    async with desk.database.transaction() as session:
        await erase_subject(session, vault=desk.vault, subject_id=subject, now=desk.now)


async def withdrawn(desk, department: str, ref: UUID) -> list[dict]:
    """What the department is told of a request that is no longer its own."""
    ring = await desk.vault.ring([NOBODY])
    query = """
        SELECT body FROM outbox WHERE topic = :topic AND key = :ref AND type = 'feed.request-withdrawn.v1'
        AND subject = :nobody ORDER BY position
    """
    rows = await desk.rows(query, topic=f"feed.{department}", ref=ref, nobody=NOBODY)
    return [orjson.loads(ring.decrypt(NOBODY, outbox.feed_context(ref), row.body)) for row in rows]


async def kept(desk, subject: UUID) -> int:
    return len(await desk.rows("SELECT 1 FROM request WHERE subject_id = :id", id=subject))


@pytest.mark.parametrize("destroyed", [True, False], ids=["after-the-key", "before-the-key"])
async def test_requests_go_and_departments_are_told_once(desk, destroyed) -> None:
    subject = uuid4()
    open_ = await desk.opened("legal-aid", subject=subject, follow_code="7Q2M-0000-0000-0001")
    done = await desk.opened("chronic-illness-follow-up", subject=subject)
    await desk.step(done, TaskState.ACCEPTED)
    await desk.step(done, TaskState.COMPLETED, outcome=Outcome.ADVICE_GIVEN)
    taken_back = await desk.opened("wage-help", subject=subject)
    await desk.station_step(taken_back, TaskState.CANCELLED, reason=Reason.RESIDENT_WITHDREW)
    draft = await desk.opened("a-need-of-tomorrow", subject=subject)
    other = await desk.opened("legal-aid")
    if destroyed:
        await desk.vault.destroy(subject)
    for _ in range(2):
        await erase(desk, subject)
    assert (await kept(desk, subject), await kept(desk, other.subject_id)) == (0, 1)
    assert draft.ref is None
    for task, times in ((open_, 1), (done, 1), (taken_back, 0), (other, 0)):
        assert len(await withdrawn(desk, task.department, task.ref)) == times
    [told] = await withdrawn(desk, "justice", open_.ref)
    assert told["ref"] == str(open_.ref)
    at, until = (datetime.fromisoformat(told[name]) for name in ("withdrawn_at", "delete_by"))
    assert (until - at).days == FEED_DAYS
    assert (at.second, at.microsecond) == (0, 0), "two departments would see that they served one person"


async def test_what_departments_are_told_can_be_delivered_when_the_key_is_gone(desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.vault.destroy(task.subject_id)
    await erase(desk, task.subject_id)
    query = "SELECT * FROM outbox WHERE key = :ref AND type = 'feed.request-withdrawn.v1'"
    [row] = await desk.rows(query, ref=task.ref)
    encoder, key = FeedEncoder(desk.database, desk.vault), new_private_key("justice-1")
    encoder._keys, encoder._read = {"justice": public_key(key.as_dict(private=False))}, math.inf
    delivered = open_with({"justice-1": key}, await encoder.encode(row))
    assert orjson.loads(delivered)["ref"] == str(task.ref)


async def test_nothing_is_left_by_which_a_follow_code_finds_anything(desk) -> None:
    code = "7Q2M-0000-0000-0002"
    index = desk.vault.follow_index(code)
    task = await desk.opened("health-advice", follow_code=code)
    await desk.step(task, TaskState.ACCEPTED)
    await desk.step(task, TaskState.COMPLETED, outcome=Outcome.ADVICE_GIVEN)
    command = uuid4()
    async with desk.database.transaction() as session:
        statement = "INSERT INTO command (id, principal, digest, answer) VALUES (:id, :who, '', '{\"solved\": 1}')"
        await session.execute(idempotency.text(statement), {"id": command, "who": follower(index)})
        await rate_request(
            session, vault=desk.vault, follow_index=index, ref=task.follow_ref, solved=True, stars=5, now=desk.now
        )
    await erase(desk, task.subject_id)
    tables = [row[0] for row in await desk.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    for table in sorted(set(tables) - {"outbox"}):
        rows = await desk.rows(f"SELECT CAST(t AS text) FROM {table} t")  # noqa: S608
        assert index.hex() not in str(rows), table
        if table != "erased_subject":
            assert str(task.subject_id) not in str(rows), table


async def test_commands_about_its_requests_are_erased(desk) -> None:
    task, other = await desk.opened("legal-aid"), await desk.opened("legal-aid")
    ids = {"request_id": uuid7(), "ref": uuid7(), "other": uuid7()}
    answers = {
        "request_id": {"request_id": str(task.request_id), "version": 2},
        "ref": {"ref": str(task.ref), "version": 2},
        "other": {"ref": str(other.ref), "version": 2},
    }
    async with desk.database.transaction() as session:
        for name, command in ids.items():
            await idempotency.claim(session, desk.second, command, b"0" * 32, answer=answers[name])
    await erase(desk, task.subject_id)
    for name, command in ids.items():
        async with desk.database.transaction() as session:
            if name == "other":
                assert await idempotency.claim(session, desk.second, command, b"0" * 32) is not None
            else:
                with pytest.raises(idempotency.Erased):
                    await idempotency.claim(session, desk.second, command, b"0" * 32)


async def test_a_need_that_comes_late_opens_nothing_and_the_others_open(desk) -> None:
    gone, stays = await desk.need("legal-aid"), await desk.need("legal-aid")
    await erase(desk, gone.subject_id)
    assert await desk.open(gone, stays) == 1  # its key is still there
    await desk.vault.destroy(gone.subject_id)
    assert await desk.open(gone, await desk.need("health-advice")) == 1
    assert (await kept(desk, gone.subject_id), await kept(desk, stays.subject_id)) == (0, 1)


async def test_opening_and_erasing_at_once_leave_nothing(desk) -> None:
    for _ in range(8):
        needs = [await desk.need("legal-aid") for _ in range(2)]
        subject = needs[0].subject_id
        await asyncio.gather(desk.open(*needs), erase(desk, subject))
        assert await kept(desk, subject) == 0
        offers = await desk.rows("SELECT key FROM outbox WHERE subject = :id AND recipient IS NOT NULL", id=subject)
        for offer in offers:
            assert len(await withdrawn(desk, "justice", offer.key)) == 1


async def test_a_step_and_the_erasing_of_its_request_at_once_leave_nothing_half(desk) -> None:
    for _ in range(8):
        task = await desk.opened("legal-aid")
        outcomes = await asyncio.gather(
            desk.step(task, TaskState.ACCEPTED, version=1), erase(desk, task.subject_id), return_exceptions=True
        )
        assert outcomes[1] is None
        assert await kept(desk, task.subject_id) == 0
        assert len(await withdrawn(desk, "justice", task.ref)) == 1


async def test_the_golden_message_is_taken_by_the_handler(desk) -> None:
    received = golden("registry.subject-erased.v1").received
    task = await desk.opened("legal-aid", subject=received.event.subject_id)
    async with desk.database.transaction() as session:
        await handlers(desk.vault)[type(received.event)](session, received)
    assert await kept(desk, task.subject_id) == 0
