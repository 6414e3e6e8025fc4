"""A service as a process: it says that it is ready, drains at SIGTERM, and fails loudly."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from doorstep.kit.keyset import new_keyset
from doorstep.local.ports import free_ports

PROGRAM = Path(__file__).with_name("small_program.py")


class Process:
    """The small service, started with settings of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.lines: list[dict] = []
        self.url = f"http://127.0.0.1:{environment['DOORSTEP_PORT']}"

    async def start(self, mode: str = "all", **more: str) -> None:
        """Start it and wait until it says that it is ready, or ends."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            mode,
            env={**os.environ, **self.environment, **more},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            while line := await self.process.stdout.readline():
                self.lines.append(json.loads(line))
                if self.lines[-1]["event"] == "ready":
                    return

    async def ended(self) -> int:
        """Its exit status; all that it said is read."""
        async with asyncio.timeout(30):
            rest = await self.process.stdout.read()
            self.lines += [json.loads(line) for line in rest.splitlines()]
            return await self.process.wait()


@pytest_asyncio.fixture(loop_scope="session")
async def process(flow, embedded_broker, tmp_path):
    new_keyset(tmp_path / "keyset.json")
    url = flow.producer.engine.url.render_as_string(hide_password=False)
    made = Process(
        {
            "DOORSTEP_PROFILE": "embedded",
            "DOORSTEP_DATABASE_URL": url,
            "DOORSTEP_KEY_STORE_URL": "http://127.0.0.1:1",
            "DOORSTEP_TOKEN_URL": "http://127.0.0.1:1",
            "DOORSTEP_CLIENT_ID": "small",
            "DOORSTEP_CLIENT_SECRET": str(tmp_path / "secret"),
            "DOORSTEP_KAFKA": embedded_broker.address,
            "DOORSTEP_KAFKA_BELLS": str(embedded_broker.bells),
            "DOORSTEP_KEYSET": str(tmp_path / "keyset.json"),
            "DOORSTEP_ISSUER": "http://127.0.0.1:1",
            "DOORSTEP_JWKS_URL": "http://127.0.0.1:1",
            "DOORSTEP_PORT": str(free_ports(1)[0]),
            "DOORSTEP_KAFKA_FETCH_WAIT_MS": "20",
        }
    )
    yield made
    if made.process.returncode is None:
        made.process.kill()
        await made.process.wait()


async def unpublished(flow) -> int:
    return (await flow.rows("SELECT count(*) FROM outbox WHERE published_at IS NULL", flow.producer))[0][0]


async def test_sigterm_answers_what_was_begun_and_publishes_what_that_wrote(flow, process):
    """A request that is under way when the signal comes still writes its event, and the event still leaves."""
    await process.start()
    async with aiohttp.ClientSession() as client:
        assert (await client.get(f"{process.url}/healthz")).status == 200
        asking = asyncio.create_task(client.post(f"{process.url}/api/things"))
        await asyncio.sleep(0.4)
        process.process.send_signal(signal.SIGTERM)
        answer = await asking
        assert answer.status == 200
        assert await answer.json() == {"serials": [1]}
    assert await process.ended() == 0
    assert await unpublished(flow) == 0
    assert await flow.rows("SELECT count(*) FROM lease", flow.producer) == [(0,)]
    assert [line["event"] for line in process.lines if line["event"] in ("ready", "draining")] == ["ready", "draining"]


async def test_a_task_that_fails_takes_the_service_with_it_and_says_so(process):
    await process.start(FAILS_AFTER="0.5")
    assert await process.ended() == 1
    [line] = [line for line in process.lines if line["event"] == "a task ended"]
    assert (line["level"], line["error"]) == ("critical", "ZeroDivisionError")


async def test_events_written_in_a_process_without_a_relay_wake_the_relay_of_another(flow, process):
    relay = flow.relay(lease_seconds=30.0)
    stopping = asyncio.Event()
    publishing = asyncio.create_task(relay.run(stopping))
    await process.start("api")
    async with aiohttp.ClientSession() as client:
        relay._woken.clear()
        assert (await client.post(f"{process.url}/api/things")).status == 200
        async with asyncio.timeout(5):
            await relay._woken.wait()
    await flow.published()
    process.process.send_signal(signal.SIGTERM)
    assert await process.ended() == 0
    stopping.set()
    await publishing


async def test_a_port_that_is_taken_is_one_clear_line_and_no_traceback(process):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(process.environment["DOORSTEP_PORT"])))
        taken.listen()
        await process.start()
        assert await process.ended() == 1
    assert process.lines[-1]["event"] == "the edge does not start"
    assert process.lines[-1]["address"].startswith(
        f"127.0.0.1:{process.environment['DOORSTEP_PORT']}: Address already in use"
    )
    assert not any("at" in line for line in process.lines)


@pytest.mark.parametrize("mode", ["everything", "apì"])
async def test_a_mode_that_does_not_exist_is_refused(process, mode):
    process.lines = []
    process.process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        mode,
        env={**os.environ, **process.environment, "LC_ALL": "C.UTF-8"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.process.wait() == 2


async def test_the_development_issuer_serves_the_embedded_profile_alone(process):
    environment = {**os.environ, **process.environment, "LC_ALL": "C.UTF-8"}
    told = {"DOORSTEP_PROFILE": "production", "DOORSTEP_ISSUER_PROFILE": "embedded"}
    process.process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        "all",
        env=environment | told,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.process.communicate()
    assert process.process.returncode == 2
    assert b"the development issuer serves the embedded profile only" in said
