"""What a service is composed of: its settings, and the resources that are made once at its start."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from doorstep.contracts.codes import Action
from doorstep.kit.auth import Authenticator
from doorstep.kit.broker import Broker, signing_in
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.intents import Intent, Record, activate, record
from doorstep.kit.key_store import RemoteKeys, ServiceToken
from doorstep.kit.manifest import Manifests, publishes_manifests
from doorstep.kit.policy import Policy
from doorstep.kit.relay import Encode, Relay
from doorstep.kit.steps import Steps, die_at
from doorstep.kit.telemetry import describe
from doorstep.kit.vault import NOBODY, Keyset, SealBroken, Vault
from doorstep.kit.wakeups import sleep_unless

log = logging.getLogger(__name__)

_AWAY_WAIT = 1.0
DEVELOPMENT_PROFILE = "embedded"


class Settings(BaseSettings):
    """What every service is told by its environment, as DOORSTEP_<NAME>.

    On `metrics_port` the metrics are answered and nothing else: for a service whose own port is open to the world.
    """

    model_config = SettingsConfigDict(env_prefix="DOORSTEP_", extra="ignore")

    profile: str = "production"
    database_url: str
    kafka: str
    kafka_replication: int = 1
    kafka_fetch_wait_ms: int = 500
    kafka_bells: Path | None = None
    kafka_security: Literal["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_user: str | None = None
    kafka_password: SecretStr | None = None
    kafka_password_file: Path | None = None
    kafka_ca: Path | None = None
    keyset: Path
    key_store_url: str
    token_url: str
    client_id: str
    client_secret: Path
    issuer: str
    jwks_url: str
    issuer_profile: str = "production"
    audience: str = "doorstep"
    host: str = "127.0.0.1"
    port: int = 8080
    metrics_port: int | None = None
    traces: Path | None = None
    trace_ratio: float = 0.05
    log_level: str = "info"
    kill_at: str | None = None

    def broker_security(self) -> dict[str, Any]:
        """The options with which clients sign in at the broker, the password given or in a file.

        Raises ValueError if user or password is missing or given twice, or a file that holds none, or no certificates,
        is named.
        """
        if self.kafka_security == "PLAINTEXT":
            return {}
        password = self._kafka_password()
        if not self.kafka_user or not password:
            raise ValueError(
                "DOORSTEP_KAFKA_USER, and DOORSTEP_KAFKA_PASSWORD or a file with it that DOORSTEP_KAFKA_PASSWORD_FILE"
                " names, are needed to sign in at the broker"
            )
        return signing_in(self.kafka_user, password, protocol=self.kafka_security, ca=self.kafka_ca)

    def _kafka_password(self) -> str:
        given = "" if self.kafka_password is None else self.kafka_password.get_secret_value()
        if self.kafka_password_file is None:
            return given
        if given:
            raise ValueError("DOORSTEP_KAFKA_PASSWORD and DOORSTEP_KAFKA_PASSWORD_FILE are both given; give one")
        try:
            return self.kafka_password_file.read_text(encoding="utf-8").strip()
        except OSError as cause:
            raise ValueError(f"DOORSTEP_KAFKA_PASSWORD_FILE cannot be read: {cause.strerror}") from cause


Task = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


@dataclass
class Service:
    """One service's resources, made once at its start.

    `tasks` run beside the HTTP edge until the service stops; those that are `publishers` as well are told to stop when
    the edge and the others have, so that what these wrote last is published too. `record` logs what operators read.
    `activations` are what comes into force with the service's start beside its policy, as it is to be logged.
    """

    name: str
    settings: Settings
    database: Database
    vault: Vault
    policy: Policy
    authenticator: Authenticator
    broker: Broker
    steps: Steps
    tasks: list[Task] = field(default_factory=list)
    publishers: list[Task] = field(default_factory=list)
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    record: Record = record
    activations: list[Intent] = field(default_factory=list)

    async def close(self) -> None:
        """Close connections."""
        for close in [*self.closers, self.broker.close, self.database.close]:
            await close()


def compose(name: str, settings: Settings) -> Service:
    """The resources of the service `name`; nothing is connected yet."""
    token = ServiceToken(url=settings.token_url, client_id=settings.client_id, secret=settings.client_secret)
    keys = RemoteKeys(settings.key_store_url, token)
    watcher = die_at(settings.kill_at) if settings.kill_at and settings.profile == DEVELOPMENT_PROFILE else None
    service = Service(
        name=name,
        settings=settings,
        database=Database(settings.database_url, service=name, pool_size=16),
        vault=Vault(keys, Keyset(settings.keyset)),
        policy=Policy(),
        authenticator=Authenticator(
            issuer=settings.issuer,
            jwks_url=settings.jwks_url,
            audience=settings.audience,
            development=settings.profile == DEVELOPMENT_PROFILE,
        ),
        broker=Broker(
            settings.kafka,
            replication=settings.kafka_replication,
            fetch_wait_ms=settings.kafka_fetch_wait_ms,
            bells=settings.kafka_bells,
            **settings.broker_security(),
        ),
        steps=Steps(watcher),
    )
    service.closers.append(keys.close)
    return service


def add_relay(service: Service, encode: Encode | None = None) -> Relay:
    """Have the service publish its outbox, and the manifests of what it submits to the log."""
    manifests = Manifests(service.database) if publishes_manifests(service.name) else None
    relay = Relay(service.database, service.broker, encode=encode, steps=service.steps, manifests=manifests)
    service.database.on_commit.append(relay.wake)
    service.tasks.append(relay.run)
    service.publishers.append(relay.run)
    return relay


async def log_activations(service: Service, stopping: asyncio.Event) -> None:
    """Log the policy, and what else comes into force, that the service did not run with last.

    Waits for databases that are away; nothing else waits for it.
    """
    policy = Intent(Action.ACTIVATE_POLICY, [NOBODY], outcome=f"sha256:{service.policy.digest}")
    waiting = [policy, *service.activations]
    while waiting and not stopping.is_set():
        try:
            ring = await service.vault.ring([NOBODY], create=True)
            async with service.database.transaction() as session:
                await activate(session, ring, waiting[0], log=service.record)
            waiting.pop(0)
        except (SealBroken, *DATABASE_ERRORS) as error:
            log.warning("activation not logged yet", extra={"error": describe(error)})
            await sleep_unless(stopping, _AWAY_WAIT)
