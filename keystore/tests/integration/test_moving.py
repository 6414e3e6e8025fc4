"""Key-encryption keys move from a file to a Vault and back while keys are asked for; whoever dies, nothing is lost."""

import asyncio
import json
import os
import signal
import sys
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from doorstep.keystore.app import compose
from doorstep.keystore.commands import application
from doorstep.keystore.errors import NoSuchPlace
from doorstep.keystore.places import Place
from doorstep.keystore.settings import KeyStoreSettings
from doorstep.kit.steps import Step
from doorstep.kit.testing import KEY_TABLES, running

GOING_ON = asyncio.Event()
STEPS = [step for step in Step if step.startswith("epoch.")]


class Moving:
    """Instances of a key store that knows both places."""

    def __init__(self, stores, transit) -> None:
        self.stores, self.transit = stores, transit

    def settings(self, *, vault: bool = True) -> dict[str, str]:
        keks = str(self.stores.folder / "keks.json")
        told = {"profile": "embedded", "database_url": self.stores.url, "keks": keks, "issuer": "none"}
        place = {"transit_url": self.transit.url, "transit_token": str(self.transit.token)}
        return {**told, "jwks_url": "none", **(place if vault else {})}

    def new(self, *, vault: bool = True):
        made = compose(KeyStoreSettings(**self.settings(vault=vault)))
        self.stores.made.append(made)
        return made

    @property
    def in_file(self) -> int:
        path = self.stores.folder / "keks.json"
        return len(json.loads(path.read_text())["keks"]) if path.exists() else 0

    @property
    def in_vault(self) -> int:
        return sum(len(key.versions) for key in self.transit.keys.values())


@pytest.fixture
def moving(stores, transit) -> Moving:
    return Moving(stores, transit)


async def test_keys_move_to_a_vault_and_back_while_all_works_on(moving):
    before_it, store = moving.new(vault=False), moving.new()
    people = [uuid4() for _ in range(1100)]
    keys = await before_it.table.keys(people, create=True)
    assert (moving.in_file, moving.in_vault) == (1, 0), "a Vault that is told of moves nothing by itself"
    await store.turning.look(GOING_ON)
    for place, left in ((Place.VAULT, (0, 1)), (Place.FILE, (1, 0)), (Place.VAULT, (0, 1))):
        await store.turning.ask(to=place)
        late = await moving.new().table.keys([uuid4()], create=True)
        await store.turning.look(GOING_ON)
        keys |= late
        assert (moving.in_file, moving.in_vault) == left, "what was left is destroyed there"
        assert await moving.new().table.keys(list(keys), create=False) == keys
        await moving.stores.age(1)
        await store.turning.look(GOING_ON)
        assert (moving.in_file, moving.in_vault) == left, "the next epoch stays where the last one moved to"
    assert [row[0] for row in await moving.stores.rows("SELECT count(*) FROM ended_kek")] == [0]
    with pytest.raises(NoSuchPlace):
        await moving.new(vault=False).table.keys(people, create=False)


MOVE = """
import asyncio
from doorstep.keystore.app import compose
from doorstep.keystore.places import Place
from doorstep.keystore.settings import KeyStoreSettings

async def main():
    store = compose(KeyStoreSettings())
    await store.turning.ask(to=Place.VAULT)
    await store.turning.look(asyncio.Event())

asyncio.run(main())
"""


@pytest.mark.parametrize("step", STEPS)
async def test_a_process_killed_with_nine_while_it_moves_loses_nothing_and_the_next_one_goes_on(moving, step):
    people = [uuid4() for _ in range(600)]
    keys = await moving.new(vault=False).table.keys(people, create=True)
    named = {f"DOORSTEP_{name.upper()}": value for name, value in moving.settings().items()} | {
        "DOORSTEP_KILL_AT": step
    }
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", MOVE, env={**os.environ, **named})
    assert await child.wait() == -signal.SIGKILL
    keys |= await moving.new().table.keys([uuid4()], create=True)
    await moving.stores.rows("UPDATE lease SET expires_at = now() - interval '1 second'")
    store = moving.new()
    if (await store.epochs.all())[0].name[0] != "v":
        await store.turning.ask(to=Place.VAULT)  # it died before it was known that it moves: who asked, asks again
    await store.turning.look(GOING_ON)
    assert (moving.in_file, moving.in_vault) == (0, 1)
    assert await moving.new().table.keys(list(keys), create=False) == keys
    gone = await moving.stores.rows("SELECT count(*) FROM journal WHERE action = 'destroy-wrapping-key'")
    assert [tuple(row) for row in gone] == [(1,)]


async def test_a_vault_that_is_away_destroys_nothing_and_the_move_goes_on_when_it_is_back(moving):
    store = moving.new()
    keys = await moving.new(vault=False).table.keys([uuid4() for _ in range(30)], create=True)
    await store.turning.ask(to=Place.VAULT)
    moving.transit.sealed = True
    async with running(store.turning.run):
        await asyncio.sleep(0.3)
    assert moving.in_file == 1
    assert await moving.new().table.keys(list(keys), create=False) == keys, "what the file still wraps is still read"
    moving.transit.sealed = False
    await moving.stores.rows("UPDATE lease SET expires_at = now() - interval '1 second'")
    await store.turning.look(GOING_ON)
    assert (moving.in_file, moving.in_vault) == (0, 1)
    assert await moving.new(vault=True).table.keys(list(keys), create=False) == keys


async def test_an_operator_moves_by_command_and_a_place_that_is_not_told_of_is_one_clear_line(databases, serve_keys):
    served = await serve_keys(await databases.new(KEY_TABLES))
    client = served.client()
    await client.keys([uuid4()], create=True)
    options = ["--url", served.url, "--token", served.issuer.token("operator")]
    for to, code, told in (("vault", 1, "409"), ("file", 0, "file"), ("moon", 2, "moon")):
        done = await asyncio.to_thread(CliRunner().invoke, application, ["move", "--to", to, *options])
        assert (done.exit_code, told in done.output, "Traceback" in done.output) == (code, True, False)
    assert len(await served.store.epochs.all()) == 1, "it is there already, and nothing was begun"
    await client.close()
