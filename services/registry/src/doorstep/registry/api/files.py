"""HTTP: read a household's file."""

from uuid import UUID

from fastapi import APIRouter

from doorstep.contracts.codes import Action
from doorstep.contracts.intake import Card
from doorstep.kit.policy import Sight
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
from doorstep.registry import queries
from doorstep.registry.api.roster import SEEN
from doorstep.registry.errors import FileUnknown
from doorstep.registry.operations.files import FactShown, show_file
from doorstep.registry.queries import SubjectRow
from doorstep.registry.schemas import FileSubject, HouseholdFile, ProvenFact

router = APIRouter(tags=["files"], dependencies=[SEEN])


@router.get("/api/files/{file_id}", response_model_exclude_none=True)
@attempts(Action.READ_FILE, "file_id", queries.subject_ids)
@visible_to(Visibility.STATION)
async def read_file(
    file_id: UUID, principal: PrincipalDep, why: WhyDep, session: SessionDep, service: ServiceDep
) -> HouseholdFile:
    """Read a file of one's station: every subject with its facts and their provenance. The read is logged.

    The case is the file, a record of it, or an emergency access to it. What the caller may not see is absent.
    """
    try:
        shown = await show_file(
            session,
            vault=service.vault,
            policy=service.policy,
            principal=principal,
            why=why,
            file_id=file_id,
        )
    except FileUnknown:
        raise Problem(404, "file-unknown", "没有这户的档案。", "There is no such file.") from None
    subjects = tuple(_subject(shown.sight, row, card, facts) for row, card, facts in shown.subjects)
    return HouseholdFile(file_id=shown.file_id, version=shown.version, subjects=subjects)


def _subject(sight: Sight, row: SubjectRow, card: Card, facts: tuple[FactShown, ...]) -> FileSubject:
    return FileSubject(
        subject_id=row.subject_id,
        kind=row.kind,
        person_id=row.person_id,
        facts=tuple(_proven(fact) for fact in facts if sight.fact(fact.fact.code)),
        **card.model_dump(exclude={"follow_code", *sight.hidden}),
    )


def _proven(shown: FactShown) -> ProvenFact:
    return ProvenFact(
        **shown.fact.model_dump(exclude={"until"}),
        record_id=shown.row.record_id,
        file_version=shown.row.file_version,
        refresh_by=shown.row.refresh_by,
    )
