"""Asking that a resident be told later of the uses for one matter, and agreeing to it: two people, 30 days at most.

The subject is found by its blind index and concealed, the matter (a record, a file or a request) lies under a keyed
index; which one it is, and why, is sealed under the subject's key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.deferral import Deferral
from doorstep.audit.errors import DeferralApproved, DeferralLapsed, DeferralUnknown, NothingToDefer, OwnDeferral
from doorstep.audit.operations.about import details_about
from doorstep.audit.operations.submitting import as_holder, holder_of, subject_index
from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Action, DeferralReason, LegalBasis
from doorstep.contracts.envelope import Contract
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.intents import Intent, Record, staff_subject
from doorstep.kit.policy import Forbidden, Policy, Resource
from doorstep.kit.vault import SubjectErased, Vault, hold_erasing

_MATTER_FIELD = "audit.matter"

_ASK = text(
    """
    INSERT INTO deferral (deferral_id, subject, holder, matter, sealed, asked_by, asked_at)
    VALUES (:deferral_id, :subject, :holder, :matter, :sealed, :asked_by, :asked_at)
    """
)
_LOCK = text("SELECT * FROM deferral WHERE deferral_id = :deferral_id FOR UPDATE")
_APPROVE = text("UPDATE deferral SET approved_by = :by, approved_at = :at WHERE deferral_id = :deferral_id")
_OF = text("SELECT matter, asked_at, approved_at FROM deferral WHERE subject = :subject")


class Why(Contract):
    """`deferral.sealed`: for which matter the resident is told later, and to protect whom."""

    case: UUID
    reason: DeferralReason


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: under this id, of this subject, for this matter."""

    deferral_id: UUID
    subject_id: UUID
    why: Why


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and which policies let them."""

    principal: Principal
    policies: tuple[str, ...]


async def ask_to_defer(
    session: AsyncSession, *, vault: Vault, record: Record, caller: Caller, asked: Asked, digest: bytes, now: datetime
) -> Deferral:
    """Ask that a resident be told later; nothing is hidden yet. The same command again changes nothing.

    Raises NothingToDefer, IdReused, Erased.
    """
    subject, case, principal = asked.subject_id, asked.why.case, caller.principal
    answer = {"asked_at": now.isoformat()}
    replay = await idempotency.claim(session, principal, asked.deferral_id, digest, answer=answer)
    if replay is not None:
        return Deferral(_matter(vault, str(case)), datetime.fromisoformat(replay.answer["asked_at"]))
    await hold_erasing(session)
    if subject in await vault.erased([subject]):
        raise NothingToDefer
    ring = await vault.ring([subject])
    seen = [one.detail for one in await details_about(session, vault, ring, subject)]
    ours = any(one.station == principal.station for one in seen if one.station is not None)
    if not ours or not any(str(case) in (one.case, one.record) for one in seen):
        raise NothingToDefer
    deferral = Deferral(_matter(vault, str(case)), now)
    values = {
        "deferral_id": asked.deferral_id,
        "subject": subject_index(vault, subject),
        "holder": as_holder(vault, subject),
        "matter": deferral.matter,
        "sealed": ring.encrypt(subject, _context(asked.deferral_id), asked.why.model_dump_json().encode()),
        "asked_by": staff_subject(vault, principal),
        "asked_at": now,
    }
    await session.execute(_ASK, values)
    intent = Intent(
        Action.ASK_TO_DEFER,
        [subject],
        legal_basis=LegalBasis.VITAL_INTEREST,
        case=case,
        outcome=asked.why.reason,
        policies=caller.policies,
    )
    record(session, ring, intent, principal=principal)
    return deferral


async def approve_deferral(
    session: AsyncSession,
    *,
    vault: Vault,
    policy: Policy,
    record: Record,
    principal: Principal,
    deferral_id: UUID,
    now: datetime,
) -> Deferral:
    """Agree to what somebody else asked for: from now on it hides. Agreeing again changes nothing.

    That who asked does not agree is decided by policy; the table would not hold it either.

    Raises DeferralUnknown, OwnDeferral, DeferralApproved, DeferralLapsed, SubjectErased.
    """
    row = (await session.execute(_LOCK, {"deferral_id": deferral_id})).first()
    if row is None:
        raise DeferralUnknown
    me, subject = staff_subject(vault, principal), holder_of(vault, row.holder)
    thing = Resource("deferral", proposer=row.asked_by == me)
    try:
        policies = policy.authorize(principal, Action.APPROVE_DEFERRAL, thing).policies
    except Forbidden as forbidden:
        raise OwnDeferral(forbidden.policies) from None
    deferral = Deferral(row.matter, row.asked_at, row.approved_at or now)
    if row.approved_by == me:
        return deferral
    if row.approved_by is not None:
        raise DeferralApproved
    if now >= deferral.lapses_at:
        raise DeferralLapsed
    ring = await vault.ring([subject])
    if subject not in ring:
        raise SubjectErased
    why = Why.model_validate_json(ring.decrypt(subject, _context(deferral_id), row.sealed))
    await session.execute(_APPROVE, {"by": me, "at": now, "deferral_id": deferral_id})
    intent = Intent(
        Action.APPROVE_DEFERRAL,
        [subject],
        legal_basis=LegalBasis.VITAL_INTEREST,
        case=why.case,
        outcome=why.reason,
        policies=policies,
    )
    record(session, ring, intent, principal=principal)
    return deferral


async def deferrals_of(session: AsyncSession, vault: Vault, subject: UUID) -> Sequence[Deferral]:
    """What was asked for of a subject, approved or not, lapsed or not."""
    rows = await session.execute(_OF, {"subject": subject_index(vault, subject)})
    return [Deferral(row.matter, row.asked_at, row.approved_at) for row in rows]


def matters_of(vault: Vault, detail: AuditDetail) -> set[bytes]:
    """The keyed indexes of what a detail was done for: its case, and the record that the case came of."""
    return {_matter(vault, one) for one in (detail.case, detail.record) if one is not None}


def _matter(vault: Vault, case: str) -> bytes:
    return vault.blind_index(_MATTER_FIELD, case)


def _context(deferral_id: UUID) -> str:
    return f"deferral.sealed:{deferral_id}"
