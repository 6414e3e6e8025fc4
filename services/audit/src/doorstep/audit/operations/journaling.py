"""Taking over the key store's journal: what it did that matters, as entries like those of every service.

Invariants: the entry of a line has the line's id, so that it is in the log once, however often it is taken; position
and entries commit together, so that none is skipped. The line at the position is asked for again: if it is not the one
that the log has, the key store was put back to an earlier state, and all its lines are gone through.
"""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.operations.submitting import read_submission, submit
from doorstep.contracts.codes import Action, Role
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.db import Database, run
from doorstep.kit.intents import Intent, concerned
from doorstep.kit.key_store import JournalLine
from doorstep.kit.vault import NOBODY, KeyRing, Vault

KEY_STORE = "keystore"
_REFUSED = "refused:"
_PLACE = "keystore.journal"  # among the positions of topics
_POSITION = "SELECT next_offset FROM inbox_position WHERE topic = :topic AND partition = 0"
_MOVE = """
    INSERT INTO inbox_position (topic, partition, next_offset) VALUES (:topic, 0, :next)
    ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
"""
_KNOWN = """
    SELECT 1 WHERE EXISTS (SELECT FROM entry WHERE entry_id = :id)
        OR EXISTS (SELECT FROM pending WHERE entry_id = :id)
"""


async def take_over(database: Database, vault: Vault) -> int:
    """Submit the lines that the log does not have yet, some hundred at most; how many these were."""
    found = await database.fetch(_POSITION, {"topic": _PLACE})
    position = int(found[0][0]) if found else 0
    lines = await vault.store.journal(position)
    if position and not await _is_known(database, position, lines):
        lines, position = await vault.store.journal(0), 0
    fresh = [line for line in lines if line.number > position]
    if not fresh:
        return 0
    asked = [await concerned(vault, (), who) if (who := _caller(line)) else None for line in fresh]
    ring = await vault.ring([NOBODY], create=True)
    async with database.transaction() as session:
        for line, about in zip(fresh, asked, strict=True):
            _submit(session, vault, line, *(about or (ring, (NOBODY,))))
        await run(session, _MOVE, {"topic": _PLACE, "next": fresh[-1].number})
    return len(fresh)


async def _is_known(database: Database, position: int, lines: Sequence[JournalLine]) -> bool:
    """Whether the first of `lines` is the one that was taken last."""
    if not lines or lines[0].number != position:
        return False
    return bool(await database.fetch(_KNOWN, {"id": lines[0].id}))


def _caller(line: JournalLine) -> Principal | None:
    """Who was refused, whom the entry is about then; what was done is about nobody."""
    return _principal(line) if line.outcome.startswith(_REFUSED) else None


def _principal(line: JournalLine) -> Principal | None:
    if line.actor is None or line.agency is None or line.role not in set(Role):
        return None
    return Principal(line.actor, Role(line.role), line.agency)


def _submit(session: AsyncSession, vault: Vault, line: JournalLine, ring: KeyRing, subjects: Sequence[UUID]) -> None:
    action = cast("Action", line.action)  # one of a later key store is told as it is
    intent = Intent(action, subjects, outcome=line.outcome, policies=line.policies)
    event = intents.entry(ring, intent, service=KEY_STORE, principal=_principal(line), at=line.at)
    submit(session, read_submission(event.model_copy(update={"entry_id": line.id}), vault=vault))
