"""HTTP: care plans, for their team, for who decides on them, and the person's own word by their follow code."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, Purpose
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.idempotency import Replay
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    WhyDep,
    attempts,
    visible_to,
)
from doorstep.registry import queries
from doorstep.registry.api.plan_bodies import (
    ContestAnswerBody,
    Duties,
    DutyShown,
    MeetingBody,
    MeetingShown,
    OwnPlanBody,
    PlanBody,
    PlanCommandBody,
    PlanContestShown,
    PlanDecisionBody,
    PlanDone,
    PlanHeard,
    PlanProposalShown,
    PlanShown,
    StepBody,
)
from doorstep.registry.api.plan_refusals import answering
from doorstep.registry.api.roster import SEEN
from doorstep.registry.domain.plans import ANSWER_WITHIN, DECIDE_WITHIN, CauseCode
from doorstep.registry.operations import contesting, keeping_plans, planning
from doorstep.registry.operations.keeping_plans import Owed
from doorstep.registry.operations.plan_access import Acting
from doorstep.registry.operations.plan_rows import subjects_of_plan, subjects_of_proposal
from doorstep.registry.operations.planning import Entering, Going

router = APIRouter(tags=["care-plans"], dependencies=[SEEN])
own = APIRouter(tags=["residents"])


def _acting(service: Service, principal: Principal, purpose: Purpose, case: UUID | None = None) -> Acting:
    return Acting(service.vault, service.policy, principal, purpose, datetime.now(UTC), case)


async def _claim(
    session: AsyncSession, acting: Acting, command_id: UUID, body: BaseModel, *about: UUID
) -> Replay | None:
    digest = idempotency.digest_of(acting.vault, body, *about)
    return await idempotency.claim(session, acting.principal, command_id, digest)


async def _done(session: AsyncSession, command_id: UUID, done: PlanDone) -> PlanDone:
    await idempotency.keep(session, command_id, done.model_dump(mode="json"))
    return done


@router.post("/api/files/{file_id}/subjects/{subject_id}/plans", status_code=201, response_model_exclude_none=True)
@attempts(Action.PROPOSE_PLAN, "subject_id", queries.itself)
@visible_to(Visibility.STATION)
async def post_plan(
    file_id: UUID,
    subject_id: UUID,
    body: PlanBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> PlanDone:
    """Propose that a person of a file have a care plan, whose consent is a fact of the file. A panel decides."""
    acting = _acting(service, principal, purpose)
    planning.may_propose(acting)
    replay = await _claim(session, acting, body.id, body, file_id, subject_id)
    if replay is not None:
        return PlanDone.model_validate(replay.answer)
    entering = Entering(
        body.id, file_id, subject_id, body.level, body.cause, body.consent, body.fact,
        [(one.person, one.agency) for one in body.panel], body.team,
    )  # fmt: skip
    with answering():
        await planning.propose_plan(session, acting, entering)
    return await _done(session, body.id, PlanDone(plan_id=body.id, proposal_id=body.id, state="proposed"))


@router.post("/api/plans/{plan_id}/proposals", status_code=201, response_model_exclude_none=True)
@attempts(Action.PROPOSE_PLAN, "plan_id", subjects_of_plan)
@visible_to(Visibility.TEAM)
async def post_proposal(
    plan_id: UUID,
    body: StepBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> PlanDone:
    """Propose, as one of the team, that a plan be renewed, changed or left."""
    acting = _acting(service, principal, purpose)
    replay = await _claim(session, acting, body.id, body, plan_id)
    if replay is not None:
        return PlanDone.model_validate(replay.answer)
    panel = [(one.person, one.agency) for one in body.panel]
    going = Going(body.id, body.step, panel, body.fact, body.level, body.team or ())
    with answering():
        await planning.propose_step(session, acting, plan_id, going)
    return await _done(session, body.id, PlanDone(plan_id=plan_id, proposal_id=body.id, state="proposed"))


@router.get("/api/plan-proposals/{proposal_id}", response_model_exclude_none=True)
@attempts(Action.READ_PLAN_PROPOSAL, "proposal_id", subjects_of_proposal)
@visible_to(Visibility.TEAM)
async def read_proposal(
    proposal_id: UUID, principal: PrincipalDep, why: WhyDep, session: SessionDep, service: ServiceDep
) -> PlanProposalShown:
    """Read, as one of its panel, a proposal that waits. The case is the proposal; the read is logged."""
    acting = _acting(service, principal, why.purpose, why.case)
    with answering():
        plan, made = await keeping_plans.read_proposal(session, acting, proposal_id)
    return PlanProposalShown(
        proposal_id=proposal_id,
        plan_id=plan.plan_id,
        subject_id=plan.subject_id,
        step=made.wish.step,
        level=made.wish.level,
        cause=CauseCode(made.wish.cause),
        fact=made.wish.fact,
        proposed_at=made.proposed_at,
        decide_by=made.proposed_at + DECIDE_WITHIN,
    )


@router.post("/api/plan-proposals/{proposal_id}/decision", response_model_exclude_none=True)
@attempts(Action.DECIDE_PLAN, "proposal_id", subjects_of_proposal)
@visible_to(Visibility.TEAM)
async def post_decision(
    proposal_id: UUID,
    body: PlanDecisionBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> PlanDone:
    """Say yes or no, with grounds, as one of the panel. One no is a no, and yes takes everybody."""
    acting = _acting(service, principal, purpose)
    replay = await _claim(session, acting, body.id, body, proposal_id)
    if replay is not None:
        return PlanDone.model_validate(replay.answer)
    with answering():
        plan_id, decided = await planning.decide(session, acting, proposal_id, agreed=body.agreed, grounds=body.grounds)
    state = "waits" if decided is None else "agreed" if decided else "not-agreed"
    return await _done(session, body.id, PlanDone(plan_id=plan_id, proposal_id=proposal_id, state=state))


@router.get("/api/plans/duties", response_model_exclude_none=True)
@attempts(Action.LIST_PLAN_DUTIES)
@visible_to(Visibility.TEAM)
async def list_duties(principal: PrincipalDep, purpose: PurposeDep, session: SessionDep, service: ServiceDep) -> Duties:
    """List what the caller owes to care plans, and when: duties and dates, neither names nor levels."""
    acting = _acting(service, principal, purpose)
    found = await keeping_plans.list_duties(session, acting)
    return Duties(
        duties=tuple(
            DutyShown(
                kind=one.kind,
                plan_id=one.plan_id,
                proposal_id=one.thing if one.kind == Owed.DECIDE else None,
                meeting_id=one.thing if one.kind == Owed.CONFIRM else None,
                due=one.due,
                overdue=one.due < acting.now,
            )
            for one in found
        )
    )


@router.get("/api/plans/{plan_id}", response_model_exclude_none=True)
@attempts(Action.READ_PLAN, "plan_id", subjects_of_plan)
@visible_to(Visibility.TEAM)
async def read_plan(
    plan_id: UUID, principal: PrincipalDep, why: WhyDep, session: SessionDep, service: ServiceDep
) -> PlanShown:
    """Read a care plan of whose team one is. The case is the plan; the read is logged."""
    acting = _acting(service, principal, why.purpose, why.case)
    with answering():
        shown = await keeping_plans.read_plan(session, acting, plan_id)
    course, newest = shown.course, shown.plan.newest
    return PlanShown(
        plan_id=plan_id,
        subject_id=shown.plan.subject_id,
        state=course.standing,
        level=course.level,
        cause=CauseCode(newest.cause),
        consent=newest.consent,
        fact=newest.fact,
        since=course.since,
        until=course.until,
        renewals=course.renewals,
        contested=shown.plan.contested_at is not None,
        meetings=tuple(
            MeetingShown(meeting_id=one, meeting=held.meeting, at=held.at, confirmed=held.confirmed)
            for one, _, held in shown.meetings
        ),
    )


@router.post("/api/plans/{plan_id}/meetings", status_code=201, response_model_exclude_none=True)
@attempts(Action.RECORD_PLAN_MEETING, "plan_id", subjects_of_plan)
@visible_to(Visibility.TEAM)
async def post_meeting(
    plan_id: UUID,
    body: MeetingBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> PlanDone:
    """Record what two of the team did together; it counts when the other one confirms it."""
    acting = _acting(service, principal, purpose)
    replay = await _claim(session, acting, body.id, body, plan_id)
    if replay is not None:
        return PlanDone.model_validate(replay.answer)
    with answering():
        await keeping_plans.record_meeting(
            session, acting, plan_id, meeting_id=body.id, meeting=body.meeting, at=body.at
        )
    return await _done(session, body.id, PlanDone(plan_id=plan_id, meeting_id=body.id, state="recorded"))


@router.post("/api/plans/{plan_id}/meetings/{meeting_id}/confirmation", response_model_exclude_none=True)
@attempts(Action.RECORD_PLAN_MEETING, "plan_id", subjects_of_plan)
@visible_to(Visibility.TEAM)
async def post_confirmation(
    plan_id: UUID,
    meeting_id: UUID,
    body: PlanCommandBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> PlanDone:
    """Confirm, as another of the team, that one was there too."""
    acting = _acting(service, principal, purpose)
    replay = await _claim(session, acting, body.id, body, plan_id, meeting_id)
    if replay is not None:
        return PlanDone.model_validate(replay.answer)
    with answering():
        await keeping_plans.confirm_meeting(session, acting, plan_id, meeting_id)
    return await _done(session, body.id, PlanDone(plan_id=plan_id, meeting_id=meeting_id, state="confirmed"))


@router.post("/api/plans/{plan_id}/withdrawal", response_model_exclude_none=True)
@attempts(Action.WITHDRAW_FROM_PLAN, "plan_id", subjects_of_plan)
@visible_to(Visibility.TEAM)
async def post_withdrawal(
    plan_id: UUID,
    body: PlanCommandBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> PlanDone:
    """End a plan at once: the person told one of the team that they no longer consent."""
    acting = _acting(service, principal, purpose)
    replay = await _claim(session, acting, body.id, body, plan_id)
    if replay is not None:
        return PlanDone.model_validate(replay.answer)
    with answering():
        await contesting.withdraw_as_told(session, acting, plan_id)
    return await _done(session, body.id, PlanDone(plan_id=plan_id, state="over"))


@router.get("/api/plans/{plan_id}/contest", response_model_exclude_none=True)
@attempts(Action.READ_PLAN_CONTEST, "plan_id", subjects_of_plan)
@visible_to(Visibility.STATION)
async def read_contest(
    plan_id: UUID, principal: PrincipalDep, why: WhyDep, session: SessionDep, service: ServiceDep
) -> PlanContestShown:
    """Read, as a reviewer who had no part in a plan, what the person contests. The case is the plan; it is logged."""
    acting = _acting(service, principal, why.purpose, why.case)
    with answering():
        plan, made = await contesting.read_contest(session, acting, plan_id)
    contested_at = plan.contested_at or acting.now
    return PlanContestShown(
        plan_id=plan_id,
        subject_id=plan.subject_id,
        step=made.wish.step,
        level=made.wish.level,
        cause=CauseCode(made.wish.cause),
        grounds=tuple(sorted({ground for seat in made.seats for ground in seat.word.grounds})),
        contested_at=contested_at,
        answer_by=contested_at + ANSWER_WITHIN,
    )


@router.post("/api/plans/{plan_id}/contest/answer", response_model_exclude_none=True)
@attempts(Action.ANSWER_PLAN_CONTEST, "plan_id", subjects_of_plan)
@visible_to(Visibility.STATION)
async def post_answer(
    plan_id: UUID,
    body: ContestAnswerBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> PlanDone:
    """Say, as a reviewer who had no part in a plan, whether it stays, with grounds."""
    acting = _acting(service, principal, purpose)
    replay = await _claim(session, acting, body.id, body, plan_id)
    if replay is not None:
        return PlanDone.model_validate(replay.answer)
    with answering():
        await contesting.answer_contest(session, acting, plan_id, stays=body.stays, grounds=body.grounds)
    return await _done(session, body.id, PlanDone(plan_id=plan_id, state="stays" if body.stays else "over"))


@own.post("/api/plans/contests", status_code=202)
@visible_to(Visibility.SUBJECT)
async def post_contest(body: OwnPlanBody, session: SessionDep, service: ServiceDep) -> PlanHeard:
    """Contest your care plan: somebody who had no part in it answers within 15 days. Nobody is told if there is one."""
    await contesting.contest_by_code(session, vault=service.vault, code=body.code, now=datetime.now(UTC))
    return PlanHeard()


@own.post("/api/plans/withdrawals", status_code=202)
@visible_to(Visibility.SUBJECT)
async def post_own_withdrawal(body: OwnPlanBody, session: SessionDep, service: ServiceDep) -> PlanHeard:
    """Take your consent to a care plan back: it ends at once. Nobody is told if there was one."""
    await contesting.withdraw_by_code(session, vault=service.vault, code=body.code, now=datetime.now(UTC))
    return PlanHeard()
