"""The key store over HTTP: services get keys in one call, and a store or issuer that is away loses nobody anything."""

import asyncio
import base64
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from doorstep.keystore.app import answering
from doorstep.keystore.commands import application
from doorstep.kit import key_store
from doorstep.kit.auth import Authenticator
from doorstep.kit.db import Database, is_away
from doorstep.kit.key_store import KeyStoreAway, RemoteKeys, ServiceToken
from doorstep.kit.keyset import Keyset, SealBroken, new_keyset
from doorstep.kit.testing import KEY_TABLES, eventually, running
from doorstep.kit.vault import SubjectErased, Vault
from doorstep.local.clients import client_id
from doorstep.local.issuer import AUDIENCE


@pytest_asyncio.fixture(loop_scope="session")
async def served(databases, serve_keys):
    return await serve_keys(await databases.new(KEY_TABLES))


@pytest_asyncio.fixture(loop_scope="session")
async def client(served):
    made = served.client()
    yield made
    await made.close()


def token(served, role: str, account: str = "audit") -> str:
    subject = f"{role}-of-the-tests"
    return served.issuer.token(role, subject=subject, account=client_id(account) if role == "service" else None)


async def ask(served, method: str, path: str, *, role: str | None = "service", more=(), **sent) -> tuple[int, dict]:
    headers = dict(more) if role is None else dict(more) | {"Authorization": f"Bearer {token(served, role)}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, served.url + path, headers=headers, **sent) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def test_what_a_service_seals_another_opens_until_it_is_erased(served, client, tmp_path):
    new_keyset(tmp_path / "keyset.json")
    theirs = served.client()
    one, two = Vault(client, Keyset(tmp_path / "keyset.json")), Vault(theirs, Keyset(tmp_path / "keyset.json"))
    gone, stays = uuid4(), uuid4()
    ring = await one.ring([gone, stays], create=True)
    blobs = {who: ring.encrypt(who, "a.b:1", b"content") for who in (gone, stays)}
    async with running(two.forget_erased):
        assert (await two.ring([gone])).decrypt(gone, "a.b:1", blobs[gone]) == b"content"
        await asyncio.sleep(0.1)
        await one.destroy(gone)
        await one.destroy(gone)

        async def dropped() -> bool:
            return gone not in await two.ring([gone], create=True)

        await eventually(dropped)
    assert await two.erased([gone, stays]) == {gone}
    ring = await two.ring([gone, stays], create=True)
    assert ring.decrypt(stays, "a.b:1", blobs[stays]) == b"content"
    with pytest.raises(SubjectErased):
        ring.decrypt(gone, "a.b:1", blobs[gone])
    until, erased = await theirs.erased_since(datetime.now(UTC) - timedelta(minutes=5))
    assert erased == [gone]
    assert datetime.now(UTC) - until > timedelta(seconds=30)
    await theirs.close()


async def test_more_subjects_than_one_call_holds_are_asked_for_in_several(client):
    many = [uuid4() for _ in range(2300)]
    made = await client.keys(many, create=True)
    assert set(made) == set(many)
    assert await client.keys(many, create=False) == made
    assert len({key.key for key in made.values()}) == 2300
    assert await client.erased(many) == set()


async def test_nobody_but_services_gets_a_key_and_nobody_but_operators_turns_epochs(served, client):
    body = {"subjects": [str(uuid4())], "create": True}
    for role in ("collector", "reviewer", "auditor", "operator", "department-system", "resident"):
        assert await ask(served, "POST", "/v1/keys", role=role, json=body) == await ask(
            served, "POST", "/v1/erasures", role=role, json={"subject": str(uuid4())}
        )
        assert (await ask(served, "POST", "/v1/keys", role=role, json=body))[0] == 403
    for path in ("/v1/keys", "/v1/erasures", "/v1/erased", "/v1/epochs", "/v1/none"):
        status, problem = await ask(served, "POST", path, role=None, json={})
        assert (status, problem["type"]) == (401, "urn:doorstep:problem:not-authenticated")
    assert (await ask(served, "GET", "/v1/epochs"))[0] == 403
    assert await served.store.table.database.fetch("SELECT 1 FROM data_key", {}) == []
    wrong = ServiceToken(url=served.issuer.service_token_url, client_id=client_id("audit"), secret=Path(__file__))
    refused = RemoteKeys(served.url, wrong)
    with pytest.raises(KeyStoreAway):
        await refused.keys([uuid4()], create=True)
    await refused.close()


BAD = (
    ("/v1/keys", b"", "/subjects"),
    ("/v1/keys", b"{", ""),
    ("/v1/keys", b"\xff\x00", ""),
    ("/v1/keys", b'{"subjects": ["169"]}', "/subjects/0"),
    ("/v1/keys", b'{"subjects": [], "create": "perhaps"}', "/create"),
    ("/v1/keys", b'{"subjects": [], "phone-13900571482": 1}', ""),
    ("/v1/erased", b'{"subjects": {}}', "/subjects"),
    ("/v1/erasures", b'{"subject": null}', "/subject"),
    ("/v1/erasures", b'{"subject": "00000000-0000-0000-0000-000000000000"}', "/subject"),
    ("/v1/erasures", b"[" * 2000, ""),
)


async def test_bad_input_is_one_clear_problem_that_quotes_nothing(served):
    for path, body, pointer in BAD:
        status, problem = await ask(served, "POST", path, data=body)
        assert (status, [one["pointer"] for one in problem["errors"]]) == (422, [pointer]), body
        assert "169" not in str(problem)
        assert "139" not in str(problem)


async def test_keys_in_json_and_packed_are_the_same_and_a_broken_question_is_one_clear_problem(served, client):
    some, unknown = [uuid4() for _ in range(3)], uuid4()
    keys = await client.keys(some, create=True)
    status, answer = await ask(served, "POST", "/v1/keys", json={"subjects": [str(one) for one in (*some, unknown)]})
    assert status == 200
    assert {UUID(one["subject"]): base64.b64decode(one["key"]) for one in answer["keys"]} == {
        one: key.key for one, key in keys.items()
    }
    packed = {"Content-Type": key_store.BATCH}
    for body, pointer in ((b"", ""), (b"\x01" * 18, ""), (b"\x00" * (1 + 16 * 1001), "/subjects")):
        status, problem = await ask(served, "POST", "/v1/keys", data=body, more=packed)
        assert (status, problem["errors"]) == (422, [{"pointer": pointer}])


async def test_what_is_too_much_or_nowhere_is_a_problem_too(served):
    much = {"subjects": [str(uuid4())] * 1001}
    assert (await ask(served, "POST", "/v1/keys", json=much))[0] == 422
    assert (await ask(served, "POST", "/v1/keys", data=b" " * 200_000))[0] == 413
    assert (await ask(served, "POST", "/v1/none", json={}))[0] == 404
    assert (await ask(served, "DELETE", "/v1/keys"))[0] == 405
    assert (await ask(served, "GET", "/v1/erasures?since=yesterday"))[0] == 422
    for path in ("/healthz", "/readyz", "/metrics"):
        async with aiohttp.ClientSession() as session, session.get(served.url + path) as answer:
            assert answer.status == 200


async def test_a_store_that_is_away_is_an_outage_and_after_a_restart_the_same_client_goes_on(served, client):
    subject = uuid4()
    key = await client.keys([subject], create=True)
    there, nothing = served.store.table.database, Database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    served.store.table.database = nothing
    with pytest.raises(KeyStoreAway) as away:
        await client.keys([subject], create=False)
    assert is_away(away.value)
    served.store.table.database = there
    assert await client.keys([subject], create=False) == key
    port = int(served.url.rpartition(":")[2])
    issuer = served.issuer
    known = Authenticator(issuer=issuer.url, jwks_url=issuer.key_set_url, audience=AUDIENCE, development=True)
    await served.runner.cleanup()
    with pytest.raises(KeyStoreAway):
        await client.keys([subject], create=False)
    runner = await answering(served.store, known, "127.0.0.1", port)
    assert await client.keys([subject], create=False) == key
    await there.fetch("UPDATE data_key SET wrapped = wrapped || 'x'", {})
    with pytest.raises(SealBroken):
        await client.keys([subject], create=False)
    await runner.cleanup()
    await nothing.close()


async def test_tokens_are_renewed_before_they_expire_and_when_one_is_refused(served, client, monkeypatch):
    subject = uuid4()
    key = await client.keys([subject], create=True)
    renew_at = client._token._renew_at
    assert await client.keys([subject], create=False) == key
    assert client._token._renew_at == renew_at
    later = time.monotonic() + 280
    monkeypatch.setattr(key_store.time, "monotonic", lambda: later)
    await asyncio.gather(*(client.keys([subject], create=False) for _ in range(5)))
    assert client._token._renew_at > renew_at
    client._token._token = "refused"
    assert await client.keys([subject], create=False) == key
    await served.issuer.stop()
    assert await client.keys([subject], create=False) == key, "the issuer may be away while a token serves"
    client._token._token = "refused"
    with pytest.raises(KeyStoreAway):
        await client.keys([subject], create=False)


async def test_an_operator_sees_the_epochs_and_has_one_begin(served, client):
    subject: UUID = uuid4()
    key = await client.keys([subject], create=True)
    token = served.issuer.token("operator")
    options = ["--url", served.url, "--token", token]
    shown = await asyncio.to_thread(CliRunner().invoke, application, ["status", *options])
    assert (shown.exit_code, "1 keys" in shown.output, "next due" in shown.output) == (0, True, True)
    async with running(served.store.turning.run):
        done = await asyncio.to_thread(CliRunner().invoke, application, ["rewrap", *options, "--json"])
    assert done.exit_code == 0, done.output
    assert len(await served.store.epochs.all()) == 1
    assert (await served.store.epochs.all())[0].name not in shown.output
    assert await client.keys([subject], create=False) == key
    service = ["--url", served.url, "--token", served.issuer.token("collector")]
    refused = await asyncio.to_thread(CliRunner().invoke, application, ["status", *service])
    assert (refused.exit_code, "403" in refused.output) == (1, True)
    away = await asyncio.to_thread(
        CliRunner().invoke, application, ["status", "--url", "http://127.0.0.1:1", "--token", "x"]
    )
    assert (away.exit_code, "Traceback" in away.output) == (1, False)
