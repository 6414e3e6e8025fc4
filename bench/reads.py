"""What being careful costs a read: token, policy, decryption and the entry in the log, as a share of the whole.

Two reads of the real services over a real database, called in this process without a network: a department's own
request, and a household's file. Beside them the barest useful read: FastAPI and one SELECT. One read at a time, so that
time is additive; wall clock and processor time of this process are told apart, for the disk and PostgreSQL work
elsewhere.
"""

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel

from bench.loads import Tell
from bench.policy import decisions
from bench.reading import Reading, file_of_household, request_of_department
from doorstep.kit import intents, outbox
from doorstep.kit.migrations import migrate
from doorstep.kit.resources import Service, Settings, compose
from doorstep.kit.vault import KeyRing
from doorstep.local.clients import client_id
from doorstep.local.issuer import AUDIENCE
from doorstep.local.stack import Stack, StackOptions, running_stack
from doorstep.referral import app as referral
from doorstep.registry import app as registry

PARTS = ("token", "policy", "decryption", "entry")
_WHOLE = "whole"
_BESIDE = "risk"  # a stack without any service has no key store
_WARM, _LEAST = 3, 10
AIM_PERCENT = 25.0
"""What the parts may take together of a read."""


@dataclass
class Spent:
    """Seconds by the clock and of this process."""

    wall: float = 0.0
    processor: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add what the block takes."""
        wall, processor = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall += time.perf_counter() - wall
            self.processor += time.process_time() - processor


@dataclass
class Meter:
    """What the parts of reads took while `attached` to a service."""

    spent: dict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose time is that of `part`."""
        spent = self.spent[part]

        async def awaited(*arguments: Any, **named: Any) -> Any:
            with spent.running():
                return await function(*arguments, **named)

        def called(*arguments: Any, **named: Any) -> Any:
            with spent.running():
                return function(*arguments, **named)

        return awaited if iscoroutinefunction(function) else called

    @contextmanager
    def attached(self, service: Service) -> Iterator[None]:
        """Measure what `service` does in the block. No part calls another."""
        places = (
            ("token", service.authenticator, "verify"),
            ("policy", service.policy, "authorize"),
            ("policy", service.policy, "sight"),
            ("decryption", service.vault, "ring"),
            ("decryption", KeyRing, "decrypt"),
            ("entry", intents, "record"),
            ("entry", outbox, "flush"),
        )
        with ExitStack() as closing:
            for part, owner, name in places:
                closing.enter_context(_replaced(owner, name, self.around(part, getattr(owner, name))))
            yield


@contextmanager
def _replaced(owner: Any, name: str, by: Callable[..., Any]) -> Iterator[None]:
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, by)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


async def read_figures(seconds: float, tell: Tell) -> dict[str, Any]:
    """Decisions a second, the bare read, and both reads with their parts, each for about so many seconds."""
    tell("policy decisions", 0.0)
    found: dict[str, Any] = {"decisions": decisions(seconds / 3)}
    async with running_stack(StackOptions(port=0, services=(_BESIDE,))) as stack:
        stack.issuer.clients.make((referral.NAME, registry.NAME))
        tell("bare read", 0.2)
        found["bare"] = await _bare(stack, seconds)
        for part, name, module, make in (
            (0.4, "request", referral, request_of_department),
            (0.7, "file", registry, file_of_household),
        ):
            async with _service(stack, module.NAME) as service:
                application = module.new_app(service)
                reading = await make(service)
                for anew in (False, True):
                    tell(f"read of a {name}{', all anew' if anew else ''}", part)
                    found[f"{name}_anew" if anew else name] = await _measured(
                        _Read(stack, service, application, reading, anew=anew), seconds
                    )
    return found


@asynccontextmanager
async def _service(stack: Stack, name: str) -> AsyncIterator[Service]:
    """The resources of a service, as its process composes them."""
    url = stack.database_url(name)
    await migrate(url, "doorstep.kit:migrations/service", f"doorstep.{name}:migrations")
    settings = Settings(
        profile="embedded",
        database_url=url,
        kafka=stack.kafka,
        keyset=stack.keyset,
        key_store_url=stack.key_store,
        token_url=stack.issuer.service_token_url,
        client_id=client_id(name),
        client_secret=stack.issuer.clients.folder / name,
        issuer=stack.issuer.url,
        jwks_url=stack.issuer.key_set_url,
        audience=AUDIENCE,
    )
    service = compose(name, settings)
    yield service
    await service.close()


@dataclass
class _Read:
    """One read that is done again and again; `anew` by another caller each time, with keys that are fetched."""

    stack: Stack
    service: Service
    application: FastAPI
    reading: Reading
    anew: bool
    token: str = ""

    def prepare(self) -> None:
        """What comes before a read and is not measured."""
        if self.anew or not self.token:
            role = self.reading.role
            self.token = self.stack.token(role, agency=self.reading.agency, station=self.reading.station)
        if self.anew:
            for subject in self.reading.subjects:
                self.service.vault.forget(subject)

    async def once(self) -> None:
        """The read. Raises RuntimeError if it is not answered."""
        await get(
            self.application,
            self.reading.path,
            authorization=f"Bearer {self.token}",
            **{"doorstep-purpose": self.reading.purpose, "doorstep-case": str(self.reading.case)},
        )


async def _measured(read: _Read, seconds: float) -> dict[str, Any]:
    """Milliseconds of a read and of its parts, each the median of many.

    By turns the read is done without its entry: what is saved beyond making and writing it is `commit`, the difference
    between a transaction that has written and one that has not.
    """
    logged: list[dict[str, Spent]] = []
    unlogged: list[dict[str, Spent]] = []
    for _ in range(_WARM):
        read.prepare()
        await read.once()
    began = time.monotonic()
    while time.monotonic() < began + seconds or len(logged) < _LEAST:
        logged.append(await _one(read))
        with _replaced(intents, "record", lambda *_, **__: uuid4()):
            unlogged.append(await _one(read))
    whole, without = _median(logged, _WHOLE), _median(unlogged, _WHOLE)
    parts = {part: _median(logged, part) for part in PARTS}
    parts["commit"] = {kind: max(0.0, whole[kind] - without[kind] - parts["entry"][kind]) for kind in whole}
    for part in parts.values():
        part["percent"] = 100 * part["ms"] / whole["ms"]
        part["processor_percent"] = 100 * part["processor_ms"] / whole["processor_ms"]
    together = {kind: sum(part[kind] for part in parts.values()) for kind in ("percent", "processor_percent")}
    return {**whole, "reads": len(logged), "parts": parts, "together": together}


async def _one(read: _Read) -> dict[str, Spent]:
    """What one read took, and its parts."""
    read.prepare()
    meter = Meter()
    with meter.attached(read.service), meter.spent[_WHOLE].running():
        await read.once()
    return meter.spent


def _median(reads: Sequence[dict[str, Spent]], part: str) -> dict[str, float]:
    """The medians of what `part` took, in milliseconds."""
    spent = [one.get(part, Spent()) for one in reads]
    return {
        "ms": 1000 * median(one.wall for one in spent),
        "processor_ms": 1000 * median(one.processor for one in spent),
    }


class Row(BaseModel):
    """What the bare read answers."""

    id: UUID
    state: str
    content: str


async def _bare(stack: Stack, seconds: float) -> dict[str, float]:
    """FastAPI and one SELECT by a pool of the driver: no token, no policy, nothing encrypted, no log."""
    application, row = FastAPI(), Row(id=uuid4(), state="requested", content="x" * 400)
    pool = await asyncpg.create_pool(stack.database_url("referral").replace("+asyncpg", ""), min_size=1, max_size=2)

    @application.get("/rows/{row_id}")
    async def read(row_id: UUID) -> Row:
        found = await pool.fetchrow("SELECT id, state, content FROM bench_read WHERE id = $1", row_id)
        return Row(**dict(found))

    async with pool:
        await pool.execute("CREATE TABLE bench_read (id uuid PRIMARY KEY, state text, content text)")
        await pool.execute("INSERT INTO bench_read VALUES ($1, $2, $3)", row.id, row.state, row.content)
        await get(application, f"/rows/{row.id}")
        reads: list[dict[str, Spent]] = []
        began = time.monotonic()
        while time.monotonic() < began + seconds or len(reads) < _LEAST:
            spent = Spent()
            with spent.running():
                await get(application, f"/rows/{row.id}")
            reads.append({_WHOLE: spent})
        await pool.execute("DROP TABLE bench_read")
    return {**_median(reads, _WHOLE), "reads": len(reads)}


async def get(application: FastAPI, path: str, **headers: str) -> bytes:
    """The body of what `application` answers in this process. Raises RuntimeError if it is not a success."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    body: bytes = b"".join(part.get("body", b"") for part in sent[1:])
    if sent[0]["status"] != 200:
        raise RuntimeError(f"the read of the benchmark is answered {sent[0]['status']}: {body[:200]!r}")
    return body
