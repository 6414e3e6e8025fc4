"""Key-encryption keys in the transit engine of a HashiCorp Vault, by its HTTP API; they never leave it.

One transit key (`aes256-gcm96`) serves one key store, and has its id in its name; its versions are the epochs. What was
wrapped under an old version is wrapped anew by Vault itself once `min_decryption_version` is to rise.
Paths and fields: https://developer.hashicorp.com/vault/api-docs/secret/transit
"""

import base64
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from doorstep.keystore.errors import KekMissing, KeksAway, NoKeks
from doorstep.keystore.keks import Bound
from doorstep.kit.keyset import SealBroken

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_BROKEN = ("message authentication failed", "invalid ciphertext")
_TOO_OLD = "too old"


class TransitKeks:
    """See `Keks`. The name of a key is `v` and its version."""

    def __init__(self, url: str, *, mount: str, token: Path) -> None:
        """Ask the Vault at `url`, whose transit engine is at `mount`, with the token in the file `token`."""
        self._url = f"{url.rstrip('/')}/v1/{mount}"
        self._token = token
        self._key = ""
        self._client: aiohttp.ClientSession | None = None

    async def bind(self, store: str) -> None:
        """Serve the key store with this id alone: the transit key has it in its name."""
        self._key = f"doorstep-{store}"

    async def names(self) -> set[str]:
        """The names of the versions that can still decrypt."""
        found = await self._ask("GET", f"/keys/{self._key}")
        if found is None:
            return set()
        oldest, latest = found["data"]["min_decryption_version"], found["data"]["latest_version"]
        return {f"v{version}" for version in range(oldest, latest + 1)}

    async def make(self, known: Collection[str]) -> str:
        """Make a version, or take the one that somebody made who died before it was known."""
        there = await self.names()
        if not there:
            await self._ask("POST", f"/keys/{self._key}", {"type": "aes256-gcm96"})
        elif not there - set(known):
            await self._ask("POST", f"/keys/{self._key}/rotate")
        return max(await self.names() - set(known), key=_version)

    async def keep_only(self, known: Collection[str]) -> None:
        """Destroy the versions before the oldest of `known`; a later one is taken at the next turn.

        The whole key goes if `known` is empty, for what was under it has moved.
        """
        oldest = min((_version(name) for name in known), default=0)
        found = await self._ask("GET", f"/keys/{self._key}")
        if found is not None and not known:
            await self._ask("POST", f"/keys/{self._key}/config", {"deletion_allowed": True})
            await self._ask("DELETE", f"/keys/{self._key}")
            return
        if found is None or found["data"].get("min_available_version", 0) >= oldest:
            return
        limits = {"min_decryption_version": oldest, "min_encryption_version": oldest}
        await self._ask("POST", f"/keys/{self._key}/config", limits)
        await self._ask("POST", f"/keys/{self._key}/trim", {"min_available_version": oldest})

    async def wrap(self, name: str, keys: Sequence[Bound]) -> list[bytes]:
        """Data keys as Vault writes them, `vault:v1:...`. Raises KekMissing."""
        batch = [{"plaintext": _text(one.key), "associated_data": _text(one.binding)} for one in keys]
        body = {"batch_input": [{**one, "key_version": _version(name)} for one in batch]}
        return [str(one["ciphertext"]).encode() for one in await self._batch("encrypt", name, body)]

    async def unwrap(self, name: str, wrapped: Sequence[Bound]) -> list[bytes]:
        """What `wrap` was given. Raises KekMissing or SealBroken."""
        batch = [{"ciphertext": one.key.decode(), "associated_data": _text(one.binding)} for one in wrapped]
        found = await self._batch("decrypt", name, {"batch_input": batch})
        return [base64.b64decode(one["plaintext"]) for one in found]

    async def close(self) -> None:
        """Let go of connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _batch(self, what: str, name: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        if not body["batch_input"]:
            return []
        answer = await self._ask("POST", f"/{what}/{self._key}", body)
        if answer is None:
            raise KekMissing(name)
        results: list[dict[str, Any]] = answer["data"]["batch_results"]
        for error in (one["error"] for one in results if one.get("error")):
            if any(words in error for words in _BROKEN):
                raise SealBroken("data_key")
            raise KekMissing(name) if _TOO_OLD in error else KeksAway(what)
        return results

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """What Vault answers; None if there is no such key. Raises KeksAway or NoKeks."""
        try:
            headers = {"X-Vault-Token": self._token.read_text(encoding="ascii").strip(), "X-Vault-Request": "true"}
        except OSError as error:
            raise NoKeks(f"{self._token.name}: {type(error).__name__}") from error
        if self._client is None:
            self._client = aiohttp.ClientSession(timeout=_TIMEOUT)
        try:
            async with self._client.request(method, self._url + path, headers=headers, json=body) as answer:
                said = await answer.read()
                if answer.status == 404:
                    return None
                document: dict[str, Any] = json.loads(said) if said else {}
                if answer.status < 300 or "batch_results" in document.get("data", {}):
                    return document
                raise KeksAway(f"{path.split('/')[1]}: {answer.status}")
        except (aiohttp.ClientError, OSError, TimeoutError, json.JSONDecodeError) as error:
            raise KeksAway(path.split("/")[1]) from error


def _version(name: str) -> int:
    try:
        return int(name.removeprefix("v"))
    except ValueError:
        raise KekMissing(name) from None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
