"""The level of a care plan is in its own proposals and answers: in no event, list, filter, figure, page or export."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.topics import SERVICES

OWN = {"PlanBody", "StepBody", "PlanShown", "PlanProposalShown", "PlanContestShown"}
NAMES = {"level", "Level", "levels", "care_level", "plan_level"}
KNOWING = {
    "api/plan_bodies.py", "api/plans.py", "operations/contesting.py", "operations/files.py",
    "operations/keeping_plans.py", "operations/plan_access.py", "operations/plan_rows.py", "operations/planning.py",
}  # fmt: skip


def names(value: Any) -> Iterator[str]:
    """Every name in a document, and every text that could be one."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("description", "title", "summary"):
                yield name
                yield from names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner)
    elif isinstance(value, str):
        yield value.rpartition("/")[2]


def document(root: Path, service: str) -> Any:
    return json.loads((root / "contracts/schemas/openapi" / f"{service}.json").read_text(encoding="utf-8"))


def test_no_published_event_content_fact_or_need_has_a_level(root: Path) -> None:
    published = [path for path in (root / "contracts/schemas").rglob("*.json") if path.parent.name != "openapi"]
    assert len(published) > 10
    told = {path.name: NAMES & set(names(json.loads(path.read_text(encoding="utf-8")))) for path in published}
    assert {name: found for name, found in told.items() if found} == {}
    assert "level" not in (root / "contracts/schemas/asyncapi.yaml").read_text(encoding="utf-8").lower().split()
    assert not [code for code in (*CATALOGUE, *NEED_TYPES) if "level" in code]


def test_at_the_edge_a_level_is_in_the_plans_own_bodies_and_is_asked_for_by_nobody(root: Path) -> None:
    for service in SERVICES:
        interface = document(root, service)
        schemas = interface.get("components", {}).get("schemas", {})
        holding = {name for name, schema in schemas.items() if NAMES & set(names(schema.get("properties", {})))}
        assert holding == (OWN if service == "registry" else set()), service
        asked = [
            parameter["name"]
            for methods in interface["paths"].values()
            for operation in methods.values()
            for parameter in operation.get("parameters", ())
        ]
        assert not NAMES.intersection(asked)


def test_no_answer_with_a_level_is_a_list_or_another_things(root: Path) -> None:
    interface = document(root, "registry")
    told = {}
    for path, methods in interface["paths"].items():
        for method, operation in methods.items():
            if OWN & set(names(operation["responses"])):
                told[f"{method} {path}"] = sorted(OWN & set(names(operation["responses"])))
    assert told == {
        "get /api/plans/{plan_id}": ["PlanShown"],
        "get /api/plans/{plan_id}/contest": ["PlanContestShown"],
        "get /api/plan-proposals/{proposal_id}": ["PlanProposalShown"],
    }
    inside = {
        name: OWN & set(names(schema)) for name, schema in interface["components"]["schemas"].items() if name not in OWN
    }
    assert {name: found for name, found in inside.items() if found} == {}


def test_nobody_else_knows_the_levels(modules: Any, root: Path) -> None:
    package = Path("services/registry/src/doorstep/registry")
    knowing = {
        str(module.path.relative_to(package)) if module.path.is_relative_to(package) else str(module.path)
        for module in modules
        if any(name.startswith("doorstep.registry.domain.plans") for name in module.imported())
    }
    assert knowing == KNOWING
    pages = (root / "services/gateway/src/doorstep/gateway/pages").rglob("*.*")
    assert not [path.name for path in pages if path.suffix in (".js", ".html") and "/api/plan" in path.read_text()]
