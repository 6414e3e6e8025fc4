"""docs/map.md names a test for every requirement, and what is missing, skipped or failed is told."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).with_name("check_map.py")
TESTS = "def test_kept(): ...\nclass TestSealed:\n    def test_opens(self): ...\n"
MAP = "# Map\n\n- **R1** Kept.\n  - `unit/test_it.py::test_kept`\n  - `unit/test_it.py::TestSealed::test_opens`\n"
CASE = '<testcase classname="unit.test_it" name="test_kept{}">{}</testcase>'
OPENS = '<testcase classname="unit.test_it.TestSealed" name="test_opens"/>'


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, CHECK, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "map.md").write_text(MAP, encoding="utf-8")
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "test_it.py").write_text(TESTS, encoding="utf-8")
    return tmp_path


def report(project: Path, *cases: str, name: str = "report.xml") -> Path:
    path = project / name
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>", encoding="utf-8")
    return path


def test_every_requirement_names_tests_that_exist() -> None:
    result = check()
    assert result.returncode == 0, result.stderr


def test_a_run_in_which_all_passed_holds_the_map(project: Path) -> None:
    result = check("--root", project, report(project, CASE.format("[1]", ""), CASE.format("[2]", ""), OPENS))
    assert (result.returncode, result.stdout) == (0, "map: 1 requirements, 2 tests, 0 faults\n")


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        ([OPENS], "test_kept did not run"),
        ([OPENS, CASE.format("", "<skipped/>")], "test_kept skipped"),
        ([OPENS, CASE.format("", "<failure/>")], "test_kept failed"),
        ([OPENS, CASE.format("[1]", ""), CASE.format("[2]", "<skipped/>")], "test_kept skipped"),
        ([CASE.format("", "")], "test_opens did not run"),
    ],
)
def test_what_did_not_run_and_pass_is_told(project: Path, cases: list[str], said: str) -> None:
    result = check("--root", project, report(project, *cases))
    assert result.returncode == 1
    assert said in result.stderr


def test_skipped_in_one_run_and_passed_in_another_is_passed(project: Path) -> None:
    first = report(project, OPENS, CASE.format("", "<skipped/>"))
    second = report(project, CASE.format("", ""), name="second.xml")
    assert check("--root", project, first, second).returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- **R1** Nothing holds it.\n", "R1: no test"),
        ("- **R1** Gone.\n  - `unit/test_it.py::test_gone`\n", "test_gone does not exist"),
        ("- **R1** Unclear.\n  - the test of that\n", "line 2: not a test"),
        (MAP + MAP, "numbered twice: R1"),
        ("Nothing.\n", ""),
    ],
)
def test_a_map_that_holds_nothing_is_refused(project: Path, text: str, said: str) -> None:
    (project / "docs" / "map.md").write_text(text, encoding="utf-8")
    result = check("--root", project)
    assert result.returncode == 1
    assert said in result.stderr


@pytest.mark.parametrize("program", ["kafka", "keycloak"])
def test_what_needs_a_jdk_may_be_absent_only_when_said_so(project: Path, program: str) -> None:
    text = MAP.replace("test_kept`", f"test_kept` ({program})")
    (project / "docs" / "map.md").write_text(text, encoding="utf-8")
    skipped = report(project, OPENS, CASE.format("", "<skipped/>"))
    assert check("--root", project, skipped).returncode == 1
    result = check("--root", project, "--without-jdk", "no mvn", skipped)
    assert (result.returncode, "1 not run, no mvn" in result.stdout) == (0, True)
