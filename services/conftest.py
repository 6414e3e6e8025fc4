"""What tests of several services share: an edge to call without a network, and the records that they are given."""

import asyncio
import base64
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import text

from doorstep.audit.app import new_app as audit
from doorstep.audit.consumers import erasing, guarding, knowing, renewing, representing, storing
from doorstep.audit.operations.submitting import submit_own
from doorstep.contracts.audit import AuditEntrySubmitted
from doorstep.contracts.codes import Role
from doorstep.contracts.envelope import Envelope, Event
from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.registry import FactsAsserted, GuardianRecorded, HouseholdLeft, ProxyNamed, SubjectErased
from doorstep.contracts.topics import EVENTS, TOPICS
from doorstep.gateway.app import new_app as gateway
from doorstep.gateway.consumers import HANDLERS as GATEWAY_HANDLERS
from doorstep.gateway.domain.routes import route
from doorstep.gateway.settings import GatewaySettings
from doorstep.intake.app import new_app as intake
from doorstep.intake.consumers import handlers as intake_handlers
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.consumer import Handler, Received
from doorstep.kit.db import Database
from doorstep.kit.intents import staff_subject
from doorstep.kit.outbox import feed_context
from doorstep.kit.policy import Policy
from doorstep.kit.service import Service
from doorstep.kit.testing import KIT_TABLES, Databases
from doorstep.kit.vault import Vault
from doorstep.local.ports import free_ports
from doorstep.referral.app import new_app as referral
from doorstep.referral.consumers import handlers as referral_handlers
from doorstep.registry.app import new_app as registry
from doorstep.registry.consumers import handlers as registry_handlers
from doorstep.risk.app import make_app as risk
from doorstep.risk.consumers import handlers as risk_handlers
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import published_pack

STATION = "station-7"
UUIDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PEOPLE = {
    "collector": Principal("collector-1", Role.COLLECTOR, "station", STATION),
    "another-collector": Principal("collector-2", Role.COLLECTOR, "station", STATION),
    "community-officer": Principal("community-1", Role.COLLECTOR, "community-office", STATION),
    "homeless-collector": Principal("collector-3", Role.COLLECTOR, "station"),
    "reviewer": Principal("reviewer-1", Role.REVIEWER, "station", STATION),
    "collector-as-reviewer": Principal("collector-1", Role.REVIEWER, "station", STATION),
    "reviewer-elsewhere": Principal("reviewer-9", Role.REVIEWER, "station", "station-9"),
    "collector-elsewhere": Principal("collector-9", Role.COLLECTOR, "station", "station-9"),
    "supervisor": Principal("supervisor-1", Role.SUPERVISOR, "station", STATION),
    "another-supervisor": Principal("supervisor-2", Role.SUPERVISOR, "station", STATION),
    "officer": Principal("officer-1", Role.OFFICER, "fire"),
    "resident": Principal("resident-1", Role.RESIDENT, "resident"),
    "police": Principal("police-1", Role.REVIEWER, "police", STATION),
    "another-reviewer": Principal("reviewer-2", Role.REVIEWER, "station", STATION),
    "labour": Principal("officer-4", Role.OFFICER, "labour"),
    "justice": Principal("officer-2", Role.OFFICER, "justice"),
    "health": Principal("officer-3", Role.OFFICER, "health"),
    "portal": Principal("portal-1", Role.PORTAL, "national-portal"),
    "hotline": Principal("hotline-1", Role.HOTLINE, "hotline-12345", STATION),
    "hotline-clerk": Principal("hotline-2", Role.HOTLINE, "hotline-12345", STATION),
    "hotline-nowhere": Principal("hotline-3", Role.HOTLINE, "hotline-12345"),
}

REFUSED = [
    (None, "triage", 401),
    ("nobody", "triage", 401),
    ("reviewer", None, 403),
    ("reviewer", "curiosity", 403),
    ("reviewer", "service", 403),
    ("collector", "triage", 403),
    ("supervisor", "triage", 403),
    ("officer", "service", 403),
    ("resident", "resident-request", 403),
    ("police", "triage", 403),
    ("reviewer-elsewhere", "triage", 404),
]


@pytest.fixture(params=REFUSED, ids=lambda one: f"{one[0]}-{one[1]}")
def refused(request: pytest.FixtureRequest) -> tuple[str | None, str | None, int]:
    """Who reads what a reviewer of the station reads, for what purpose, and how they are answered."""
    return request.param


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON that was answered."""
        return json.loads(self.raw or b"null")


@dataclass
class Caller:
    """Speaks to a service as one of the people, whose name is the token."""

    app: Any = None
    asked: list[str] = field(default_factory=list)

    async def verify(self, token: str) -> Principal:
        """Stand in for the authenticator."""
        self.asked.append(token)
        if token not in PEOPLE:
            raise NotAuthenticated
        return PEOPLE[token]

    async def __call__(self, method: str, path: str, who: str | None = None, body: Any = None, **more: str) -> Answer:
        """Send one request straight into the application; `more` are headers.

        Whoever says why, and not for which case, reads the thing for itself: the last id in the address.
        """
        named = {"accept-language": "en"} | {name.replace("_", "-"): value for name, value in more.items()}
        if "doorstep-purpose" in named and "doorstep-case" not in named and (ids := UUIDS.findall(path)):
            named["doorstep-case"] = ids[-1]
        if not named.get("doorstep-case", "none"):
            del named["doorstep-case"]  # said to be none
        named |= {"authorization": f"Bearer {who}"} if who else {}
        named = ({"content-type": "application/json"} if body is not None else {}) | named
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }  # fmt: skip
        sent: list[Any] = []
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)

        said = iter([{"type": "http.request", "body": raw}])

        async def receive() -> dict[str, Any]:
            return next(said, None) or await asyncio.Event().wait()  # it stays, and says no more

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(part.get("body", b"") for part in sent[1:]))


@dataclass(frozen=True)
class Desk:
    """One service with a database of its own, and what lies in it."""

    service: Service
    call: Caller

    @property
    def database(self) -> Database:
        """The service's database."""
        return self.service.database

    @property
    def vault(self) -> Vault:
        """The service's vault."""
        return self.service.vault

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """What a SELECT finds."""
        async with self.database.transaction() as session:
            return list(await session.execute(text(query), values))

    async def value(self, query: str, **values: Any) -> Any:
        """The one value that a SELECT finds."""
        return (await self.rows(query, **values))[0][0]

    async def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        return {name: await self.value(f"SELECT count(*) FROM {name}") for (name,) in await self.rows(query)}  # noqa: S608

    async def logged(self, subject: UUID | str) -> list[dict[str, Any]]:
        """What the log was told about a subject, oldest first."""
        subject = UUID(str(subject))
        ring = await self.vault.ring([subject])
        found = []
        query = "SELECT body FROM outbox WHERE type = 'audit.entry-submitted.v1' ORDER BY position"
        for row in await self.rows(query):
            for detail in orjson.loads(bytes(row.body))["details"]:
                if detail["subject_id"] == str(subject):
                    blob = detail["key_version"].to_bytes(4) + base64.b64decode(detail["ciphertext"])
                    found.append(orjson.loads(ring.decrypt(subject, "AuditDetail", blob)))
        return found

    async def refusals(self, subject: UUID | str) -> list[dict[str, Any]]:
        """Which tries at a subject the log was told to have been refused, oldest first."""
        return [one for one in await self.logged(subject) if one["outcome"].startswith("refused:")]

    async def about(self, who: str) -> list[dict[str, Any]]:
        """What the log was told about one of the people alone, oldest first."""
        return await self.logged(staff_subject(self.vault, PEOPLE[who]))

    async def unlogged(self, answer: Answer, who: str | None, action: str, case: Any, *subjects: Any) -> list[Any]:
        """What is logged otherwise than the one refusal, or for nobody none, that `answer` told about `subjects`."""
        names = ("action", "outcome", "case", "actor", "role", "agency")
        expected = []
        if answer.status != 401:
            known, code = PEOPLE[who or ""], answer.body["type"].rpartition(":")[2]
            told = (action, f"refused:{code}", str(case), known.subject, known.role, known.agency)
            expected = [dict(zip(names, told, strict=True))]
        found = [[{name: one.get(name) for name in names} for one in await self.refusals(each)] for each in subjects]
        return [one for one in found if one != expected]


NewDesk = Callable[..., Any]


@pytest.fixture(scope="module")
async def new_desk(cluster: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NewDesk]:
    """Makes the desk of a service: `await new_desk(name, new_app, *migrations)`."""
    desks: list[Desk] = []

    async def make(name: str, new_app: Callable[[Service], FastAPI], settings: Any, *migrations: str) -> Desk:
        folder: Path = tmp_path_factory.mktemp("keys")
        vault = desks[0].vault if desks else await cluster.vault(folder)
        database = Database(await cluster.new(*migrations), service=name)
        caller = Caller()
        service = Service(name, settings, database, vault, Policy(), caller, None, None)
        caller.app = new_app(service)
        desks.append(Desk(service, caller))
        return desks[-1]

    yield make
    for desk in desks:
        for close in desk.service.closers:
            await close()
        await desk.database.close()
    if desks:
        await desks[0].vault.store.database.close()


@dataclass
class Estate:
    """All services of one station, their events carried from outbox to consumer by hand, with no broker between."""

    desks: dict[str, Desk]
    handlers: dict[str, Mapping[type[Event], Handler]]
    carried: dict[str, int] = field(default_factory=dict)

    async def ask(self, method: str, path: str, who: str | None = None, body: Any = None, **headers: str) -> Answer:
        """One request through the front door's table of routes, to the service that answers it."""
        path, mark, query = path.partition("?")
        name, inner = route(path.removeprefix("/api/")) or ("gateway", path)
        return await self.desks[name].call(method, inner + mark + query, who, body, **headers)

    async def hand_in(self, body: Any, who: str = "collector") -> dict[str, str]:
        """A record that a collector hands in and that everybody took; gives the follow code of each person."""
        answer = await self.ask("POST", "/api/records", who, body)
        if answer.status != 201:
            raise ValueError(answer.body)
        await self.flow()
        return {one["subject_id"]: one["follow_code"] for one in answer.body["receipts"]}

    async def flow(self) -> None:
        """Carry events until no service has a new one."""
        while True:
            waiting: dict[str, list[Received]] = {}
            for name, desk in self.desks.items():
                for received in await self._fresh(name, desk):
                    for group in TOPICS[received.topic].groups:
                        waiting.setdefault(group, []).append(received)
            if not waiting:
                return
            for group, received_there in waiting.items():
                await self.take(group, received_there)

    async def take(self, group: str, received: Sequence[Received]) -> None:
        """Have a service take events, in one transaction as its consumer takes a batch."""
        async with self.desks[group].database.transaction() as session:
            for one in received:
                if type(one.event) in self.handlers[group]:
                    await self.handlers[group][type(one.event)](session, one)

    async def told(self, name: str, after: int = 0) -> str:
        """All that a service published after a position, what is sealed in it opened: as text."""
        desk, found = self.desks[name], []
        query = "SELECT key, subject, recipient, body FROM outbox WHERE position > :after ORDER BY position"
        for row in await desk.rows(query, after=after):
            if row.recipient is not None:
                ring = await desk.vault.ring([row.subject])
                found.append(ring.decrypt(row.subject, feed_context(row.key), bytes(row.body)).decode())
            else:
                found.append(str(await self._opened(orjson.loads(bytes(row.body)))))
        return "\n".join(found)

    async def _opened(self, value: Any) -> Any:
        if isinstance(value, list):
            return [await self._opened(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "ciphertext" in value and "context" in value:
            subject = UUID(value["subject_id"])
            ring = await self.desks["intake"].vault.ring([subject])
            blob = value["key_version"].to_bytes(4) + base64.b64decode(value["ciphertext"])
            return ring.decrypt(subject, value["context"], blob).decode()
        return {name: await self._opened(one) for name, one in value.items()}

    async def _fresh(self, name: str, desk: Desk) -> list[Received]:
        query = (
            "SELECT position, id, topic, key, type, time, body FROM outbox"
            " WHERE position > :carried AND recipient IS NULL ORDER BY position"
        )
        found = []
        for row in await desk.rows(query, carried=self.carried.get(name, 0)):
            self.carried[name] = row.position
            envelope = Envelope(id=row.id, source=name, type=row.type, time=row.time, key=row.key)
            event = EVENTS[row.type].model_validate_json(bytes(row.body))
            found.append(Received(envelope, event, row.topic, bytes(row.body)))
        return found


@pytest.fixture(scope="module")
async def estate(new_desk: NewDesk) -> Estate:
    """A station's services, one estate for all tests of a module."""
    apps = {"intake": intake, "registry": registry, "risk": risk, "referral": referral, "audit": audit}
    apps["gateway"] = gateway
    told = {"gateway": GatewaySettings.model_construct()}
    desks = {name: await new_desk(name, app, told.get(name), KIT_TABLES, f"doorstep.{name}:migrations")
             for name, app in apps.items()}  # fmt: skip
    vault = desks["intake"].vault
    log = desks["audit"].service
    log.record = partial(submit_own, vault=vault)
    pack = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)
    handlers = {
        "intake": intake_handlers(vault),
        "registry": registry_handlers(vault),
        "risk": risk_handlers(vault, pack),
        "referral": referral_handlers(vault),
        "gateway": GATEWAY_HANDLERS,
        "audit": {
            AuditEntrySubmitted: storing(vault),
            FactsAsserted: knowing(vault),
            ProxyNamed: representing(vault),
            GuardianRecorded: guarding(vault),
            HouseholdLeft: renewing(vault),
            SubjectErased: erasing(vault),
        },
    }
    return Estate(desks, handlers)


@pytest.fixture(scope="module")
async def front(estate: Estate) -> AsyncIterator[None]:
    """The services that the gateway asks for residents, really listening."""
    servers, running = [], []
    for name in ("audit", "registry", "intake", "referral"):
        [port] = free_ports(1)
        config = uvicorn.Config(estate.desks[name].call.app, port=port, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        servers.append(server)
        listening = socket.create_server(("127.0.0.1", port))
        running.append(asyncio.create_task(server._serve([listening])))  # noqa: SLF001
        setattr(estate.desks["gateway"].service.settings, f"{name}_url", f"http://127.0.0.1:{port}")
    yield
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*running)
