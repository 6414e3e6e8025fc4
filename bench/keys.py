"""What asking the key store costs, beside a database of one's own: processor time of all who take part in a call.

Two askers with the same interface and the same rows: the table in this process, as before the key store was a program
of its own, and its client over HTTP. By turns, one call at a time. Counted are this process, the key store and
PostgreSQL, without what they take when nobody asks.
"""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any
from uuid import UUID

import psutil

from bench.loads import Tell
from bench.meter import spent
from doorstep.keystore.app import local_table
from doorstep.kit.db import Database
from doorstep.kit.key_store import KeyStore, RemoteKeys, ServiceToken
from doorstep.local.clients import client_id
from doorstep.local.environment import KEY_STORE, KEYS
from doorstep.local.postgres import EmbeddedPostgres
from doorstep.local.stack import Stack, StackOptions, running_stack

COUNTS = (1, 10, 200)
ASKERS = ("own database", "key store")
_BESIDE = "risk"  # a stack without any service has no key store
_TURNS = 5
_CALLS = {1: 150, 10: 120, 200: 40}
_WARM, _RESTS = 20, 2.0


async def key_figures(seconds: float, tell: Tell) -> dict[str, Any]:
    """Milliseconds of processor of a call, by `get` and `make`, how many subjects, and who is asked."""
    async with running_stack(StackOptions(port=0, services=(_BESIDE,))) as stack:
        stack.issuer.clients.make((_BESIDE,))
        token = ServiceToken(
            url=stack.issuer.service_token_url,
            client_id=client_id(_BESIDE),
            secret=stack.issuer.clients.folder / _BESIDE,
        )
        own = local_table(Database(stack.database_url(KEYS), service="bench"), stack.keks.parent)
        askers: dict[str, KeyStore] = {"own database": own, "key store": RemoteKeys(stack.key_store, token)}
        try:
            psutil.Process(stack.pid(_BESIDE)).suspend()  # its looks at the database are no part of this
            return await _all(_pids(stack), askers, seconds, tell)
        finally:
            psutil.Process(stack.pid(_BESIDE)).resume()
            for one in askers.values():
                await one.close()


def _pids(stack: Stack) -> dict[str, int]:
    found = {"key store": stack.pid(KEY_STORE)}
    if isinstance(stack.postgres, EmbeddedPostgres) and stack.postgres.child is not None:
        found["postgres"] = stack.postgres.child.process.pid
    return found


async def _all(pids: dict[str, int], askers: dict[str, KeyStore], seconds: float, tell: Tell) -> dict[str, Any]:
    turns, idle = max(1, round(_TURNS * seconds / 8)), await _idle(pids)
    found: dict[str, Any] = {"get": {}, "make": {}}
    for at, count in enumerate(COUNTS):
        tell(f"keys of {count}", at / len(COUNTS))
        subjects = [_subject() for _ in range(count)]
        for asker in askers.values():
            for _ in range(_WARM):
                await asker.keys(subjects, create=True)
        taken: dict[tuple[str, str], list[float]] = defaultdict(list)
        for _ in range(turns):
            for name, asker in askers.items():
                for what in found:
                    wanted = [subjects] * _CALLS[count] if what == "get" else _fresh(count)
                    taken[what, name].append(await _milliseconds(pids, asker, wanted, create=what == "make", idle=idle))
        for (what, name), each in taken.items():
            found[what].setdefault(str(count), {})[name] = median(each)
    return found


def _fresh(count: int) -> list[list[UUID]]:
    return [[_subject() for _ in range(count)] for _ in range(_CALLS[count])]


def _subject() -> UUID:
    return UUID(bytes=secrets.token_bytes(16), version=4)


async def _milliseconds(
    pids: dict[str, int], asker: KeyStore, wanted: Sequence[Sequence[UUID]], *, create: bool, idle: float
) -> float:
    """Of a call, of all processes together."""
    before, began = _used(pids), time.monotonic()
    for subjects in wanted:
        await asker.keys(subjects, create=create)
    used, lasted = _used(pids) - before, time.monotonic() - began
    return 1000 * (used - idle * lasted) / len(wanted)


def _used(pids: dict[str, int]) -> float:
    return sum(spent(pids).values()) + time.process_time()


async def _idle(pids: dict[str, int]) -> float:
    """Cores that they take while nobody asks."""
    before = _used(pids)
    await asyncio.sleep(_RESTS)
    return (_used(pids) - before) / _RESTS
