"""HTTP bodies about deadlines: what is open, what is late, reminders, calls of the duty desk, missing papers."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import UUID7, Field

from doorstep.contracts.codes import Deadline, Department, DueStep, TaskState
from doorstep.contracts.papers import Paper
from doorstep.referral.api.parts import PartNumber
from doorstep.referral.domain.deadlines import Late, whole_minute
from doorstep.referral.operations.listing import Answered, LateList, OpenPage
from doorstep.referral.operations.missing_papers import Noticed
from doorstep.referral.operations.reminding import Reminded
from doorstep.referral.schemas import Answer, Body


class NextStep(StrEnum):
    """What an open request waits for."""

    ROUTE = "route"
    RESPOND = "respond"
    HAND_ON = "hand-on"
    COMPLETE = "complete"
    WAIT_FOR_RESIDENT = "wait-for-resident"


class DutyCalls(Answer):
    """How often the duty desk was called, and since when a named human knows."""

    attempts: int
    acknowledged_at: datetime | None = None


class OpenRequest(Answer):
    """A request that the station answers for: who has it, since when, what is next, until when, and how late that is.

    One with several `parts` is there for each that is open. Without a department the station has it. `missing_papers`
    is what the resident was told to bring; work that goes on since they promised to has `promised_until`.
    `for_arbiter`: rejected twice, only the arbiter hands it on.
    """

    request_id: UUID
    part: int
    parts: int
    record_id: UUID
    version: int
    state: TaskState
    department: Department | None = None
    office: str | None = None
    confidential: bool
    received_at: datetime
    since: datetime
    next: NextStep
    until: datetime
    late: Late
    paused_until: datetime | None = None
    missing_papers: tuple[str, ...] = ()
    promised_until: date | None = None
    reminded_on: date | None = None
    calls: DutyCalls | None = None
    for_arbiter: bool


class OpenRequests(Answer):
    """A page of the station's open requests, oldest first; `next` is what to send as `after` for more."""

    requests: tuple[OpenRequest, ...]
    next: UUID | None = None


class LateFigure(Answer):
    """How many deadlines stand at a step, without those that concern violence; small numbers are absent, as in figures.

    Those of what is delicate, wherever they are, have `guarded` lines of their own.
    """

    department: Department | None = None
    guarded: bool
    step: DueStep
    count: int | None = None


class LateRequest(Answer):
    """A deadline that was announced and stands, and nothing of what the request is about."""

    request_id: UUID
    part: int
    department: Department | None = None
    deadline: Deadline
    step: DueStep
    due_by: datetime
    announced_at: datetime
    announced_late: bool


class LateRequests(Answer):
    """Figures, every line each time, and the requests due longest; `more` says that there are others."""

    figures: tuple[LateFigure, ...]
    requests: tuple[LateRequest, ...]
    more: bool


class ReminderBody(Body):
    """A reminder to the department that has the request, or that part of it."""

    id: UUID7
    part: PartNumber | None = None


class ReminderAnswer(Answer):
    """Of which deadline the department was reminded, on which day of the place."""

    request_id: UUID
    part: int
    department: Department
    deadline: Deadline
    due_by: datetime
    day: date


class CallAnswer(Answer):
    """Since when a named human knows of an urgent request."""

    request_id: UUID
    acknowledged_at: datetime


class MissingPapersBody(Body):
    """All papers that are missing, at once."""

    id: UUID7
    papers: Annotated[tuple[Paper, ...], Field(min_length=1, max_length=len(Paper))]


class PromiseBody(Body):
    """The papers that the resident promises, and the day of the place until whose end: at most 60 days ahead."""

    id: UUID7
    papers: Annotated[tuple[Paper, ...], Field(min_length=1, max_length=len(Paper))]
    until: date


class MissingPapersAnswer(Answer):
    """What the resident is told to bring, and until when the completion is paused at most; absent if it is late."""

    ref: UUID
    papers: tuple[Paper, ...]
    paused_until: datetime | None = None


def open_requests(page: OpenPage) -> OpenRequests:
    """A page of open requests as it is answered."""
    return OpenRequests(requests=tuple(_open_request(one) for one in page.answered), next=page.next)


def _open_request(one: Answered) -> OpenRequest:
    row = one.row
    calls = None
    if row["attempts"] is not None:
        calls = DutyCalls(attempts=row["attempts"], acknowledged_at=row["acknowledged_at"])
    return OpenRequest(
        request_id=row["request_id"],
        part=row["part"],
        parts=row["parts"],
        record_id=row["record_id"],
        version=row["version"],
        state=TaskState(row["state"]),
        department=None if row["department"] is None else Department(row["department"]),
        office=one.office,
        confidential=row["confidential"],
        received_at=row["received_at"],
        since=row["since"] or row["opened_at"],
        next=NextStep(one.next),
        until=one.until,
        late=one.late,
        paused_until=row["paused_until"] if one.next == NextStep.WAIT_FOR_RESIDENT else None,
        missing_papers=one.papers,
        promised_until=one.promised_until,
        reminded_on=row["reminded_on"],
        calls=calls,
        for_arbiter=row["for_arbiter"],
    )


def late_requests(found: LateList) -> LateRequests:
    """What is late as it is answered."""
    return LateRequests(
        figures=tuple(
            LateFigure(department=one.department, guarded=one.guarded, step=one.step, count=one.count)
            for one in found.lines
        ),
        requests=tuple(
            LateRequest(
                request_id=row["request_id"],
                part=row["part"],
                department=None if row["department"] is None else Department(row["department"]),
                deadline=Deadline(row["deadline"]),
                step=DueStep(row["step"]),
                due_by=row["due_by"],
                announced_at=row["announced_at"],
                announced_late=row["late"],
            )
            for row in found.requests
        ),
        more=found.more,
    )


def reminder_answer(reminded: Reminded) -> ReminderAnswer:
    """A reminder as it is answered."""
    return ReminderAnswer(
        request_id=reminded.request_id,
        part=reminded.part,
        department=reminded.department,
        deadline=reminded.deadline,
        due_by=reminded.due_by,
        day=reminded.day,
    )


def missing_papers_answer(noticed: Noticed) -> MissingPapersAnswer:
    """A notice as it is answered; like all times of departments in whole minutes."""
    until = None if noticed.paused_until is None else whole_minute(noticed.paused_until)
    return MissingPapersAnswer(ref=noticed.ref, papers=noticed.papers, paused_until=until)
