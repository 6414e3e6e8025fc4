"""Which key-encryption keys are in use: the newest wraps, the others are on their way out.

Each is a row of the table `kek`, and a data key refers to its row: the database lets none go under which anything is
wrapped. Whoever adds or destroys a key holds one lock of the database, so that table and keys agree but for what a
process left that died; the next to come clears that away.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action
from doorstep.keystore.errors import KekMissing
from doorstep.keystore.journal import write
from doorstep.keystore.places import Place, PlacedKeks
from doorstep.kit.auth import Principal
from doorstep.kit.db import Database, run
from doorstep.kit.steps import Step, Steps

_LOCK = 7_266_372
_NEWEST_FIRST = "SELECT name, made_at FROM kek ORDER BY made_at DESC, name"
_END = """
    DELETE FROM kek WHERE made_at < (SELECT made_at FROM kek WHERE name = :newest)
        AND NOT EXISTS (SELECT FROM data_key WHERE data_key.kek = kek.name)
    RETURNING name
"""
_ENDED = "SELECT name FROM ended_kek"
_LET_GO = "DELETE FROM ended_kek WHERE name <> ALL(CAST(:there AS text[])) RETURNING name"


class Epoch(NamedTuple):
    """The time of one key-encryption key."""

    name: str
    made_at: datetime


class Epochs:
    """The epochs of a key store, and the keys that belong to them."""

    def __init__(self, database: Database, keks: PlacedKeks, *, steps: Steps | None = None) -> None:
        """Keep in `database` which of `keks` are in use."""
        self._database = database
        self._keks = keks
        self._steps = steps or Steps()
        self._current: str | None = None
        self._bound = False

    async def bind(self) -> None:
        """Once, before keys are worked with: they are this key store's, which is known by its database's id.

        Raises KeksElsewhere or NoKeks.
        """
        if not self._bound:
            async with self._database.transaction() as session:
                await self._hold(session)
            self._bound = True

    async def all(self) -> list[Epoch]:
        """All epochs that have not ended, the newest first."""
        return [Epoch(*row) for row in await self._database.fetch(_NEWEST_FIRST, {})]

    async def current(self) -> str:
        """The name of the key that wraps, as it was when this instance last looked; the first is made here."""
        await self.bind()
        if self._current is None:
            found = await self.all()
            self._current = found[0].name if found else await self.begin(None)
        return self._current

    def look_again(self) -> None:
        """Another instance may have begun an epoch."""
        self._current = None

    async def check(self) -> None:
        """That the keys are this key store's, and all there that are in use. Raises KeksElsewhere or KekMissing."""
        async with self._database.transaction() as session:
            await self._check(await self._hold(session))

    async def begin(self, newest: str | None, *, to: Place | None = None, by: Principal | None = None) -> str:
        """Begin an epoch after `newest`, unless somebody else did; gives the newest then.

        Its key is made in the place `to`, or where that of the newest lies. Raises KeksElsewhere, KekMissing or
        NoSuchPlace.
        """
        async with self._database.transaction() as session:
            known = await self._hold(session)
            await self._check(known)
            if known and known[0] != newest:
                return known[0]
            ended = [row[0] for row in await run(session, _ENDED, {})]
            name = await self._first_or_next(known, ended, to)
            self._steps.passed(Step.EPOCH_KEY_MADE)
            await run(session, "INSERT INTO kek (name, made_at) VALUES (:name, clock_timestamp())", {"name": name})
            await write(session, Action.BEGIN_KEY_EPOCH, policies=[f"kek:{name}"], by=by)
        self._steps.passed(Step.EPOCH_BEGUN)
        self._current = name
        return name

    async def end(self, newest: str) -> list[str]:
        """End the epochs under whose keys nothing is wrapped, and destroy these keys; gives their names.

        Raises what a statement raises if something was just wrapped under one of them: nothing has ended then.
        """
        async with self._database.transaction() as session:
            await self._check(await self._hold(session))
            ended = [row[0] for row in await run(session, _END, {"newest": newest})]
            for name in ended:
                await run(session, "INSERT INTO ended_kek (name) VALUES (:name)", {"name": name})
        self._steps.passed(Step.EPOCH_ENDED)
        async with self._database.transaction() as session:  # what has not ended must not be destroyed
            await self._keks.keep_only(await self._hold(session))
            for row in await run(session, _LET_GO, {"there": list(await self._keks.names())}):
                await write(session, Action.DESTROY_WRAPPING_KEY, policies=[f"kek:{row[0]}"])
        self._steps.passed(Step.EPOCH_KEY_DESTROYED)
        return ended

    async def leftover(self) -> bool:
        """Whether there are keys of epochs that have ended, or never began, or the journal lacks that they are gone."""
        known = {one.name for one in await self.all()}
        return not await self._keks.names() <= known or bool(await self._database.fetch(_ENDED, {}))

    async def _first_or_next(self, known: list[str], ended: list[str], to: Place | None) -> str:
        """A key from before the key store kept epochs is the first, and no other is made."""
        there = sorted(await self._keks.names()) if not known else []
        return there[0] if len(there) == 1 else await self._keks.make([*known, *ended], to)

    async def _hold(self, session: AsyncSession) -> list[str]:
        """Hold the lock until the transaction ends; the names of all epochs, the newest first."""
        await run(session, "SELECT pg_advisory_xact_lock(:lock)", {"lock": _LOCK})
        stores: list[Any] = await run(session, "SELECT id FROM key_store", {})
        await self._keks.bind(str(stores[0][0]))
        return [row[0] for row in await run(session, _NEWEST_FIRST, {})]

    async def _check(self, known: list[str]) -> None:
        if missing := set(known) - await self._keks.names():
            raise KekMissing(", ".join(sorted(missing)))
