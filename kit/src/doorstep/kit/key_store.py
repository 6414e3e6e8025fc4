"""What a service asks of the key store, and how it is asked over HTTP: a pooled client with the service's own token.

A key store that does not answer, or an issuer that gives no token, is away as a database is away.
"""

import asyncio
import json
import logging
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import aiohttp

from doorstep.kit.db import DatabaseAway
from doorstep.kit.keyset import SealBroken

log = logging.getLogger(__name__)

MOST_SUBJECTS = 1000
"""So many subjects are asked for in one call."""

BATCH = "application/vnd.doorstep.keys"
"""The media type of `packed_wanted` and `packed_keys`; keys are asked for and given in JSON as well."""

_WANTED = struct.Struct("?")
_SUBJECT_BYTES = 16
_GIVEN = struct.Struct(">IBB")  # version, bytes of the algorithm's name, bytes of the key

_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)
_CONNECTIONS = 8
_RENEW_BEFORE = 30.0
_BROKEN = "key-broken"
_PACKED = {"Content-Type": BATCH}
_NO_MORE: Mapping[str, str] = {}


class KeyStoreAway(DatabaseAway):
    """The key store does not answer now, or this service got no token for it."""


class DataKey(NamedTuple):
    """A subject's data key: its version, its algorithm, and the key itself."""

    version: int
    algorithm: str
    key: bytes


def packed_wanted(subject_ids: Iterable[UUID], *, create: bool) -> bytes:
    """Whose keys are wanted: a byte that tells whether missing ones are to be made, and 16 bytes a subject."""
    return _WANTED.pack(create) + b"".join([one.bytes for one in subject_ids])


def unpacked_wanted(body: bytes) -> tuple[list[UUID], bool]:
    """What `packed_wanted` was given. Raises ValueError."""
    if len(body) % _SUBJECT_BYTES != _WANTED.size or body[0] > 1:
        raise ValueError("not a byte and subjects")
    starts = range(_WANTED.size, len(body), _SUBJECT_BYTES)
    return [UUID(bytes=body[start : start + _SUBJECT_BYTES]) for start in starts], bool(body[0])


def packed_keys(keys: Iterable[DataKey | None]) -> bytes:
    """Keys in the order in which they were asked for, each behind its version and algorithm; six zeros for none."""
    packed = []
    for one in keys:
        if one is None:
            packed.append(_GIVEN.pack(0, 0, 0))
        else:
            name = one.algorithm.encode("ascii")
            packed.append(_GIVEN.pack(one.version, len(name), len(one.key)) + name + one.key)
    return b"".join(packed)


def unpacked_keys(body: bytes) -> list[DataKey | None]:
    """What `packed_keys` was given. Raises ValueError."""
    found: list[DataKey | None] = []
    at, end = 0, len(body)
    try:
        while at < end:
            version, named, long = _GIVEN.unpack_from(body, at)
            key = at + _GIVEN.size + named
            at = key + long
            found.append(DataKey(version, body[key - named : key].decode("ascii"), body[key:at]) if long else None)
    except struct.error:
        at = -1
    if at != end:
        raise ValueError("not keys behind their lengths")
    return found


class ErasedSince(NamedTuple):
    """Who was erased since some moment, and the moment to ask from the next time; times are the key store's."""

    until: datetime
    subjects: list[UUID]


class JournalLine(NamedTuple):
    """What the key store did that matters: one line of its journal, whose id is that of the log's entry."""

    number: int
    id: UUID
    at: datetime
    action: str
    outcome: str
    policies: tuple[str, ...] = ()
    actor: str | None = None
    role: str | None = None
    agency: str | None = None


class KeyStore(Protocol):
    """Makes, keeps and destroys data keys. Everything raises what is among `kit.db.DATABASE_ERRORS` if it is away."""

    async def keys(self, subject_ids: Sequence[UUID], *, create: bool) -> dict[UUID, DataKey]:
        """The keys of those who have one, after making those that are missing if `create`. Raises SealBroken."""
        ...

    async def destroy(self, subject_id: UUID) -> None:
        """Destroy the key of a subject, who never gets another; raises ValueError for nobody."""
        ...

    async def erased(self, subject_ids: Sequence[UUID]) -> set[UUID]:
        """Those of `subject_ids` whose keys were destroyed."""
        ...

    async def erased_since(self, since: datetime | None) -> ErasedSince:
        """Whose keys were destroyed `since`; nobody if that is None."""
        ...

    async def journal(self, start: int) -> list[JournalLine]:
        """The lines of its journal from number `start` on; those before are no longer needed."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class ServiceToken:
    """A service's access token, by its client credentials (RFC 6749, section 4.4); renewed before it expires."""

    def __init__(self, *, url: str, client_id: str, secret: Path) -> None:
        """Ask the issuer at `url` as `client_id`, with what stands in the file `secret`."""
        self._url = url
        self._client_id = client_id
        self._secret = secret
        self._token = ""
        self._renew_at = 0.0
        self._asking = asyncio.Lock()

    async def current(self, client: aiohttp.ClientSession) -> str:
        """A token that serves for a while. Raises KeyStoreAway."""
        if time.monotonic() < self._renew_at:
            return self._token
        async with self._asking:
            if time.monotonic() >= self._renew_at:
                await self._renew(client)
            return self._token

    def refused(self, token: str) -> None:
        """Forget `token`: it was not accepted."""
        if token == self._token:
            self._renew_at = 0.0

    async def _renew(self, client: aiohttp.ClientSession) -> None:
        try:
            form = {
                "grant_type": "client_credentials",
                "client_id": self._client_id,
                "client_secret": self._secret.read_text(encoding="ascii").strip(),
            }
            async with client.post(self._url, data=form) as answer:
                if answer.status != 200:
                    log.warning("no token for the key store", extra={"status": answer.status})
                    raise KeyStoreAway("no token")
                document = json.loads(await answer.read())
                token, lifetime = str(document["access_token"]), float(document["expires_in"])
        except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError, TimeoutError) as error:
            raise KeyStoreAway("no token") from error
        self._token = token
        self._renew_at = time.monotonic() + max(lifetime - _RENEW_BEFORE, lifetime / 2)


class RemoteKeys:
    """The key store behind its API; see `KeyStore`."""

    def __init__(self, url: str, token: ServiceToken) -> None:
        """Ask the key store at `url` with `token`; nothing is connected yet."""
        self._url = url.rstrip("/")
        self._token = token
        self._client: aiohttp.ClientSession | None = None

    async def keys(self, subject_ids: Sequence[UUID], *, create: bool) -> dict[UUID, DataKey]:
        """The keys of those who have one, after making those that are missing if `create`. Raises SealBroken."""
        found: dict[UUID, DataKey] = {}
        for start in range(0, len(subject_ids), MOST_SUBJECTS):
            some = subject_ids[start : start + MOST_SUBJECTS]
            body = await self._ask("POST", "/v1/keys", data=packed_wanted(some, create=create), headers=_PACKED)
            try:
                given = zip(some, unpacked_keys(body), strict=True)
                found.update((one, key) for one, key in given if key is not None)
            except ValueError as error:
                raise KeyStoreAway("/v1/keys") from error
        return found

    async def destroy(self, subject_id: UUID) -> None:
        """Destroy the key of a subject, who never gets another."""
        await self._ask("POST", "/v1/erasures", json={"subject": str(subject_id)})

    async def erased(self, subject_ids: Sequence[UUID]) -> set[UUID]:
        """Those of `subject_ids` whose keys were destroyed."""
        found: set[UUID] = set()
        for start in range(0, len(subject_ids), MOST_SUBJECTS):
            some = [str(one) for one in subject_ids[start : start + MOST_SUBJECTS]]
            answer = await self._ask_json("POST", "/v1/erased", json={"subjects": some})
            found |= {UUID(one) for one in answer["erased"]}
        return found

    async def erased_since(self, since: datetime | None) -> ErasedSince:
        """Whose keys were destroyed `since`; nobody if that is None."""
        asked = {} if since is None else {"since": since.isoformat()}
        answer = await self._ask_json("GET", "/v1/erasures", params=asked)
        return ErasedSince(datetime.fromisoformat(answer["until"]), [UUID(one) for one in answer["erased"]])

    async def journal(self, start: int) -> list[JournalLine]:
        """The lines of its journal from number `start` on; those before are no longer needed."""
        answer = await self._ask_json("POST", "/v1/journal", json={"start": start})
        return [_line(one) for one in answer["lines"]]

    async def close(self) -> None:
        """Let go of connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ask_json(self, method: str, path: str, **sent: Any) -> Mapping[str, Any]:
        """What is answered, read. Raises KeyStoreAway."""
        try:
            document: Mapping[str, Any] = json.loads(await self._ask(method, path, **sent))
        except ValueError as error:
            raise KeyStoreAway(path) from error
        return document

    async def _ask(self, method: str, path: str, **sent: Any) -> bytes:
        """What is answered. All that is asked may be asked twice: a connection that broke is tried once more."""
        if self._client is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=60)
            jar = aiohttp.DummyCookieJar()
            self._client = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, cookie_jar=jar)
        try:
            try:
                return await self._try(self._client, method, path, **sent)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, PermissionError):
                return await self._try(self._client, method, path, **sent)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise KeyStoreAway(path) from error

    async def _try(
        self, client: aiohttp.ClientSession, method: str, path: str, headers: Mapping[str, str] = _NO_MORE, **sent: Any
    ) -> bytes:
        token = await self._token.current(client)
        said = {"Authorization": f"Bearer {token}", **headers}
        async with client.request(method, self._url + path, headers=said, **sent) as answer:
            if answer.status == 401:
                self._token.refused(token)
                raise PermissionError(path)
            body = await answer.read()
            if answer.status < 300:
                return body
            if answer.status == 500 and _BROKEN.encode() in body:
                raise SealBroken("data_key")
            log.warning("key store answers otherwise", extra={"path": path, "status": answer.status})
            raise KeyStoreAway(path)


def _line(one: Mapping[str, Any]) -> JournalLine:
    read = {"id": UUID(one["id"]), "at": datetime.fromisoformat(one["at"]), "policies": tuple(one["policies"])}
    return JournalLine(**{**one, **read})
