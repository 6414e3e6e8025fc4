"""Inquiries about one person: asking, agreeing, and whom an inquiry is about.

Invariants: the person is concealed in the table, and no staff member is named in it; who asked never agrees, and nobody
but who asked is told anything.
"""

import hmac
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.inquiry import Ground, Hindrance, Inquiry
from doorstep.audit.errors import InquiryHindered, InquiryUnknown
from doorstep.audit.operations.submitting import as_holder, holder_of, subject_index
from doorstep.contracts.codes import Action, Purpose
from doorstep.kit.auth import Principal
from doorstep.kit.intents import staff_subject
from doorstep.kit.policy import Forbidden, Policy, Resource
from doorstep.kit.vault import Vault

_OPEN = text(
    """
    INSERT INTO inquiry (inquiry_id, subject, holder, ground, asked_by, asked_at)
    VALUES (:inquiry_id, :subject, :holder, :ground, :asked_by, :asked_at)
    """
)
_FIND = text(
    "SELECT holder, ground, asked_by, asked_at, agreed_by, agreed_at FROM inquiry WHERE inquiry_id = :inquiry_id"
)
_AGREE = text(
    """
    UPDATE inquiry SET agreed_by = :agreed_by, agreed_at = :agreed_at
    WHERE inquiry_id = :inquiry_id AND agreed_at IS NULL RETURNING inquiry_id
    """
)


@dataclass(frozen=True, slots=True)
class KeptInquiry:
    """An inquiry as it is kept, and whom it is about."""

    inquiry_id: UUID
    subject: UUID
    inquiry: Inquiry


def complains(vault: Vault, subject: UUID, code: str) -> bool:
    """Whether `code`, however it is written, is the one that only this person was given."""
    return hmac.compare_digest(vault.follow_index(vault.follow_code(subject)), vault.follow_index(code))


async def open_inquiry(
    session: AsyncSession, vault: Vault, *, inquiry_id: UUID, subject: UUID, inquiry: Inquiry
) -> KeptInquiry:
    """Keep a new inquiry about `subject`, whether or not anything is known of it."""
    values = {
        "inquiry_id": inquiry_id,
        "subject": subject_index(vault, subject),
        "holder": as_holder(vault, subject),
        "ground": inquiry.ground,
        "asked_by": inquiry.asked_by,
        "asked_at": inquiry.asked_at,
    }
    await session.execute(_OPEN, values)
    return KeptInquiry(inquiry_id, subject, inquiry)


async def find_inquiry(session: AsyncSession, vault: Vault, inquiry_id: UUID) -> KeptInquiry:
    """The inquiry of this id; raises InquiryUnknown."""
    row = (await session.execute(_FIND, {"inquiry_id": inquiry_id})).first()
    if row is None:
        raise InquiryUnknown
    inquiry = Inquiry(Ground(row.ground), row.asked_by, row.asked_at, row.agreed_by, row.agreed_at)
    return KeptInquiry(inquiry_id, holder_of(vault, row.holder), inquiry)


async def agree_to_inquiry(
    session: AsyncSession,
    vault: Vault,
    *,
    policy: Policy,
    principal: Principal,
    purpose: Purpose,
    inquiry_id: UUID,
    now: datetime,
) -> KeptInquiry:
    """Have a second auditor agree to an inquiry; raises InquiryUnknown, InquiryHindered.

    That who asked does not agree is decided by policy; the table would not hold it either.
    """
    kept, who = await find_inquiry(session, vault, inquiry_id), staff_subject(vault, principal)
    thing = Resource("log", proposer=kept.inquiry.asked_by == who)
    try:
        policy.authorize(principal, Action.AGREE_TO_ASK, thing, purpose=purpose)
    except Forbidden as forbidden:
        raise InquiryHindered(Hindrance.OWN, forbidden.policies) from None
    hindrance = kept.inquiry.hinders_agreement(now)
    if hindrance is not None:
        raise InquiryHindered(hindrance)
    values = {"inquiry_id": inquiry_id, "agreed_by": who, "agreed_at": now}
    if (await session.execute(_AGREE, values)).first() is None:  # somebody else did, a moment ago
        raise InquiryHindered(Hindrance.GIVEN)
    return replace(kept, inquiry=replace(kept.inquiry, agreed_by=who, agreed_at=now))


async def inquiry_to_read(
    session: AsyncSession, vault: Vault, *, inquiry_id: UUID, who: UUID, now: datetime
) -> KeptInquiry:
    """The inquiry of `who`, if its ground holds; raises InquiryUnknown, InquiryHindered."""
    kept = await find_inquiry(session, vault, inquiry_id)
    hindrance = kept.inquiry.hinders_reading(who, now)
    if hindrance is not None:
        raise InquiryHindered(hindrance)
    return kept
