"""The reviewer's API of triage, and the published rule pack."""

from uuid import UUID

from fastapi import APIRouter

from doorstep.contracts.codes import Action
from doorstep.kit import idempotency
from doorstep.kit.policy import Resource
from doorstep.kit.problems import Problem
from doorstep.kit.service import (
    PrincipalDep,
    ServiceDep,
    SessionDep,
    Visibility,
    WhyDep,
    attempts,
    visible_to,
)
from doorstep.risk import queries
from doorstep.risk.domain.compiler import CompiledPack
from doorstep.risk.errors import DecidedAlready, NeedUnknown, NeedWanted, OwnRecord, RecordNotAssessed
from doorstep.risk.operations import decide_need, read_assessment
from doorstep.risk.schemas import AssessmentView, DecisionAnswer, DecisionBody, PackAnswer
from doorstep.risk.views import view_assessment

router = APIRouter(prefix="/api")


@router.get("/assessments/{record_id}", tags=["triage"])
@attempts(Action.READ_ASSESSMENT, "record_id", queries.subjects_of_case)
@visible_to(Visibility.STATION)
async def get_assessment(
    record_id: UUID, service: ServiceDep, session: SessionDep, principal: PrincipalDep, why: WhyDep
) -> AssessmentView:
    """What triage found in a record, with rule, facts and state of each need. The read is logged.

    The case is the record, its file, or an emergency access to the file.
    """
    try:
        found = await read_assessment(
            session,
            record_id=record_id,
            vault=service.vault,
            policy=service.policy,
            principal=principal,
            why=why,
        )
    except RecordNotAssessed:
        zh, en = "没有这份记录的研判结果，或尚未研判。", "This record has no assessment, or not yet."
        raise Problem(404, "record-not-assessed", zh, en) from None
    except OwnRecord:
        raise _own_record() from None
    return view_assessment(found)


@router.post("/needs/{need_id}/decision", tags=["triage"])
@attempts(Action.DECIDE_NEED, "need_id", queries.subjects_of_case)
@visible_to(Visibility.STATION)
async def post_decision(
    need_id: UUID, body: DecisionBody, service: ServiceDep, session: SessionDep, principal: PrincipalDep
) -> DecisionAnswer:
    """Confirm or reject a suggested need, once; the same command again is answered again."""
    permission = service.policy.authorize(principal, "decide-need", Resource("need"))
    digest = idempotency.digest_of(service.vault, body, need_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        return DecisionAnswer.model_validate(replay.answer)
    try:
        await decide_need(
            session,
            need_id=need_id,
            decision=body.decision,
            reason=body.reason,
            vault=service.vault,
            principal=principal,
            policies=permission.policies,
        )
    except NeedUnknown:
        raise Problem(404, "need-unknown", "没有这项需求。", "There is no such need.") from None
    except OwnRecord:
        raise _own_record() from None
    except NeedWanted:
        zh, en = "居民本人提出的诉求已转办，无需审核。", "The resident asked for this; it was handed on."
        raise Problem(409, "need-wanted", zh, en) from None
    except DecidedAlready:
        zh, en = "这项需求已有不同的审核结论。", "This need was decided otherwise before."
        raise Problem(409, "decided-already", zh, en) from None
    answer = DecisionAnswer(need_id=need_id, decision=body.decision)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


def pack_router(pack: CompiledPack) -> APIRouter:
    """The route by which anybody reads the rules in force."""
    published = APIRouter(prefix="/api")
    answer = PackAnswer(name=pack.name, digest=pack.pack.digest(), pack=pack.pack)

    @published.get("/rule-packs/current", tags=["rules"])
    @visible_to(Visibility.PUBLIC)
    async def get_current_pack() -> PackAnswer:
        """The rule pack in force; public."""
        return answer

    return published


def _own_record() -> Problem:
    zh, en = "采集员不能审核自己采集的记录。", "Who took the record does not review it."
    return Problem(403, "own-record", zh, en)
