"""What somebody tried and was refused is in the log before they are answered: about whom, how often, and never not."""

import asyncio
import base64
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from fastapi import APIRouter
from prometheus_client import REGISTRY
from sqlalchemy import event, text

from doorstep.contracts.codes import Action, Role
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.db import Database
from doorstep.kit.edge import Refusals, attempts
from doorstep.kit.idempotency import claim
from doorstep.kit.intents import Intent, staff_subject
from doorstep.kit.policy import CaseKind, Policy, Resource, Why
from doorstep.kit.problems import Problem
from doorstep.kit.service import (
    PrincipalDep,
    PurposeDep,
    Service,
    ServiceDep,
    SessionDep,
    Visibility,
    create_app,
    visible_to,
)
from doorstep.kit.vault import NOBODY

PEOPLE = {
    "reviewer": Principal("reviewer-1", Role.REVIEWER, "station", "station-7"),
    "elsewhere": Principal("reviewer-9", Role.REVIEWER, "station", "station-9"),
    "police": Principal("police-1", Role.REVIEWER, "police", "station-7"),
}
A_MINUTE = 40
SUBJECTS = "SELECT subject FROM thing WHERE id = :id ORDER BY subject"


async def subjects_of(session: Any, thing: UUID) -> list[UUID]:
    return list(await session.scalars(text(SUBJECTS), {"id": thing}))


def things() -> APIRouter:
    """Endpoints that refuse as those of services do; a thing is one of station-7."""
    router = APIRouter(prefix="/api/things")

    @router.get("/{thing}")
    @attempts(Action.READ_FILE, "thing", subjects_of)
    @visible_to(Visibility.PUBLIC)
    async def read(
        thing: UUID, principal: PrincipalDep, purpose: PurposeDep, session: SessionDep, service: ServiceDep
    ) -> dict[str, str]:
        await session.execute(text("INSERT INTO looked (at) VALUES (now())"))
        service.policy.read(principal, "read-file", Resource("file"), Why(purpose, thing), CaseKind.FILE)
        if principal.station != "station-7" or not await subjects_of(session, thing):
            raise Problem(404, "thing-unknown", "没有。", "There is none.")
        return {"name": "王秀英"}

    @router.post("/{thing}/{how}")
    @attempts(Action.DECIDE_NEED, "thing", subjects_of)
    @visible_to(Visibility.PUBLIC)
    async def change(thing: UUID, how: str, principal: PrincipalDep, session: SessionDep) -> None:
        if how == "id-of-another":
            await claim(session, principal, thing, b"x" * 32)
        raise Problem(409, how, "不可。", "No.", refusal=how == "conduct")

    return router


@dataclass
class Desk:
    """A small service, and the people who ask it."""

    service: Service
    app: Any = None

    async def verify(self, token: str) -> Principal:
        """Stand in for the authenticator: the token is the name."""
        if token not in PEOPLE:
            raise NotAuthenticated
        return PEOPLE[token]

    async def ask(self, path: str, who: str | None, *, method: str = "GET", **more: str) -> tuple[int, Any, bytes]:
        """Status, headers and body of the answer."""
        named = {"accept-language": "en"} | {name.replace("_", "-"): value for name, value in more.items()}
        named |= {"authorization": f"Bearer {who}"} if who else {}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], sent[0]["headers"], b"".join(part.get("body", b"") for part in sent[1:])

    async def read(self, thing: object, who: str | None, purpose: str = "triage") -> tuple[int, Any, bytes]:
        """Somebody asks for a thing."""
        return await self.ask(f"/api/things/{thing}", who, doorstep_purpose=purpose)

    async def run(self, statement: str, **values: Any) -> list[Any]:
        """Run one statement as a transaction of its own."""
        async with self.service.database.transaction() as session:
            result = await session.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    async def thing(self, count: int = 1) -> tuple[UUID, list[UUID]]:
        """A thing that is about so many subjects."""
        thing, subjects = uuid4(), sorted(uuid4() for _ in range(count))
        await self.service.vault.ring(subjects, create=True)
        for subject in subjects:
            await self.run("INSERT INTO thing VALUES (:id, :subject)", id=thing, subject=subject)
        return thing, subjects

    def staff(self, who: str) -> UUID:
        """The subject of what is about somebody of the staff alone."""
        return staff_subject(self.service.vault, PEOPLE[who])

    async def entries(self) -> list[dict[str, Any]]:
        """Every entry on its way to the log, oldest first."""
        rows = await self.run("SELECT body FROM outbox WHERE topic LIKE 'audit.entry.%' ORDER BY position")
        return [orjson.loads(bytes(row.body)) for row in rows]

    async def logged(self, subject: UUID) -> list[dict[str, Any]]:
        """The details about a subject."""
        ring = await self.service.vault.ring([subject])
        found = []
        for entry in await self.entries():
            for detail in entry["details"]:
                if detail["subject_id"] == str(subject):
                    blob = detail["key_version"].to_bytes(4) + base64.b64decode(detail["ciphertext"])
                    found.append(orjson.loads(ring.decrypt(subject, "AuditDetail", blob)))
        return found


def away() -> Database:
    """A database at an address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return Database(f"postgresql+asyncpg://nobody@127.0.0.1:{port}/nothing", service="referral")


@pytest.fixture
async def desk(databases, tmp_path: Path):
    """A service with the smallest pool: who held a second connection would wait for himself."""
    url = await databases.new()
    database = Database(url, service="referral", pool_size=1)
    vault = await databases.vault(tmp_path)
    made = Desk(Service("referral", None, database, vault, Policy(), None, None, None))
    made.service.authenticator = made
    made.app = create_app(made.service, things(), title="Things")
    made.app.state.refusals = Refusals(made.service, a_minute=A_MINUTE)
    for statement in ("CREATE TABLE thing (id uuid, subject uuid)", "CREATE TABLE looked (at timestamptz)"):
        await made.run(statement)
    yield made
    await database.close()
    await vault.store.database.close()


async def test_a_refusal_is_logged_for_everybody_whom_the_thing_is_about_and_leaves_nothing_else(desk) -> None:
    thing, subjects = await desk.thing(3)
    assert (await desk.read(thing, "police"))[0] == 403
    (entry,) = await desk.entries()
    assert [UUID(detail["subject_id"]) for detail in entry["details"]] == subjects
    for subject in subjects:
        (detail,) = await desk.logged(subject)
        told = {name: detail.get(name) for name in ("service", "action", "outcome", "actor", "role", "agency")}
        assert told == {
            "service": "referral", "action": "read-file", "outcome": "refused:forbidden", "actor": "police-1",
            "role": "reviewer", "agency": "police",
        }  # fmt: skip
        assert (detail["purpose"], detail["case"]) == ("triage", str(thing))
        assert detail["policies"] == ["never-police-or-petitions"]
    assert await desk.run("SELECT FROM looked") == []


async def test_a_try_at_nothing_known_is_about_the_caller_alone(desk) -> None:
    for thing, who, status in ((uuid4(), "reviewer", 404), (uuid4(), "police", 403), ("x", "reviewer", 422)):
        assert (await desk.read(thing, who))[0] == status
    for who, code in (("reviewer", "thing-unknown"), ("police", "forbidden")):
        (detail,) = await desk.logged(desk.staff(who))
        assert (detail["outcome"], detail["actor"]) == (f"refused:{code}", PEOPLE[who].subject)
        assert "case" not in detail
    assert len(await desk.entries()) == 2


async def test_the_subject_that_stands_for_a_caller_names_nobody(desk) -> None:
    subject = desk.staff("reviewer")
    assert subject != desk.service.vault.pairwise("staff", "reviewer-1")
    assert subject == desk.staff("reviewer") != desk.staff("elsewhere")


async def test_what_is_hidden_is_answered_to_the_byte_like_what_is_not_there_and_costs_the_same(desk) -> None:
    thing, (subject,) = await desk.thing()
    seen, commits = [], []
    for engine in (desk.service.database.engine, desk.service.vault.store.database.engine):
        event.listen(engine.sync_engine, "commit", lambda _: commits.append(1))
    for asked in (thing, uuid4()):
        seen.append((await desk.read(asked, "elsewhere"), len(commits)))
        commits.clear()
    assert seen[0] == seen[1]
    assert (seen[0][0][0], seen[0][1]) == (404, 1)
    assert [one["outcome"] for one in await desk.logged(subject)] == ["refused:thing-unknown"]
    assert [one["outcome"] for one in await desk.logged(desk.staff("elsewhere"))] == ["refused:thing-unknown"]


async def test_an_entry_of_a_refusal_looks_like_that_of_a_read(desk) -> None:
    thing, (subject,) = await desk.thing()
    await desk.read(thing, "police")
    await desk.read(uuid4(), "elsewhere")
    await desk.ask(f"/api/things/{thing}", "elsewhere")
    ring = await desk.service.vault.ring([subject])
    async with desk.service.database.transaction() as session:
        desk.service.record(session, ring, Intent(Action.READ_FILE, [subject]))
    assert len({len(orjson.dumps(entry)) for entry in await desk.entries()}) == 1
    assert len(await desk.entries()) == 4


@pytest.mark.parametrize(
    ("headers", "code", "purpose"),
    [
        ({}, "purpose-missing", None),
        ({"doorstep_purpose": "王秀英"}, "purpose-unknown", None),
        ({"doorstep_purpose": "service"}, "forbidden", "service"),
    ],
)
async def test_a_purpose_is_logged_if_it_is_one_and_never_the_callers_words(desk, headers, code, purpose) -> None:
    thing, (subject,) = await desk.thing()
    headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    status, _, raw = await desk.ask(f"/api/things/{thing}", "reviewer", **headers)
    assert status == 403
    assert "王秀英" not in raw.decode()
    (detail,) = await desk.logged(subject)
    assert (detail["outcome"], detail.get("purpose")) == (f"refused:{code}", purpose)
    assert "王秀英" not in str(detail)


async def test_what_conduct_forbids_is_logged_and_everyday_slips_are_not(desk) -> None:
    thing, (subject,) = await desk.thing()
    for how in ("version-stale", "decided-already", "conduct"):
        assert (await desk.ask(f"/api/things/{thing}/{how}", "reviewer", method="POST"))[0] == 409
    assert [one["outcome"] for one in await desk.logged(subject)] == ["refused:conduct"]
    assert len(await desk.entries()) == 1


async def test_the_id_of_anothers_command_is_a_refusal_and_ones_own_reused_is_a_slip(desk) -> None:
    thing, (subject,) = await desk.thing()
    values = {"id": thing, "digest": b"y" * 32}
    await desk.run("INSERT INTO command (id, principal, digest) VALUES (:id, 'reviewer-1', :digest)", **values)
    answers = [
        await desk.ask(f"/api/things/{thing}/id-of-another", who, method="POST") for who in ("reviewer", "elsewhere")
    ]
    assert answers[0] == answers[1]
    assert [one["actor"] for one in await desk.logged(subject)] == ["reviewer-9"]


async def test_who_is_nobody_is_counted_and_not_logged(desk) -> None:
    labels = {"service": "referral", "problem": "not-authenticated"}
    before = REGISTRY.get_sample_value("doorstep_refusals_total", labels) or 0
    thing, _ = await desk.thing()
    for who in (None, "forged"):
        assert (await desk.read(thing, who))[0] == 401
    assert (await desk.ask("/api/nothing", "reviewer"))[0] == 404
    assert await desk.entries() == []
    assert REGISTRY.get_sample_value("doorstep_refusals_total", labels) == before + 2


async def test_the_entry_is_committed_before_the_first_byte_of_the_answer(desk) -> None:
    thing, _ = await desk.thing()
    answers: list[int] = []
    app = desk.app

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                answers.append(len(await desk.entries()))
            await send(message)

        await app(scope, receive, noted)

    await replace(desk, app=watched).read(thing, "police")
    assert answers == [1]


@pytest.mark.parametrize("which", ["own", "keys"])
async def test_without_a_database_a_refusal_is_503_and_says_nothing(desk, which) -> None:
    thing, _ = await desk.thing()
    other, mine = away(), desk.service.vault.store.database
    if which == "own":
        desk.service.database, mine = other, desk.service.database
    else:
        desk.service.vault.store.database = other
        desk.service.vault._cache.clear()
    for asked in (thing, uuid4()):
        status, headers, raw = await desk.read(asked, "police")
        assert (status, orjson.loads(raw)["type"]) == (503, "urn:doorstep:problem:database-away")
        assert dict(headers)[b"retry-after"] == b"1"
    if which == "own":
        desk.service.database = mine
    else:
        desk.service.vault.store.database = mine
    await other.close()
    assert await desk.entries() == []
    assert (await desk.read(thing, "police"))[0] == 403
    assert len(await desk.entries()) == 1


async def test_when_the_log_cannot_be_written_a_refusal_is_not_answered(desk) -> None:
    thing, _ = await desk.thing()
    await desk.run("ALTER TABLE outbox RENAME TO outbox_away")
    status, _, raw = await desk.read(thing, "police")
    await desk.run("ALTER TABLE outbox_away RENAME TO outbox")
    assert (status, orjson.loads(raw)["type"]) == (500, "urn:doorstep:problem:internal")
    assert (await desk.read(thing, "police"))[0] == 403
    assert len(await desk.entries()) == 1


async def test_erased_subjects_are_left_out_and_if_all_are_it_is_about_the_caller(desk) -> None:
    thing, (first, second) = await desk.thing(2)
    await desk.service.vault.destroy(first)
    assert (await desk.read(thing, "police"))[0] == 403
    assert len(await desk.logged(second)) == 1
    await desk.service.vault.destroy(second)
    assert (await desk.read(thing, "police", "follow-up"))[0] == 403
    (detail,) = await desk.logged(desk.staff("police"))
    assert (detail["outcome"], detail["case"]) == ("refused:forbidden", str(thing))
    await desk.service.vault.destroy(desk.staff("police"))
    assert (await desk.read(thing, "police", "audit"))[0] == 403
    assert [one["purpose"] for one in await desk.logged(NOBODY)] == ["audit"]


async def test_the_same_refusal_within_a_minute_is_one_entry_and_after_it_another(desk) -> None:
    thing, (subject,) = await desk.thing()
    for _ in range(100):
        assert (await desk.read(thing, "police"))[0] == 403
    assert len(await desk.logged(subject)) == 1
    await desk.read(thing, "police", "follow-up")
    await desk.read(thing, "elsewhere")
    assert len(await desk.logged(subject)) == 3
    refusals: Refusals = desk.app.state.refusals
    refusals._minutes["police-1"].ends = 0.0
    await desk.read(thing, "police")
    assert len(await desk.logged(subject)) == 4


async def test_whoever_is_refused_too_often_is_not_looked_at_until_the_minute_is_over(desk) -> None:
    thing, (subject,) = await desk.thing()
    for _ in range(A_MINUTE):
        assert (await desk.read(uuid4(), "elsewhere"))[0] == 404
    for asked in (thing, uuid4(), thing):
        status, headers, raw = await desk.read(asked, "elsewhere")
        assert (status, orjson.loads(raw)["type"]) == (429, "urn:doorstep:problem:too-many-refusals")
        assert 0 < int(dict(headers)[b"retry-after"]) <= 60
    assert await desk.logged(subject) == []
    details = await desk.logged(desk.staff("elsewhere"))
    assert len(await desk.entries()) == len(details) == A_MINUTE + 1
    assert (details[-1]["action"], details[-1]["outcome"]) == ("refuse", "refused:too-many-refusals")
    assert (await desk.read(thing, "reviewer"))[0] == 200
    desk.app.state.refusals._minutes["reviewer-9"].ends = 0.0
    assert (await desk.read(thing, "elsewhere"))[0] == 404
    assert len(await desk.logged(subject)) == 1


async def test_what_comes_all_at_once_is_bounded_too_and_nobody_waits_for_a_second_connection(desk) -> None:
    thing, _ = await desk.thing()
    answers = await asyncio.gather(*(desk.read(uuid4(), "elsewhere") for _ in range(60)), desk.read(thing, "reviewer"))
    statuses = [status for status, _, _ in answers]
    assert statuses == [404] * 60 + [200]
    assert [status for status, _, _ in await asyncio.gather(*(desk.read(uuid4(), "elsewhere") for _ in range(60)))] == [
        429
    ] * 60
    assert 60 < len(await desk.entries()) <= 60 + 60 + 1


async def test_two_instances_each_log_what_they_refuse(desk) -> None:
    thing, (subject,) = await desk.thing()
    other = replace(desk, app=create_app(desk.service, things(), title="Things"))
    for one in (desk, other, desk, other):
        assert (await one.read(thing, "police"))[0] == 403
    assert len(await desk.logged(subject)) == 2


async def test_callers_of_minutes_that_are_over_are_forgotten(desk) -> None:
    await desk.read(uuid4(), "police")
    refusals: Refusals = desk.app.state.refusals
    refusals._minutes["police-1"].ends = 0.0
    await desk.read(uuid4(), "elsewhere")
    assert set(refusals._minutes) == {"reviewer-9"}
