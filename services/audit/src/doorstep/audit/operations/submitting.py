"""Storing submissions, until the sequencer gives them their place in the log.

Invariants: an entry id is stored once, whatever arrives; what cannot be read is stored too, as an `unreadable` entry
with a commitment to the whole message; the way from a subject to its entries is a keyed blind index, the way from a
detail to its subject is concealed under a key of the keyset, and nothing else here names a subject. From a follow code
to its subject the way is the same: the code by a keyed index, the subject concealed. Of a subject that was erased no
detail is stored, however late it comes, while its commitment takes its place in the log.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.audit.domain.entry import ERASED, NONCE_BYTES, UNREADABLE, Entry, commit
from doorstep.audit.domain.errors import Malformed
from doorstep.contracts.audit import AuditDetail, AuditEntrySubmitted
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.db import before_commit, run
from doorstep.kit.inbox import Message
from doorstep.kit.vault import KeyRing, Vault, hold_erasing

SUBMITTED = "log_submitted"
"""Under this a session's `info` has what it submitted; the sequencer is woken by it after the commit."""

_OF_THE_WAY = ("ce_epoch", "ce_first")
_SUBJECT_FIELD = "audit.subject"
_HOLDER_FIELD = "audit.holder"

_STORE = """
    WITH fresh AS (
        INSERT INTO pending (entry_id, body, service, minute, digest)
        SELECT entry_id, body, service, minute, digest
        FROM unnest(
            CAST(:ids AS uuid[]), CAST(:bodies AS bytea[]),
            CAST(:services AS text[]), CAST(:minutes AS timestamptz[]), CAST(CAST(:digests AS text[]) AS numeric[])
        ) WITH ORDINALITY AS new (entry_id, body, service, minute, digest, at)
        WHERE NOT EXISTS (SELECT FROM entry WHERE entry.entry_id = new.entry_id)
        ORDER BY at
        ON CONFLICT (entry_id) DO NOTHING
        RETURNING entry_id
    )
    INSERT INTO detail (entry_id, position, hour, subject, holder, sealed)
    SELECT entry_id, position, hour, subject, holder, sealed
    FROM unnest(
        CAST(:owners AS uuid[]), CAST(:positions AS integer[]), CAST(:hours AS timestamptz[]),
        CAST(:subjects AS bytea[]), CAST(:holders AS bytea[]), CAST(:sealed AS bytea[])
    ) AS new (entry_id, position, hour, subject, holder, sealed) JOIN fresh USING (entry_id)
    ON CONFLICT DO NOTHING
"""
_FOLLOW = """
    INSERT INTO follower (code, subject, holder)
    SELECT DISTINCT ON (code) code, subject, holder
    FROM unnest(CAST(:codes AS bytea[]), CAST(:subjects AS bytea[]), CAST(:holders AS bytea[]))
        AS new (code, subject, holder)
    ORDER BY code ON CONFLICT DO NOTHING
"""
_KEEP = text(
    """
    INSERT INTO unreadable (entry_id, nonce, topic, message) VALUES (:entry_id, :nonce, :topic, :message)
    ON CONFLICT DO NOTHING
    """
)


@dataclass(frozen=True, slots=True)
class Counted:
    """Under what an entry is counted once it has its place: its service, its minute, and its share of the digest."""

    service: str
    minute: datetime
    share: int


@dataclass(frozen=True, slots=True)
class SealedDetail:
    """A detail as it is stored: its hour, its subject's blind index, its subject concealed, and what is sealed.

    `code` is the index of the subject's follow code; `subject_id` is not stored.
    """

    subject_id: UUID
    hour: datetime
    subject: bytes
    code: bytes
    holder: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Submission:
    """An entry to be stored: its bytes, and for each commitment the detail.

    `counted` is None for what no service promised: the log's own entries, and what could not be read. `vault`, which is
    there where details are, knows when it is stored whose details may be.
    """

    entry_id: UUID
    body: bytes
    details: tuple[SealedDetail, ...] = ()
    counted: Counted | None = None
    vault: Vault | None = None


def read_submission(event: AuditEntrySubmitted, *, vault: Vault) -> Submission:
    """The submission that an event asks for; raises Malformed if no entry can be made of it."""
    if not 0 <= len(event.commitments) - len(event.details) < intents.COMMITMENTS:
        raise Malformed("submission: not a commitment for each detail, and a few that fill up")
    if any(detail.context != AuditDetail.__name__ for detail in event.details):
        raise Malformed("submission: a detail of another kind")
    try:
        entry = Entry(event.entry_id, event.hour, tuple(bytes.fromhex(text) for text in event.commitments))
        hour = datetime.fromisoformat(f"{entry.hour}:00:00+00:00")
        details = tuple(
            SealedDetail(
                detail.subject_id,
                hour,
                subject_index(vault, detail.subject_id),
                vault.follow_index(vault.follow_code(detail.subject_id)),
                as_holder(vault, detail.subject_id),
                detail.key_version.to_bytes(4) + base64.b64decode(detail.ciphertext, validate=True),
            )
            for detail in event.details
        )
    except (ValueError, OverflowError, binascii.Error) as error:
        raise Malformed("submission: not hex, not base64 or not an hour") from error
    return Submission(entry.id, entry.encode(), details, vault=vault)


def subject_index(vault: Vault, subject_id: UUID) -> bytes:
    """The 16 bytes under which the entries about a subject are found."""
    return vault.blind_index(_SUBJECT_FIELD, str(subject_id))


def as_holder(vault: Vault, subject_id: UUID) -> bytes:
    """A subject as it is stored: 44 bytes, each time others, that `holder_of` alone can read."""
    return vault.conceal(_HOLDER_FIELD, subject_id)


def holder_of(vault: Vault, holder: bytes) -> UUID:
    """The subject of a stored detail, or of an inquiry. Raises SealBroken."""
    return vault.reveal(_HOLDER_FIELD, holder)


def submit(session: AsyncSession, submission: Submission) -> None:
    """Have a submission stored with the session's transaction; if its entry id is known it changes nothing."""
    session.info.setdefault(SUBMITTED, []).append(submission)
    before_commit(session, _store)


async def _store(session: AsyncSession) -> None:
    """Write all that was buffered, in one statement."""
    submissions: list[Submission] = session.info[SUBMITTED]
    erased = await _erased(session, submissions)
    numbered = [
        (one.entry_id, at, detail)
        for one in submissions
        for at, detail in enumerate(one.details)
        if detail.subject_id not in erased
    ]
    details = [detail for _, _, detail in numbered]
    counted = [one.counted for one in submissions]
    await run(
        session,
        _STORE,
        {
            "ids": [one.entry_id for one in submissions],
            "bodies": [one.body for one in submissions],
            "services": [one.service if one else None for one in counted],
            "minutes": [one.minute if one else None for one in counted],
            "digests": [str(one.share) if one else None for one in counted],
            "owners": [row[0] for row in numbered],
            "positions": [row[1] for row in numbered],
            "hours": [detail.hour for detail in details],
            "subjects": [detail.subject for detail in details],
            "holders": [detail.holder for detail in details],
            "sealed": [detail.sealed for detail in details],
        },
    )
    if not details:
        return
    values = {
        "codes": [detail.code for detail in details],
        "subjects": [detail.subject for detail in details],
        "holders": [detail.holder for detail in details],
    }
    await run(session, _FOLLOW, values)


async def _erased(session: AsyncSession, submissions: Sequence[Submission]) -> set[UUID]:
    """The erased among those whom details are about; until the transaction ends nobody else is erased here."""
    vault = next((one.vault for one in submissions if one.vault is not None), None)
    if vault is None:
        return set()
    await hold_erasing(session)
    return await vault.erased(detail.subject_id for one in submissions for detail in one.details)


async def submit_unreadable(session: AsyncSession, message: Message, *, vault: Vault) -> UUID:
    """Store an entry that stands for a message nobody can read, and the message; gives the entry's id.

    A message that comes once more, by a sender's second try or from a topic that is read again, has the same id: it
    is kept, and in the log, once.
    """
    entry_id, topic = vault.pairwise("audit.unreadable", _fingerprint(message)), message.topic
    nonce = secrets.token_bytes(NONCE_BYTES)
    commitment = commit(nonce, {"topic": topic, "message": base64.b64encode(message.value).decode()})
    entry = Entry(entry_id, datetime.now(UTC).strftime("%Y-%m-%dT%H"), (commitment,), UNREADABLE)
    await session.execute(_KEEP, {"entry_id": entry_id, "nonce": nonce, "topic": topic, "message": message.value})
    submit(session, Submission(entry_id, entry.encode()))
    return entry_id


def _fingerprint(message: Message) -> str:
    """What is the same whenever a message comes again: not where it lies, nor how often its topic was begun anew."""
    headers = sorted(header for header in message.headers if header[0] not in _OF_THE_WAY)
    return hashlib.sha256(repr((message.topic, message.raw_key, headers, message.value)).encode()).hexdigest()


def submit_own(
    session: AsyncSession, ring: KeyRing, intent: intents.Intent, *, vault: Vault, principal: Principal | None = None
) -> UUID:
    """Log an action of the log's own service in the action's transaction, without the broker; gives the entry's id."""
    event = intents.entry(ring, intent, service=session.info["service"], principal=principal)
    submit(session, read_submission(event, vault=vault))
    return event.entry_id


def submit_erased(
    session: AsyncSession, ring: KeyRing, intent: intents.Intent, *, vault: Vault, erasure_id: UUID
) -> UUID:
    """Log that a subject was erased, by an entry that says so to everybody; gives its id, which the erasure gives it.

    However often it is submitted it is in the log once.
    """
    event = intents.entry(ring, intent, service=session.info["service"], principal=None)
    event = event.model_copy(update={"entry_id": vault.pairwise("audit.erased", erasure_id)})
    submission = read_submission(event, vault=vault)
    commitments = tuple(bytes.fromhex(text) for text in event.commitments)
    body = Entry(event.entry_id, event.hour, commitments, ERASED).encode()
    submit(session, replace(submission, body=body))
    return event.entry_id
