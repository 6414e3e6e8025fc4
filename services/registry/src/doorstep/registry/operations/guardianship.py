"""What is kept of the guardian of a child, under a key of the child, and how others are told of each mention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import AwareDatetime
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Coded, GuardianBasis, GuardianSuspension
from doorstep.contracts.envelope import Contract
from doorstep.contracts.registry import GuardianGrant, GuardianRecorded
from doorstep.kit import outbox
from doorstep.kit.db import run
from doorstep.kit.vault import KeyRing, Vault

_KEEP = """
    INSERT INTO guardianship (person_id, content_key, content) VALUES (:person_id, :key, :content)
    ON CONFLICT (person_id) DO UPDATE SET content_key = excluded.content_key, content = excluded.content
"""
_OF = """
    SELECT person_id, content_key, content FROM guardianship WHERE person_id = ANY(CAST(:persons AS uuid[]))
    ORDER BY person_id FOR UPDATE
"""
_UNDER = """
    SELECT g.person_id, s.subject_id AS other FROM guardianship g JOIN subject s USING (person_id)
    WHERE g.content_key = :subject_id AND s.subject_id <> :subject_id ORDER BY s.file_version DESC LIMIT 1
"""
_CLOSE = "UPDATE subject SET follow_index = NULL WHERE person_id = :person_id"
_MENTIONS = "SELECT file_id, subject_id FROM subject WHERE person_id = :person_id ORDER BY file_id, subject_id"


class Guardianship(Contract):
    """`guardianship.content`: who is the guardian of a child, on which basis, until when; who recorded it, when.

    `guardian` is the person of the registry; `ward`, a mention of the child, and `since` are what their code is derived
    with. Once suspended, why, by whom and when. `former` are those before who were suspended, the last one last; they
    have none themselves.
    """

    guardian: UUID
    ward: UUID
    basis: Coded[GuardianBasis]
    since: UUID
    until: AwareDatetime
    document_kind: str | None = None
    document_number: str | None = None
    recorded_by: UUID
    recorded_at: AwareDatetime
    suspended: Coded[GuardianSuspension] | None = None
    suspended_by: UUID | None = None
    suspended_at: AwareDatetime | None = None
    former: tuple["Guardianship", ...] = ()

    def kept_from(self) -> tuple["Guardianship", ...]:
        """The guardianships that were suspended, each without those before it: from these people the child is kept."""
        last = () if self.suspended is None else (self.model_copy(update={"former": ()}),)
        return (*self.former, *last)

    def renamed(self, persons: Mapping[UUID, UUID]) -> "Guardianship":
        """The same of people who are others now; `persons` are the new ones by the former."""
        former = tuple(one.renamed(persons) for one in self.former)
        return self.model_copy(update={"guardian": persons.get(self.guardian, self.guardian), "former": former})


@dataclass(frozen=True)
class Kept:
    """A guardianship, opened, and the mention of the child under whose key it lies."""

    key: UUID
    content: Guardianship


async def repeat_guardians(
    session: AsyncSession, *, vault: Vault, file_id: UUID, persons: Mapping[UUID, UUID], now: datetime
) -> set[UUID]:
    """Tell of new mentions of children who their guardian is; those whose receipt is not to open anything.

    `persons` are the persons of new mentions. Of whom has grown up nothing is told.
    """
    closed: set[UUID] = set()
    for person_id, kept in (await guardianships(session, vault, sorted(set(persons.values())))).items():
        if kept.content.until <= now:
            continue
        suspended = bool(kept.content.kept_from())
        mentions = sorted(one for one, person in persons.items() if person == person_id)
        await _tell_of(session, vault, kept.content, [(file_id, one) for one in mentions], closed=suspended)
        closed |= set(mentions) if suspended else set()
    return closed


async def carry_over(session: AsyncSession, *, vault: Vault, persons: Mapping[UUID, UUID]) -> None:
    """Let persons, who were others before, have the guardians of those; `persons` are the new ones by the former."""
    for person_id, kept in (await guardianships(session, vault, sorted(persons))).items():
        ring = await vault.ring([kept.key])
        await keep(session, ring, persons[person_id], Kept(kept.key, kept.content.renamed(persons)))


async def carry_suspended(
    session: AsyncSession,
    *,
    vault: Vault,
    file_id: UUID,
    persons: Mapping[UUID, UUID],
    mentions: Mapping[UUID, UUID],
    now: datetime,
) -> None:
    """Let children who left have no guardian whom they are kept from: suspended, he stays so, and codes stay closed.

    `persons` are who they are in the new file by who they were, `mentions` theirs there. Of whom has grown up nothing
    is kept. What is told counts as later than that they left, whichever a service hears of first.
    """
    for former, kept in (await guardianships(session, vault, sorted(persons))).items():
        suspended = kept.content.kept_from()
        if not suspended or kept.content.until <= now:
            continue
        person_id = persons[former]
        theirs = sorted(one for one, person in mentions.items() if person == person_id)
        content = suspended[-1].model_copy(update={"former": suspended[:-1]}).renamed(persons)
        await keep(session, await vault.ring(theirs), person_id, Kept(theirs[0], content))
        await close_codes(session, person_id)
        after = now + timedelta(microseconds=1)
        await _tell_of(session, vault, content, [(file_id, one) for one in theirs], closed=True, at=after)


async def close_codes(session: AsyncSession, person_id: UUID) -> None:
    """Let the codes on the receipts of a child open nothing here."""
    await run(session, _CLOSE, {"person_id": person_id})


async def hang_elsewhere(session: AsyncSession, *, vault: Vault, subject_id: UUID) -> None:
    """Before a mention is erased, keep what lies under its key under that of another mention of the child."""
    for row in await run(session, _UNDER, {"subject_id": subject_id}):
        ring = await vault.ring([subject_id, row["other"]])
        found = (await guardianships(session, vault, [row["person_id"]])).get(row["person_id"])
        if found is not None and row["other"] in ring:
            await keep(session, ring, row["person_id"], Kept(row["other"], found.content))


async def guardianships(session: AsyncSession, vault: Vault, persons: Sequence[UUID]) -> dict[UUID, Kept]:
    """The guardianships of these persons, locked; one whose key was destroyed is none."""
    rows = await run(session, _OF, {"persons": list(persons)})
    ring = await vault.ring([row["content_key"] for row in rows])
    return {
        row["person_id"]: Kept(row["content_key"], _content(ring, row["content_key"], bytes(row["content"])))
        for row in rows
        if row["content_key"] in ring
    }


def _context(subject_id: UUID) -> str:
    return f"guardianship.content:{subject_id}"


def _content(ring: KeyRing, subject_id: UUID, blob: bytes) -> Guardianship:
    return Guardianship.model_validate_json(ring.decrypt(subject_id, _context(subject_id), blob))


async def keep(session: AsyncSession, ring: KeyRing, person_id: UUID, kept: Kept) -> None:
    """Store a guardianship in the place of the one before."""
    data = kept.content.model_dump_json(exclude_none=True).encode()
    blob = ring.encrypt(kept.key, _context(kept.key), data)
    await run(session, _KEEP, {"person_id": person_id, "key": kept.key, "content": blob})


async def tell(session: AsyncSession, vault: Vault, person_id: UUID, content: Guardianship, *, closed: bool) -> None:
    """Tell of all mentions of a child who the guardian is."""
    rows = await run(session, _MENTIONS, {"person_id": person_id})
    mentions = [(row["file_id"], row["subject_id"]) for row in rows]
    await _tell_of(session, vault, content, mentions, closed=closed)


async def _tell_of(
    session: AsyncSession,
    vault: Vault,
    content: Guardianship,
    mentions: Sequence[tuple[UUID, UUID]],
    *,
    closed: bool,
    at: datetime | None = None,
) -> None:
    ring = await vault.ring([subject_id for _, subject_id in mentions])
    grant = GuardianGrant(
        code=guardian_code(vault, content.ward, content.since),
        until=content.until,
        document_kind=content.document_kind,
        document_number=content.document_number,
    )
    for file_id, subject_id in mentions:
        if subject_id not in ring:
            continue
        sealed = None if content.suspended is not None else ring.seal(subject_id, grant)
        event = GuardianRecorded(
            file_id=file_id,
            subject_id=subject_id,
            grant=sealed,
            recorded_at=at or content.suspended_at or content.recorded_at,
            closed=closed or None,
        )
        outbox.add(session, event, key=file_id, subject=subject_id)


def guardian_code(vault: Vault, ward: UUID, command: UUID) -> str:
    """The code of the guardian whom this command recorded for a mention; it is kept nowhere in clear."""
    return vault.follow_code(ward, command)
