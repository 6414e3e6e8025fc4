"""What is sent about care plans, and what is answered. A level is in a plan's own proposals and answers alone."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import UUID7, AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from doorstep.contracts.codes import STATION, Department
from doorstep.registry.domain.plans import CauseCode, Ground, Level, Meeting, Standing, Step
from doorstep.registry.schemas import StaffId

_AGENCIES = frozenset({STATION, *Department})
_LATELY = timedelta(days=14)

Grounds = Annotated[tuple[Ground, ...], Field(min_length=1, max_length=len(Ground))]
Code = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[0-9A-Za-z -]+$")]


def _of_a_panel(agency: str) -> str:
    if agency not in _AGENCIES:
        raise ValueError("须为服务站或承办部门", "must be the station or a department")
    return agency


def _lately(at: datetime) -> datetime:
    now = datetime.now(UTC)
    if not now - _LATELY <= at <= now + timedelta(minutes=5):
        raise ValueError("须在过去 14 天之内", "must lie within the last 14 days")
    return at


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeatBody(_Body):
    """Somebody who decides: as tokens call them, and for which agency."""

    person: StaffId
    agency: Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z-]+$"), AfterValidator(_of_a_panel)]


Panel = Annotated[tuple[SeatBody, ...], Field(min_length=1, max_length=7)]
Team = Annotated[tuple[StaffId, ...], Field(min_length=2, max_length=10)]


class PlanBody(_Body):
    """A proposal that somebody have a care plan; `id` is the plan's and the proposal's from now on.

    `consent` is the fact by which the person or guardian consented, `fact` the one that shows the need.
    """

    id: UUID7
    level: Level
    cause: CauseCode
    consent: UUID
    fact: UUID
    panel: Panel
    team: Team


class StepBody(_Body):
    """A proposal that a plan be renewed, changed or left. The first two cite a fact that came after the last proposal.

    `level` is for a change alone. After two renewals the panel is one reviewer who had no part in the plan.
    """

    id: UUID7
    step: Annotated[Step, AfterValidator(lambda step: _not_entering(step))]
    level: Level | None = None
    fact: UUID | None = None
    panel: Panel
    team: Team | None = None


def _not_entering(step: Step) -> Step:
    if step is Step.ENTER:
        raise ValueError("计划已经提出", "the plan was proposed before")
    return step


class PlanDecisionBody(_Body):
    """Yes or no of one of the panel, with grounds; `id` is the client's own for this command."""

    id: UUID7
    agreed: StrictBool
    grounds: Grounds


class MeetingBody(_Body):
    """What two of the team did together, and when; `id` is the meeting's from now on."""

    id: UUID7
    meeting: Meeting
    at: Annotated[AwareDatetime, AfterValidator(_lately)]


class PlanCommandBody(_Body):
    """`id` is the client's own for this command."""

    id: UUID7


class OwnPlanBody(_Body):
    """The person's own follow code."""

    code: Code


class ContestAnswerBody(_Body):
    """Whether a contested plan stays, with grounds; `id` is the client's own for this command."""

    id: UUID7
    stays: StrictBool
    grounds: Grounds


class PlanDone(BaseModel):
    """What was done to which plan; ids alone."""

    plan_id: UUID
    proposal_id: UUID | None = None
    meeting_id: UUID | None = None
    state: str


class PlanHeard(BaseModel):
    """What the person said was heard; told alike for a code that nobody has, and where there is no plan."""

    heard: bool = True


class MeetingShown(BaseModel):
    """A meeting of the team; it counts once `confirmed`."""

    meeting_id: UUID
    meeting: Meeting
    at: datetime
    confirmed: bool


class PlanShown(BaseModel):
    """A care plan in force, for its team. It lapses at `until` unless it is renewed."""

    plan_id: UUID
    subject_id: UUID
    state: Standing
    level: Level
    cause: CauseCode
    consent: UUID
    fact: UUID | None = None
    since: datetime
    until: datetime
    renewals: int
    contested: bool
    meetings: tuple[MeetingShown, ...]


class PlanProposalShown(BaseModel):
    """What is proposed, for who decides on it."""

    proposal_id: UUID
    plan_id: UUID
    subject_id: UUID
    step: Step
    level: Level | None = None
    cause: CauseCode
    fact: UUID | None = None
    proposed_at: datetime
    decide_by: datetime


class PlanContestShown(BaseModel):
    """What a person contests: what was decided last, with the grounds of those who decided, without names."""

    plan_id: UUID
    subject_id: UUID
    step: Step
    level: Level | None = None
    cause: CauseCode
    grounds: tuple[Ground, ...]
    contested_at: datetime
    answer_by: datetime


class DutyShown(BaseModel):
    """What the caller owes a plan, and when; neither whom it is about nor how urgent it is called."""

    kind: str
    plan_id: UUID
    proposal_id: UUID | None = None
    meeting_id: UUID | None = None
    due: datetime
    overdue: bool


class Duties(BaseModel):
    """What the caller owes to care plans, the next due first."""

    duties: tuple[DutyShown, ...]
