"""The OpenAPI document of each service is what its process says, is valid, and tells of problems and purposes."""

import json
import re
import runpy
from pathlib import Path

import jsonschema
import pytest

from doorstep.contracts.generate import FOLDER, json_text
from doorstep.contracts.topics import SERVICES
from doorstep.local import schemas
from doorstep.local.children import Program

ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"127\.0\.0\.1|localhost|/tmp/")
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


def published(service: str) -> dict:
    return json.loads((ROOT / FOLDER / "openapi" / f"{service}.json").read_text(encoding="utf-8"))


def test_every_service_has_a_document_and_nothing_else_has() -> None:
    assert sorted(path.stem for path in (ROOT / FOLDER / "openapi").iterdir()) == sorted(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_documents_on_disk_are_what_the_services_say(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = next(one for one in schemas._programs(tmp_path, SERVICES) if one.name == service)
    for name, value in program.environment.items():
        if name.startswith("DOORSTEP_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", [f"doorstep.{service}", "openapi"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"doorstep.{service}", run_name="__main__", alter_sys=False)
    said = capfd.readouterr().out
    assert ended.value.code == 0, said
    stored = (ROOT / FOLDER / "openapi" / f"{service}.json").read_text(encoding="utf-8")
    assert stored == json_text(json.loads(said)), "`doorstep schemas` writes it anew"


@pytest.mark.parametrize("service", SERVICES)
def test_a_document_is_whole(service: str) -> None:
    document = published(service)
    assert document["openapi"].startswith("3.1")
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]
    assert operations
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(names) == len(set(names))
    for path, _, operation in operations:
        declared = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)(?::\w+)?\}", path)), path
        assert operation["responses"]
    for schema in document.get("components", {}).get("schemas", {}).values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert not SECRET.search(json.dumps(document))


@pytest.mark.parametrize("service", SERVICES)
def test_every_reference_in_a_document_leads_somewhere(service: str) -> None:
    document = published(service)
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names <= set(document.get("components", {}).get("schemas", {}))


def test_no_two_services_answer_for_one_operation() -> None:
    routes = [
        (method, path)
        for service in SERVICES
        for path, methods in published(service)["paths"].items()
        for method in methods
        if path.startswith("/api/") and not path.startswith("/api/dead-letters")  # every service has its own
    ]
    assert len(routes) == len(set(routes))


def test_the_command_refuses_to_run_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(schemas.NotTheProject):
        schemas.schemas()


def test_a_service_that_cannot_describe_itself_is_told_in_one_sentence(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo no settings >&2; exit 3", "all"]
    program = Program("intake", command, tmp_path / "log", {"PATH": "/bin"})
    with pytest.raises(schemas.NoDescription, match="no settings"):
        schemas._description(program)
