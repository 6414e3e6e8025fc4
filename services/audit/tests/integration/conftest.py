"""A log in a real database, filled and read without HTTP."""

import asyncio
import json
import re
import secrets
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
import uvicorn
from sqlalchemy import text
from typer.testing import CliRunner

from doorstep.audit import queries
from doorstep.audit.app import new_app
from doorstep.audit.commands import application
from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.criteria import EPOCH, micros
from doorstep.audit.domain.entry import Entry
from doorstep.audit.domain.keys import LogKeys
from doorstep.audit.domain.note import SigningKey, VerifierKey
from doorstep.audit.domain.quorum import Witness
from doorstep.audit.domain.tiles import BUNDLE, encode_bundle, parse_path
from doorstep.audit.domain.verify import VerifiedLog, verify_log
from doorstep.audit.operations.about import details_about
from doorstep.audit.operations.anchoring import Anchor
from doorstep.audit.operations.opening import Place
from doorstep.audit.operations.searching import about
from doorstep.audit.operations.sequencing import Sequencer, SequencerStep
from doorstep.audit.operations.submitting import Submission, read_submission, submit, submit_own
from doorstep.audit.settings import LogSettings
from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Action, Role
from doorstep.kit import intents
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.db import Database
from doorstep.kit.intents import Intent
from doorstep.kit.policy import Decision, Policy, Resource
from doorstep.kit.service import compose
from doorstep.kit.testing import KIT_TABLES, eventually
from doorstep.kit.vault import Vault

ORIGIN = "doorstep.example/log"


class StoredLog:
    """The log of one database."""

    key = SigningKey(ORIGIN, bytes(range(32)))
    origin = ORIGIN

    EDIT = r"""
    UPDATE entry SET body =
        convert_to(regexp_replace(convert_from(body, 'UTF8'), '"hour":"[^"]*"', '"hour":"2020-01-01T00"'), 'UTF8')
    WHERE index = {}
    """
    REHASH = r"UPDATE entry SET leaf = sha256('\x00'::bytea || body) WHERE index = {}"

    TABLES = (
        "doorstep.kit:migrations/service",
        "doorstep.audit:migrations",
        "doorstep.audit:migrations/anchor",  # beside the log: most tests do not touch it
    )

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.url = url
        self.keep_anchor(database, url)

    def keep_anchor(self, second: Database, url: str) -> None:
        """Have the anchor in this store from now on."""
        self.second = second
        self.second_url = url
        self.anchor = Anchor(second, origin=self.origin)

    def sequencer(
        self,
        *,
        batch: int = 100,
        watch: Callable[[SequencerStep], None] | None = None,
        keys: LogKeys | None = None,
    ) -> Sequencer:
        return Sequencer(self.database, keys or LogKeys((self.key,)), self.anchor, batch=batch, watch=watch)

    async def submit(self, count: int) -> list[UUID]:
        """Submit so many new entries in one transaction and return their ids."""
        entries = [Entry(uuid4(), "2026-11-21T10", (secrets.token_bytes(32),)) for _ in range(count)]
        await self.submit_these([Submission(entry.id, entry.encode()) for entry in entries])
        return [entry.id for entry in entries]

    async def submit_these(self, submissions: Sequence[Submission]) -> None:
        """Submit these in one transaction."""
        async with self.database.transaction() as session:
            for one in submissions:
                submit(session, one)

    FILL = """
    INSERT INTO pending (entry_id, body) SELECT id, convert_to(format(
        '{"commitments":["%s"],"hour":"2026-11-21T10","id":"%s"}', encode(sha256(id::text::bytea), 'hex'), id
    ), 'UTF8') FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, :count)) AS made
    """

    async def fill(self, count: int) -> None:
        """Submit so many entries that the database makes up itself."""
        async with self.database.transaction() as session:
            await session.execute(text(self.FILL), {"count": count})

    async def drain(self, sequencer: Sequencer | None = None) -> None:
        """Let the sequencer work until nothing is pending."""
        sequencer = sequencer or self.sequencer()
        while await sequencer.turn():
            pass

    async def fetch(self, path: str) -> bytes | None:
        async with self.database.transaction() as session:
            if path == "checkpoint":
                newest = await queries.newest_checkpoint(session)
                return newest and newest[1]
            tile = parse_path(path)
            if tile.level != BUNDLE:
                return await queries.tile(session, tile)
            rows = await queries.rows(session, tile.start, tile.start + tile.width)
            return encode_bundle([body for _, body, _ in rows]) or None

    async def verify(self) -> VerifiedLog:
        return await verify_log(self.fetch, self.key.verifier)

    async def run(self, statement: str) -> None:
        """Run SQL as somebody at the database would."""
        async with self.database.engine.begin() as connection:
            await connection.exec_driver_sql(statement)

    async def tamper(self, *statements: str) -> None:
        """Do what somebody can who owns the database."""
        tables = ("entry", "tile", "checkpoint", "cosignature")
        switched = [f"ALTER TABLE {table} {{}} TRIGGER only_grows" for table in tables]
        for statement in (
            *(switch.format("DISABLE") for switch in switched),
            *statements,
            *(switch.format("ENABLE") for switch in switched),
        ):
            await self.run(statement)


class WitnessProgram:
    """A witness as a process of its own, with its folder and key."""

    def __init__(self, folder: Path, name: str, log: VerifierKey) -> None:
        self.folder = folder
        self.key = WitnessSigningKey.generate(f"witness.example/{name}")
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        folder.mkdir()
        self.key_file.write_text(self.key.encode())

    @property
    def key_file(self) -> Path:
        return self.folder / "witness.key"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def witness(self) -> Witness:
        return Witness(self.key.verifier, self.url)

    @property
    def said(self) -> str:
        return (self.folder / "out").read_text()

    def begin(self) -> None:
        """Start the process and do not wait."""
        arguments = ("--data", self.folder / "data", "--key", self.key_file, "--log", str(self.log))
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "doorstep.cli", "witness", "run", *arguments, "--port", str(self.port)],
                stdout=out,
                stderr=out,
            )

    async def answers(self) -> None:
        """Wait until it does."""

        async def ready() -> bool:
            assert self.process.poll() is None, self.said
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                return False
            writer.close()
            return True

        await eventually(ready, within=60)

    async def start(self) -> None:
        self.begin()
        await self.answers()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


@pytest.fixture
def new_witness(tmp_path):
    """Makes witnesses of a log, not running yet; what runs at the end is stopped."""
    made: list[WitnessProgram] = []

    def new(name: str, log: VerifierKey) -> WitnessProgram:
        made.append(WitnessProgram(tmp_path / name, name, log))
        return made[-1]

    yield new
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.kill()


@pytest.fixture
def three(new_witness):
    """Three witnesses of the log, not running."""
    return [new_witness(name, StoredLog.key.verifier) for name in ("justice", "fire", "health")]


@pytest.fixture
async def witnesses(three):
    """Three running witnesses of the log."""
    for one in three:
        one.begin()
    for one in three:
        await one.answers()
    return three


@pytest.fixture
async def log(databases):
    """The empty log of a fresh database."""
    url = await databases.new(*StoredLog.TABLES)
    database = Database(url, service="audit")
    yield StoredLog(database, url)
    await database.close()


@pytest.fixture
def witnesses_file():
    """The file that names the log's witnesses; most logs here have none."""


@pytest.fixture
def service(log, vault, tmp_path, witnesses_file):
    """The log's service over the database of `log`, with no broker to reach."""
    key_file = tmp_path / "log.key"
    key_file.write_text(log.key.encode() + "\n")
    settings = LogSettings(
        database_url=log.url,
        key_store_url="http://127.0.0.1:1",
        token_url="http://127.0.0.1:1",
        client_id="tests",
        client_secret=tmp_path / "secret",
        kafka="127.0.0.1:1",
        keyset=tmp_path / "keyset.json",
        issuer="https://issuer.example",
        jwks_url="https://issuer.example/jwks",
        log_origin=log.origin,
        log_key=key_file,
        log_anchor_url=log.second_url,
        log_witnesses=witnesses_file,
    )
    service = compose("audit", settings)
    service.database, service.vault = log.database, vault
    service.record = partial(submit_own, vault=vault)
    return service


@pytest.fixture
async def url(service):
    """Where the log's HTTP edge answers."""
    server = uvicorn.Server(uvicorn.Config(new_app(service), port=0, log_config=None))
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/log"
    server.should_exit = True
    await serving
    listener.close()


class People:
    """Takes `role agency subject` for a token; all of them serve at one station."""

    async def verify(self, token: str) -> Principal:
        role, agency, subject = token.split()
        return Principal(subject, Role(role), agency, "station-7")


class House:
    """The log's service, asked by residents and about them; what it is told of them comes as services tell it."""

    def __init__(self, desk) -> None:
        self.desk, self.vault = desk, desk.vault
        desk.service.authenticator = People()
        desk.service.record = partial(submit_own, vault=desk.vault)

    async def tell(self, action: Action, *subjects: UUID, who: str = "", service: str = "registry", **said) -> UUID:
        """Have the log told that something was done, by `role agency` or by a service itself; gives the entry's id."""
        ring = await self.vault.ring(subjects, create=True)
        principal = await People().verify(f"{who} {who.split()[0]}-1") if who else None
        event = intents.entry(ring, Intent(action, subjects, **said), service=service, principal=principal)
        async with self.desk.database.transaction() as session:
            submit(session, read_submission(event, vault=self.vault))
        return event.entry_id

    async def by_code(self, subject: UUID, **more):
        """What the follow code of a subject shows."""
        body = {"code": self.vault.follow_code(subject), **more}
        answer = await self.desk.call("POST", "/api/usage", None, body)
        assert answer.status == 200, answer.body
        return answer

    async def details(self, subject: UUID) -> list[AuditDetail]:
        """What the log holds about a subject, in no order."""
        ring = await self.vault.ring([subject])
        async with self.desk.database.transaction() as session:
            return [one.detail for one in await details_about(session, self.vault, ring, subject)]


@pytest.fixture
async def house(new_desk):
    """The log's service with an empty database."""
    return House(await new_desk("audit", new_app, None, KIT_TABLES, "doorstep.audit:migrations"))


class Blind(Policy):
    """Policies that are not told who proposed what is to be decided."""

    def authorize(self, principal: Principal, action: str, resource: Resource, **why: Any) -> Decision:
        return super().authorize(principal, action, replace(resource, proposer=None), **why)


@pytest.fixture
def blind() -> Policy:
    """Policies under which whoever proposed something could decide on it."""
    return Blind()


class Tokens:
    """Takes the name of a role for its token."""

    async def verify(self, token: str) -> Principal:
        if token not in set(Role):
            raise NotAuthenticated("no such token")
        return Principal("somebody", Role(token), "station")


@pytest.fixture
async def ask(service, url):
    """Gives status and body of GET /api/log/manifests for a role."""
    service.authenticator = Tokens()
    async with aiohttp.ClientSession() as client:

        async def ask(role: str | None, query: str = ""):
            headers = {} if role is None else {"Authorization": f"Bearer {role}"}
            async with client.get(f"{url}/manifests{query}", headers=headers) as answer:
                return answer.status, await answer.json()

        yield ask


_IDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
AUDITORS = {
    "first": Principal("auditor-1", Role.AUDITOR, "audit-office"),
    "second": Principal("auditor-2", Role.AUDITOR, "audit-office"),
    "third": Principal("auditor-3", Role.AUDITOR, "station", "station-7"),
    "police": Principal("auditor-4", Role.AUDITOR, "police"),
    "operator": Principal("operator-1", Role.OPERATOR, "station"),
    "reviewer": Principal("reviewer-1", Role.REVIEWER, "station", "station-7"),
    "elsewhere": Principal("reviewer-9", Role.REVIEWER, "station", "station-9"),
}


class Office:
    """A log's service over HTTP, as auditors ask it, whose names are their tokens."""

    def __init__(self, log: StoredLog, vault: Vault, url: str, client: aiohttp.ClientSession) -> None:
        self.log = log
        self.vault = vault
        self.url = url
        self._client = client

    async def verify(self, token: str) -> Principal:
        """Stand in for the authenticator."""
        if token not in AUDITORS:
            raise NotAuthenticated("no such token")
        return AUDITORS[token]

    async def ask(self, method: str, path: str, who: str = "first", purpose: str | None = "audit", body: Any = None):
        """Status and body of an answer, which is JSON unless it is an export."""
        headers = {"Authorization": f"Bearer {who}", "Accept-Language": "en"}
        headers |= {} if purpose is None else {"Doorstep-Purpose": purpose}
        headers |= {"Doorstep-Case": ids[-1]} if (ids := _IDS.findall(path)) else {}
        async with self._client.request(method, f"{self.url}/{path}", headers=headers, json=body) as answer:
            data = await answer.read()
            return answer.status, data if answer.content_type == "application/jsonl" else json.loads(data)

    async def enter(
        self, action: str, *subjects: UUID, who: str | None = "reviewer", at: datetime | None = None, **more: Any
    ) -> UUID:
        """Store an entry of another service, registry unless it is said otherwise, done at `at`."""
        at = at or datetime.now(UTC)
        service = more.pop("service", "registry")
        ring = await self.vault.ring(subjects, create=True)
        principal = None if who is None else AUDITORS[who]
        event = intents.entry(ring, Intent(Action(action), subjects, **more), service=service, principal=principal)
        details = [
            ring.open(one, AuditDetail).model_copy(update={"at_us": micros(at), "nonce": b64encode(nonce).decode()})
            for one, nonce in zip(event.details, (secrets.token_bytes(32) for _ in subjects), strict=False)
        ]
        event = event.model_copy(
            update={
                "hour": at.strftime("%Y-%m-%dT%H"),
                "commitments": tuple(intents.commitment(one) for one in details),
                "details": tuple(ring.seal(who, one) for who, one in zip(subjects, details, strict=True)),
            }
        )
        async with self.log.database.transaction() as session:
            submit(session, read_submission(event, vault=self.vault))
        return event.entry_id

    async def logged(self, subject: UUID) -> list[AuditDetail]:
        """What is logged under a subject by the log's own service, in the order of its time."""
        async with self.log.database.transaction() as session:
            found = await about(session, self.vault, subject=subject, after=Place.before(EPOCH), limit=1000)
        return [one.said for one in found.entries if one.said.service == "audit"]

    async def rows(self, query: str) -> list[Any]:
        """What a SELECT finds."""
        async with self.log.database.transaction() as session:
            return list(await session.execute(text(query)))


@pytest.fixture
async def office(service, log, vault, url):
    """The log's service as auditors ask it."""
    async with aiohttp.ClientSession() as client:
        service.authenticator = made = Office(log, vault, url, client)
        yield made


@pytest.fixture
def doorstep():
    """Gives the exit status of `doorstep audit`, what it prints, and that with what it says on the side."""

    async def run(*arguments: object, stdin: str | None = None) -> tuple[int, str, str]:
        given = [str(one) for one in arguments]
        result = await asyncio.to_thread(CliRunner().invoke, application, given, input=stdin)
        return result.exit_code, result.stdout, result.output

    return run
