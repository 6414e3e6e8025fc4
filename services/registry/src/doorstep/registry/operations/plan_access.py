"""Who does something with a care plan, and why: its team, whoever decides on it, and nobody besides.

Invariants: a plan that is not there, one of an erased person and one that is not the caller's are refused alike, by the
policy; whom the person excludes has no part in it, whatever they were named.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import STATION, Action, LegalBasis, Purpose
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.edge import case_kind
from doorstep.kit.intents import Intent
from doorstep.kit.policy import CaseKind, Decision, Forbidden, Policy, Resource
from doorstep.kit.vault import KeyRing, Vault
from doorstep.registry.domain.plans import Standing
from doorstep.registry.errors import PlanContested
from doorstep.registry.operations.asking import STAFF
from doorstep.registry.operations.plan_rows import Made, Plan, load, plan_of_proposal

_CONTESTED = "a-contested-plan-is-for-safety"


@dataclass(frozen=True)
class Acting:
    """Somebody who does something with a plan now; `case` is what a read is for."""

    vault: Vault
    policy: Policy
    principal: Principal
    purpose: Purpose
    now: datetime
    case: UUID | None = None

    @property
    def me(self) -> UUID:
        """Their pseudonym."""
        return self.vault.pairwise(STAFF, self.principal.subject)

    def may(self, action: Action, thing: Resource) -> Decision:
        """The decision to let them. Raises PlanContested, Forbidden."""
        basis = LegalBasis.VITAL_INTEREST if self.purpose is Purpose.EMERGENCY else LegalBasis.CONSENT
        case = CaseKind.PLAN if self.case is not None else None
        try:
            return self.policy.authorize(
                self.principal, action, thing, purpose=self.purpose, case=case, legal_basis=basis
            )
        except Forbidden as refused:
            if _CONTESTED in refused.policies:
                raise PlanContested from None
            raise


@dataclass(frozen=True)
class Reached:
    """A plan that the caller may do something with."""

    plan: Plan
    ring: KeyRing
    decision: Decision
    made: Made | None = None

    def log(
        self, session: AsyncSession, acting: Acting, action: Action, outcome: str = "done", *, case: UUID | None = None
    ) -> None:
        """Send what is done on its way to the log, with no level, cause or ground."""
        emergency = acting.purpose is Purpose.EMERGENCY
        intent = Intent(
            action,
            [self.plan.subject_id],
            purpose=acting.purpose,
            legal_basis=LegalBasis.VITAL_INTEREST if emergency else LegalBasis.CONSENT,
            case=case or self.plan.plan_id,
            outcome=outcome,
            policies=self.decision.policies,
        )
        intents.record(session, self.ring, intent, principal=acting.principal)


async def reach_as_team(
    session: AsyncSession, acting: Acting, action: Action, plan_id: UUID, *, lock: bool = True
) -> Reached:
    """A plan of whose team the caller is. Raises Forbidden, PlanContested, Problem."""
    found = await load(session, acting.vault, plan_id, now=acting.now, lock=lock)
    if found is None or acting.me not in found[0].team - found[0].excluded:
        acting.may(action, Resource("plan", team=False))
        raise Forbidden(action)
    plan, ring = found
    thing = Resource("plan", team=True, station=_station(acting, plan), contested=plan.contested_at is not None)
    decision = acting.may(action, thing)
    await _for_this(session, acting, plan.plan_id)
    return Reached(plan, ring, decision)


async def reach_as_panel(session: AsyncSession, acting: Acting, action: Action, proposal_id: UUID) -> Reached:
    """A proposal on whose panel the caller is, by its agency. Raises Forbidden, PlanContested, Problem."""
    plan_id = await plan_of_proposal(session, proposal_id)
    found = None if plan_id is None else await load(session, acting.vault, plan_id, now=acting.now, lock=True)
    made = found and next((one for one in found[0].proposals if one.proposal_id == proposal_id), None)
    seat = made.seat(acting.me) if made else None
    if not found or not made or seat is None or acting.me in found[0].excluded:
        acting.may(action, Resource("plan", panel=False))
        raise Forbidden(action)
    plan, ring = found
    alone = len(made.seats) == 1
    thing = Resource(
        "plan",
        panel=True,
        department=seat.word.agency,
        station=_station(acting, plan),
        proposer=made.proposed_by == acting.me,
        decider=alone and acting.me in plan.parts(but=proposal_id),
        contested=plan.contested_at is not None,
    )
    decision = acting.may(action, thing)
    await _for_this(session, acting, proposal_id)
    return Reached(plan, ring, decision, made)


async def reach_as_independent(session: AsyncSession, acting: Acting, action: Action, plan_id: UUID) -> Reached:
    """A contested plan, for a reviewer of its station who had no part in it. Raises Forbidden, Problem."""
    found = await load(session, acting.vault, plan_id, now=acting.now, lock=True)
    if found is None or not _waits_for(found[0], acting):
        acting.may(action, Resource("plan", decider=True))
        raise Forbidden(action)
    plan, ring = found
    thing = Resource("plan", station=plan.station, decider=acting.me in plan.parts())
    decision = acting.may(action, thing)
    await _for_this(session, acting, plan.plan_id)
    return Reached(plan, ring, decision)


def _waits_for(plan: Plan, acting: Acting) -> bool:
    """Whether a contest of a plan of the caller's station waits for somebody whom the person does not exclude."""
    waits = plan.contested_at is not None and plan.course(acting.now).standing is not Standing.OVER
    return waits and plan.station == acting.principal.station and acting.me not in plan.excluded


def _station(acting: Acting, plan: Plan) -> str | None:
    """Whose the plan is, for the station's own staff; officers of departments are of no station."""
    return plan.station if acting.principal.agency == STATION else None


async def _for_this(session: AsyncSession, acting: Acting, thing: UUID) -> None:
    """Raise a Problem unless the case that was named, if a read names one, is this very plan or proposal."""
    if acting.case is not None:
        own = {thing: CaseKind.PLAN}
        await case_kind(session, acting.vault, acting.principal, acting.case, file_id=None, own=own)
