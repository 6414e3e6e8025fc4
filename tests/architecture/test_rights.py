"""What the product must never do has no words in its contracts: fields, codes, topics and policies are searched."""

import ast
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from importlib.resources import files
from typing import get_args

import pytest
from pydantic import BaseModel

from doorstep.contracts import codes
from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Department, Role
from doorstep.contracts.facts import CATALOGUE, KIND_BUDGET, FactKind, SubjectKind
from doorstep.contracts.feeds import FEED_DAYS, FEEDS, Offer
from doorstep.contracts.needs import NEED_TYPES, Need
from doorstep.contracts.never import OF_ANSWERS, forbidden_in
from doorstep.contracts.referral import TransitionDetail
from doorstep.contracts.risk import NeedDecided
from doorstep.contracts.schemas import contents, is_feed_event
from doorstep.contracts.sealed import Sealed
from doorstep.contracts.topics import EVENTS, SERVICES, TOPICS, consumed_by, feed_topic
from doorstep.kit.auth import Principal
from doorstep.kit.db import Database
from doorstep.kit.policy import Forbidden, Policy, Resource
from doorstep.risk.domain.pack import Rule, published_pack

RATED = {"referral.request-rated.v1", "rate-request"}  # of an answer by the resident, never of a person
COMPLAINED = {
    "make-complaint",
    "withdraw-complaint",
    "list-complaints",
    "read-complaint",
    "answer-complaint",
}  # what is logged, under the person; no event, field or fact is called so
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


def test_nothing_is_named_that_must_never_be_known() -> None:
    words = vocabulary()
    assert len(words) > 200
    found = {word: set(forbidden_in(word)) - OF_ANSWERS for word in words - RATED - COMPLAINED}
    assert {word: banned for word, banned in found.items() if banned} == {}


def test_a_thirteenth_kind_of_fact_breaks_the_budget() -> None:
    assert len(FactKind) == KIND_BUDGET == 12


def test_every_fact_has_a_retention_and_every_feed_fourteen_days() -> None:
    assert all(0 < fact.keep_days <= 730 for fact in CATALOGUE.values())
    assert FEED_DAYS == 14
    assert all(topic.retention_days <= FEED_DAYS for topic in TOPICS.values())


def test_triage_reads_facts_and_whom_to_forget_and_nothing_else() -> None:
    assert [topic.name for topic in consumed_by("risk")] == [
        "registry.facts", "registry.erasures", "registry.exclusions", "registry.departures", "registry.openings",
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
                if action == "read-feed-settings":  # keys and address of a department, nothing of anybody
                    continue
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
    route = {name for path, name in asked if path.startswith("/api/directories/")}  # where needs go, not whose
    inbox = {name for path, name in asked if path.endswith("/inbox")}  # how a department's own requests stand
    months = {name for path, name in asked if path.startswith("/api/figures")}  # from which month to which
    attached = {name for path, name in asked if path.endswith("/documents/{document_id}")}  # what is put there
    elsewhere = ("/api/log/", "/api/dumonitor/", "/api/directories/", "/api/figures")
    ends = ("/inbox", "/documents/{document_id}")
    others = {name for path, name in asked if not path.startswith(elsewhere) and not path.endswith(ends)}
    assert route == {"need_type", "station", "language"}
    assert months == {"from", "to"}
    assert inbox == {"state", "business_status", "office", "due_before", "late", "open", "handler", "after"}
    assert attached == {"kind"}
    assert portal == {"userCode", "periodStart", "periodEnd", "offset", "limit"}
    assert others <= {"state", "after", "record_id", "queue", "limit", "entry_id", "wait"}
    assert log <= {
        "entry_id", "limit", "cursor", "since", "until", "service", "agency", "station", "action", "purpose",
        "legal_basis", "case", "record", "actor", "policy", "rule_pack", "outcome",
    }  # fmt: skip


def test_a_search_of_the_log_shows_nobody_whom_an_entry_is_about(root) -> None:
    document = json.loads((root / "contracts" / "schemas" / "openapi" / "audit.json").read_text(encoding="utf-8"))
    shown = document["components"]["schemas"]["EntryShown"]["properties"]
    assert shown["subjects"]["type"] == "integer"
    assert {name for name in shown if re.search("subject|person|holder|resident", name)} == {"subjects"}


def texts_of(model: type[BaseModel]) -> set[str]:
    """The fields of a model, and of those in it, that hold text and no code, id or time; of what is sealed none."""
    found = set()
    waiting: list[tuple[str, object]] = [
        (f"{model.__name__}.{name}", field.annotation) for name, field in model.model_fields.items()
    ]
    while waiting:
        name, annotation = waiting.pop()
        if annotation is str:
            found.add(name)
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if not issubclass(annotation, Sealed):
                found |= texts_of(annotation)
        else:
            waiting += [(name, part) for part in get_args(annotation)]
    return found


def test_what_travels_unsealed_says_nothing_of_anybody() -> None:
    """So no topic is a list of people by a fact, a need or an outcome."""
    clear = {name for event in EVENTS.values() if not is_feed_event(event) for name in texts_of(event)}
    assert clear == {
        "VisitRecorded.station", "FactsAsserted.station", "HouseholdLeft.station", "NeedsAssessed.station",
        "NeedsAssessed.rule_pack",
        "NeedDecided.station", "OrderTaken.station", "AuditEntrySubmitted.hour", "AuditEntrySubmitted.commitments",
        "AuditManifestPublished.service", "AuditManifestPublished.digest",
    }  # fmt: skip
    assert {topic.key for topic in TOPICS.values()} == {"file", "entry", "request, pairwise"}


def test_what_somebody_worded_about_a_person_is_on_no_topic() -> None:
    """Sealed contents hold names, ways to reach and codes; of notes and reasons there is none."""
    told = {name.partition(".")[2] for model in contents() for name in texts_of(model)}
    told |= {name.partition(".")[2] for event in EVENTS.values() if is_feed_event(event) for name in texts_of(event)}
    worded = {"name", "document_number", "phone", "address", "description", "place", "follow_code", "number", "cover"}
    codes_of_ours = {
        "code", "value", "need_type", "rule", "document_kind", "business_status", "reason", "outcome", "legal_basis",
        "channel", "hours_from", "hours_to", "asks_for", "barred", "scopes", "attested_by",
        "progress", "deadline", "step", "need_types", "area", "person", "language",
    }  # fmt: skip
    of_the_log = set(AuditDetail.model_fields)
    assert worded <= told <= worded | codes_of_ours | of_the_log
    assert get_args(TransitionDetail.model_fields["reason"].annotation)  # a code of ours, told by the edge's enum


def _free(schema: dict, known: dict, name: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of the texts in a body that have neither form, choice nor pattern."""
    if "$ref" in schema:
        inner = schema["$ref"].rpartition("/")[2]
        if inner not in seen:
            yield from _free(known[inner], known, name, (*seen, inner))
        return
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ())):
        yield from _free(part, known, name, seen)
    for field, inner in schema.get("properties", {}).items():
        yield from _free(inner, known, field, seen)
    if schema.get("type") == "array":
        yield from _free(schema.get("items", {}), known, name, seen)
    if schema.get("type") == "string" and not schema.keys() & {"enum", "const", "format", "pattern"}:
        yield name
    if not schema or schema.get("additionalProperties") is True:
        yield f"{name} (anything)"


def test_free_text_gets_in_at_these_places_alone(root) -> None:
    found: dict[str, set[str]] = {}
    for document in (root / "contracts" / "schemas" / "openapi").glob("*.json"):
        interface = json.loads(document.read_text(encoding="utf-8"))
        known = interface["components"]["schemas"]
        for path, methods in interface["paths"].items():
            for method, operation in methods.items():
                for body in operation.get("requestBody", {}).get("content", {}).values():
                    names = set(_free(body["schema"], known, "body"))
                    if names and "/dead-letters" not in path:  # there the name of a topic
                        found[f"{method} {path}"] = names
    assert found == {
        "post /api/records": {"name", "document_number", "address", "description", "code", "value", "cover"},
        "post /api/orders": {"name", "document_number", "address", "place", "said"},  # the last for reviewers alone
        "post /api/departments/{department}/requests/{ref}/transitions": {"note"},
        "post /api/departments/{department}/requests/{ref}/fhir": {"text"},  # of a note
        "post /api/requests/{request_id}/transitions": {"note"},
        "post /api/requests/{request_id}/parts": {"note"},
        "post /api/requests/{request_id}/appointments": {"note"},
        "post /api/requests/{request_id}/conferences/{conference_id}/minutes": {"text"},  # sealed, for who takes part
        "post /api/departments/{department}/requests/{ref}/conferences/{conference}/minutes": {"text"},
        "post /api/needs/{need_id}/decision": {"reason"},
        "put /api/directories/{version}": {"body (anything)"},  # fields of HSDS; those that name persons are refused
        "post /api/directories/trials": {"body (anything)"},
        "post /api/follow/{code}/complaints": {"text"},  # sealed under the person's own key, for who answers it
        "post /api/requests/{request_id}/complaints/{complaint_id}/answer": {"text"},  # sealed likewise, for the person
        "put /api/departments/{department}/keys/{kid}": {"kid", "x"},
        "put /api/departments/{department}/endpoint": {"url"},
        "put /api/departments/{department}/templates/{template}/{version}": {
            "zh",
            "en",
        },  # of nobody
        "put /api/exclusions": {"code"},
        "put /api/proxies": {"code"},
        "post /api/own-requests": {"code"},
        "post /api/usage": {"code", "others"},
        "post /api/resident/session": {"code"},
        "put /api/resident/account": {"code"},
        "post /api/log/inquiries": {"follow_code"},
    }


SERVICES_TABLES = {
    "keys": ("doorstep.kit:migrations/keys",),
    **{name: ("doorstep.kit:migrations/service", f"doorstep.{name}:migrations") for name in SERVICES},
}
COLUMNS = """
    SELECT c.relname AS "table", a.attname AS "column", format_type(a.atttypid, NULL) AS type
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""
INDEXED = """
    SELECT t.relname AS "table", a.attname AS "column", format_type(a.atttypid, NULL) AS type, m.amname AS method
    FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_am m ON m.oid = i.relam JOIN pg_attribute a ON a.attrelid = i.oid
    WHERE t.relnamespace = 'public'::regnamespace
"""
TEXT, BYTES = {"text", "character varying", "jsonb"}, {"bytea"}
CODES_OF_OURS = {
    "kind", "topic", "name", "kid", "kek", "department", "state", "service", "station", "witness", "version_num",
    "version", "deadline", "step", "code",
}  # fmt: skip
KEYED_DIGESTS = {
    "paper_index", "follow_index", "paper", "person", "subject", "code", "actor", "tied", "owner", "id", "account",
    "office_index", "person_index",
}  # fmt: skip


APART = {
    ("complaint", column, kind)
    for kind, columns in (
        ("uuid", ("complaint_id", "request_id", "answered_by")),
        ("uuid[]", ("named",)),
        ("timestamp with time zone", ("made_at", "answered_at")),
        ("bytea", ("content", "answer")),
    )
    for column in columns
}
"""The one table of complaints: ids, times, and what is sealed; nothing by which it could be counted or sorted."""


async def test_no_column_is_named_so_and_what_can_be_looked_up_is_ids_codes_and_keyed_digests(databases) -> None:
    """Text that somebody worded is encrypted, and no index reaches it: it cannot be searched."""
    columns, indexed = [], []
    for name, packages in SERVICES_TABLES.items():
        database = Database(await databases.new(*packages), service=name)
        columns += await database.fetch(COLUMNS, {})
        indexed += await database.fetch(INDEXED, {})
        await database.close()
    assert len(columns) > 500
    named = [one for one in columns if set(forbidden_in(f"{one['table']} {one['column']}")) - OF_ANSWERS]
    assert {(one["table"], one["column"], one["type"]) for one in named} == APART
    assert {one["method"] for one in indexed} == {"btree"}
    assert not {"tsvector"} & {one["type"] for one in columns}
    texts = {one["column"] for one in indexed if one["type"] in TEXT and one["table"] != "journey_step"}
    assert texts <= CODES_OF_OURS
    assert {one["column"] for one in indexed if one["type"] in BYTES} <= KEYED_DIGESTS
    worded = {"note", "reason", "description", "address", "phone", "content", "card", "detail", "comment"}
    clear = {(one["table"], one["column"]) for one in columns if one["type"] in TEXT and one["column"] in worded}
    codes_alone = {("break_glass", "reason"), ("outcome_template", "reason")}
    assert clear == {("parked", "reason")} | codes_alone  # the first is the type of an error


def test_no_statement_searches_in_text(modules) -> None:
    searching = re.compile(r"\bI?LIKE\b|SIMILAR TO|tsvector|@@|\bstrpos\(|similarity\(|regexp_", re.IGNORECASE)
    found = {
        str(module.path)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
        if searching.search(node.value) and re.search(r"\b(SELECT|WHERE|CASE|WHEN)\b", node.value)
    }
    assert found == {"services/audit/src/doorstep/audit/operations/granting.py"}  # in the names of tables


def test_a_rule_finds_a_need_and_can_refuse_nothing() -> None:
    assert set(Rule.model_fields) == {"id", "title", "subject", "reads", "when", "need", "urgency"}
    assert set(Need.model_fields) == {"need_type", "urgency", "wanted", "rule", "facts", "reserved"}


def test_a_decision_has_a_named_human_and_no_machine_makes_one() -> None:
    assert NeedDecided.model_fields["decided_by"].is_required()
    policy = Policy()
    may = set()
    for role in Role:
        for agency in ("station", *Department, *OUTSIDERS):
            with suppress(Forbidden):
                policy.authorize(Principal("s", role, agency, "station-1"), "decide-need", Resource("need"))
                may.add((role, agency))
    assert may == {(Role.REVIEWER, "station")}


def test_what_decides_is_called_by_the_reviewers_endpoint_alone(modules) -> None:
    deciding = {
        str(module.path)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "NeedDecided"
    }
    assert deciding == {"services/risk/src/doorstep/risk/operations.py"}
    callers = {
        str(module.path) for module in modules for name in module.imported() if name.endswith("operations.decide_need")
    }
    assert callers == {"services/risk/src/doorstep/risk/api.py"}


def test_addresses_name_ids_codes_and_nothing_that_somebody_has(root) -> None:
    plain = set()
    for document in (root / "contracts" / "schemas" / "openapi").glob("*.json"):
        for methods in json.loads(document.read_text(encoding="utf-8"))["paths"].values():
            for operation in methods.values():
                for parameter in operation.get("parameters", []):
                    told = parameter["schema"]
                    if parameter["in"] == "path" and told.get("format") not in ("uuid", "uuid7") and "$ref" not in told:
                        plain.add(parameter["name"])
    assert plain == {"kid", "code", "complaint_code", "path", "version", "template"}


LIMITS = [
    "Nothing is drawn from the use of one's rights", "No surveillance", "No score of a person, no prediction, no lists",
    "No automatic decision against anyone", "Police, political-legal and petition agencies have no part",
    "No access without purpose", "Never inside the household", "Nothing for ever", "No joining by the back door",
    "No price for saying no",
]  # fmt: skip
HELD = re.compile(r"^  - `([^`]+\.py::\w+)`$", re.MULTILINE)


def test_each_of_the_ten_limits_is_held_by_tests_that_the_map_names_and_tells_what_is_not_built(root) -> None:
    """CI fails where a test of the map is missing, was skipped or failed; so it does for each `Held by`."""
    text = (root / "docs" / "rights.md").read_text(encoding="utf-8")
    sections = re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]
    assert [section.partition("\n")[0] for section in sections] == LIMITS
    mapped = (root / "docs" / "map.md").read_text(encoding="utf-8")
    for number, section in enumerate(sections):
        row = re.search(rf"^- \*\*R11\.{70 + number}\*\* .+\n((?:  - .+\n)+)", mapped, re.MULTILINE)
        assert row, section
        assert "**Held by**" in section
        assert "**Not built**" in section
        assert set(HELD.findall(section)) == set(HELD.findall(row[1])) != set(), section.partition("\n")[0]


def test_that_somebody_said_no_is_kept_nowhere_and_read_by_no_rule() -> None:
    words = vocabulary()
    assert [word for word in words if re.search(r"declin|objection|objected|opt-?out|no-?show|uncooperat", word)] == []
    read = {CATALOGUE[code] for rule in published_pack().rules for code in rule.reads}
    assert read
    assert [fact.code for fact in read if fact.kind is FactKind.CONSENT] == []
