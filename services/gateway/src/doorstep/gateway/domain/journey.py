"""The journey of a record: one step an event, what it says sealed for its subjects until somebody may read it."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from doorstep.contracts.envelope import Contract
from doorstep.contracts.facts import SubjectKind


class StepKind(StrEnum):
    """What happened to a record."""

    RECORDED = "recorded"
    FACTS_ASSERTED = "facts-asserted"
    NEED_HANDED_ON = "need-handed-on"
    NEED_SUGGESTED = "need-suggested"
    NEED_DECIDED = "need-decided"
    REQUEST_OPENED = "request-opened"
    TASK_TRANSITIONED = "task-transitioned"
    REQUEST_RATED = "request-rated"


class Step(Contract):
    """One step, of one subject where it concerns one.

    `open` holds what anybody at the station may see: ids, states. `sealed` is a sealed value of the event as it came.
    """

    kind: StepKind
    at: str
    subject_id: UUID | None = None
    subject_kind: SubjectKind | None = None
    open: dict[str, str | int] = Field(default_factory=dict)
    sealed: dict[str, Any] | None = None
