"""Whose requests the code of a proxy shows, and until when; only the code's index is kept.

Invariants: of one subject there is one proxy at most; who was erased here has none, then or later.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import ProxyScope
from doorstep.contracts.registry import ProxyGrant, ProxyNamed
from doorstep.kit.db import run
from doorstep.kit.vault import Vault, hold_erasing

_FORGET = "DELETE FROM proxy WHERE subject_id = :subject_id OR until < now()"
_KEEP = """
    INSERT INTO proxy (subject_id, code, until) SELECT CAST(:subject_id AS uuid), :code, :until
    WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = CAST(:subject_id AS uuid))
"""


async def keep_proxy(session: AsyncSession, *, vault: Vault, named: ProxyNamed) -> None:
    """Let a subject have this proxy, in the place of the one before. Raises SealBroken."""
    await hold_erasing(session)
    ring = await vault.ring([named.subject_id])
    await run(session, _FORGET, {"subject_id": named.subject_id})
    if named.grant is None or named.subject_id not in ring:
        return
    grant = ring.open(named.grant, ProxyGrant)
    if ProxyScope.FOLLOW_REQUESTS in grant.scopes:
        values = {"subject_id": named.subject_id, "code": vault.follow_index(grant.code), "until": grant.until}
        await run(session, _KEEP, values)
