"""Erasing: the details of a subject are gone for good, from the log and any copy, and the log still verifies."""

import asyncio
import io
import signal
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text

from doorstep.audit.consumers import LogConsumer, erasing, storing
from doorstep.audit.domain.entry import ERASED, parse_entry
from doorstep.audit.domain.verify import WITNESSED, check_saved
from doorstep.audit.operations.checking import check_log
from doorstep.audit.operations.erasing import OF_A_SUBJECT, ErasingStep, erase_subject
from doorstep.audit.operations.mirroring import mirror_log
from doorstep.audit.operations.opening import Place, opened
from doorstep.audit.operations.proving import prove_inclusion, receipt
from doorstep.audit.operations.submitting import read_submission, subject_index, submit, submit_own
from doorstep.audit.queries import Trusted
from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Action
from doorstep.kit import intents
from doorstep.kit.db import Database
from doorstep.kit.intents import Intent
from doorstep.kit.testing import golden
from doorstep.kit.vault import NOBODY, SubjectErased, Vault


async def event_about(vault, *subjects: UUID):
    """An event that submits the reading of these subjects' file."""
    ring = await vault.ring(subjects, create=True)
    return intents.entry(ring, Intent(Action.READ_FILE, subjects), service="registry", principal=None)


async def logged(log, vault, *subjects: UUID) -> UUID:
    """The id of a stored entry about these subjects."""
    event = await event_about(vault, *subjects)
    await store(log, vault, event)
    return event.entry_id


async def store(log, vault, event) -> None:
    async with log.database.transaction() as session:
        submit(session, read_submission(event, vault=vault))


async def erase(log, vault, subject: UUID, erasure: UUID, **more) -> None:
    async with log.database.transaction() as session:
        await erase_subject(session, vault=vault, subject_id=subject, erasure_id=erasure, **more)


async def details(log, vault, subject: UUID) -> int:
    """How many details the index finds of a subject."""
    async with log.database.transaction() as session:
        query = text("SELECT count(*) FROM detail WHERE subject = :index")
        return (await session.execute(query, {"index": subject_index(vault, subject)})).scalar_one()


async def readable(database, vault) -> list[tuple[UUID, UUID]]:
    """Entry and subject of every detail that can be read."""
    now = datetime.now(UTC)
    async with database.transaction() as session:
        return [
            (entry.entry_id, detail.subject)
            async for _, entries in opened(
                session, vault, after=Place.before(now - timedelta(days=1)), until=now + timedelta(days=1)
            )
            for entry in entries
            for detail in entry.details
        ]


async def state(log) -> dict[str, list]:
    """All that is kept, but for what is random in each run: nonces, the order of arrival."""
    async with log.database.transaction() as session:
        kept = {
            "details": "SELECT entry_id, position, subject FROM detail ORDER BY 1, 2",
            "entries": "SELECT entry_id FROM entry UNION SELECT entry_id FROM pending ORDER BY 1",
        }
        return {name: [tuple(row) for row in await session.execute(text(query))] for name, query in kept.items()}


async def erased_entries(log) -> list:
    return [entry for entry in (await log.verify()).entries if entry.kind == ERASED]


async def test_details_and_index_are_gone_and_the_log_says_that_something_was_erased(log, vault):
    gone, stays, erasure = uuid4(), uuid4(), uuid4()
    both = await logged(log, vault, gone, stays)
    alone = await logged(log, vault, gone)
    await log.drain()
    await erase(log, vault, gone, erasure)
    await log.drain()
    assert await details(log, vault, gone) == 0
    assert (both, stays) in await readable(log.database, vault)
    assert gone not in {subject for _, subject in await readable(log.database, vault)}
    [entry] = await erased_entries(log)
    assert parse_entry(entry.encode()) == entry
    assert {both, alone, entry.id} == {one.id for one in (await log.verify()).entries}
    ring = await vault.ring([NOBODY])
    async with log.database.transaction() as session:
        query = text("SELECT sealed FROM detail WHERE entry_id = :id")
        sealed = (await session.execute(query, {"id": entry.id})).scalar_one()
    said = AuditDetail.model_validate_json(ring.decrypt(NOBODY, "AuditDetail", sealed))
    assert (said.action, said.outcome, said.case) == (Action.ERASE_SUBJECT, "done", str(erasure))
    assert bytes.fromhex(intents.commitment(said)) == entry.commitments[0]
    assert str(gone) not in said.model_dump_json()


async def test_proofs_checkpoints_fsck_export_and_verify_hold(log, vault, tmp_path):
    async def fetch(path: str) -> bytes | None:
        return None if path == WITNESSED else await log.fetch(path)

    gone = uuid4()
    events = [await event_about(vault, gone, stays) for stays in 150 * [uuid4(), uuid4()]]
    async with log.database.transaction() as session:
        for event in events:
            submit(session, read_submission(event, vault=vault))
    ids = [event.entry_id for event in events]
    await log.drain()
    before = await log.fetch("checkpoint")
    async with log.database.transaction() as session:
        kept = await receipt(session, entry_id=ids[7], trusted=Trusted())
    await mirror_log(fetch, log.key.verifier, tmp_path / "mirror")
    await erase(log, vault, gone, uuid4())
    await log.drain()
    assert (await log.verify()).size == 301
    await check_saved(log.fetch, log.key.verifier, before)
    report = await check_log(log.database, [log.key.verifier], anchor=log.anchor)
    assert report.findings == []
    async with log.database.transaction() as session:
        for entry_id in (ids[0], ids[255], ids[-1]):
            assert (await prove_inclusion(session, entry_id=entry_id)).size == 301
        again = await receipt(session, entry_id=ids[7], trusted=Trusted())
    assert kept.extra == again.extra
    await mirror_log(fetch, log.key.verifier, tmp_path / "mirror")


@pytest.mark.parametrize("step", list(ErasingStep))
async def test_whatever_line_it_dies_at_it_ends_in_the_same_state(log, vault, step):
    gone, stays, erasure = UUID(int=21), UUID(int=22), uuid4()
    await logged(log, vault, gone, stays)
    await logged(log, vault, gone)

    def die(passed: ErasingStep) -> None:
        if passed is step:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await erase(log, vault, gone, erasure, watch=die)
    assert await details(log, vault, gone) == 2, "its transaction had not committed"
    await erase(log, vault, gone, erasure)
    first = await state(log)
    await erase(log, vault, gone, erasure)
    assert await state(log) == first
    await log.drain()
    assert len(await erased_entries(log)) == 1
    assert await vault.erased([gone, stays]) == {gone}
    assert {subject for _, subject in await readable(log.database, vault)} == {stays, NOBODY}


async def test_a_process_killed_with_nine_at_each_line_leaves_what_the_next_one_finishes(log, vault, tmp_path):
    program = tmp_path / "eraser.py"
    program.write_text(ERASER)
    gone, erasure = uuid4(), uuid4()
    await logged(log, vault, gone)
    keys = vault.store.database.engine.url.render_as_string(hide_password=False)
    arguments = (log.url, keys, str(tmp_path / "keyset.json"), str(gone), str(erasure))
    for step in (*ErasingStep, "never"):
        child = await asyncio.create_subprocess_exec(sys.executable, str(program), *arguments, str(step))
        assert await child.wait() == (0 if step == "never" else -signal.SIGKILL)
    await log.drain()
    assert await details(log, vault, gone) == 0
    assert len(await erased_entries(log)) == 1


ERASER = """
import asyncio, os, signal, sys
from pathlib import Path
from uuid import UUID

from doorstep.audit.operations.erasing import erase_subject
from doorstep.kit.db import Database
from doorstep.keystore.app import local_table
from doorstep.kit.vault import Keyset, Vault


async def main(log, keys, keyset, subject, erasure, last):
    def watch(step):
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    store = local_table(Database(keys), Path(keyset).parent)
    database, vault = Database(log, service="audit"), Vault(store, Keyset(Path(keyset)))
    async with database.transaction() as session:
        await erase_subject(session, vault=vault, subject_id=UUID(subject), erasure_id=UUID(erasure), watch=watch)


asyncio.run(main(*sys.argv[1:]))
"""


async def test_erased_twice_by_two_erasures_is_two_entries_and_nothing_else(log, vault):
    gone = uuid4()
    await logged(log, vault, gone)
    await asyncio.gather(*(erase(log, vault, gone, uuid4()) for _ in range(2)))
    await log.drain()
    assert len(await erased_entries(log)) == 2
    assert await details(log, vault, gone) == 0


async def test_what_comes_late_is_in_the_log_and_its_detail_is_not_stored(log, vault):
    gone, stays = uuid4(), uuid4()
    event = await event_about(vault, gone, stays)
    own = await vault.ring([gone], create=True)
    await erase(log, vault, gone, uuid4())
    for _ in range(2):  # and a sender's second try
        await store(log, vault, event)
    async with log.database.transaction() as session:
        entry_id = submit_own(session, own, Intent(Action.READ_DEAD_LETTER, [gone]), vault=vault)
    await log.drain()
    assert {event.entry_id, entry_id} <= {entry.id for entry in (await log.verify()).entries}
    assert await details(log, vault, gone) == 0
    assert (event.entry_id, stays) in await readable(log.database, vault)


async def test_who_stores_first_is_waited_for_and_the_row_goes(log, vault):
    gone = uuid4()
    event = await event_about(vault, gone)
    stored, go_on = asyncio.Event(), asyncio.Event()

    async def store_slowly() -> None:
        async with log.database.transaction() as session:
            submit(session, read_submission(event, vault=vault))
            for write in session.info.pop("before_commit"):
                await write(session)
            stored.set()
            await go_on.wait()

    storing_ = asyncio.create_task(store_slowly())
    await stored.wait()
    steps: list[ErasingStep] = []
    eraser = asyncio.create_task(erase(log, vault, gone, uuid4(), watch=steps.append))
    await waits_for_a_lock(log)
    assert steps == []
    assert await vault.erased([gone]) == set(), "the key goes once nobody stores under it"
    go_on.set()
    await asyncio.gather(storing_, eraser)
    assert await details(log, vault, gone) == 0


@pytest.mark.parametrize("commits", [True, False], ids=["commits", "dies"])
async def test_who_erases_first_is_waited_for_and_no_row_comes(log, vault, commits):
    gone = uuid4()
    event = await event_about(vault, gone)
    destroyed, go_on = asyncio.Event(), asyncio.Event()

    async def erase_slowly() -> None:
        async with log.database.transaction() as session:
            await erase_subject(session, vault=vault, subject_id=gone, erasure_id=uuid4())
            destroyed.set()
            await go_on.wait()
            if not commits:
                raise ZeroDivisionError

    eraser = asyncio.create_task(erase_slowly())
    await destroyed.wait()
    late = asyncio.create_task(store(log, vault, event))
    await waits_for_a_lock(log)
    go_on.set()
    await asyncio.gather(eraser, late, return_exceptions=True)
    assert late.exception() is None
    assert await details(log, vault, gone) == 0
    await log.drain()
    assert event.entry_id in {entry.id for entry in (await log.verify()).entries}


async def waits_for_a_lock(log) -> None:
    query = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database AND d.datname = current_database()"
        " WHERE locktype = 'advisory' AND NOT granted"
    )
    async with asyncio.timeout(10):
        while True:
            async with log.database.transaction() as session:
                if (await session.execute(query)).scalar_one():
                    return
            await asyncio.sleep(0.02)


async def test_who_stores_does_not_hold_up_who_stores(log, vault):
    first, second = [await event_about(vault, uuid4()) for _ in range(2)]
    async with log.database.transaction() as session, asyncio.timeout(10):
        submit(session, read_submission(first, vault=vault))
        for write in session.info.pop("before_commit"):
            await write(session)
        await store(log, vault, second)


async def test_yesterdays_copy_of_the_log_beside_todays_keys_says_nothing(log, vault, databases):
    gone, stays = uuid4(), uuid4()
    both = await logged(log, vault, gone, stays)
    await log.drain()
    copied = await copy_out(log.url)
    await erase(log, vault, gone, uuid4())
    url = await databases.new(*log.TABLES)
    await copy_in(url, copied)
    restored = Database(url, service="audit")
    fresh = Vault(vault.store, vault._keyset)
    async with restored.transaction() as session:
        query = text("SELECT sealed FROM detail WHERE subject = :index")
        [sealed] = (await session.execute(query, {"index": subject_index(fresh, gone)})).scalars()
    ring = await fresh.ring([gone, stays])
    with pytest.raises(SubjectErased):
        ring.decrypt(gone, "AuditDetail", sealed)
    assert await readable(restored, fresh) == [(both, stays)]
    await restored.close()


COPIED = ("pending", "entry", "tile", "checkpoint", "detail")


async def copy_out(url: str) -> dict[str, bytes]:
    """The rows of the log's tables, as a dump has them."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    found = {}
    for table in COPIED:
        rows = io.BytesIO()
        await connection.copy_from_table(table, output=rows, format="binary")
        found[table] = rows.getvalue()
    await connection.close()
    return found


async def copy_in(url: str, copied: dict[str, bytes]) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    for table, rows in copied.items():
        await connection.copy_to_table(table, source=io.BytesIO(rows), format="binary")
    await connection.close()


async def test_every_table_with_an_index_of_subjects_is_erased_from(log):
    """Whoever adds a table with rows of a subject adds a line to the list."""
    query = (
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'subject'"
    )
    async with log.database.transaction() as session:
        tables = set((await session.execute(text(query))).scalars())
    assert tables - {"outbox"} == set(OF_A_SUBJECT)


async def test_nobody_is_not_erased(log, vault):
    await vault.ring([NOBODY], create=True)
    with pytest.raises(ValueError, match="nobody"):
        await erase(log, vault, NOBODY, uuid4())
    assert NOBODY in await Vault(vault.store, vault._keyset).ring([NOBODY])


async def test_an_erasure_that_cannot_be_read_is_a_dead_letter_and_no_entry(log, service):
    consumer = LogConsumer(service)
    broken = SimpleNamespace(topic="registry.erasures", partition=0, offset=0, headers=(), key=None, value=b"{")
    assert consumer.read(broken).flaw is not None
    broken.topic = "audit.entry.intake"
    assert consumer.read(broken).flaw is None


async def test_the_golden_message_is_taken_by_the_handler(log, vault):
    received = golden("registry.subject-erased.v1").received
    async with log.database.transaction() as session:
        await erasing(vault)(session, received)
    assert await vault.erased([received.event.subject_id]) == {received.event.subject_id}
    late = golden("audit.entry-submitted.v1").received
    async with log.database.transaction() as session:
        await storing(vault)(session, late)
    assert await details(log, vault, received.event.subject_id) == 0
