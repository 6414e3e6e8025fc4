"""What comes into force is logged once for each change, whoever starts with it, and keeps no service from starting."""

import asyncio
import base64
import hashlib
from importlib.resources import files

import orjson
import pytest
import pytest_asyncio

from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Action
from doorstep.kit.db import Database
from doorstep.kit.intents import Intent
from doorstep.kit.policy import Policy
from doorstep.kit.resources import Service, log_activations
from doorstep.kit.testing import eventually
from doorstep.kit.vault import NOBODY
from doorstep.local.ports import free_ports

RULES = Intent(Action.ACTIVATE_RULES, [NOBODY], outcome="sha256:aa", policies=("rules:one@aa",))


class Instances:
    """Instances of one service on one database, as they start one after the other."""

    def __init__(self, database: Database, vault) -> None:
        self.database, self.vault = database, vault

    def make(self, policy: str | None = None, *activations: Intent) -> Service:
        service = Service("risk", None, self.database, self.vault, Policy(), None, None, None)
        service.policy.digest = policy or service.policy.digest
        service.activations += activations
        return service

    async def start(self, policy: str | None = None, *activations: Intent) -> None:
        await log_activations(self.make(policy, *activations), asyncio.Event())

    async def logged(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Action, outcome and policies of what is on its way to the log, in order."""
        ring = await self.vault.ring([NOBODY])
        rows = await self.database.fetch("SELECT body FROM outbox ORDER BY position", {})
        found = []
        for row in rows:
            [detail] = orjson.loads(row[0])["details"]
            blob = AuditDetail.model_validate_json(ring.decrypt(NOBODY, "AuditDetail", _blob(detail)))
            found.append((blob.action, blob.outcome, blob.policies))
            assert (blob.actor, blob.service) == (None, "risk")
        return found


def _blob(detail) -> bytes:
    return detail["key_version"].to_bytes(4) + base64.b64decode(detail["ciphertext"])


@pytest_asyncio.fixture(loop_scope="session")
async def instances(databases, vault):
    database = Database(await databases.new(), service="risk")
    yield Instances(database, vault)
    await database.close()


def policy(digest: str) -> tuple[str, str, tuple[str, ...]]:
    return ("activate-policy", f"sha256:{digest}", ())


async def test_the_digest_is_that_of_the_policies_text(instances):
    text = (files("doorstep.kit") / "policies" / "doorstep.cedar").read_bytes()
    await instances.start()
    assert await instances.logged() == [policy(hashlib.sha256(text).hexdigest())]


async def test_a_restart_logs_nothing_a_change_does_and_so_does_the_way_back(instances):
    for digest in ("aa", "aa", "bb", "bb", "aa", "aa"):
        await instances.start(digest)
    assert await instances.logged() == [policy("aa"), policy("bb"), policy("aa")]


async def test_what_else_comes_into_force_is_logged_apart(instances):
    await instances.start("aa", RULES)
    await instances.start("bb", RULES)
    rules = ("activate-rules", "sha256:aa", ("rules:one@aa",))
    assert await instances.logged() == [policy("aa"), rules, policy("bb")]


async def test_of_many_that_start_at_once_one_logs_it(instances):
    await instances.start("aa")
    await asyncio.gather(*(instances.start("bb", RULES) for _ in range(8)))
    assert sorted(one[1] for one in await instances.logged()) == ["sha256:aa", "sha256:aa", "sha256:bb"]


async def test_it_is_noted_and_logged_in_one_transaction(instances):
    service = instances.make("aa")

    def fail(*_, **__):
        raise ZeroDivisionError

    service.record = fail
    with pytest.raises(ZeroDivisionError):
        await log_activations(service, asyncio.Event())
    assert await instances.database.fetch("SELECT 1 FROM activation", {}) == []
    await instances.start("aa")
    query = "SELECT DISTINCT CAST(xmin AS text) FROM (SELECT xmin FROM activation UNION ALL SELECT xmin FROM outbox) t"
    assert len(await instances.database.fetch(query, {})) == 1


@pytest.mark.parametrize("away", ["database", "keys"])
async def test_a_database_that_is_away_at_the_start_is_waited_for_and_stopping_is_not(instances, away):
    port = free_ports(1)[0]
    nothing = Database(f"postgresql+asyncpg://nobody@127.0.0.1:{port}/nothing", service="risk")
    service = instances.make("aa")
    holder, name = (service, "database") if away == "database" else (service.vault.store, "database")
    there = getattr(holder, name)
    setattr(holder, name, nothing)
    stopping = asyncio.Event()
    task = asyncio.create_task(log_activations(service, stopping))
    await asyncio.sleep(0.3)
    assert not task.done()
    setattr(holder, name, there)

    async def logged() -> bool:
        return await instances.database.fetch("SELECT 1 FROM outbox", {}) != []

    await eventually(logged)
    await task
    assert await instances.logged() == [policy("aa")]
    service.database = nothing
    service.policy.digest = "bb"
    task = asyncio.create_task(log_activations(service, stopping))
    stopping.set()
    async with asyncio.timeout(10):
        await task
    await nothing.close()
