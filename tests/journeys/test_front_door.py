"""One front door: health, one description of everything, and the journey of a record as page, as JSON and live."""

import asyncio
import re
from uuid import uuid4

import pytest

from doorstep.contracts.topics import SERVICES


async def test_the_front_door_is_well_and_ready(house) -> None:
    for path in ("/healthz", "/readyz"):
        assert (await house.ask("GET", path)).status == 200


async def test_metrics_are_told_inside_and_not_at_the_front_door(house) -> None:
    for path in ("/metrics", "/metrics/", "/api/../metrics", "//metrics"):
        assert (await house.ask("GET", path)).status == 404
    for service in SERVICES:
        async with house.client.get(house.stack.metrics_url(service)) as answer:
            assert "doorstep_requests_total" in await answer.text()


async def test_one_document_describes_what_every_service_answers(house) -> None:
    document = (await house.ask("GET", "/openapi.json")).body
    assert document["openapi"].startswith("3.")
    assert {
        "/api/records", "/api/files/{file_id}", "/api/assessments/{record_id}", "/api/needs/{need_id}/decision",
        "/api/rule-packs/current", "/api/departments/{department}/requests", "/api/requests", "/api/follow/{code}",
        "/api/log/checkpoint", "/api/journeys/{record_id}", "/api/journeys/{record_id}/events",
    } <= set(document["paths"])  # fmt: skip


async def test_the_page_is_plain_in_both_languages_and_takes_nothing_from_elsewhere(house) -> None:
    page = await house.ask("GET", f"/journeys/{uuid4()}")
    assert (page.status, page.headers["content-type"].split(";")[0]) == (200, "text/html")
    html = page.raw.decode()
    titled = re.findall(r'data-zh="([^"]+)" data-en="([^"]+)"', html)
    assert len(titled) > 5
    assert all(re.search(r"[\u4e00-\u9fff]", chinese) for chinese, _ in titled)
    sources = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert sources
    assert all(source.startswith("/pages/") for source in sources)
    for source in sources:
        assert (await house.ask("GET", source)).status == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_a_journey_is_told_live_from_the_record_to_the_department(house) -> None:
    record = house.record()
    await house.hand_in(record)
    kinds: list[str] = []
    departments: dict[str, tuple[str, str]] = {}
    async with house.door("reviewer") as reviewer, asyncio.timeout(60):
        await house.there(lambda: reviewer.read(f"/api/journeys/{record['record_id']}", "follow-up"))
        async for step in reviewer.journey(record["record_id"]):
            kinds.append(step["kind"])
            if step["kind"] == "request-opened":
                named = step["department"]
                departments[named["code"]] = (named["zh"], named["en"])
            if {"civil-affairs", "justice"} <= set(departments):
                break
    assert kinds[0] == "recorded"
    assert {"facts-asserted", "need-handed-on", "need-suggested"} <= set(kinds)
    assert departments["justice"] == ("司法", "Justice")


async def test_a_journey_so_far_has_the_same_steps(house) -> None:
    record = house.record()
    await house.hand_in(record)
    await house.requests(record["record_id"], at_least=2)
    async with house.door("reviewer") as reviewer:
        found = await house.there(lambda: reviewer.read(f"/api/journeys/{record['record_id']}", "follow-up"))
    assert found["record_id"] == record["record_id"]
    assert found["steps"][0]["kind"] == "recorded"
    times = [step["at"] for step in found["steps"]]
    assert times == sorted(times)


@pytest.mark.parametrize("path", ["/api/journeys/{}", "/api/journeys/{}/events"])
async def test_a_journey_is_for_reviewers_with_a_purpose(house, path: str) -> None:
    where = path.format(house.record()["record_id"])
    reviewer = house.token("reviewer")
    assert (await house.ask("GET", where, doorstep_purpose="follow-up")).status == 401
    assert (await house.ask("GET", where, token=reviewer)).status == 403
    collector = house.token("collector")
    assert (await house.ask("GET", where, token=collector, doorstep_purpose="follow-up")).status == 403
    assert (await house.ask("GET", where, token=reviewer, doorstep_purpose="follow-up")).status == 404
