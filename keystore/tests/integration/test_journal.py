"""The journal: what the key store did that matters, in order and for good; who asked for what is not theirs."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from doorstep.contracts.codes import Action, Role
from doorstep.keystore.journal import Journal
from doorstep.kit.auth import Principal
from doorstep.kit.key_store import KeyStoreAway, RemoteKeys, ServiceToken
from doorstep.kit.testing import KEY_TABLES
from doorstep.local.clients import client_id

SOMEBODY = Principal("someone", Role.SERVICE, "station", None, "doorstep-risk")


def of(served, account: str) -> RemoteKeys:
    """What the service with this account has of the key store."""
    served.issuer.clients.make([account])
    secret = served.issuer.clients.folder / account
    url = served.issuer.service_token_url
    return RemoteKeys(served.url, ServiceToken(url=url, client_id=client_id(account), secret=secret))


async def test_what_was_done_is_told_once_to_the_log_alone_and_names_no_subject(databases, serve_keys):
    served = await serve_keys(await databases.new(KEY_TABLES))
    log, risk, other = served.client(), of(served, "risk"), of(served, "page")
    gone, stays = uuid4(), uuid4()
    key = await risk.keys([gone, stays], create=True)
    for _ in range(2):
        with pytest.raises(KeyStoreAway):
            await risk.destroy(stays)
    for ask in (other.keys([gone], create=True), other.erased([gone]), risk.journal(0)):
        with pytest.raises(KeyStoreAway):
            await ask
    await log.destroy(gone)
    await log.destroy(gone)
    assert set(await risk.keys([gone, stays], create=True)) == {stays}
    assert (await risk.keys([stays], create=False))[stays] == key[stays]
    assert await risk.erased([gone, stays]) == {gone}
    lines = await log.journal(0)
    assert [(line.number, line.action, line.outcome, line.actor) for line in lines] == [
        (1, "begin-key-epoch", "done", None),
        (2, "destroy-data-key", "refused:forbidden", "risk"),
        (3, "refuse", "refused:forbidden", "page"),
        (4, "refuse", "refused:forbidden", "risk"),
        (5, "destroy-data-key", "done", "audit"),
    ]
    assert lines[0].policies == (f"kek:{(await served.store.epochs.all())[0].name}",)
    assert {(line.role, line.agency) for line in lines[1:]} == {("service", "station")}
    assert await log.journal(4) == lines[3:]
    rows = await served.store.table.database.fetch("SELECT journal::text FROM journal", {})
    assert not any(str(one) in row[0] for one in (gone, stays) for row in rows)
    for client in (log, risk, other):
        await client.close()


async def test_lines_are_numbered_in_the_order_in_which_they_commit(stores):
    store = stores.new()
    people = [uuid4() for _ in range(40)]
    await store.table.keys(people, create=True)
    await asyncio.gather(*(store.table.destroy(one) for one in people * 2))
    numbers = [line.number for line in await store.table.journal(0)]
    assert numbers == list(range(1, 42)), "an erasure is one line, and no number is missing"


async def test_a_line_is_never_changed_and_goes_when_the_log_has_it_and_it_is_old(stores):
    store = stores.new()
    journal = Journal(store.table.database)
    for _ in range(3):
        await journal.refuse(SOMEBODY, Action.REFUSE, ())
    await journal.refuse(SOMEBODY, Action.DESTROY_DATA_KEY, ("a",))
    await store.table.keys([uuid4()], create=True)
    assert [line.action for line in await journal.lines(0)] == ["refuse", "destroy-data-key", "begin-key-epoch"]
    for statement in ("UPDATE journal SET outcome = 'done'", "DELETE FROM journal"):
        with pytest.raises(asyncpg.RaiseError):
            await stores.rows(statement)
    await stores.rows("ALTER TABLE journal DISABLE TRIGGER only_grows")
    await stores.rows("UPDATE journal SET at = at - interval '15 days'")
    await stores.rows("ALTER TABLE journal ENABLE TRIGGER only_grows")
    await journal.trim()
    assert len(await journal.lines(0)) == 3, "the log has asked for nothing that comes after them"
    assert [line.number for line in await journal.lines(3)] == [3]
    assert await journal.lines(9) == []
    await journal.trim()
    assert [line.number for line in await journal.lines(0)] == [3]
