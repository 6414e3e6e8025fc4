"""What the product must never do has no words in its contracts: fields, codes, topics and policies are searched."""

import json
import re
from enum import StrEnum
from importlib.resources import files

import pytest
from pydantic import BaseModel

from doorstep.contracts import codes
from doorstep.contracts.codes import Department, Role
from doorstep.contracts.facts import CATALOGUE, KIND_BUDGET, FactKind, SubjectKind
from doorstep.contracts.feeds import FEED_DAYS, FEEDS, Offer
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.topics import EVENTS, TOPICS, consumed_by, feed_topic
from doorstep.kit.auth import Principal
from doorstep.kit.policy import Forbidden, Policy, Resource

RIGHTS = (
    r"petition|complain|appeal|lawsuit|litigat|speech|religio|faith|ethnic|nationality|politic|trade-union|assembly"
)
SURVEILLANCE = (
    r"latitude|longitude|\bgps\b|geo|trail|traffic|purchase|travel|hotel|camera|face|fingerprint|biometr|imei"
)
SCORES = (
    r"score|credit|rank|suspicio|danger-level|threat|loyal|tendenc|predict|watch-?list|blacklist"
    r"|criminal|detention|drug"
)
OUTSIDERS = ("police", "political-legal", "petitions")
SCHEMA = (files("doorstep.kit") / "policies" / "doorstep.cedarschema").read_text()
ACTIONS = re.findall(r'"([a-z-]+)"', SCHEMA[SCHEMA.index("action ") :])


def fields(model: type[BaseModel], seen: set[type] | None = None) -> set[str]:
    """The names of all fields of a model and of the models in it."""
    seen = set() if seen is None else seen
    if model in seen:
        return set()
    seen.add(model)
    names = set(model.model_fields)
    for field in model.model_fields.values():
        for part in re.findall(r"[A-Za-z]+", str(field.annotation)):
            inner = models().get(part)
            if inner is not None:
                names |= fields(inner, seen)
    return names


def models() -> dict[str, type[BaseModel]]:
    """Every published model by its name."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[type] = [BaseModel]
    while waiting:
        for model in waiting.pop().__subclasses__():
            waiting.append(model)
            if model.__module__.startswith("doorstep.contracts"):
                found[model.__name__] = model
    return found


def vocabulary() -> set[str]:
    """Every word by which the product can name something: fields, facts, needs, codes, topics, events."""
    enums = [value for value in vars(codes).values() if isinstance(value, type) and issubclass(value, StrEnum)]
    words = {str(member) for enum in enums for member in enum}
    words |= {choice for fact in CATALOGUE.values() for choice in (fact.code, *fact.choices)}
    words |= set(NEED_TYPES) | set(TOPICS) | set(EVENTS)
    return words | {name.replace("_", "-") for event in EVENTS.values() for name in fields(event)} | fields(Offer)


@pytest.mark.parametrize("banned", [RIGHTS, SURVEILLANCE, SCORES])
def test_nothing_is_named_that_must_never_be_known(banned: str) -> None:
    words = vocabulary()
    assert len(words) > 200
    assert [word for word in words if re.search(banned, word)] == []


@pytest.mark.parametrize("word", ["petition.count", "place.camera", "risk-score", "travel-history"])
def test_such_a_name_would_be_found(word: str) -> None:
    assert re.search("|".join((RIGHTS, SURVEILLANCE, SCORES)), word)


def test_a_thirteenth_kind_of_fact_breaks_the_budget() -> None:
    assert len(FactKind) == KIND_BUDGET == 12


def test_every_fact_has_a_retention_and_every_feed_fourteen_days() -> None:
    assert all(0 < fact.keep_days <= 730 for fact in CATALOGUE.values())
    assert FEED_DAYS == 14
    assert all(topic.retention_days <= FEED_DAYS for topic in TOPICS.values())


def test_triage_reads_facts_and_whom_to_forget_and_nothing_else() -> None:
    assert [topic.name for topic in consumed_by("risk")] == [
        "registry.facts", "registry.erasures", "registry.exclusions",
    ]  # fmt: skip
    assert [event.event_type for event in TOPICS["registry.erasures"].events] == ["registry.subject-erased.v1"]


def test_what_a_collector_sees_for_himself_is_about_dwellings_and_places_only() -> None:
    seen = [fact for fact in CATALOGUE.values() if codes.SaidBy.COLLECTOR_SAW in fact.said_by]
    assert seen
    assert {fact.subject for fact in seen} == {SubjectKind.DWELLING, SubjectKind.PLACE}


def test_no_code_is_called_other() -> None:
    assert [word for word in vocabulary() if re.search(r"(^|[.-])(other|misc|unknown)($|[.-])", word)] == []


def test_police_and_petition_offices_are_no_department_and_have_no_feed() -> None:
    assert not {str(department) for department in Department} & set(OUTSIDERS)
    feeds = {name for name in TOPICS if name.startswith("feed.")}
    assert feeds == {feed_topic(department) for department in Department}
    assert set(FEEDS) == set(Department)


@pytest.mark.parametrize("agency", OUTSIDERS)
@pytest.mark.parametrize("role", list(Role))
def test_police_and_petition_offices_may_do_nothing_in_any_role(agency: str, role: Role) -> None:
    policy = Policy()
    for action in ACTIONS:
        for purpose in codes.Purpose:
            with pytest.raises(Forbidden):
                policy.authorize(
                    Principal("somebody", role, agency, "station-1"),
                    action,
                    Resource("request", department=agency),
                    purpose=purpose,
                )


def test_no_personal_read_is_permitted_without_a_purpose() -> None:
    assert len(ACTIONS) > 10
    policy = Policy()
    for role in Role:
        for agency in ("station", *Department):
            for action in ACTIONS:
                if action.startswith("read-") or action == "list-requests":
                    with pytest.raises(Forbidden):
                        policy.authorize(Principal("s", role, agency, "station-1"), action, Resource("request", agency))


def test_fire_safety_learns_where_and_never_who() -> None:
    names = set(Offer.model_fields)
    for feed in FEEDS.values():
        assert feed.fields <= names
    assert "document_number" not in FEEDS[Department.FIRE].fields
    assert "name" not in FEEDS[Department.FIRE].fields


def test_no_endpoint_finds_people_by_what_they_have_or_are(root) -> None:
    asked = {
        (path, parameter["name"])
        for document in (root / "contracts" / "schemas" / "openapi").glob("*.json")
        for path, methods in json.loads(document.read_text(encoding="utf-8"))["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    }
    assert asked
    log = {name for path, name in asked if path.startswith("/api/log/")}
    portal = {name for path, name in asked if path.startswith("/api/dumonitor/")}  # residents ask for themselves alone
    others = {name for path, name in asked if not path.startswith(("/api/log/", "/api/dumonitor/"))}
    assert portal == {"userCode", "periodStart", "periodEnd", "offset", "limit"}
    assert others <= {"state", "after", "record_id", "queue", "limit", "entry_id"}
    assert log <= {
        "entry_id", "limit", "cursor", "since", "until", "service", "agency", "station", "action", "purpose",
        "legal_basis", "case", "record", "actor", "policy", "rule_pack", "outcome",
    }  # fmt: skip


def test_a_search_of_the_log_shows_nobody_whom_an_entry_is_about(root) -> None:
    document = json.loads((root / "contracts" / "schemas" / "openapi" / "audit.json").read_text(encoding="utf-8"))
    shown = document["components"]["schemas"]["EntryShown"]["properties"]
    assert shown["subjects"]["type"] == "integer"
    assert {name for name in shown if re.search("subject|person|holder|resident", name)} == {"subjects"}
