"""docs/asvs.md names tests that exist, and says where something is not met."""

import ast
import re
from pathlib import Path

import pytest

ROW = re.compile(r"^\| (.+) \| (.+) \| (.*?) ?\|$")
TEST = re.compile(r"`([\w/.]+\.py)(?:::(\w+))?`")
OPEN = ("not by a test", "**not met**")


def faults(root: Path, text: str) -> list[str]:
    """Rows that name no test, or one that does not exist, and do not say that there is none."""
    rows = [found.groups() for line in text.splitlines() if (found := ROW.match(line))]
    return [row[0] for row in rows[2:] if not row[2].startswith(OPEN) and not exists(root, row[2])]


def exists(root: Path, cell: str) -> bool:
    found = TEST.fullmatch(cell)
    if found is None or not (root / found[1]).exists():
        return False
    names = {getattr(node, "name", None) for node in ast.walk(ast.parse((root / found[1]).read_text("utf-8")))}
    return found[2] is None or found[2] in names


def test_every_requirement_names_a_test_that_exists_or_says_that_it_is_open(root: Path) -> None:
    text = (root / "docs" / "asvs.md").read_text(encoding="utf-8")
    assert text.count("\n| ") > 50
    assert faults(root, text) == []


def test_what_is_not_met_is_said(root: Path) -> None:
    assert (root / "docs" / "asvs.md").read_text(encoding="utf-8").lower().count("**not met") >= 5


@pytest.mark.parametrize(
    "cell", ["", "`tests/no.py::test_a`", "`tests/architecture/test_asvs.py::test_gone`", "a test", "met"]
)
def test_a_row_without_a_test_would_be_found(root: Path, cell: str) -> None:
    table = f"| requirement | how | test |\n| --- | --- | --- |\n| 1.1 x | y | {cell} |\n"
    assert faults(root, table) == ["1.1 x"]
