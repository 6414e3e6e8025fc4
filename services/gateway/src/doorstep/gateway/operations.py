"""The use cases of the gateway: begin to read a journey, read on."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action, LegalBasis, Purpose
from doorstep.contracts.envelope import Contract
from doorstep.contracts.intake import StatedFacts
from doorstep.contracts.needs import Need
from doorstep.contracts.referral import Rating, RequestSummary, TransitionDetail
from doorstep.contracts.sealed import Sealed
from doorstep.gateway import queries
from doorstep.gateway.domain.journey import Step
from doorstep.gateway.errors import JourneyUnknown
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.intents import Intent
from doorstep.kit.policy import Policy, Resource
from doorstep.kit.vault import KeyRing, SubjectErased, Vault

STAFF = "staff"
_CONTENTS: dict[str, type[Contract]] = {
    model.__name__: model for model in (StatedFacts, Need, RequestSummary, TransitionDetail, Rating)
}


@dataclass(frozen=True)
class StepShown:
    """A step with what it says; `content` is None where there is nothing, or its subject was erased."""

    position: int
    step: Step
    content: dict[str, Any] | None


async def open_journey(
    session: AsyncSession, *, vault: Vault, policy: Policy, principal: Principal, purpose: Purpose, record_id: UUID
) -> list[StepShown]:
    """All steps so far of a record of the reviewer's station; the read is logged, once for each subject in it.

    Raises JourneyUnknown, Forbidden.
    """
    policy.authorize(principal, Action.READ_JOURNEY, Resource("journey"), purpose=purpose)
    journey = await queries.journey(session, record_id)
    if journey is None or journey.station != principal.station:
        raise JourneyUnknown
    own = journey.recorded_by == vault.pairwise(STAFF, principal.subject)
    decision = policy.authorize(principal, Action.READ_JOURNEY, Resource("journey", own_record=own), purpose=purpose)
    found = await queries.steps(session, record_id)
    subjects = intents.distinct(step.subject_id for _, step in found if step.subject_id is not None)
    ring = await vault.ring(subjects)
    intent = Intent(
        Action.READ_JOURNEY,
        subjects,
        purpose=purpose,
        legal_basis=LegalBasis.STATUTORY_DUTY,
        case=record_id,
        policies=decision.policies,
    )
    intents.record(session, ring, intent, principal=principal)
    return [_shown(ring, position, step) for position, step in found]


async def read_on(session: AsyncSession, *, vault: Vault, record_id: UUID, sent: AbstractSet[int]) -> list[StepShown]:
    """The steps at other positions than those `sent`, for a stream whose opening was logged."""
    found = [one for one in await queries.steps(session, record_id) if one[0] not in sent]
    ring = await vault.ring(step.subject_id for _, step in found if step.subject_id is not None)
    return [_shown(ring, position, step) for position, step in found]


def _shown(ring: KeyRing, position: int, step: Step) -> StepShown:
    if step.sealed is None:
        return StepShown(position, step, None)
    model = _CONTENTS[step.sealed["context"]]
    sealed: Sealed[Contract] = Sealed.model_validate(step.sealed, strict=False)
    try:
        content = ring.open(sealed, model)
    except SubjectErased:
        return StepShown(position, step, None)
    return StepShown(position, step, content.model_dump(mode="json", exclude_none=True))
