"""Posting webhooks: each department's messages in order, to its endpoint, until it takes them.

Invariants: a message is noted as delivered after it was taken, so that one may come twice, under the same id, and none
is left out; one instance posts at a time; an endpoint that fails waits alone; only public addresses are called, the one
that was looked at is the one that is connected to, and a redirect is a failure; an answer's body is not read.
"""

import asyncio
import logging
import socket
import time
from dataclasses import dataclass
from random import SystemRandom
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from joserfc.jwk import OKPKey
from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Department
from doorstep.contracts.wire import STRUCTURED
from doorstep.kit.db import DATABASE_ERRORS, Database, run
from doorstep.kit.leases import Lease
from doorstep.kit.relay import NotDeliverable, Withdrawn
from doorstep.kit.telemetry import describe
from doorstep.kit.vault import NOBODY, SealBroken, SubjectErased, Vault
from doorstep.kit.wakeups import sleep_unless
from doorstep.referral.domain.webhooks import GONE, REFUSED_BY_CONTENT, address_of, is_public, signatures, wait
from doorstep.referral.operations.delivering import current_key, encode_for, structured
from doorstep.referral.operations.endpoints import open_secret
from doorstep.referral.operations.placing import FeedRow, forget_places, messages_after, place_messages

log = logging.getLogger(__name__)

FIRST_WAIT = 5.0
ANSWERS_WITHIN = 15.0
PAUSED_AFTER_DAYS = 3
REFUSALS = 5
"""So often a message is tried that the endpoint refuses for what it is; then it becomes a dead letter."""

_ROUND = 20
_LOOK = 1.0
_CLEAN = 600.0
_UNREACHED = (aiohttp.ClientError, OSError, TimeoutError)
_DUE = """
    SELECT e.department FROM feed_endpoint e LEFT JOIN feed f USING (department)
    WHERE e.state = 'active' AND e.next_attempt_at <= now() AND (
        coalesce(f.last, 0) > e.delivered
        OR EXISTS (SELECT FROM feed_message m WHERE m.department = e.department AND m.place IS NULL)
    )
"""
_ENDPOINT = """
    SELECT url, secret, CASE WHEN old_secret_until > now() THEN old_secret END, generation, delivered
    FROM feed_endpoint WHERE department = :department AND state = 'active' AND next_attempt_at <= now()
"""
_TAKEN = """
    UPDATE feed_endpoint SET delivered = :place, failures = 0, refusals = 0, failing_since = NULL,
        last_status = coalesce(CAST(:status AS integer), last_status)
    WHERE department = :department AND generation = :generation AND state = 'active' RETURNING department
"""
_FAILED = f"""
    UPDATE feed_endpoint SET failures = failures + 1, refusals = refusals + CAST(:refused AS integer),
        failing_since = coalesce(failing_since, now()), last_status = :status,
        next_attempt_at = now() + make_interval(secs => :seconds),
        state = CASE
            WHEN CAST(:gone AS boolean) THEN 'gone'
            WHEN failing_since < now() - make_interval(days => {PAUSED_AFTER_DAYS}) THEN 'paused'
            ELSE state
        END
    WHERE department = :department AND generation = :generation AND state = 'active' RETURNING refusals
"""  # noqa: S608
_FAILURES = "SELECT failures FROM feed_endpoint WHERE department = :department"
_BURY = """
    INSERT INTO feed_dead_letter (department, id, status, died_at) VALUES (:department, :id, :status, now())
    ON CONFLICT (department, id) DO UPDATE SET status = excluded.status, died_at = excluded.died_at
"""


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is posted next to one endpoint, with its open secrets and the key that messages leave for."""

    department: Department
    url: str
    secrets: tuple[bytes, ...]
    generation: UUID
    key: OKPKey
    rows: list[FeedRow]


class PublicResolver(AbstractResolver):
    """Looks names up and gives their public addresses alone, or any if `inside`; those are connected to, no others."""

    def __init__(self, *, inside: bool) -> None:
        self._inside = inside
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises OSError if one of them is not public."""
        found = await self._system.resolve(host, port, family)
        if not self._inside and not all(is_public(one["host"]) for one in found):
            raise OSError("not a public address")
        return found

    async def close(self) -> None:
        """Nothing was opened."""


class Poster:
    """Posts all departments' webhooks from one instance at a time."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        inside: bool = False,
        first_wait: float = FIRST_WAIT,
        answers_within: float = ANSWERS_WITHIN,
    ) -> None:
        """Post what lies in `database`, `inside` also to this machine.

        An endpoint has `answers_within` seconds for its answer, all in all; the first wait is of `first_wait` seconds.
        """
        self._database = database
        self._vault = vault
        self._inside = inside
        self._first_wait = first_wait
        self._answers_within = answers_within
        self._lease = Lease(database, "webhooks", seconds=6.0)
        self._posting: dict[str, asyncio.Task[None]] = {}
        self._due = {"lease": 0.0, "clean": time.monotonic() + _CLEAN}
        self._held = False
        self._client: aiohttp.ClientSession | None = None
        self._random = SystemRandom()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=PublicResolver(inside=self._inside), use_dns_cache=False, limit_per_host=2
        )
        timeout = aiohttp.ClientTimeout(total=self._answers_within)
        self._client = aiohttp.ClientSession(
            connector=connector, timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._posting.values():
            task.cancel()
        await asyncio.gather(*self._posting.values(), return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def run(self, stopping: asyncio.Event) -> None:
        """Post until `stopping` is set; a post that is under way then comes again."""
        async with self:
            while not stopping.is_set():
                try:
                    await self.turn()
                except DATABASE_ERRORS as error:
                    log.warning("webhooks wait", extra={"error": describe(error)})
                await sleep_unless(stopping, _LOOK)
        try:
            await self._lease.give_back()
        except DATABASE_ERRORS as error:
            log.warning("lease not given back", extra={"error": describe(error)})

    async def turn(self) -> None:
        """Begin to post to every endpoint that is due. Raises one of DATABASE_ERRORS."""
        now = time.monotonic()
        if now >= self._due["lease"]:
            self._held = await self._lease.take()
            self._due["lease"] = now + self._lease.seconds / 3
        if not self._held:
            return
        if now >= self._due["clean"]:
            async with self._database.transaction() as session:
                await forget_places(session)
            self._due["clean"] = now + _CLEAN
        for (department,) in await self._database.fetch(_DUE, {}):
            task = self._posting.get(department)
            if task is None or task.done():
                self._posting[department] = asyncio.create_task(self._serve(Department(department)))

    async def _serve(self, department: Department) -> None:
        """Post what waits for one department until nothing does, or it fails."""
        try:
            while await self._post_some(department):
                pass
        except (SealBroken, SubjectErased, *DATABASE_ERRORS) as error:
            log.warning("webhooks wait", extra={"department": department, "error": describe(error)})

    async def _post_some(self, department: Department) -> bool:
        """Post one batch; whether to look for more at once."""
        batch = await self._next(department)
        if batch is None or not batch.rows:
            return False
        for row in batch.rows:
            try:
                body = structured(row, await encode_for(batch.key, self._vault, row))
            except Withdrawn:
                if not await self._taken(batch, row, None):
                    return False
                continue
            status = await self._post(batch, row.id, body)
            taken = status is not None and 200 <= status < 300
            settled = await self._taken(batch, row, status) if taken else await self._failed(batch, row, status)
            if not settled:
                return False
        return True

    async def _next(self, department: Department) -> _Batch | None:
        async with self._database.transaction() as session:
            await place_messages(session, department)
            found = await run(session, _ENDPOINT, {"department": department})
            if not found:
                return None
            url, secret, old, generation, delivered = found[0]
            try:
                key = await current_key(session, department)
            except NotDeliverable:
                return None
            rows = await messages_after(session, department, delivered, _ROUND)
        ring = await self._vault.ring([NOBODY])
        secrets = tuple(open_secret(ring, department, one) for one in (secret, old) if one is not None)
        return _Batch(department, url, secrets, generation, key, rows)

    async def _post(self, batch: _Batch, message_id: UUID, body: bytes) -> int | None:
        """The status that the endpoint answers, None if it cannot be reached."""
        assert self._client is not None  # noqa: S101
        if address_of(batch.url, inside=self._inside) is None:
            return None
        timestamp = int(time.time()) // 60 * 60  # as all times of feeds; receivers allow for minutes
        headers = {
            "content-type": STRUCTURED,
            "webhook-id": str(message_id),
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures(batch.secrets, message_id, timestamp, body),
            "user-agent": "doorstep",
        }
        try:
            async with self._client.post(batch.url, data=body, headers=headers, allow_redirects=False) as answer:
                answer.close()
                return answer.status
        except _UNREACHED:
            return None

    async def _taken(self, batch: _Batch, row: FeedRow, status: int | None) -> bool:
        """Note that `row` is delivered; False if the endpoint was changed meanwhile."""
        async with self._database.transaction() as session:
            return await self._note(session, batch, row, status)

    async def _note(self, session: AsyncSession, batch: _Batch, row: FeedRow, status: int | None) -> bool:
        values = {"department": batch.department, "generation": batch.generation, "place": row.place, "status": status}
        return bool(await run(session, _TAKEN, values))

    async def _failed(self, batch: _Batch, row: FeedRow, status: int | None) -> bool:
        """Note a failure, and that the feed goes on without `row` if it was refused too often; whether it does."""
        values: dict[str, Any] = {"department": batch.department, "generation": batch.generation, "status": status}
        async with self._database.transaction() as session:
            known = await run(session, _FAILURES, {"department": batch.department})
            failures = known[0][0] + 1 if known else 1
            seconds = wait(failures, self._first_wait, self._random.random())
            values |= {"seconds": seconds, "refused": status in REFUSED_BY_CONTENT, "gone": status == GONE}
            noted = await run(session, _FAILED, values)
            if not noted or noted[0][0] < REFUSALS:
                log.warning("webhook failed", extra={"department": batch.department, "status": status})
                return False
            bury = {"department": batch.department, "id": row.id, "status": status}
            await run(session, _BURY, bury)
            log.error("webhook is a dead letter", extra={"department": batch.department, "status": status})
            return await self._note(session, batch, row, status)
