"""HTTP: have a subject erased; one person asks for it, another one of the station confirms."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from fastapi import APIRouter

from doorstep.contracts.codes import Action, Purpose
from doorstep.kit import idempotency
from doorstep.kit.auth import Principal
from doorstep.kit.policy import Resource
from doorstep.kit.problems import Problem
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    attempts,
    visible_to,
)
from doorstep.registry import errors, queries
from doorstep.registry.api.roster import SEEN
from doorstep.registry.operations.asking import Asking
from doorstep.registry.operations.files import ask_to_erase, confirm_erasure
from doorstep.registry.schemas import ConfirmationBody, ErasureAnswer, ErasureBody

router = APIRouter(tags=["erasures"], dependencies=[SEEN])

_ANSWERS: dict[type[errors.Refusal], tuple[int, str, str, str]] = {
    errors.FileUnknown: (404, "file-unknown", "没有这户的档案。", "There is no such file."),
    errors.SubjectUnknown: (404, "subject-unknown", "该档案中没有这个对象。", "The file has no such subject."),
    errors.ErasureUnknown: (404, "erasure-unknown", "没有这项清除申请。", "There is no such erasure."),
    errors.PlaceStays: (
        409,
        "place-stays",
        "场所不属于任何居民，不予清除。",
        "A place is nobody's own; it is not erased.",
    ),
    errors.ErasureAsked: (
        409,
        "erasure-asked",
        "已有人提出清除，等待第二人确认。",
        "This erasure was asked for before; it waits for a second person.",
    ),
    errors.OwnRecord: (
        403,
        "own-record",
        "采集过这户记录的人不能提出或确认清除。",
        "Who took a record of this file neither asks for an erasure nor confirms one.",
    ),
    errors.SecondPersonMustConfirm: (
        403,
        "second-person-must-confirm",
        "提出清除的人不能自己确认。",
        "Who asked for an erasure does not confirm it.",
    ),
}


@router.post("/api/files/{file_id}/subjects/{subject_id}/erasure", status_code=202)
@attempts(Action.ERASE_SUBJECT, "subject_id", queries.itself)
@visible_to(Visibility.STATION)
async def post_erasure(
    file_id: UUID,
    subject_id: UUID,
    body: ErasureBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> ErasureAnswer:
    """Ask for a person or dwelling of a file to be erased, as the resident wants; it waits for a second person."""
    asking = _asking(service, principal, purpose, "ask-to-erase")
    digest = idempotency.digest_of(service.vault, body, file_id, subject_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        return ErasureAnswer.model_validate(replay.answer)
    with _answering():
        erasure = await ask_to_erase(
            session, vault=service.vault, asking=asking, file_id=file_id, subject_id=subject_id, erasure_id=body.id
        )
    answer = ErasureAnswer(erasure_id=body.id, state="asked", at=erasure.asked_at)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@router.post("/api/erasures/{erasure_id}/confirmation", status_code=202)
@attempts(Action.ERASE_SUBJECT, "erasure_id", queries.subjects_of_erasure)
@visible_to(Visibility.STATION)
async def post_confirmation(
    erasure_id: UUID,
    body: ConfirmationBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> ErasureAnswer:
    """Confirm, as a supervisor, an erasure that somebody else asked for. It cannot be taken back."""
    asking = _asking(service, principal, purpose, "confirm-erasure")
    digest = idempotency.digest_of(service.vault, body, erasure_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        return ErasureAnswer.model_validate(replay.answer)
    with _answering():
        at = await confirm_erasure(session, vault=service.vault, asking=asking, erasure_id=erasure_id)
    answer = ErasureAnswer(erasure_id=erasure_id, state="confirmed", at=at)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


def _asking(service: Service, principal: Principal, purpose: Purpose, action: str) -> Asking:
    decision = service.policy.authorize(principal, action, Resource("erasure"), purpose=purpose)
    return Asking(principal, purpose, service.policy, decision.policies)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except errors.Refusal as refusal:
        raise Problem(*_ANSWERS[type(refusal)]) from None
