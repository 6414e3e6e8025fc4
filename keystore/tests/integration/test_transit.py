"""Key-encryption keys in Vault's transit engine, against a small server that does what its documentation says.

It encrypts with AES-256-GCM per key version, answers batches item by item, rotates, refuses versions below
`min_decryption_version`, and trims. A real Vault was not run.
"""

import asyncio
import base64
import secrets
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from doorstep.keystore.epochs import Epochs
from doorstep.keystore.errors import KekMissing, KeksAway, NoKeks
from doorstep.keystore.keks import Bound
from doorstep.keystore.table import KeyTable
from doorstep.keystore.transit import TransitKeks
from doorstep.keystore.turning import Turning
from doorstep.kit.db import Database
from doorstep.kit.keyset import SealBroken
from doorstep.kit.testing import KEY_TABLES

TOKEN = "hvs.for-tests"


class TransitKey:
    """A key of the engine: its versions, and the limits that were set."""

    def __init__(self) -> None:
        self.versions = {1: secrets.token_bytes(32)}
        self.limits = {"min_decryption_version": 1, "min_encryption_version": 0, "min_available_version": 0}

    @property
    def latest(self) -> int:
        return max(self.versions)

    def encrypt(self, item: dict) -> dict:
        version, nonce = item.get("key_version") or self.latest, secrets.token_bytes(12)
        if version not in self.versions:
            return {"error": "requested version for encryption is higher than the latest key version"}
        data = AESGCM(self.versions[version]).encrypt(nonce, text(item["plaintext"]), text(item["associated_data"]))
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(nonce + data).decode()}", "key_version": version}

    def decrypt(self, item: dict) -> dict:
        prefix, version, data = item["ciphertext"].split(":")
        if prefix != "vault":
            return {"error": "invalid ciphertext: no prefix"}
        if int(version[1:]) < self.limits["min_decryption_version"]:
            return {"error": "ciphertext or signature version is disallowed by policy (too old)"}
        raw = base64.b64decode(data)
        try:
            plain = AESGCM(self.versions[int(version[1:])]).decrypt(raw[:12], raw[12:], text(item["associated_data"]))
        except InvalidTag:
            return {"error": "cipher: message authentication failed"}
        return {"plaintext": base64.b64encode(plain).decode()}


def text(value: str) -> bytes:
    return base64.b64decode(value)


class Transit:
    """The engine at `/v1/transit`."""

    def __init__(self) -> None:
        self.keys: dict[str, TransitKey] = {}
        self.calls: list[str] = []
        self.sealed = False

    async def answer(self, request: web.Request) -> web.Response:
        what, _, name = request.match_info["path"].partition("/")
        name, _, action = name.partition("/")
        self.calls.append(action or what)
        if self.sealed:
            return web.json_response({"errors": ["Vault is sealed"]}, status=503)
        if request.headers.get("X-Vault-Token") != TOKEN:
            return web.json_response({"errors": ["permission denied"]}, status=403)
        body = await request.json() if request.can_read_body else {}
        if what == "keys" and request.method == "POST" and not action:
            assert body == {"type": "aes256-gcm96"}
            self.keys.setdefault(name, TransitKey())
            return web.Response(status=204)
        if name not in self.keys:
            return web.json_response({"errors": []}, status=404)
        return self.done(self.keys[name], action or what, body)

    def done(self, key: TransitKey, what: str, body: dict) -> web.Response:
        if what == "rotate":
            key.versions[key.latest + 1] = secrets.token_bytes(32)
        elif what == "config":
            assert body["min_decryption_version"] <= key.latest
            key.limits |= body
        elif what == "trim":
            oldest = body["min_available_version"]
            assert oldest <= min(key.limits["min_decryption_version"], key.limits["min_encryption_version"])
            key.versions = {version: secret for version, secret in key.versions.items() if version >= oldest}
            key.limits["min_available_version"] = oldest
        elif what in ("encrypt", "decrypt"):
            results = [getattr(key, what)(item) for item in body["batch_input"]]
            failed = any("error" in one for one in results)
            return web.json_response({"data": {"batch_results": results}}, status=400 if failed else 200)
        else:
            return web.json_response({"data": {"latest_version": key.latest, "type": "aes256-gcm96", **key.limits}})
        return web.Response(status=204)


@pytest_asyncio.fixture(loop_scope="session")
async def transit(tmp_path):
    engine, app = Transit(), web.Application()
    app.router.add_route("*", "/v1/transit/{path:.+}", engine.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    engine.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    engine.token = tmp_path / "token"
    engine.token.write_text(TOKEN + "\n")
    yield engine
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="session")
async def keks(transit):
    made = TransitKeks(transit.url, mount="transit", token=transit.token)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def store(databases, keks):
    database = Database(await databases.new(KEY_TABLES), service="keystore", pool_size=2)
    epochs = Epochs(database, keks)
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
    transit.token.write_text(TOKEN)
    nowhere = TransitKeks("http://127.0.0.1:1", mount="transit", token=transit.token)
    await nowhere.bind("store")
    with pytest.raises(KeksAway):
        await nowhere.names()
    await nowhere.close()
