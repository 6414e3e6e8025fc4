"""A key store over a database of its own, and what its tests see of it from inside."""

import base64
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest_asyncio
from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from doorstep.keystore.app import Store, local_store
from doorstep.kit.db import Database
from doorstep.kit.keyset import Suite
from doorstep.kit.testing import KEY_TABLES, Databases

TOKEN = "hvs.for-tests"


class TransitKey:
    """A key of the engine: its versions, and the limits that were set."""

    def __init__(self) -> None:
        self.versions = {1: secrets.token_bytes(32)}
        self.limits = {"min_decryption_version": 1, "min_encryption_version": 0, "min_available_version": 0}
        self.limits["deletion_allowed"] = False

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
        if what == "keys" and request.method == "DELETE":
            assert self.keys[name].limits["deletion_allowed"], "Vault refuses otherwise"
            del self.keys[name]
            return web.Response(status=204)
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
            assert body.get("min_decryption_version", 0) <= key.latest
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


@dataclass
class Stores:
    """Instances of one key store: a database and a file."""

    url: str
    folder: Path
    made: list[Store]

    def new(self, suite: Suite = Suite.INTERNATIONAL) -> Store:
        """One more instance."""
        store = local_store(Database(self.url, service="keystore", pool_size=3), self.folder, suite)
        self.made.append(store)
        return store

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """What a statement gives."""
        store = self.made[0] if self.made else self.new()
        return await store.table.database.fetch(query, values)

    async def age(self, days: int) -> None:
        """Let the epochs have begun so many days earlier."""
        await self.rows("UPDATE kek SET made_at = made_at - make_interval(days => :days)", days=days)

    async def under(self) -> set[str | None]:
        """What live keys are wrapped under."""
        return {row[0] for row in await self.rows("SELECT DISTINCT kek FROM data_key WHERE wrapped IS NOT NULL")}

    async def live(self) -> set[UUID]:
        """Who has a key."""
        return {row[0] for row in await self.rows("SELECT subject_id FROM data_key WHERE wrapped IS NOT NULL")}


@pytest_asyncio.fixture(loop_scope="session")
async def stores(databases: Databases, tmp_path: Path) -> AsyncIterator[Stores]:
    """A key store with no instance yet."""
    made = Stores(await databases.new(KEY_TABLES), tmp_path, [])
    yield made
    for store in made.made:
        await store.table.close()
