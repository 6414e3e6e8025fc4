"""HTTP bodies of triage, in and out."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import UUID7, AfterValidator, BaseModel, ConfigDict, Field

from doorstep.contracts.codes import Decision, Department, SaidBy, Urgency
from doorstep.contracts.facts import FactValue, SubjectKind
from doorstep.risk.domain.pack import RulePack, Title


def _text(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("含无效字符", "has characters that are not text")
    if not text.strip():
        raise ValueError("不能为空", "says nothing")
    return text


class DecisionBody(BaseModel):
    """A reviewer's word on a suggested need, with the reason; `id` is the client's own for this command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID7
    decision: Decision
    reason: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_text)]


class Answer(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True)


class DecisionAnswer(Answer):
    """What holds now for the need."""

    need_id: UUID
    decision: Decision


class FactView(Answer):
    """A fact that a rule read."""

    fact_id: UUID
    code: str
    value: FactValue
    said_by: SaidBy


class NeedView(Answer):
    """A need with the rule that found it and the facts that the rule read.

    `state`: handed-on (asked for), suggested (waits for a reviewer), confirmed or rejected.
    """

    need_id: UUID
    subject_id: UUID
    kind: SubjectKind
    need_type: str
    title: Title
    department: Department | None
    urgency: Urgency
    confidential: bool
    wanted: bool
    rule: str
    facts: tuple[FactView, ...]
    state: Literal["handed-on", "suggested", "confirmed", "rejected"]
    reason: str | None = None
    decided_at: datetime | None = None


class GapView(Answer):
    """A rule that could not tell, and the facts that it missed."""

    rule: str
    missing: tuple[str, ...]


class SubjectView(Answer):
    """A subject of the record, and the rules that could not tell about it."""

    subject_id: UUID
    kind: SubjectKind
    not_evaluated: tuple[GapView, ...]


class AssessmentView(Answer):
    """What triage found in a record, by which rule pack; the most urgent needs come first."""

    assessment_id: UUID
    record_id: UUID
    file_id: UUID
    rule_pack: str
    assessed_at: datetime
    needs: tuple[NeedView, ...]
    subjects: tuple[SubjectView, ...]


class PackAnswer(Answer):
    """The rule pack in force; `digest` is the SHA-256 of `pack` as canonical JSON, `name` what assessments cite."""

    name: str
    digest: str
    pack: RulePack
