"""The project's own files, as the tests of its shape read them."""

import ast
import functools
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPED = {".git", ".venv", ".cache", "node_modules", "build", "dist", "data"}


@dataclass(frozen=True)
class Source:
    """One Python file of the project; `path` is relative to the root."""

    path: Path
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def is_test(self) -> bool:
        return "tests" in self.path.parts

    @property
    def is_migration(self) -> bool:
        return "migrations" in self.path.parts

    @property
    def is_package(self) -> bool:
        """Whether the file lies in an import package, so that the rules for shipped code hold."""
        return "src" in self.path.parts

    def imported(self) -> Iterable[str]:
        """The dotted names that this file imports, wherever in it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def functions(self) -> Iterable[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def project_files() -> list[Path]:
    """Every file of the project, relative to the root: those git tracks or would track, else all but the caches."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        return sorted(Path(name) for name in names if name and (ROOT / name).is_file())
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return sorted(path for path in found if not SKIPPED.intersection(path.parts))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    return project_files()


@pytest.fixture(scope="session")
def sources(files: list[Path]) -> list[Source]:
    """Every Python file of the project."""
    return [Source(path, (ROOT / path).read_text(encoding="utf-8")) for path in files if path.suffix == ".py"]


@pytest.fixture(scope="session")
def modules(sources: list[Source]) -> list[Source]:
    """Every module of an import package; migrations are SQL and count as none."""
    return [source for source in sources if source.is_package and not source.is_migration and not source.is_test]
