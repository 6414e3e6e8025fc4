"""Every service has the same rooms, the kit has a counted number of them, and no room has a name that says nothing."""

import ast
import re
from pathlib import Path

import pytest

SERVICES = ("audit", "gateway", "intake", "referral", "registry", "risk")
ROOMS = {
    "__init__", "__main__", "settings", "app", "worker", "api", "schemas", "consumers", "timers", "views",
    "operations", "queries", "tables", "columns", "errors", "domain", "migrations", "commands",
    "witness",
}  # fmt: skip
MUST_HAVE = {"__init__", "__main__", "app", "worker"}
KIT_ROOMS = 32
KEY_STORE_ROOMS = {
    "__init__", "__main__", "settings", "app", "api", "commands", "turning", "table", "epochs", "keks", "transit",
    "errors", "domain", "journal", "places",
}  # fmt: skip
BANNED = re.compile(r"(^|_)(utils?|helpers?|common|base|core|managers?|misc|stuff)($|_)")
FOREIGN_TO_DOMAIN = {"sqlalchemy", "fastapi", "starlette", "aiokafka", "httpx", "aiohttp", "asyncpg", "alembic"}
COMMITTING = {"commit", "rollback"}


def package_of(service: str) -> Path:
    return Path("services") / service / "src" / "doorstep" / service


def commits(tree: ast.AST) -> list[int]:
    """The lines on which a transaction is ended by hand."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in COMMITTING
    ]


def imports_in_functions(source) -> list[int]:
    return [
        node.lineno
        for function in source.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_no_room_that_the_others_may_not_have(modules, service: str) -> None:
    package = package_of(service)
    rooms = {
        Path(module.path.relative_to(package).parts[0]).stem
        for module in modules
        if module.path.is_relative_to(package)
    }
    assert rooms <= ROOMS
    assert rooms >= MUST_HAVE


def test_there_are_six_services_and_no_other(root: Path) -> None:
    assert tuple(sorted(path.name for path in (root / "services").iterdir() if (path / "src").exists())) == SERVICES


def test_the_key_store_has_its_rooms_and_no_other(modules) -> None:
    package = Path("keystore/src/doorstep/keystore")
    found = {Path(one.path.relative_to(package).parts[0]).stem for one in modules if one.path.is_relative_to(package)}
    assert found == KEY_STORE_ROOMS


def test_the_kit_has_its_counted_rooms(modules) -> None:
    kit = Path("kit/src/doorstep/kit")
    rooms = {module.path.name for module in modules if module.path.parent == kit and module.path.stem != "__init__"}
    assert len(rooms) <= KIT_ROOMS, f"{len(rooms)} rooms: say in an ADR why the kit needs more, then change the number"


def test_no_module_has_a_name_that_says_nothing(sources) -> None:
    assert [str(source.path) for source in sources if BANNED.search(source.path.stem)] == []


@pytest.mark.parametrize("name", ["utils", "db_helpers", "common", "task_manager", "base", "core"])
def test_a_name_that_says_nothing_would_be_found(name: str) -> None:
    assert BANNED.search(name)


def test_the_domain_knows_neither_database_nor_web_nor_broker_nor_kit(modules) -> None:
    foreign = {
        f"{module.path}: {name}"
        for module in modules
        if "domain" in module.path.parts or module.path.stem == "domain"
        for name in module.imported()
        if name.split(".")[0] in FOREIGN_TO_DOMAIN or name.startswith("doorstep.kit")
    }
    assert foreign == set()


def test_migrations_live_in_the_package_that_ships_them(files) -> None:
    scripts = [path for path in files if path.parent.name == "versions" and path.suffix == ".py"]
    assert scripts
    assert [str(path) for path in scripts if "src" not in path.parts] == []


def test_application_code_never_ends_a_transaction(modules) -> None:
    ended = {
        str(module.path): commits(module.tree) for module in modules if module.path.parts[0] in ("services", "keystore")
    }
    assert {path: lines for path, lines in ended.items() if lines} == {}


def test_a_hand_made_commit_would_be_found() -> None:
    assert commits(ast.parse("async def accept(session):\n    await session.commit()")) == [2]


def test_nothing_is_imported_inside_a_function(modules) -> None:
    found = {str(module.path): imports_in_functions(module) for module in modules}
    assert {path: lines for path, lines in found.items() if lines} == {}
