"""What no file of the project may hold: registry hosts, paths of one machine, prints, suppressions without a code."""

import ast
import json
import re
from pathlib import Path

import pytest

HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"), ("repo", "maven"),
        ("repo1", "maven"), ("proxy", "golang", "org"), ("crates", "io"), ("docker", "io"), ("ghcr", "io"),
        ("quay", "io"), ("deb", "debian", "org"), ("github", "com"),
    )
)  # fmt: skip
MACHINE = re.compile(r"(?<![\w.])/(work|root|home)/\w|\.\./shared|/tmp/(?!doorstep)\w+/")
SUPPRESSED = re.compile(r"#\s*(noqa(?!: [A-Z]+\d)|type: ignore(?!\[[a-z]))")
PRINTING = {"print", "pprint"}
BINARY = {".png", ".jpg", ".ico", ".woff2", ".gz", ".bin"}


def printing(tree: ast.AST) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in PRINTING
    ]


@pytest.fixture(scope="module")
def texts(root: Path, files: list[Path]) -> dict[Path, str]:
    """Every text file but this one, which names what it looks for."""
    here = Path(__file__).relative_to(root)
    readable = (path for path in files if path.suffix not in BINARY and path != here)
    return {path: (root / path).read_text(encoding="utf-8") for path in readable}


def test_the_lock_file_pins_every_package_by_hash(root: Path) -> None:
    text = (root / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    pinned = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert len(pinned) > 50
    assert [line for line in pinned if not re.match(r"^[\w.-]+(\[[\w,-]+\])?==\S+", line)] == []
    assert [line.split()[0] for line in pinned if "--hash=sha256:" not in line] == []


def test_the_lock_file_names_no_host(root: Path) -> None:
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r"\S*://\S*|--\S*index\S*|--find-links\S*|--trusted-host\S*", text) == []


def test_the_lock_of_the_example_in_node_pins_every_package_by_hash_and_names_no_host(root: Path) -> None:
    folder = root / "contracts" / "examples" / "consumers" / "node"
    text = (folder / "package-lock.json").read_text(encoding="utf-8")
    packages = json.loads(text)["packages"]
    wanted = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert packages.pop("")["dependencies"] == wanted
    assert {f"node_modules/{name}": version for name, version in wanted.items()}.items() <= {
        name: one["version"] for name, one in packages.items()
    }.items()
    assert [name for name, one in packages.items() if not one["integrity"].startswith("sha512-")] == []
    assert "://" not in text


def test_no_file_names_a_registry(texts: dict[Path, str]) -> None:
    named = {f"{path}: {host}" for path, text in texts.items() for host in HOSTS if host in text}
    assert named == set()


def test_no_file_holds_a_path_of_one_machine(texts: dict[Path, str]) -> None:
    found = {str(path): match[0] for path, text in texts.items() if (match := MACHINE.search(text))}
    assert found == {}


def test_shipped_code_prints_nothing(modules) -> None:
    assert {str(module.path): lines for module in modules if (lines := printing(module.tree))} == {}


def test_every_suppression_names_its_code(sources, root: Path) -> None:
    here = Path(__file__).relative_to(root)
    found = {
        f"{source.path}:{number}"
        for source in sources
        if source.path != here
        for number, line in enumerate(source.text.splitlines(), start=1)
        if SUPPRESSED.search(line)
    }
    assert found == set()


@pytest.mark.parametrize("line", ["x = 1  # noqa", "x = 1  # type: ignore", "x = 1  #noqa"])
def test_a_suppression_without_a_code_would_be_found(line: str) -> None:
    assert SUPPRESSED.search(line)


@pytest.mark.parametrize("line", ["x = 1  # noqa: S101", "x = 1  # type: ignore[arg-type]"])
def test_a_suppression_with_its_code_is_let_be(line: str) -> None:
    assert not SUPPRESSED.search(line)
