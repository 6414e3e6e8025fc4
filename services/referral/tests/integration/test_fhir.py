"""A department's request in FHIR R4: what it tells, beside the projection, and the steps that a Task says."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.task import Task
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import AGENCY_NAMES, Department, Role, SafeChannel, TaskState
from doorstep.contracts.intake import SafeContact
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app

FHIR = "application/fhir+json"
NEEDS = {
    "minimum-living-allowance": "civil-affairs",
    "no-heating": "civil-affairs",
    "health-advice": "health",
    "legal-aid": "justice",
    "protection-from-violence": "justice",
    "gas-leak": "fire",
    "wage-help": "labour",
    "housing-repair": "housing",
}
SAFE = SafeContact(
    channel=SafeChannel.PHONE, number="13900139000", hours_from="09:00", hours_to="11:00", cover="送水的"
)
PRIORITY = {"one-hour": "stat", "day": "routine"}
ORDER_STATUS = {"requested": "active", "accepted": "active", "completed": "completed", "on-hold": "on-hold"}

# Which field of the projection each element tells, written by hand.
TELLS = {
    "Task.id": "ref",
    "Task.meta.versionId": "version",
    "Task.extension.respond-by": "respond_by",
    "Task.extension.provisional": "provisional",
    "Task.extension.overdue": "overdue",
    "Task.extension.late": "late",
    "Task.extension.assigned": "assigned",
    "Task.extension.legal-basis": "legal_basis",
    "Task.extension.proposal.to": "proposal.to",
    "Task.extension.proposal.by": "proposal.by",
    "Task.extension.proposal.reason": "proposal.reason",
    "Task.identifier.value": "ref",
    "Task.status": "state",
    "Task.statusReason.coding.code": "history.reason",
    "Task.businessStatus.coding.code": "business_status",
    "Task.priority": "offer.urgency",
    "Task.focus.reference": "ref",
    "Task.for.identifier.value": "offer.subject_ref",
    "Task.executionPeriod.end": "closed_at",
    "Task.authoredOn": "opened_at",
    "Task.lastModified": "history.at",
    "Task.restriction.period.end": "complete_by",
    "Task.output.valueCodeableConcept.coding.code": "history.outcome",
    "ServiceRequest.id": "offer.ref",
    "ServiceRequest.extension.barred": "offer.barred",
    "ServiceRequest.identifier.value": "offer.ref",
    "ServiceRequest.status": "state",
    "ServiceRequest.priority": "offer.urgency",
    "ServiceRequest.code.coding.code": "offer.need_type",
    "ServiceRequest.code.text": "offer.need_type",
    "ServiceRequest.subject.identifier.value": "offer.subject_ref",
    "ServiceRequest.authoredOn": "opened_at",
}
SAME = {"offer.respond_by": "respond_by", "offer.complete_by": "complete_by"}
LEFT_OUT = {
    "history.version", "history.from_state", "history.to_state", "history.by", "history.note",
    "history.business_status",
    "offer.name", "offer.phone", "offer.address", "offer.place", "offer.document_number", "offer.facts.code",
    "offer.facts.value", "offer.safe_contact.channel", "offer.safe_contact.number", "offer.safe_contact.hours_from",
    "offer.safe_contact.hours_to", "offer.safe_contact.cover",
    "hotline",
}  # fmt: skip
SYSTEMS = {
    "Task.identifier.system": "urn:doorstep:request",
    "Task.statusReason.coding.system": "urn:doorstep:reason",
    "Task.businessStatus.coding.system": "urn:doorstep:business-status",
    "Task.intent": "order",
    "Task.code.coding.system": "http://hl7.org/fhir/CodeSystem/task-code",
    "Task.code.coding.code": "fulfill",
    "Task.focus.type": "ServiceRequest",
    "Task.for.identifier.system": "urn:doorstep:subject",
    "Task.requester.identifier.system": "urn:doorstep:agency",
    "Task.requester.identifier.value": "station",
    "Task.requester.display": "社区服务站",
    "Task.owner.identifier.system": "urn:doorstep:agency",
    "Task.output.type.coding.system": "urn:doorstep:task-output",
    "Task.output.type.coding.code": "outcome",
    "Task.output.valueCodeableConcept.coding.system": "urn:doorstep:outcome",
    "ServiceRequest.identifier.system": "urn:doorstep:request",
    "ServiceRequest.intent": "order",
    "ServiceRequest.code.coding.system": "urn:doorstep:need-type",
    "ServiceRequest.subject.identifier.system": "urn:doorstep:subject",
    "ServiceRequest.requester.identifier.system": "urn:doorstep:agency",
    "ServiceRequest.requester.identifier.value": "station",
    "ServiceRequest.requester.display": "社区服务站",
    "ServiceRequest.performer.identifier.system": "urn:doorstep:agency",
}


class Officers:
    """Stands in for the authenticator: the token names the department, or somebody of none."""

    async def verify(self, token: str) -> Principal:
        role, _, agency = token.rpartition("@")
        if not agency:
            raise NotAuthenticated
        return Principal(f"{token}-1", Role(role or "officer"), agency, "station-7")


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    made = await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")
    made.service.authenticator = Officers()
    return made


@pytest.fixture
def call(front):
    """Speaks to the edge."""
    return front.call


@pytest.fixture
def desk(front, desk_over):
    """A desk with a record of its own."""
    return desk_over(front.database, front.vault)


def door(task: Any, tail: str = "/fhir") -> str:
    """The address of a task at its department."""
    return f"/api/departments/{task.department}/requests/{task.ref}{tail}"


def said(status: str, **more: Any) -> dict[str, Any]:
    """A Task that says a step."""
    step = {"system": "urn:doorstep:step", "value": str(uuid7())}
    return {"resourceType": "Task", "status": status, "intent": "order", "identifier": [step]} | more


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"urn:doorstep:{system}", "code": code}]}


def output(code: str) -> list[dict[str, Any]]:
    return [{"type": coded("task-output", "outcome"), "valueCodeableConcept": coded("outcome", code)}]


async def send(call, task, body: Any, version: str | None = 'W/"1"', who: str | None = "@", **more: str) -> Any:
    """A Task sent to a request, by its department unless somebody else is named."""
    who = f"@{task.department}" if who == "@" else who
    match = {"if_match": version} if version else {}
    return await call("POST", door(task), who, body, **({"content_type": FHIR} | match | more))


async def read(call, task, tail: str = "/fhir") -> Any:
    return await call("GET", door(task, tail), f"@{task.department}", doorstep_purpose="service")


def problem(answer) -> tuple[int, str]:
    """Status and code of a refusal, which has to be an OperationOutcome."""
    assert answer.headers["content-type"] == FHIR
    outcome = OperationOutcome.model_validate(answer.body)
    return answer.status, outcome.issue[0].details.coding[0].code


def places(answer) -> list[str]:
    return [place for issue in answer.body["issue"] for place in issue.get("expression", ())]


def leaves(value: Any, before: str = "") -> list[tuple[str, Any]]:
    """All values of an answer with their paths; an extension is a path by its name."""
    if isinstance(value, list):
        return [one for item in value for one in leaves(item, before)]
    if not isinstance(value, dict):
        return [(before, value)]
    if "url" in value:
        (inner,) = [item for name, item in value.items() if name != "url"]
        before = f"{before.removesuffix('.extension')}.extension.{value['url'].rpartition(':')[2]}"
        if isinstance(inner, list):
            return [(f"{before}.{one['url'].rpartition(':')[2]}", one["valueCode"]) for one in inner]
        return [(before, inner)]
    return [one for name, item in value.items() for one in leaves(item, f"{before}.{name}".lstrip("."))]


def expected(path: str, told: dict[str, list[Any]]) -> list[Any]:
    """What an element may say, by the projection."""
    values = told[TELLS[path]]
    if path.endswith(".priority"):
        return [PRIORITY[one] for one in values]
    if path == "ServiceRequest.status":
        return [ORDER_STATUS[one] for one in values]
    if path == "ServiceRequest.code.text":
        return [NEED_TYPES[one].zh for one in values]
    if path == "Task.focus.reference":
        return [f"urn:doorstep:service-request:{one}" for one in values]
    if path == "Task.meta.versionId":
        return [str(one) for one in values]
    return values


def check_told(department: str, plain: dict[str, Any], bundle: dict[str, Any]) -> None:
    """The Bundle tells each field of the projection that it is to tell, as it is there, and nothing else.

    Of the history that is the newest step.
    """
    found: list[tuple[str, Any]] = []
    told: dict[str, list[Any]] = {}
    for path, value in leaves(plain | {"history": plain["history"][-1:]}):
        told.setdefault(path, []).append(value)
    for entry in bundle["entry"]:
        found += leaves(entry["resource"], entry["resource"].pop("resourceType"))
    agency = {"value": department, "display": AGENCY_NAMES[department][0]}
    for path, value in found:
        part = path.rpartition(".")[2]
        if path in SYSTEMS:
            assert value == SYSTEMS[path], path
        elif path.startswith(("Task.owner.", "ServiceRequest.performer.")):
            assert value == agency[part], path
        else:
            assert value in expected(path, told), path
    shown = {TELLS[path] for path, _ in found if path in TELLS}
    assert set(told) - LEFT_OUT - set(SAME) - shown == set()
    assert all(told[path] == told[same] for path, same in SAME.items())


@pytest.mark.parametrize("need_type", NEEDS)
async def test_the_bundle_tells_what_the_projection_tells_and_no_more(call, desk, need_type) -> None:
    safe = SAFE if NEED_TYPES[need_type].confidential else None
    task = await desk.opened(need_type, safe_contact=safe, follow_code="FOLLOW-ME")
    assert task.department == NEEDS[need_type]
    for status, more in (
        ("accepted", {"businessStatus": coded("business-status", "appointment-scheduled")}),
        ("on-hold", {"statusReason": coded("reason", "papers-missing"), "note": [{"text": "缺工资条"}]}),
        ("completed", {"output": output("advice-given")}),
        (None, {}),
    ):
        plain, answer = await read(call, task, ""), await read(call, task)
        assert (answer.status, answer.headers["content-type"]) == (200, FHIR)
        assert answer.headers["etag"] == "W/" + plain.headers["etag"]
        Bundle.model_validate(answer.body)
        assert [one["resource"]["resourceType"] for one in answer.body["entry"]] == ["Task", "ServiceRequest"]
        assert len({one["fullUrl"] for one in answer.body["entry"]}) == 2
        text = answer.raw.decode()
        for secret in ("FOLLOW-ME", "王秀英", "13800138000", "13900139000", "和平里", "110101194803070028", "送水的"):
            assert secret not in text
        for hidden in (task.request_id, task.task_id, task.record_id, task.file_id, task.subject_id):
            assert str(hidden) not in text
        check_told(task.department, plain.body, answer.body)
        if status:
            moved = await send(call, task, said(status, **more), answer.headers["etag"])
            assert (moved.status, moved.body["status"]) == (200, status), moved.body
            Task.model_validate(moved.body)


async def test_every_department_is_asked_what_it_is_told(desk) -> None:
    assert set(NEEDS.values()) == {str(department) for department in Department}


async def test_a_cancellation_that_waits_and_its_reason_are_told(call, desk) -> None:
    task = await desk.opened("legal-aid")
    await desk.step(task, TaskState.ACCEPTED)
    asked = await send(call, task, said("cancelled", statusReason=coded("reason", "moved-away")), 'W/"2"')
    assert (asked.status, asked.body["status"], asked.headers["etag"]) == (200, "accepted", 'W/"3"')
    assert leaves(asked.body["extension"])[0][1] == "cancelled"
    plain, answer = await read(call, task, ""), await read(call, task)
    Bundle.model_validate(answer.body)
    resource = answer.body["entry"][0]["resource"]
    assert "statusReason" not in resource  # it is the reason of what waits, not of the state
    waits = {path: value for path, value in leaves(resource) if ".proposal." in f".{path}"}
    assert set(waits.values()) == {"cancelled", "department", "moved-away"}
    assert plain.body["proposal"] == {"to": "cancelled", "by": "department", "reason": "moved-away"}


async def test_a_task_that_was_read_goes_back_with_its_next_step(call, desk) -> None:
    """What a hospital's system does: the resource as it came, another status, an id for the step."""
    task = await desk.opened("health-advice")
    for status, more in (("accepted", {}), ("in-progress", {}), ("completed", {"output": output("service-provided")})):
        answer = await read(call, task)
        resource = answer.body["entry"][0]["resource"] | {"status": status} | more
        resource["identifier"].append({"system": "urn:doorstep:step", "value": str(uuid7())})
        Task.model_validate(resource)
        moved = await send(call, task, resource, answer.headers["etag"])
        assert (moved.status, moved.body["status"]) == (200, status), moved.body
    rows = await desk.rows(
        "SELECT from_state, to_state, party, person FROM task_transition WHERE task_id = :id AND version > 1"
        " ORDER BY version",
        id=task.task_id,
    )
    assert [tuple(row) for row in rows] == [
        ("requested", "accepted", "department", "@health-1"),
        ("accepted", "in-progress", "department", "@health-1"),
        ("in-progress", "completed", "department", "@health-1"),
    ]


async def test_reads_and_steps_are_logged_as_their_json_calls_are(call, desk) -> None:
    task = await desk.opened("legal-aid")
    await read(call, task)
    await send(call, task, said("accepted"))
    assert (await send(call, task, said("in-progress"), who="@health")).status == 403
    logged = [(one["action"], one["outcome"]) for one in await desk.logged(task.subject_id)]
    assert logged == [
        ("open-request", "done"),
        ("read-request", "done"),
        ("transition-task", "accepted"),
        ("transition-task", "refused:forbidden"),
    ]


@pytest.mark.parametrize(
    ("tail", "who", "status", "code"),
    [
        ("/fhir", None, 401, "not-authenticated"),
        ("/fhir", "@health", 403, "forbidden"),
        ("/fhir", "reviewer@station", 403, "forbidden"),
        ("/fhir", "reviewer@police", 403, "forbidden"),
        ("", "@health", 404, "request-unknown"),
    ],
)
async def test_nobody_else_reads_or_moves_it(call, desk, tail, who, status, code) -> None:
    task = await desk.opened("legal-aid")
    address = door(task) if tail else f"/api/departments/health/requests/{task.ref}/fhir"
    got = await call("GET", address, who, doorstep_purpose="service")
    sent = await call("POST", address, who, said("accepted"), content_type=FHIR, if_match='W/"1"')
    assert problem(got) == problem(sent) == (status, code)
    assert got.body == sent.body
    assert (await desk.task(task.need_id)).version == 1


REF = "0198c0de-0000-4000-8000-000000000001"
ELSEWHERE = {"identifier": {"system": "urn:doorstep:subject", "value": REF}}
CONTRADICTIONS = [
    ({"status": "completed", "output": output("granted")}, 409, "transition-not-allowed", []),
    ({"status": "requested"}, 409, "transition-not-allowed", []),
    ({"status": "cancelled", "statusReason": coded("reason", "duplicate")}, 409, "not-this-party", []),
    ({"status": "ready"}, 422, "invalid", ["status"]),
    ({"status": "rejected"}, 422, "reason-missing", ["statusReason"]),
    ({"businessStatus": coded("business-status", "attended")}, 409, "status-contradicts", []),
    ({"businessStatus": coded("business-status", "fulfilled")}, 422, "invalid", ["businessStatus"]),
    ({"businessStatus": coded("reason", "attended")}, 422, "invalid", ["businessStatus"]),
    ({"status": "rejected", "statusReason": coded("reason", "mood")}, 422, "invalid", ["statusReason"]),
    ({"status": "rejected", "statusReason": {"coding": []}}, 422, "invalid", ["statusReason"]),
    ({"status": "rejected", "statusReason": {"text": "不归我们"}}, 422, "invalid", ["statusReason.coding"]),
    ({"output": output("granted") * 2}, 422, "invalid", ["output"]),
    ({"output": output("healed")}, 422, "invalid", ["output[0].valueCodeableConcept"]),
    ({"resourceType": "ServiceRequest"}, 422, "invalid", ["resourceType"]),
    ({"resourceType": None}, 422, "invalid", ["resourceType"]),
    ({"intent": "proposal"}, 422, "invalid", ["intent"]),
    ({"code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "abort"}]}}, 422, "invalid",
     ["code"]),
    ({"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, 422, "invalid", ["modifierExtension"]),
    ({"partOf": [{"reference": "Task/1"}]}, 422, "invalid", ["partOf"]),
    ({"note": [{"text": "a"}, {"text": "b"}]}, 422, "invalid", ["note"]),
    ({"note": [{"text": "a\0b"}]}, 422, "invalid", ["note[0].text"]),
    ({"identifier": []}, 422, "task-contradicts", ["identifier"]),
    ({"identifier": [{"system": "urn:doorstep:request", "value": REF}]}, 422, "task-contradicts",
     ["identifier[0]", "identifier"]),
    ({"identifier": [{"system": "urn:doorstep:step", "value": REF}]}, 422, "task-contradicts",
     ["identifier[0].value"]),
    ({"id": REF}, 422, "task-contradicts", ["id"]),
    ({"focus": {"reference": f"urn:doorstep:service-request:{REF}"}}, 422, "task-contradicts", ["focus"]),
    ({"owner": {"identifier": {"system": "urn:doorstep:agency", "value": "health"}}}, 422, "task-contradicts",
     ["owner"]),
    ({"owner": {"display": "我们"}}, 422, "task-contradicts", ["owner"]),
    ({"for": {"reference": "Patient/1"}}, 422, "invalid", ["for.reference"]),
    ({"for": {"reference": f"urn:doorstep:task:{REF}"}}, 422, "task-contradicts", ["for"]),
    ({"for": {"identifier": {"system": "urn:doorstep:subject", "value": "王秀英"}}}, 422, "invalid",
     ["for.identifier.value"]),
    ({"businessStatus": {"coding": [{"system": "http://snomed.info/sct", "code": "attended"}]}}, 422, "invalid",
     ["businessStatus.coding[0].system"]),
    ({"for": ELSEWHERE}, 409, "about-another", ["for"]),
    ({"meta": {"versionId": "2"}}, 412, "version-stale", []),
    ({"meta": "2"}, 422, "invalid", ["meta"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "status", "code", "where"),
    CONTRADICTIONS,
    ids=[f"{place}-{code}" for place, (_, _, code, _) in enumerate(CONTRADICTIONS)],
)
async def test_a_contradiction_is_named_and_changes_nothing(call, desk, changed, status, code, where) -> None:
    task = await desk.opened("legal-aid")
    body = said("accepted") | changed
    answer = await send(call, task, body)
    assert problem(answer) == (status, code)
    assert places(answer) == where
    assert (await desk.task(task.need_id)).version == 1
    mended = said("accepted", identifier=body["identifier"]) if code in ("about-another", "version-stale") else None
    assert mended is None or (await send(call, task, mended)).status == 200  # its id was not used up


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b'{"resourceType": "Task", "resourceType": "Task"}', 400, "field-twice"),
        (b"[" * 33 + b"]" * 33, 400, "too-deep"),
        (b'{"text": ' + b"[" * 32 + b"]" * 32 + b"}", 400, "too-deep"),
        (b"[]", 422, "invalid"),
        (b'"Task"', 422, "invalid"),
        (b'{"resourceType": "Task\\ud800"}', 422, "invalid"),
        (b" " * (1 << 20) + b"{}", 413, "too-large"),
    ],
    ids=["cut", "twice", "deep", "deep-inside", "list", "text", "surrogate", "large"],
)
async def test_what_is_no_task_at_all_is_answered_in_fhir(call, desk, raw, status, code) -> None:
    task = await desk.opened("legal-aid")
    assert problem(await send(call, task, raw)) == (status, code)
    assert (await desk.task(task.need_id)).version == 1


@pytest.mark.parametrize(
    ("version", "kind", "status", "code"),
    [
        (None, FHIR, 428, "version-required"),
        ('W/"2"', FHIR, 412, "version-stale"),
        ("*", FHIR, 412, "version-stale"),
        ('W/"1"', "application/fhir+xml", 415, "content-type"),
    ],
)
async def test_a_step_names_its_version_and_its_form(call, desk, version, kind, status, code) -> None:
    task = await desk.opened("legal-aid")
    answer = await send(call, task, said("accepted"), version, content_type=kind)
    assert problem(answer) == (status, code)
    assert (await desk.task(task.need_id)).version == 1
    assert (await send(call, task, said("accepted"), ' "1" ')).status == 200  # strong or weak, it is the same version


async def test_fhir_is_taken_where_it_is_spoken_and_nowhere_else(call, desk) -> None:
    task = await desk.opened("legal-aid")
    step = {"id": str(uuid7()), "to": "accepted"}
    answer = await call("POST", door(task, "/transitions"), "@justice", step, content_type=FHIR, if_match='"1"')
    assert (answer.status, answer.headers["content-type"]) == (415, "application/problem+json")
    assert (await send(call, task, said("accepted"), content_type="application/json")).status == 200


async def test_the_language_of_a_refusal_is_the_callers(call, desk) -> None:
    task = await desk.opened("legal-aid")
    texts = [
        (await send(call, task, said("rejected"), accept_language=one)).body["issue"][0]["details"]["text"]
        for one in ("zh", "en")
    ]
    assert texts == ["转为 rejected 须说明原因代码。", "Name a reason code to go to rejected."]


async def test_a_step_sent_again_is_answered_again_and_is_one_step(call, desk) -> None:
    task = await desk.opened("legal-aid")
    body = said("accepted")
    answers = await asyncio.gather(*(send(call, task, body) for _ in range(4)))
    assert {(answer.status, answer.headers["etag"]) for answer in answers} == {(200, 'W/"2"')}
    await send(call, task, said("in-progress"), 'W/"2"')
    later = body | {"lastModified": "2026-03-02T09:00:00Z"}  # nothing that is read
    assert (await send(call, task, later, None)).body == answers[0].body
    assert (await desk.task(task.need_id)).version == 3
    for changed in (body | {"status": "on-hold"}, body | {"note": [{"text": "更正"}]}):
        assert problem(await send(call, task, changed, 'W/"3"')) == (409, "id-reused")
    other = await desk.opened("legal-aid")
    assert problem(await send(call, other, body)) == (409, "id-reused")
    plain = {"id": body["identifier"][0]["value"], "to": "accepted"}
    assert (await call("POST", door(task, "/transitions"), "@justice", plain, if_match='"3"')).status == 409


async def test_of_two_steps_on_one_version_one_wins_whichever_way_they_come(call, desk) -> None:
    task = await desk.opened("legal-aid")
    plain = [{"id": str(uuid7()), "to": "accepted"} for _ in range(2)]
    answers = await asyncio.gather(
        *(call("POST", door(task, "/transitions"), "@justice", one, if_match='"1"') for one in plain),
        *(send(call, task, said("accepted")) for _ in range(2)),
    )
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412]


async def test_what_was_taken_back_or_is_unknown_is_not_moved(call, desk) -> None:
    task = await desk.opened("legal-aid")
    unknown = f"/api/departments/justice/requests/{uuid4()}/fhir"
    await desk.station_step(task, TaskState.CANCELLED)
    body = said("accepted")
    assert problem(await send(call, task, body, 'W/"2"')) == (409, "transition-not-allowed")
    answer = await call("POST", unknown, "@justice", body, content_type=FHIR, if_match='W/"1"')
    assert problem(answer) == (404, "request-unknown")
