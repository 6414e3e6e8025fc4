"""Erasing a subject from the log's database: its details go, the entries with their commitments stay.

Invariants: the key is destroyed first, in the key store, then the rows; whoever stores a detail looks for the key under
a lock that the eraser has alone, so that no detail of an erased subject is stored by anybody, before or after; all of
it can be done again, and the log has the `erased` entry once.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.operations.submitting import subject_index, submit_erased
from doorstep.contracts.codes import Action, Purpose
from doorstep.kit.db import run
from doorstep.kit.intents import Intent
from doorstep.kit.vault import NOBODY, Vault, begin_erasing

Key = Callable[[Vault, UUID], object]

OF_A_SUBJECT: Final[Mapping[str, tuple[str, Key]]] = {
    "detail": ("subject", subject_index),
    "follower": ("subject", subject_index),
    "resident": ("subject", subject_index),
    "proxy": ("subject", subject_index),
    "moved": ("subject", subject_index),
    "guardian": ("subject", subject_index),
    "deferral": ("subject", subject_index),
    "inquiry": ("subject", subject_index),
}
"""Every table with rows of one subject: the column that tells whose they are, and what stands there for a subject."""


class ErasingStep(StrEnum):
    """A point in the erasing of a subject that has just been passed."""

    BEGUN = "begun"
    KEY_DESTROYED = "key-destroyed"
    ROWS_DELETED = "rows-deleted"
    SUBMITTED = "submitted"


Watch = Callable[[ErasingStep], None]


async def erase_subject(
    session: AsyncSession, *, vault: Vault, subject_id: UUID, erasure_id: UUID, watch: Watch = lambda _: None
) -> None:
    """Destroy the subject's key, delete what is kept of it here, and log that; `watch` is told each step.

    Raises ValueError for the subject that stands for nobody.
    """
    await begin_erasing(session)
    watch(ErasingStep.BEGUN)
    await vault.destroy(subject_id)
    watch(ErasingStep.KEY_DESTROYED)
    for table, (column, key) in OF_A_SUBJECT.items():
        await run(session, f"DELETE FROM {table} WHERE {column} = :key", {"key": key(vault, subject_id)})  # noqa: S608
    watch(ErasingStep.ROWS_DELETED)
    ring = await vault.ring([NOBODY], create=True)
    intent = Intent(Action.ERASE_SUBJECT, [NOBODY], purpose=Purpose.RESIDENT_REQUEST, case=erasure_id)
    submit_erased(session, ring, intent, vault=vault, erasure_id=erasure_id)
    watch(ErasingStep.SUBMITTED)
