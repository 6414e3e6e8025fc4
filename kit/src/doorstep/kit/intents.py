"""Audit intents: what was done, by whom, to whose data and why, in the transaction that does it.

Invariant: a read of personal data commits its intent before the first byte leaves. One entry has one commitment a
subject, filled up so that their number tells nothing; the details are sealed under each subject's own key, so that
erasing one leaves the others. What comes into force (policy, rules, keys) is logged once for each change, whoever
starts with it and however often.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import rfc8785
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid4

from doorstep.contracts.audit import AuditDetail, AuditEntrySubmitted
from doorstep.contracts.codes import Action, LegalBasis, Purpose
from doorstep.kit import outbox
from doorstep.kit.auth import Principal
from doorstep.kit.db import run
from doorstep.kit.vault import NOBODY, KeyRing, Vault

_DETAIL_BYTES = 768  # a detail about violence is as long as one about a gas hose

COMMITMENTS = 4
"""An entry has a multiple of so many commitments: how many of them stand for somebody is not to be seen."""
_COMMITMENT_BYTES = 32

_STAFF = "audit.staff"
_ACTIVATE = """
    INSERT INTO activation (kind, digest) VALUES (:kind, :digest)
    ON CONFLICT (kind) DO UPDATE SET digest = excluded.digest, activated_at = now()
    WHERE activation.digest <> excluded.digest RETURNING kind
"""


@dataclass(frozen=True)
class Intent:
    """What is to be logged. `case` is the record, file or request that it was done for.

    `record` is the doorstep record that the case came of, if the case is another; `asked` what was searched for;
    `officer` in whose place it was done, or to whom something was given.
    """

    action: Action
    subjects: Sequence[UUID]
    purpose: Purpose | None = None
    legal_basis: LegalBasis | None = None
    case: UUID | None = None
    outcome: str = "done"
    policies: tuple[str, ...] = ()
    record: UUID | None = None
    asked: str | None = None
    officer: str | None = None


class Record(Protocol):
    """How a service has an intent logged."""

    def __call__(
        self, session: AsyncSession, ring: KeyRing, intent: Intent, *, principal: Principal | None = None
    ) -> UUID:
        """Log `intent` with the session's transaction; gives the entry's id."""
        ...


def record(session: AsyncSession, ring: KeyRing, intent: Intent, *, principal: Principal | None = None) -> UUID:
    """Have `intent` leave for the log with the session's transaction; gives the entry's id.

    `ring` holds the keys of all its subjects. `principal` is None where a service acts on an event.
    """
    return outbox.add_entry(session, entry(ring, intent, service=session.info["service"], principal=principal))


def entry(
    ring: KeyRing, intent: Intent, *, service: str, principal: Principal | None, at: datetime | None = None
) -> AuditEntrySubmitted:
    """The entry that `intent` makes, with a fresh random nonce for each subject; `at` is now unless it was before."""
    now = (at or datetime.now(UTC)).astimezone(UTC)
    details = [_detail(intent, service, principal, now) for _ in intent.subjects]
    return AuditEntrySubmitted(
        entry_id=uuid4(),
        hour=now.strftime("%Y-%m-%dT%H"),
        commitments=(*(commitment(detail) for detail in details), *_fillers(len(details))),
        details=tuple(
            ring.seal(subject, detail, multiple_of=_DETAIL_BYTES)
            for subject, detail in zip(intent.subjects, details, strict=True)
        ),
    )


def _fillers(count: int) -> list[str]:
    """What fills up `count` commitments: nobody who does not hold the details can tell it from them."""
    return [secrets.token_hex(_COMMITMENT_BYTES) for _ in range(-count % COMMITMENTS)]


def _detail(intent: Intent, service: str, principal: Principal | None, now: datetime) -> AuditDetail:
    return AuditDetail(
        nonce=base64.b64encode(secrets.token_bytes(32)).decode(),
        at_us=int(now.timestamp()) * 1_000_000 + now.microsecond,
        service=service,
        action=intent.action,
        outcome=intent.outcome,
        actor=principal.subject if principal else None,
        role=principal.role if principal else None,
        agency=principal.agency if principal else None,
        purpose=intent.purpose,
        legal_basis=intent.legal_basis,
        case=None if intent.case is None else str(intent.case),
        policies=intent.policies,
        station=principal.station if principal else None,
        record=None if intent.record is None else str(intent.record),
        asked=intent.asked,
        officer=intent.officer,
    )


def commitment(detail: AuditDetail) -> str:
    """Hex HMAC-SHA256, keyed by the detail's nonce, of its canonical JSON (RFC 8785) without the nonce."""
    content = detail.model_dump(mode="json", exclude={"nonce"}, exclude_none=True)
    return hmac.new(base64.b64decode(detail.nonce), rfc8785.dumps(content), hashlib.sha256).hexdigest()


async def concerned(vault: Vault, known: Iterable[UUID], principal: Principal) -> tuple[KeyRing, tuple[UUID, ...]]:
    """Whom an entry is about that shows them nothing of anybody, with their keys.

    Of the `known` those that are not erased; if there is none the caller, or nobody once the caller was erased.
    """
    caller = staff_subject(vault, principal)
    own = await vault.ring([caller, NOBODY], create=True)  # in any case, so that what is unknown takes no longer
    subjects = distinct(known)
    ring = await vault.ring(subjects)
    readable = tuple(one for one in subjects if one in ring)
    if readable:
        return ring, readable
    return own, (caller if caller in own else NOBODY,)


def staff_subject(vault: Vault, principal: Principal) -> UUID:
    """The subject of entries about a caller alone: it names nobody, and is no pseudonym that stands elsewhere."""
    return vault.pairwise(_STAFF, principal.subject)


async def activate(session: AsyncSession, ring: KeyRing, intent: Intent, *, log: Record = record) -> bool:
    """Log `intent`, by which something comes into force, unless it is what was in force last; whether it was logged.

    Its outcome is the digest of that: of two who activate the same at once one logs it. `ring` holds NOBODY's key.
    """
    changed = await run(session, _ACTIVATE, {"kind": intent.action, "digest": intent.outcome})
    if changed:
        log(session, ring, intent)
    return bool(changed)


def distinct(subjects: Iterable[UUID]) -> tuple[UUID, ...]:
    """`subjects` once each, in their first order."""
    return tuple(dict.fromkeys(subjects))
