"""HTTP: note that persons left their household, which gives them a file of their own under a new id."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import UUID7, BaseModel, ConfigDict, Field

from doorstep.contracts.codes import Action
from doorstep.kit import idempotency
from doorstep.kit.policy import Resource
from doorstep.kit.problems import Problem
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    ServiceDep,
    SessionDep,
    Visibility,
    attempts,
    visible_to,
)
from doorstep.kit.vault import Vault
from doorstep.registry import queries
from doorstep.registry.api.roster import SEEN
from doorstep.registry.errors import FileUnknown, SubjectUnknown
from doorstep.registry.operations.asking import Asking
from doorstep.registry.operations.leaving import NewFile, leave_household

router = APIRouter(tags=["files"], dependencies=[SEEN])


class DepartureBody(BaseModel):
    """Who leaves; `together` are others of the same file who go along. `id` is the client's own for this command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7
    together: Annotated[tuple[UUID, ...], Field(max_length=20)] = ()


class RenewedCode(BaseModel):
    """The code that follows the requests of a mention from now on; the one on its receipt opens nothing any more."""

    subject_id: UUID
    follow_code: str


class DepartureNoted(BaseModel):
    """The file of who left, and their new codes, to be handed to them alone."""

    file_id: UUID
    codes: tuple[RenewedCode, ...]


@router.post("/api/files/{file_id}/subjects/{subject_id}/departure", status_code=201)
@attempts(Action.LEAVE_HOUSEHOLD, "subject_id", queries.itself)
@visible_to(Visibility.STATION)
async def post_departure(
    file_id: UUID,
    subject_id: UUID,
    body: DepartureBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> DepartureNoted:
    """Note, as persons told the station, that they left this household: they get a file under a new random id.

    What the station and departments owe them goes on. Nobody can read from either file which the other is.
    """
    decision = service.policy.authorize(principal, Action.LEAVE_HOUSEHOLD, Resource("file"), purpose=purpose)
    digest = idempotency.digest_of(service.vault, body, file_id, subject_id)
    replay = await idempotency.claim(session, principal, body.id, digest)
    if replay is not None:
        kept = replay.answer
        return _noted(service.vault, NewFile(UUID(kept["file_id"]), tuple(UUID(one) for one in kept["subjects"])))
    try:
        made = await leave_household(
            session,
            vault=service.vault,
            asking=Asking(principal, purpose, service.policy, decision.policies),
            file_id=file_id,
            leaving=sorted({subject_id, *body.together}),
            now=datetime.now(UTC),
        )
    except FileUnknown:
        raise Problem(404, "file-unknown", "没有这户的档案。", "There is no such file.") from None
    except SubjectUnknown:
        raise Problem(404, "subject-unknown", "该档案中没有这个人。", "The file has no such person.") from None
    kept = {"file_id": str(made.file_id), "subjects": [str(one) for one in made.subjects]}
    await idempotency.keep(session, body.id, kept)
    return _noted(service.vault, made)


def _noted(vault: Vault, made: NewFile) -> DepartureNoted:
    codes = made.codes(vault).items()
    return DepartureNoted(
        file_id=made.file_id, codes=tuple(RenewedCode(subject_id=one, follow_code=code) for one, code in codes)
    )
