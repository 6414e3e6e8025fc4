"""Published contracts change by addition alone: every kind of change gets its verdict."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doorstep.contracts.compatibility import breaks, schema_breaks
from doorstep.contracts.generate import FOLDER, released_documents
from doorstep.contracts.schemas import documents

ROOT = Path(__file__).parents[2]
Documents = dict[str, Any]
Change = Callable[[Documents], object]

TODAY = documents()
FACTS = "registry.facts-asserted.v1.json"
VISIT = "intake.visit-recorded.v1.json"
OFFERED = "feed.request-offered.v1.json"
TASKS = "referral.task-transitioned.v1.json"
DETAIL = "contents/TransitionDetail.json"
STATED = "contents/StatedFacts.json"
ENVELOPE = "envelope.json"


def fields(documents: Documents, name: str, model: str | None = None) -> dict[str, Any]:
    schema = documents[name] if model is None else documents[name]["$defs"][model]
    return schema["properties"]


def required(documents: Documents, name: str, model: str | None = None) -> list[str]:
    schema = documents[name] if model is None else documents[name]["$defs"][model]
    return schema["required"]


def topic(documents: Documents, name: str) -> dict[str, Any]:
    return next(one for one in documents["topics.json"]["topics"] if one["name"] == name)


def verdict(change: Change) -> list[str]:
    """The breaks that one change makes, from a released set that is today's."""
    new = copy.deepcopy(TODAY)
    change(new)
    return breaks(TODAY, new)


def rename(table: dict[str, Any], before: str, after: str) -> None:
    table[after] = table.pop(before)


BREAKING: dict[str, tuple[Change, str]] = {
    "event removed": (lambda d: d.pop(FACTS), "is gone"),
    "sealed content removed": (lambda d: d.pop(STATED), "is gone"),
    "field removed": (lambda d: fields(d, FACTS).pop("station"), "$.station: was published and is gone"),
    "field renamed": (lambda d: rename(fields(d, VISIT), "channel", "way"), "$.channel: was published and is gone"),
    "nested field removed": (
        lambda d: fields(d, FACTS, "AssertedSubject").pop("kind"),
        "$.subjects[].kind: was published and is gone",
    ),
    "type changed": (lambda d: fields(d, FACTS)["file_version"].update(type="string"), "$.file_version: type changed"),
    "type widened": (
        lambda d: fields(d, FACTS).update(file_version={"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        "$.file_version: its type changed",
    ),
    "choice widened": (
        lambda d: fields(d, STATED, "Fact")["value"]["anyOf"].append({"type": "number"}),
        "$.facts[].value: its type changed from boolean or integer or string to boolean or integer or number or string",
    ),
    "choice narrowed": (
        lambda d: fields(d, STATED, "Fact")["value"]["anyOf"].pop(),
        "$.facts[].value: its type changed",
    ),
    "null allowed": (
        lambda d: fields(d, VISIT).update(station={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "$.station: its type changed",
    ),
    "new required field": (
        lambda d: (fields(d, VISIT).update(weather={"type": "string"}), required(d, VISIT).append("weather")),
        "$.weather: is new and required",
    ),
    "field became required": (
        lambda d: required(d, FACTS, "AssertedSubject").append("person_id"),
        "$.subjects[].person_id: became required",
    ),
    "field became optional": (lambda d: required(d, VISIT).remove("station"), "$.station: was always there"),
    "code removed": (lambda d: d[VISIT]["$defs"]["Channel"]["enum"].remove("phone"), "the code phone is gone"),
    "code added where nothing else is taken": (
        lambda d: d[VISIT]["$defs"]["Channel"]["enum"].append("drone"),
        "$.channel: the code drone is new",
    ),
    "text became a code": (lambda d: fields(d, VISIT)["station"].update(enum=["one"]), "$.station: became a code"),
    "code became text": (lambda d: d[VISIT]["$defs"]["Channel"].pop("enum"), "$.channel: is no longer a code"),
    "format removed": (lambda d: fields(d, VISIT)["record_id"].pop("format"), "$.record_id: format changed"),
    "format changed": (lambda d: fields(d, VISIT)["visited_at"].update(format="date"), "$.visited_at: format changed"),
    "pattern added": (lambda d: fields(d, VISIT)["station"].update(pattern="^s"), "$.station: pattern changed"),
    "bound added": (lambda d: fields(d, FACTS)["file_version"].update(maximum=9), "$.file_version: maximum changed"),
    "list bounded": (lambda d: fields(d, VISIT)["subjects"].update(maxItems=1), "$.subjects: maxItems changed"),
    "list of something else": (
        lambda d: fields(d, VISIT).update(subjects={"type": "array", "items": {"type": "string"}}),
        "$.subjects[]: type changed",
    ),
    "default changed": (
        lambda d: fields(d, FACTS, "AssertedSubject")["person_id"].update(default="nobody"),
        "$.subjects[].person_id: default changed",
    ),
    "unknown fields forbidden": (lambda d: d[VISIT].update(additionalProperties=False), "additionalProperties changed"),
    "another content sealed": (
        lambda d: d[FACTS]["$defs"]["Sealed_Card_"].update({"x-sealed-content": "Rating"}),
        "$.subjects[].card: x-sealed-content changed",
    ),
    "sealed content published in the open": (
        lambda d: d[FACTS]["$defs"]["Sealed_Card_"].pop("x-sealed-content"),
        "x-sealed-content changed",
    ),
    "feed no longer encrypted": (lambda d: d[OFFERED].pop("x-encryption"), "x-encryption changed"),
    "tolerant code became closed": (
        lambda d: fields(d, DETAIL)["reason"]["anyOf"].remove({"type": "string"}),
        "$.reason: became a code",
    ),
    "header renamed": (lambda d: rename(fields(d, ENVELOPE), "ce_number", "ce_sequence"), "$.ce_number: was published"),
    "topic renamed": (lambda d: topic(d, "risk.needs").update(name="triage.needs"), "topic risk.needs: was published"),
    "another producer": (lambda d: topic(d, "risk.needs").update(producer="intake"), "producer changed from risk to"),
    "another key": (lambda d: topic(d, "risk.needs").update(key="person"), "key changed from file to person"),
    "order given up": (lambda d: topic(d, "risk.needs").update(ordered=False), "ordered changed"),
    "partitions changed": (lambda d: topic(d, "risk.needs").update(partitions=8), "partitions changed from 4 to 8"),
    "kept for less long": (lambda d: topic(d, "risk.needs").update(retention_days=1), "keeps events for 1 days"),
    "event moved": (
        lambda d: topic(d, "risk.needs")["events"].remove("risk.need-decided.v1"),
        "risk.need-decided.v1 is no longer on it",
    ),
    "fact removed": (lambda d: d["catalogue.json"]["facts"].pop("living.alone"), "living.alone was published"),
    "fact of another kind": (
        lambda d: d["catalogue.json"]["facts"]["living.alone"].update(kind=8),
        "living.alone: kind changed from 6 to 8",
    ),
    "choice of a fact removed": (
        lambda d: d["catalogue.json"]["facts"]["dwelling.gas-hose"]["choices"].remove("expired"),
        "choices no longer has expired",
    ),
    "need to another department": (
        lambda d: d["catalogue.json"]["needs"]["legal-aid"].update(department="health"),
        "legal-aid: department changed",
    ),
    "need no longer confidential": (
        lambda d: d["catalogue.json"]["needs"]["legal-aid"].update(confidential=False),
        "legal-aid: confidential changed",
    ),
    "field of a feed removed": (
        lambda d: d["catalogue.json"]["feeds"]["fire"]["fields"].remove("place"),
        "fire: fields no longer has place",
    ),
}

ADDITIONS: dict[str, Change] = {
    "nothing": lambda d: None,
    "a new event": lambda d: d.update({"intake.visit-declined.v1.json": {"type": "object"}}),
    "a second version": lambda d: d.update({"intake.visit-recorded.v2.json": {"type": "object"}}),
    "an optional field": lambda d: fields(d, VISIT).update(weather={"type": "string"}),
    "an optional field of a part": lambda d: fields(d, FACTS, "AssertedSubject").update(note={"type": "string"}),
    "other words": lambda d: fields(d, VISIT)["station"].update(title="Stations", description="Where from."),
    "a code beside any text": lambda d: d[DETAIL]["$defs"]["Reason"]["enum"].append("on-holiday"),
    "a code less beside any text": lambda d: d[DETAIL]["$defs"]["Reason"]["enum"].remove("moved-away"),
    "a definition that is not used": lambda d: d[VISIT]["$defs"].update(Unused={"type": "string"}),
    "a topic": lambda d: d["topics.json"]["topics"].append(topic(d, "risk.needs") | {"name": "risk.rules"}),
    "an event on a topic": lambda d: topic(d, "risk.needs")["events"].append("risk.need-lapsed.v1"),
    "a consumer group": lambda d: topic(d, "risk.needs")["groups"].append("audit"),
    "kept for longer": lambda d: topic(d, "risk.needs").update(retention_days=30),
    "a choice of a fact": lambda d: d["catalogue.json"]["facts"]["dwelling.gas-hose"]["choices"].append("loose"),
    "a fact": lambda d: d["catalogue.json"]["facts"].update({"dwelling.lift": {}}),
    "a longer time to complete": lambda d: d["catalogue.json"]["needs"]["legal-aid"].update(complete_days=9),
}


@pytest.mark.parametrize("name", BREAKING)
def test_a_break_is_told_in_one_sentence(name: str) -> None:
    change, sentence = BREAKING[name]
    found = verdict(change)
    assert any(sentence in one for one in found), found
    assert all("\n" not in one for one in found)


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_is_no_break(name: str) -> None:
    assert verdict(ADDITIONS[name]) == []


def test_what_is_not_understood_is_a_break_also_behind_a_reference() -> None:
    old = {"oneOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"type": "string", "title": "A"}}}
    reworded = {"oneOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"type": "string", "title": "Other"}}}
    changed = {"oneOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"type": "integer"}}}
    assert schema_breaks(old, reworded) == []
    assert schema_breaks(old, changed) != []


def test_a_definition_may_be_renamed_or_written_in_place() -> None:
    old = {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}
    assert schema_breaks(old, {"properties": {"a": {"$ref": "#/$defs/B"}}, "$defs": {"B": {"type": "string"}}}) == []
    assert schema_breaks(old, {"properties": {"a": {"type": "string"}}}) == []


def test_a_schema_that_holds_itself_is_compared_to_its_end() -> None:
    old = {"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"more": {"$ref": "#/$defs/T"}}}}}
    assert schema_breaks(old, copy.deepcopy(old)) == []


def test_today_s_contracts_break_nothing_that_was_released() -> None:
    released = released_documents(ROOT / FOLDER)
    assert set(released) >= {VISIT, FACTS, ENVELOPE, "topics.json", "catalogue.json"}
    assert breaks(released, TODAY) == []
