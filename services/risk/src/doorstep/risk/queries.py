"""What triage reads from its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import delete, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.facts import SubjectKind
from doorstep.kit.db import before_commit, run
from doorstep.kit.vault import begin_erasing, hold_erasing
from doorstep.risk.tables import AssessedSubjectRow, AssessmentRow, DecisionRow, NeedRow

_INSERT_ASSESSMENT = """
    INSERT INTO assessment (assessment_id, record_id, file_id, station, recorded_by, rule_pack, assessed_at)
    VALUES (:assessment_id, :record_id, :file_id, :station, :recorded_by, :rule_pack, :assessed_at)
    ON CONFLICT DO NOTHING RETURNING record_id
"""
_NOT_ERASED = "NOT EXISTS (SELECT FROM erased_subject e WHERE e.subject_id = new.subject_id)"
_INSERT_FINDINGS = f"""
    WITH subjects AS (
        INSERT INTO assessed_subject (assessment_id, subject_id, kind, not_evaluated)
        SELECT * FROM unnest(
            CAST(:assessments AS uuid[]), CAST(:subjects AS uuid[]), CAST(:kinds AS text[]), CAST(:gaps AS bytea[])
        ) AS new (assessment_id, subject_id, kind, not_evaluated) WHERE {_NOT_ERASED}
    )
    INSERT INTO need (assessment_id, need_id, subject_id, kind, wanted, content)
    SELECT * FROM unnest(
        CAST(:need_assessments AS uuid[]), CAST(:need_ids AS uuid[]), CAST(:need_subjects AS uuid[]),
        CAST(:need_kinds AS text[]), CAST(:wanted AS boolean[]), CAST(:contents AS bytea[])
    ) AS new (assessment_id, need_id, subject_id, kind, wanted, content) WHERE {_NOT_ERASED}
"""  # noqa: S608
_ERASE = """
    INSERT INTO erased_subject (subject_id) VALUES (:subject_id) ON CONFLICT DO NOTHING
"""
_FINDINGS = "risk_findings"


async def insert_assessment(session: AsyncSession, row: Mapping[str, object]) -> bool:
    """Store an assessment; False if its record has one."""
    return bool(await run(session, _INSERT_ASSESSMENT, row))


@dataclass
class Findings:
    """Rows of assessed subjects (assessment, subject, kind, encrypted gaps) and of needs (assessment, need, subject,
    kind, wanted, encrypted content)."""

    subjects: list[tuple[UUID, UUID, str, bytes]] = field(default_factory=list)
    needs: list[tuple[UUID, UUID, UUID, str, bool, bytes]] = field(default_factory=list)


def insert_findings(session: AsyncSession, found: Findings) -> None:
    """Have findings stored with the session's transaction, those of all its assessments in one statement."""
    buffered: Findings = session.info.setdefault(_FINDINGS, Findings())
    buffered.subjects += found.subjects
    buffered.needs += found.needs
    before_commit(session, _write_findings)


async def _write_findings(session: AsyncSession) -> None:
    found: Findings = session.info.pop(_FINDINGS)
    assessments, subjects, kinds, gaps = _columns(found.subjects, 4)
    need_assessments, need_ids, need_subjects, need_kinds, wanted, contents = _columns(found.needs, 6)
    values = {
        "assessments": assessments,
        "subjects": subjects,
        "kinds": kinds,
        "gaps": gaps,
        "need_assessments": need_assessments,
        "need_ids": need_ids,
        "need_subjects": need_subjects,
        "need_kinds": need_kinds,
        "wanted": wanted,
        "contents": contents,
    }
    await hold_erasing(session)
    await run(session, _INSERT_FINDINGS, values)


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[row[column] for row in rows] for column in range(width)]


async def assessment_of(session: AsyncSession, record_id: UUID) -> AssessmentRow | None:
    """The assessment of a record."""
    return await session.scalar(select(AssessmentRow).where(AssessmentRow.record_id == record_id))


async def subjects_of(session: AsyncSession, assessment_id: UUID) -> Sequence[AssessedSubjectRow]:
    """The subjects of an assessment."""
    query = select(AssessedSubjectRow).where(AssessedSubjectRow.assessment_id == assessment_id)
    return (await session.scalars(query.order_by(AssessedSubjectRow.subject_id))).all()


async def subjects_of_case(session: AsyncSession, case: UUID) -> list[UUID]:
    """The subjects of a record, or the subject of a need."""
    of_record = (
        select(AssessedSubjectRow.subject_id)
        .join(AssessmentRow, AssessmentRow.assessment_id == AssessedSubjectRow.assessment_id)
        .where(AssessmentRow.record_id == case)
    )
    of_need = select(NeedRow.subject_id).where(NeedRow.need_id == case)
    return sorted(await session.scalars(union(of_record, of_need)))


async def needs_of(session: AsyncSession, assessment_id: UUID) -> list[tuple[NeedRow, DecisionRow | None]]:
    """The needs of an assessment in the order in which they were found, with what was decided on them."""
    query = (
        select(NeedRow, DecisionRow)
        .outerjoin(DecisionRow, DecisionRow.need_id == NeedRow.need_id)
        .where(NeedRow.assessment_id == assessment_id)
        .order_by(NeedRow.need_id)
    )
    return [(need, decision) for need, decision in await session.execute(query)]


async def dwelling_needs(session: AsyncSession, file_id: UUID) -> Sequence[NeedRow]:
    """The needs of a file's dwelling, locked until the transaction ends."""
    query = (
        select(NeedRow)
        .join(AssessmentRow, AssessmentRow.assessment_id == NeedRow.assessment_id)
        .where(AssessmentRow.file_id == file_id, NeedRow.kind == SubjectKind.DWELLING.value)
        .order_by(NeedRow.need_id)
        .with_for_update(of=NeedRow)
    )
    return (await session.scalars(query)).all()


async def need_to_decide(session: AsyncSession, need_id: UUID) -> tuple[NeedRow, AssessmentRow] | None:
    """A need and its assessment; the need stays locked, so that of two simultaneous decisions one waits."""
    query = (
        select(NeedRow, AssessmentRow)
        .join(AssessmentRow, AssessmentRow.assessment_id == NeedRow.assessment_id)
        .where(NeedRow.need_id == need_id)
        .with_for_update(of=NeedRow)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def decision_on(session: AsyncSession, need_id: UUID) -> DecisionRow | None:
    """What was decided on a need."""
    return await session.get(DecisionRow, need_id)


async def delete_subject(session: AsyncSession, subject_id: UUID) -> Sequence[UUID]:
    """Delete what was found on a subject and decided about it, and store nothing of it later; gives its needs."""
    await begin_erasing(session)
    await run(session, _ERASE, {"subject_id": subject_id})
    query = select(NeedRow.need_id).where(NeedRow.subject_id == subject_id).order_by(NeedRow.need_id)
    needs = (await session.scalars(query.with_for_update())).all()
    await session.execute(delete(DecisionRow).where(DecisionRow.need_id.in_(needs)))
    await session.execute(delete(NeedRow).where(NeedRow.need_id.in_(needs)))
    for table in ("exclusion", "moved_mention"):
        await run(session, f"DELETE FROM {table} WHERE subject_id = :subject_id", {"subject_id": subject_id})  # noqa: S608
    await session.execute(delete(AssessedSubjectRow).where(AssessedSubjectRow.subject_id == subject_id))
    return needs
