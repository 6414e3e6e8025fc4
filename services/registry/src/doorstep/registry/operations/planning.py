"""Care plans are proposed by somebody who is named, and decided by others: a panel, or an independent reviewer.

Invariants: the proposer never decides; a panel is the station, the department that answers for the cause and one that
is neither; one no is a no; nothing is proposed without the person's consent, or on a fact that was known before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis
from doorstep.contracts.facts import CATALOGUE, FactKind
from doorstep.kit import intents
from doorstep.kit.db import run
from doorstep.kit.intents import Intent
from doorstep.kit.policy import Resource
from doorstep.kit.vault import KeyRing
from doorstep.registry import queries
from doorstep.registry.domain.plans import (
    CAUSES,
    CONSENT,
    TEAM_AT_LEAST,
    WITHDRAWING,
    Ground,
    Level,
    Seat,
    Standing,
    Step,
    independent,
    is_confidential,
    is_ground,
    seats_wrong,
    verdict,
)
from doorstep.registry.errors import (
    ConsentMissing,
    DecidedAlready,
    FactNotNewer,
    FactUnfit,
    FileUnknown,
    LevelWrong,
    PanelWrong,
    PlanOver,
    PlanStands,
    ProposalOver,
    ProposalWaits,
    SubjectUnknown,
    TeamWrong,
)
from doorstep.registry.operations import plan_rows
from doorstep.registry.operations.asking import STAFF
from doorstep.registry.operations.plan_access import Acting, Reached, reach_as_panel, reach_as_team
from doorstep.registry.operations.plan_rows import Known, Made, Plan, Wish, Word, seal

_SHOWING = frozenset(FactKind) - {FactKind.IDENTITY, FactKind.CONTACT, FactKind.ACCESS, FactKind.CONSENT}


@dataclass(frozen=True)
class Entering:
    """A proposal that somebody have a care plan; people as tokens call them."""

    plan_id: UUID
    file_id: UUID
    subject_id: UUID
    level: Level
    cause: str
    consent: UUID
    fact: UUID
    panel: Sequence[tuple[str, str]]
    team: Sequence[str]


@dataclass(frozen=True)
class Going:
    """A proposal that a care plan go on, on another level, or end."""

    proposal_id: UUID
    step: Step
    panel: Sequence[tuple[str, str]]
    fact: UUID | None = None
    level: Level | None = None
    team: Sequence[str] = ()


def may_propose(acting: Acting) -> tuple[str, ...]:
    """The policies that let somebody propose that a person have a care plan. Raises Forbidden."""
    thing = Resource("plan", station=acting.principal.station)
    return acting.may(Action.PROPOSE_PLAN, thing).policies


async def propose_plan(session: AsyncSession, acting: Acting, entering: Entering) -> None:
    """Propose that a person of a file of the station have a care plan.

    Raises Forbidden, FileUnknown, SubjectUnknown, PlanStands, ConsentMissing, FactUnfit, FactNotNewer, PanelWrong,
    TeamWrong.
    """
    policies, station = may_propose(acting), acting.principal.station or ""
    file_id, subject_id = entering.file_id, entering.subject_id
    known = await queries.lock_file(session, file_id, station)
    if not known or await queries.excludes(session, file_id, acting.me):
        raise FileUnknown
    person_id = await queries.person_of(session, file_id, subject_id)
    ring = await acting.vault.ring([subject_id])
    version = await queries.file_version(session, file_id, station)
    if person_id is None or version is None or subject_id not in ring:
        raise SubjectUnknown
    before = await _before(session, acting, person_id, file_id, entering.consent)
    facts = await plan_rows.known_facts(session, acting.vault, file_id=file_id, person_id=person_id, now=acting.now)
    _check_consent(facts, entering.consent, file_id)
    _check_fact(facts, entering.fact, file_id, before)
    seats = _seats(acting, entering.panel)
    if seats_wrong(seats, CAUSES[entering.cause], alone=False, proposer=acting.me, before=()):
        raise PanelWrong
    team = _team(acting, entering.team)
    row = {"plan_id": entering.plan_id, "subject_id": subject_id, "file_id": file_id}
    await plan_rows.insert(session, "care_plan", [row])
    wish = Wish(
        step=Step.ENTER, level=entering.level, cause=entering.cause, consent=entering.consent, fact=entering.fact,
        as_of=version, team=team,
    )  # fmt: skip
    await _insert(session, acting, ring, subject_id, entering.plan_id, entering.plan_id, wish, seats)
    intent = Intent(
        Action.PROPOSE_PLAN, [subject_id], purpose=acting.purpose, legal_basis=LegalBasis.CONSENT,
        case=entering.plan_id, policies=policies,
    )  # fmt: skip
    intents.record(session, ring, intent, principal=acting.principal)


async def _before(session: AsyncSession, acting: Acting, person_id: UUID, file_id: UUID, consent: UUID) -> int:
    """The file's version when a plan of the person was proposed last. Raises PlanStands, ConsentMissing."""
    newest = 0
    for plan_id in await plan_rows.lock_person(session, person_id):
        found = await plan_rows.load(session, acting.vault, plan_id, now=acting.now)
        if found is None:
            continue
        plan, _ = found
        if plan.course(acting.now).standing is not Standing.OVER:
            raise PlanStands
        first = plan.proposals[0]
        declined = first.decided_at is not None and not first.wish.agreed
        if plan.ended and not declined and plan.newest.consent == consent:  # taken back, in whatever way
            raise ConsentMissing
        if plan.file_id == file_id:
            newest = max(newest, plan.as_of)
    return newest


def _check_consent(facts: Sequence[Known], consent: UUID, file_id: UUID) -> None:
    """Raise ConsentMissing unless the person, or the guardian, said yes, and nobody of them no after it."""
    given = next((one for one in facts if one.fact.fact_id == consent), None)
    if given is None or given.file_id != file_id or given.fact.code != CONSENT or given.fact.value is not True:
        raise ConsentMissing
    for one in facts:
        if one.fact.code in WITHDRAWING and one.fact.value is False:
            here = one.file_id == file_id
            after = one.file_version > given.file_version if here else one.fact.since >= given.fact.since
            if after:
                raise ConsentMissing


def _check_fact(facts: Sequence[Known], cited: UUID | None, file_id: UUID, before: int) -> None:
    """Raise FactUnfit or FactNotNewer unless the fact shows a need, and came after the file's version `before`."""
    found = next((one for one in facts if one.fact.fact_id == cited and one.file_id == file_id), None)
    known = found and CATALOGUE.get(found.fact.code)
    if not found or not known or known.kind not in _SHOWING or not is_ground(known.code, known.zh, known.en):
        raise FactUnfit
    if is_confidential(known.code):
        raise FactUnfit
    if found.file_version <= before:
        raise FactNotNewer


def _seats(acting: Acting, panel: Sequence[tuple[str, str]]) -> list[Seat]:
    return [Seat(acting.vault.pairwise(STAFF, name), agency) for name, agency in panel]


def _team(acting: Acting, names: Sequence[str]) -> tuple[UUID, ...]:
    """The pseudonyms of a team. Raises TeamWrong."""
    team = tuple(sorted({acting.vault.pairwise(STAFF, name) for name in names}))
    if len(team) < max(TEAM_AT_LEAST, len(names)):
        raise TeamWrong
    return team


async def _insert(
    session: AsyncSession,
    acting: Acting,
    ring: KeyRing,
    subject_id: UUID,
    plan_id: UUID,
    proposal_id: UUID,
    wish: Wish,
    seats: Sequence[Seat],
) -> None:
    row = {
        "proposal_id": proposal_id,
        "plan_id": plan_id,
        "proposed_by": acting.me,
        "proposed_at": acting.now,
        "content": seal(ring, subject_id, "plan_proposal.content", proposal_id, wish),
    }
    await plan_rows.insert(session, "plan_proposal", [row])
    places = [
        {
            "proposal_id": proposal_id,
            "person": one.person,
            "content": seal(
                ring, subject_id, "plan_seat.content", f"{proposal_id}/{one.person}", Word(agency=one.agency)
            ),
        }
        for one in seats
    ]
    await plan_rows.insert(session, "plan_seat", places)


async def propose_step(session: AsyncSession, acting: Acting, plan_id: UUID, going: Going) -> None:
    """Propose, as one of the team, that a plan be renewed, change its level, or be left.

    Raises Forbidden, PlanContested, PlanOver, ProposalWaits, LevelWrong, FactUnfit, FactNotNewer, PanelWrong,
    TeamWrong.
    """
    reached = await reach_as_team(session, acting, Action.PROPOSE_PLAN, plan_id)
    plan, course = reached.plan, reached.plan.course(acting.now)
    if course.standing is not Standing.IN_FORCE:
        raise PlanOver
    if plan.waiting(acting.now):
        raise ProposalWaits
    changes = going.step is Step.CHANGE
    if changes != (going.level is not None) or going.level is course.level:
        raise LevelWrong
    person_id = await queries.person_of(session, plan.file_id, plan.subject_id)
    version = await queries.file_version(session, plan.file_id, plan.station)
    if person_id is None or version is None:
        raise PlanOver
    if going.step is not Step.LEAVE:
        facts = await plan_rows.known_facts(
            session, acting.vault, file_id=plan.file_id, person_id=person_id, now=acting.now
        )
        _check_fact(facts, going.fact, plan.file_id, plan.as_of)
    seats, newest = _seats(acting, going.panel), plan.newest
    alone = independent(going.step, course.renewals)
    if seats_wrong(seats, CAUSES[newest.cause], alone=alone, proposer=acting.me, before=plan.parts()):
        raise PanelWrong
    wish = Wish(
        step=going.step, level=going.level, cause=newest.cause, consent=newest.consent, fact=going.fact,
        as_of=version, team=_team(acting, going.team) if going.team else (),
    )  # fmt: skip
    await _insert(session, acting, reached.ring, plan.subject_id, plan_id, going.proposal_id, wish, seats)
    reached.log(session, acting, Action.PROPOSE_PLAN)


async def decide(
    session: AsyncSession, acting: Acting, proposal_id: UUID, *, agreed: bool, grounds: Sequence[Ground]
) -> tuple[UUID, bool | None]:
    """Say yes or no to a proposal as one of its panel; its plan, and what the panel decided: None while others have to.

    Raises Forbidden, PlanContested, PlanOver, ProposalOver, DecidedAlready.
    """
    reached = await reach_as_panel(session, acting, Action.DECIDE_PLAN, proposal_id)
    plan, made = reached.plan, reached.made
    seat = made.seat(acting.me) if made else None
    if made is None or seat is None or not made.timed.waits(acting.now):
        raise ProposalOver
    standing = plan.course(acting.now).standing
    if standing is not (Standing.PROPOSED if made.wish.step is Step.ENTER else Standing.IN_FORCE):
        raise PlanOver
    if seat.decided_at is not None:
        raise DecidedAlready
    word = Word(agency=seat.word.agency, agreed=agreed, grounds=tuple(grounds))
    values = {
        "id": proposal_id,
        "person": acting.me,
        "now": acting.now,
        "content": seal(reached.ring, plan.subject_id, "plan_seat.content", f"{proposal_id}/{acting.me}", word),
    }
    statement = (
        "UPDATE plan_seat SET content = :content, decided_at = :now WHERE proposal_id = :id AND person = :person"
    )
    await run(session, statement, values)
    decided = verdict(agreed if one is seat else one.word.agreed for one in made.seats)
    if decided is not None:
        await _close(session, acting, reached, made, agreed=decided)
    reached.log(session, acting, Action.DECIDE_PLAN, "agreed" if agreed else "not-agreed", case=proposal_id)
    return plan.plan_id, decided


async def _close(session: AsyncSession, acting: Acting, reached: Reached, made: Made, *, agreed: bool) -> None:
    """Keep what became of a proposal: the team that it names begins, and what was left or not entered is over."""
    plan, wish = reached.plan, made.wish.model_copy(update={"agreed": agreed})
    content = seal(reached.ring, plan.subject_id, "plan_proposal.content", made.proposal_id, wish)
    values = {"id": made.proposal_id, "now": acting.now, "content": content}
    statement = "UPDATE plan_proposal SET content = :content, decided_at = :now WHERE proposal_id = :id"
    await run(session, statement, values)
    if agreed and wish.team:
        await run(session, "DELETE FROM plan_member WHERE plan_id = :id", {"id": plan.plan_id})
        await plan_rows.insert(
            session, "plan_member", [{"plan_id": plan.plan_id, "person": person} for person in wish.team]
        )
    if (agreed and wish.step is Step.LEAVE) or (not agreed and wish.step is Step.ENTER):
        await end(session, plan, acting.now)


async def end(session: AsyncSession, plan: Plan, now: datetime) -> None:
    """A plan is over from now on."""
    statement = "UPDATE care_plan SET ended_at = coalesce(ended_at, :now) WHERE plan_id = :id"
    await run(session, statement, {"id": plan.plan_id, "now": now})
