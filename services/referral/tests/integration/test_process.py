"""Referral as processes of its own: two instances, real tokens, killed and started again."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest_asyncio
from aiokafka import TopicPartition
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Department
from doorstep.contracts.risk import NeedsAssessed
from doorstep.keystore.app import local_table
from doorstep.kit import outbox
from doorstep.kit.db import Database
from doorstep.kit.delivery import new_private_key, open_with
from doorstep.kit.keyset import Keyset, new_keyset
from doorstep.kit.relay import Relay
from doorstep.kit.testing import KEY_TABLES, KIT_TABLES, eventually
from doorstep.kit.vault import Vault
from doorstep.local.issuer import Issuer
from doorstep.local.ports import free_ports


@dataclass
class Instances:
    """Starts and ends instances of the service."""

    environment: dict[str, str]
    out: Path
    running: dict[int, Any]

    async def start(self, port: int) -> None:
        """Start an instance and wait until it answers."""
        with self.out.open("ab") as out:
            self.running[port] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "doorstep.referral", "all"),
                env={**os.environ, **self.environment, "DOORSTEP_PORT": str(port)},
                stdout=out,
            )

        async def ready() -> bool:
            assert self.running[port].returncode is None, self.out.read_text()
            try:
                async with (
                    aiohttp.ClientSession() as client,
                    client.get(f"http://127.0.0.1:{port}/readyz") as answer,
                ):
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(ready, within=40)

    async def end(self, port: int, how: signal.Signals) -> int:
        """End an instance; its exit status."""
        child = self.running.pop(port)
        child.send_signal(how)
        return await child.wait()


@dataclass
class Stage:
    """Everything around the instances."""

    desk: Any
    risk: Database
    broker: Any
    issuer: Issuer
    instances: Instances

    async def call(self, port: int, method: str, path: str, token: str, body: Any = None, **headers: str) -> Any:
        """One request over HTTP: status and body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["authorization"] = f"Bearer {token}"
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, f"http://127.0.0.1:{port}{path}", json=body, headers=named) as answer,
        ):
            return answer.status, await answer.json(content_type=None)

    async def hand_on(self, need_type: str) -> Any:
        """Triage hands a need on; the need."""
        need = await self.desk.need(need_type)
        event = NeedsAssessed(
            assessment_id=uuid7(),
            record_id=self.desk.origin.record_id,
            file_id=self.desk.origin.file_id,
            station=self.desk.origin.station,
            rule_pack="pack-1",
            assessed_at=self.desk.now,
            handed_on=(need,),
            suggested=(),
        )
        async with self.risk.transaction() as session:
            outbox.add(session, event, key=event.file_id)
        return need

    async def opened(self, need: Any) -> Any:
        """The need's task, once it is there."""

        async def there() -> bool:
            return await self.desk.task(need.need_id) is not None

        await eventually(there, within=40)
        return await self.desk.task(need.need_id)

    async def offers(self, department: Department, key: Any, count: int) -> list[dict[str, Any]]:
        """What the department's feed holds, once there are so many."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            start = {TopicPartition(f"feed.{department}", 0): 0}
            raw = [message async for _, messages in self.broker.tails(start) for message in messages]
            found[:] = [orjson.loads(open_with({key.kid: key}, message.value)) for message in raw]
            return len(found) >= count

        await eventually(there, within=40)
        return found


@pytest_asyncio.fixture(loop_scope="session")
async def stage(own_databases, embedded_broker, broker, serve_keys, tmp_path, desk_over):
    """An issuer, triage's outbox, and no instance yet."""
    issuer_port, *ports = free_ports(3)
    issuer = Issuer(tmp_path / "issuer.json", issuer_port)
    await issuer.start()
    new_keyset(tmp_path / "keyset.json")
    keys, url = await own_databases.new(KEY_TABLES), await own_databases.new(KIT_TABLES, "doorstep.referral:migrations")
    database, key_store = Database(url, service="referral"), Database(keys)
    risk = Database(await own_databases.new(), service="risk")
    relay, stopping = Relay(risk, broker), asyncio.Event()
    risk.on_commit.append(relay.wake)
    publishing = asyncio.create_task(relay.run(stopping))
    environment = {
        "PROFILE": "embedded",
        "DATABASE_URL": url,
        **(await serve_keys(keys)).environment,
        "KAFKA": embedded_broker.address,
        "KAFKA_BELLS": str(embedded_broker.bells),
        "KAFKA_FETCH_WAIT_MS": "20",
        "KEYSET": str(tmp_path / "keyset.json"),
        "ISSUER": issuer.url,
        "JWKS_URL": issuer.key_set_url,
    }
    named = {f"DOORSTEP_{name}": value for name, value in environment.items()}
    instances = Instances(named, tmp_path / "out", {})
    desk = desk_over(database, Vault(local_table(key_store, tmp_path), Keyset(tmp_path / "keyset.json")))
    for port in ports:
        await instances.start(port)
    yield Stage(desk, risk, broker, issuer, instances)
    for port in list(instances.running):
        await instances.end(port, signal.SIGKILL)
    stopping.set()
    await publishing
    await issuer.stop()
    for one in (database, key_store, risk):
        await one.close()


async def test_a_request_goes_its_way_over_two_instances_one_of_which_is_killed(stage: Stage) -> None:
    first, second = stage.instances.running
    token = stage.issuer.token("department-system", agency="justice")
    key = new_private_key("justice-1")
    address = "/api/departments/justice"
    status, _ = await stage.call(first, "PUT", f"{address}/keys/justice-1", token, key.as_dict(private=False))
    assert status == 200
    for nobody in ("", "x.y.z", token[:-4] + "AAAA"):
        assert (await stage.call(second, "GET", f"{address}/requests", nobody, doorstep_purpose="service"))[0] == 401
    task = await stage.opened(await stage.hand_on("legal-aid"))
    [offered] = await stage.offers(Department.JUSTICE, key, 1)
    ref = offered["offer"]["ref"]
    answers = await asyncio.gather(*(accept(stage, port, ref, token) for port in (first, second) * 3))
    assert sorted(status for status, _ in answers) == [200, 412, 412, 412, 412, 412]

    await stage.instances.end(first, signal.SIGKILL)
    other = await stage.opened(await stage.hand_on("mediation"))
    found = await stage.offers(Department.JUSTICE, key, 2)
    assert [offer["offer"]["ref"] for offer in found] == [str(task.ref), str(other.ref)]
    await stage.instances.start(first)
    why = {"doorstep_purpose": "service", "doorstep_case": str(ref)}
    read = await stage.call(first, "GET", f"{address}/requests/{ref}", token, **why)
    assert (read[0], read[1]["state"], read[1]["version"]) == (200, "accepted", 2)
    for port in (first, second):
        assert await stage.instances.end(port, signal.SIGTERM) == 0


async def accept(stage: Stage, port: int, ref: str, token: str) -> Any:
    """Accept version 1 of a request."""
    path = f"/api/departments/justice/requests/{ref}/transitions"
    return await stage.call(port, "POST", path, token, {"id": str(uuid7()), "to": "accepted"}, if_match='"1"')
