"""Key-encryption keys in Vault's transit engine, against a small server that does what its documentation says.

It encrypts with AES-256-GCM per key version, answers batches item by item, rotates, refuses versions below
`min_decryption_version`, and trims. A real Vault was not run.
"""

import asyncio
from uuid import uuid4

import pytest
import pytest_asyncio

from doorstep.keystore.epochs import Epochs
from doorstep.keystore.errors import KekMissing, KeksAway, NoKeks
from doorstep.keystore.keks import Bound
from doorstep.keystore.places import Place, PlacedKeks
from doorstep.keystore.table import KeyTable
from doorstep.keystore.transit import TransitKeks
from doorstep.keystore.turning import Turning
from doorstep.kit.db import Database
from doorstep.kit.keyset import SealBroken
from doorstep.kit.testing import KEY_TABLES


@pytest_asyncio.fixture(loop_scope="session")
async def keks(transit):
    made = TransitKeks(transit.url, mount="transit", token=transit.token)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def store(databases, keks):
    database = Database(await databases.new(KEY_TABLES), service="keystore", pool_size=2)
    epochs = Epochs(database, PlacedKeks({Place.VAULT: keks}, Place.VAULT))
    yield KeyTable(database, keks, epochs), epochs
    await database.close()


async def test_an_epoch_turns_in_vault_and_one_key_serves_everybody(transit, store):
    table, epochs = store
    people = [uuid4() for _ in range(700)]
    before = await table.keys(people, create=True)
    assert transit.calls.count("encrypt") == 1, "a batch is one call"
    [(name, key)] = transit.keys.items()
    assert name.removeprefix("doorstep-") in str(await table.database.fetch("SELECT id FROM key_store", {}))
    transit.calls.clear()
    assert await table.keys(people, create=True) == before
    assert transit.calls == ["decrypt"]
    stopping = asyncio.Event()
    turning = Turning(table.database, table, epochs)
    await turning.ask()
    await turning.look(stopping)
    assert list(key.versions) == [2]
    assert [one.name for one in await epochs.all()] == ["v2"]
    assert await table.keys(people, create=False) == before


async def test_a_version_that_somebody_made_who_died_is_taken_and_an_old_one_is_gone(transit, keks):
    await keks.bind("store")
    first = await keks.make([])
    [old] = await keks.wrap(first, [Bound(b"x", b"secret")])
    await keks._ask("POST", "/keys/doorstep-store/rotate")
    assert await keks.make([first]) == "v2"
    assert await keks.make([first, "v2"]) == "v3"
    await keks.keep_only(["v3"])
    assert await keks.names() == {"v3"}
    with pytest.raises(KekMissing):
        await keks.unwrap(first, [Bound(b"x", old)])
    [new] = await keks.wrap("v3", [Bound(b"x", b"secret")])
    assert await keks.unwrap("v3", [Bound(b"x", new)]) == [b"secret"]
    for wrong in (Bound(b"y", new), Bound(b"x", new[:-8] + b"AAAAAAA=")):
        with pytest.raises(SealBroken):
            await keks.unwrap("v3", [wrong])


async def test_a_vault_that_is_sealed_refuses_or_is_away_is_an_outage(transit, keks, tmp_path):
    await keks.bind("store")
    name = await keks.make([])
    transit.sealed = True
    with pytest.raises(KeksAway):
        await keks.wrap(name, [Bound(b"x", b"secret")])
    transit.sealed = False
    transit.token.write_text("wrong")
    with pytest.raises(KeksAway):
        await keks.names()
    transit.token.unlink()
    with pytest.raises(NoKeks):
        await keks.names()
    transit.token.write_text("hvs.for-tests")
    nowhere = TransitKeks("http://127.0.0.1:1", mount="transit", token=transit.token)
    await nowhere.bind("store")
    with pytest.raises(KeksAway):
        await nowhere.names()
    await nowhere.close()
