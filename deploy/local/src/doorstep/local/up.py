"""The command `doorstep up`: the stack kept running, and kept on disk."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.quorum import NEEDED, Quorum, parse_witnesses
from doorstep.cli.failures import Refusal
from doorstep.kit.keyset import Suite
from doorstep.local.progress import Progress
from doorstep.local.stack import Stack, StackOptions, running_stack

_STOPPED_TWICE = 130
SuiteOption = Annotated[
    Suite | None,
    typer.Option(help="Algorithms of a new folder 算法套件; national: SM2, SM3, SM4. A folder keeps its own."),
]

NoticesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Leave notices to residents here, not in DATA/notices: a file each 提醒输出目录.",
    ),
]


def up(
    data: Annotated[Path, typer.Option(help="Where everything is kept 数据目录.")] = Path("data"),
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the front door 网关端口; 8600 if free."),
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Use this Kafka, not the embedded broker 外部 Kafka.")
    ] = None,
    kafka_secrets: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Sign in at that Kafka: a file per user, with its password 消息代理的用户口令目录."
        ),
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Use this PostgreSQL (its role may create databases) 外部 PostgreSQL."),
    ] = None,
    witnesses: Annotated[
        Path | None, typer.Option(help="Witnesses of the log: lines with a verifier key and an address 见证方名单.")
    ] = None,
    suite: SuiteOption = None,
    notices: NoticesOption = None,
) -> None:
    """Run the whole stack, kept in a data folder, until Ctrl-C. 启动整套服务。

    Examples:

      doorstep up

      doorstep up --data /srv/station-1 --port 8601

      doorstep up --kafka 127.0.0.1:9092 --postgres postgresql://doorstep:secret@127.0.0.1:5432/postgres

      doorstep up --witnesses witnesses.txt
    """
    if witnesses is not None:
        _check(witnesses)
    options = StackOptions(
        data=data,
        port=port,
        kafka=kafka,
        kafka_secrets=kafka_secrets,
        postgres=postgres,
        witnesses=witnesses,
        suite=suite,
        environment={} if notices is None else {"DOORSTEP_NOTICES": str(notices.absolute())},
    )
    asyncio.run(_run(options, Console()))


class WitnessesUnusable(Refusal):
    """The file of witnesses names nobody, or not in its form."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(
            f"见证方名单 {file} 无法使用：{why}。", f"The witnesses in {file} cannot be used: {why}.", exit_code=2
        )


def _check(file: Path) -> None:
    """Raises WitnessesUnusable."""
    try:
        keys = tuple(witness.key for witness in parse_witnesses(file.read_text(encoding="utf-8")))
        Quorum(keys, NEEDED)
    except (OSError, ValueError) as error:
        raise WitnessesUnusable(file, str(error) if isinstance(error, Malformed) else type(error).__name__) from error


async def _run(options: StackOptions, console: Console) -> None:
    asked = stop_signals(asyncio.current_task())
    with Progress(console) as progress:
        try:
            async with running_stack(options, progress) as stack:
                progress.pause()
                _show(stack, console, options)
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not asked:
                raise
    console.print("已停止，数据已保存。 Stopped; the data is kept.")


def stop_signals(task: asyncio.Task[None] | None) -> list[signal.Signals]:
    """Have the first Ctrl-C or SIGTERM cancel the task, and the second end everything at once."""
    received: list[signal.Signals] = []

    def receive(number: signal.Signals) -> None:
        if received:
            os._exit(_STOPPED_TWICE)  # the kernel ends the children
        received.append(number)
        if task is not None:
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, receive, number)
    return received


def _show(stack: Stack, console: Console, options: StackOptions) -> None:
    lines = [
        ("网关 front door", stack.front_door),
        ("审计页 auditors' page", f"{stack.front_door}/audit"),
        ("接口文档 OpenAPI", f"{stack.front_door}/openapi.json"),
        ("开发令牌 development tokens", f"{stack.issuer.url}/token"),
        ("Kafka", stack.kafka),
        ("数据 data", str(stack.folder.root)),
        ("日志 logs", str(stack.folder.logs)),
        ("提醒 notices to residents", options.environment.get("DOORSTEP_NOTICES", str(stack.folder.notices))),
        ("值班呼叫 calls of the duty desk", str(stack.folder.duty_calls)),
    ]
    console.print()
    for title, value in lines:
        console.print(f"  {title}: {value}", highlight=False, markup=False, soft_wrap=True)
    console.print("\n按 Ctrl-C 停止。 Press Ctrl-C to stop.")
