"""The use cases of triage: assess a record, read an assessment, decide on a need, erase a subject."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Action, Decision, Purpose
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.intake import Card, StatedFacts
from doorstep.contracts.needs import Need, is_reserved
from doorstep.contracts.registry import AssertedSubject, FactsAsserted
from doorstep.contracts.risk import AssessedNeed, NeedDecided, NeedsAssessed
from doorstep.kit import idempotency, intents, outbox
from doorstep.kit.auth import Principal
from doorstep.kit.db import write_buffered
from doorstep.kit.edge import case_kind
from doorstep.kit.exclusions import excluding, moved
from doorstep.kit.intents import Intent
from doorstep.kit.policy import CaseKind, Forbidden, Policy, Resource, Sight, Why
from doorstep.kit.policy import Decision as PolicyDecision
from doorstep.kit.vault import NOBODY, KeyRing, Vault, hold_erasing
from doorstep.risk import queries
from doorstep.risk.columns import Gaps, NeedContent, decrypt_reason, encrypt_reason
from doorstep.risk.domain.assessment import Assessment, Finding, assess, spoken
from doorstep.risk.domain.compiler import CompiledPack
from doorstep.risk.domain.decision import Pending, settle
from doorstep.risk.errors import NeedUnknown, OwnRecord, RecordNotAssessed
from doorstep.risk.tables import AssessedSubjectRow, AssessmentRow, DecisionRow, NeedRow

STAFF = "staff"


@dataclass(frozen=True)
class Reading:
    """One subject of a record as the rules read it, and its needs, each under its new id."""

    subject: AssertedSubject
    assessment: Assessment
    needs: tuple[tuple[UUID, NeedContent], ...]


@dataclass(frozen=True)
class FoundNeed:
    """One need as a reviewer reads it."""

    row: NeedRow
    finding: Finding
    decision: DecisionRow | None
    reason: str | None


@dataclass(frozen=True)
class FoundAssessment:
    """An assessment as a reviewer reads it: needs, the rules that could not tell, and what is seen of it."""

    row: AssessmentRow
    needs: tuple[FoundNeed, ...]
    gaps: tuple[tuple[AssessedSubjectRow, Gaps], ...]
    sight: Sight


async def assess_record(session: AsyncSession, *, event: FactsAsserted, vault: Vault, pack: CompiledPack) -> None:
    """Find the needs of a record's subjects: what is wanted is handed on, what is suggested waits.

    A record is assessed once; a subject that was erased meanwhile is passed over. Raises RuleFailed or SealBroken.
    """
    if event.address_sealed:
        await seal_address(session, file_id=event.file_id, vault=vault)
    ring = await vault.ring(subject.subject_id for subject in event.subjects)
    readings = list(_readings(event, ring, pack))
    assessment_id = uuid7()
    row = {
        "assessment_id": assessment_id,
        "record_id": event.record_id,
        "file_id": event.file_id,
        "station": event.station,
        "recorded_by": event.recorded_by,
        "rule_pack": pack.name,
        "assessed_at": datetime.now(UTC),
    }
    if not readings or not await queries.insert_assessment(session, row):
        return
    _store(session, ring, readings, assessment_id)
    assessed = _needs_assessed(ring, row, readings).model_copy(update={"address_sealed": event.address_sealed})
    outbox.add(session, assessed, key=event.file_id, subject=event.record_id)
    subjects = intents.distinct(reading.subject.subject_id for reading in readings)
    intent = Intent(Action.ASSESS_NEEDS, subjects, Purpose.TRIAGE, case=event.record_id, policies=(cited(pack),))
    intents.record(session, ring, intent)


async def seal_address(session: AsyncSession, *, file_id: UUID, vault: Vault) -> None:
    """Forget the address of a file in all needs that were found for it."""
    await write_buffered(session)
    rows = await queries.dwelling_needs(session, file_id)
    ring = await vault.ring(row.subject_id for row in rows)
    for row in rows:
        if row.subject_id in ring:
            content = NeedContent.decrypt(ring, row.subject_id, row.need_id, row.content)
            sealed = content.model_copy(update={"card": content.card.model_copy(update={"address": None})})
            row.content = sealed.encrypt(ring, row.subject_id, row.need_id)


async def read_assessment(
    session: AsyncSession,
    *,
    record_id: UUID,
    vault: Vault,
    policy: Policy,
    principal: Principal,
    why: Why,
) -> FoundAssessment:
    """The assessment of a record for a reviewer, logged with the transaction; what was erased is left out.

    Raises RecordNotAssessed, or OwnRecord for whoever wrote the record; Forbidden, Problem.
    """
    policy.read(principal, Action.READ_ASSESSMENT, Resource("assessment"), why, why.expected(CaseKind.RECORD))
    row = await queries.assessment_of(session, record_id)
    if row is None or row.station != principal.station:
        raise RecordNotAssessed
    reader, subjects = vault.pairwise(STAFF, principal.subject), await queries.subjects_of(session, row.assessment_id)
    if await excluding(session, reader, [one.subject_id for one in subjects]):
        raise RecordNotAssessed
    case, decision = await _case(session, vault, policy, principal, why, row)
    ring = await vault.ring(subject.subject_id for subject in subjects)
    gaps = {one.subject_id: (one, _gaps(ring, one)) for one in subjects if one.subject_id in ring}
    needs = await queries.needs_of(session, row.assessment_id)
    found = tuple(_found(ring, need, decision) for need, decision in needs if need.subject_id in gaps)
    intent = Intent(
        Action.READ_ASSESSMENT,
        tuple(gaps),
        why.purpose,
        case=why.case,
        record=None if why.case == record_id else record_id,
        policies=decision.policies,
    )
    intents.record(session, ring, intent, principal=principal)
    sight = policy.sight(principal, "assessment", purpose=why.purpose, case=case)
    return FoundAssessment(row, found, tuple(gaps.values()), sight)


async def _case(
    session: AsyncSession, vault: Vault, policy: Policy, principal: Principal, why: Why, row: AssessmentRow
) -> tuple[CaseKind, PolicyDecision]:
    """What the case is to the assessment, and the decision to let the caller read it. Raises OwnRecord, Forbidden."""
    own = row.recorded_by == vault.pairwise(STAFF, principal.subject)
    cases = {row.record_id: CaseKind.RECORD, row.file_id: CaseKind.FILE}
    case = await case_kind(session, vault, principal, why.case, file_id=row.file_id, own=cases)
    try:
        thing = Resource("assessment", own_record=own, station=row.station)
        return case, policy.read(principal, Action.READ_ASSESSMENT, thing, why, case)
    except Forbidden as forbidden:
        raise (OwnRecord if own and forbidden.policies else forbidden) from None


async def decide_need(
    session: AsyncSession,
    *,
    need_id: UUID,
    decision: Decision,
    reason: str,
    vault: Vault,
    principal: Principal,
    policies: tuple[str, ...] = (),
) -> Decision:
    """Decide on a suggested need; the same decision again changes nothing.

    Raises NeedUnknown, OwnRecord, NeedWanted or DecidedAlready; SubjectErased if there is nobody left to help.
    """
    found = await queries.need_to_decide(session, need_id)
    if found is None or found[1].station != principal.station:
        raise NeedUnknown
    need, assessment = found
    reviewer = vault.pairwise(STAFF, principal.subject)
    if await excluding(session, reviewer, [need.subject_id]):
        raise NeedUnknown
    before = await queries.decision_on(session, need_id)
    decided = None if before is None else Decision(before.decision)
    pending = Pending(assessment.recorded_by, need.wanted, decided)
    if not settle(pending, decision=decision, reviewer=reviewer):
        return decision
    ring = await vault.ring([need.subject_id])
    await hold_erasing(session)
    file_id = (await moved(session, [need.subject_id])).get(need.subject_id, assessment.file_id)
    event = _need_decided(ring, need, assessment, decision, reviewer).model_copy(update={"file_id": file_id})
    values = {
        "need_id": need_id,
        "decision": decision,
        "reason": encrypt_reason(ring, need.subject_id, need_id, reason),
        "decided_by": reviewer,
        "decided_at": event.decided_at,
    }
    await session.execute(insert(DecisionRow).values(values))
    outbox.add(session, event, key=file_id, subject=need_id)
    intent = Intent(
        Action.DECIDE_NEED,
        [need.subject_id],
        Purpose.TRIAGE,
        case=assessment.record_id,
        outcome=decision,
        policies=policies,
    )
    intents.record(session, ring, intent, principal=principal)
    return decision


async def erase_subject(session: AsyncSession, *, subject_id: UUID) -> None:
    """Delete what was found on a subject; to send a decision about it again is answered as erased."""
    await idempotency.erase_about(session, await queries.delete_subject(session, subject_id))


def cited(pack: CompiledPack) -> str:
    """How the log cites a rule pack among the policies."""
    return f"rules:{pack.name}"


def activation(pack: CompiledPack) -> Intent:
    """What is logged when the rules of `pack` come into force."""
    outcome = f"sha256:{pack.pack.digest()}"
    return Intent(Action.ACTIVATE_RULES, [NOBODY], outcome=outcome, policies=(cited(pack),))


def _readings(event: FactsAsserted, ring: KeyRing, pack: CompiledPack) -> Iterator[Reading]:
    for subject in event.subjects:
        if subject.subject_id not in ring:
            continue
        facts = ring.open(subject.facts, StatedFacts).facts
        language = {"language": spoken(facts, at=event.asserted_at)}
        card = ring.open(subject.card, Card).model_copy(update=language)
        assessment = assess(pack, subject.kind, facts, at=event.asserted_at)
        needs = tuple((uuid7(), NeedContent(finding=finding, card=card)) for finding in assessment.findings)
        yield Reading(subject, assessment, needs)


def _store(session: AsyncSession, ring: KeyRing, readings: Sequence[Reading], assessment_id: UUID) -> None:
    found = queries.Findings()
    for reading in readings:
        subject_id, kind = reading.subject.subject_id, reading.subject.kind
        gaps = Gaps(rules=reading.assessment.not_evaluated).encrypt(ring, subject_id, assessment_id)
        found.subjects.append((assessment_id, subject_id, kind, gaps))
        for need_id, content in reading.needs:
            blob = content.encrypt(ring, subject_id, need_id)
            found.needs.append((assessment_id, need_id, subject_id, kind, content.finding.need.wanted, blob))
    queries.insert_findings(session, found)


def _needs_assessed(ring: KeyRing, row: dict[str, Any], readings: Sequence[Reading]) -> NeedsAssessed:
    handed_on: list[AssessedNeed] = []
    suggested: list[AssessedNeed] = []
    for reading in readings:
        for need_id, content in reading.needs:
            subject = reading.subject
            need = _sealed(ring, subject.subject_id, subject.kind, need_id, content)
            (handed_on if content.finding.need.wanted else suggested).append(need)
    return NeedsAssessed(**row, handed_on=tuple(handed_on), suggested=tuple(suggested))


def _need_decided(
    ring: KeyRing, need: NeedRow, assessment: AssessmentRow, decision: Decision, reviewer: UUID
) -> NeedDecided:
    content = NeedContent.decrypt(ring, need.subject_id, need.need_id, need.content)
    return NeedDecided(
        record_id=assessment.record_id,
        file_id=assessment.file_id,
        station=assessment.station,
        decision=decision,
        decided_by=reviewer,
        decided_at=datetime.now(UTC),
        recorded_by=assessment.recorded_by,
        need=_sealed(ring, need.subject_id, SubjectKind(need.kind), need.need_id, content),
    )


def _sealed(ring: KeyRing, subject_id: UUID, kind: SubjectKind, need_id: UUID, content: NeedContent) -> AssessedNeed:
    return AssessedNeed(
        need_id=need_id,
        subject_id=subject_id,
        kind=kind,
        need=ring.seal(subject_id, _told(content)),
        card=ring.seal(subject_id, content.card),
        facts=ring.seal(subject_id, StatedFacts(facts=content.finding.facts)),
    )


def _told(content: NeedContent) -> Need:
    """The need as it is published: one that is shown on no page says so."""
    need = content.finding.need
    reserved = is_reserved(need.need_type, content.card.safe_contact) or None
    return need.model_copy(update={"reserved": reserved})


def _gaps(ring: KeyRing, subject: AssessedSubjectRow) -> Gaps:
    return Gaps.decrypt(ring, subject.subject_id, subject.assessment_id, subject.not_evaluated)


def _found(ring: KeyRing, need: NeedRow, decision: DecisionRow | None) -> FoundNeed:
    content = NeedContent.decrypt(ring, need.subject_id, need.need_id, need.content)
    reason = None if decision is None else decrypt_reason(ring, need.subject_id, need.need_id, decision.reason)
    return FoundNeed(need, content.finding, decision, reason)
