"""Every route of every service that asks who calls is tried by people of all kinds: each refusal is in the log."""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import orjson
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from uuid_utils.compat import uuid7

from doorstep.audit.app import new_app as audit
from doorstep.audit.operations.submitting import subject_index, submit_own
from doorstep.contracts.codes import Action, Department, Purpose, Role
from doorstep.contracts.topics import SERVICES, TOPICS
from doorstep.gateway.app import new_app as gateway
from doorstep.gateway.domain.routes import outside
from doorstep.gateway.settings import GatewaySettings
from doorstep.intake.app import new_app as intake
from doorstep.kit.auth import Principal
from doorstep.kit.db import Database
from doorstep.kit.delivery import new_private_key
from doorstep.kit.intents import staff_subject
from doorstep.kit.policy import NEVER, AgencyKind, Forbidden, agency_kind
from doorstep.kit.service import PrincipalDep, Service, Visibility, attempts, create_app, visible_to
from doorstep.kit.testing import KIT_TABLES
from doorstep.local.ports import free_ports
from doorstep.local.records import demonstration
from doorstep.referral.app import new_app as referral
from doorstep.registry.app import new_app as registry
from doorstep.risk.app import make_app as risk

APPS = {"audit": audit, "gateway": gateway, "intake": intake, "referral": referral, "registry": registry, "risk": risk}
OPEN = {
    "/api/follow/{code}", "/api/follow/{code}/ratings", "/api/follow/{code}/looks", "/api/follow/{code}/withdrawals",
    "/api/follow/{code}/complaints", "/api/follow/{code}/complaints/{complaint_code}",
    "/api/follow/{code}/complaints/{complaint_code}/withdrawal",
    "/api/follow/{code}/notices", "/api/rule-packs/current", "/api/log/checkpoint",
    "/api/log/witnessed-checkpoint", "/api/log/vkey", "/api/log/vkeys", "/api/log/tile/{path}",
    "/api/log/proof/inclusion", "/api/log/proof/receipt", "/api/log/proof/receipt.svg", "/api/usage",
    "/api/exclusions", "/api/proxies", "/api/plans/contests", "/api/plans/withdrawals", "/api/directories/{version}",
    "/api/menu", "/api/own-requests", "/api/resident/own-requests", "/api/notices/check",
    "/api/resident/session", "/api/resident/account", "/api/resident/usage", "/api/resident/exclusions",
    "/api/dumonitor/v2/heartbeat",
}  # fmt: skip
KINDS = [
    (Role.REVIEWER, "police", "station-7"),
    (Role.REVIEWER, "station", "station-7"),
    (Role.REVIEWER, "station", None),
    (Role.SUPERVISOR, "station", "station-7"),
    (Role.COLLECTOR, "station", None),
    (Role.OFFICER, "justice", None),
    (Role.OFFICER, "fire", None),
    (Role.OPERATOR, "station", None),
    (Role.HOTLINE, "hotline-12345", "station-7"),
]
USUAL = {
    Role.REVIEWER: "triage", Role.OFFICER: "service", Role.DEPARTMENT_SYSTEM: "service", Role.AUDITOR: "audit",
    Role.OPERATOR: "repair", Role.PORTAL: "resident-request", Role.RESIDENT: "resident-request",
}  # fmt: skip
PARAMETERS = {
    "department": "justice", "kid": "key-1", "kind": "acceptance", "version": "1", "document_id": str(uuid7()),
}  # fmt: skip


def purposes(kind: int, asks: bool) -> list[str | None]:
    """None, one that nobody has, that of the role, and one of another's: where a route asks why."""
    mine = USUAL.get(KINDS[kind][0], "triage")
    return [None, "curiosity", mine, "repair" if mine != "repair" else "triage"] if asks else [None]


def body_for(method: str, path: str) -> Any:
    """What a route takes that takes anything; a new one has to be entered here."""
    bodies: dict[str, Callable[[], Any]] = {
        "/api/orders": lambda: {
            "number": f"QX-{uuid4().hex[:9]}", "called_at": "2026-11-20T01:00:00Z", "due_by": "2026-11-25T01:00:00Z",
            "need_types": ["blocked-exit"], "area": "330102", "place": "3 号楼",
        },
        "/orders/{receipt}/return": lambda: {"id": str(uuid7()), "reason": "other-district"},
        "/orders/{receipt}/join": lambda: {"id": str(uuid7()), "into": str(uuid4())},
        "/extensions": lambda: {"id": str(uuid7()), "until": "2098-01-01T00:00:00Z", "reason": "weather"},
        "/extensions/{extension_id}/answer": lambda: {"granted": True},
        "/call-backs": lambda: {"id": str(uuid7()), "result": "satisfied"},
        "/api/records": lambda: demonstration(int(uuid4()) % 10**6, now=datetime.now(UTC)),
        "/subjects/{subject_id}/plans": lambda: {
            "id": str(uuid7()), "level": 3, "cause": "no-heating", "consent": str(uuid4()), "fact": str(uuid4()),
            "panel": [{"person": "reviewer-2", "agency": "station"}], "team": ["collector-1", "collector-2"],
        },
        "/plans/{plan_id}/proposals": lambda: {
            "id": str(uuid7()), "step": "leave", "panel": [{"person": "reviewer-2", "agency": "station"}],
        },
        "/plan-proposals/{proposal_id}/decision": lambda: {
            "id": str(uuid7()), "agreed": True, "grounds": ["need-is-serious"],
        },
        "/plans/{plan_id}/meetings": lambda: {
            "id": str(uuid7()), "meeting": "contact", "at": datetime.now(UTC).isoformat(),
        },
        "/plans/{plan_id}/withdrawal": lambda: {"id": str(uuid7())},
        "/contest/answer": lambda: {"id": str(uuid7()), "stays": True, "grounds": ["cause-resolved"]},
        "/plans/contests": lambda: {"code": "0000-0000-0000-0000"},
        "/plans/withdrawals": lambda: {"code": "0000-0000-0000-0000"},
        "/decision": lambda: {"id": str(uuid7()), "decision": "confirmed", "reason": "核实"},
        "/requests/{ref}/transitions": lambda: {"id": str(uuid7()), "to": "accepted"},
        "/requests/{request_id}/transitions": lambda: {
            "id": str(uuid7()), "to": "requested", "department": "health",
        },
        "/requests/{request_id}/parts": lambda: {
            "id": str(uuid7()), "department": "labour", "need_type": "wage-help", "consented": True,
        },
        "/conferences": lambda: {
            "id": str(uuid7()), "parts": [1, 2], "starts_at": "2098-01-01T01:00:00Z", "ends_at": "2098-01-01T02:00:00Z",
        },
        "/minutes": lambda: {"id": str(uuid7()), "text": "已商定"},
        "/requests/{request_id}/appointments": lambda: {"id": str(uuid7())},
        "/requests/{ref}/fhir": lambda: {
            "resourceType": "Task", "status": "accepted", "intent": "order",
            "identifier": [{"system": "urn:doorstep:step", "value": str(uuid7())}],
        },
        "/keys/{kid}": lambda: new_private_key("key-1").as_dict(private=False),
        "/pass-over": lambda: {"topic": "risk.needs", "key": str(uuid4()), "missing_to": 1},
        "/replays": lambda: {"since": datetime.now(UTC).isoformat()},
        "/removal": lambda: None,
        "/complaints/{complaint_code}/withdrawal": lambda: None,
        "/complaints/{complaint_id}/answer": lambda: {"id": str(uuid7()), "finding": "upheld"},
        "/follow/{code}/complaints": lambda: {
            "id": str(uuid7()), "ref": str(uuid4()), "about": "station", "treatment": ["rude"],
        },
        "/withdrawal": lambda: {"reason": "retired"},
        "/endpoint": lambda: {"url": "https://example.com/feed"},
        "/erased": lambda: None,
        "/replay": lambda: None,
        "/log/inquiries": lambda: {"id": str(uuid7()), "subject_id": str(uuid4())},
        "/agreement": lambda: {"id": str(uuid7())},
        "/usage-deferrals": lambda: {
            "id": str(uuid7()), "subject_id": str(uuid4()), "case": str(uuid4()), "reason": "child-at-risk",
        },
        "/approval": lambda: None,
        "/break-glass": lambda: {"id": str(uuid7()), "reason": "danger-to-life", "second": "supervisor-1"},
        "/acknowledgement": lambda: {"id": str(uuid7())},
        "/review": lambda: {"id": str(uuid7()), "finding": "justified"},
        "/erasure": lambda: {"id": str(uuid7())},
        "/confirmation": lambda: {"id": str(uuid7())},
        "/guardian": lambda: {"id": str(uuid7()), "guardian": str(uuid4()), "basis": "parent"},
        "/suspension": lambda: {"id": str(uuid7()), "reason": "neglect"},
        "/departure": lambda: {"id": str(uuid7())},
        "/exclusions": lambda: {"staff": ["reviewer-5"]},
        "/proxies": lambda: {"code": "0000-0000-0000-0000", "proxy": None},
        "/subjects/{subject_id}": lambda: {"id": str(uuid7()), "alone": True},
        "/resident/session": lambda: {"code": "0000-0000"},
        "/resident/account": lambda: {"code": "0000-0000"},
        "/resident/usage": lambda: {},
        "/directories/{version}": dict,
        "/directories/trials": dict,
        "/activation": lambda: None,
        "/requests/{ref}/notices": lambda: {"id": str(uuid7()), "kind": "acceptance"},
        "/requests/{request_id}/notices": lambda: {"id": str(uuid7())},
        "/notices/check": lambda: {"number": "0000-0000-0000-0000", "hash": "0" * 64},
        "/acceptances": lambda: {"id": str(uuid7()), "requests": [{"ref": str(uuid4()), "version": 1}]},
        "/handler": lambda: {"id": str(uuid7()), "handler": None},
        "/reassignments": lambda: {"id": str(uuid7()), "officer": "officer-1", "handler": None},
        "/deputies": lambda: {
            "id": str(uuid7()), "deputy": "officer-8", "since": "2030-01-01T00:00:00Z", "until": "2030-01-02T00:00:00Z",
        },
        "/end": lambda: {"id": str(uuid7())},
        "/follow/{code}/looks": lambda: {"id": str(uuid7()), "ref": str(uuid4())},
        "/withdrawals": lambda: {"id": str(uuid7()), "ref": str(uuid4())},
        "/notices": lambda: {"channel": "none"},
        "/api/own-requests": lambda: {"id": str(uuid7()), "code": "0000-0000-0000-0000", "service": "wage-help"},
        "/resident/own-requests": lambda: {"id": str(uuid7()), "service": "wage-help"},
        "/answer": lambda: {"id": str(uuid7()), "finding": "stands"},
        "/reminders": lambda: {"id": str(uuid7())},
        "/call-acknowledgement": lambda: None,
        "/documents/{document_id}": lambda: None,
        "/entered-in-error": lambda: {"id": str(uuid7())},
        "/templates/{template}/{version}": lambda: {
            "need_type": "legal-aid", "outcome": "advice-given", "zh": "已答复", "en": "answered",
        },
        "/missing-papers": lambda: {"id": str(uuid7()), "papers": ["lease-contract"]},
        "/promise": lambda: {"id": str(uuid7()), "papers": ["lease-contract"], "until": "2030-01-01"},
        "/log/ties": lambda: {"cases": [str(uuid4())]},
    }  # fmt: skip
    return None if method == "get" else next(make for tail, make in bodies.items() if path.endswith(tail))()


def code_of(answer: Any) -> str:
    """The code of a problem, which an OperationOutcome of FHIR says as well."""
    body = answer.body
    return str(body["issue"][0]["details"]["coding"][0]["code"] if "issue" in body else body["type"].rpartition(":")[2])


@dataclass
class Walk:
    """A service, asked by people who are made up for one try each."""

    desk: Any
    app: FastAPI

    async def verify(self, token: str) -> Principal:
        """Stand in for the authenticator: the token says who it is."""
        kind, _, subject = token.partition(" ")
        if kind.isdigit():
            return Principal(subject, *KINDS[int(kind)])
        role, _, agency = kind.partition("@")
        return Principal(subject, Role(role), agency, "station-7")

    async def ask(self, method: str, path: str, kind: int | str, subject: str, purpose: str | None) -> Any:
        """What somebody of a kind is answered who calls a route for things that nobody knows."""
        headers = {"if_match": '"1"'} | ({"doorstep_purpose": purpose} if purpose else {})
        headers |= {"doorstep_case": str(uuid4())} if purpose else {}
        address = re.sub(r"{(\w+)}", lambda found: PARAMETERS.get(found[1], str(uuid4())), path)
        token = f"{kind} {subject}"
        return await self.desk.call(method.upper(), address, token, body_for(method, path), **headers)

    async def refusals(self, principal: Principal) -> list[tuple[str, str]]:
        """Action and outcome of what is logged about somebody alone, also in the log's own tables."""
        subject = staff_subject(self.desk.vault, principal)
        found = await self.desk.logged(subject)
        if self.desk.service.name == "audit":
            ring, index = await self.desk.vault.ring([subject]), subject_index(self.desk.vault, subject)
            rows = await self.desk.rows("SELECT sealed FROM detail WHERE subject = :index", index=index)
            found = [orjson.loads(ring.decrypt(subject, "AuditDetail", bytes(row.sealed))) for row in rows]
        return [(one["action"], one["outcome"]) for one in found]

    async def silent(self) -> list[str]:
        """The tries that were refused without exactly one entry that says what was tried, and why not."""
        missed = []
        for path, method, asks in self.routes():
            for kind, purpose in [(who, why) for who in range(len(KINDS)) for why in purposes(who, asks)]:
                subject = str(uuid4())
                answer = await self.ask(method, path, kind, subject, purpose)
                logged = await self.refusals(Principal(subject, *KINDS[kind]))
                told = [f"refused:{code_of(answer)}"] if answer.status in (403, 404) else []
                if answer.status == 200 and path.endswith("/acceptances"):  # of many each is refused by itself
                    told = [f"refused:{one['refused']}" for one in answer.body["requests"] if "refused" in one]
                known = [action in set(Action) - {Action.REFUSE} for action, _ in logged]
                if [word for _, word in logged if word.startswith("refused:")] != told or not all(known):
                    missed.append(f"{method} {path} {KINDS[kind]} {purpose}: {answer.status} {logged}")
        return missed

    def routes(self) -> list[tuple[str, str, bool]]:
        """Path and method of all routes that ask who calls, and whether they ask why."""
        found = []
        for path, methods in self.app.openapi()["paths"].items():
            path = outside("gateway", path) if self.desk.service.name == "gateway" else path
            for method, operation in methods.items():
                names = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"}
                if "authorization" in names:
                    found.append((path, method, "doorstep-purpose" in names))
        return found


async def walk_of(new_desk: Any, name: str, new_app: Callable[[Service], FastAPI]) -> Walk:
    settings = GatewaySettings.model_construct() if name == "gateway" else None
    desk = await new_desk(name, new_app, settings, KIT_TABLES, f"doorstep.{name}:migrations")
    walk = Walk(desk, desk.call.app)
    desk.service.authenticator = walk
    return walk


@pytest.fixture(scope="module", params=SERVICES)
async def walk(request: pytest.FixtureRequest, new_desk: Any) -> Walk:
    """One of the services."""
    made = await walk_of(new_desk, request.param, APPS[request.param])
    if request.param == "audit":
        made.desk.service.record = partial(submit_own, vault=made.desk.vault)
    return made


async def test_every_refusal_of_every_route_is_in_the_log(walk: Walk) -> None:
    assert await walk.silent() == []


async def test_police_political_legal_and_petition_agencies_get_nothing_from_any_route(walk: Walk) -> None:
    """In every role, for the purpose that this role has, which for the station's staff may be an emergency."""
    answered = []
    for (path, method, _), agency, role in itertools.product(walk.routes(), sorted(NEVER), Role):
        who = f"{role}-of-{agency}"  # one key each, and not one a try
        answer = await walk.ask(method, path, f"{role}@{agency}", who, USUAL.get(role, "emergency"))
        if answer.status != 403:
            answered.append(f"{method} {path} {role}@{agency}: {answer.status}")
    assert answered == []


async def test_a_resident_with_a_token_gets_nothing_from_any_route(walk: Walk) -> None:
    """An account of the issuer is good for signing in alone: whose it is only the front door knows."""
    for path, method, asks in walk.routes():
        for purpose in [str(one) for one in Purpose] if asks else [None]:
            answer = await walk.ask(method, path, "resident@resident", "resident", purpose)
            assert answer.status == 403, f"{method} {path} {purpose}"


async def test_no_feed_is_theirs(new_desk: Any) -> None:
    """A feed is read by whoever registered its key, and by nobody else; no department is of their kind."""
    walk = await walk_of(new_desk, "referral", referral)
    feeds = {topic.removeprefix("feed.") for topic in TOPICS if topic.startswith("feed.")}
    assert feeds == set(Department)
    assert {agency_kind(feed) for feed in feeds} == {AgencyKind.DEPARTMENT}
    for feed, agency, role in itertools.product(sorted(feeds), sorted(NEVER), ("officer", "department-system")):
        path = f"/api/departments/{feed}/keys/key-1"
        assert (await walk.ask("put", path.replace("key-1", "{kid}"), f"{role}@{agency}", "x", None)).status == 403


async def test_without_its_database_no_route_of_a_service_refuses(walk: Walk) -> None:
    """What cannot be logged is not answered: also where to refuse takes no look at anything."""
    mine, port = walk.desk.service.database, free_ports(1)[0]
    walk.desk.service.database = Database(f"postgresql+asyncpg://nobody@127.0.0.1:{port}/nothing", service=mine.service)
    try:
        for path, method, _ in walk.routes():
            for purpose in purposes(0, asks=True):
                answer = await walk.ask(method, path, 0, str(uuid4()), purpose)
                assert (answer.status, code_of(answer)) == (503, "database-away"), path
    finally:
        await walk.desk.service.database.close()
        walk.desk.service.database = mine


async def test_every_route_asks_who_calls_or_is_known_to_be_public(walk: Walk) -> None:
    asking = {path for path, _, _ in walk.routes()}
    name = walk.desk.service.name
    every = {outside(name, path) if name == "gateway" else path for path in walk.app.openapi()["paths"]}
    assert every - asking <= OPEN
    assert len(asking) >= 4


def careless(service: Service) -> FastAPI:
    """Endpoints whose refusals are not logged as they should be, and one whose are."""
    router = APIRouter(prefix="/api")

    @router.get("/undeclared")
    @visible_to(Visibility.PUBLIC)
    async def undeclared(principal: PrincipalDep) -> None:
        raise Forbidden("undeclared")

    @router.get("/past")
    @attempts(Action.READ_FILE)
    @visible_to(Visibility.PUBLIC)
    async def past(principal: PrincipalDep) -> JSONResponse:
        return JSONResponse({"type": "urn:doorstep:problem:forbidden"}, 403)

    @router.get("/careful")
    @attempts(Action.READ_FILE)
    @visible_to(Visibility.PUBLIC)
    async def careful(principal: PrincipalDep) -> None:
        raise Forbidden("careful")

    return create_app(service, router, title="Careless")


async def test_an_endpoint_that_does_not_log_its_refusals_would_be_found(new_desk: Any) -> None:
    walk = await walk_of(new_desk, "registry", careless)
    assert {missed.split()[1] for missed in await walk.silent()} == {"/api/undeclared", "/api/past"}
