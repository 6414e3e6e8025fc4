"""The dashboard and the scrape configuration: every metric has a panel, and no query asks for what the code has not."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

KINDS = {"Gauge", "Counter", "Histogram", "Summary"}
NAME = re.compile(r"\bdoorstep_[a-z_]+\b")
BY = re.compile(r"\bby \(([a-z_, ]+)\)")
LEGEND = re.compile(r"{{(\w+)}}")
LABELS = {
    "service", "topic", "partition", "fate", "reason", "route", "status", "problem", "department", "witness",
    "promised_by", "kind",
}  # fmt: skip
"""All labels that there may be: none tells of a person. Another has to be entered here."""


@pytest.fixture(scope="module")
def registered(modules) -> dict[str, set[str]]:
    """The labels of every metric that the code registers, by its name."""
    found = {}
    for module in modules:
        for call in ast.walk(module.tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in KINDS):
                continue
            if call.args and isinstance(call.args[0], ast.Constant) and str(call.args[0].value).startswith("doorstep_"):
                labels = ast.literal_eval(call.args[2]) if len(call.args) > 2 else ()
                found[call.args[0].value] = set(labels)
    return found


@pytest.fixture(scope="module")
def panels(root: Path) -> list[dict]:
    return json.loads((root / "deploy" / "grafana" / "dashboard.json").read_text(encoding="utf-8"))["panels"]


def targets(panels: list[dict]) -> list[tuple[str, str]]:
    return [(target["expr"], target["legendFormat"]) for panel in panels for target in panel["targets"]]


def test_every_metric_that_is_registered_has_a_panel_and_no_other(registered, panels) -> None:
    shown = {name for expression, _ in targets(panels) for name in NAME.findall(expression)}
    assert len(registered) > 15
    assert shown == set(registered)


def test_queries_and_legends_name_labels_that_their_metrics_have(registered, panels) -> None:
    for expression, legend in targets(panels):
        (name,) = NAME.findall(expression)  # of two joined by "or" Prometheus drops whichever has the same labels
        named = {label.strip() for group in BY.findall(expression) for label in group.split(",")}
        assert named | set(LEGEND.findall(legend)) <= registered[name], expression


def test_no_label_could_name_a_person(registered) -> None:
    assert set().union(*registered.values()) == LABELS


def test_panels_have_ids_of_their_own_both_languages_and_do_not_overlap(panels) -> None:
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert all(re.search(r"[A-Za-z].*/.*[\u4e00-\u9fff]", panel["title"]) for panel in panels)


def test_every_service_of_the_compose_file_is_scraped(root: Path) -> None:
    scrape = yaml.safe_load((root / "deploy" / "grafana" / "prometheus.yml").read_text(encoding="utf-8"))
    scraped = {one.partition(":")[0] for one in scrape["scrape_configs"][0]["static_configs"][0]["targets"]}
    services = yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    ours = {
        name for name, one in services.items()
        if str(one.get("image", "")).startswith("doorstep-") and "migrate" not in name and not name.endswith("-keys")
    }  # fmt: skip
    assert scraped <= ours
    assert scraped >= {"gateway", "intake", "registry", "risk", "referral", "audit", "keystore"}
