"""What a service process of a local stack finds in its environment."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from doorstep.contracts.topics import SERVICES
from doorstep.kit.keyset import Suite
from doorstep.local.broker import protocol_at
from doorstep.local.children import Program
from doorstep.local.clients import client_id
from doorstep.local.issuer import AUDIENCE
from doorstep.local.ports import HOST, free_ports

LOG_ORIGIN = "doorstep.example/log"
FRONT_DOOR = "gateway"
KEY_STORE = "keystore"
KEYS = "keys"
"""The database of the key store."""
_FOLLOWERS_WAIT_MS = {
    "audit": 300,
    "gateway": 60,
}  # on a record's way nobody waits for them; they follow every partition
_OTHERS = ("DOORSTEP_", "PG")  # settings of the caller that must not reach the services


@dataclass(frozen=True)
class Engines:
    """Addresses and key files that all services share.

    `keyset` is what services read, `keks` what the key store alone does, `clients` the folder of the service accounts'
    secrets. `fetch_wait_ms` is how long a fetch waits for messages where a record's way leads on from there; with
    `bells`, the folder in which consumers are rung, how far fetches are apart. `log_witnesses` is a file that names the
    witnesses of the log, `log_sm2_key` its second key under the suite `national`,
    `kafka_secrets` a folder with the passwords of the broker's users, if they sign in, `notices` the folder in which
    notices to residents are left.
    """

    databases: Mapping[str, str]
    kafka: str
    issuer: str
    key_set: str
    token: str
    keyset: Path
    keks: Path
    clients: Path
    log_key: Path
    logs: Path
    fetch_wait_ms: int = 500
    bells: Path | None = None
    log_witnesses: Path | None = None
    log_sm2_key: Path | None = None
    kafka_secrets: Path | None = None
    notices: Path | None = None


@dataclass(frozen=True)
class Layout:
    """Which processes run, on which ports: `ports[service]` has one port per instance.

    `metrics` are the ports on which the front doors tell their metrics, one per instance; the others do so on `ports`.
    """

    ports: Mapping[str, Sequence[int]]
    front_door: int
    key_store: int
    metrics: Sequence[int]

    @classmethod
    def choose(cls, services: Sequence[str], instances: Mapping[str, int], front_door: int) -> "Layout":
        """Give the key store and every instance a free port, and the first gateway the front door's."""
        counts = {service: max(1, instances.get(service, 1)) for service in services}
        free = [port for port in free_ports(sum(counts.values()) + counts.get(FRONT_DOOR, 0) + 2) if port != front_door]
        ports = {service: [free.pop() for _ in range(count)] for service, count in counts.items()}
        if FRONT_DOOR in ports:
            ports[FRONT_DOOR][0] = front_door
        return cls(ports, front_door, free.pop(), [free.pop() for _ in ports.get(FRONT_DOOR, ())])

    def url(self, service: str, instance: int = 0) -> str:
        """Return the base address of an instance; raises KeyError, IndexError."""
        return f"http://{HOST}:{self.ports[service][instance]}"

    def metrics_url(self, service: str, instance: int = 0) -> str:
        """Return the address of an instance's metrics; raises KeyError, IndexError."""
        base = f"http://{HOST}:{self.metrics[instance]}" if service == FRONT_DOOR else self.url(service, instance)
        return f"{base}/metrics"

    def names(self, service: str) -> list[str]:
        """Return the names of a service's processes: `risk`, `risk-2`, ..."""
        return [service if index == 0 else f"{service}-{index + 1}" for index in range(len(self.ports[service]))]


def service_programs(engines: Engines, layout: Layout, extra: Mapping[str, str]) -> list[Program]:
    """Return the program of every instance; `extra` is added to each one's environment."""
    inherited = _inherited()
    programs = []
    for service, ports in layout.ports.items():
        settings = _settings(engines, layout, service)
        for index, (name, port) in enumerate(zip(layout.names(service), ports, strict=True)):
            environment = {**inherited, **settings, "DOORSTEP_PORT": str(port), **extra}
            if service == FRONT_DOOR:
                environment["DOORSTEP_METRICS_PORT"] = str(layout.metrics[index])
            command = [sys.executable, "-m", f"doorstep.{service}", "all"]
            log = engines.logs / f"{name}.log"
            programs.append(Program(name=name, command=command, log=log, environment=environment))
    return programs


def key_store_program(engines: Engines, layout: Layout, extra: Mapping[str, str]) -> Program:
    """Return the program of the key store; `extra` is added to its environment."""
    environment = {
        **_inherited(),
        **_shared(engines),
        "DOORSTEP_DATABASE_URL": engines.databases[KEYS],
        "DOORSTEP_KEKS": str(engines.keks),
        "DOORSTEP_KEYSET": str(engines.keyset),
        "DOORSTEP_PORT": str(layout.key_store),
        **extra,
    }
    command = [sys.executable, "-m", f"doorstep.{KEY_STORE}", "all"]
    return Program(name=KEY_STORE, command=command, log=engines.logs / f"{KEY_STORE}.log", environment=environment)


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}


def _shared(engines: Engines) -> dict[str, str]:
    return {
        "DOORSTEP_PROFILE": "embedded",
        "DOORSTEP_ISSUER": engines.issuer,
        "DOORSTEP_ISSUER_PROFILE": "embedded",
        "DOORSTEP_JWKS_URL": engines.key_set,
        "DOORSTEP_AUDIENCE": AUDIENCE,
        "DOORSTEP_HOST": HOST,
    }


def _settings(engines: Engines, layout: Layout, service: str) -> dict[str, str]:
    settings = {
        **_shared(engines),
        "DOORSTEP_DATABASE_URL": engines.databases[service],
        **_broker(engines, service),
        "DOORSTEP_KEYSET": str(engines.keyset),
        "DOORSTEP_KEY_STORE_URL": f"http://{HOST}:{layout.key_store}",
        "DOORSTEP_TOKEN_URL": engines.token,
        "DOORSTEP_CLIENT_ID": client_id(service),
        "DOORSTEP_CLIENT_SECRET": str(engines.clients / service),
    }
    if service == FRONT_DOOR:
        settings["DOORSTEP_PUBLIC_URL"] = f"http://{HOST}:{layout.front_door}"
        for other in SERVICES:
            if other != FRONT_DOOR and other in layout.ports:
                settings[f"DOORSTEP_{other.upper()}_URL"] = layout.url(other)
    if service == "referral":
        settings |= _referral(engines, layout)
    if service == "audit":
        settings["DOORSTEP_LOG_KEY"] = str(engines.log_key)
        settings["DOORSTEP_LOG_ORIGIN"] = LOG_ORIGIN
        settings["DOORSTEP_LOG_ANCHOR_URL"] = engines.databases[KEYS]
        if engines.log_sm2_key is not None:
            settings["DOORSTEP_SUITE"] = Suite.NATIONAL
            settings["DOORSTEP_LOG_SM2_KEY"] = str(engines.log_sm2_key)
        if engines.log_witnesses is not None:
            settings["DOORSTEP_LOG_WITNESSES"] = str(engines.log_witnesses.absolute())
    return settings


def _referral(engines: Engines, layout: Layout) -> dict[str, str]:
    settings = {
        "DOORSTEP_WEBHOOKS_INSIDE": "true",  # departments' systems run on this machine too
        "DOORSTEP_PUBLIC_URL": f"http://{HOST}:{layout.front_door}",
        "DOORSTEP_DUTY_CALLS": str(engines.clients.parent / "duty-calls.jsonl"),
    }
    return settings if engines.notices is None else {**settings, "DOORSTEP_NOTICES": str(engines.notices.absolute())}


def _broker(engines: Engines, service: str) -> dict[str, str]:
    settings = {
        "DOORSTEP_KAFKA": engines.kafka,
        "DOORSTEP_KAFKA_FETCH_WAIT_MS": str(_fetch_wait_ms(engines, service)),
    }
    if engines.bells is not None:
        settings["DOORSTEP_KAFKA_BELLS"] = str(engines.bells)
    if engines.kafka_secrets is not None:
        settings["DOORSTEP_KAFKA_SECURITY"] = protocol_at(engines.kafka)
        settings["DOORSTEP_KAFKA_USER"] = service
        settings["DOORSTEP_KAFKA_PASSWORD_FILE"] = str((engines.kafka_secrets / service).absolute())
    return settings


def _fetch_wait_ms(engines: Engines, service: str) -> int:
    return max(engines.fetch_wait_ms, _FOLLOWERS_WAIT_MS.get(service, 0))
