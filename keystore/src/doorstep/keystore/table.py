"""Data keys in the key store's database, each wrapped under the key-encryption key of an epoch."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import asyncpg

from doorstep.contracts.codes import Action
from doorstep.keystore.epochs import Epochs
from doorstep.keystore.errors import KekMissing
from doorstep.keystore.journal import Journal, write
from doorstep.keystore.keks import Bound, Keks
from doorstep.kit.auth import Principal
from doorstep.kit.db import Database, run
from doorstep.kit.key_store import DataKey, ErasedSince, JournalLine
from doorstep.kit.keyset import NOBODY, Algorithm, SealBroken, new_key

_TRIES = 3
_OVERLAP = 60.0
_BATCH = 500
_FIRST_VERSION = 1

_FETCH = (
    "SELECT subject_id, version, algorithm, kek, wrapped FROM data_key WHERE subject_id = ANY(CAST(:ids AS uuid[]))"
)
_MAKE = """
    INSERT INTO data_key (subject_id, algorithm, kek, wrapped)
    SELECT id, CAST(:algorithm AS text), CAST(:kek AS text), wrapped
    FROM unnest(CAST(:ids AS uuid[]), CAST(:wrapped AS bytea[])) AS r (id, wrapped) ORDER BY id
    ON CONFLICT DO NOTHING RETURNING subject_id
"""
_DESTROY = """
    INSERT INTO data_key (subject_id, destroyed_at) VALUES (:id, now())
    ON CONFLICT (subject_id) DO UPDATE
    SET wrapped = NULL, kek = NULL, destroyed_at = now() WHERE data_key.destroyed_at IS NULL
    RETURNING subject_id
"""
_ERASED = "SELECT subject_id FROM data_key WHERE subject_id = ANY(CAST(:ids AS uuid[])) AND destroyed_at IS NOT NULL"
_ERASED_SINCE = """
    SELECT clock_timestamp() - make_interval(secs => CAST(:overlap AS float)) AS until,
        ARRAY(
            SELECT subject_id FROM data_key WHERE destroyed_at >= coalesce(CAST(:since AS timestamptz), now())
        ) AS erased
"""
_OLD = """
    SELECT subject_id, version, algorithm, kek, wrapped FROM data_key
    WHERE kek = ANY(CAST(:old AS text[])) AND (CAST(:after AS uuid) IS NULL OR subject_id > CAST(:after AS uuid))
    ORDER BY subject_id LIMIT :most
"""
_REWRAP = """
    UPDATE data_key SET kek = :kek, wrapped = r.wrapped
    FROM unnest(CAST(:ids AS uuid[]), CAST(:old AS text[]), CAST(:wrapped AS bytea[])) AS r (id, old, wrapped)
    WHERE data_key.subject_id = r.id AND data_key.kek = r.old
"""
_COUNT = "SELECT kek, count(*) FROM data_key WHERE kek IS NOT NULL GROUP BY kek"


class KeyTable:
    """The key store itself; see `KeyStore`. `database` is its own, and nobody else's."""

    def __init__(self, database: Database, keks: Keks, epochs: Epochs, algorithm: Algorithm = Algorithm.AES) -> None:
        """Keep data keys in `database`, wrapped by `keks`; new ones are for `algorithm`."""
        self.database = database
        self._keks = keks
        self._epochs = epochs
        self._algorithm = algorithm

    async def keys(self, subject_ids: Sequence[UUID], *, create: bool) -> dict[UUID, DataKey]:
        """The keys of those who have one, after making those that are missing if `create`.

        Raises SealBroken, or KeyStoreFailed.
        """
        await self._epochs.bind()
        for _ in range(_TRIES):
            try:
                return await self._keys(subject_ids, create=create)
            except (KekMissing, asyncpg.ForeignKeyViolationError):  # an epoch ended meanwhile
                self._epochs.look_again()
        return await self._keys(subject_ids, create=create)

    async def destroy(self, subject_id: UUID, *, by: Principal | None = None) -> None:
        """Destroy the key of a subject, who never gets another; raises ValueError for nobody."""
        if subject_id == NOBODY:
            raise ValueError("nobody cannot be erased")
        async with self.database.transaction() as session:
            if await run(session, _DESTROY, {"id": subject_id}):
                await write(session, Action.DESTROY_DATA_KEY, by=by)

    async def erased(self, subject_ids: Sequence[UUID]) -> set[UUID]:
        """Those of `subject_ids` whose keys were destroyed."""
        return {row[0] for row in await self.database.fetch(_ERASED, {"ids": subject_ids})}

    async def erased_since(self, since: datetime | None) -> ErasedSince:
        """Whose keys were destroyed `since`; nobody if that is None.

        The next time is to be asked from a minute before: an erasure commits later than it says.
        """
        [(until, erased)] = await self.database.fetch(_ERASED_SINCE, {"since": since, "overlap": _OVERLAP})
        return ErasedSince(until, list(erased))

    async def journal(self, start: int) -> list[JournalLine]:
        """The lines of its journal from number `start` on; those before are no longer needed."""
        return await Journal(self.database).lines(start)

    async def counts(self) -> dict[str, int]:
        """How many data keys are wrapped under each key-encryption key."""
        return {name: count for name, count in await self.database.fetch(_COUNT, {})}

    async def rewrap(self, newest: str, old: Sequence[str], after: UUID | None) -> UUID | None:
        """Wrap the next keys after a subject under `newest` that are under one of `old`; the last subject, if any.

        What is destroyed or wrapped anew meanwhile stays as it is, and so does what is broken.
        """
        rows = await self.database.fetch(_OLD, {"old": old, "after": after, "most": _BATCH})
        plain = await self._readable(rows)
        bound = [Bound(_binding(row, newest), key) for row, key in plain]
        if bound:
            wrapped = await self._keks.wrap(newest, bound)
            ids, under = [row["subject_id"] for row, _ in plain], [row["kek"] for row, _ in plain]
            await self.database.fetch(_REWRAP, {"kek": newest, "ids": ids, "old": under, "wrapped": wrapped})
        return rows[-1]["subject_id"] if rows else None

    async def close(self) -> None:
        """Let go of connections."""
        await self._keks.close()
        await self.database.close()

    async def _keys(self, subject_ids: Sequence[UUID], *, create: bool) -> dict[UUID, DataKey]:
        rows = await self.database.fetch(_FETCH, {"ids": subject_ids})
        made: dict[UUID, DataKey] = {}
        known = {row["subject_id"] for row in rows}
        if create and (missing := sorted(set(subject_ids) - known)):
            made = await self._make(missing)
            if len(made) < len(missing):  # somebody else made them just now
                rows += await self.database.fetch(_FETCH, {"ids": [one for one in missing if one not in made]})
        return made | {row["subject_id"]: _data_key(row, key) for row, key in await self._unwrapped(rows)}

    async def _make(self, subject_ids: list[UUID]) -> dict[UUID, DataKey]:
        """Make a key for each of `subject_ids` that has none, in one statement; gives those that were made."""
        kek = await self._epochs.current()
        keys = {one: new_key(self._algorithm) for one in subject_ids}
        fresh = {"version": _FIRST_VERSION, "algorithm": self._algorithm}
        bound = [Bound(_binding({**fresh, "subject_id": one}, kek), key) for one, key in keys.items()]
        values = {"algorithm": self._algorithm, "kek": kek, "ids": subject_ids}
        rows = await self.database.fetch(_MAKE, {**values, "wrapped": await self._keks.wrap(kek, bound)})
        return {row[0]: DataKey(_FIRST_VERSION, self._algorithm, keys[row[0]]) for row in rows}

    async def _unwrapped(self, rows: Iterable[asyncpg.Record]) -> list[tuple[asyncpg.Record, bytes]]:
        """The rows of those who were not erased, with their keys."""
        live = sorted((row for row in rows if row["wrapped"] is not None), key=lambda row: row["kek"])
        found: list[tuple[asyncpg.Record, bytes]] = []
        for kek, under in groupby(live, key=lambda row: row["kek"]):
            these = list(under)
            bound = [Bound(_binding(row, kek), row["wrapped"]) for row in these]
            found += zip(these, await self._keks.unwrap(kek, bound), strict=True)
        return found

    async def _readable(self, rows: list[asyncpg.Record]) -> list[tuple[asyncpg.Record, bytes]]:
        try:
            return await self._unwrapped(rows)
        except (SealBroken, KekMissing):
            if len(rows) == 1:
                return []
        halves = (rows[: len(rows) // 2], rows[len(rows) // 2 :])
        return [one for half in halves for one in await self._readable(half)]


def _data_key(row: asyncpg.Record, key: bytes) -> DataKey:
    return DataKey(row["version"], row["algorithm"], key)


def _binding(row: Any, kek: str) -> bytes:
    """What a wrapped key is bound to: its subject, version and algorithm, and what wraps it."""
    told = f"{row['subject_id']}|{kek}|{row['version']}"
    return (told if row["algorithm"] == Algorithm.AES else f"{told}|{row['algorithm']}").encode()
