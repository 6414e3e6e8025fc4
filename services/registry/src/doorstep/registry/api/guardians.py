"""HTTP: who is the guardian of a child, recorded and suspended by a reviewer of the station."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import UUID7, BaseModel, ConfigDict

from doorstep.contracts.codes import Action, GuardianBasis, GuardianSuspension, Purpose
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
from doorstep.registry.operations.guardians import Granted, record_guardian, suspend_guardian

router = APIRouter(tags=["residents"], dependencies=[SEEN])

_ANSWERS: dict[type[errors.Refusal], tuple[int, str, str, str]] = {
    errors.FileUnknown: (404, "file-unknown", "没有这户的档案。", "There is no such file."),
    errors.SubjectUnknown: (404, "subject-unknown", "该档案中没有这个人。", "The file has no such person."),
    errors.GuardianUnknown: (404, "guardian-unknown", "此人没有登记监护人。", "No guardian of theirs is on record."),
    errors.AgeUnknown: (
        409,
        "age-unknown",
        "证件和出生年份均未登记，不能确认是未满十四周岁的孩子。",
        "Neither a paper nor a year of birth says that this is a child under fourteen; record one first.",
    ),
    errors.OldEnough: (
        409,
        "old-enough",
        "年满十四周岁的人自己行使权利，不登记监护人。",
        "Somebody of fourteen or more sees to their own data.",
    ),
    errors.GuardianTooYoung: (
        409,
        "guardian-too-young",
        "监护人须是另一名成年人。",
        "A guardian is another person, and of full age.",
    ),
    errors.GuardianSuspended: (
        409,
        "guardian-suspended",
        "此监护人已被中止，不能再次登记。",
        "This guardian was suspended and is not recorded again.",
    ),
}


class GuardianBody(BaseModel):
    """Who is the guardian, a person of the same file, and by what; `id` is the client's own for this command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7
    guardian: UUID
    basis: GuardianBasis


class GuardianKept(BaseModel):
    """The guardian's own code, to be told to them alone. It opens until the day the child is fourteen."""

    guardian_code: str


class SuspensionBody(BaseModel):
    """Why the guardian must not see what concerns the child; `id` is the client's own for this command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7
    reason: GuardianSuspension


class SuspensionNoted(BaseModel):
    """From when on the guardian is answered as if there were no child. Nobody is told."""

    suspended_at: datetime


@router.put("/api/files/{file_id}/subjects/{subject_id}/guardian")
@attempts(Action.RECORD_GUARDIAN, "subject_id", queries.itself)
@visible_to(Visibility.STATION)
async def put_guardian(
    file_id: UUID,
    subject_id: UUID,
    body: GuardianBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> GuardianKept:
    """Record who is the guardian of a child under fourteen, in the place of the one before.

    By the code the guardian sees of the child what a proxy would see, and nothing on violence, legal aid or health. It
    ends by itself. Who heads the household is no guardian by that.
    """
    asking = _asking(service, principal, purpose, Action.RECORD_GUARDIAN)
    digest = idempotency.digest_of(service.vault, body, file_id, subject_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        return _kept(service, Granted(subject_id, body.id))
    with _answering():
        granted = await record_guardian(
            session,
            vault=service.vault,
            asking=asking,
            file_id=file_id,
            subject_id=subject_id,
            guardian_id=body.guardian,
            basis=body.basis,
            command=body.id,
            now=datetime.now(UTC),
        )
    await idempotency.keep(session, body.id, {})
    return _kept(service, granted)


@router.post("/api/files/{file_id}/subjects/{subject_id}/guardian/suspension", status_code=201)
@attempts(Action.SUSPEND_GUARDIAN, "subject_id", queries.itself)
@visible_to(Visibility.STATION)
async def post_suspension(
    file_id: UUID,
    subject_id: UUID,
    body: SuspensionBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> SuspensionNoted:
    """Suspend a guardian at once: neither their code nor those on the child's receipts open anything any more."""
    asking = _asking(service, principal, purpose, Action.SUSPEND_GUARDIAN)
    digest = idempotency.digest_of(service.vault, body, file_id, subject_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        return SuspensionNoted.model_validate(replay.answer)
    now = datetime.now(UTC)
    with _answering():
        await suspend_guardian(
            session,
            vault=service.vault,
            asking=asking,
            file_id=file_id,
            subject_id=subject_id,
            reason=body.reason,
            now=now,
        )
    answer = SuspensionNoted(suspended_at=now)
    await idempotency.keep(session, body.id, answer.model_dump(mode="json"))
    return answer


def _asking(service: Service, principal: Principal, purpose: Purpose, action: Action) -> Asking:
    decision = service.policy.authorize(principal, action, Resource("file"), purpose=purpose)
    return Asking(principal, purpose, service.policy, decision.policies)


def _kept(service: Service, granted: Granted) -> GuardianKept:
    return GuardianKept(guardian_code=granted.code(service.vault))


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except errors.Refusal as refusal:
        raise Problem(*_ANSWERS[type(refusal)]) from None
