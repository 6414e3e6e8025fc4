"""Epochs turn: keys are wrapped anew and the old wrapping key goes; whoever dies, nothing is lost."""

import asyncio
import json
import os
import signal
import sys
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from doorstep.keystore.errors import KekMissing, KeksElsewhere
from doorstep.kit.db import Database, is_away
from doorstep.kit.keyset import NOBODY, Algorithm, SealBroken, Suite
from doorstep.kit.steps import Step

GOING_ON = asyncio.Event()
STEPS = [step for step in Step if step.startswith("epoch.")]


def kept(stores) -> set[str]:
    return set(json.loads((stores.folder / "keks.json").read_text())["keks"])


async def test_each_night_live_keys_are_wrapped_anew_and_the_old_wrapping_key_is_destroyed(stores):
    store, other = stores.new(), stores.new()
    people = [NOBODY, *(uuid4() for _ in range(1200))]
    before = await store.table.keys(people[:600], create=True) | await other.table.keys(people[600:], create=True)
    gone = people.pop()
    await store.table.destroy(gone)
    first = kept(stores)
    await store.turning.look(GOING_ON)
    assert kept(stores) == first, "it is not due"
    await stores.age(1)
    await store.turning.look(GOING_ON)
    assert len(kept(stores)) == 1
    assert kept(stores) & first == set()
    assert await stores.under() == kept(stores)
    assert await stores.rows("SELECT name FROM kek") == [(name,) for name in kept(stores)]
    for one in (store, other, stores.new()):
        assert await one.table.keys([*people, gone], create=True) == {one: before[one] for one in people}
    assert await stores.rows("SELECT count(*) FROM lease") == [(0,)]


async def test_an_instance_that_has_not_heard_of_it_wraps_under_a_key_that_exists(stores):
    """It made keys under the old one, which has ended meanwhile: the database refuses, and it looks again."""
    late, store = stores.new(), stores.new()
    await late.table.keys([uuid4()], create=True)
    await stores.age(1)
    await store.turning.look(GOING_ON)
    after = await late.table.keys([subject := uuid4()], create=True)
    assert await store.table.keys([subject], create=False) == after
    assert await stores.under() == kept(stores)


async def test_keys_made_and_erased_while_an_epoch_turns_are_as_they_are(stores):
    store, other = stores.new(), stores.new()
    people = [uuid4() for _ in range(1500)]
    before = await other.table.keys(people, create=True)
    more: dict[UUID, object] = {}

    async def make() -> None:
        for _ in range(40):
            more.update(await other.table.keys([uuid4() for _ in range(5)], create=True))

    async def erase() -> None:
        for one in people[::50]:
            await other.table.destroy(one)

    await stores.age(1)
    await asyncio.gather(store.turning.look(GOING_ON), make(), erase())
    while len(kept(stores)) > 1:
        await store.turning.look(GOING_ON)
    living = {one: key for one, key in (before | more).items() if one not in people[::50]}
    assert await stores.new().table.keys([*before, *more], create=False) == living
    assert await stores.live() == set(living)
    assert await stores.under() == kept(stores)


async def test_an_old_key_under_which_something_was_just_wrapped_is_kept_until_the_next_look(stores):
    store, other = stores.new(), stores.new()
    await other.table.keys([subject := uuid4()], create=True)
    [old] = kept(stores)
    new = await store.turning.ask()
    assert await other.table.keys([late := uuid4()], create=True)
    assert await stores.under() == {old}
    assert await store.epochs.end(new) == []
    assert kept(stores) == {old, new}
    async with store.table.database.transaction() as session:
        with pytest.raises(DBAPIError):
            await session.execute(text("DELETE FROM kek WHERE name = :old"), {"old": old})
    await store.turning.look(GOING_ON)
    assert kept(stores) == {new}
    assert set(await stores.new().table.keys([subject, late], create=False)) == {subject, late}


async def test_a_broken_key_holds_up_no_other_and_keeps_its_wrapping_key(stores):
    store = stores.new()
    people = [uuid4() for _ in range(9)]
    await store.table.keys(people, create=True)
    [old] = kept(stores)
    await stores.rows("UPDATE data_key SET wrapped = wrapped || 'x' WHERE subject_id = :id", id=people[4])
    await stores.age(1)
    await store.turning.look(GOING_ON)
    assert old in kept(stores)
    assert len(await stores.rows("SELECT 1 FROM data_key WHERE kek = :old", old=old)) == 1
    assert len(await store.table.keys(people[:4] + people[5:], create=False)) == 8
    with pytest.raises(SealBroken):
        await store.table.keys(people, create=False)


async def test_the_keys_of_another_store_and_missing_ones_are_not_worked_with(stores, databases):
    store = stores.new()
    await store.table.keys([subject := uuid4()], create=True)
    await store.epochs.check()
    content = (stores.folder / "keks.json").read_text()
    elsewhere = type(stores)(await databases.new("doorstep.kit:migrations/keys"), stores.folder, [])
    await elsewhere.rows("UPDATE key_store SET id = gen_random_uuid()")  # tests' databases are copies of one
    with pytest.raises(KeksElsewhere):
        await elsewhere.new().table.keys([subject], create=True)
    assert (stores.folder / "keks.json").read_text() == content
    (stores.folder / "keks.json").write_text(json.dumps({**json.loads(content), "keks": {}}))
    broken = stores.new()
    await stores.age(1)
    for ask in (broken.epochs.check(), broken.turning.look(GOING_ON), broken.table.keys([subject], create=False)):
        with pytest.raises(KekMissing) as missing:
            await ask
        assert is_away(missing.value), "whoever asks waits, and gives nothing up"
    (stores.folder / "keks.json").write_text(content)
    assert subject in await broken.table.keys([subject], create=False)
    for one in elsewhere.made:
        await one.table.close()


async def test_of_two_instances_one_turns(stores):
    store, other = stores.new(), stores.new()
    await store.table.keys([uuid4() for _ in range(30)], create=True)
    await stores.age(1)
    await asyncio.gather(*(one.turning.look(GOING_ON) for one in (store, other) * 3))
    await store.turning.look(GOING_ON)
    assert len(kept(stores)) == 1
    assert await stores.rows("SELECT count(*) FROM kek") == [(1,)]


async def test_data_keys_of_both_suites_are_read_and_wrapped_anew_side_by_side(stores):
    aes, sm4 = stores.new(), stores.new(Suite.NATIONAL)
    one, two = uuid4(), uuid4()
    before = await aes.table.keys([one], create=True) | await sm4.table.keys([two], create=True)
    assert [before[who].algorithm for who in (one, two)] == [Algorithm.AES, Algorithm.SM4]
    assert len(before[two].key) == 16
    await stores.age(1)
    await sm4.turning.look(GOING_ON)
    assert await aes.table.keys([one, two], create=True) == before
    await stores.rows("UPDATE data_key SET algorithm = 'aes-256-gcm'")
    with pytest.raises(SealBroken):
        await stores.new().table.keys([two], create=False)


TURN = """
import asyncio, os, sys
from pathlib import Path
from doorstep.keystore.app import compose
from doorstep.keystore.settings import KeyStoreSettings

async def main():
    store = compose(KeyStoreSettings())
    await store.turning.look(asyncio.Event())
    await store.table.close()

asyncio.run(main())
"""


async def turned(stores, step: str = "") -> int:
    """The exit status of a process that turns epochs, and kills itself at a step."""
    environment = {
        "PROFILE": "embedded", "DATABASE_URL": stores.url, "KEKS": str(stores.folder / "keks.json"),
        "ISSUER": "none", "JWKS_URL": "none", "KILL_AT": step,
    }  # fmt: skip
    named = {f"DOORSTEP_{name}": value for name, value in environment.items() if value}
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", TURN, env={**os.environ, **named})
    return await child.wait()


@pytest.mark.parametrize("step", STEPS)
async def test_a_process_killed_with_nine_between_any_two_lines_loses_nothing(stores, step):
    people, subject = [uuid4() for _ in range(700)], uuid4()
    before = await stores.new().table.keys(people, create=True)
    old = kept(stores)
    await stores.age(1)
    assert await turned(stores, step) == -signal.SIGKILL
    assert set(await stores.new().table.keys([*people, subject], create=True)) == {*people, subject}
    await stores.rows("UPDATE lease SET expires_at = now() - interval '1 second'")
    store = stores.new()
    await store.turning.look(GOING_ON)
    assert kept(stores) & old == set()
    assert len(kept(stores)) == 1
    assert await stores.under() == kept(stores)
    lines = await stores.rows("SELECT number, action, policies[1] FROM journal ORDER BY number")
    assert [line[0] for line in lines] == list(range(1, len(lines) + 1))
    begun = [name for _, action, name in lines if action == "begin-key-epoch"]
    gone = [name for _, action, name in lines if action == "destroy-wrapping-key"]
    assert sorted(begun) == sorted({*begun})
    assert sorted(gone) == sorted({f"kek:{name}" for name in old}), "told once, and not before it was so"
    assert {*begun} - {*gone} == {f"kek:{name}" for name in kept(stores)}
    found = await stores.new().table.keys([*people, subject], create=False)
    assert {one: key for one, key in found.items() if one != subject} == before


async def test_a_database_that_is_away_ends_no_turning(stores):
    store = stores.new()
    there = store.turning._database
    store.turning._epochs._database = Database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    stopping = asyncio.Event()
    working = asyncio.create_task(store.turning.run(stopping))
    await asyncio.sleep(0.2)
    store.turning._epochs._database = there
    await store.turning.ask()
    stopping.set()
    await working
    assert len(await stores.rows("SELECT 1 FROM kek")) == 1
