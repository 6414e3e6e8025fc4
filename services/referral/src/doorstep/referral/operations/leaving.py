"""What becomes of the requests of who left their household: they go on, under the new file and by the new code.

Invariants: station, department, deadlines and ids of a request stay; the code of before, proxies and guardians see
nothing; the address and the phone of before are in no request; of a request that opens while its person leaves,
whichever commits first, the newest file is kept.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.registry import HouseholdLeft
from doorstep.kit.db import run
from doorstep.kit.exclusions import move, moved
from doorstep.kit.vault import Vault
from doorstep.referral.operations.sealing import forget_former_home

_MOVE = """
    UPDATE request SET file_id = m.file_id, follow_index = CASE WHEN follow_index IS NOT NULL THEN m.code END
    FROM unnest(CAST(:subjects AS uuid[]), CAST(:files AS uuid[]), CAST(:codes AS bytea[]))
        AS m (subject_id, file_id, code)
    WHERE request.subject_id = m.subject_id
"""
_END = (
    "DELETE FROM proxy WHERE subject_id = ANY(CAST(:subjects AS uuid[]))",
    "DELETE FROM guardian WHERE subject_id = ANY(CAST(:subjects AS uuid[])) AND recorded_at <= :at",
)


async def leave_household(session: AsyncSession, *, vault: Vault, left: HouseholdLeft) -> None:
    """Let the requests of these mentions be those of the new file."""
    subjects = await move(session, left)
    for statement in _END:
        await run(session, statement, {"subjects": subjects, "at": left.left_at})
    await follow_anew(session, vault=vault, subjects=subjects)


async def follow_anew(session: AsyncSession, *, vault: Vault, subjects: Sequence[UUID]) -> None:
    """Have the requests of mentions that moved belong to their file, and be shown by its code alone."""
    files = await moved(session, subjects)
    codes = [vault.follow_index(vault.follow_code(one, file_id)) for one, file_id in files.items()]
    await run(session, _MOVE, {"subjects": list(files), "files": list(files.values()), "codes": codes})
    await forget_former_home(session, vault=vault, subjects=list(files))
