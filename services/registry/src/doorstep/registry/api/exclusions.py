"""HTTP: whom a resident excludes from their matter; by the resident's own code, or by a reviewer whom they told."""

from uuid import UUID

from fastapi import APIRouter

from doorstep.contracts.codes import Action
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
from doorstep.registry import queries
from doorstep.registry.errors import FileUnknown, SubjectUnknown
from doorstep.registry.operations.asking import Asking
from doorstep.registry.operations.files import exclude_by_code, exclude_for
from doorstep.registry.schemas import ExclusionsBody, ExclusionsKept, OwnExclusionsBody

router = APIRouter(tags=["residents"])


@router.put("/api/exclusions")
@visible_to(Visibility.SUBJECT)
async def put_own(body: OwnExclusionsBody, service: ServiceDep, session: SessionDep) -> ExclusionsKept:
    """Say who of the staff must not handle your matter, in the place of whom you said before. Nobody can read it."""
    await exclude_by_code(session, vault=service.vault, code=body.code, staff=body.staff)
    return ExclusionsKept(excluded=len(set(body.staff)))


@router.put("/api/files/{file_id}/subjects/{subject_id}/exclusions")
@attempts(Action.NAME_EXCLUSIONS, "subject_id", queries.itself)
@visible_to(Visibility.STATION)
async def put_for(
    file_id: UUID,
    subject_id: UUID,
    body: ExclusionsBody,
    principal: PrincipalDep,
    purpose: PurposeDep,
    session: SessionDep,
    service: ServiceDep,
) -> ExclusionsKept:
    """Keep for a resident who of the staff must not handle their matter, in the place of whom they said before."""
    decision = service.policy.authorize(principal, Action.NAME_EXCLUSIONS, Resource("file"), purpose=purpose)
    asking = Asking(principal, purpose, service.policy, decision.policies)
    try:
        await exclude_for(
            session, vault=service.vault, asking=asking, file_id=file_id, subject_id=subject_id, staff=body.staff
        )
    except FileUnknown:
        raise Problem(404, "file-unknown", "没有这户的档案。", "There is no such file.") from None
    except SubjectUnknown:
        raise Problem(404, "subject-unknown", "该档案中没有这个人。", "The file has no such person.") from None
    return ExclusionsKept(excluded=len(set(body.staff)))
