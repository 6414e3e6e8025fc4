"""Begin to read a journey, read on."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Action
from doorstep.contracts.envelope import Contract
from doorstep.contracts.facts import ASKED_ALONE, CATALOGUE
from doorstep.contracts.intake import StatedFacts
from doorstep.contracts.needs import Need
from doorstep.contracts.referral import Rating, RequestSummary, TransitionDetail
from doorstep.contracts.sealed import Sealed
from doorstep.gateway import queries
from doorstep.gateway.domain.journey import Step
from doorstep.gateway.errors import JourneyUnknown, OwnRecord
from doorstep.kit import intents
from doorstep.kit.auth import Principal
from doorstep.kit.edge import case_kind
from doorstep.kit.intents import Intent
from doorstep.kit.policy import CaseKind, Forbidden, Policy, Resource, Sight, Why
from doorstep.kit.vault import KeyRing, SubjectErased, Vault

STAFF = "staff"
_CONTENTS: dict[str, type[Contract]] = {
    model.__name__: model for model in (StatedFacts, Need, RequestSummary, TransitionDetail, Rating)
}


@dataclass(frozen=True)
class StepShown:
    """A step with what it says; `content` is None where there is nothing, or its subject was erased."""

    step_id: UUID
    step: Step
    content: dict[str, Any] | None


@dataclass
class Reading:
    """Who reads a journey why, and what of it: the steps `sent`, the subjects whose reading was `logged`."""

    record_id: UUID
    principal: Principal
    why: Why
    policies: tuple[str, ...]
    sight: Sight
    sent: set[UUID] = field(default_factory=set)
    logged: set[UUID] = field(default_factory=set)


async def open_journey(
    session: AsyncSession, *, vault: Vault, policy: Policy, principal: Principal, why: Why, record_id: UUID
) -> tuple[Reading, list[StepShown]]:
    """Begin to read the journey of a record of the reviewer's station; gives all steps so far.

    Raises JourneyUnknown, OwnRecord, Forbidden, Problem.
    """
    policy.read(principal, Action.READ_JOURNEY, Resource("journey"), why, why.expected(CaseKind.RECORD))
    journey = await queries.journey(session, record_id)
    if journey is None or journey.station != principal.station:
        raise JourneyUnknown
    reader = vault.pairwise(STAFF, principal.subject)
    if await queries.excludes(session, record_id, reader):
        raise JourneyUnknown
    own = journey.recorded_by == reader
    own_cases = {record_id: CaseKind.RECORD}
    case = await case_kind(session, vault, principal, why.case, file_id=None, own=own_cases)
    try:
        thing = Resource("journey", own_record=own, station=journey.station)
        decision = policy.read(principal, Action.READ_JOURNEY, thing, why, case)
    except Forbidden as forbidden:
        raise (OwnRecord if own and forbidden.policies else forbidden) from None
    sight = policy.sight(principal, "journey", purpose=why.purpose, case=case)
    reading = Reading(record_id, principal, why, decision.policies, sight)
    return reading, await read_on(session, vault=vault, reading=reading)


async def read_on(session: AsyncSession, *, vault: Vault, reading: Reading) -> list[StepShown]:
    """The steps that were not sent yet; the read is logged once for each subject, and changes `reading`.

    What is remembered is which steps were sent, not the last: they can become visible out of their order. What is
    reserved, or asked only alone, is shown on no page, and leaves no gap.
    Raises JourneyUnknown for whom somebody of the record excludes.
    """
    if await queries.excludes(session, reading.record_id, vault.pairwise(STAFF, reading.principal.subject)):
        raise JourneyUnknown
    found = await queries.steps(session, reading.record_id, reading.sent)
    subjects = intents.distinct(step.subject_id for _, step in found if step.subject_id is not None)
    ring = await vault.ring(subjects)
    fresh = [one for one in subjects if one in ring and one not in reading.logged]
    if fresh or not reading.sent:
        intent = Intent(
            Action.READ_JOURNEY,
            fresh,
            purpose=reading.why.purpose,
            legal_basis=reading.why.legal_basis,
            case=reading.why.case,
            policies=reading.policies,
        )
        intents.record(session, ring, intent, principal=reading.principal)
    reading.logged.update(fresh)
    reading.sent.update(step_id for step_id, _ in found)
    shown = [_shown(ring, reading.sight, step_id, step) for step_id, step in found]
    return [one for one in shown if one is not None]


def _shown(ring: KeyRing, sight: Sight, step_id: UUID, step: Step) -> StepShown | None:
    if step.sealed is None:
        return StepShown(step_id, step, None)
    model = _CONTENTS[step.sealed["context"]]
    sealed: Sealed[Contract] = Sealed.model_validate(step.sealed, strict=False)
    try:
        content = ring.open(sealed, model)
    except SubjectErased:
        return StepShown(step_id, step, None)
    if isinstance(content, Need | RequestSummary | TransitionDetail) and content.reserved:
        return None
    if isinstance(content, StatedFacts | Need):  # also that a rule read a fact, without its value, is told of it
        facts = tuple(one for one in content.facts if _on_a_page(sight, one.code))
        content = content.model_copy(update={"facts": facts})
    told = content.model_dump(mode="json", exclude_none=True, exclude={"reserved"})
    return StepShown(step_id, step, told)


def _on_a_page(sight: Sight, code: str) -> bool:
    return sight.fact(code) and code != ASKED_ALONE and not CATALOGUE[code].alone
