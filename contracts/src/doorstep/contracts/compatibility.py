"""Whether published contracts changed by addition alone: older consumers read new events, newer ones read old events.

Allowed are new events, topics, catalogue entries, choices of a fact and optional fields; new values of a code where the
field also takes any text; other words in titles and descriptions. Everything else is a break, also what this check does
not understand: publish a new version of the event beside the old one instead.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
Documents = Mapping[str, Schema]
_WORDS = frozenset({"$schema", "$id", "$defs", "title", "description", "examples", "deprecated"})
_STRUCTURE = frozenset({"$ref", "properties", "required", "items", "anyOf", "enum"})
_UNCHANGED_TOPIC = ("producer", "key", "ordered", "partitions")
_ENTRY_RULES = {
    "facts": ("kind", "subject", "value", "sensitive"),
    "needs": ("department", "subject", "confidential"),
    "feeds": ("purpose",),
    "departments": (),
}


def breaks(released: Documents, current: Documents) -> list[str]:
    """One sentence for every break between two sets of generated documents, by their names."""
    found = []
    for name, old in released.items():
        if name not in current:
            found.append(f"{name}: was published and is gone; keep it beside its successor")
        elif name == "topics.json":
            found += _topics(old, current[name])
        elif name == "catalogue.json":
            found += _catalogue(old, current[name])
        else:
            found += [f"{name}: {break_}" for break_ in schema_breaks(old, current[name])]
    return found


def schema_breaks(old: Schema, new: Schema) -> list[str]:
    """One sentence, beginning with the place, for every break between two versions of one schema."""
    return list(_Comparison(old, new).compare(old, new, "$"))


class _Comparison:
    """Walks two schemas at once; `old` and `new` hold the definitions that references name."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._definitions = (old.get("$defs", {}), new.get("$defs", {}))
        self._seen: set[tuple[str, str]] = set()

    def compare(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        references = (old.get("$ref"), new.get("$ref"))
        if references[0] and references[1]:
            pair = (references[0], references[1])
            if pair in self._seen:
                return
            self._seen.add(pair)
        old, new = self._resolved(old, 0), self._resolved(new, 1)
        yield from self._keywords(old, new, at)
        yield from _codes(old.get("enum"), new.get("enum"), at)
        yield from self._fields(old, new, at)
        if "items" in old and "items" in new:
            yield from self.compare(old["items"], new["items"], f"{at}[]")
        elif "items" in old or "items" in new:
            yield f"{at}: what the list holds changed"
        yield from self._choices(old, new, at)

    def _resolved(self, schema: Schema, side: int) -> Schema:
        while "$ref" in schema:
            name = schema["$ref"].removeprefix("#/$defs/")
            beside = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
            schema = {**self._definitions[side].get(name, {"not": {}}), **beside}
        return schema

    def _keywords(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        for keyword in sorted((old.keys() | new.keys()) - _WORDS - _STRUCTURE):
            before, after = self._whole(old.get(keyword), 0), self._whole(new.get(keyword), 1)
            if before != after:
                yield f"{at}: {keyword} changed from {_shown(before)} to {_shown(after)}"

    def _whole(self, value: Any, side: int) -> Any:
        """`value` with what its references name in their place, and without words."""
        if isinstance(value, list):
            return [self._whole(one, side) for one in value]
        if not isinstance(value, dict):
            return value
        resolved = self._resolved(value, side)
        return {
            name: self._whole(one, side)
            for name, one in resolved.items()
            if name not in _WORDS or not isinstance(one, str)
        }

    def _fields(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed_before, needed_after = set(old.get("required", ())), set(new.get("required", ()))
        for field, schema in before.items():
            if field not in after:
                yield f"{at}.{field}: was published and is gone or renamed; add a field and keep this one"
                continue
            yield from self.compare(schema, after[field], f"{at}.{field}")
            if field in needed_before - needed_after:
                yield f"{at}.{field}: was always there and may now be absent; older consumers need it"
        for field in sorted(needed_after - needed_before):
            what = "is new and required" if field not in before else "became required"
            yield f"{at}.{field}: {what}; events already published lack it"

    def _choices(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        if "anyOf" not in old and "anyOf" not in new:
            return
        if "anyOf" not in old or "anyOf" not in new:
            yield f"{at}: its type changed"
            return
        before, after = (self._alternatives(schema, side) for side, schema in enumerate((old, new)))
        if set(before) != set(after):
            yield f"{at}: its type changed from {_listed(before)} to {_listed(after)}"
            return
        for kind, alternative in before.items():
            yield from self.compare(alternative, after[kind], at)

    def _alternatives(self, schema: Schema, side: int) -> dict[str, Schema]:
        """The branches of a choice by type; codes beside any text count as any text, so that codes may be added."""
        named: dict[str, Schema] = {}
        branches = [self._resolved(branch, side) for branch in schema["anyOf"]]
        takes_any_text = any(branch.get("type") == "string" and "enum" not in branch for branch in branches)
        for branch in branches:
            if takes_any_text and branch.get("type") == "string" and "enum" in branch:
                continue
            name = str(branch.get("type", ""))
            named[name if name not in named else json.dumps(branch, sort_keys=True)] = branch
        return named


def _codes(old: list[str] | None, new: list[str] | None, at: str) -> Iterator[str]:
    if old is None and new is None:
        return
    if old is None or new is None:
        yield f"{at}: {'became a code' if old is None else 'is no longer a code'}"
        return
    for code in old:
        if code not in new:
            yield f"{at}: the code {code} is gone; events already published hold it"
    for code in new:
        if code not in old:
            yield f"{at}: the code {code} is new; older consumers refuse it, because the field takes no other text"


def _topics(old: Schema, new: Schema) -> Iterator[str]:
    after = {topic["name"]: topic for topic in new["topics"]}
    for before in old["topics"]:
        name = before["name"]
        if name not in after:
            yield f"topic {name}: was published and is gone or renamed"
            continue
        topic = after[name]
        for attribute in _UNCHANGED_TOPIC:
            if before[attribute] != topic[attribute]:
                yield f"topic {name}: {attribute} changed from {before[attribute]} to {topic[attribute]}"
        if topic["retention_days"] < before["retention_days"]:
            yield f"topic {name}: keeps events for {topic['retention_days']} days, was {before['retention_days']}"
        for event in before["events"]:
            if event not in topic["events"]:
                yield f"topic {name}: {event} is no longer on it"


def _catalogue(old: Schema, new: Schema) -> Iterator[str]:
    for table, attributes in _ENTRY_RULES.items():
        for code, before in old[table].items():
            after = new[table].get(code)
            if after is None:
                yield f"{table}: {code} was published and is gone or renamed"
                continue
            for attribute in attributes:
                if before[attribute] != after[attribute]:
                    yield f"{table}: {code}: {attribute} changed from {before[attribute]} to {after[attribute]}"
            for several in ("choices", "fields", "fact_kinds"):
                for gone in [one for one in before.get(several, ()) if one not in after[several]]:
                    yield f"{table}: {code}: {several} no longer has {gone}"


def _listed(alternatives: Mapping[str, Schema]) -> str:
    return " or ".join(sorted(alternatives))


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
