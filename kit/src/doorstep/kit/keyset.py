"""The ciphers of data keys, and the station's keyset: the keys of indexes, pseudonyms and digests.

A keyset is made with a suite and keeps it. Data keys name their algorithm one by one, so that those of both suites are
read side by side.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

NOBODY = UUID(int=0)
"""The subject of what concerns no person: keys, rule packs, dead letters that cannot be read."""

NONCE = 12
_TAG = 16


class SealBroken(ValueError):
    """The ciphertext was changed, or belongs to another subject, context or key."""


class Algorithm(StrEnum):
    """With what a data key or a key-encryption key encrypts."""

    AES = "aes-256-gcm"
    SM4 = "sm4-gcm"


class Suite(StrEnum):
    """Algorithms that belong together: AES and SHA-256, or the national SM4 (GB/T 32907) and SM3 (GB/T 32905)."""

    INTERNATIONAL = "international"
    NATIONAL = "national"

    @property
    def algorithm(self) -> Algorithm:
        """With what it encrypts."""
        return Algorithm.SM4 if self is Suite.NATIONAL else Algorithm.AES

    def digest(self, key: bytes, data: bytes) -> bytes:
        """The 32 bytes of its HMAC."""
        if self is Suite.INTERNATIONAL:
            return hmac.new(key, data, hashlib.sha256).digest()
        mac = HMAC(key, hashes.SM3())
        mac.update(data)
        return mac.finalize()


class Sealer(Protocol):
    """Encrypts and authenticates under one key; raises InvalidTag for what was changed, ValueError for nonsense."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """`data` with a tag of 16 bytes behind it."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """What `encrypt` was given."""
        ...


class SM4GCM:
    """SM4 in Galois/Counter Mode (RFC 8998, section 3.2), used as the library's AESGCM is."""

    def __init__(self, key: bytes) -> None:
        """Use `key`, 16 bytes; raises ValueError for another length."""
        self._key = algorithms.SM4(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """`data` with a tag of 16 bytes behind it."""
        working = Cipher(self._key, modes.GCM(nonce)).encryptor()
        working.authenticate_additional_data(associated_data)
        return working.update(data) + working.finalize() + working.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """What `encrypt` was given. Raises InvalidTag, or ValueError for what is too short."""
        working = Cipher(self._key, modes.GCM(nonce, data[-_TAG:])).decryptor()
        working.authenticate_additional_data(associated_data)
        return working.update(data[:-_TAG]) + working.finalize()


def sealer(algorithm: str, key: bytes) -> Sealer:
    """What encrypts with `key`. Raises ValueError for an algorithm or a length that does not exist."""
    return SM4GCM(key) if Algorithm(algorithm) is Algorithm.SM4 else AESGCM(key)


def new_key(algorithm: Algorithm) -> bytes:
    """A random key."""
    return secrets.token_bytes(16 if algorithm is Algorithm.SM4 else 32)


class Keyset:
    """The keys of indexes, pseudonyms and digests, from a file that only services read."""

    def __init__(self, path: Path) -> None:
        """Read the keyset at `path`; raises ValueError if it is not one."""
        try:
            document = json.loads(path.read_text())
            self.suite = Suite(document.get("suite", Suite.INTERNATIONAL))
            self.index = base64.b64decode(document["index"], validate=True)
            self._pairwise = base64.b64decode(document["pairwise"], validate=True)
        except (OSError, KeyError, TypeError, AttributeError, ValueError, binascii.Error) as error:
            raise ValueError(f"no keyset at {path.name}: {type(error).__name__}") from None
        concealing = self.digest("conceal", b"")
        self._concealing = sealer(self.suite.algorithm, concealing[:16] if self.suite is Suite.NATIONAL else concealing)

    def digest(self, purpose: str, data: bytes) -> bytes:
        """32 bytes that are equal for equal `data` of one `purpose`, and say nothing else."""
        return self.suite.digest(self.index, purpose.encode() + b"\0" + data)

    def pairwise(self, audience: str, identifier: str) -> UUID:
        """The id that `audience` alone knows `identifier` by."""
        digest = self.suite.digest(self._pairwise, audience.encode() + b"\0" + identifier.encode())
        number = int.from_bytes(digest[:16])
        return UUID(int=number & ~(0xF << 76 | 0x3 << 62) | (0x8 << 76 | 0x2 << 62))  # RFC 9562, version 8

    def conceal(self, field: str, data: bytes) -> bytes:
        """`data` as bytes that `reveal` alone can read, each time others."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._concealing.encrypt(nonce, data, field.encode())

    def reveal(self, field: str, blob: bytes) -> bytes:
        """What `conceal` was given. Raises SealBroken."""
        try:
            return self._concealing.decrypt(blob[:NONCE], blob[NONCE:], field.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(field) from None


def new_keyset(path: Path, suite: Suite = Suite.INTERNATIONAL) -> None:
    """Make a keyset of random keys at `path`, readable by its owner alone; an existing one is kept."""

    def key() -> str:
        return base64.b64encode(secrets.token_bytes(32)).decode()

    write_once(path, {"suite": suite, "index": key(), "pairwise": key()})


def write_once(path: Path, document: dict[str, Any]) -> bool:
    """Write `document` to `path`, whole or not at all and never in the place of another; whether it was written."""
    fresh = _written_beside(path, document)
    try:
        os.link(fresh, path)
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    _keep_folder(path.parent)
    return True


def write_over(path: Path, document: dict[str, Any]) -> None:
    """Put `document` in the place of what is at `path`, whole or not at all; it is on the disk when this returns."""
    _written_beside(path, document).rename(path)
    _keep_folder(path.parent)


def _written_beside(path: Path, document: dict[str, Any]) -> Path:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _keep_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
