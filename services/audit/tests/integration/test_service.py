"""The whole service as a process: what arrives on its topics is in the log, whenever it is killed."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import aiohttp
import pytest

from doorstep.audit.domain.verify import VerificationFailed
from doorstep.contracts.audit import AuditEntrySubmitted
from doorstep.contracts.codes import Action
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.topics import SERVICES, audit_topic
from doorstep.contracts.wire import to_headers
from doorstep.kit import intents
from doorstep.kit.testing import eventually

SENDERS = [service for service in SERVICES if service != "audit"]


@pytest.fixture
async def program(log, embedded_broker, vault, serve_keys, tmp_path):
    """Starts the service as a process and waits until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (tmp_path / "log.key").write_text(log.key.encode())
    environment = {
        "PROFILE": "embedded",
        "DATABASE_URL": log.url,
        **(await serve_keys(vault.store.database.engine.url.render_as_string(hide_password=False))).environment,
        "KAFKA": embedded_broker.address,
        "KAFKA_BELLS": str(embedded_broker.bells),
        "KAFKA_FETCH_WAIT_MS": "20",
        "KEYSET": str(tmp_path / "keyset.json"),
        "ISSUER": "https://issuer.example",
        "JWKS_URL": "https://issuer.example/jwks",
        "LOG_KEY": str(tmp_path / "log.key"),
        "LOG_ORIGIN": log.origin,
        "LOG_ANCHOR_URL": log.second_url,
        "PORT": str(port),
    }
    started = []

    async def start():
        with (tmp_path / "out").open("ab") as out:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "doorstep.audit", "all"),
                env={**os.environ, **{f"DOORSTEP_{name}": value for name, value in environment.items()}},
                stdout=out,
            )
        started.append(child)
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                assert child.returncode is None, (tmp_path / "out").read_text()
                try:
                    async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                        return response.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(ready, within=60)
        return child

    yield start
    for child in started:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def send(broker, vault, count: int) -> list[UUID]:
    """Have every other service submit so many entries."""
    ring = await vault.ring([subject := uuid4()], create=True)
    producer = await broker.producer()
    sent = []
    for service in SENDERS:
        for _ in range(count):
            intent = intents.Intent(Action.READ_FILE, [subject])
            entry = intents.entry(ring, intent, service=service, principal=None)
            await send_one(producer, service, entry)
            sent.append(entry.entry_id)
    await producer.stop()
    return sent


async def send_one(producer, service: str, entry: AuditEntrySubmitted) -> None:
    now = datetime.now(UTC)
    envelope = Envelope(id=uuid4(), source=service, type=entry.event_type, time=now, key=entry.entry_id)
    value = entry.model_dump_json().encode()
    key = str(entry.entry_id).encode()
    await producer.send(audit_topic(service), value=value, key=key, headers=to_headers(envelope))


async def has_exactly(log, ids: Sequence[UUID], unreadable: int) -> None:
    """The log comes to hold these entries once each, and so many that stand for what cannot be read.

    And three once, however often it starts: its policy and its keys came into force, and what wraps in the key store.
    """

    async def there() -> bool:
        try:
            return (await log.verify()).size >= len(ids) + unreadable + 3
        except VerificationFailed:
            return False

    await eventually(there, within=90)
    entries = (await log.verify()).entries
    found = [entry.id for entry in entries if entry.kind is None]
    assert sorted(set(found) & set(ids)) == sorted(ids)
    assert len(found) == len(ids) + 3
    assert sum(entry.kind == "unreadable" for entry in entries) == unreadable


async def test_everything_that_is_sent_is_in_the_log_once_whenever_the_process_is_killed(log, program, broker, vault):
    for service in SENDERS:
        await broker.ensure_topics(service)
    ids = await send(broker, vault, 20)
    child = await program()
    await has_exactly(log, ids, 0)
    producer = await broker.producer()
    await producer.send_and_wait(audit_topic("intake"), value=b"{broken", key=b"x")
    await producer.stop()
    ids += await send(broker, vault, 40)
    await asyncio.sleep(0.1)
    child.kill()
    await child.wait()
    ids += await send(broker, vault, 20)
    child = await program()
    await has_exactly(log, ids, 1)
    child.send_signal(signal.SIGTERM)
    assert await child.wait() == 0
