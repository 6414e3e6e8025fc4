"""HTTP: open a file in an emergency; the second person is told and says so, a third reviews it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter

from doorstep.contracts.codes import Action
from doorstep.kit import idempotency
from doorstep.kit.problems import Fault, Problem
from doorstep.kit.service import PrincipalDep, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.registry import errors, queries
from doorstep.registry.api.roster import SEEN
from doorstep.registry.operations import breaking_glass
from doorstep.registry.operations.breaking_glass import subjects_of_break_glass
from doorstep.registry.operations.roster import SEEN_DAYS
from doorstep.registry.schemas import (
    AcknowledgementBody,
    BreakGlassAnswer,
    BreakGlassBody,
    BreakGlassNotice,
    BreakGlassNotices,
    ReviewBody,
)

router = APIRouter(tags=["break-glass"], dependencies=[SEEN])

_ANSWERS: dict[type[errors.Refusal], tuple[int, str, str, str]] = {
    errors.FileUnknown: (404, "file-unknown", "没有这户的档案。", "There is no such file."),
    errors.BreakGlassUnknown: (404, "break-glass-unknown", "没有这次紧急授权。", "There is no such emergency access."),
    errors.NotTheSecond: (
        403,
        "not-the-second",
        "只有被指名的第二人可以确认知悉。",
        "Only the second person who was named acknowledges this.",
    ),
    errors.ThirdPersonMustReview: (
        403,
        "third-person-must-review",
        "紧急授权须由第三人复核。",
        "An emergency access is reviewed by a third person.",
    ),
    errors.Reviewed: (409, "reviewed-already", "这次紧急授权已复核。", "This emergency access was reviewed before."),
}


@router.post("/api/files/{file_id}/break-glass", status_code=201)
@attempts(Action.BREAK_GLASS, "file_id", queries.subject_ids)
@visible_to(Visibility.STATION)
async def post_break_glass(
    file_id: UUID, body: BreakGlassBody, principal: PrincipalDep, session: SessionDep, service: ServiceDep
) -> BreakGlassAnswer:
    """Open a file of one's station for an hour to oneself alone, with a reason and a second person who is told.

    It is read with the purpose `emergency` and this command's `id` as its case; every read is logged with that case.
    """
    breaking_glass.authorize(service.policy, principal, Action.BREAK_GLASS)
    if body.second == principal.subject:
        zh, en = "第二人须是另一个人", "must be another person"
        raise Problem(
            422, "invalid", "第二人须是另一个人。", "The second is another.", faults=[Fault("/second", zh, en)]
        )
    digest = idempotency.digest_of(service.vault, body, file_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        return BreakGlassAnswer.model_validate(replay.answer)
    with _answering(), _naming_the_second():
        until = await breaking_glass.break_glass(
            session,
            vault=service.vault,
            policy=service.policy,
            principal=principal,
            break_glass_id=body.id,
            file_id=file_id,
            reason=body.reason,
            second=body.second,
            now=datetime.now(UTC),
        )
    answer = BreakGlassAnswer(break_glass_id=body.id, state="open", at=until)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@router.get("/api/break-glass", response_model_exclude_none=True)
@attempts(Action.LIST_BREAK_GLASS)
@visible_to(Visibility.STATION)
async def list_break_glass(principal: PrincipalDep, session: SessionDep, service: ServiceDep) -> BreakGlassNotices:
    """List the station's emergency accesses: notices to the second person, and what waits for a review."""
    found = await breaking_glass.list_break_glass(
        session, vault=service.vault, policy=service.policy, principal=principal
    )
    now = datetime.now(UTC)
    return BreakGlassNotices(notices=tuple(BreakGlassNotice(**breaking_glass.listed(one, now)) for one in found))


@router.post("/api/break-glass/{break_glass_id}/acknowledgement")
@attempts(Action.ACKNOWLEDGE_BREAK_GLASS, "break_glass_id", subjects_of_break_glass)
@visible_to(Visibility.STATION)
async def post_acknowledgement(
    break_glass_id: UUID, body: AcknowledgementBody, principal: PrincipalDep, session: SessionDep, service: ServiceDep
) -> BreakGlassAnswer:
    """Say, as the second person who was named, that one was told."""
    breaking_glass.authorize(service.policy, principal, Action.ACKNOWLEDGE_BREAK_GLASS)
    digest = idempotency.digest_of(service.vault, body, break_glass_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        return BreakGlassAnswer.model_validate(replay.answer)
    with _answering():
        at = await breaking_glass.acknowledge_break_glass(
            session,
            vault=service.vault,
            policy=service.policy,
            principal=principal,
            break_glass_id=break_glass_id,
            now=datetime.now(UTC),
        )
    answer = BreakGlassAnswer(break_glass_id=break_glass_id, state="acknowledged", at=at)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@router.post("/api/break-glass/{break_glass_id}/review")
@attempts(Action.REVIEW_BREAK_GLASS, "break_glass_id", subjects_of_break_glass)
@visible_to(Visibility.STATION)
async def post_review(
    break_glass_id: UUID, body: ReviewBody, principal: PrincipalDep, session: SessionDep, service: ServiceDep
) -> BreakGlassAnswer:
    """Say, as a third person, whether an emergency access was justified. It stands."""
    breaking_glass.authorize(service.policy, principal, Action.REVIEW_BREAK_GLASS)
    digest = idempotency.digest_of(service.vault, body, break_glass_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        return BreakGlassAnswer.model_validate(replay.answer)
    now = datetime.now(UTC)
    with _answering():
        await breaking_glass.review_break_glass(
            session,
            vault=service.vault,
            policy=service.policy,
            principal=principal,
            break_glass_id=break_glass_id,
            finding=body.finding,
            now=now,
        )
    answer = BreakGlassAnswer(break_glass_id=break_glass_id, state="reviewed", at=now)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except errors.Refusal as refusal:
        raise Problem(*_ANSWERS[type(refusal)]) from None


@contextmanager
def _naming_the_second() -> Iterator[None]:
    try:
        yield
    except errors.SecondUnknown:
        zh = f"近 {SEEN_DAYS} 天内本站没有此人登录。请核对其账号；此人须先打开一次紧急授权列表，或改指其他同事"
        en = (
            f"nobody of this station who is called so was here within {SEEN_DAYS} days: check the account, have them"
            " open the list of emergency accesses once, or name a colleague who was"
        )
        faults = [Fault("/second", zh, en)]
        raise Problem(422, "second-unknown", "本站没有此人。", "The second is nobody here.", faults=faults) from None
