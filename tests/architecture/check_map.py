"""Holds docs/map.md: every requirement names tests, every named test exists, ran and passed.

    python tests/architecture/check_map.py                                  # the named tests exist
    python tests/architecture/check_map.py .cache/reports/*.xml             # and they ran and passed (JUnit XML)
    python tests/architecture/check_map.py --without-jdk "no mvn" *.xml     # those marked may be absent

In the map a requirement is a line `- **R1.2** text`; under it each line `  - `path::test`` names a test, and
`(kafka)` or `(keycloak)` behind it marks one that only runs against that, on a JDK. Exits 1 where anything is missing
or skipped.
"""

import argparse
import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

REQUIREMENT = re.compile(r"^- \*\*(R\d+(?:\.\d+)*)\*\* (.+)$")
TEST = re.compile(r"^\s+- `([^`]+\.py)::([\w:]+)`( \((?:kafka|keycloak)\))?$")
BULLET = re.compile(r"^\s+- ")


@dataclass(frozen=True)
class MappedTest:
    """A test that the map names: the file, the function (or Class::function), whether it needs a JDK."""

    path: str
    name: str
    jdk: bool

    @property
    def node(self) -> str:
        return f"{self.path}::{self.name}"

    def exists(self, root: Path) -> bool:
        file = root / self.path
        return file.exists() and self.name in defined(ast.parse(file.read_text(encoding="utf-8")))


@dataclass
class Requirement:
    """A numbered requirement and the tests that hold it."""

    number: str
    text: str
    tests: list[MappedTest] = field(default_factory=list)


class BrokenMap(Exception):
    """A line of the map is neither a requirement nor a test."""


def defined(tree: ast.AST, prefix: str = "") -> set[str]:
    """The names of the functions of a file, methods as `Class::function`."""
    names = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(prefix + node.name)
        elif isinstance(node, ast.ClassDef):
            names |= defined(node, f"{prefix}{node.name}::")
    return names


def parse(text: str) -> list[Requirement]:
    """The requirements of the map, in its order; raises BrokenMap."""
    requirements: list[Requirement] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if found := REQUIREMENT.match(line):
            requirements.append(Requirement(found[1], found[2]))
        elif found := TEST.match(line):
            if not requirements:
                raise BrokenMap(f"line {number}: a test before any requirement")
            requirements[-1].tests.append(MappedTest(found[1], found[2], jdk=bool(found[3])))
        elif requirements and BULLET.match(line):
            raise BrokenMap(f"line {number}: not a test: {line.strip()}")
    numbers = [requirement.number for requirement in requirements]
    if twice := {number for number in numbers if numbers.count(number) > 1}:
        raise BrokenMap(f"numbered twice: {', '.join(sorted(twice))}")
    return requirements


def outcomes(reports: Iterable[Path]) -> dict[str, dict[str, str]]:
    """By test (as the map names it) and parameters: failed, passed or skipped; the most telling of several runs."""
    rank = {"skipped": 0, "passed": 1, "failed": 2}
    found: dict[str, dict[str, str]] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own pytest wrote it
            kinds = {child.tag for child in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            name, _, parameters = case.get("name", "").partition("[")
            runs = found.setdefault(f"{case.get('classname')}.{name}", {})
            runs[parameters] = max(outcome, runs.get(parameters, "skipped"), key=rank.__getitem__)
    return found


def key(test: MappedTest) -> str:
    """The name under which JUnit XML has the test: its path and its class with dots."""
    return f"{test.path.removesuffix('.py')}::{test.name}".replace("/", ".").replace("::", ".")


def faults(
    requirements: list[Requirement], root: Path, ran: dict[str, dict[str, str]] | None, *, jdk: bool
) -> list[str]:
    """What breaks the map, one sentence each; `ran` is None where nothing ran yet."""
    found = []
    for requirement in requirements:
        if not requirement.tests:
            found.append(f"{requirement.number}: no test")
        for test in requirement.tests:
            if not test.exists(root):
                found.append(f"{requirement.number}: {test.node} does not exist")
            elif ran is not None and (jdk or not test.jdk):
                runs = ran.get(key(test), {})
                bad = sorted({outcome for outcome in runs.values() if outcome != "passed"})
                if bad or not runs:
                    found.append(f"{requirement.number}: {test.node} {' and '.join(bad) or 'did not run'}")
    return found


def main() -> int:
    """Check the map and say what is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reports", nargs="*", type=Path)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--map", type=Path)
    parser.add_argument("--without-jdk", metavar="REASON")
    options = parser.parse_args()
    text = (options.map or options.root / "docs" / "map.md").read_text(encoding="utf-8")
    try:
        requirements = parse(text)
    except BrokenMap as broken:
        sys.stderr.write(f"docs/map.md: {broken}\n")
        return 1
    ran = outcomes(options.reports) if options.reports else None
    found = faults(requirements, options.root, ran, jdk=not options.without_jdk)
    for fault in found:
        sys.stderr.write(f"docs/map.md: {fault}\n")
    tests = {test for requirement in requirements for test in requirement.tests}
    apart = sum(test.jdk for test in tests) if options.without_jdk else 0
    note = f"; {apart} not run, {options.without_jdk}" if apart else ""
    sys.stdout.write(f"map: {len(requirements)} requirements, {len(tests)} tests, {len(found)} faults{note}\n")
    return 1 if found or not requirements else 0


if __name__ == "__main__":
    sys.exit(main())
