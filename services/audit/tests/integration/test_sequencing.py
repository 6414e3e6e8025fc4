"""The sequencer on a real database: nothing lost, nothing twice, and never two stories."""

import asyncio
import sys
from collections import Counter
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from doorstep.audit.domain.checkpoint import Checkpoint, open_checkpoint
from doorstep.audit.domain.entry import Entry
from doorstep.audit.domain.errors import SignatureRejected
from doorstep.audit.domain.keys import LogKeys
from doorstep.audit.domain.merkle import EMPTY_ROOT, leaf_hash, root_of
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.verify import CheckpointRejected, EntryEdited, PartMissing, RootWrong, check_saved
from doorstep.audit.errors import LogContradicted, SequencedElsewhere
from doorstep.audit.operations.duty import SequencerDuty
from doorstep.audit.operations.sequencing import SequencerStep
from doorstep.audit.operations.submitting import Submission
from doorstep.kit.testing import eventually


def new_submission() -> Submission:
    entry = Entry(uuid4(), "2026-11-21T10", ())
    return Submission(entry.id, entry.encode())


async def notes(log) -> list[bytes]:
    """Every checkpoint that was ever stored, as it was signed."""
    async with log.database.transaction() as session:
        return list((await session.execute(text("SELECT note FROM checkpoint ORDER BY size"))).scalars())


async def checkpoints(log) -> list[Checkpoint]:
    """Every checkpoint that was ever stored, its signature checked."""
    return [open_checkpoint(note, log.origin, [log.key.verifier]) for note in await notes(log)]


async def holds_exactly(log, ids) -> None:
    """The log verifies, has each of these entries once and no other, and never signed two stories."""
    verified = await log.verify()
    assert Counter(entry.id for entry in verified.entries) == Counter(ids)
    leaves = [leaf_hash(entry.encode()) for entry in verified.entries]
    for signed in await checkpoints(log):
        assert root_of(leaves[: signed.size]) == signed.root


async def test_an_empty_log_is_signed(log):
    assert await log.sequencer().turn() == 0
    assert await checkpoints(log) == [Checkpoint(log.origin, 0, EMPTY_ROOT)]
    await holds_exactly(log, [])


@pytest.mark.parametrize("batch", [100, 256, 300])
async def test_what_was_submitted_is_in_the_log_once(log, batch):
    sequencer = log.sequencer(batch=batch)
    ids = []
    for count in (1, 254, 1, 1, 255, 300):
        ids += await log.submit(count)
        await log.drain(sequencer)
        await holds_exactly(log, ids)


async def test_tiles_of_level_one_fill_too(log):
    await log.fill(65_600)
    await log.drain(log.sequencer(batch=10_000))
    await log.sequencer().turn()
    assert await log.fetch("tile/1/000") is not None
    for saved in await notes(log):
        assert (await check_saved(log.fetch, log.key.verifier, saved)).size == 65_600


async def test_a_new_sequencer_goes_on_where_the_last_one_stopped(log):
    ids = []
    for _ in range(4):
        ids += await log.submit(130)
        await log.drain()
    await holds_exactly(log, ids)


async def test_a_duplicate_changes_nothing_wherever_the_first_one_is(log):
    twice = [new_submission() for _ in range(4)]
    await log.submit_these(twice[:2] + twice[:2])
    await log.submit_these(twice[:3])
    await log.drain()
    await log.submit_these(twice)
    await log.drain()
    await log.run("INSERT INTO pending (entry_id, body) SELECT entry_id, body FROM entry WHERE index = 2")
    await log.drain()
    await holds_exactly(log, [one.entry_id for one in twice])


class Killed(BaseException):
    """The process ends here."""


def kill_at(step: SequencerStep, nth: int):
    """Die at the nth passing of a step."""
    left = [nth]

    def watch(passed: SequencerStep) -> None:
        left[0] -= passed is step
        if not left[0]:
            raise Killed

    return watch


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("step", SequencerStep)
async def test_killed_between_any_two_steps_it_goes_on_without_gap_or_repetition(log, step, nth):
    await log.sequencer().turn()
    ids = await log.submit(450)
    with pytest.raises(Killed):
        await log.drain(log.sequencer(watch=kill_at(step, nth)))
    ids += await log.submit(70)
    await log.drain()
    await holds_exactly(log, ids)


CHILD = """
import asyncio, os, signal, sys
from doorstep.audit.domain.keys import LogKeys
from doorstep.audit.operations.anchoring import Anchor
from doorstep.audit.operations.sequencing import Sequencer, SequencerStep
from doorstep.kit.db import Database

def watch(step):
    if step is SequencerStep(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    keys = LogKeys.parse(sys.stdin.read())
    database, second = (Database(url, service="audit") for url in sys.argv[1:3])
    sequencer = Sequencer(database, keys, Anchor(second, origin=keys.name), batch=300, watch=watch)
    while await sequencer.turn():
        pass

asyncio.run(main())
"""


@pytest.mark.parametrize("step", SequencerStep)
async def test_a_process_killed_with_nine_leaves_a_log_that_goes_on(log, step):
    await log.sequencer().turn()
    ids = await log.submit(400)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, log.url, log.second_url, step, stdin=asyncio.subprocess.PIPE
    )
    await child.communicate(log.key.encode().encode())
    assert child.returncode == -9
    await log.drain()
    await holds_exactly(log, ids)


async def test_a_signature_lost_with_its_process_is_made_again_the_same(log):
    await log.submit(5)
    seen = []

    def watch(step: SequencerStep) -> None:
        if step is SequencerStep.COMMITTED:
            raise Killed

    await log.sequencer().turn()
    await log.submit(5)
    with pytest.raises(Killed):
        await log.sequencer(watch=watch).turn()
    for _ in range(2):
        await log.drain()
        seen.append(await log.fetch("checkpoint"))
    assert seen[0] == seen[1]


async def running(duty: SequencerDuty, until) -> None:
    """Have the duty done until something holds."""
    stopping = asyncio.Event()
    task = asyncio.create_task(duty.run(stopping))
    await eventually(until)
    stopping.set()
    await task


async def test_who_takes_over_signs_what_the_last_one_left_unsigned(log):
    survivor = log.sequencer()
    await log.drain(survivor)
    ids = await log.submit(5)
    with pytest.raises(Killed):
        await log.sequencer(watch=kill_at(SequencerStep.COMMITTED, 1)).turn()

    async def signed() -> bool:
        return (await checkpoints(log))[-1].size == 5

    assert not await signed()
    await running(SequencerDuty(log.database, survivor, window=0.01), signed)
    await holds_exactly(log, ids)


async def test_of_two_instances_one_is_on_duty_and_the_other_takes_over(log):
    duties = [SequencerDuty(log.database, log.sequencer(), window=0.01) for _ in range(2)]
    for duty in duties:
        log.database.on_commit.append(duty.wake)
    ids = await log.submit(30)

    async def all_signed() -> bool:
        return (await checkpoints(log))[-1:] != [] and (await checkpoints(log))[-1].size == len(ids)

    stopping = [asyncio.Event(), asyncio.Event()]
    tasks = [asyncio.create_task(duty.run(stop)) for duty, stop in zip(duties, stopping, strict=True)]
    await eventually(all_signed)
    stopping[0].set()
    await tasks[0]
    ids += await log.submit(30)
    await eventually(all_signed)
    stopping[1].set()
    await tasks[1]
    await holds_exactly(log, ids)


async def test_a_contradicted_log_is_told_and_nothing_more_is_signed(log, caplog):
    await log.submit(300)
    await log.drain()
    await log.tamper("DELETE FROM entry WHERE index = 299")

    async def told() -> bool:
        return any("nothing is signed" in record.message for record in caplog.records)

    await running(SequencerDuty(log.database, log.sequencer(), window=0.01), told)
    assert len(await checkpoints(log)) == 4


async def test_of_many_sequencers_one_gets_through(log):
    ids = []
    sequencers = [log.sequencer(batch=20) for _ in range(4)]
    elsewhere = 0
    for _ in range(15):
        ids += await log.submit(30)
        results = await asyncio.gather(*(one.turn() for one in sequencers), return_exceptions=True)
        assert all(isinstance(result, int | SequencedElsewhere) for result in results), results
        elsewhere += sum(isinstance(result, SequencedElsewhere) for result in results)
    await log.drain()
    assert elsewhere
    await holds_exactly(log, ids)


async def test_the_database_refuses_to_change_the_log(log):
    for table in ("entry", "tile", "checkpoint", "cosignature"):
        for statement in ("DELETE FROM {}", "TRUNCATE {}"):
            with pytest.raises(DBAPIError, match="the log only grows"):
                await log.run(statement.format(table))
    for change in ("entry SET body = body", "tile SET hashes = hashes", "checkpoint SET note = note"):
        with pytest.raises(DBAPIError, match="the log only grows"):
            await log.run(f"UPDATE {change}")


@pytest.mark.parametrize(("index", "tile"), [(0, "tile/0/000"), (255, "tile/0/000"), (299, "tile/0/001.p/44")])
async def test_an_edited_row_is_found(log, index, tile):
    await log.submit(300)
    await log.drain()
    await log.tamper(log.EDIT.format(index))
    with pytest.raises(EntryEdited) as caught:
        await log.verify()
    assert (caught.value.indexes, caught.value.tile) == ((index,), tile)


async def test_a_row_edited_with_its_hash_is_found(log):
    await log.submit(300)
    await log.drain()
    await log.tamper(log.EDIT.format(280), log.REHASH.format(280))
    with pytest.raises(RootWrong):
        await log.verify()


async def test_rows_cut_off_are_found_and_nothing_is_signed(log):
    await log.submit(300)
    await log.drain()
    await log.tamper("DELETE FROM entry WHERE index >= 290")
    with pytest.raises(PartMissing, match="tile/entries/001"):
        await log.verify()
    with pytest.raises(LogContradicted):
        await log.sequencer().turn()
    assert (await checkpoints(log))[-1].size == 300


async def test_a_log_cut_back_with_its_checkpoints_is_seen_by_who_saved_one(log):
    await log.submit(300)
    await log.drain(log.sequencer(batch=150))
    saved = await log.fetch("checkpoint")
    await log.tamper(
        "DELETE FROM entry WHERE index >= 150", "DELETE FROM tile", "DELETE FROM checkpoint WHERE size > 150"
    )
    assert (await log.verify()).size == 150
    with pytest.raises(Exception, match="has 150 entries and once had 300"):
        await check_saved(log.fetch, log.key.verifier, saved)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET leaf = sha256(body) WHERE index = 299",
        "UPDATE tile SET root = sha256('x')",
        "DELETE FROM tile",
        "DELETE FROM entry WHERE index = 299",
    ],
)
async def test_no_sequencer_signs_on_over_rows_that_do_not_have_the_signed_root(log, statement):
    await log.submit(300)
    await log.drain()
    signed = await checkpoints(log)
    await log.tamper(statement)
    await log.submit(1)
    with pytest.raises(LogContradicted):
        await log.sequencer().turn()
    assert await checkpoints(log) == signed


async def test_a_checkpoint_of_another_key_stops_the_sequencer(log):
    await log.submit(3)
    await log.drain()
    stranger = log.sequencer(keys=LogKeys((SigningKey.generate(log.origin),)))
    with pytest.raises(LogContradicted):
        await stranger.turn()


async def test_a_key_is_changed_while_the_log_goes_on(log):
    old, new = log.key, SigningKey.generate(log.origin)
    ids, saved = [], []
    for keys in (LogKeys((old,)), LogKeys((new, old)), LogKeys((new,), (old.verifier,))):
        ids += await log.submit(130)
        await log.drain(log.sequencer(keys=keys))
        saved.append(await log.fetch("checkpoint"))
    sizes = {
        key: {checkpoint.size for note in await notes(log) if (checkpoint := opened(note, key)) is not None}
        for key in (old, new)
    }
    assert sizes == {old: {0, 100, 130, 230, 260}, new: {230, 260, 360, 390}}
    log.key = new
    assert {entry.id for entry in (await log.verify()).entries} == set(ids)
    await check_saved(log.fetch, new.verifier, saved[1])  # what a reader kept of the overlap serves the new key
    with pytest.raises(CheckpointRejected):
        await check_saved(log.fetch, new.verifier, saved[0])
    log.key = old
    with pytest.raises(CheckpointRejected, match="no signature of a trusted key"):
        await log.verify()


def opened(note: bytes, key: SigningKey) -> Checkpoint | None:
    try:
        return open_checkpoint(note, key.name, [key.verifier])
    except SignatureRejected:
        return None


async def test_a_clock_that_jumps_back_stops_nothing(log):
    sequencer = log.sequencer()
    hours = ["2026-11-21T10", "2026-11-21T11", "2026-11-21T09", "2025-01-01T00"]
    ids = []
    for hour in hours:
        entry = Entry(uuid4(), hour, ())
        await log.submit_these([Submission(entry.id, entry.encode())])
        await log.drain(sequencer)
        ids.append(entry.id)
    async with log.database.transaction() as session:
        future = "INSERT INTO lease VALUES ('sequencer', gen_random_uuid(), now() + interval '1 hour')"
        await session.execute(text(future))  # taken by an instance that died, before the clock was put back
    ids += await log.submit(5)

    async def signed() -> bool:
        return (await checkpoints(log))[-1].size == len(ids)

    await running(SequencerDuty(log.database, log.sequencer(), window=0.01), signed)
    verified = await log.verify()
    assert [entry.hour for entry in verified.entries][: len(hours)] == hours
    await holds_exactly(log, ids)
