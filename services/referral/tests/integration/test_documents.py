"""Documents through the front door: attached once, saved by whose they are, by nobody besides, gone in the end."""

import asyncio
import hashlib
from typing import Any

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Outcome, Reason, TaskState
from doorstep.contracts.documents import DOCUMENT_BYTES
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.operations import documents
from doorstep.referral.operations.erasing import erase_subject

PDF = b"%PDF-1.7\n" + b"approved for the person " * 40
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 64
SERVICE, TRIAGE = {"doorstep_purpose": "service"}, {"doorstep_purpose": "triage"}


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    return desk_over(front.database, front.vault)


@pytest.fixture
async def accepted(desk) -> Any:
    """A request that the department of labour works on."""
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.ACCEPTED)
    return task


def own(task: Any, tail: str = "") -> str:
    return f"/api/departments/{task.department}/requests/{task.ref}/documents{tail}"


async def attach(front, task: Any, file: bytes = PDF, *, who: str = "labour", **how: str) -> Any:
    """Attach a file under `id`, else a new one, as a `kind` and a `form`."""
    path = own(task, f"/{how.get('id', str(uuid7()))}?kind={how.get('kind', 'approval-letter')}")
    return await front.call("PUT", path, who, file, content_type=how.get("form", "application/pdf"))


async def look(front, task: Any, tail: str = "", who: str = "labour") -> Any:
    return await front.call("GET", own(task, tail), who, **SERVICE, doorstep_case=str(task.ref))


async def station(front, task: Any, tail: str = "", who: str = "reviewer", **more: str) -> Any:
    path = f"/api/requests/{task.request_id}/documents{tail}"
    return await front.call("GET", path, who, **({"doorstep_case": str(task.record_id)} | TRIAGE | more))


def code(answer: Any) -> str:
    return answer.body["type"].rpartition(":")[2]


def listed(answer: Any) -> list[str]:
    assert answer.status == 200, answer.body
    return [one["document_id"] for one in answer.body["documents"]]


async def test_a_document_is_attached_once_listed_and_saved_by_its_department(front, desk, accepted) -> None:
    key = str(uuid7())
    answers = [await attach(front, accepted, id=key) for _ in range(2)]
    assert [one.status for one in answers] == [200, 200], answers[0].body
    assert answers[0].body == answers[1].body
    told = answers[0].body
    assert told["sha256"] == hashlib.sha256(PDF).hexdigest()
    assert (told["document_id"], told["bytes"], told["zh"]) == (key, len(PDF), "批准文书")
    assert told["attached_by"] == "officer-4"
    for other in ({"file": PDF + b"!"}, {"file": PDF, "kind": "receipt"}):
        refused = await attach(front, accepted, id=key, **other)
        assert refused.status == 409, refused.body
    second = await attach(front, accepted, PNG, form="image/png; x=y", kind="work-report")
    assert second.body["media_type"] == "image/png"
    assert listed(await look(front, accepted)) == [key, second.body["document_id"]]
    saved = await look(front, accepted, f"/{key}")
    assert (saved.status, saved.raw) == (200, PDF)
    assert saved.headers["content-type"] == "application/pdf"
    assert saved.headers["content-disposition"] == f'attachment; filename="{key}.pdf"'
    assert (saved.headers["x-content-type-options"], saved.headers["cache-control"]) == ("nosniff", "no-store")
    logged = [(one["action"], one["outcome"]) for one in await front.logged(accepted.subject_id)]
    assert [logged.count(("attach-document", "attached")), logged.count(("read-document", "listed"))] == [2, 1]
    assert logged.count(("read-document", "read")) == 1
    [row, _] = await desk.rows("SELECT * FROM document WHERE task_id = :id ORDER BY attached_at", id=accepted.task_id)
    kept = b"".join(bytes(one) for one in row if isinstance(one, bytes | memoryview)) + str(row).encode()
    assert not [one for one in (b"%PDF", b"approved", b"approval-letter", told["sha256"].encode()) if one in kept]


@pytest.mark.parametrize(
    ("file", "how", "status"),
    [
        (b"", {}, 422),
        (b"<html>", {}, 422),
        (b"\n" + PDF, {}, 422),
        (PNG, {}, 422),
        (PDF, {"form": "image/png"}, 422),
        (PDF, {"form": "text/html"}, 415),
        (PDF, {"form": "application/json"}, 415),
        (PDF, {"kind": "photograph"}, 422),
        (PDF, {"kind": ""}, 422),
        (PDF, {"id": "7"}, 422),
        (PDF, {"id": "9a3c0c5e-6f0e-4b1c-8f0a-0a4b7a3c1001"}, 422),
        (b"%PDF-" + bytes(DOCUMENT_BYTES - 4), {}, 413),
    ],
)
async def test_what_is_no_document_is_refused_once_and_leaves_nothing(front, desk, accepted, file, how, status) -> None:
    answer = await attach(front, accepted, file, **how)
    assert answer.status == status, answer.body
    assert "approved" not in answer.raw.decode()
    assert await desk.rows("SELECT 1 FROM document WHERE task_id = :id", id=accepted.task_id) == []


async def test_the_largest_document_comes_back_as_it_was_sent(front, accepted) -> None:
    whole = b"%PDF-" + bytes(DOCUMENT_BYTES - 5)
    answer = await attach(front, accepted, whole)
    assert answer.status == 200, answer.body
    assert (await look(front, accepted, f"/{answer.body['document_id']}")).raw == whole


async def test_nothing_is_attached_before_a_request_is_accepted_or_after_it_was_taken_back(front, desk) -> None:
    task = await desk.opened("wage-help")
    refused = await attach(front, task)
    assert (refused.status, code(refused)) == (409, "nothing-to-document")
    await desk.step(task, TaskState.ACCEPTED)
    await desk.station_step(task, TaskState.CANCELLED, reason=Reason.RESIDENT_WITHDREW)
    assert code(await attach(front, task)) == "nothing-to-document"


async def test_of_two_that_are_attached_at_once_as_the_last_one_fits(front, accepted, monkeypatch) -> None:
    monkeypatch.setattr(documents, "MOST", 2)
    monkeypatch.setattr(documents, "MOST_KEPT", 3)
    first = (await attach(front, accepted)).body["document_id"]
    answers = await asyncio.gather(*(attach(front, accepted) for _ in range(2)))
    assert sorted(one.status for one in answers) == [200, 409]
    assert code(max(answers, key=lambda one: one.status)) == "too-many-documents"
    error = {"id": str(uuid7())}
    assert (await front.call("POST", own(accepted, f"/{first}/entered-in-error"), "labour", error)).status == 200
    last = (await attach(front, accepted)).body["document_id"]
    error = {"id": str(uuid7())}
    assert (await front.call("POST", own(accepted, f"/{last}/entered-in-error"), "labour", error)).status == 200
    assert code(await attach(front, accepted)) == "too-many-documents"  # not for ever anew


async def test_what_was_attached_in_error_is_kept_sealed_and_shown_to_nobody(front, desk, accepted) -> None:
    key, error = str(uuid7()), {"id": str(uuid7())}
    await attach(front, accepted, id=key)
    path = own(accepted, f"/{key}/entered-in-error")
    for _ in range(2):
        assert (await front.call("POST", path, "labour", error)).status == 200
    assert (await front.call("POST", path, "labour", {"id": str(uuid7())})).status == 404
    assert listed(await look(front, accepted)) == []
    assert code(await look(front, accepted, f"/{key}")) == "document-unknown"
    assert code(await attach(front, accepted, id=key)) == "document-unknown"
    await desk.step(accepted, TaskState.COMPLETED, outcome=Outcome.GRANTED)
    assert listed(await station(front, accepted)) == []
    [row] = await desk.rows("SELECT error_by, file FROM document WHERE document_id = :id", id=key)
    assert row.error_by == "officer-4"
    assert b"%PDF" not in bytes(row.file)
    assert ("attach-document", "entered-in-error") in [
        (one["action"], one["outcome"]) for one in await front.logged(accepted.subject_id)
    ]


async def test_a_department_that_has_the_request_later_never_has_the_documents(front, desk) -> None:
    task, key = await desk.opened("wage-help"), str(uuid7())
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    assert (await attach(front, task, id=key, kind="refusal-letter")).status == 200
    await desk.hand_on(task, "health")
    later = await desk.task(task.need_id)
    await desk.step(later, TaskState.ACCEPTED)
    assert listed(await look(front, later, who="health")) == []
    assert code(await look(front, later, f"/{key}", "health")) == "document-unknown"
    elsewhere = f"/api/departments/health/requests/{task.ref}/documents/{key}"
    for who, path, status in (
        ("health", own(task, f"/{key}"), 403),
        ("health", elsewhere, 404),
        ("labour", own(later, f"/{key}"), 403),
        ("labour", f"/api/departments/labour/requests/{later.ref}/documents/{key}", 404),
        ("reviewer", own(task, f"/{key}"), 403),
        ("police", elsewhere, 403),
        (None, elsewhere, 401),
    ):
        answer = await front.call("GET", path, who, **SERVICE, doorstep_case=str(task.ref))
        assert answer.status == status, (who, path)
    assert listed(await station(front, task)) == [key]
    assert (await station(front, task)).body["documents"][0]["department"] == "labour"


async def test_the_station_saves_what_came_with_an_outcome_and_nothing_before(front, desk, accepted) -> None:
    key = str(uuid7())
    await attach(front, accepted, id=key)
    assert listed(await station(front, accepted)) == []
    assert code(await station(front, accepted, f"/{key}")) == "document-unknown"
    await desk.step(accepted, TaskState.COMPLETED, outcome=Outcome.GRANTED)
    for case in (accepted.record_id, accepted.request_id, accepted.file_id):
        answer = await station(front, accepted, doorstep_case=str(case))
        assert listed(answer) == [key]
        assert "attached_by" not in answer.body["documents"][0]
    assert (await station(front, accepted, f"/{key}")).raw == PDF
    logged = [(one["action"], one["outcome"], one.get("actor")) for one in await front.logged(accepted.subject_id)]
    assert ("read-document", "read", "reviewer-1") in logged
    for who, more, status in (
        ("reviewer", {"doorstep_case": key}, 403),
        ("reviewer", {"doorstep_purpose": "service"}, 403),
        ("reviewer-elsewhere", {}, 404),
        ("supervisor", {}, 403),
        ("collector", {}, 403),
        ("labour", {}, 403),
    ):
        assert (await station(front, accepted, f"/{key}", who, **more)).status == status, who


@pytest.mark.parametrize(
    ("need", "who"), [("legal-aid", "justice"), ("mediation", "justice"), ("health-advice", "health")]
)
async def test_of_what_is_confidential_of_health_or_of_a_dispute_the_station_has_no_document(
    front, desk, need, who
) -> None:
    task = await desk.opened(need)
    await desk.step(task, TaskState.ACCEPTED)
    key = str(uuid7())
    assert (await attach(front, task, id=key, who=who)).status == 200
    await desk.step(task, TaskState.COMPLETED, outcome=Outcome.ADVICE_GIVEN)
    assert listed(await look(front, task, who=who)) == [key]
    assert listed(await station(front, task)) == []
    assert code(await station(front, task, f"/{key}")) == "document-unknown"


async def test_who_is_excluded_or_does_not_have_the_request_attaches_and_saves_none(front, desk, accepted) -> None:
    key = str(uuid7())
    await attach(front, accepted, id=key)
    async with front.database.transaction() as session:
        member = {"task": accepted.task_id, "member": front.vault.pairwise("staff", "officer-9"), "now": desk.now}
        statement = """INSERT INTO handler (task_id, member, person, given_by, given_at)
            VALUES (:task, :member, 'officer-9', 'officer-9', :now)"""
        await session.execute(text(statement), member)
    assert code(await attach(front, accepted)) == "handled-by-another"
    wrong = await front.call("POST", own(accepted, f"/{key}/entered-in-error"), "labour", {"id": str(uuid7())})
    assert code(wrong) == "handled-by-another"
    assert (await look(front, accepted, f"/{key}")).status == 200
    async with front.database.transaction() as session:
        values = {"subject": accepted.subject_id, "staff": front.vault.pairwise("staff", "officer-4")}
        await session.execute(text("INSERT INTO exclusion (subject_id, staff) VALUES (:subject, :staff)"), values)
    for answer in (await attach(front, accepted), await look(front, accepted), await look(front, accepted, f"/{key}")):
        assert (answer.status, code(answer)) == (404, "request-unknown")


async def test_documents_go_with_their_subject(front, desk, accepted) -> None:
    key = str(uuid7())
    await attach(front, accepted, id=key)
    await front.vault.destroy(accepted.subject_id)
    assert (await look(front, accepted, f"/{key}")).status in (404, 410)
    async with front.database.transaction() as session:
        await erase_subject(session, vault=front.vault, subject_id=accepted.subject_id, now=desk.now)
    assert await desk.rows("SELECT 1 FROM document WHERE document_id = :id", id=key) == []
    assert (await attach(front, accepted, id=key)).status == 410
