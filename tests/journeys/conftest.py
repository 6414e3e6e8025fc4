"""One running stack for all journeys of a test process, and what its tests see of it from outside and inside."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from doorstep.contracts.topics import SERVICES
from doorstep.kit.key_store import RemoteKeys, ServiceToken
from doorstep.kit.keyset import Keyset
from doorstep.kit.testing import eventually
from doorstep.kit.vault import Vault
from doorstep.local.clients import client_id
from doorstep.local.front_door import Body, FrontDoor, Refused
from doorstep.local.records import demonstration
from doorstep.local.stack import Stack, StackOptions, running_stack

STATION = "station-1"
DATABASES = (*SERVICES, "keys")
SEEDS = count(1)
_IDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
COUNTS = """
    SELECT string_agg(format('SELECT %L AS name, count(*) AS rows FROM %I %s', table_name, table_name, CASE
        WHEN table_name = 'outbox' THEN format('WHERE type <> %L', 'audit.manifest-published.v1')
    END), ' UNION ALL ')
    FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT IN (
        'lease', 'inbox_position', 'relay_partition', 'relay_position', 'manifest', 'tally', 'gap', 'roster',
        'notice'
    )
"""
Counts = dict[str, int]
LOG = ("outbox", "pending", "entry", "tile", "checkpoint", "detail", "follower", "data_key")


@dataclass(frozen=True)
class Answer:
    """What the front door answered."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON that was answered."""
        return json.loads(self.raw)


@dataclass
class House:
    """A stack with its people, as one test after the other meets it."""

    stack: Stack
    client: aiohttp.ClientSession
    subjects: dict[str, str] = field(default_factory=dict)
    connections: dict[str, asyncpg.Connection] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)

    def token(self, role: str, agency: str = "station", *, station: str | None = STATION, who: str = "") -> str:
        """A token of the person `who` in this role; the same person for the same name."""
        subject = self.subjects.setdefault(who or f"{role} {agency} {station}", str(uuid4()))
        station = station if agency == "station" else None
        return self.stack.token(role, agency=agency, station=station, subject=subject)

    def outsider(self, agency: str, *, who: str) -> str:
        """A token by which an agency that has no part here calls its person `who` a reviewer of the station."""
        key = RSAKey.import_key(json.loads((self.stack.folder.keys / "issuer.json").read_text()))
        now = int(datetime.now(UTC).timestamp())
        claims = {
            "iss": self.stack.issuer.url, "aud": "doorstep", "iat": now, "exp": now + 600, "role": "reviewer",
            "sub": self.subjects.setdefault(who, str(uuid4())), "agency": agency, "station": STATION,
        }  # fmt: skip
        return jwt.encode({"alg": "RS256", "kid": str(key.kid)}, claims, key)

    def door(self, role: str, agency: str = "station", **more: Any) -> FrontDoor:
        """The front door for somebody in this role."""
        token = self.token(role, agency, **more)
        return FrontDoor(self.stack.front_door, lambda: token)

    def record(self, **more: Any) -> Body:
        """The record of the demonstration, of a person, a door and a stairwell that no other record has."""
        number = next(SEEDS)
        body = demonstration(number, now=datetime.now(UTC))
        for subject, name in zip(body["subjects"], ("name", "address", "description"), strict=True):
            subject[name] += chr(0x4E00 + number)
        return {**body, **more}

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> Answer:
        """Send a request, whatever it is; a body that is not bytes is sent as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if "doorstep-purpose" in sent and "doorstep-case" not in sent and (ids := _IDS.findall(path)):
            sent["doorstep-case"] = ids[-1]  # by itself a thing is read for itself
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            sent.setdefault("content-type", "application/json")
            body = json.dumps(body).encode()
        data = None if body is None else BytesIO(body)
        skipped = ("Content-Type", "Accept-Language")
        url = self.stack.front_door + path
        async with self.client.request(
            method, _as_it_is(url), data=data, headers=sent, skip_auto_headers=skipped, allow_redirects=False
        ) as answer:
            return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read())

    async def signed_in(self, person: str, page: str = "/audit") -> str:
        """The Cookie header of a browser that signed in as one of the issuer's people and came back to a page."""
        begun = await self.ask("GET", f"/sign-in?page={page}")
        sent = begun.headers["location"]
        form = dict(parse_qsl(urlsplit(sent).query)) | {"person": person}
        async with self.client.post(sent.partition("?")[0], data=form, allow_redirects=False) as chosen:
            back = urlsplit(chosen.headers["Location"])
        url = _as_it_is(f"{self.stack.front_door}{back.path}?{back.query}")
        cookie = {"Cookie": begun.headers["set-cookie"].partition(";")[0]}
        async with self.client.get(url, headers=cookie, allow_redirects=False) as came:
            assert (came.status, came.headers["location"]) == (303, page), await came.text()
            return next(one for one in came.headers.getall("Set-Cookie") if "_session=" in one).partition(";")[0]

    async def hand_in(self, body: Body, who: str = "") -> Body:
        """Hand a record in; gives its receipts."""
        async with self.door("collector", who=who) as collector:
            return await collector.hand_in(body)

    async def assessed(self, record_id: str, within: float = 30) -> list[Body]:
        """The needs of a record, once triage has looked at it."""
        async with self.door("reviewer") as reviewer:
            found = await self.there(lambda: reviewer.read(f"/api/assessments/{record_id}", "triage"), within)
        needs: list[Body] = found["needs"]
        return needs

    async def confirmed(self, record_id: str) -> list[Body]:
        """The needs of a record, all that was suggested confirmed by a reviewer."""
        needs = await self.assessed(record_id)
        async with self.door("reviewer") as reviewer:
            for need in needs:
                if need["state"] == "suggested":
                    await reviewer.decide(need["need_id"], "confirmed", "电话核实")
        return needs

    async def requests(self, record_id: str, at_least: int = 1) -> list[Body]:
        """The requests of a record as the station sees them, once there are so many."""
        async with self.door("reviewer") as reviewer:

            async def look() -> Body:
                answer = await reviewer.read(f"/api/requests?record_id={record_id}", "follow-up")
                if len(answer["requests"]) < at_least:
                    raise Refused(404, {})
                return answer

            found: list[Body] = (await self.there(look))["requests"]
        return found

    async def there(self, look: Callable[[], Awaitable[Body]], within: float = 30) -> Body:
        """What `look` gives as soon as it is no longer answered 404."""
        found: list[Body] = []

        async def arrived() -> bool:
            try:
                found.append(await look())
            except Refused as refused:
                assert refused.status == 404, refused
            return bool(found)

        await eventually(arrived, within=within)
        return found[-1]

    async def offers(self, department: str, **more: str) -> list[Body]:
        """All requests of a department, as its own API shows them."""
        found: list[Body] = []
        async with self.door("officer", department) as officer:
            after = ""
            while True:
                query = "&".join([*(f"{name}={value}" for name, value in more.items()), *([after] if after else [])])
                page = await officer.read(f"/api/departments/{department}/requests?{query}", "service")
                found += page["requests"]
                if page.get("next") is None:
                    return found
                after = f"after={page['next']}"

    async def rows(self, database: str, query: str, *values: Any) -> list[Any]:
        """What a SELECT finds in one of the databases."""
        if database not in self.connections:
            url = self.stack.database_url(database).replace("+asyncpg", "")
            self.connections[database] = await asyncpg.connect(url)
        found: list[Any] = await self.connections[database].fetch(query, *values)
        return found

    async def counts(self) -> Counts:
        """How many rows each table of each database has, but for those that only note where somebody stands.

        What comes of its own every minute, the manifests and what is counted for them, is left out, and who was here.
        """

        async def of(database: str) -> Counts:
            if database not in self.queries:
                self.queries[database] = (await self.rows(database, COUNTS))[0][0]
            found = await self.rows(database, self.queries[database])
            return {f"{database}.{row['name']}": row["rows"] for row in found}

        every = await asyncio.gather(*map(of, DATABASES))
        return {name: rows for one in every for name, rows in one.items()}

    def beside_the_log(self, counts: Counts) -> Counts:
        """Those of `counts` that a refusal leaves as they are: it is an entry on its way to the log, or in it."""
        return {name: rows for name, rows in counts.items() if name.partition(".")[2] not in LOG}

    async def still(self, rounds: int = 8) -> Counts:
        """The counts, once nothing has changed for a while and all that was submitted is in the log."""
        seen: list[Counts] = []
        while len(seen) < rounds or any(one != seen[-1] for one in seen[-rounds:]) or await self._log_waits():
            seen.append(await self.counts())
            await asyncio.sleep(0.15)
        return seen[-1]

    async def _log_waits(self) -> bool:
        """Whether entries that services submitted have no place in the log yet."""
        submitted = "SELECT count(*) FROM outbox WHERE type = 'audit.entry-submitted.v1'"
        every = await asyncio.gather(*(self.rows(one, submitted) for one in SERVICES if one != "audit"))
        [(entries, pending)] = await self.rows("audit", "SELECT (SELECT count(*) FROM entry), count(*) FROM pending")
        return bool(pending) or int(entries) < sum(rows[0][0] for rows in every)

    async def entries(self) -> int:
        """How many entries the log's checkpoint counts, once it stands still."""
        await self.still()
        checkpoint = await self.ask("GET", "/api/log/checkpoint")
        return int(checkpoint.raw.split(b"\n")[1]) if checkpoint.status == 200 else 0

    def vault(self) -> Vault:
        """What the log's service has: the key store over HTTP, and the keyset."""
        clients = self.stack.issuer.clients
        account, secret = client_id("audit"), clients.folder / "audit"
        token = ServiceToken(url=self.stack.issuer.service_token_url, client_id=account, secret=secret)
        return Vault(RemoteKeys(self.stack.key_store, token), Keyset(self.stack.keyset))

    async def logged(self, service: str, subject: str) -> list[Body]:
        """What a service submitted to the log about a subject, opened with the subject's key, oldest first."""
        vault = self.vault()
        try:
            ring = await vault.ring([UUID(subject)])
        finally:
            await vault.store.close()
        found = []
        kind = "audit.entry-submitted.v1"
        for row in await self.rows(service, "SELECT body FROM outbox WHERE type = $1 ORDER BY position", kind):
            for detail in orjson.loads(row["body"])["details"]:
                if detail["subject_id"] == subject:
                    blob = detail["key_version"].to_bytes(4) + base64.b64decode(detail["ciphertext"])
                    found.append(orjson.loads(ring.decrypt(UUID(subject), "AuditDetail", blob)))
        return found


def _as_it_is(url: str) -> Any:
    return aiohttp.client.URL(url, encoded=True)


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    """A stack that all journeys of this process share; each tells its rows by random ids.

    It leaves no notices: these go out by the hour of the day, and each is an entry of the log. Codes may be guessed as
    often as all journeys together do.
    """
    environment = {"DOORSTEP_NOTICES": "", "DOORSTEP_LIMIT_GUESSES_PER_ADDRESS": "6000"}
    options = StackOptions(durable=False, port=0, environment=environment)
    async with running_stack(options) as running:
        yield running


@pytest.fixture(scope="session")
async def house(stack: Stack) -> AsyncIterator[House]:
    """The stack with its people."""
    async with aiohttp.ClientSession() as client:
        found = House(stack, client)
        yield found
        for connection in found.connections.values():
            await connection.close()
