"""Data keys of subjects, and what is encrypted, indexed and pseudonymised with them.

A subject is a person's mention, a dwelling or a place. Each has a random key (AES-256-GCM), wrapped by a
key-encryption key of the local keyset; destroying the wrapped key erases the subject everywhere. Invariants: the
additional data binds subject, context and key version; wrapped keys do not travel; a cached key lives five minutes, and
moments where a subject was erased.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TypeVar, cast
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Contract
from doorstep.contracts.sealed import Sealed
from doorstep.kit.db import DATABASE_ERRORS, Database, run
from doorstep.kit.inbox import Message
from doorstep.kit.telemetry import describe
from doorstep.kit.wakeups import sleep_unless

log = logging.getLogger(__name__)

Content = TypeVar("Content", bound=Contract)
NOBODY = UUID(int=0)
"""The subject of what concerns no person: keys, rule packs, dead letters that cannot be read."""

_CODE = "follow-code"
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32: none is taken for another
_GROUP = 4
_CACHE_SECONDS = 300
_CACHE_ENTRIES = 50_000
_NONCE = 12
_LOOK = 1.0
_OVERLAP = 60.0

_SEALED = re.compile(rb'"subject_id":"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"')
_FETCH = "SELECT subject_id, version, kek, wrapped FROM data_key WHERE subject_id = ANY(CAST(:ids AS uuid[]))"
_MAKE = """
    INSERT INTO data_key (subject_id, kek, wrapped)
    SELECT id, CAST(:kek AS text), wrapped
    FROM unnest(CAST(:ids AS uuid[]), CAST(:wrapped AS bytea[])) AS r (id, wrapped) ORDER BY id
    ON CONFLICT DO NOTHING RETURNING subject_id
"""
_DESTROY = text(
    """
    INSERT INTO data_key (subject_id, kek, destroyed_at) VALUES (:id, :kek, now())
    ON CONFLICT (subject_id) DO UPDATE SET wrapped = NULL, destroyed_at = coalesce(data_key.destroyed_at, now())
    """
)
_ERASED = "SELECT subject_id FROM data_key WHERE subject_id = ANY(CAST(:ids AS uuid[])) AND destroyed_at IS NOT NULL"
_ERASED_SINCE = """
    SELECT clock_timestamp() - make_interval(secs => CAST(:overlap AS float)) AS until,
        ARRAY(
            SELECT subject_id FROM data_key WHERE destroyed_at >= coalesce(CAST(:since AS timestamptz), now())
        ) AS erased
"""
_ERASING = 7_266_371  # an advisory lock of a service's database: shared by who stores, exclusive for who erases


class SubjectErased(LookupError):
    """The subject was erased, or never had a key: nothing of it can be read."""


class SealBroken(ValueError):
    """The ciphertext was changed, or belongs to another subject, context or key."""


class Keyset:
    """Key-encryption keys by name, and the keys of indexes, pseudonyms and digests, from a file that only we read."""

    def __init__(self, path: Path) -> None:
        """Read the keyset at `path`; raises ValueError if it is not one."""
        try:
            document = json.loads(path.read_text())
            self.current: str = document["current"]
            self.keks = {name: AESGCM(base64.b64decode(key)) for name, key in document["keks"].items()}
            self.index = base64.b64decode(document["index"])
            self.pairwise = base64.b64decode(document["pairwise"])
        except (OSError, KeyError, TypeError, ValueError, binascii.Error) as error:
            raise ValueError(f"no keyset at {path.name}: {type(error).__name__}") from None


def new_keyset(path: Path) -> None:
    """Make a keyset of random keys at `path`, readable by its owner alone; an existing one is kept."""

    def key() -> str:
        return base64.b64encode(secrets.token_bytes(32)).decode()

    document = {"current": "1", "keks": {"1": key()}, "index": key(), "pairwise": key()}
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)  # whole or not at all, and never in the place of another
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


class KeyRing:
    """The data keys of a few subjects, for one piece of work."""

    def __init__(self, keys: dict[UUID, tuple[int, AESGCM]]) -> None:
        """Hold `keys`: subject to key version and key."""
        self._keys = keys

    def __contains__(self, subject_id: UUID) -> bool:
        """Whether the subject can be read: it has a key and was not erased."""
        return subject_id in self._keys

    def encrypt(self, subject_id: UUID, context: str, data: bytes) -> bytes:
        """`data` under the subject's key: 4 bytes key version, 12 bytes nonce, ciphertext with tag."""
        version, key = self._key(subject_id)
        nonce = secrets.token_bytes(_NONCE)
        return version.to_bytes(4) + nonce + key.encrypt(nonce, data, _binding(subject_id, context, version))

    def decrypt(self, subject_id: UUID, context: str, blob: bytes) -> bytes:
        """What `encrypt` was given. Raises SubjectErased or SealBroken."""
        _, key = self._key(subject_id)
        version, nonce, ciphertext = int.from_bytes(blob[:4]), blob[4 : 4 + _NONCE], blob[4 + _NONCE :]
        try:
            return key.decrypt(nonce, ciphertext, _binding(subject_id, context, version))
        except (InvalidTag, ValueError):
            raise SealBroken(context.partition(":")[0]) from None

    def seal(self, subject_id: UUID, content: Content, *, multiple_of: int = 1) -> Sealed[Content]:
        """`content` for an event, readable by holders of the subject's key.

        Its JSON is filled up with spaces to a multiple of so many bytes, where its length would tell something.
        """
        context = type(content).__name__
        data = content.model_dump_json(exclude_none=True).encode()
        blob = self.encrypt(subject_id, context, data + b" " * (-len(data) % multiple_of))
        shape = cast("type[Sealed[Content]]", Sealed.__class_getitem__(type(content)))
        return shape(
            subject_id=subject_id,
            key_version=int.from_bytes(blob[:4]),
            context=context,
            ciphertext=base64.b64encode(blob[4:]).decode(),
        )

    def open(self, sealed: Sealed[Content], model: type[Content]) -> Content:
        """The content of `sealed`. Raises SubjectErased, or SealBroken if it is not an intact `model`."""
        try:
            blob = sealed.key_version.to_bytes(4) + base64.b64decode(sealed.ciphertext, validate=True)
            return model.model_validate_json(self.decrypt(sealed.subject_id, model.__name__, blob))
        except (ValueError, OverflowError):  # not base64, not ASCII, not this model, or already SealBroken
            raise SealBroken(model.__name__) from None

    def _key(self, subject_id: UUID) -> tuple[int, AESGCM]:
        try:
            return self._keys[subject_id]
        except KeyError:
            raise SubjectErased(str(subject_id)) from None


def _binding(subject_id: UUID, context: str, version: int) -> bytes:
    return f"{subject_id}|{context}|{version}".encode()


class Vault:
    """The station's key store, and the keyed functions that hide what they are given."""

    def __init__(self, database: Database, keyset: Keyset) -> None:
        """Use the wrapped keys in `database`, unwrapped by `keyset`."""
        self._database = database
        self._keyset = keyset
        self._cache: dict[UUID, tuple[float, int, AESGCM | None]] = {}
        self._concealing = self._mac(keyset.index, "conceal", b"")

    async def ring(self, subject_ids: Iterable[UUID], *, create: bool = False) -> KeyRing:
        """The keys of `subject_ids`; those without one get one if `create`, else opening raises SubjectErased."""
        now = time.monotonic()
        keys: dict[UUID, tuple[int, AESGCM]] = {}
        missing = []
        for one in sorted(set(subject_ids)):
            expires, version, key = self._cache.get(one, (0.0, 0, None))
            if key is not None and expires > now:
                keys[one] = (version, key)
            else:
                missing.append(one)
        if missing:
            keys |= await self._load(missing, create=create)
        return KeyRing(keys)

    async def prefetch(self, messages: Iterable[Message]) -> None:
        """Load the keys of all that is sealed in `messages` at once; what has none is found out when it is opened."""
        await self.ring({UUID(found[1].decode()) for one in messages for found in _SEALED.finditer(one.value)})

    async def _load(self, subject_ids: list[UUID], *, create: bool) -> dict[UUID, tuple[int, AESGCM]]:
        if len(self._cache) > _CACHE_ENTRIES:
            self._cache.clear()
        made = await self._make(subject_ids) if create else {}
        known = [one for one in subject_ids if one not in made]
        loaded: dict[UUID, tuple[int, AESGCM]] = {one: (1, AESGCM(key)) for one, key in made.items()}
        for subject_id, version, kek, wrapped in await self._database.fetch(_FETCH, {"ids": known}) if known else []:
            if wrapped is not None:
                loaded[subject_id] = (version, self._unwrap(subject_id, version, kek, wrapped))
        expires = time.monotonic() + _CACHE_SECONDS
        self._cache.update({one: (expires, version, key) for one, (version, key) in loaded.items()})
        return loaded

    def _unwrap(self, subject_id: UUID, version: int, kek: str, wrapped: bytes) -> AESGCM:
        binding = _binding(subject_id, kek, version)
        try:
            return AESGCM(self._keyset.keks[kek].decrypt(wrapped[:_NONCE], wrapped[_NONCE:], binding))
        except (InvalidTag, KeyError):  # another keyset wrapped it
            raise SealBroken("data_key") from None

    async def _make(self, subject_ids: list[UUID]) -> dict[UUID, bytes]:
        """Make a key for each of `subject_ids` that has none, in one statement; gives those that were made."""
        kek = self._keyset.current
        keys = {one: AESGCM.generate_key(256) for one in subject_ids}
        wrapped = []
        for subject_id, key in keys.items():
            nonce = secrets.token_bytes(_NONCE)
            wrapped.append(nonce + self._keyset.keks[kek].encrypt(nonce, key, _binding(subject_id, kek, 1)))
        rows = await self._database.fetch(_MAKE, {"kek": kek, "ids": subject_ids, "wrapped": wrapped})
        made = {row[0] for row in rows}
        return {one: key for one, key in keys.items() if one in made}

    async def destroy(self, subject_id: UUID) -> None:
        """Erase the subject: its key is gone for good, here and in what was encrypted under it anywhere.

        Raises ValueError for the subject that stands for nobody.
        """
        if subject_id == NOBODY:
            raise ValueError("nobody cannot be erased")
        async with self._database.transaction() as session:
            await session.execute(_DESTROY, {"id": subject_id, "kek": self._keyset.current})
        self.forget(subject_id)

    async def erased(self, subject_ids: Iterable[UUID]) -> set[UUID]:
        """Those of `subject_ids` that were erased, as the key store has it now."""
        ids = list(set(subject_ids) - {NOBODY})
        return {row[0] for row in await self._database.fetch(_ERASED, {"ids": ids})} if ids else set()

    async def forget_erased(self, stopping: asyncio.Event) -> None:
        """Drop the cached keys of those who are erased, moments after, until `stopping` is set.

        Times are the key store's. What was erased in the minute before is looked at once more: an erasure commits
        later than it says, and a key that was just being fetched comes into the cache after it.
        """
        since: datetime | None = None  # nothing is in the cache yet
        while not stopping.is_set():
            try:
                values = {"since": since, "overlap": _OVERLAP}
                [(since, erased)] = await self._database.fetch(_ERASED_SINCE, values)
                for one in erased:
                    self.forget(one)
            except DATABASE_ERRORS as error:
                log.warning("key store away", extra={"error": describe(error)})
            await sleep_unless(stopping, _LOOK)

    def forget(self, subject_id: UUID) -> None:
        """Drop the cached key of a subject."""
        self._cache.pop(subject_id, None)

    def blind_index(self, field: str, value: str) -> bytes:
        """16 bytes by which an equal `value` of `field` is found, and nothing else can be learned."""
        return self._mac(self._keyset.index, field, value.encode())[:16]

    def conceal(self, field: str, identifier: UUID) -> bytes:
        """`identifier` as 44 bytes that `reveal` alone can read, each time others."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self._concealing).encrypt(nonce, identifier.bytes, field.encode())

    def reveal(self, field: str, blob: bytes) -> UUID:
        """What `conceal` was given. Raises SealBroken."""
        try:
            return UUID(bytes=AESGCM(self._concealing).decrypt(blob[:_NONCE], blob[_NONCE:], field.encode()))
        except (InvalidTag, ValueError):
            raise SealBroken(field) from None

    def follow_code(self, subject_id: UUID) -> str:
        """The code by which a person follows their own requests: 80 bits in four groups, like `7Q2M-…`."""
        number = int.from_bytes(self.blind_index(_CODE, str(subject_id))[:10])
        letters = "".join(_LETTERS[number >> shift & 31] for shift in range(75, -5, -5))
        return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))

    def follow_index(self, code: str) -> bytes:
        """By what is found whatever belongs to a follow code, however its letters are written and grouped."""
        return self.blind_index(_CODE, "".join(sign for sign in code if sign.isalnum()).upper())

    def digest(self, body: bytes) -> bytes:
        """32 bytes that tell whether a command came with the same body again."""
        return self._mac(self._keyset.index, "command", body)

    def pairwise(self, audience: str, identifier: UUID | str) -> UUID:
        """The id that `audience` alone knows `identifier` by."""
        number = int.from_bytes(self._mac(self._keyset.pairwise, audience, str(identifier).encode())[:16])
        return UUID(int=number & ~(0xF << 76 | 0x3 << 62) | (0x8 << 76 | 0x2 << 62))  # RFC 9562, version 8

    @staticmethod
    def _mac(key: bytes, purpose: str, data: bytes) -> bytes:
        return hmac.new(key, purpose.encode() + b"\0" + data, hashlib.sha256).digest()


async def hold_erasing(session: AsyncSession) -> None:
    """Let nobody erase in this database until the session's transaction ends; others may hold it as well.

    Whoever stores holds it before looking who is erased: then what an erasure does not see is stored by nobody.
    """
    await run(session, "SELECT pg_advisory_xact_lock_shared(:lock)", {"lock": _ERASING})


async def begin_erasing(session: AsyncSession) -> None:
    """Wait for those who store in this database, and let nobody begin until the session's transaction ends."""
    await run(session, "SELECT pg_advisory_xact_lock(:lock)", {"lock": _ERASING})
