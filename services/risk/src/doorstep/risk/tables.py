"""The tables of triage. Columns of bytes are encrypted under the data key of the row's subject."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    """What all tables of triage have in common."""

    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012 - declared by SQLAlchemy


class AssessmentRow(Table):
    """One record, read by one rule pack."""

    __tablename__ = "assessment"

    assessment_id: Mapped[UUID] = mapped_column(primary_key=True)
    record_id: Mapped[UUID] = mapped_column(unique=True)
    file_id: Mapped[UUID]
    station: Mapped[str]
    recorded_by: Mapped[UUID]
    rule_pack: Mapped[str]
    assessed_at: Mapped[datetime]


class AssessedSubjectRow(Table):
    """One subject of the record; `not_evaluated` are the rules that could not tell, with what they missed."""

    __tablename__ = "assessed_subject"

    assessment_id: Mapped[UUID] = mapped_column(ForeignKey("assessment.assessment_id"), primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    not_evaluated: Mapped[bytes]


class NeedRow(Table):
    """One need; `content` is the need, the subject's card and the facts that the rule read."""

    __tablename__ = "need"

    need_id: Mapped[UUID] = mapped_column(primary_key=True)
    assessment_id: Mapped[UUID] = mapped_column(ForeignKey("assessment.assessment_id"))
    subject_id: Mapped[UUID]
    kind: Mapped[str]
    wanted: Mapped[bool]
    content: Mapped[bytes]


class DecisionRow(Table):
    """What a reviewer decided on a suggested need, and why."""

    __tablename__ = "decision"

    need_id: Mapped[UUID] = mapped_column(ForeignKey("need.need_id"), primary_key=True)
    decision: Mapped[str]
    reason: Mapped[bytes]
    decided_by: Mapped[UUID]
    decided_at: Mapped[datetime]
