"""What triage publishes: needs were assessed, and a human decided on one."""

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from doorstep.contracts.codes import Decision
from doorstep.contracts.envelope import Contract, Event
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.intake import Card, StatedFacts
from doorstep.contracts.needs import Need
from doorstep.contracts.sealed import Sealed


class AssessedNeed(Contract):
    """One need of one subject. `facts` holds those facts alone that the rule read."""

    need_id: UUID
    subject_id: UUID
    kind: SubjectKind
    need: Sealed[Need]
    card: Sealed[Card]
    facts: Sealed[StatedFacts]


class NeedsAssessed(Event):
    """Triage read the facts of a record of `recorded_by`; `handed_on` are wanted, `suggested` wait for a reviewer.

    With `address_sealed` the file's address is kept by its station alone: who has it from before forgets it.
    """

    event_type: ClassVar[str] = "risk.needs-assessed.v1"

    assessment_id: UUID
    record_id: UUID
    file_id: UUID
    station: str
    rule_pack: str
    assessed_at: AwareDatetime
    handed_on: tuple[AssessedNeed, ...]
    suggested: tuple[AssessedNeed, ...]
    address_sealed: bool | None = None
    recorded_by: UUID | None = None


class NeedDecided(Event):
    """A reviewer confirmed or rejected a suggested need, which came of a record that `recorded_by` took."""

    event_type: ClassVar[str] = "risk.need-decided.v1"

    record_id: UUID
    file_id: UUID
    station: str
    decision: Decision
    decided_by: UUID
    decided_at: AwareDatetime
    need: AssessedNeed
    recorded_by: UUID | None = None
