"""HTTP: asking that a resident be told later who used their data, and an auditor's agreement."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter

from doorstep.audit.domain.deferral import Deferral
from doorstep.audit.errors import DeferralApproved, DeferralLapsed, DeferralUnknown, NothingToDefer, OwnDeferral
from doorstep.audit.operations.deferring import Asked, Caller, Why, approve_deferral, ask_to_defer
from doorstep.audit.schemas import DeferralBody, DeferralShown
from doorstep.contracts.codes import Action
from doorstep.kit.policy import Resource
from doorstep.kit.problems import Problem
from doorstep.kit.service import PrincipalDep, ServiceDep, SessionDep, Visibility, attempts, visible_to

router = APIRouter(prefix="/api/usage-deferrals", tags=["residents"])

_DEFERRAL = Resource("deferral")


@router.post("", status_code=201)
@attempts(Action.ASK_TO_DEFER)
@visible_to(Visibility.STATION)
async def ask(body: DeferralBody, principal: PrincipalDep, service: ServiceDep, session: SessionDep) -> DeferralShown:
    """Ask, only to protect a person, that a resident be told later of the uses for one case. It hides nothing yet."""
    decision = service.policy.authorize(principal, Action.ASK_TO_DEFER, _DEFERRAL)
    try:
        made = await ask_to_defer(
            session,
            vault=service.vault,
            record=service.record,
            caller=Caller(principal, decision.policies),
            asked=Asked(body.id, body.subject_id, Why(case=body.case, reason=body.reason)),
            digest=service.vault.digest(body.model_dump_json().encode()),
            now=datetime.now(UTC),
        )
    except NothingToDefer:
        zh, en = (
            "本站没有为此事使用此人信息的记录。",
            "No use of this person's data for this case is known here.",
        )
        raise Problem(404, "nothing-to-defer", zh, en) from None
    return _shown(body.id, made)


@router.post("/{deferral_id}/approval")
@attempts(Action.APPROVE_DEFERRAL)
@visible_to(Visibility.AUDITOR)
async def approve(
    deferral_id: UUID, principal: PrincipalDep, service: ServiceDep, session: SessionDep
) -> DeferralShown:
    """Agree, as an auditor and another person than who asked; from now on it hides, until it lapses by itself."""
    service.policy.authorize(principal, Action.APPROVE_DEFERRAL, _DEFERRAL)
    try:
        approved = await approve_deferral(
            session,
            vault=service.vault,
            policy=service.policy,
            record=service.record,
            principal=principal,
            deferral_id=deferral_id,
            now=datetime.now(UTC),
        )
    except DeferralUnknown:
        raise Problem(404, "deferral-unknown", "没有这项申请。", "There is no such deferral.") from None
    except OwnDeferral as own:
        zh, en = "申请人不能批准自己的申请，须由另一人批准。", "Who asks does not approve; another person has to."
        raise Problem(403, "second-person-must-approve", zh, en, policies=own.policies) from None
    except DeferralApproved:
        zh, en = "已由另一位审计员批准。", "Another auditor has approved it already."
        raise Problem(409, "deferral-approved", zh, en) from None
    except DeferralLapsed:
        raise Problem(409, "deferral-lapsed", "申请已过期，请重新申请。", "It has lapsed; ask anew.") from None
    return _shown(deferral_id, approved)


def _shown(deferral_id: UUID, made: Deferral) -> DeferralShown:
    return DeferralShown(id=deferral_id, asked_at=made.asked_at, approved_at=made.approved_at, lapses_at=made.lapses_at)
