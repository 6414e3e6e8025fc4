"""Which path leads to which service, and that no path leads past the table."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.gateway.api.description import merged
from doorstep.gateway.domain.routes import BEHIND, outside, route


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("records", "intake"),
        ("records/7", "intake"),
        ("files/7", "registry"),
        ("files/7/subjects/8/erasure", "registry"),
        ("erasures/7/confirmation", "registry"),
        ("assessments/7", "risk"),
        ("needs/7/decision", "risk"),
        ("rule-packs/current", "risk"),
        ("requests", "referral"),
        ("requests/7/transitions", "referral"),
        ("departments/fire/requests", "referral"),
        ("directories/current/route", "referral"),
        ("follow/7Q2M-7Q2M-7Q2M-7Q2M", "referral"),
        ("log/tile/entries/x001/067", "audit"),
        ("usage", "audit"),
        ("usage-deferrals/7/approval", "audit"),
        ("dumonitor/v2/findUsage", "audit"),
    ],
)
def test_a_path_leads_to_the_service_that_answers_it(path: str, service: str) -> None:
    assert route(path) == (service, f"/api/{path}")


@pytest.mark.parametrize("service", BEHIND)
def test_the_dead_letters_of_a_service_lie_under_its_name(service: str) -> None:
    assert route(f"dead-letters/{service}") == (service, "/api/dead-letters")
    assert route(f"dead-letters/{service}/7/replay") == (service, "/api/dead-letters/7/replay")
    assert outside(service, "/api/dead-letters/{letter_id}") == f"/api/dead-letters/{service}/{{letter_id}}"


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "record", "Records", "petitions", "journeys/7", "dead-letters", "dead-letters/gateway/7",
        "dead-letters/police", ".", "..", "follow/..", "follow/../log", "follow/%2e%2E/log", "follow/%2e./log",
        "follow/a%2fb", "follow/..%2F..%2Fmetrics", "follow/a%5cb", "%2e%2e/records", "//records", "/records",
        "records%3Fx=1", "records%23", "records%00", "follow/%00", "follow/a%0d%0ab", "follow/%7f", "files//7",
        "files/%2f/7", "files///",
    ],
)  # fmt: skip
def test_whatever_else_leads_nowhere(path: str) -> None:
    assert route(path) is None


@given(st.text(max_size=30) | st.sampled_from(["..", "%2e%2e", "%252e", "a%2fb", "%00", "%ff", "?x", "#x"]))
def test_what_a_service_is_asked_stays_below_what_the_table_says(text: str) -> None:
    found = route(f"follow/{text}")
    if found is None:
        return
    service, path = found
    assert service == "referral"
    assert path.startswith("/api/follow/")
    assert path.isascii()
    assert not set(path) & set("?#\\ \r\n\0")
    assert not {".", ".."} & set(path.split("/"))
    assert unquote(path) == "/api/follow/" + unquote(text)


def test_descriptions_are_merged_with_each_schema_under_its_service() -> None:
    def described(path: str, schema: str) -> dict[str, object]:
        answer = {"200": {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}}
        return {
            "paths": {path: {"get": {"responses": answer}}, "/api/dead-letters": {"get": {}}},
            "components": {"schemas": {schema: {"type": "object"}}},
        }

    document = merged({"intake": described("/api/records", "Body"), "risk": described("/api/needs", "Body"), "x": None})
    assert list(document["paths"]) == [
        "/api/dead-letters/intake", "/api/dead-letters/risk", "/api/needs", "/api/records",
    ]  # fmt: skip
    assert set(document["components"]["schemas"]) == {"intake.Body", "risk.Body"}
    schema = document["paths"]["/api/records"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/intake.Body"}
