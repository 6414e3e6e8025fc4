"""What a team does with its care plan: reads it, meets the person two together, and sees what it owes when.

Invariants: a read is logged before it leaves; a meeting counts when a second member confirmed it; duties name neither a
person nor a level, and are the caller's own.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis, Role
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.intents import Intent
from doorstep.kit.policy import Resource
from doorstep.registry.domain.plans import ANSWER_WITHIN, DECIDE_WITHIN, Course, Held, Meeting, Standing, next_due
from doorstep.registry.errors import MeetingUnknown, PlanOver, SecondMemberMustConfirm
from doorstep.registry.operations import plan_rows
from doorstep.registry.operations.plan_access import Acting, Reached, reach_as_panel, reach_as_team
from doorstep.registry.operations.plan_rows import Made, Met, Plan, load, seal

MOST_SHOWN = 100

# Those whose people they are, and for a reviewer what is contested at the station: the rest is looked at when opened.
_CONCERNING = """
    SELECT plan_id FROM plan_member WHERE person = :me
    UNION SELECT plan_id FROM plan_seat JOIN plan_proposal o USING (proposal_id)
        WHERE person = :me AND o.decided_at IS NULL
    UNION SELECT plan_id FROM plan_contest JOIN care_plan USING (plan_id) JOIN file USING (file_id)
        WHERE answered_at IS NULL AND :reviews AND station = :station
    ORDER BY 1
"""


class Owed(StrEnum):
    """What somebody owes a plan; that of a level's meetings is called as they are."""

    DECIDE = "decide"
    CONFIRM = "confirm"
    RENEW = "renew"
    ANSWER = "answer-contest"


@dataclass(frozen=True)
class Duty:
    """Something that the caller owes, and when; `thing` is the proposal or meeting that it is about."""

    kind: str
    plan_id: UUID
    due: datetime
    thing: UUID | None = None


@dataclass(frozen=True)
class PlanShown:
    """A plan as its team reads it."""

    plan: Plan
    course: Course
    meetings: tuple[tuple[UUID, UUID, Held], ...]


async def read_plan(session: AsyncSession, acting: Acting, plan_id: UUID) -> PlanShown:
    """A plan in force, for its team; the read is logged. Raises Forbidden, PlanContested, PlanOver, Problem."""
    reached = await reach_as_team(session, acting, Action.READ_PLAN, plan_id, lock=False)
    course = _in_force(reached, acting)
    met = await plan_rows.meetings(session, reached.ring, reached.plan)
    reached.log(session, acting, Action.READ_PLAN)
    return PlanShown(reached.plan, course, tuple(met[:MOST_SHOWN]))


async def read_proposal(session: AsyncSession, acting: Acting, proposal_id: UUID) -> tuple[Plan, Made]:
    """A proposal that waits, for its panel; the read is logged. Raises Forbidden, PlanContested, PlanOver, Problem."""
    reached = await reach_as_panel(session, acting, Action.READ_PLAN_PROPOSAL, proposal_id)
    if reached.made is None or not reached.made.timed.waits(acting.now) or reached.plan.ended:
        raise PlanOver
    reached.log(session, acting, Action.READ_PLAN_PROPOSAL, case=proposal_id)
    return reached.plan, reached.made


async def record_meeting(
    session: AsyncSession, acting: Acting, plan_id: UUID, *, meeting_id: UUID, meeting: Meeting, at: datetime
) -> None:
    """Record, as one of the team, what two of it did; it counts when the other confirms.

    Raises Forbidden, PlanContested, PlanOver.
    """
    reached = await reach_as_team(session, acting, Action.RECORD_PLAN_MEETING, plan_id)
    _in_force(reached, acting)
    met = Met(meeting=meeting, at=at)
    row = {
        "meeting_id": meeting_id,
        "plan_id": plan_id,
        "recorded_by": acting.me,
        "content": seal(reached.ring, reached.plan.subject_id, "plan_meeting.content", meeting_id, met),
    }
    await plan_rows.insert(session, "plan_meeting", [row])
    reached.log(session, acting, Action.RECORD_PLAN_MEETING, "recorded")


async def confirm_meeting(session: AsyncSession, acting: Acting, plan_id: UUID, meeting_id: UUID) -> None:
    """Confirm, as another of the team, that one was there too; again it changes nothing.

    Raises Forbidden, PlanContested, PlanOver, MeetingUnknown, SecondMemberMustConfirm.
    """
    reached = await reach_as_team(session, acting, Action.RECORD_PLAN_MEETING, plan_id)
    _in_force(reached, acting)
    query = "SELECT recorded_by FROM plan_meeting WHERE meeting_id = :id AND plan_id = :plan_id"
    rows = await run(session, query, {"id": meeting_id, "plan_id": plan_id})
    if not rows:
        raise MeetingUnknown
    if rows[0]["recorded_by"] == acting.me:
        raise SecondMemberMustConfirm
    statement = "UPDATE plan_meeting SET confirmed_by = coalesce(confirmed_by, :me) WHERE meeting_id = :id"
    await run(session, statement, {"id": meeting_id, "me": acting.me})
    reached.log(session, acting, Action.RECORD_PLAN_MEETING, "confirmed")


def _in_force(reached: Reached, acting: Acting) -> Course:
    course = reached.plan.course(acting.now)
    if course.standing is not Standing.IN_FORCE:
        raise PlanOver
    return course


async def list_duties(session: AsyncSession, acting: Acting) -> list[Duty]:
    """What the caller owes to plans, the next due first: no name, no level. One entry in the log is for all of them.

    Raises Forbidden.
    """
    policies = acting.may(Action.LIST_PLAN_DUTIES, Resource("plan", station=acting.principal.station)).policies
    station = acting.principal.station
    reviews = acting.principal.role is Role.REVIEWER and station is not None
    values = {"me": acting.me, "reviews": reviews, "station": station or ""}
    duties, subjects = [], []
    for row in await run(session, _CONCERNING, values):
        found = await load(session, acting.vault, row["plan_id"], now=acting.now)
        if found is not None and acting.me not in found[0].excluded:
            plan, ring = found
            met = await plan_rows.meetings(session, ring, plan)
            owed = owed_to(plan, met, acting.me, acting.now, answers=reviews and plan.station == station)
            duties += owed
            subjects += [plan.subject_id] if owed else []
    ring, concerned = await intents.concerned(acting.vault, subjects, acting.principal)
    intent = Intent(
        Action.LIST_PLAN_DUTIES, concerned, purpose=acting.purpose, legal_basis=LegalBasis.CONSENT, policies=policies
    )
    intents.record(session, ring, intent, principal=acting.principal)
    return sorted(duties, key=lambda one: (one.due, one.plan_id, one.kind))


def owed_to(plan: Plan, met: list[tuple[UUID, UUID, Held]], me: UUID, now: datetime, *, answers: bool) -> list[Duty]:
    """What somebody owes a plan at `now`, nothing once it is over; `answers` says that they may answer its contests."""
    course = plan.course(now)
    if course.standing is Standing.OVER:
        return []
    if plan.contested_at is not None:
        by = plan.contested_at + ANSWER_WITHIN
        return [Duty(Owed.ANSWER, plan.plan_id, by)] if answers and me not in plan.parts() else []
    found = []
    waiting = plan.waiting(now)
    seat = waiting.seat(me) if waiting else None
    if waiting and seat and seat.decided_at is None:
        found.append(Duty(Owed.DECIDE, plan.plan_id, waiting.proposed_at + DECIDE_WITHIN, waiting.proposal_id))
    if me in plan.team and course.until is not None:
        found += [
            Duty(meeting, plan.plan_id, due) for meeting, due in next_due(course, [one for *_, one in met]).items()
        ]
        found.append(Duty(Owed.RENEW, plan.plan_id, course.until))
        found += [
            Duty(Owed.CONFIRM, plan.plan_id, held.at, meeting_id)
            for meeting_id, by, held in met
            if by != me and not held.confirmed
        ]
    return found
