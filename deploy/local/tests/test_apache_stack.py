"""The whole stack over Apache Kafka: a record goes its way, also when a service dies and when the broker loses all."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from doorstep.contracts.access import department_user, made_topics
from doorstep.contracts.codes import Department
from doorstep.contracts.topics import feed_topic
from doorstep.kit.broker import Broker
from doorstep.local import apache_kafka, jdk
from doorstep.local.broker import security
from doorstep.local.department import Orders
from doorstep.local.departments import Departments, department_systems
from doorstep.local.external import ExternalKafka
from doorstep.local.failures import ExternalUnreachable
from doorstep.local.ports import free_ports
from doorstep.local.records import demonstration
from doorstep.local.stack import Stack, StackOptions, running_stack
from doorstep.local.story import Outcome, Story

pytestmark = pytest.mark.kafka
EXAMPLE = jdk.CHECKOUT / "contracts" / "examples" / "consumers" / "python" / "consumer.py"
REACHED = {"civil-affairs", "health", "justice", "fire"}


@asynccontextmanager
async def town(kafka: str, secrets: Path | None = None) -> AsyncIterator[tuple[Stack, Departments, Story]]:
    """The stack over `kafka`, with six department systems that take their feeds; with `secrets` everybody signs in."""
    heard = []
    async with (
        department_systems(
            Department, lambda department, what: [story(department, what) for story in heard]
        ) as systems,
        running_stack(StackOptions(kafka=kafka, kafka_secrets=secrets, port=0, durable=False)) as stack,
    ):
        story = Story(stack, lambda kind, step: None)
        heard.append(story.heard)
        await systems.begin(
            Orders(
                department=one,
                front_door=stack.front_door,
                kafka=kafka,
                kafka_secrets=secrets,
                token=stack.token("department-system", agency=one),
            )
            for one in Department
        )
        yield stack, systems, story


async def play(story: Story, seed: int) -> Outcome:
    outcome = await story.play(demonstration(seed, now=datetime.now(UTC)), within=90)
    assert outcome.closed, outcome.report()
    return outcome


async def rows(stack: Stack, database: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(stack.database_url(database).replace("+asyncpg", ""))
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


@pytest.fixture(autouse=True)
def _needs_a_jdk() -> None:
    if reason := apache_kafka.missing():
        pytest.skip(reason)


async def test_a_record_goes_its_whole_way_over_apache_kafka(tmp_path: Path) -> None:
    async with apache_kafka.running_kafka(tmp_path / "kafka") as kafka, town(kafka) as (_, _, story):
        outcome = await play(story, seed=7)
        await story.verify(outcome)
    assert set(outcome.report()["departments"]) == REACHED
    assert outcome.verified, outcome.failure


async def read_by_fire(kafka: str, secrets: Path, state: Path) -> str:
    """The first effect that the example of a consumer tells of its feed, or what it ended with."""
    told = {
        "FEED_KAFKA": kafka, "FEED_TOPIC": "feed.fire", "FEED_STATE": str(state), "FEED_KEYS": os.devnull,
        "FEED_USER": "department-fire", "FEED_PASSWORD_FILE": str(secrets / "department-fire"),
        "FEED_SECURITY": "SASL_PLAINTEXT",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, EXAMPLE, env=os.environ | told, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = ""
    try:
        async with asyncio.timeout(60):
            async for line in process.stdout:
                said += line.decode()
                if '"effect"' in said:
                    break
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    return said


async def shown_to(user: str, kafka: str, secrets: Path) -> set[str]:
    """The topics that the broker so much as describes to `user`; it gives no message of any other."""
    names = {topic.name for topic in made_topics()}
    consumer = Broker(kafka, **security(kafka, secrets, user)).consumer()
    await consumer.start()
    try:
        await consumer._client.set_topics(names)
        await consumer._client.force_metadata_update()
        return names - set(consumer._client.cluster.unauthorized_topics)
    finally:
        await consumer.stop()


async def test_a_record_goes_its_whole_way_where_everybody_signs_in_and_nobody_may_do_more_than_they_need(
    tmp_path: Path,
) -> None:
    async with apache_kafka.kafka_with_rights(tmp_path / "kafka") as (kafka, secrets):
        wrong = shutil.copytree(secrets, tmp_path / "wrong")
        (wrong / "audit").write_text("guessed", encoding="utf-8")
        with pytest.raises(ExternalUnreachable, match="to audit"):
            await ExternalKafka(kafka, wrong).start()
        with pytest.raises(ExternalUnreachable, match="no answer"):
            await ExternalKafka(kafka).start()
        async with town(kafka, secrets) as (_, _, story):
            outcome = await play(story, seed=11)
            await story.verify(outcome)
            own = await read_by_fire(kafka, secrets, tmp_path / "own.db")
            shown = {one: await shown_to(department_user(one), kafka, secrets) for one in Department}
    assert set(outcome.report()["departments"]) == REACHED
    assert outcome.verified, outcome.failure
    assert '"effect": "set-aside"' in own  # it is encrypted for another key
    assert shown == {one: {feed_topic(one)} for one in Department}


async def test_a_record_goes_its_way_past_services_that_are_killed(tmp_path: Path) -> None:
    async with apache_kafka.running_kafka(tmp_path / "kafka") as kafka, town(kafka) as (stack, _, story):
        playing = asyncio.create_task(play(story, seed=8))
        for service in ("registry", "risk", "referral"):
            await asyncio.sleep(0.3)
            await stack.kill(service)
            await stack.restart(service)
        outcome = await playing
        await story.verify(outcome)
        opened = await rows(stack, "referral", "SELECT need_id, count(*) AS times FROM request GROUP BY need_id")
    assert outcome.verified, outcome.failure
    assert {row["times"] for row in opened} == {1}


async def test_apache_kafka_may_lose_everything(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    async with apache_kafka.running_kafka(tmp_path / "first", port) as kafka:
        before = asyncio.Event()
        after = asyncio.Event()
        living = asyncio.create_task(_live(kafka, before, after))
        await asyncio.wait((living, asyncio.create_task(before.wait())), return_when=asyncio.FIRST_COMPLETED)
    shutil.rmtree(tmp_path / "first" / "topics")
    async with apache_kafka.running_kafka(tmp_path / "first", port):
        after.set()
        opened, epochs = await living
    assert {row["times"] for row in opened} == {1}
    assert {row["topic"] for row in epochs} >= {"referral.tasks"}


async def _live(kafka: str, before: asyncio.Event, after: asyncio.Event) -> tuple[list, list]:
    async with town(kafka) as (stack, _, story):
        await play(story, seed=9)
        before.set()
        await after.wait()
        outcome = await play(story, seed=10)
        await story.verify(outcome)
        assert outcome.verified, outcome.failure
        return (
            await rows(stack, "referral", "SELECT need_id, count(*) AS times FROM request GROUP BY need_id"),
            await rows(stack, "referral", "SELECT topic, epoch FROM relay_topic WHERE epoch > 1"),
        )
