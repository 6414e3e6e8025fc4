"""What the registry publishes: facts were asserted on a household's file, a subject was erased, a file was opened."""

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from doorstep.contracts.codes import Coded, ProxyScope
from doorstep.contracts.envelope import Contract, Event
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.intake import Card, StatedFacts
from doorstep.contracts.sealed import Sealed


class AssertedSubject(Contract):
    """One subject of the file with the facts that this record asserted.

    `person_id` is the person that the registry found or made for a mention; None for dwellings and places.
    """

    subject_id: UUID
    kind: SubjectKind
    person_id: UUID | None = None
    card: Sealed[Card]
    facts: Sealed[StatedFacts]


class FactsAsserted(Event):
    """The facts of a record are in the file; `file_version` is the file's version under its lock.

    With `address_sealed` the file's address is kept by its station alone: who has it from before forgets it.
    """

    event_type: ClassVar[str] = "registry.facts-asserted.v1"

    record_id: UUID
    file_id: UUID
    file_version: int
    station: str
    recorded_by: UUID
    asserted_at: AwareDatetime
    subjects: tuple[AssertedSubject, ...]
    address_sealed: bool | None = None


class ExclusionsNamed(Event):
    """A person named all staff who must not handle their matter, in the place of those named before.

    `subject_ids` are the person's mentions in this file, `staff` pseudonyms as in `recorded_by`.
    """

    event_type: ClassVar[str] = "registry.exclusions-named.v1"

    file_id: UUID
    subject_ids: tuple[UUID, ...]
    staff: tuple[UUID, ...]
    named_at: AwareDatetime


class ProxyGrant(Contract):
    """What the code of a proxy opens, and until when."""

    code: str
    scopes: tuple[Coded[ProxyScope], ...]
    until: AwareDatetime


class ProxyNamed(Event):
    """A person named a proxy for one of their mentions, in the place of the one before; none without a grant."""

    event_type: ClassVar[str] = "registry.proxy-named.v1"

    file_id: UUID
    subject_id: UUID
    grant: Sealed[ProxyGrant] | None = None
    named_at: AwareDatetime


class GuardianGrant(Contract):
    """What opens a child's matters to the guardian until the child is of their own age; the paper is the guardian's."""

    code: str
    until: AwareDatetime
    document_kind: str | None = None
    document_number: str | None = None


class GuardianRecorded(Event):
    """The guardian of whom this is a mention, in the place of the one before; nobody without a grant.

    With `closed` the follow code on the receipt of this mention opens nothing any more, nor does a proxy's.
    """

    event_type: ClassVar[str] = "registry.guardian-recorded.v1"

    file_id: UUID
    subject_id: UUID
    grant: Sealed[GuardianGrant] | None = None
    recorded_at: AwareDatetime
    closed: bool | None = None


class MentionMoved(Contract):
    """A mention of a person who left, and the person that it is a mention of from now on."""

    subject_id: UUID
    person_id: UUID


class HouseholdLeft(Event):
    """Persons who left a household have a file of their own, new and random; which one they left is not said.

    What concerns these mentions belongs to `file_id` from now on, and goes out under it. The follow codes of before
    open nothing any more; those in their place are derived with `file_id`.
    """

    event_type: ClassVar[str] = "registry.household-left.v1"

    file_id: UUID
    station: str
    mentions: tuple[MentionMoved, ...]
    left_at: AwareDatetime
    address_sealed: bool | None = None


class SubjectErased(Event):
    """A second person confirmed that a subject is to be erased: its key is destroyed, what is kept of it deleted."""

    event_type: ClassVar[str] = "registry.subject-erased.v1"

    subject_id: UUID
    erasure_id: UUID
    erased_at: AwareDatetime


class FileOpened(Event):
    """A file was opened in an emergency: it can be read for `opening_id`, by `opened_by` alone, up to `until`."""

    event_type: ClassVar[str] = "registry.file-opened.v1"

    opening_id: UUID
    file_id: UUID
    opened_by: UUID
    opened_at: AwareDatetime
    until: AwareDatetime
