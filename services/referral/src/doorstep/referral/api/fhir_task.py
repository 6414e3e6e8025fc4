"""A step in FHIR R4: what of a Task says it, and what of the Task must agree with the request that it is sent to.

The step is `status`, `businessStatus`, `statusReason`, `output` and `note`; its id is an identifier. What names the
request has to name this one. What the station says of it may come back as it was read and changes nothing; any other
element is refused, for it would be lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import UUID7, AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema

from doorstep.contracts.codes import BusinessStatus, Department, Outcome, Reason, TaskState
from doorstep.kit.problems import Fault, Problem
from doorstep.referral.domain import fhir
from doorstep.referral.errors import VersionStale
from doorstep.referral.operations.tasks import Wish
from doorstep.referral.schemas import Body, Text

Code = TypeVar("Code", bound=StrEnum)
System = Annotated[
    str, Field(max_length=64, pattern=r"^(urn:doorstep:[a-z-]+|http://hl7\.org/fhir/CodeSystem/task-code)$")
]
Word = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,64}$")]
Echo = Annotated[Any, AfterValidator(lambda _: None), Field(description="As it was read; changes nothing.")]
"""Of no effect and kept nowhere, whatever it is."""
_UUID = TypeAdapter(UUID)
_UUID7 = TypeAdapter(UUID7)


class Unread(BaseModel):
    """Part of a Task of which some elements are read, and the others nothing to us."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Meta(Unread):
    """Which version the Task was made of."""

    versionId: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")] | None = None  # noqa: N815


class Identifier(Body):
    """A name in a system."""

    system: System
    value: Word


class Reference(Body):
    """Another thing, by an address or by an identifier."""

    reference: Annotated[str, Field(pattern=r"^urn:doorstep:[a-z-]+:[0-9a-f-]{36}$")] | None = None
    type: Echo = None
    identifier: Identifier | None = None
    display: Echo = None


class Coding(Body):
    """A code in a system."""

    system: System
    code: Word
    display: Echo = None


class Concept(Body):
    """One code, and how it reads: whether it is one at all is for whoever reads it to check, by `_of`."""

    coding: Annotated[tuple[Coding, ...], Field(max_length=1)]
    text: Echo = None

    @property
    def code(self) -> str:
        """The code."""
        return self.coding[0].code


def _of(system: str, codes: type[StrEnum] | frozenset[str]) -> Callable[[Concept], Concept]:
    """Checks that a concept is one of `codes` in `system`."""

    def check(concept: Concept) -> Concept:
        one = concept.coding[0] if concept.coding else None
        if one is None or one.system != system or one.code not in set(codes):
            raise ValueError(f"须为 {system} 中的代码", f"must be a code of {system}")
        return concept

    return check


OutcomeConcept = Annotated[Concept, AfterValidator(_of(fhir.OUTCOME, Outcome))]
OutputType = Annotated[Concept, AfterValidator(_of(fhir.TASK_OUTPUT, frozenset({"outcome"})))]


class Output(Body):
    """With what the task was completed."""

    type: OutputType
    valueCodeableConcept: OutcomeConcept  # noqa: N815


class Note(Body):
    """Free text."""

    text: Text


def _task(name: str) -> str:
    if name != "Task":
        raise ValueError("须为 Task", "must be a Task")
    return name


class TaskBody(Body):
    """A Task whose status, business status, reason, outcome or note says the next step."""

    resourceType: Annotated[str, AfterValidator(_task), WithJsonSchema({"const": "Task", "type": "string"})]  # noqa: N815
    id: UUID | None = None
    meta: Meta | None = None
    identifier: Annotated[
        tuple[Identifier, ...],
        Field(max_length=2, description=f"The step's id, a UUIDv7 in `{fhir.STEP}`; the request's."),
    ]
    status: TaskState
    statusReason: Annotated[Concept, AfterValidator(_of(fhir.REASON, Reason))] | None = None  # noqa: N815
    businessStatus: (  # noqa: N815
        Annotated[Concept, AfterValidator(_of(fhir.BUSINESS_STATUS, BusinessStatus))] | None
    ) = None
    intent: Literal["order"]
    code: Annotated[Concept, AfterValidator(_of(fhir.TASK_CODE, frozenset({fhir.FULFILL})))] | None = None
    focus: Reference | None = None
    about: Annotated[Reference | None, Field(alias="for")] = None
    owner: Reference | None = None
    output: Annotated[tuple[Output, ...], Field(max_length=1)] = ()
    note: Annotated[tuple[Note, ...], Field(max_length=1)] = ()
    extension: Echo = None
    priority: Echo = None
    executionPeriod: Echo = None  # noqa: N815
    authoredOn: Echo = None  # noqa: N815
    lastModified: Echo = None  # noqa: N815
    requester: Echo = None
    restriction: Echo = None
    text: Echo = None
    language: Echo = None


@dataclass(frozen=True, slots=True)
class Address:
    """To which request of which department a Task is sent."""

    department: Department
    ref: UUID


def step_id(body: TaskBody, to: Address) -> UUID:
    """The id of the step that `body` says of the request at `to`.

    Raises a Problem with every place at which it names no step, or another request or department.
    """
    steps = [(place, one) for place, one in enumerate(body.identifier) if one.system == fhir.STEP]
    faults = list(_elsewhere(body, to))
    if len(steps) != 1:
        faults.append(Fault("/identifier", f"须有一个 {fhir.STEP} 编号", f"needs one identifier of {fhir.STEP}"))
    else:
        place, step = steps[0]
        found = _uuid(_UUID7, step.value)
        if found is not None and not faults:
            return found
        if found is None:
            faults.append(Fault(f"/identifier/{place}/value", "编号须为 UUIDv7", "must be a UUIDv7"))
    zh, en = "Task 与所发送的请求不一致。", "The Task does not agree with the request that it was sent to."
    raise Problem(422, "task-contradicts", zh, en, faults=faults)


def wish_of(body: TaskBody, version: int) -> Wish:
    """The step. Raises VersionStale for a Task that was made of another version than the caller says they saw."""
    if body.meta is not None and body.meta.versionId not in (None, str(version)):
        raise VersionStale
    subject = None if body.about is None or body.about.identifier is None else body.about.identifier.value
    return Wish(
        body.status,
        version,
        _code(BusinessStatus, body.businessStatus),
        _code(Reason, body.statusReason),
        _code(Outcome, body.output[0].valueCodeableConcept if body.output else None),
        body.note[0].text if body.note else None,
        None if subject is None else _uuid(_UUID, subject),
    )


def _elsewhere(body: TaskBody, to: Address) -> list[Fault]:
    """The places at which a Task names something else than what it was sent to."""
    zh, en = "与地址中的请求不一致", "is not of the request in the address"
    agree = {
        "/id": body.id in (None, to.ref),
        "/focus": _refers(body.focus, fhir.address_of("ServiceRequest", to.ref), fhir.REQUEST, to.ref),
        "/owner": _refers(body.owner, None, fhir.AGENCY, to.department),
        "/for": _refers(body.about, None, fhir.SUBJECT, None),
    }
    faults = [Fault(place, zh, en) for place, agrees in agree.items() if not agrees]
    for place, one in enumerate(body.identifier):
        if one.system != fhir.STEP and (one.system != fhir.REQUEST or _uuid(_UUID, one.value) != to.ref):
            faults.append(Fault(f"/identifier/{place}", zh, en))
    return faults


def _refers(reference: Reference | None, address: str | None, system: str, value: UUID | Department | None) -> bool:
    """Whether a reference, if there is one, is to `address` or `value`; without a value, to any UUID in the system."""
    if reference is None:
        return True
    named = reference.identifier
    by_address = reference.reference is None or reference.reference == address
    if named is None:
        return by_address and reference.reference is not None
    known = _uuid(_UUID, named.value) if not isinstance(value, Department) else named.value
    return by_address and named.system == system and known is not None and value in (None, known)


def _uuid(kind: "TypeAdapter[UUID]", text: str) -> UUID | None:
    try:
        return kind.validate_python(text)
    except ValidationError:
        return None


def _code(codes: type[Code], concept: Concept | None) -> Code | None:
    return None if concept is None else codes(concept.code)
