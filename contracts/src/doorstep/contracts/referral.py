"""What referral publishes: requests opened, tasks moved from state to state, requests rated, facts attested."""

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from doorstep.contracts.codes import (
    BusinessStatus,
    Coded,
    Deadline,
    Department,
    DueStep,
    Outcome,
    Progress,
    Reason,
    TaskState,
    Urgency,
)
from doorstep.contracts.envelope import Contract, Event
from doorstep.contracts.intake import StatedFacts
from doorstep.contracts.sealed import Sealed


class RequestSummary(Contract):
    """What was asked of whom, until when. What is `reserved` is shown on no page."""

    need_type: str
    department: Department
    urgency: Urgency
    respond_by: AwareDatetime
    complete_by: AwareDatetime
    reserved: bool | None = None


class TransitionDetail(Contract):
    """What a transition said beside the state. What is `reserved` is shown on no page; a part names its `need_type`."""

    department: Department
    need_type: str | None = None
    business_status: Coded[BusinessStatus] | None = None
    reason: Coded[Reason] | None = None
    outcome: Coded[Outcome] | None = None
    progress: Coded[Progress] | None = None
    reserved: bool | None = None


class Rating(Contract):
    """What the resident thought: solved or not, and 1 to 5 stars."""

    solved: bool
    stars: int


class RequestOpened(Event):
    """A need became a service request with its first task."""

    event_type: ClassVar[str] = "referral.request-opened.v1"

    request_id: UUID
    task_id: UUID
    need_id: UUID
    record_id: UUID
    file_id: UUID
    subject_id: UUID
    opened_at: AwareDatetime
    continues: UUID | None = None
    summary: Sealed[RequestSummary]


class TaskTransitioned(Event):
    """A task moved from one state to another; `version` is the task's version after it.

    `part` is which part of the request it is, from 2 on: of the lead's it is absent.
    """

    event_type: ClassVar[str] = "referral.task-transitioned.v1"

    request_id: UUID
    task_id: UUID
    record_id: UUID
    file_id: UUID
    subject_id: UUID
    from_state: TaskState
    to_state: TaskState
    version: int
    at: AwareDatetime
    part: int | None = None
    detail: Sealed[TransitionDetail]


class RequestRated(Event):
    """The resident rated how a request was answered."""

    event_type: ClassVar[str] = "referral.request-rated.v1"

    request_id: UUID
    record_id: UUID
    file_id: UUID
    subject_id: UUID
    rated_at: AwareDatetime
    rating: Sealed[Rating]


class FactsAttested(Event):
    """The department that completed a request stated facts about its subject, on its own authority."""

    event_type: ClassVar[str] = "referral.facts-attested.v1"

    request_id: UUID
    record_id: UUID
    file_id: UUID
    subject_id: UUID
    attested_at: AwareDatetime
    facts: Sealed[StatedFacts]


class DueDetail(Contract):
    """What is due when, and who is told; `late` says that it is told later than it was to be.

    Without a department the station has it. What is `reserved` is shown on no page.
    """

    department: Department | None = None
    deadline: Coded[Deadline]
    step: Coded[DueStep]
    due_by: AwareDatetime
    late: bool
    reserved: bool | None = None


class DueAnnounced(Event):
    """A deadline of a task came so near, or passed so far, that somebody is to be told; lateness itself is computed.

    `part` is which part of the request it is, from 2 on: of the lead's it is absent.
    """

    event_type: ClassVar[str] = "referral.due-announced.v1"

    request_id: UUID
    task_id: UUID
    record_id: UUID
    file_id: UUID
    subject_id: UUID
    announced_at: AwareDatetime
    part: int | None = None
    detail: Sealed[DueDetail]
