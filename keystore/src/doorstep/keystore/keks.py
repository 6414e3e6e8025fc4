"""Key-encryption keys: what wraps data keys, and the local file of them.

Invariants: a key is on the disk before anything is wrapped under it; one that is written over is gone from the file;
the file belongs to one key store, by its id, and serves no other.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag

from doorstep.keystore.errors import KekMissing, KeksElsewhere, NoKeks
from doorstep.kit.keyset import NONCE, Algorithm, SealBroken, Sealer, Suite, new_key, sealer, write_once, write_over


class Bound(NamedTuple):
    """A data key, plain or wrapped, and what it is bound to."""

    binding: bytes
    key: bytes


class Keks(Protocol):
    """Key-encryption keys by name. Those who change them hold the key store's lock; KeksAway if it does not answer."""

    async def bind(self, store: str) -> None:
        """Serve the key store with this id alone. Raises KeksElsewhere."""
        ...

    async def names(self) -> set[str]:
        """The names of those that there are, also while none was made yet. Raises NoKeks."""
        ...

    async def make(self, known: Collection[str]) -> str:
        """Make one more, and give its name, which is none of `known`; it is kept when this returns."""
        ...

    async def keep_only(self, known: Collection[str]) -> None:
        """Destroy all others than `known`, for good."""
        ...

    async def wrap(self, name: str, keys: Sequence[Bound]) -> list[bytes]:
        """Data keys wrapped. Raises KekMissing."""
        ...

    async def unwrap(self, name: str, wrapped: Sequence[Bound]) -> list[bytes]:
        """What `wrap` was given. Raises KekMissing or SealBroken."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class LocalKeks:
    """Key-encryption keys in a file that the key store alone reads.

    `{"store": id, "keks": {name: {"algorithm": ..., "key": base64}}}`; a name may have the key alone, which is AES
    then, as in keysets of services before the key store was a program of its own.
    """

    def __init__(self, path: Path, suite: Suite = Suite.INTERNATIONAL) -> None:
        """Use the file at `path`, which is made when it is needed; new keys are those of `suite`."""
        self._path = path
        self._algorithm = suite.algorithm
        self._store: str | None = None
        self._keks: dict[str, Sealer] = {}

    async def bind(self, store: str) -> None:
        """Serve the key store with this id alone; a file that is not there yet bears it once a key is made."""
        document = self._read()
        if document.setdefault("store", self._store or store) != store:
            raise KeksElsewhere(self._path.name)
        self._store = store
        if self._path.exists() and document != self._read():
            self._write(document)

    async def names(self) -> set[str]:
        """The names of those that there are. Raises NoKeks."""
        return set(self._read()["keks"])

    async def make(self, known: Collection[str]) -> str:
        """Make one more, and give its name; it is on the disk when this returns."""
        document = self._read()
        if self._store is not None:
            document.setdefault("store", self._store)
        name = secrets.token_hex(8)
        key = base64.b64encode(new_key(self._algorithm)).decode()
        document["keks"][name] = {"algorithm": self._algorithm, "key": key}
        self._write(document)
        return name

    async def keep_only(self, known: Collection[str]) -> None:
        """Destroy all others than `known`: they are in no file when this returns."""
        document = self._read()
        kept = {name: key for name, key in document["keks"].items() if name in known}
        if kept != document["keks"]:
            self._write({**document, "keks": kept})
        self._keks = {name: key for name, key in self._keks.items() if name in known}

    async def wrap(self, name: str, keys: Sequence[Bound]) -> list[bytes]:
        """Data keys as 12 bytes nonce and ciphertext with tag. Raises KekMissing."""
        kek = self._kek(name)
        nonces = [secrets.token_bytes(NONCE) for _ in keys]
        return [nonce + kek.encrypt(nonce, one.key, one.binding) for nonce, one in zip(nonces, keys, strict=True)]

    async def unwrap(self, name: str, wrapped: Sequence[Bound]) -> list[bytes]:
        """What `wrap` was given. Raises KekMissing or SealBroken."""
        kek = self._kek(name)
        try:
            return [kek.decrypt(one.key[:NONCE], one.key[NONCE:], one.binding) for one in wrapped]
        except (InvalidTag, ValueError):
            raise SealBroken("data_key") from None

    async def close(self) -> None:
        """Nothing is open."""

    def _kek(self, name: str) -> Sealer:
        if name not in self._keks:  # another instance may have made it since
            self._keks = {one: _sealer(key) for one, key in self._read()["keks"].items()}
        try:
            return self._keks[name]
        except KeyError:
            raise KekMissing(name) from None

    def _read(self) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(self._path.read_text(encoding="ascii"))
            for key in document["keks"].values():
                _sealer(key)
        except FileNotFoundError:
            return {"keks": {}}
        except (OSError, KeyError, TypeError, AttributeError, ValueError, binascii.Error) as error:
            raise NoKeks(f"{self._path.name}: {type(error).__name__}") from None
        return document

    def _write(self, document: dict[str, Any]) -> None:
        try:
            write_over(self._path, document)
        except OSError as error:
            raise NoKeks(f"{self._path.name}: {type(error).__name__}") from error


def _sealer(key: Any) -> Sealer:
    algorithm, text = (Algorithm.AES, key) if isinstance(key, str) else (key["algorithm"], key["key"])
    return sealer(algorithm, base64.b64decode(text, validate=True))


def split_keyset(keyset: Path, keks: Path) -> None:
    """Take the key-encryption keys out of a keyset that services read, into the file `keks`; does nothing twice.

    They are on the disk in the one file before they leave the other. Raises NoKeks if `keks` has others of these names.
    """
    try:
        document = json.loads(keyset.read_text(encoding="ascii"))
        found = document.get("keks")
    except (OSError, ValueError, AttributeError):
        return  # none yet, or no keyset: services say so
    if found is None:
        return
    if not write_once(keks, {"keks": found}):
        kept = json.loads(keks.read_text(encoding="ascii"))
        if any(kept["keks"].get(name, key) != key for name, key in found.items()):
            raise NoKeks(f"{keyset.name} and {keks.name} have different keys of one name")
        if not found.keys() <= kept["keks"].keys():
            write_over(keks, {**kept, "keks": {**found, **kept["keks"]}})
    write_over(keyset, {name: value for name, value in document.items() if name not in ("current", "keks")})
