"""What a consumer does with batches, duplicates, holes and messages that cannot be handled."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
import pytest
from sqlalchemy import text

from doorstep.contracts.envelope import JSON, Envelope
from doorstep.contracts.topics import TOPICS
from doorstep.contracts.wire import STRUCTURED, to_headers
from doorstep.kit.consumer import TryAgain
from doorstep.kit.inbox import Message
from doorstep.kit.parked import NoSuchHole, holes, pass_over
from doorstep.kit.telemetry import HOLES, PARKED_KEYS
from doorstep.kit.testing import eventually


async def test_of_fifty_messages_the_poisonous_one_is_a_dead_letter_and_the_others_are_handled_once(stage):
    poisoned, well = uuid4(), [uuid4() for _ in range(48)]

    async def refuse(session, received):
        if received.envelope.number == 1:
            raise KeyError("poison")

    stage.behaviour[poisoned] = refuse
    await stage.flow.write(*well[:24], poisoned, *well[24:], poisoned)
    await stage.died(poisoned, 1)
    await stage.has(poisoned, 2)
    for key in well:
        await stage.has(key, 1)
    [(_, _, error)] = await stage.letters(poisoned)
    assert error == "KeyError"  # the type and never the message, which may quote what was sent


async def test_the_effects_of_a_poisonous_message_are_undone_with_it(stage):
    """The handler had written a row before it failed."""
    key = uuid4()

    async def refuse(session, received):
        raise ValueError(received.envelope.key)

    stage.behaviour[key] = refuse
    [serial] = await stage.flow.write(key)
    await stage.died(key, 1)
    assert stage.calls[serial] >= 1
    assert await stage.effects(key) == []


async def test_a_value_that_the_database_cannot_take_is_poison_and_no_outage(stage):
    """The driver says the same of it as of a broken connection: an interface error."""
    key = uuid4()

    async def refuse(session, received):
        await session.execute(text("SELECT CAST(:far AS integer)"), {"far": 2**40})

    stage.behaviour[key] = refuse
    await stage.flow.write(key)
    await stage.died(key, 1)


@pytest.mark.parametrize("error", [TryAgain(), OSError(), TimeoutError(), aiohttp.ClientConnectionError()])
async def test_what_may_pass_is_tried_again_while_other_keys_go_on(stage, error):
    key, other = uuid4(), uuid4()
    failures = 1

    async def fail_at_first(session, received):
        nonlocal failures
        if received.envelope.number == 1 and failures:
            failures -= 1
            raise error

    stage.behaviour[key] = fail_at_first
    await stage.flow.write(key, key, other)
    await stage.has(other, 1)
    await stage.has(key, 1, 2)
    assert await stage.letters(key) == []


async def test_what_never_passes_is_given_up_after_bounded_retries_and_its_key_goes_on(stage):
    key = uuid4()

    async def fail(session, received):
        if received.envelope.number == 2:
            raise TryAgain

    stage.behaviour[key] = fail
    serials = await stage.flow.write(key, key, key)
    await stage.died(key, 2)
    await stage.has(key, 1, 3)
    assert stage.calls[serials[1]] >= 3


async def test_a_duplicate_is_ignored(stage):
    key = uuid4()
    for number in (1, 2, 2, 1, 3):
        await stage.flow.send(key, number, 1_000_000 + number)
    await stage.has(key, 1, 2, 3)
    await asyncio.sleep(0.3)
    assert await stage.effects(key) == [1, 2, 3]


async def test_a_hole_parks_its_key_until_the_missing_number_comes_and_others_go_on(stage):
    key, other = uuid4(), uuid4()
    for number in (1, 3, 4, 6):
        await stage.flow.send(key, number, 2_000_000 + number)
    await stage.flow.send(other, 1, 2_000_100)
    await stage.has(other, 1)
    await stage.has(key, 1)
    await stage.flow.send(key, 2, 2_000_002)
    await stage.has(key, 1, 2, 3, 4)
    await stage.flow.send(key, 5, 2_000_005)
    await stage.has(key, 1, 2, 3, 4, 5, 6)


async def test_a_key_never_seen_waits_for_its_first_number(stage):
    key = uuid4()
    await stage.flow.send(key, 2, 2_100_002)
    await asyncio.sleep(0.3)
    assert await stage.effects(key) == []
    await stage.flow.send(key, 1, 2_100_001)
    await stage.has(key, 1, 2)


async def test_a_hole_alarms_after_a_minute_and_a_retry_does_not(stage):
    hole, retried = uuid4(), uuid4()

    async def fail(session, received):
        raise TryAgain

    stage.behaviour[retried] = fail
    await stage.flow.send(hole, 2, 2_200_002)
    await stage.flow.send(retried, 1, 2_200_101)

    async def shown() -> tuple[float, float]:
        stage.taker._parked._tell_at = 0.0
        await stage.taker._parked.report()
        return PARKED_KEYS.labels("referral")._value.get(), HOLES.labels("referral")._value.get()

    async def both_parked() -> bool:
        found = await stage.flow.rows(
            "SELECT key FROM parked WHERE key = ANY(:keys)", stage.flow.consumer, keys=[hole, retried]
        )
        return len(found) == 2

    await eventually(both_parked)
    assert (await shown())[1] == 0
    await stage.flow.rows("UPDATE parked SET parked_at = parked_at - interval '61 s'", stage.flow.consumer)
    assert (await shown())[1] == 1
    assert (await shown())[0] >= 1
    await stage.flow.send(hole, 1, 2_200_001)
    await stage.has(hole, 1, 2)
    assert (await shown())[1] == 0


async def test_an_operator_passes_over_numbers_that_never_come(stage):
    key = uuid4()
    for number in (1, 4, 5):
        await stage.flow.send(key, number, 2_300_000 + number)
    await stage.has(key, 1)

    async def parked() -> bool:
        async with stage.flow.consumer.transaction() as session:
            return any(hole.key == key and hole.waiting == 2 for hole in await holes(session))

    await eventually(parked)
    async with stage.flow.consumer.transaction() as session:
        [hole] = [hole for hole in await holes(session) if hole.key == key]
        assert (hole.missing_from, hole.missing_to) == (2, 3)
        for wrong in (1, 2, 4):
            with pytest.raises(NoSuchHole):
                await pass_over(session, topic="risk.needs", key=key, missing_to=wrong)
        await pass_over(session, topic="risk.needs", key=key, missing_to=3)
    await stage.has(key, 1, 4, 5)
    await stage.flow.send(key, 2, 2_300_002)  # too late
    await asyncio.sleep(0.3)
    assert await stage.effects(key) == [1, 4, 5]


async def test_ten_messages_behind_a_hole_drain_in_order_at_once(stage):
    key = uuid4()
    for number in range(11, 1, -1):
        await stage.flow.send(key, number, 2_400_000 + number)
    await stage.flow.send(key, 1, 2_400_001)
    await stage.has(key, *range(1, 12), within=10)


BROKEN = {
    "no header": ([], b"{}"),
    "NUL in headers and value": ([("ce_id", b"\x00"), ("x\x00", b"\xff\x00")], b"\x00\xff"),
    "a header twice": ([("ce_id", b"1"), ("ce_id", b"2")], b"{}"),
    "not JSON in structured mode": ([("content-type", STRUCTURED.encode())], b"{"),
    "an array in structured mode": ([("content-type", STRUCTURED.encode())], b"[1]"),
    "nested without end": ([("content-type", STRUCTURED.encode())], b"[" * 200_000),
    "no value": ([("content-type", JSON.encode())], None),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_event_is_a_dead_letter_and_the_line_goes_on(stage, name):
    headers, value = BROKEN[name]
    key = uuid4()
    await stage.flow.send(key, 1, 1, headers=headers, value=value, raw_key=f"\x00{key}".encode())
    await stage.flow.send(key, 1, 3_000_000 + len(name))
    await stage.has(key, 1)
    query = "SELECT error, body FROM dead_letter WHERE key LIKE :key"
    [(error, body)] = await stage.flow.rows(query, stage.flow.consumer, key=f"%{key}")
    assert error.startswith("MalformedEvent")
    assert bytes(body) == (value or b"")


async def test_an_event_that_does_not_fit_its_schema_is_a_dead_letter_in_its_place(stage):
    key = uuid4()
    await stage.flow.send(key, 1, 3_100_001)
    await stage.flow.send(key, 2, 3_100_002, value=b'{"record_id": "\xe5\xbc\xa0\xe4\xb8\x89"}')
    await stage.flow.send(key, 3, 3_100_003)
    await stage.has(key, 1, 3)
    [(_, number, error)] = await stage.letters(key)
    assert number == 2
    assert "record_id" in error
    assert "张三" not in error


async def test_an_event_type_newer_than_the_consumer_is_a_dead_letter_and_its_key_goes_on(stage):
    key = uuid4()
    newer = envelope(key, 2, type="risk.needs-assessed.v9")
    await stage.flow.send(key, 1, 3_200_001)
    await stage.flow.send(key, 2, 3_200_002, headers=to_headers(newer))
    await stage.flow.send(key, 3, 3_200_003)
    await stage.has(key, 1, 3)
    await stage.died(key, 2)


async def test_a_stranger_s_message_takes_no_number_from_the_producer_s_own(stage):
    key = uuid4()
    await stage.flow.send(key, 1, 3_300_001)
    for changes in ({"type": "something.else"}, {}):
        strange = envelope(key, 2, source="somebody/else", **changes)
        await stage.flow.send(key, 2, 3_300_000, headers=to_headers(strange), value=b"{}")
    await stage.flow.send(key, 2, 3_300_002)
    await stage.has(key, 1, 2)
    assert len(await stage.letters(key)) == 2


def envelope(key, number, **changes) -> Envelope:
    known = {"source": "doorstep/risk", "type": "risk.needs-assessed.v1", "time": datetime.now(UTC)}
    return Envelope(id=uuid4(), key=key, number=number, **{**known, **changes})


async def test_a_message_read_twice_is_one_dead_letter(stage):
    """A partition is read again after a loss: what was given up then is not given up a second time."""
    key = uuid4()
    message = Message(
        topic="risk.needs",
        partition=0,
        offset=7,
        headers=(),
        raw_key=str(key).encode(),
        value=b"?",
        ordered=True,
        flaw="MalformedEvent: no",
    )
    for _ in range(2):
        await stage.taker._take([message])
    found = await stage.flow.rows("SELECT id FROM dead_letter WHERE key = :key", stage.flow.consumer, key=str(key))
    assert len(found) == 1
    sent = await stage.flow.rows("SELECT topic FROM outbox WHERE id = :id", stage.flow.consumer, id=found[0][0])
    assert sent == [(TOPICS["risk.needs"].dead_letter("referral"),)]


async def test_conflicting_transactions_are_run_again_whole(stage):
    key, calls = uuid4(), 0

    async def conflict(session, received):
        nonlocal calls
        calls += 1
        if calls < 3:
            await session.execute(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"))

    stage.behaviour[key] = conflict
    await stage.flow.write(key)
    await stage.has(key, 1)
    assert calls >= 3
    assert await stage.letters(key) == []
