"""What intake publishes: a record was taken."""

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from doorstep.contracts.codes import Barred, Channel, Coded, SafeChannel
from doorstep.contracts.envelope import Contract, Event
from doorstep.contracts.facts import Fact, SubjectKind
from doorstep.contracts.sealed import Sealed


class SafeContact(Contract):
    """How a person can be reached without danger.

    The hours, `HH:MM` in the station's local time, may run over midnight; `cover` is what a caller may say.
    """

    channel: Coded[SafeChannel]
    number: str | None = None
    hours_from: str
    hours_to: str
    cover: str


class Card(Contract):
    """How a subject is named and reached; a dwelling has an address, a place a description.

    `asks_for` is what the person asks for although a request of theirs bars it; `phone_shared` says that somebody else
    of the record gave the same number, which is nobody's own then; `language`, which triage fills in, is what was
    stated of `access.language`.
    """

    name: str | None = None
    document_kind: str | None = None
    document_number: str | None = None
    phone: str | None = None
    phone_shared: bool | None = None
    address: str | None = None
    description: str | None = None
    follow_code: str | None = None
    safe_contact: SafeContact | None = None
    asks_for: tuple[Coded[Barred], ...] | None = None
    language: str | None = None


class StatedFacts(Contract):
    """The facts that the record states of one subject."""

    facts: tuple[Fact, ...]


class SamePerson(Contract):
    """Another mention of the same person in the same file: the one by whose code they asked for themselves."""

    subject_id: UUID


class RecordedSubject(Contract):
    """One person, dwelling or place of a record: its card and its facts, each sealed under its own key."""

    subject_id: UUID
    kind: SubjectKind
    same_as: Sealed[SamePerson] | None = None
    card: Sealed[Card]
    facts: Sealed[StatedFacts]


class VisitRecorded(Event):
    """A worker, or the resident, wrote one record.

    `recorded_by` is the pseudonym of the collector, so that nobody reviews a record of their own. With
    `address_sealed` the dwelling's card has no address: it stays with the station's own record.
    """

    event_type: ClassVar[str] = "intake.visit-recorded.v1"

    record_id: UUID
    file_id: UUID
    station: str
    channel: Channel
    visited_at: AwareDatetime
    recorded_at: AwareDatetime
    recorded_by: UUID
    subjects: tuple[RecordedSubject, ...]
    address_sealed: bool | None = None
