"""Asking witnesses for cosignatures, beside the sequencer, which never waits for them.

The instance that sequences shows the newest checkpoint to every witness, to all of them the same one, so that a quorum
comes about while the log grows. Invariants: a cosignature is checked before it is stored; a proof begins at the size
that the witness has, which it says by 409; a witness that refuses, or has more entries than the log, is an alarm, one
that is away a metric. Nothing is kept in memory that the next instance could not learn again.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
from prometheus_client import Gauge
from sqlalchemy import text

from doorstep.audit import queries
from doorstep.audit.domain.errors import LogError, Malformed
from doorstep.audit.domain.note import Note
from doorstep.audit.domain.quorum import AHEAD, Witness
from doorstep.audit.domain.submission import ANSWER_LIMIT, AddCheckpoint, parse_cosignature, parse_size
from doorstep.audit.errors import LogContradicted, WitnessRefused
from doorstep.audit.operations.proving import prove_consistency
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.telemetry import describe

log = logging.getLogger(__name__)

REFUSED = Gauge("doorstep_log_witness_refused", "1 while a witness holds another history of the log.", ("witness",))
AWAY = Gauge("doorstep_log_witness_away", "1 while a witness gives no usable answer.", ("witness",))
_ANSWER_WITHIN = 5.0
_TRIES = 3
_RETRY = 10.0
_STORE = text(
    """
    INSERT INTO cosignature (size, witness, cosigned_at, line) VALUES (:size, :witness, :cosigned_at, :line)
    ON CONFLICT DO NOTHING
    """
)


class _State(StrEnum):
    UNKNOWN = "unknown"
    COSIGNS = "cosigns"
    AWAY = "away"
    REFUSES = "refuses"


@dataclass(frozen=True, slots=True)
class _Shown:
    """The checkpoint that is shown: its size, its note, its text."""

    size: int
    note: bytes
    body: str


@dataclass(slots=True)
class _Asked:
    """What is known of a witness: the size that it has, the size it last cosigned, when it is due again."""

    witness: Witness
    size: int = 0
    cosigned: int = -1
    retry_at: float = -math.inf
    renew_at: float = math.inf
    state: _State = _State.UNKNOWN

    def is_due(self, size: int) -> bool:
        """Whether to show it a checkpoint of `size` now."""
        now = time.monotonic()
        return now >= self.retry_at and (self.cosigned != size or now >= self.renew_at)

    def learn(self, data: bytes, size: int) -> None:
        """Take over the size that it answered it has; raises WitnessRefused, Malformed.

        Where the root differs at its own size, which is `size`, some witnesses answer 409 and not 422.
        """
        if self.size == size and data in (b"", f"{size}\n".encode()):
            raise WitnessRefused("it has another root at this size")
        self.size = parse_size(data)

    def turn_to(self, state: _State, why: str = "") -> None:
        """Set the metrics, and log a change; a refusal is an alarm until the witness cosigns again."""
        name, before, self.state = self.witness.key.name, self.state, state
        AWAY.labels(name).set(state is _State.AWAY)
        if state is not _State.AWAY:
            REFUSED.labels(name).set(state is _State.REFUSES)
        if state is before:
            return
        if state is _State.REFUSES:
            log.critical("a witness refuses the log", extra={"witness": name, "detail": why})
        elif state is _State.AWAY:
            log.warning("a witness gives no usable answer", extra={"witness": name, "detail": why})
        else:
            log.info("a witness cosigns", extra={"witness": name})


class Witnessing:
    """Shows the newest checkpoint to `witnesses`, every `interval` seconds if it grew, else every `renewal` seconds."""

    def __init__(
        self,
        database: Database,
        witnesses: Sequence[Witness],
        *,
        on_duty: Callable[[], bool],
        interval: float = 2.0,
        renewal: float = 3600.0,
    ) -> None:
        """Store cosignatures in `database`, while `on_duty` holds."""
        self._database = database
        self._asked = [_Asked(witness) for witness in witnesses]
        self._on_duty = on_duty
        self._interval = interval
        self._renewal = renewal

    async def run(self, stopping: asyncio.Event) -> None:
        """Ask until `stopping` is set."""
        async with client() as http:
            while not stopping.is_set():
                try:
                    if self._on_duty():
                        await self.turn(http)
                except (*DATABASE_ERRORS, LogContradicted) as error:
                    log.warning("witnesses not asked", extra={"error": describe(error)})
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), self._interval)

    async def turn(self, http: aiohttp.ClientSession) -> None:
        """Show the newest checkpoint to every witness that is due; raises what the database raises, LogContradicted."""
        newest = await self._newest()
        if newest is None:
            return
        due = [one for one in self._asked if one.is_due(newest.size)]
        for failure in await asyncio.gather(*(self._ask(http, one, newest) for one in due), return_exceptions=True):
            if failure is not None:
                raise failure

    async def _newest(self) -> _Shown | None:
        async with self._database.transaction() as session:
            newest = await queries.newest_checkpoint(session)
        return newest and _Shown(*newest, Note.parse(newest[1]).text)

    async def _ask(self, http: aiohttp.ClientSession, asked: _Asked, newest: _Shown) -> None:
        asked.retry_at = time.monotonic() + _RETRY
        try:
            if await self._obtain(http, asked, newest):
                asked.size = asked.cosigned = newest.size
                asked.renew_at = time.monotonic() + self._renewal
                asked.turn_to(_State.COSIGNS)
            asked.retry_at = -math.inf
        except WitnessRefused as refused:
            asked.size = 0  # it is asked again what it has
            asked.turn_to(_State.REFUSES, str(refused))
        except (aiohttp.ClientError, TimeoutError, LogError) as error:
            asked.turn_to(_State.AWAY, str(error) if isinstance(error, LogError) else describe(error))

    async def _obtain(self, http: aiohttp.ClientSession, asked: _Asked, newest: _Shown) -> bool:
        """Get a cosignature and store it; False if the log has grown past `newest` meanwhile.

        Raises WitnessRefused, LogError for an answer that is none, and what the client raises.
        """
        for _ in range(_TRIES):
            if asked.size > newest.size:
                await self._require_grown_to(asked.size)
                return False
            status, data = await _post(http, asked.witness.url, await self._request(asked, newest))
            if status == 200:
                await self._keep(asked.witness, newest, data)
                return True
            if status == 422:
                raise WitnessRefused("it answers that the log did not grow from what it cosigned")
            if status != 409:
                raise Malformed(f"answer: status {status}")
            asked.learn(data, newest.size)
        raise Malformed("answer: another size each time")

    async def _require_grown_to(self, size: int) -> None:
        """Raise WitnessRefused unless the log has, by now, as many entries as a witness has cosigned."""
        newest = await self._newest()
        if newest is None or newest.size < size:
            raise WitnessRefused(f"it cosigned {size} entries, more than the log has")

    async def _request(self, asked: _Asked, newest: _Shown) -> bytes:
        proof: tuple[bytes, ...] = ()
        if asked.size:
            async with self._database.transaction() as session:
                proof = await prove_consistency(session, old_size=asked.size, size=newest.size)
        return AddCheckpoint(asked.size, proof, newest.note).encode()

    async def _keep(self, witness: Witness, newest: _Shown, data: bytes) -> None:
        signature, cosigned_at = parse_cosignature(data, witness.key, newest.body)
        if abs(cosigned_at - time.time()) > AHEAD:
            raise Malformed("answer: its clock is wrong")
        values = {"size": newest.size, "witness": str(witness.key), "cosigned_at": cosigned_at}
        async with self._database.transaction() as session:
            await session.execute(_STORE, {**values, "line": signature.line()})


def client() -> aiohttp.ClientSession:
    """What witnesses are asked with."""
    timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN)
    return aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())


async def _post(http: aiohttp.ClientSession, url: str, request: bytes) -> tuple[int, bytes]:
    async with http.post(f"{url}/add-checkpoint", data=request, allow_redirects=False) as answer:
        data = bytearray()
        async for chunk in answer.content.iter_any():
            data += chunk
            if len(data) > ANSWER_LIMIT:
                raise Malformed("answer: too long")
        return answer.status, bytes(data)
