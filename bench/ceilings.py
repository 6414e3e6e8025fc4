"""What the machine can do at best with the same engines and nothing of the product."""

import asyncio
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.loads import Tell
from doorstep.local.ports import HOST, free_ports
from doorstep.local.stack import StackOptions, running_stack

CONNECTIONS = 32
ROWS = 500
MESSAGE = b"x" * 500
TOPIC = "bench.ceiling"


async def ceilings(seconds: float, tell: Tell) -> dict[str, float]:
    """Each ceiling for so many seconds: rows, messages and answers a second."""
    async with running_stack(StackOptions(port=0, services=())) as stack:
        address = stack.database_url("intake").replace("+asyncpg", "")
        tell("single-row commits", 0.0)
        found = {"single_row_commits_per_second": await _commits(address, seconds)}
        tell("multi-row inserts", 0.3)
        found["multi_row_inserts_rows_per_second"] = await _many_rows(address, seconds)
        tell("produce, consume", 0.5)
        produced, consumed = await _broker(stack.kafka, seconds)
        found |= {"produced_per_second": produced, "consumed_per_second": consumed}
    tell("empty POST", 0.8)
    found["empty_posts_per_second"] = await _posts(seconds)
    return found


async def _repeat(work: Callable[[], Awaitable[object]], seconds: float) -> float:
    """How often a second `work` is done by so many tasks side by side."""
    done, began = 0, time.monotonic()

    async def worker() -> None:
        nonlocal done
        while time.monotonic() < began + seconds:
            await work()
            done += 1

    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    return done / (time.monotonic() - began)


async def _commits(address: str, seconds: float) -> float:
    async with asyncpg.create_pool(address, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        await pool.execute("CREATE TABLE bench_row (id uuid PRIMARY KEY, body bytea)")
        return await _repeat(lambda: pool.execute("INSERT INTO bench_row VALUES ($1, $2)", uuid4(), MESSAGE), seconds)


async def _many_rows(address: str, seconds: float) -> float:
    statement = "INSERT INTO bench_row SELECT * FROM unnest($1::uuid[], $2::bytea[])"
    async with asyncpg.create_pool(address, min_size=4, max_size=4) as pool:
        return ROWS * await _repeat(
            lambda: pool.execute(statement, [uuid4() for _ in range(ROWS)], [MESSAGE] * ROWS), seconds
        )


async def _broker(address: str, seconds: float) -> tuple[float, float]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, num_partitions=4, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all", linger_ms=5, max_batch_size=262_144)
    await producer.start()
    sent, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        batch = [await producer.send(TOPIC, MESSAGE, partition=number % 4) for number in range(1000)]
        await asyncio.gather(*batch)
        sent += len(batch)
    produced = sent / (time.monotonic() - began)
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", fetch_max_wait_ms=20)
    await consumer.start()
    consumer.assign([TopicPartition(TOPIC, number) for number in range(4)])
    taken, began = 0, time.monotonic()
    while taken < sent and time.monotonic() < began + 4 * seconds:
        found = await consumer.getmany(timeout_ms=500)
        taken += sum(len(messages) for messages in found.values())
    consumed = taken / (time.monotonic() - began)
    await consumer.stop()
    return produced, consumed


async def _posts(seconds: float) -> float:
    port = free_ports(1)[0]
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "bench.bare:app", "--port", str(port), "--log-level", "critical",
        "--no-access-log", cwd=Path(__file__).parents[1],
    )  # fmt: skip
    address = f"http://{HOST}:{port}/"
    try:
        async with aiohttp.ClientSession() as client:
            await _until_answered(client, address)
            if wrk := shutil.which("wrk"):
                return await _by_wrk(wrk, address, seconds)
            return await _repeat(lambda: _post(client, address), seconds)
    finally:
        server.terminate()
        await server.wait()


async def _post(client: aiohttp.ClientSession, address: str) -> None:
    async with client.post(address, json={"name": "somebody", "age": 42}) as answer:
        await answer.read()


async def _until_answered(client: aiohttp.ClientSession, address: str) -> None:
    for _ in range(400):
        try:
            await _post(client, address)
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the empty service does not answer")


async def _by_wrk(wrk: str, address: str, seconds: float) -> float:
    script = Path(__file__).with_name("post.lua")
    process = await asyncio.create_subprocess_exec(
        wrk, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script), address,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    line = next(line for line in output.decode().splitlines() if line.startswith("Requests/sec"))
    return float(line.partition(":")[2])
