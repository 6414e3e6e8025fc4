"""What is described at the front door answers there, a reviewer signs in to a page, and the largest record fits."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.kit.testing import eventually
from doorstep.local.records import Statement


@pytest.fixture(scope="module")
async def description(house: Any) -> dict[str, Any]:
    """The one OpenAPI document."""
    found: dict[str, Any] = (await house.ask("GET", "/openapi.json")).body
    return found


async def test_every_service_is_in_the_one_description(description) -> None:
    first = {path.split("/")[2] for path in description["paths"]}
    assert first == {
        "records", "files", "assessments", "needs", "rule-packs", "requests", "departments", "follow", "log",
        "journeys", "dead-letters", "usage", "usage-deferrals", "dumonitor", "erasures", "exclusions", "break-glass",
        "proxies", "resident", "sign-in-codes", "directories", "plans", "plan-proposals", "notices", "menu",
        "own-requests", "orders",
        "board", "figures", "figures.xlsx", "figures.pdf",
    }  # fmt: skip
    assert description["openapi"].startswith("3.1")


async def test_every_reference_of_the_description_leads_somewhere(description) -> None:
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(description)))
    assert references
    for reference in references:
        place: Any = description
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    operations = [one["operationId"] for item in description["paths"].values() for one in item.values()]
    assert len(operations) == len(set(operations))


async def test_every_path_of_the_description_answers_here(house, description) -> None:
    for template, item in description["paths"].items():
        path = re.sub(r"\{[^}]+\}", str(uuid4()), template)
        for method in item:
            answer = await house.ask(method.upper(), path)
            assert answer.status not in (405, 500, 502, 503), (method, template, answer.raw)
            if answer.status == 404:
                assert answer.body["type"] != "urn:doorstep:problem:no-such-path", template


async def test_a_reviewer_signs_in_and_reads_the_page_with_a_cookie_that_no_script_sees(house) -> None:
    body = house.record()
    await house.hand_in(body)
    await house.assessed(body["record_id"])
    record = body["record_id"]
    page, journey = f"/journeys/{record}", f"/api/journeys/{record}?purpose=follow-up&case={record}"
    assert (await house.ask("GET", page)).status == 200
    assert (await house.ask("GET", journey)).status == 401
    cookie = await house.signed_in("reviewer", page)
    assert "eyJ" not in cookie  # the token stays here

    async def told() -> bool:
        read = await house.ask("GET", journey, Cookie=cookie)
        assert read.status == 200
        return {step["kind"] for step in read.body["steps"]} >= {"recorded", "facts-asserted"}

    await eventually(told)


async def test_the_largest_record_goes_its_whole_way(house) -> None:
    """Two dozen subjects who each ask for everything, with the longest names: every event fits into a message."""
    body = house.record()
    person, dwelling, place = body["subjects"]
    wide, at = "\U00030edd" * 100, person["facts"][0]
    said = [Statement(f"wish.{wish}", True) for wish in (
        "minimum-living-allowance", "temporary-relief", "emergency-food", "counselling", "legal-aid", "mediation",
        "health-advice", "fire-check",
        "wage-help", "work-training", "housing-repair", "protection-from-violence")]  # fmt: skip
    said += [
        Statement(one, True)
        for one in ("health.chronic-illness", "living.without-food", "work.wages-unpaid", "contact.asked-alone")
    ]
    safe = {"channel": "phone", "number": "+86" + "1" * 13, "hours_from": "22:00", "hours_to": "06:30"}
    del person["document_kind"], person["document_number"]
    body["subjects"] = [
        {
            **person,
            "subject_id": str(uuid7()),
            "name": wide,
            "safe_contact": {**safe, "cover": wide[:60]},
            "asks_for": ["mediation", "joint-conference", "home-visit"],
            "facts": [{**at, "fact_id": str(uuid7()), "code": one.code, "value": one.value} for one in said],
        }
        for _ in range(22)
    ] + [{**dwelling, "address": wide * 2}, {**place, "description": wide * 2}]
    await house.hand_in(body)
    needs = await house.assessed(body["record_id"], within=60)
    assert len(needs) >= 22 * 13 + 2
    handed_on = [need for need in needs if need["state"] == "handed-on"]
    await house.requests(body["record_id"], len(handed_on))
    for service in ("registry", "risk", "referral", "gateway"):
        query = "SELECT error FROM dead_letter WHERE position($1::bytea IN body) > 0"
        assert await house.rows(service, query, body["record_id"].encode()) == []
