"""Whose requests the code of a proxy, or of a child's guardian, shows, and until when; only its index is kept.

Invariants: of one subject there is one proxy at most, and one guardian, the newest; who was erased here has none, then
or later; what was closed once stays closed.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import ProxyScope
from doorstep.contracts.registry import GuardianGrant, GuardianRecorded, ProxyGrant, ProxyNamed
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault, hold_erasing

_LEFT_SINCE = "SELECT 1 FROM moved_mention WHERE subject_id = :subject_id AND moved_at >= :at"
_FORGET = "DELETE FROM proxy WHERE subject_id = :subject_id OR until < now()"
_KEEP = """
    INSERT INTO proxy (subject_id, code, until) SELECT CAST(:subject_id AS uuid), :code, :until
    WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = CAST(:subject_id AS uuid))
"""

_GUARD = """
    INSERT INTO guardian (subject_id, code, until, closed, recorded_at)
    SELECT CAST(:subject_id AS uuid), :code, :until, :closed, :at
    WHERE NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = CAST(:subject_id AS uuid))
    AND NOT EXISTS (
        SELECT FROM moved_mention m WHERE m.subject_id = CAST(:subject_id AS uuid) AND m.moved_at >= :at
    )
    ON CONFLICT (subject_id) DO UPDATE SET code = excluded.code, until = excluded.until,
        closed = guardian.closed OR excluded.closed, recorded_at = excluded.recorded_at
        WHERE guardian.recorded_at <= excluded.recorded_at
"""


async def keep_proxy(session: AsyncSession, *, vault: Vault, named: ProxyNamed) -> None:
    """Let a subject have this proxy, in the place of the one before. Raises SealBroken."""
    await hold_erasing(session)
    ring = await vault.ring([named.subject_id])
    if await run(session, _LEFT_SINCE, {"subject_id": named.subject_id, "at": named.named_at}):
        return
    await run(session, _FORGET, {"subject_id": named.subject_id})
    if named.grant is None or named.subject_id not in ring:
        return
    grant = ring.open(named.grant, ProxyGrant)
    if ProxyScope.FOLLOW_REQUESTS in grant.scopes:
        values = {"subject_id": named.subject_id, "code": vault.follow_index(grant.code), "until": grant.until}
        await run(session, _KEEP, values)


async def keep_guardian(session: AsyncSession, *, vault: Vault, recorded: GuardianRecorded) -> None:
    """Let a child have this guardian, or none, in the place of the one before. Raises SealBroken."""
    await hold_erasing(session)
    subject_id = recorded.subject_id
    ring = await vault.ring([subject_id])
    if subject_id not in ring:
        return
    code, until = None, None
    if recorded.grant is not None:
        grant = ring.open(recorded.grant, GuardianGrant)
        code = vault.follow_index(grant.code)
        until = ring.encrypt(subject_id, _until(subject_id), grant.until.isoformat().encode())
    values = {"subject_id": subject_id, "code": code, "until": until, "at": recorded.recorded_at}
    await run(session, _GUARD, values | {"closed": bool(recorded.closed)})


def guards(ring: KeyRing, subject_id: UUID, until: bytes, now: datetime) -> bool:
    """Whether a guardian still is one: the child is not of their own age yet. Who was erased has none."""
    if subject_id not in ring:
        return False
    return now < datetime.fromisoformat(ring.decrypt(subject_id, _until(subject_id), until).decode())


def _until(subject_id: UUID) -> str:
    return f"guardian.until:{subject_id}"
