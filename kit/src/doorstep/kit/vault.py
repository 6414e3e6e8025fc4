"""Data keys of subjects, and what is encrypted, indexed and pseudonymised with them.

A subject is a person's mention, a dwelling or a place. Each has a random key, which the key store makes, keeps wrapped
and destroys: that erases the subject everywhere. Invariants: the additional data binds subject, context and key
version; wrapped keys do not travel; a cached key lives five minutes, and moments where a subject was erased.
"""

import asyncio
import base64
import hmac
import logging
import re
import secrets
import time
from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar, cast
from uuid import UUID

from cryptography.exceptions import InvalidTag
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.envelope import Contract
from doorstep.contracts.sealed import Sealed
from doorstep.kit.db import DATABASE_ERRORS, run
from doorstep.kit.inbox import Message
from doorstep.kit.key_store import KeyStore
from doorstep.kit.keyset import NOBODY, NONCE, Keyset, SealBroken, Sealer, new_keyset, sealer
from doorstep.kit.telemetry import describe
from doorstep.kit.wakeups import sleep_unless

__all__ = [
    "NOBODY",
    "KeyRing",
    "Keyset",
    "SealBroken",
    "SubjectErased",
    "Vault",
    "begin_erasing",
    "hold_erasing",
    "new_keyset",
]

log = logging.getLogger(__name__)

Content = TypeVar("Content", bound=Contract)

_CODE = "follow-code"
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32: none is taken for another
_GROUP = 4
_CACHE_SECONDS = 300
_CACHE_ENTRIES = 50_000
_LOOK = 1.0

_SEALED = re.compile(rb'"subject_id":"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"')
_ERASING = 7_266_371  # an advisory lock of a service's database: shared by who stores, exclusive for who erases


class SubjectErased(LookupError):
    """The subject was erased, or never had a key: nothing of it can be read."""


class KeyRing:
    """The data keys of a few subjects, for one piece of work."""

    def __init__(self, keys: dict[UUID, tuple[int, Sealer]]) -> None:
        """Hold `keys`: subject to key version and key."""
        self._keys = keys

    def __contains__(self, subject_id: UUID) -> bool:
        """Whether the subject can be read: it has a key and was not erased."""
        return subject_id in self._keys

    def encrypt(self, subject_id: UUID, context: str, data: bytes) -> bytes:
        """`data` under the subject's key: 4 bytes key version, 12 bytes nonce, ciphertext with tag."""
        version, key = self._key(subject_id)
        nonce = secrets.token_bytes(NONCE)
        return version.to_bytes(4) + nonce + key.encrypt(nonce, data, _binding(subject_id, context, version))

    def decrypt(self, subject_id: UUID, context: str, blob: bytes) -> bytes:
        """What `encrypt` was given. Raises SubjectErased or SealBroken."""
        _, key = self._key(subject_id)
        version, nonce, ciphertext = int.from_bytes(blob[:4]), blob[4 : 4 + NONCE], blob[4 + NONCE :]
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

    def _key(self, subject_id: UUID) -> tuple[int, Sealer]:
        try:
            return self._keys[subject_id]
        except KeyError:
            raise SubjectErased(str(subject_id)) from None


def _binding(subject_id: UUID, context: str, version: int) -> bytes:
    return f"{subject_id}|{context}|{version}".encode()


class Vault:
    """The data keys of the key store, kept for minutes, and the keyed functions that hide what they are given."""

    def __init__(self, store: KeyStore, keyset: Keyset) -> None:
        """Use the data keys of `store`, and for indexes and pseudonyms those of `keyset`."""
        self.store = store
        self._keyset = keyset
        self._cache: dict[UUID, tuple[float, int, Sealer | None]] = {}

    async def ring(self, subject_ids: Iterable[UUID], *, create: bool = False) -> KeyRing:
        """The keys of `subject_ids`; those without one get one if `create`, else opening raises SubjectErased."""
        now = time.monotonic()
        keys: dict[UUID, tuple[int, Sealer]] = {}
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

    async def _load(self, subject_ids: list[UUID], *, create: bool) -> dict[UUID, tuple[int, Sealer]]:
        if len(self._cache) > _CACHE_ENTRIES:
            self._cache.clear()
        found = await self.store.keys(subject_ids, create=create)
        try:
            loaded = {one: (key.version, sealer(key.algorithm, key.key)) for one, key in found.items()}
        except ValueError:  # made by a later version, with an algorithm that we do not know
            raise SealBroken("data_key") from None
        expires = time.monotonic() + _CACHE_SECONDS
        self._cache.update({one: (expires, version, key) for one, (version, key) in loaded.items()})
        return loaded

    async def destroy(self, subject_id: UUID) -> None:
        """Erase the subject: its key is gone for good, here and in what was encrypted under it anywhere.

        Raises ValueError for the subject that stands for nobody.
        """
        if subject_id == NOBODY:
            raise ValueError("nobody cannot be erased")
        await self.store.destroy(subject_id)
        self.forget(subject_id)

    async def erased(self, subject_ids: Iterable[UUID]) -> set[UUID]:
        """Those of `subject_ids` that were erased, as the key store has it now."""
        ids = list(set(subject_ids) - {NOBODY})
        return await self.store.erased(ids) if ids else set()

    async def forget_erased(self, stopping: asyncio.Event) -> None:
        """Drop the cached keys of those who are erased, moments after, until `stopping` is set.

        Times are the key store's. What was erased in the minute before is looked at once more: an erasure commits
        later than it says, and a key that was just being fetched comes into the cache after it.
        """
        since: datetime | None = None  # nothing is in the cache yet
        while not stopping.is_set():
            try:
                since, erased = await self.store.erased_since(since)
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
        return self._keyset.digest(field, value.encode())[:16]

    def conceal(self, field: str, identifier: UUID) -> bytes:
        """`identifier` as 44 bytes that `reveal` alone can read, each time others."""
        return self._keyset.conceal(field, identifier.bytes)

    def reveal(self, field: str, blob: bytes) -> UUID:
        """What `conceal` was given. Raises SealBroken."""
        try:
            return UUID(bytes=self._keyset.reveal(field, blob))
        except ValueError:
            raise SealBroken(field) from None

    def follow_code(self, subject_id: UUID, since: UUID | None = None) -> str:
        """The code by which a person follows their own requests: 80 bits in four groups, like `7Q2M-…`.

        `since` is drawn when the code of a mention is renewed, and makes another of it.
        """
        named = str(subject_id) if since is None else f"{subject_id}:{since}"
        return _in_letters(self.blind_index(_CODE, named)[:10])

    def new_code(self) -> str:
        """A code like those, drawn at random: nobody has it yet."""
        return _in_letters(secrets.token_bytes(10))

    def follow_index(self, code: str) -> bytes:
        """By what is found whatever belongs to a follow code, however its letters are written and grouped."""
        return self.blind_index(_CODE, _plain(code))

    def code_of(self, kind: str, identifier: UUID) -> str:
        """A code like those for one thing of a kind: by its id alone nobody makes it, and it is stored nowhere."""
        return _in_letters(self.blind_index(f"{kind}-code", str(identifier))[:10])

    def opens(self, code: str, kind: str, identifier: UUID) -> bool:
        """Whether `code`, however its letters are written and grouped, is that of the thing."""
        known = _plain(self.code_of(kind, identifier))
        return hmac.compare_digest(_plain(code).encode(), known.encode())

    def digest(self, body: bytes) -> bytes:
        """32 bytes that tell whether a command came with the same body again."""
        return self._keyset.digest("command", body)

    def pairwise(self, audience: str, identifier: UUID | str) -> UUID:
        """The id that `audience` alone knows `identifier` by."""
        return self._keyset.pairwise(audience, str(identifier))


def _plain(code: str) -> str:
    return "".join(sign for sign in code if sign.isalnum()).upper()


def _in_letters(code: bytes) -> str:
    number = int.from_bytes(code)
    letters = "".join(_LETTERS[number >> shift & 31] for shift in range(75, -5, -5))
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))


async def hold_erasing(session: AsyncSession) -> None:
    """Let nobody erase in this database until the session's transaction ends; others may hold it as well.

    Whoever stores holds it before looking who is erased: then what an erasure does not see is stored by nobody.
    """
    await run(session, "SELECT pg_advisory_xact_lock_shared(:lock)", {"lock": _ERASING})


async def begin_erasing(session: AsyncSession) -> None:
    """Wait for those who store in this database, and let nobody begin until the session's transaction ends."""
    await run(session, "SELECT pg_advisory_xact_lock(:lock)", {"lock": _ERASING})
