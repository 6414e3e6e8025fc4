"""What a reviewer sees of an assessment: needs with rule, facts and state, and no more of the person than that."""

from typing import Literal

from doorstep.contracts.codes import Decision, Urgency
from doorstep.contracts.facts import SubjectKind
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit.policy import Sight
from doorstep.risk.domain.pack import Title
from doorstep.risk.operations import FoundAssessment, FoundNeed
from doorstep.risk.schemas import AssessmentView, FactView, GapView, NeedView, SubjectView

STATES: dict[Decision, Literal["confirmed", "rejected"]] = {
    Decision.CONFIRMED: "confirmed",
    Decision.REJECTED: "rejected",
}


def view_assessment(found: FoundAssessment) -> AssessmentView:
    """The assessment, its most urgent needs first."""
    needs = sorted(
        (_view_need(need, found.sight) for need in found.needs), key=lambda need: need.urgency is not Urgency.ONE_HOUR
    )
    return AssessmentView(
        assessment_id=found.row.assessment_id,
        record_id=found.row.record_id,
        file_id=found.row.file_id,
        rule_pack=found.row.rule_pack,
        assessed_at=found.row.assessed_at,
        needs=tuple(needs),
        subjects=tuple(
            SubjectView(
                subject_id=subject.subject_id,
                kind=SubjectKind(subject.kind),
                not_evaluated=tuple(
                    GapView(rule=gap.rule, missing=gap.missing)
                    for gap in gaps.rules
                    if all(found.sight.fact(code) for code in gap.missing)
                ),
            )
            for subject, gaps in found.gaps
        ),
    )


def _view_need(found: FoundNeed, sight: Sight) -> NeedView:
    need = found.finding.need
    known = NEED_TYPES.get(need.need_type)
    return NeedView(
        need_id=found.row.need_id,
        subject_id=found.row.subject_id,
        kind=SubjectKind(found.row.kind),
        need_type=need.need_type,
        title=Title(zh=known.zh, en=known.en) if known else Title(zh=need.need_type, en=need.need_type),
        department=known.department if known else None,
        urgency=need.urgency,
        confidential=known is None or known.confidential,
        wanted=need.wanted,
        rule=need.rule,
        facts=tuple(
            FactView(fact_id=fact.fact_id, code=fact.code, value=fact.value, said_by=fact.said_by)
            for fact in found.finding.facts
            if sight.fact(fact.code)
        ),
        state=_state(found),
        reason=found.reason,
        decided_at=found.decision.decided_at if found.decision else None,
    )


def _state(found: FoundNeed) -> Literal["handed-on", "suggested", "confirmed", "rejected"]:
    if found.decision is not None:
        return STATES[Decision(found.decision.decision)]
    return "handed-on" if found.row.wanted else "suggested"
