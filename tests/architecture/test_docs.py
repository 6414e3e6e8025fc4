"""What the documents say is so: links lead somewhere, commands exist, words are the glossary's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from doorstep.contracts.codes import Department, TaskState
from doorstep.contracts.topics import TOPICS

LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
VERBS = r"(?:list|show|replay|pass-over|verify|export|new-key|run|evidence)"
COMMAND = re.compile(rf"(?:^|\n|\$ )(?:\.venv/bin/)?doorstep ([a-z][a-z-]*(?: {VERBS}\b)?)")
METRIC = re.compile(r"\bdoorstep_[a-z_]+\b")
VARIABLE = re.compile(r"\bDOORSTEP_[A-Z_]+\b")
ADR_PARTS = ["## Context", "## Decision", "## Consequences", "## Alternatives"]
ADR_LINES = 60


@pytest.fixture(scope="module")
def documents(root: Path, files) -> dict[Path, str]:
    return {path: (root / path).read_text(encoding="utf-8") for path in files if path.suffix == ".md"}


def code(text: str) -> str:
    """What stands as code in a document, one piece a line."""
    return "\n".join(block or inline for block, inline in CODE.findall(text))


def test_every_link_leads_to_a_file(root: Path, documents: dict[Path, str]) -> None:
    dead = [
        f"{path}: {target}"
        for path, text in documents.items()
        for target in LINK.findall(text)
        if not (root / path.parent / target).exists()
    ]
    assert dead == []


def test_decisions_have_one_shape_and_fit_one_page(root: Path) -> None:
    records = sorted((root / "docs" / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        assert [line for line in text.splitlines() if line.startswith("## ")] == ADR_PARTS, path.name
        assert len(text.splitlines()) <= ADR_LINES, path.name


def test_every_make_target_that_is_named_exists(root: Path, documents: dict[Path, str]) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = {name for line in re.findall(r"^([\w -]+):", makefile, re.MULTILINE) for name in line.split()}
    named = {(str(path), target) for path, text in documents.items() for target in MAKE.findall(code(text))}
    assert named
    assert {pair for pair in named if pair[1] not in targets} == set()


def test_every_command_that_is_named_exists(documents: dict[Path, str]) -> None:
    named = sorted({command for text in documents.values() for command in COMMAND.findall(code(text))})
    assert {"demo", "up"} <= set(named)
    doorstep = Path(sys.executable).with_name("doorstep")
    for command in named:
        asked = subprocess.run([doorstep, *command.split(), "--help"], capture_output=True, text=True, check=False)
        assert asked.returncode == 0, f"{command}: {asked.stderr}"


def test_every_metric_that_is_named_is_kept(root: Path, modules, documents: dict[Path, str]) -> None:
    kept = {name for module in modules for name in METRIC.findall(module.text)}
    panels = {path: path.read_text(encoding="utf-8") for path in (root / "deploy" / "grafana").iterdir()}
    named = {(str(path), name) for path, text in {**documents, **panels}.items() for name in METRIC.findall(text)}
    assert len(named) > 10
    assert {pair for pair in named if pair[1] not in kept} == set()


def test_every_alarm_says_what_to_do(root: Path) -> None:
    operations = (root / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = {line.lstrip("# ").lower().replace(" ", "-") for line in operations.splitlines() if line.startswith("#")}
    alarms = yaml.safe_load((root / "deploy" / "grafana" / "alerts.yml").read_text(encoding="utf-8"))
    for rule in alarms["groups"][0]["rules"]:
        document, _, heading = rule["annotations"]["runbook"].partition("#")
        assert document == "docs/operations.md"
        assert heading in headings, rule["alert"]


def test_every_setting_that_is_named_is_read(modules, documents: dict[Path, str]) -> None:
    source = "\n".join(module.text for module in modules)
    named = {name for text in documents.values() for name in VARIABLE.findall(text)}
    fields = {name for name in named if re.search(rf"\b{name.removeprefix('DOORSTEP_').lower()}\b", source)}
    tests_only = {name for name in named if name.startswith("DOORSTEP_TEST_")}
    assert named - fields - tests_only == set()


def test_the_glossary_has_the_departments_and_states_in_both_languages(root: Path) -> None:
    glossary = (root / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", glossary, re.MULTILINE))
    for state in TaskState:
        assert re.search(r"[\u4e00-\u9fff]", rows[str(state)]), state
    for department in Department:
        assert str(department).replace("-", " ") in rows["department"] + glossary, department


def test_the_table_of_topics_is_the_contracts(root: Path) -> None:
    document = (root / "docs" / "events.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z.-]+)` \| ([^|]+) \| (\w+) \| ([^|]+) \| (\d+) \|$", document, re.MULTILINE)
    told = {name: (key, producer, groups, int(days)) for name, key, producer, groups, days in rows}
    assert told == {
        topic.name: (topic.key, topic.producer, ", ".join(topic.groups) or "the department", topic.retention_days)
        for topic in TOPICS.values()
    }


def test_the_example_reads_a_feed_and_nobody_else_s(root: Path) -> None:
    document = (root / "docs" / "events.md").read_text(encoding="utf-8")
    example: dict = {}
    exec(re.search(r"```python\n(.*?)```", document, re.DOTALL)[1], example)  # noqa: S102
    own, other = OKPKey.generate_key("X25519"), OKPKey.generate_key("X25519")
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM"}
    value = jwe.encrypt_compact(header, b'{"ref": "1"}', own, algorithms=example["ALGORITHMS"])
    assert example["read_feed"](value, own.as_dict(private=True)) == {"ref": "1"}
    with pytest.raises(JoseError):
        example["read_feed"](value, other.as_dict(private=True))
