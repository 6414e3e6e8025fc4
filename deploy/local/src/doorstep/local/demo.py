"""The command `doorstep demo`: one record goes its whole way through the whole stack."""

import asyncio
import contextlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from rich.console import Console
from rich.progress import Progress as Bar

from doorstep.cli.failures import Refusal
from doorstep.contracts.codes import Department
from doorstep.local.broker import FETCH_WAIT_MS
from doorstep.local.demo_view import DemoView
from doorstep.local.department import Orders
from doorstep.local.departments import Departments, Told, department_systems
from doorstep.local.front_door import Body, Refused
from doorstep.local.progress import Progress
from doorstep.local.records import demonstration, neighbourhood_records
from doorstep.local.stack import Stack, StackOptions, running_stack
from doorstep.local.story import Outcome, Story

_TAMPER = """
    ALTER TABLE entry DISABLE TRIGGER only_grows;
    UPDATE entry SET body = set_byte(body, octet_length(body) / 2, get_byte(body, octet_length(body) / 2) # 1)
    WHERE index = (SELECT max(index) / 2 FROM entry);
    ALTER TABLE entry ENABLE TRIGGER only_grows;
"""


class RecordUnreadable(Refusal):
    """The file given as a record is not one."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"记录文件 {path} 无法使用：{reason}。",
            f"The record in {path} cannot be used: {reason}.",
            exit_code=2,
        )


def demo(
    tamper: Annotated[bool, typer.Option(help="Edit one row of the log before it is verified 篡改一条日志.")] = False,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Hand in this record (JSON) instead 用此记录代替.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object 输出 JSON.")] = False,
    households: Annotated[int, typer.Option(min=0, max=5000, help="Households of the neighbourhood 户数.")] = 200,
    seed: Annotated[int, typer.Option(help="What the neighbourhood is made up from 随机种子.")] = 7,
    stay: Annotated[
        bool | None, typer.Option(help="Stay up at the end, to click around 结束后保持运行; on a terminal by default.")
    ] = None,
    within: Annotated[float, typer.Option(min=1, help="Seconds until the record must be closed 时限.")] = 60,
) -> None:
    """Send one record its whole way, and show it live. 演示：一份记录的全程。

    Exit 0 only if every request was closed and the log verifies.

    Examples:

      doorstep demo

      doorstep demo --tamper

      doorstep demo --record record.json --json
    """
    chosen = _read(record) if record is not None else demonstration(seed, now=datetime.now(UTC))
    console = Console(quiet=as_json)
    staying = stay if stay is not None else sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    try:
        outcome = asyncio.run(_run(chosen, console, households, seed, tamper=tamper, staying=staying, within=within))
    except Refused as refused:
        raise RecordUnreadable(record or Path("-"), _where(refused)) from None
    if as_json:
        typer.echo(json.dumps(outcome.report(), ensure_ascii=False))
    if not (outcome.closed and outcome.verified):
        raise typer.Exit(1)


def _read(path: Path) -> Body:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordUnreadable(path, error.strerror or "unreadable") from None
    except (ValueError, RecursionError):
        raise RecordUnreadable(path, "it is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("record_id"), str):
        raise RecordUnreadable(path, "it has no record_id")
    return found


def _where(refused: Refused) -> str:
    """That the station refused the record, and at which places, without what stands there."""
    places = ", ".join(fault["pointer"] for fault in refused.problem.get("errors", ()))
    return f"HTTP {refused.status} {places}".rstrip()


async def _run(
    record: Body, console: Console, households: int, seed: int, *, tamper: bool, staying: bool, within: float
) -> Outcome:
    heard: list[Told] = []

    def hear(department: Department, what: dict[str, Any]) -> None:
        for listener in heard:
            listener(department, what)

    with Progress(console) as progress:
        async with (
            department_systems(Department, hear) as systems,
            running_stack(StackOptions(port=0), progress) as stack,
        ):
            progress.pause()
            view = DemoView(console)
            story = Story(stack, view)
            heard.append(story.heard)
            await _prepare(stack, story, systems, console, households, seed)
            outcome = await story.play(record, within=within)
            if tamper:
                await _tamper(stack, console)
            await story.verify(outcome)
            page = f"{stack.front_door}/journeys/{outcome.record_id}"
            view.end(outcome, page, f"{stack.front_door}/openapi.json", f"{stack.front_door}/api/log/checkpoint")
            await _end(console, staying=staying)
            await systems.end()
    return outcome


async def _prepare(
    stack: Stack, story: Story, systems: Departments, console: Console, households: int, seed: int
) -> None:
    records = neighbourhood_records(seed, households=households, now=datetime.now(UTC))
    with Bar(console=console, transient=True) as bar:
        moving = bar.add_task("邻里登记 the neighbourhood moves in", total=len(records))
        await asyncio.gather(
            story.move_in(records, lambda: bar.advance(moving)),
            systems.begin(
                Orders(
                    department=one,
                    front_door=stack.front_door,
                    kafka=stack.kafka,
                    token=stack.token("department-system", agency=one),
                    fetch_wait_ms=FETCH_WAIT_MS,
                    bells=stack.bells,
                )
                for one in Department
            ),
        )
    console.print(f"\n邻里 {households} 户已登记，六个部门已订阅。 {households} households, six departments.\n")


async def _tamper(stack: Stack, console: Console) -> None:
    connection = await asyncpg.connect(stack.database_url("audit").replace("+asyncpg", ""))
    try:
        await connection.execute(_TAMPER)
    finally:
        await connection.close()
    console.print("[red]已篡改一条日志。 One row of the log was edited.[/red]")


async def _end(console: Console, *, staying: bool) -> None:
    if not staying:
        console.print("\n加 --stay 可保持运行并打开上面的页面。 Run with --stay to keep it up and open the page.")
        return
    console.print("\n按 Ctrl-C 停止。 Press Ctrl-C to stop.")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
