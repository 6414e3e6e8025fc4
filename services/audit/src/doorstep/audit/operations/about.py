"""The details about one subject, found by its blind index and opened under its key."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.usage import Seen
from doorstep.audit.operations.submitting import subject_index
from doorstep.contracts.audit import AuditDetail
from doorstep.kit.vault import KeyRing, SealBroken, Vault

_CONTEXT = AuditDetail.__name__
_DETAILS = text("SELECT entry_id, sealed FROM detail WHERE subject = :subject")


async def details_about(session: AsyncSession, vault: Vault, ring: KeyRing, subject: UUID) -> list[Seen]:
    """All details about a subject that can be read, in no order; none of one whose key is not in `ring`."""
    rows = (await session.execute(_DETAILS, {"subject": subject_index(vault, subject)})).all()
    if subject not in ring:
        return []
    found = []
    for entry_id, sealed in rows:
        try:
            detail = AuditDetail.model_validate_json(ring.decrypt(subject, _CONTEXT, sealed))
        except (SealBroken, ValueError):  # what was sealed was never a detail
            continue
        found.append(Seen(entry_id, detail))
    return found
