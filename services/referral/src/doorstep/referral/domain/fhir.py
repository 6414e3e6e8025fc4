"""The words of a request in FHIR R4: systems of identifiers and codes, extensions, and how our codes read there.

Task and ServiceRequest are used as in the SDOH Clinical Care guide: the states of a task are the same words.
"""

from typing import Any

from doorstep.contracts.codes import TaskState, Urgency

#: By these an identifier says what it names: a request by the department's own id, a step by the caller's.
REQUEST = "urn:doorstep:request"
STEP = "urn:doorstep:step"
SUBJECT = "urn:doorstep:subject"
AGENCY = "urn:doorstep:agency"
OFFICE = "urn:doorstep:office"

#: Coding systems: each is a list of codes of the contracts.
BUSINESS_STATUS = "urn:doorstep:business-status"
REASON = "urn:doorstep:reason"
OUTCOME = "urn:doorstep:outcome"
NEED_TYPE = "urn:doorstep:need-type"
TASK_OUTPUT = "urn:doorstep:task-output"
TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
FULFILL = "fulfill"

EXTENSION = "urn:doorstep:fhir:"
ORDER = "order"

#: A day is the term of every request and so the routine; before it comes only what is owed within the hour.
PRIORITY = {Urgency.ONE_HOUR: "stat", Urgency.DAY: "routine"}

#: How an order stands whose task is in this state. What this department does not do it is no longer asked for.
ORDER_STATUS = {
    TaskState.DRAFT: "draft",
    TaskState.REQUESTED: "active",
    TaskState.ACCEPTED: "active",
    TaskState.IN_PROGRESS: "active",
    TaskState.ON_HOLD: "on-hold",
    TaskState.COMPLETED: "completed",
    TaskState.REJECTED: "revoked",
    TaskState.FAILED: "revoked",
    TaskState.CANCELLED: "revoked",
    TaskState.ENTERED_IN_ERROR: "entered-in-error",
}


def address_of(resource: str, ref: object) -> str:
    """By what a resource of a request is named in a Bundle (`fullUrl`) and referred to."""
    return f"urn:doorstep:{'task' if resource == 'Task' else 'service-request'}:{ref}"


def identifier(system: str, value: object) -> dict[str, Any]:
    """An Identifier."""
    return {"system": system, "value": str(value)}


def concept(system: str, code: str) -> dict[str, Any]:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": str(code)}]}


def extension(name: str, kind: str, value: object) -> dict[str, Any]:
    """An Extension of ours with a value of this kind, such as `Code`."""
    return {"url": f"{EXTENSION}{name}", f"value{kind}": value}
