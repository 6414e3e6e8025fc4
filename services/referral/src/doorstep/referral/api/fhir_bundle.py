"""A request in FHIR R4, made of the department's projection alone: it cannot tell more.

Name, ways of contact, papers and facts of a projection are in no element: the person is named by the department's own
id for them, and the rest stays where it is encrypted, in the feed, or logged, in the JSON answer.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from doorstep.contracts.codes import AGENCY_NAMES, STATION, Department
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain import fhir
from doorstep.referral.schemas import DepartmentRequest, TransitionAnswer, TransitionView


def bundle(department: Department, request: DepartmentRequest) -> dict[str, Any]:
    """A Bundle (collection) of the Task and the ServiceRequest that it is to fulfil."""
    resources = (task(department, request), service_request(department, request))
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": fhir.address_of(one["resourceType"], request.ref), "resource": one} for one in resources],
    }


def task(department: Department, request: DepartmentRequest) -> dict[str, Any]:
    """The Task: where the request stands, until when it is owed, with what it ended."""
    newest, entered = request.history[-1:], _entered(request)
    return _present(
        resourceType="Task",
        id=str(request.ref),
        meta={"versionId": str(request.version)},
        extension=list(_extensions(request)),
        identifier=[fhir.identifier(fhir.REQUEST, request.ref)],
        status=request.state,
        statusReason=entered and entered.reason and _told(entered, fhir.concept(fhir.REASON, entered.reason)),
        businessStatus=request.business_status and fhir.concept(fhir.BUSINESS_STATUS, request.business_status),
        intent=fhir.ORDER,
        priority=fhir.PRIORITY[request.offer.urgency],
        code=fhir.concept(fhir.TASK_CODE, fhir.FULFILL),
        focus={"reference": fhir.address_of("ServiceRequest", request.ref), "type": "ServiceRequest"},
        **{"for": _subject(request)},
        executionPeriod=request.closed_at and {"end": _time(request.closed_at)},
        authoredOn=_time(request.opened_at),
        lastModified=newest and _time(newest[0].at),
        requester=_agency(STATION),
        owner=_agency(department),
        restriction={"period": {"end": _time(request.complete_by)}},
        output=entered and entered.outcome and [_outcome(entered)],
    )


def service_request(department: Department, request: DepartmentRequest) -> dict[str, Any]:
    """The ServiceRequest: which need is to be met, and what must not be done."""
    offer = request.offer
    known = NEED_TYPES.get(offer.need_type)
    return _present(
        resourceType="ServiceRequest",
        id=str(request.ref),
        extension=[fhir.extension("barred", "Code", str(one)) for one in offer.barred or ()],
        identifier=[fhir.identifier(fhir.REQUEST, request.ref)],
        status=fhir.ORDER_STATUS[request.state],
        intent=fhir.ORDER,
        priority=fhir.PRIORITY[offer.urgency],
        code=fhir.concept(fhir.NEED_TYPE, offer.need_type) | ({"text": known.zh} if known else {}),
        subject=_subject(request),
        authoredOn=_time(request.opened_at),
        requester=_agency(STATION),
        performer=[_agency(department), *_office(offer.office)],
    )


def moved_task(answer: TransitionAnswer) -> dict[str, Any]:
    """The Task after a step, as far as the answer to a step tells it."""
    waits = [fhir.extension("to", "Code", answer.proposed)]
    return _present(
        resourceType="Task",
        id=str(answer.ref),
        meta={"versionId": str(answer.version)},
        extension=answer.proposed and [{"url": f"{fhir.EXTENSION}proposal", "extension": waits}],
        identifier=[fhir.identifier(fhir.REQUEST, answer.ref)],
        status=answer.state,
        businessStatus=answer.business_status and fhir.concept(fhir.BUSINESS_STATUS, answer.business_status),
        intent=fhir.ORDER,
    )


def _extensions(request: DepartmentRequest) -> Iterable[dict[str, Any]]:
    """What a Task has no element for."""
    yield fhir.extension("respond-by", "DateTime", _time(request.respond_by))
    yield fhir.extension("provisional", "Boolean", request.provisional)
    yield fhir.extension("overdue", "Boolean", request.overdue)
    yield fhir.extension("late", "Code", request.late)
    yield fhir.extension("assigned", "Boolean", request.assigned)
    yield fhir.extension("legal-basis", "Code", request.legal_basis)
    asked = request.proposal
    if asked is not None:
        said = {"to": asked.to, "by": asked.by, "reason": asked.reason}
        parts = [fhir.extension(name, "Code", code) for name, code in said.items() if code is not None]
        yield {"url": f"{fhir.EXTENSION}proposal", "extension": parts}


def _entered(request: DepartmentRequest) -> TransitionView | None:
    """The step by which the request came into its state."""
    steps = (one for one in reversed(request.history) if one.from_state != one.to_state == request.state)
    return next(steps, None)


def _outcome(entered: TransitionView) -> dict[str, Any]:
    kind = fhir.concept(fhir.TASK_OUTPUT, "outcome")
    return {"type": kind, "valueCodeableConcept": _told(entered, fhir.concept(fhir.OUTCOME, str(entered.outcome)))}


def _told(entered: TransitionView, concept: dict[str, Any]) -> dict[str, Any]:
    """A concept with the words of the department's template, if the step was told by one."""
    return concept if entered.wording is None else concept | {"text": entered.wording.zh}


def _subject(request: DepartmentRequest) -> dict[str, Any]:
    """Whom it is about, by the department's own id alone."""
    return {"identifier": fhir.identifier(fhir.SUBJECT, request.offer.subject_ref)}


def _agency(agency: str) -> dict[str, Any]:
    return {"identifier": fhir.identifier(fhir.AGENCY, agency), "display": AGENCY_NAMES[agency][0]}


def _office(office: UUID | None) -> Iterable[dict[str, Any]]:
    """The department's office, if the directory chose one."""
    if office is not None:
        yield {"type": "HealthcareService", "identifier": fhir.identifier(fhir.OFFICE, office)}


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _present(**elements: Any) -> dict[str, Any]:
    """The elements that have something to say: none in FHIR is null or empty."""
    return {name: value for name, value in elements.items() if value is not None and value not in ([], (), "")}
