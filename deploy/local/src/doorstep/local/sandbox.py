"""The command `doorstep sandbox`: a whole station on this machine whose made-up residents need one department."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console

from doorstep.cli.failures import Refusal
from doorstep.contracts.codes import DEPARTMENT_NAMES, Department
from doorstep.contracts.topics import feed_topic
from doorstep.kit.delivery import UnusableKey, public_key
from doorstep.local.front_door import Body, FrontDoor, Refused
from doorstep.local.progress import Progress
from doorstep.local.stack import Stack, StackOptions, running_stack
from doorstep.local.station import Station
from doorstep.local.story import STATION
from doorstep.local.up import stop_signals

_WORDS = {
    "sent": "已转办 sent",
    "not-sent": "未能发出 not sent",
    "withdrawn": "已撤回 withdrawn",
    "accepted": "贵部门已接受 accepted",
    "rejected": "贵部门不予受理 rejected",
    "in-progress": "办理中 in progress",
    "completed": "已办结 completed",
    "failed": "未能办成 failed",
    "on-hold": "暂停 on hold",
}


class NoSuchDepartment(Refusal):
    """There is no feed for a department of this name."""

    def __init__(self, name: str) -> None:
        known = ", ".join(f"{one}（{DEPARTMENT_NAMES[one][0]}）" for one in Department)
        super().__init__(
            f"没有部门 {name}，可选：{known}。",
            f"There is no department {name}; one of: {', '.join(Department)}.",
            exit_code=2,
        )


class KeyUnusable(Refusal):
    """The file holds no public key that a feed can be encrypted for."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(
            f"公钥 {path} 无法使用（{reason}）：需要一个 X25519 公钥 JWK，含 kid，不含私钥。",
            f"The key {path} cannot be used ({reason}): it must be a public X25519 JWK with a kid, without its "
            "private part.",
            exit_code=2,
        )


class NotWritten(Refusal):
    """The file with the addresses cannot be written."""

    def __init__(self, path: Path, cause: OSError) -> None:
        reason = cause.strerror or str(cause)
        super().__init__(f"无法写入 {path}：{reason}。", f"{path} cannot be written: {reason}.", exit_code=2)


def sandbox(
    department: Annotated[str, typer.Argument(help=f"One of {', '.join(Department)} 部门.")],
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Publish this public key (JWK) at once 公钥文件.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write how to connect to this file, for a shell 连接信息.")
    ] = None,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two requests 间隔秒数.")] = 5,
    count: Annotated[int | None, typer.Option(min=0, help="So many requests, then only wait 条数.")] = None,
    seed: Annotated[int, typer.Option(help="What the residents are made up from 随机种子.")] = 7,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the front door 网关端口; 8600 if free.")
    ] = None,
) -> None:
    """Send made-up requests to one department's feed, until Ctrl-C. 对接沙箱：向一个部门发送虚构请求。

    Everything is real but the people: the services, the broker, the encryption. Nothing is kept. docs/partners.md leads
    from here to the first decrypted request.

    Examples:

      doorstep sandbox civil-affairs

      doorstep sandbox civil-affairs --key public.json --write sandbox.env

      doorstep sandbox fire --every 0.5 --count 100 --seed 3
    """
    if department not in set(Department):
        raise NoSuchDepartment(department)
    public = _read(key) if key is not None else None
    if write is not None:
        _write(write, {})  # whether that is possible, before anything is started
        write.unlink()
    try:
        asyncio.run(_run(Department(department), public, write, port, every=every, count=count, seed=seed))
    finally:
        if write is not None:
            write.unlink(missing_ok=True)


def _read(path: Path) -> Body:
    """Raises KeyUnusable."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KeyUnusable(path, error.strerror or "unreadable") from None
    except (ValueError, RecursionError):
        raise KeyUnusable(path, "not JSON") from None
    if not isinstance(document, dict):
        raise KeyUnusable(path, "not a JSON object")
    try:
        return dict(public_key(document).as_dict(private=False))
    except UnusableKey as error:
        raise KeyUnusable(path, str(error)) from None


def _write(path: Path, environment: Mapping[str, str]) -> None:
    """Write lines for a shell, whole or not at all, for its owner alone: one of them is a token. Raises NotWritten."""
    partial = path.with_name(f"{path.name}.new")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"export {name}='{value}'\n" for name, value in environment.items())
        partial.replace(path)
    except OSError as cause:
        raise NotWritten(path, cause) from cause


async def _run(
    department: Department,
    public: Body | None,
    write: Path | None,
    port: int | None,
    *,
    every: float,
    count: int | None,
    seed: int,
) -> None:
    asked, console = stop_signals(asyncio.current_task()), Console()
    with Progress(console) as progress:
        try:
            async with running_stack(StackOptions(port=port, durable=False), progress) as stack:
                progress.pause()
                environment = _environment(stack, department)
                if public is not None:
                    await _publish(environment, department, public)
                if write is not None:
                    _write(write, environment)
                _show(environment, department, console, has_key=public is not None)
                await _work(stack, department, console, every=every, count=count, seed=seed)
        except asyncio.CancelledError:
            if not asked:
                raise
    console.print("已停止，未保存任何数据。 Stopped; nothing is kept.")


async def _publish(environment: Mapping[str, str], department: Department, public: Body) -> None:
    """Raises KeyUnusable, where the station refuses it."""
    async with FrontDoor(environment["FEED_DOOR"], lambda: environment["FEED_TOKEN"]) as door:
        try:
            await door.publish_key(department, public)
        except Refused as refused:
            raise KeyUnusable(str(public["kid"]), f"HTTP {refused.status}") from None


async def _work(
    stack: Stack, department: Department, console: Console, *, every: float, count: int | None, seed: int
) -> None:
    def tell(what: str, number: int, need_type: str) -> None:
        console.print(f"  #{number} {need_type}  {_WORDS.get(what, what)}", highlight=False, markup=False)

    people = {role: str(uuid4()) for role in ("collector", "reviewer")}

    def token(role: str) -> str:  # anew for each call: a sandbox may stay longer than a token is good for
        return stack.token(role, station=STATION, subject=people[role])

    async with (
        FrontDoor(stack.front_door, lambda: token("collector")) as collector,
        FrontDoor(stack.front_door, lambda: token("reviewer")) as reviewer,
        asyncio.TaskGroup() as group,
    ):
        station = Station(department, collector, reviewer, tell)
        group.create_task(station.follow(stack.kafka))
        group.create_task(station.ask(seed=seed, every=every, count=count))


def _environment(stack: Stack, department: Department) -> dict[str, str]:
    return {
        "FEED_KAFKA": stack.kafka,
        "FEED_TOPIC": feed_topic(department),
        "FEED_GROUP": str(department),
        "FEED_DOOR": stack.front_door,
        "FEED_TOKEN": stack.token("department-system", agency=department),
    }


def _show(environment: Mapping[str, str], department: Department, console: Console, *, has_key: bool) -> None:
    titles = {
        "FEED_KAFKA": "Kafka",
        "FEED_TOPIC": "主题 topic",
        "FEED_DOOR": "网关 front door",
        "FEED_TOKEN": "令牌 token",
    }
    console.print()
    for name, title in titles.items():
        console.print(f"  {title}: {environment[name]}", highlight=False, markup=False, soft_wrap=True)
    path = f"{environment['FEED_DOOR']}/api/departments/{department}/keys/KID"
    if not has_key:
        console.print(
            f"\n尚无公钥：请求等到公布之后才发出。 No key yet: requests wait until one is published:\n  PUT {path}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    console.print("\n按 Ctrl-C 停止。 Press Ctrl-C to stop.\n")
