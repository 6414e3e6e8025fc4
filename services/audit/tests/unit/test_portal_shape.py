"""The published interface has what a portal of the Estonian usage information service sends and expects."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from doorstep.contracts.generate import FOLDER

ROOT = Path(__file__).parents[4]
OURS = json.loads((ROOT / FOLDER / "openapi" / "audit.json").read_text(encoding="utf-8"))
THEIRS = json.loads(Path(__file__).with_name("portal_shape.json").read_text(encoding="utf-8"))["operations"]
OUR_OWN = {"authorization"}  # by which the portal's service account is known


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def typed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that may be absent: the one that is not null."""
    some = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    return {**schema, **some[0]}


def differences(document: dict[str, Any]) -> list[str]:
    """What a portal would send that we do not take, or expect that we do not answer."""
    found = []
    for path, theirs in THEIRS.items():
        ours = document["paths"].get(f"/api/dumonitor{path}", {}).get("get")
        if ours is None:
            found.append(f"{path}: no GET")
            continue
        taken = {(one["in"], one["name"]): one for one in ours.get("parameters", ())}
        for wanted in theirs["parameters"]:
            found += parameter(path, wanted, taken.pop((wanted["in"], wanted["name"]), None))
        found += [f"{path}: asks for {name} too" for _, name in taken if name not in OUR_OWN]
        found += [f"{path}: no {status}" for status in theirs["statuses"] if status not in ours["responses"]]
        answer = ours["responses"]["200"]["content"]["application/json"]["schema"]
        found += answered(document, path, theirs["answer"], answer)
    return found


def parameter(path: str, wanted: dict[str, Any], ours: dict[str, Any] | None) -> list[str]:
    if ours is None:
        return [f"{path}: does not take {wanted['name']}"]
    schema = typed(ours["schema"])
    said = {
        "required": ours.get("required", False),
        **{name: schema.get(name) for name in ("type", "format", "default")},
    }
    return [
        f"{path}: {wanted['name']} has another {name}"
        for name in ("required", "type", "format", "default")
        if name in wanted and said[name] != wanted[name]
    ]


def answered(document: dict[str, Any], path: str, wanted: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    ours = resolved(document, schema)
    found = [f"{path}: {name} may be absent" for name in wanted["required"] if name not in ours.get("required", ())]
    for name, value in wanted["properties"].items():
        place, mine = f"{path}.{name}", resolved(document, ours["properties"].get(name, {}))
        found += [
            f"{place}: another {part}" for part in ("type", "format", "enum") if mine.get(part) != value.get(part)
        ]
        if "items" in value:
            found += answered(document, place, value["items"], mine["items"])
    return found


def test_a_portal_finds_what_it_expects():
    assert differences(OURS) == []


def change(document: dict[str, Any], *way: str, to: Any = None) -> None:
    *path, last = way
    for part in path:
        document = document[part]
    if to is None:
        del document[last]
    else:
        document[last] = to


FIND = ("paths", "/api/dumonitor/v2/findUsage", "get")
USAGE = ("components", "schemas", "PortalUsage")


@pytest.mark.parametrize(
    ("way", "to", "told"),
    [
        (("paths", "/api/dumonitor/v2/heartbeat"), None, "/v2/heartbeat: no GET"),
        ((*FIND, "parameters"), [], "/v2/findUsage: does not take userCode"),
        ((*FIND, "responses", "400"), None, "/v2/findUsage: no 400"),
        ((*USAGE, "required"), ["action"], "/v2/findUsage.usages: logtime may be absent"),
        ((*USAGE, "properties", "logtime"), {"type": "integer"}, "/v2/findUsage.usages.logtime: another type"),
        (
            ("components", "schemas", "Heartbeat", "properties", "status", "enum"),
            ["OK"],
            "/v2/heartbeat.status: another enum",
        ),
    ],
)
def test_what_it_would_miss_is_told(way, to, told):
    document = copy.deepcopy(OURS)
    change(document, *way, to=to)
    assert told in differences(document)
