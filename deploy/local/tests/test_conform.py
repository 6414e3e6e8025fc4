"""A consumer on trial: a wrong one fails every check, HTTP is heard, what cannot be tried is refused."""

import asyncio
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from doorstep.contracts.codes import Department
from doorstep.contracts.feeds import FEEDS, RequestOffered
from doorstep.contracts.wire import from_message
from doorstep.kit.delivery import new_private_key, open_with
from doorstep.local import apache_kafka
from doorstep.local.conform import NoConsumer, UnknownCheck, conform
from doorstep.local.conformance import CHECKS
from doorstep.local.failures import PortTaken
from doorstep.local.on_trial import Ear, Effect, Heard, Kind, NotStarted, Process, Unreadable
from doorstep.local.ports import free_ports
from doorstep.local.trial import Feed, make_topic

DOORSTEP = Path(sys.executable).with_name("doorstep")
WRONG = Path(__file__).with_name("wrong_consumer.py")
EXAMPLES = Path(__file__).parents[3] / "contracts" / "examples" / "consumers"
GOOD = EXAMPLES / "python" / "consumer.py"
POSTS = """
import os, sys, urllib.request
for line in sys.stdin:
    urllib.request.urlopen(os.environ["FEED_EFFECTS"], line.encode())
"""
EVENT = "019abcde-0000-7000-8000-000000000001"


def tried(*arguments: str | Path) -> tuple[int, dict]:
    ran = subprocess.run([DOORSTEP, "conform", "--json", *arguments], capture_output=True, text=True, check=False)
    return ran.returncode, json.loads(ran.stdout)


def test_a_consumer_that_is_wrong_in_everything_fails_every_check() -> None:
    code, report = tried("--within", "10", "--", sys.executable, WRONG)
    assert code == 1
    assert {one["check"]: one["result"] for one in report["checks"]} == {check.code: "failed" for check in CHECKS}
    assert all(one["why"] for one in report["checks"])


def test_a_consumer_that_ends_or_hangs_fails_and_says_so() -> None:
    ending = "import sys; sys.exit('KeyError: no such thing')"
    code, report = tried("--only", "offer", "--", sys.executable, "-c", ending)
    assert (code, report["checks"][0]["why"]) == (1, "the consumer ended: KeyError: no such thing")
    code, report = tried("--only", "offer", "--within", "1", "--", "sleep", "60")
    assert (code, report["checks"][0]["why"]) == (1, "it did not go on within 1 s")


@pytest.mark.kafka
async def test_the_examples_pass_on_apache_kafka(tmp_path: Path) -> None:
    if reason := apache_kafka.missing():
        pytest.skip(reason)
    async with apache_kafka.running_kafka(tmp_path) as address:
        for consumer in ((sys.executable, GOOD), *with_node()):
            command = [DOORSTEP, "conform", "--kafka", address, "--", *consumer]
            ran = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            said, _ = await ran.communicate()
            assert ran.returncode == 0, said.decode()


def with_node() -> list[tuple[str, Path]]:
    """How the example in Node.js is run, where its packages are installed."""
    node = EXAMPLES / "node"
    return [("node", node / "consumer.mjs")] if (node / "node_modules").is_dir() else []


def test_every_check_says_what_to_do_in_both_languages() -> None:
    for check in CHECKS:
        assert all((check.zh, check.en, check.do_zh, check.do_en)), check.code
    assert len({check.code for check in CHECKS}) == len(CHECKS) == 10


@pytest.mark.parametrize(
    ("line", "effect"),
    [
        (f'{{"effect": "withdrawn", "id": "{EVENT}", "ref": "r"}}', Effect(Kind.WITHDRAWN, EVENT, "r")),
        (f'{{"effect": "set-aside", "id": "{EVENT}", "more": 1}}', Effect(Kind.SET_ASIDE, EVENT)),
        ("starting up", None), ("", None), ("[1]", None), ("7", None), ('{"level": "info"}', None),
        ("[" * 10_000, None), ("\udcff", None),
    ],
)  # fmt: skip
def test_effects_are_told_from_other_lines(line: str, effect: Effect | None) -> None:
    assert Effect.parse(line.encode("utf-8", errors="surrogateescape")) == effect


@pytest.mark.parametrize(
    "line",
    [
        '{"effect": "lost", "id": "1"}', '{"effect": "offered"}', '{"effect": "offered", "id": 1}',
        '{"effect": ["offered"], "id": "1"}', '{"effect": "offered", "id": "1", "ref": {}}', '{"effect": null}',
    ],
)  # fmt: skip
def test_an_effect_out_of_form_is_said_to_be_so(line: str) -> None:
    with pytest.raises(Unreadable):
        Effect.parse(line.encode())


async def test_effects_come_by_http_too() -> None:
    heard = Heard()
    ear = Ear(heard, free_ports(1)[0])
    await ear.start()
    try:
        async with aiohttp.ClientSession() as client:
            told = await client.post(ear.address, data=f'{{"effect": "offered", "id": "{EVENT}"}}')
            wrong = await client.post(ear.address, data='{"effect": "lost"}')
            nothing = await client.post(ear.address, data="hello")
            assert (told.status, wrong.status, nothing.status) == (204, 400, 400)
        assert heard.effects == [Effect(Kind.OFFERED, EVENT)]
        second = Ear(heard, int(ear.address.split(":")[2].split("/")[0]))
        with pytest.raises(PortTaken):
            await second.start()
    finally:
        await ear.stop()
    assert await heard.until(EVENT, asyncio.Event(), 1)
    assert not await heard.until("another", asyncio.Event(), 0.01)


def ended(pid: int) -> bool:
    """Whether that process ends, or waits for nobody but its parent."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


async def test_a_consumer_that_runs_elsewhere_is_tried_by_http(tmp_path: Path) -> None:
    """The command says what to start it with, waits for it, and cannot check a crash."""
    port = free_ports(1)[0]
    command = [DOORSTEP, "conform", "--json", "--listen", str(port), "--only", "offer", "--only", "restart"]
    trial = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    environment = {}
    while "FEED_EFFECTS" not in environment:
        words = (await asyncio.wait_for(trial.stderr.readline(), 60)).decode().split("export ")[1:]
        environment |= dict(word.strip().split("=", 1) for word in words)
    assert environment["FEED_EFFECTS"] == f"http://127.0.0.1:{port}/effects"
    posting = f"{shlex.quote(sys.executable)} {shlex.quote(str(GOOD))} | {shlex.quote(sys.executable)} -c '{POSTS}'"
    consumer = Process(["sh", "-c", posting], environment, tmp_path / "log", Heard())
    await consumer.start()
    said, _ = await asyncio.wait_for(trial.communicate(), 60)
    await consumer.kill()
    assert trial.returncode == 0, said
    assert [one["result"] for one in json.loads(said)["checks"]] == ["passed", "not-checked"]


async def test_a_consumer_is_killed_with_what_it_started(tmp_path: Path) -> None:
    heard, sign = Heard(), f'{{"effect": "set-aside", "id": "{EVENT}", "ref": "%d"}}\\n'
    process = Process(["sh", "-c", f"sleep 60 & printf '{sign}' $!; wait"], {}, tmp_path / "log", heard)
    await process.start()
    assert await heard.until(EVENT, process.ended, 30)
    await process.kill()
    assert process.ended.is_set()
    assert ended(int(heard.effects[0].ref))


async def test_a_command_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotStarted) as refused:
        await Process(["no-such-program"], {}, tmp_path / "log", Heard()).start()
    assert refused.value.exit_code == 2


def test_a_trial_without_a_consumer_or_of_an_unknown_check_is_refused() -> None:
    with pytest.raises(NoConsumer):
        conform()
    with pytest.raises(UnknownCheck, match="rotation"):
        conform(["true"], only=["rotations"])


async def test_the_feed_of_a_trial_is_the_department_s_own(embedded_broker) -> None:
    """Its fields alone, encrypted for the consumer, numbered by request; a replay repeats ids and numbers.

    An everyday request has no safe contact and bars nothing.
    """
    await make_topic(embedded_broker.address, "feed.trial")
    key = new_private_key("own")
    where = {"bootstrap_servers": embedded_broker.address}
    consumer = AIOKafkaConsumer(**where, auto_offset_reset="earliest", fetch_max_wait_ms=20)
    async with AIOKafkaProducer(**where) as producer, consumer:
        feed = Feed(producer, "feed.trial", Department.JUSTICE, key)
        offered = feed.offered()
        await feed.send(offered, feed.withdrawn(offered, 2), *feed.replayed())
        consumer.assign([TopicPartition("feed.trial", 0)])
        messages = [await asyncio.wait_for(consumer.getone(), 30) for _ in range(4)]
    read = [from_message(one.headers, one.key, one.value) for one in messages]
    told = [(envelope.id, envelope.number, envelope.epoch) for envelope, _ in read]
    assert [one[:2] for one in told[2:]] == [one[:2] for one in told[:2]]
    assert [one[1:] for one in told] == [(1, 1), (2, 1), (1, 2), (2, 2)]
    event = RequestOffered.model_validate_json(open_with({"own": key}, read[0][1]))
    shown = set(event.offer.model_dump(exclude_none=True)) & {"name", "phone", "address", "place", "document_number"}
    assert shown == FEEDS[Department.JUSTICE].fields - {"safe_contact", "barred"}
