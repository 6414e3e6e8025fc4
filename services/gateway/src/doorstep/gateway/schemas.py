"""HTTP bodies of the gateway."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from doorstep.contracts.codes import DEPARTMENT_NAMES, Department
from doorstep.contracts.facts import CATALOGUE, SubjectKind
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.wire import format_time, parse_time
from doorstep.gateway.domain.journey import StepKind
from doorstep.gateway.operations.reading import StepShown


class Named(BaseModel):
    """A code with its Chinese and English name."""

    code: str
    zh: str
    en: str


class FactNamed(Named):
    """A fact, with its value where the step tells it: a need names the facts that its rule read, and no values."""

    value: bool | int | str | None = None


class JourneyStep(BaseModel):
    """One step of a record's journey; its id is random, its time of whole minutes: between two nothing shows."""

    step_id: UUID
    kind: StepKind
    at: str
    subject_id: UUID | None = None
    subject_kind: SubjectKind | None = None
    need: Named | None = None
    department: Named | None = None
    rule: str | None = None
    facts: tuple[FactNamed, ...] | None = None
    detail: dict[str, Any]


class JourneySoFar(BaseModel):
    """The journey of a record until now."""

    record_id: UUID
    steps: tuple[JourneyStep, ...]


def journey_step(shown: StepShown) -> JourneyStep:
    """The step for the page: codes with their names in both languages."""
    step, content = shown.step, dict(shown.content or {})
    facts = content.pop("facts", None)
    need, department = content.pop("need_type", None), content.pop("department", None)
    return JourneyStep(
        step_id=shown.step_id,
        kind=step.kind,
        at=format_time(parse_time(step.at).replace(second=0, microsecond=0)),
        subject_id=step.subject_id,
        subject_kind=step.subject_kind,
        need=None if need is None else _need(need),
        department=None if department is None else _department(department),
        rule=content.pop("rule", None),
        facts=None if facts is None else tuple(_fact(fact) for fact in facts),
        detail={**step.open, **content},
    )


def _need(code: str) -> Named:
    known = NEED_TYPES.get(code)
    return Named(code=code, zh=known.zh if known else code, en=known.en if known else code)


def _department(code: str) -> Named:
    zh, en = DEPARTMENT_NAMES[Department(code)]
    return Named(code=code, zh=zh, en=en)


def _fact(fact: dict[str, Any]) -> FactNamed:
    code, known = fact["code"], CATALOGUE.get(fact["code"])
    zh, en = (known.zh, known.en) if known else (code, code)
    return FactNamed(code=code, zh=zh, en=en, value=fact.get("value"))
