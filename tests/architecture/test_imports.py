"""Who may import whom: the contracts of import-linter hold, and a planted violation of each is caught."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LINT = Path(sys.executable).with_name("lint-imports")
ALLOWED_IN_CONTRACTS = {"pydantic", "pydantic_core"}


def lint(root: Path, planted: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run import-linter; modules under `planted` come before the installed ones."""
    environment = dict(os.environ)
    if planted:
        environment["PYTHONPATH"] = str(planted)
    command = [str(LINT), "--config", str(root / "pyproject.toml"), "--no-cache"]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def plant(root: Path, folder: Path, member: str, module: str, line: str) -> Path:
    """Copy a member's source aside with one more import in one of its modules."""
    copy = folder / "src"
    shutil.copytree(root / member / "src", copy)
    target = copy / module
    target.parent.mkdir(parents=True, exist_ok=True)
    before = target.read_text(encoding="utf-8") if target.exists() else ""
    target.write_text(f"{before}\n{line}\n", encoding="utf-8")
    return copy


def test_the_import_contracts_hold(root: Path) -> None:
    result = lint(root)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("member", "module", "line", "broken"),
    [
        (
            "services/intake",
            "doorstep/intake/operations/records.py",
            "import doorstep.risk",
            "Services know each other",
        ),
        ("kit", "doorstep/kit/outbox.py", "import doorstep.intake", "Services stand on the kit"),
        ("contracts", "doorstep/contracts/topics.py", "import doorstep.kit", "Services stand on the kit"),
        ("services/risk", "doorstep/risk/queries.py", "import doorstep.risk.api", "Rooms of a service"),
        ("services/risk", "doorstep/risk/domain/pack.py", "import sqlalchemy", "The domain is pure"),
        ("services/audit", "doorstep/audit/witness/store.py", "import doorstep.kit.db", "The witness knows"),
        ("deploy/local", "doorstep/local/up.py", "import doorstep.risk.api", "The command and the local"),
        ("keystore", "doorstep/keystore/keks.py", "import doorstep.keystore.table", "Rooms of the key store"),
        ("keystore", "doorstep/keystore/table.py", "import doorstep.kit.outbox", "The key store publishes nothing"),
    ],
)
def test_a_planted_import_is_caught(
    root: Path, tmp_path: Path, member: str, module: str, line: str, broken: str
) -> None:
    result = lint(root, plant(root, tmp_path, member, module, line))
    assert result.returncode == 1, result.stdout + result.stderr
    report = result.stdout.split("Broken contracts")[-1]
    assert broken in report


def test_the_contracts_import_pydantic_and_nothing_else(modules) -> None:
    foreign = {
        f"{module.path}: {name}"
        for module in modules
        if module.path.parts[0] == "contracts"
        for name in module.imported()
        if name.split(".")[0] not in ALLOWED_IN_CONTRACTS | sys.stdlib_module_names
        and not name.startswith("doorstep.contracts")
    }
    assert foreign == set()


def test_nobody_imports_by_dots(sources) -> None:
    dotted = [
        f"{source.path}:{node.lineno}"
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert dotted == []
