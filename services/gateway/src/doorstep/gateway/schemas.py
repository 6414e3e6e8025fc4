"""HTTP bodies of the gateway."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import UUID7, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

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


class Body(BaseModel):
    """A body that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DrawCodeBody(Body):
    """A wish for a one-time code; `id` is made by the client. The collector is alone with the person, and says so."""

    id: UUID7
    alone: Literal[True]


class CodeDrawn(BaseModel):
    """A one-time code, to be read aloud to its person and nobody besides, and until when it can be used."""

    code: str
    valid_until: datetime


class CodeBody(Body):
    """A one-time code, however it is typed."""

    code: Annotated[str, Field(min_length=1, max_length=40)]


class ResidentSession(BaseModel):
    """A resident's session was opened: in how many seconds it ends at the latest."""

    ends_in: int


class Behind(Body):
    """The place in a list behind the usage of this time and entry."""

    at: AwareDatetime
    entry_id: UUID


class OwnUsageBody(Body):
    """`before` is `next` of an answer, to read on where it ended."""

    before: Behind | None = None


StaffId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class OwnServiceBody(Body):
    """A service of the menu, asked for by whoever is signed in; `id` is the record's, and may come twice."""

    id: UUID7
    service: Annotated[str, StringConstraints(pattern=r"^[a-z-]{1,60}$")]


class OwnExclusionsBody(Body):
    """All staff, by the number that their badge shows, who must not handle your matter; nobody if empty."""

    staff: Annotated[tuple[StaffId, ...], Field(max_length=20)]
