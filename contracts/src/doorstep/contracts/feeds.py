"""What each department receives: which fields, for which purpose, on which legal basis, for how long."""

from dataclasses import dataclass
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from doorstep.contracts.codes import Barred, Coded, Deadline, Department, DueStep, Purpose, Urgency
from doorstep.contracts.envelope import Contract, Event
from doorstep.contracts.facts import FactKind, FactValue
from doorstep.contracts.intake import SafeContact

FEED_DAYS = 14

ACKNOWLEDGE_DAYS = 3
"""Within so many days a department says that it deleted what was withdrawn; after that the station is told of it."""

FeedPurpose = Literal[
    Purpose.INTAKE,
    Purpose.TRIAGE,
    Purpose.SERVICE,
    Purpose.FOLLOW_UP,
    Purpose.AUDIT,
    Purpose.RESIDENT_REQUEST,
    Purpose.REPAIR,
]
"""What a department may be told as a purpose: an emergency opens files at the station, and feeds nobody."""


class OfferedFact(Contract):
    """A fact that the department may see because its need rests on it."""

    code: str
    value: FactValue


class Offer(Contract):
    """A service request as one department sees it. A field that it may not see is absent.

    What is `barred` must not be done. A request with a `safe_contact` is answered by it alone. `office` is the
    department's own that the service directory chose, if it chose one.
    """

    ref: UUID
    subject_ref: UUID
    need_type: str
    urgency: Urgency
    respond_by: AwareDatetime
    complete_by: AwareDatetime
    name: str | None = None
    phone: str | None = None
    address: str | None = None
    place: str | None = None
    document_number: str | None = None
    facts: tuple[OfferedFact, ...] = ()
    safe_contact: SafeContact | None = None
    barred: tuple[Coded[Barred], ...] | None = None
    office: UUID | None = None


class RequestOffered(Event):
    """A service request for one department, encrypted (JWE) for its key alone; all ids are its own."""

    event_type: ClassVar[str] = "feed.request-offered.v1"

    offered_at: AwareDatetime
    delete_by: AwareDatetime
    purpose: FeedPurpose
    legal_basis: str
    offer: Offer


class RequestWithdrawn(Event):
    """The request is no longer the department's: cancelled, entered in error, or its subject was erased."""

    event_type: ClassVar[str] = "feed.request-withdrawn.v1"

    ref: UUID
    withdrawn_at: AwareDatetime
    delete_by: AwareDatetime


class RequestDue(Event):
    """A deadline of the department's request is near or over, or the station reminds of it: nothing of its content."""

    event_type: ClassVar[str] = "feed.request-due.v1"

    ref: UUID
    deadline: Coded[Deadline]
    step: Coded[DueStep]
    due_by: AwareDatetime
    delete_by: AwareDatetime


@dataclass(frozen=True)
class Feed:
    """What one department may see of its own requests: fields of `Offer` and kinds of fact."""

    department: Department
    fields: frozenset[str]
    fact_kinds: frozenset[FactKind]
    purpose: FeedPurpose = Purpose.SERVICE


_WHERE = frozenset({"address", "place", "barred"})
_WHO = frozenset({"name", "phone", "safe_contact", "barred"})

FEEDS: dict[Department, Feed] = {
    feed.department: feed
    for feed in (
        Feed(
            Department.CIVIL_AFFAIRS,
            _WHO | {"address", "document_number"},
            frozenset({FactKind.WISHES, FactKind.INCOME_AND_WORK, FactKind.TOGETHER, FactKind.DWELLING}),
        ),
        Feed(Department.HEALTH, _WHO | {"address"}, frozenset({FactKind.HEALTH, FactKind.WISHES})),
        Feed(Department.JUSTICE, _WHO, frozenset({FactKind.WISHES})),
        Feed(Department.FIRE, _WHERE, frozenset({FactKind.DWELLING, FactKind.WISHES})),
        Feed(Department.LABOUR, _WHO, frozenset({FactKind.INCOME_AND_WORK, FactKind.WISHES})),
        Feed(Department.HOUSING, _WHERE, frozenset({FactKind.DWELLING, FactKind.WISHES})),
    )
}
