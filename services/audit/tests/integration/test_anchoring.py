"""The anchor in a second store: a log that was put back, cut short or forked is not signed on."""

import asyncio

import pytest
from sqlalchemy.exc import DBAPIError

from doorstep.audit.domain.checkpoint import open_checkpoint
from doorstep.audit.errors import LogContradicted, SequencedElsewhere
from doorstep.audit.operations.anchoring import Anchored
from doorstep.audit.operations.sequencing import SequencerStep
from doorstep.kit.db import Database


@pytest.fixture
async def log(log, databases):
    """A log with its anchor in a database apart from it."""
    second = Database(url := await databases.new("doorstep.audit:migrations/anchor"), service="audit", pool_size=2)
    log.keep_anchor(second, url)
    yield log
    await second.close()


CUT = (
    "DELETE FROM entry WHERE index >= 150",
    "DELETE FROM tile",
    "DELETE FROM checkpoint WHERE size > 150",
)


async def newest(log):
    return open_checkpoint(await log.fetch("checkpoint"), log.origin, [log.key.verifier])


async def on_second(log, statement: str, *, as_owner: bool = False) -> None:
    async with log.second.engine.begin() as connection:
        if as_owner:
            await connection.exec_driver_sql("ALTER TABLE anchor DISABLE TRIGGER ALL")
        await connection.exec_driver_sql(statement)


async def test_the_anchor_lies_where_the_newest_checkpoint_does(log):
    assert await log.anchor.read() is None
    sequencer = log.sequencer()
    for count in (0, 5, 300):
        await log.submit(count)
        await log.drain(sequencer)
        signed = await newest(log)
        assert await log.anchor.read() == Anchored(signed.size, signed.root)


async def test_a_log_put_back_to_yesterday_is_not_signed_on(log):
    await log.submit(300)
    await log.drain(log.sequencer(batch=150))
    await log.tamper(*CUT)
    await log.submit(200)
    with pytest.raises(LogContradicted, match="150 entries are stored, and 300 were anchored"):
        await log.sequencer().turn()
    assert (await newest(log)).size == 150


async def test_a_log_put_back_and_grown_anew_past_the_anchor_is_not_signed_on(log):
    await log.submit(200)
    await log.drain(log.sequencer(batch=150))
    before = await log.anchor.read()
    await log.tamper(*CUT)
    await log.submit(90)
    await log.run(
        r"""
        INSERT INTO entry (index, entry_id, body, leaf)
        SELECT 149 + row_number() OVER (ORDER BY arrival), entry_id, body, sha256('\x00'::bytea || body) FROM pending
        """
    )
    with pytest.raises(LogContradicted, match="first 200 stored entries do not have the root that was anchored"):
        await log.sequencer().turn()
    assert await log.anchor.read() == before


async def test_what_was_anchored_and_not_signed_is_signed_by_the_next(log):
    await log.submit(10)

    def dies(step: SequencerStep) -> None:
        if step is SequencerStep.ANCHORED and dies.armed:
            raise RuntimeError("killed")

    dies.armed = True
    with pytest.raises(RuntimeError):
        await log.drain(log.sequencer(watch=dies))
    assert (await log.anchor.read()).size == 0
    await log.drain()
    assert (await newest(log)).size == (await log.anchor.read()).size == 10
    await log.submit(10)
    with pytest.raises(RuntimeError):
        await log.drain(log.sequencer(watch=dies))
    assert (await log.anchor.read()).size == 20
    assert (await newest(log)).size == 10
    await log.submit(10)
    await log.drain()
    assert (await newest(log)).size == (await log.anchor.read()).size == 30


async def test_a_log_from_before_there_was_an_anchor_gets_one(log):
    await log.submit(30)
    await log.drain()
    await on_second(log, "DELETE FROM anchor", as_owner=True)
    await log.submit(5)
    await log.drain()
    assert (await log.anchor.read()).size == (await newest(log)).size == 35


async def test_an_anchor_put_back_to_an_earlier_state_catches_up(log):
    sequencer = log.sequencer()
    await log.submit(30)
    await log.drain(sequencer)
    early = await log.anchor.read()
    await log.submit(300)
    await log.drain(sequencer)
    put_back = "UPDATE anchor SET size = {}, root = decode('{}', 'hex')"
    await on_second(log, put_back.format(early.size, early.root.hex()), as_owner=True)
    await log.submit(5)
    with pytest.raises(SequencedElsewhere):
        await log.drain(sequencer)
    await log.drain(sequencer)
    assert (await log.anchor.read()).size == (await newest(log)).size == 335


async def test_an_anchor_of_another_story_stops_the_sequencer(log):
    await log.submit(30)
    await log.drain()
    await on_second(log, "UPDATE anchor SET size = 20, root = sha256('x')", as_owner=True)
    await log.submit(5)
    with pytest.raises(LogContradicted, match="first 20 stored entries"):
        await log.sequencer().turn()


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM anchor", "TRUNCATE anchor", "UPDATE anchor SET size = size - 1", "UPDATE anchor SET root = root"],
)
async def test_the_second_store_moves_it_forward_only(log, statement):
    await log.submit(3)
    await log.drain()
    with pytest.raises(DBAPIError, match="the anchor only moves forward"):
        await on_second(log, statement)


async def test_of_two_that_move_it_one_does(log):
    start, other = Anchored(0, bytes(32)), Anchored(1, bytes(32))
    await log.anchor.move(None, start)
    with pytest.raises(SequencedElsewhere):
        await log.anchor.move(None, start)
    moves = await asyncio.gather(*(log.anchor.move(start, other) for _ in range(5)), return_exceptions=True)
    assert sum(move is None for move in moves) == 1
    assert all(move is None or isinstance(move, SequencedElsewhere) for move in moves)
