"""A file is read for a case that concerns it; what the reader may not see is absent from the answer."""

from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

HEALTH = {"health.disability", "health.chronic-illness"}
CODES = {"living.alone", "identity.birth-year", "income.monthly-per-head", "wish.legal-aid"} | HEALTH
PERSON = {"subject_id", "kind", "person_id", "name", "document_kind", "document_number", "phone", "facts"}
DWELLING = {"subject_id", "kind", "address", "facts"}
FACT = {
    "fact_id", "code", "value", "said_by", "legal_basis", "since", "record_id", "file_version", "refresh_by",
}  # fmt: skip
TABLE = [
    ("reviewer", "triage", CODES - HEALTH),
    ("reviewer", "follow-up", CODES - HEALTH),
    ("reviewer", "emergency", CODES),
    ("collector", "emergency", CODES),
    ("supervisor", "emergency", CODES),
]


@pytest.fixture
async def taken(files: Any, person: Any, dwelling: Any, fact: Any) -> Any:
    facts = [fact(code, 1948 if code.startswith(("identity", "income")) else True) for code in sorted(CODES)]
    return await files.taken(person("", *facts), dwelling(fact("dwelling.gas-hose", "expired")))


async def read(files: Any, file_id: Any, who: str, purpose: str, case: object) -> Any:
    headers = {"doorstep_purpose": purpose, "doorstep_case": str(case)}
    return await files.desk.call("GET", f"/api/files/{file_id}", who, **headers)


async def case_for(files: Any, file_id: Any, who: str, purpose: str) -> Any:
    if purpose != "emergency":
        return file_id
    opening = {"id": str(uuid7()), "reason": "child-at-risk", "second": "collector-2"}
    assert (await files.desk.call("POST", f"/api/files/{file_id}/break-glass", who, opening)).status == 201
    return opening["id"]


@pytest.mark.parametrize(("who", "purpose", "codes"), TABLE)
async def test_each_role_sees_the_fields_of_the_table_and_no_other(files, taken, who, purpose, codes):
    answer = await read(files, taken.file_id, who, purpose, await case_for(files, taken.file_id, who, purpose))
    person, dwelling = sorted(answer.body["subjects"], key=lambda one: one["kind"], reverse=True)
    assert (set(person), set(dwelling)) == (PERSON, DWELLING)
    assert {fact["code"] for fact in person["facts"]} == codes
    assert {name for one in (person, dwelling) for fact in one["facts"] for name in fact} == FACT
    assert "null" not in answer.raw.decode()


@pytest.mark.parametrize("who", ["collector", "supervisor", "officer", "police", "resident"])
@pytest.mark.parametrize("purpose", ["triage", "follow-up", "service", "emergency"])
async def test_who_is_not_in_the_table_sees_nothing(files, taken, who, purpose):
    answer = await read(files, taken.file_id, who, purpose, taken.file_id)
    assert answer.status == 403
    assert "subjects" not in answer.body


async def test_a_file_is_read_for_itself_or_a_record_of_it_and_the_log_says_for_which(files, taken):
    for case in (taken.file_id, taken.record_id):
        assert (await read(files, taken.file_id, "reviewer", "triage", case)).status == 200
        assert (await files.desk.logged(taken.subjects[0].subject_id))[-1]["case"] == str(case)


async def test_a_case_that_has_nothing_to_do_with_the_file_opens_nothing(files, taken, person):
    other = await files.taken(person())
    for case in (other.file_id, other.record_id, taken.subjects[0].subject_id, uuid4()):
        answer = await read(files, taken.file_id, "reviewer", "triage", case)
        assert (answer.status, answer.body["type"]) == (403, "urn:doorstep:problem:case-unrelated")
    assert (await files.desk.refusals(taken.subjects[0].subject_id))[-1]["outcome"] == "refused:case-unrelated"
    assert (await read(files, uuid4(), "reviewer", "triage", taken.file_id)).status == 404
    assert (await read(files, taken.file_id, "reviewer-elsewhere", "triage", taken.file_id)).status == 404
