"""The key store's journal in the log: nothing lost and nothing twice, whoever dies, and whatever is put back."""

import asyncio
from uuid import uuid4

import pytest

from doorstep.audit.operations.about import details_about
from doorstep.audit.operations.journaling import take_over
from doorstep.contracts.codes import Action, Role
from doorstep.keystore.journal import Journal
from doorstep.kit.auth import Principal
from doorstep.kit.db import DatabaseAway
from doorstep.kit.intents import staff_subject
from doorstep.kit.vault import NOBODY

SOMEBODY = Principal("a-stranger", Role.OPERATOR, "station")


async def in_the_log(log) -> set:
    rows = await log.database.fetch("SELECT entry_id FROM pending UNION ALL SELECT entry_id FROM entry", {})
    assert len(rows) == len({row[0] for row in rows})
    return {row[0] for row in rows}


async def lines(vault) -> list:
    return await vault.store.journal(0)


async def test_each_line_is_one_entry_however_often_it_is_taken_and_by_whom(log, vault):
    people = [uuid4() for _ in range(5)]
    await vault.ring(people, create=True)
    for one in people:
        await vault.destroy(one)
    await asyncio.gather(*(take_over(log.database, vault) for _ in range(3)))
    assert await take_over(log.database, vault) == 0
    known = {line.id for line in await lines(vault)}
    assert await in_the_log(log) == known
    await log.database.fetch("DELETE FROM inbox_position", {})  # as if it had died before it was kept
    assert await take_over(log.database, vault) == len(known) == 6
    assert await in_the_log(log) == known
    rows = await log.database.fetch("SELECT count(*), count(DISTINCT entry_id) FROM detail", {})
    assert [tuple(row) for row in rows] == [(6, 6)]


async def test_what_fails_while_it_is_taken_leaves_nothing_and_is_taken_later(log, vault, monkeypatch):
    await vault.ring([uuid4()], create=True)

    async def away(_):
        raise DatabaseAway

    with monkeypatch.context() as broken:
        broken.setattr(vault, "erased", away)  # asked in the transaction, when all is to be written
        with pytest.raises(DatabaseAway):
            await take_over(log.database, vault)
    assert await in_the_log(log) == set()
    assert await log.database.fetch("SELECT 1 FROM inbox_position", {}) == []
    assert await take_over(log.database, vault) == 1


async def test_a_refused_caller_is_told_as_refusals_are_and_what_was_done_is_about_nobody(log, vault):
    journal = Journal(vault.store.database)
    await vault.ring([person := uuid4()], create=True)
    await vault.destroy(person)
    await journal.refuse(SOMEBODY, Action.DESTROY_DATA_KEY, ("some-policy",))
    await take_over(log.database, vault)
    about = [NOBODY, staff_subject(vault, SOMEBODY)]
    ring = await vault.ring(about)
    async with log.database.transaction() as session:
        found = [seen.detail for one in about for seen in await details_about(session, vault, ring, one)]
    told = {(one.service, one.action, one.outcome, one.actor, one.role, one.policies[-1:]) for one in found}
    [begun] = [line for line in await lines(vault) if line.action == Action.BEGIN_KEY_EPOCH]
    assert told == {
        ("keystore", "begin-key-epoch", "done", None, None, begun.policies),
        ("keystore", "destroy-data-key", "done", None, None, ()),
        ("keystore", "destroy-data-key", "refused:forbidden", "a-stranger", "operator", ("some-policy",)),
    }
    assert {one.at_us // 1000 for one in found} == {int(line.at.timestamp() * 1000) for line in await lines(vault)}, (
        "at the time at which it was"
    )


async def test_a_key_store_that_was_put_back_is_read_from_the_beginning(log, vault):
    for _ in range(4):
        await vault.ring([person := uuid4()], create=True)
        await vault.destroy(person)
    assert await take_over(log.database, vault) == 5
    before = await in_the_log(log)
    await vault.store.database.fetch("TRUNCATE journal", {})
    await vault.store.database.fetch("UPDATE key_store SET written = 0, taken = 0", {})
    for _ in range(6):  # the numbers are those of before, and one more
        await vault.ring([person := uuid4()], create=True)
        await vault.destroy(person)
    await take_over(log.database, vault)
    assert await in_the_log(log) == before | {line.id for line in await lines(vault)}
    assert await take_over(log.database, vault) == 0
