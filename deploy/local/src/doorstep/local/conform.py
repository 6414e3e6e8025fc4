"""The command `doorstep conform`: a department's own consumer, tried against everything that its feed may bring."""

import asyncio
import json
import math
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from joserfc.jwk import OKPKey
from rich.console import Console
from rich.table import Table

from doorstep.cli.failures import Refusal
from doorstep.contracts.codes import Department
from doorstep.local.broker import EmbeddedBroker
from doorstep.local.conformance import CHECKS, Check, Failing, NotChecked
from doorstep.local.external import ExternalKafka
from doorstep.local.failures import ExternalUnreachable
from doorstep.local.on_trial import Ear, Effect, Heard, Process
from doorstep.local.ports import free_ports
from doorstep.local.trial import Feed, KeyFile, Message, make_topic, remove_topics

_GRACE = 0.1  # seconds for what a consumer does beside the order of its feed
_MARKS = {"passed": "[green]✓ 通过 passed[/green]", "failed": "[red]✗ 未通过 failed[/red]", "not-checked": "— 未检查"}


class NoConsumer(Refusal):
    """Neither a command nor a port was given."""

    def __init__(self) -> None:
        super().__init__(
            "请给出启动消费程序的命令（doorstep conform -- 命令），或用 --listen 端口 等待自行启动的程序。",
            "Give the command that starts your consumer (doorstep conform -- COMMAND), or --listen PORT to wait for "
            "one that you start yourself.",
            exit_code=2,
        )


class UnknownCheck(Refusal):
    """A check was asked for that does not exist."""

    def __init__(self, code: str) -> None:
        known = ", ".join(check.code for check in CHECKS)
        super().__init__(
            f"没有检查项 {code}，可选：{known}。", f"There is no check {code}; one of: {known}.", exit_code=2
        )


@dataclass(frozen=True)
class Plan:
    """What is tried, and how: without a command the consumer is started by somebody else and tells on `listen`."""

    command: Sequence[str]
    department: Department
    checks: Sequence[Check]
    within: float
    listen: int | None = None
    kafka: str | None = None


@dataclass(frozen=True)
class Verdict:
    """How a check ended; `zh` and `en` say why where it failed."""

    check: Check
    result: str
    zh: str = ""
    en: str = ""


def conform(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND...", help="What starts your consumer 启动命令.")
    ] = None,
    department: Annotated[Department, typer.Option(help="Whose feed it takes 部门.")] = Department.CIVIL_AFFAIRS,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CHECK", help="This check alone; again for more 仅此项.")
    ] = None,
    listen: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Effects come to POST /effects on this port 回调端口.")
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Use this Kafka, not the embedded broker 外部 Kafka.")
    ] = None,
    within: Annotated[float, typer.Option(min=0.5, help="Seconds until a message must be taken 时限.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object 输出 JSON.")] = False,
) -> None:
    """Try a department's consumer against all that its feed may bring. 检查部门的消费程序是否合规。

    Your consumer finds FEED_KAFKA, FEED_TOPIC, FEED_GROUP, FEED_KEYS, FEED_STATE and FEED_EFFECTS in its environment;
    docs/partners.md says what it answers. Exit 0: all passed; 1: something failed; 2: it could not be tried.

    Examples:

      doorstep conform -- python contracts/examples/consumers/python/consumer.py

      doorstep conform --only rotation --only replay -- node contracts/examples/consumers/node/consumer.mjs

      doorstep conform --listen 9000
    """
    if not command and listen is None:
        raise NoConsumer
    known = {check.code: check for check in CHECKS}
    for code in only or ():
        if code not in known:
            raise UnknownCheck(code)
    checks = [check for check in CHECKS if not only or check.code in only]
    plan = Plan(command or (), department, checks, within, listen, kafka)
    verdicts = asyncio.run(_run(plan, Console(stderr=True)))
    if as_json:
        typer.echo(json.dumps(_report(verdicts), ensure_ascii=False))
    else:
        _show(verdicts, Console())
    if any(one.result == "failed" for one in verdicts):
        raise typer.Exit(1)


@dataclass
class Round:
    """A consumer with a feed, keys and a state of its own."""

    plan: Plan
    folder: Path
    producer: AIOKafkaProducer
    heard: Heard
    keys: KeyFile
    feed: Feed
    process: Process | None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def told(self, fence: Message) -> list[Effect]:
        """What the consumer told since the last time, once it told of `fence`. Raises Failing where it does not."""
        taken = await self.heard.until(fence.id, self.ended, self.plan.within)
        await asyncio.sleep(_GRACE)
        effects, unreadable = list(self.heard.effects), list(self.heard.unreadable)
        self.heard.effects.clear()
        self.heard.unreadable.clear()
        if unreadable:
            raise Failing(f"结果无法读取：{unreadable[0]}", f"an effect could not be read: {unreadable[0]}")
        if taken:
            return effects
        if self.process is not None and self.ended.is_set():
            last = self.process.last_line()
            raise Failing(f"程序退出：{last}", f"the consumer ended: {last}")
        raise Failing(f"{self.plan.within:g} 秒内没有处理后续消息", f"it did not go on within {self.plan.within:g} s")

    async def wait_for_consumer(self) -> None:
        """Wait until a consumer that somebody else starts has told of a first request."""
        first = self.feed.offered()
        await self.feed.send(first)
        await self.heard.until(first.id, self.ended, math.inf)
        self.heard.effects.clear()

    def add_key(self) -> OKPKey:
        """Give it a further private key."""
        return self.keys.add()

    async def kill(self) -> None:
        """End the consumer as a crash would. Raises NotChecked."""
        if self.process is None:
            raise NotChecked
        await self.process.kill()

    async def start(self) -> None:
        """Start the consumer again. Raises NotStarted."""
        if self.process is not None:
            await self.process.start()


async def _run(plan: Plan, console: Console) -> list[Verdict]:
    """Raises StackFailed, NotStarted."""
    with tempfile.TemporaryDirectory(prefix="doorstep-conform-") as name:
        folder, heard = Path(name), Heard()
        broker = ExternalKafka(plan.kafka) if plan.kafka else EmbeddedBroker(folder / "broker.log")
        ear = Ear(heard, plan.listen or free_ports(1)[0])
        await ear.start()
        try:
            await broker.start()
            producer = AIOKafkaProducer(bootstrap_servers=broker.address, acks="all")
            await producer.start()
            try:
                return await _try_all(plan, folder, producer, broker.address, ear, console)
            except KafkaError as cause:
                raise ExternalUnreachable("Kafka", broker.address, type(cause).__name__) from cause
            finally:
                await producer.stop()
        finally:
            await broker.stop()
            await ear.stop()


async def _try_all(
    plan: Plan, folder: Path, producer: AIOKafkaProducer, kafka: str, ear: Ear, console: Console
) -> list[Verdict]:
    """A verdict for each check. A consumer of ours that failed one begins the next with everything new."""
    verdicts: list[Verdict] = []
    left, topics = list(plan.checks), list[str]()
    while left:
        topic = f"feed.{plan.department}.conform-{uuid4().hex[:8]}"
        topics.append(topic)
        async with _round(plan, folder, producer, kafka, topic, ear) as trial:
            if trial.process is None:
                _tell_how(_environment(trial, kafka, ear), console)
                await trial.wait_for_consumer()
            while left:
                verdict = await _try(left.pop(0), trial)
                verdicts.append(verdict)
                if verdict.result == "failed" and trial.process is not None:
                    break
    if plan.kafka:
        await remove_topics(kafka, topics)
    return verdicts


@asynccontextmanager
async def _round(
    plan: Plan, folder: Path, producer: AIOKafkaProducer, kafka: str, topic: str, ear: Ear
) -> AsyncIterator[Round]:
    own = folder / topic
    own.mkdir()
    keys = KeyFile(own / "keys.json")
    feed = Feed(producer, topic, plan.department, keys.add())
    ear.heard.effects.clear()
    trial = Round(plan, own, producer, ear.heard, keys, feed, None)
    await make_topic(kafka, topic)
    if plan.command:
        trial.process = Process(plan.command, _environment(trial, kafka, ear), own / "consumer.log", ear.heard)
        trial.ended = trial.process.ended
        await trial.process.start()
    try:
        yield trial
    finally:
        if trial.process is not None:
            await trial.process.kill()


def _environment(trial: Round, kafka: str, ear: Ear) -> dict[str, str]:
    return {
        "FEED_KAFKA": kafka,
        "FEED_TOPIC": trial.feed.topic,
        "FEED_GROUP": trial.feed.topic,
        "FEED_KEYS": str(trial.keys.path),
        "FEED_STATE": str(trial.folder / "state"),
        "FEED_EFFECTS": ear.address,
    }


async def _try(check: Check, trial: Round) -> Verdict:
    try:
        await check.run(trial)
    except Failing as failing:
        return Verdict(check, "failed", failing.chinese, str(failing))
    except NotChecked:
        return Verdict(check, "not-checked", "仅在由本命令启动时检查", "only where this command starts the consumer")
    return Verdict(check, "passed")


def _tell_how(environment: dict[str, str], console: Console) -> None:
    console.print("请用下列设置启动消费程序。 Start your consumer with:\n")
    for name, value in environment.items():
        console.print(f"  export {name}={value}", highlight=False, markup=False, soft_wrap=True)
    console.print()


def _report(verdicts: Sequence[Verdict]) -> dict[str, object]:
    return {
        "passed": all(one.result != "failed" for one in verdicts),
        "checks": [{"check": one.check.code, "result": one.result, "why": one.en} for one in verdicts],
    }


def _show(verdicts: Sequence[Verdict], console: Console) -> None:
    table = Table("检查 check", "结果 result", "原因与办法 why, and what to do", show_lines=True)
    for one in verdicts:
        why = [one.zh, one.en, one.check.do_zh, one.check.do_en] if one.result == "failed" else [one.zh, one.en]
        name = f"{one.check.zh}\n{one.check.en} ({one.check.code})"
        table.add_row(name, _MARKS[one.result], "\n".join(filter(None, why)))
    console.print(table)
    passed = sum(one.result == "passed" for one in verdicts)
    console.print(f"{passed}/{len(verdicts)} 项通过。 {passed} of {len(verdicts)} passed.")
