"""The gateway over a real database; nobody answers behind it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import aiohttp
import orjson
import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Channel, Department, LegalBasis, SaidBy, TaskState, Urgency
from doorstep.contracts.envelope import Envelope, Event
from doorstep.contracts.facts import Fact, SubjectKind
from doorstep.contracts.intake import Card, RecordedSubject, StatedFacts, VisitRecorded
from doorstep.contracts.referral import RequestOpened, RequestSummary, TaskTransitioned, TransitionDetail
from doorstep.contracts.registry import AssertedSubject, FactsAsserted
from doorstep.gateway.app import new_app
from doorstep.gateway.consumers import HANDLERS
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.auth import Authenticator
from doorstep.kit.consumer import Received
from doorstep.kit.testing import KIT_TABLES
from doorstep.local.issuer import AUDIENCE, Issuer
from doorstep.local.ports import free_ports

STATION = "station-7"
PUBLIC = "http://127.0.0.1:8600"


def settings(profile: str = "embedded", **more: Any) -> GatewaySettings:
    """Settings by which nobody answers: neither the services behind nor the issuer."""
    port = free_ports(1)[0]
    away = f"http://127.0.0.1:{port}"
    told = {
        "profile": profile, "database_url": "", "kafka": "", "keyset": Path(),
        "client_id": "gateway", "client_secret": Path(),
        **{name: away for name in ("issuer", "jwks_url", "key_store_url", "token_url", "intake_url", "registry_url",
                                   "risk_url", "referral_url", "audit_url")},
    }  # fmt: skip
    return GatewaySettings(**told | more)


@dataclass
class Browser:
    """Speaks to the gateway's application as a browser does: it keeps cookies, and says where a request comes from."""

    app: Any
    cookies: dict[str, str] = field(default_factory=dict)
    set: dict[str, Any] = field(default_factory=dict)
    peer: str = "192.0.2.1"

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer; its cookies are kept."""
        path, _, query = path.partition("?")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            named["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        named |= {} if body is None else {"content-type": "application/json"}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in named.items()], "client": (self.peer, 1),
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"" if body is None else orjson.dumps(body)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        for name, value in sent[0]["headers"]:
            if name == b"set-cookie":
                self._keep(value.decode())
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], told, b"".join(part.get("body", b"") for part in sent[1:])

    def _keep(self, header: str) -> None:
        [(name, one)] = SimpleCookie(header).items()
        self.set[name] = one
        if one["max-age"] == "0":
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = one.value

    async def begin(self, page: str = "/audit") -> str:
        """Where the gateway sends a browser that wants to sign in."""
        status, headers, body = await self.ask("GET", f"/sign-in?page={page}")
        assert status == 303, body
        return headers["location"]

    async def chosen(self, address: str, person: str) -> str:
        """Path and query to which the issuer sends the browser back."""
        form = dict(parse_qsl(urlsplit(address).query)) | {"person": person}
        async with aiohttp.ClientSession() as client:
            async with client.get(address) as page:
                assert page.status == 200
            async with client.post(address.partition("?")[0], data=form, allow_redirects=False) as answer:
                assert answer.status == 303, await answer.text()
                back = urlsplit(answer.headers["Location"])
        return f"{back.path}?{back.query}"

    async def sign_in(self, person: str = "reviewer", page: str = "/audit") -> None:
        """Sign in as one of the issuer's people."""
        status, headers, body = await self.ask("GET", await self.chosen(await self.begin(page), person))
        assert (status, headers.get("location")) == (303, page), body

    async def request_token(self) -> str:
        """What the page says when it changes something."""
        return (await self.ask("GET", "/api/session", sec_fetch_site="same-origin"))[1]["doorstep-request-token"]


@dataclass(frozen=True)
class Way:
    """A record on its way, told to the gateway event by event."""

    desk: Any
    record_id: UUID
    file_id: UUID
    person: UUID
    dwelling: UUID

    async def tell(self, event: Event) -> None:
        """Let the gateway's consumer take an event."""
        envelope = Envelope(
            id=uuid7(), source="doorstep/test", type=event.event_type, time=datetime.now(UTC), key=self.file_id
        )
        async with self.desk.database.transaction() as session:
            await HANDLERS[type(event)](session, Received(envelope, event))

    async def taken(self) -> None:
        """The record is taken by collector-1."""
        ring = await self.desk.vault.ring([self.person, self.dwelling], create=True)
        subjects = [
            RecordedSubject(
                subject_id=one,
                kind=kind,
                card=ring.seal(one, Card(name="王秀英")),
                facts=ring.seal(one, StatedFacts(facts=())),
            )
            for one, kind in ((self.person, SubjectKind.PERSON), (self.dwelling, SubjectKind.DWELLING))
        ]
        await self.tell(
            VisitRecorded(
                record_id=self.record_id,
                file_id=self.file_id,
                station=STATION,
                channel=Channel.VISIT,
                visited_at=datetime.now(UTC),
                recorded_at=datetime.now(UTC),
                recorded_by=self.desk.vault.pairwise("staff", "collector-1"),
                subjects=tuple(subjects),
            )
        )

    async def asserted(self, *subjects: UUID) -> None:
        """Facts on these subjects are in the file."""
        ring = await self.desk.vault.ring(subjects)
        fact = Fact(
            fact_id=uuid4(),
            code="living.alone",
            value=True,
            said_by=SaidBy.PERSON,
            legal_basis=LegalBasis.CONSENT,
            since=datetime.now(UTC),
        )
        await self.tell(
            FactsAsserted(
                record_id=self.record_id,
                file_id=self.file_id,
                file_version=1,
                station=STATION,
                recorded_by=uuid4(),
                asserted_at=datetime.now(UTC),
                subjects=tuple(
                    AssertedSubject(
                        subject_id=one,
                        kind=SubjectKind.PERSON,
                        person_id=uuid4(),
                        card=ring.seal(one, Card(name="王秀英")),
                        facts=ring.seal(one, StatedFacts(facts=(fact,))),
                    )
                    for one in subjects
                ),
            )
        )

    async def opened(self) -> UUID:
        """A request of the person is open at justice."""
        request_id = uuid7()
        ring = await self.desk.vault.ring([self.person])
        now = datetime.now(UTC)
        summary = RequestSummary(
            need_type="legal-aid",
            department=Department.JUSTICE,
            urgency=Urgency.DAY,
            respond_by=now,
            complete_by=now,
        )
        await self.tell(
            RequestOpened(
                request_id=request_id,
                task_id=uuid7(),
                need_id=uuid7(),
                record_id=self.record_id,
                file_id=self.file_id,
                subject_id=self.person,
                opened_at=now,
                summary=ring.seal(self.person, summary),
            )
        )
        return request_id

    async def moved(self, request_id: UUID, part: int | None = None) -> None:
        """Justice accepted the request, or its part of one."""
        ring = await self.desk.vault.ring([self.person])
        await self.tell(
            TaskTransitioned(
                request_id=request_id,
                task_id=uuid7(),
                record_id=self.record_id,
                file_id=self.file_id,
                subject_id=self.person,
                from_state=TaskState.REQUESTED,
                to_state=TaskState.ACCEPTED,
                version=2,
                at=datetime.now(UTC),
                part=part,
                detail=ring.seal(
                    self.person,
                    TransitionDetail(department=Department.JUSTICE, need_type=None if part is None else "mediation"),
                ),
            )
        )

    async def look(self, who: str | None = "reviewer", purpose: str | None = "triage", **headers: str) -> Any:
        """What somebody is answered who asks for the journey."""
        headers |= {} if purpose is None else {"doorstep_purpose": purpose}
        return await self.desk.call("GET", f"/api/journeys/{self.record_id}", who, **headers)


@pytest.fixture(scope="session")
def settings_for() -> Any:
    """Makes settings by which nobody answers but who is named."""
    return lambda profile="embedded", **more: settings(profile, **more)


@pytest.fixture(scope="session")
def new_browser() -> Any:
    """Makes a browser that asks a desk's gateway."""
    return lambda desk, **more: Browser(desk.call.app, **more)


@pytest.fixture(scope="module")
async def desk(new_desk: Any) -> Any:
    """The gateway, one for all tests of a module."""
    return await new_desk("gateway", new_app, settings(), KIT_TABLES, "doorstep.gateway:migrations")


@pytest.fixture(scope="module")
async def in_production(new_desk: Any) -> Any:
    """The gateway of another profile."""
    return await new_desk("gateway", new_app, settings("production"), KIT_TABLES, "doorstep.gateway:migrations")


@pytest.fixture
async def way(desk: Any) -> Way:
    """A record that was taken just now."""
    found = Way(desk, uuid7(), uuid7(), uuid4(), uuid4())
    await found.taken()
    return found


@pytest.fixture(scope="module")
async def issuer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Issuer]:
    """The development issuer, really running."""
    folder: Path = tmp_path_factory.mktemp("issuer")
    issuer = Issuer(folder / "issuer.json", free_ports(1)[0])
    await issuer.start()
    yield issuer
    await issuer.stop()


@pytest.fixture(scope="module")
async def door(new_desk: Any, issuer: Issuer) -> Any:
    """The gateway, which takes the tokens of that issuer."""
    made = await new_desk(
        "gateway",
        new_app,
        settings(issuer=issuer.url, jwks_url=issuer.key_set_url, public_url=PUBLIC),
        KIT_TABLES,
        "doorstep.gateway:migrations",
    )
    made.service.authenticator = Authenticator(
        issuer=issuer.url, jwks_url=issuer.key_set_url, audience=AUDIENCE, development=True
    )
    return made
