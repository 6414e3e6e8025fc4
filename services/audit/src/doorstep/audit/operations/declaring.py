"""Declared ties: which cases a worker must not handle, told by that worker alone.

Invariant: neither the worker nor a case is readable here, and one case has another index for each worker, so that what
two of them declared cannot be compared. A tie that is no longer declared keeps its time: what was read meanwhile stays
a finding.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.kit.vault import Vault

_ACTOR_FIELD = "audit.tie.actor"
_TIED_FIELD = "audit.tie.case"

_END = text(
    """
    UPDATE tie SET ended_at = :now
    WHERE actor = :actor AND ended_at IS NULL AND NOT tied = ANY(CAST(:tied AS bytea[]))
    """
)
_DECLARE = text(
    """
    INSERT INTO tie (actor, tied, declared_at)
    SELECT :actor, tied, :now FROM unnest(CAST(:tied AS bytea[])) AS new (tied) ORDER BY tied
    ON CONFLICT (actor, tied) WHERE ended_at IS NULL DO NOTHING
    """
)
_OF_ACTORS = text(
    "SELECT actor, tied, declared_at, ended_at FROM tie WHERE actor = ANY(CAST(:actors AS bytea[])) ORDER BY id"
)


@dataclass(frozen=True, slots=True)
class Tie:
    """One declared tie: the index of the case for its actor, and for how long it was declared."""

    tied: bytes
    declared_at: datetime
    ended_at: datetime | None

    def binds(self, at: datetime) -> bool:
        """Whether it was declared at that time."""
        return self.declared_at <= at and (self.ended_at is None or at < self.ended_at)


async def declare_ties(
    session: AsyncSession, *, vault: Vault, actor: str, cases: Iterable[UUID], now: datetime
) -> None:
    """Have `cases` be what the actor must not handle, from now on and instead of what was declared before."""
    tied = sorted({_tied(vault, actor, str(case)) for case in cases})
    values = {"actor": vault.blind_index(_ACTOR_FIELD, actor), "tied": tied, "now": now}
    await session.execute(_END, values)
    await session.execute(_DECLARE, values)


class Ties:
    """The declared ties of the actors that were asked for, kept while one piece of work lasts."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._known: dict[str, list[Tie]] = {}

    async def load(self, session: AsyncSession, actors: Iterable[str]) -> None:
        """Read the ties of those `actors` that are not known yet."""
        fresh = {self._vault.blind_index(_ACTOR_FIELD, one): one for one in {*actors} - self._known.keys()}
        if not fresh:
            return
        self._known.update({actor: [] for actor in fresh.values()})
        for actor, *tie in await session.execute(_OF_ACTORS, {"actors": list(fresh)}):
            self._known[fresh[actor]].append(Tie(*tie))

    def bind(self, actor: str, cases: Iterable[str | None], at: datetime) -> bool:
        """Whether the actor, whose ties were loaded, had declared one of `cases` then."""
        ties = self._known[actor]
        if not ties:
            return False
        asked = {_tied(self._vault, actor, case) for case in cases if case is not None}
        return any(tie.tied in asked and tie.binds(at) for tie in ties)


def _tied(vault: Vault, actor: str, case: str) -> bytes:
    return vault.blind_index(_TIED_FIELD, f"{actor} {case}")
