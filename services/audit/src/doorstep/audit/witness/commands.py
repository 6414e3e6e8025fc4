"""Run a witness of the audit log, for another agency. 运行审计日志的见证方。"""

import asyncio
import json
import logging
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from aiohttp import web

from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.errors import LogError
from doorstep.audit.domain.note import VerifierKey
from doorstep.audit.witness.server import WitnessServer, is_worth_a_line
from doorstep.audit.witness.store import FILE, Evidence, KeyChanged, Kind, WitnessStore

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

WRONG_REQUEST = 2
Data = Annotated[Path, typer.Option(help="The witness's own folder; never restore it from a backup 数据目录.")]


@application.callback()
def root() -> None:
    """Run a witness of the audit log, for another agency. 运行审计日志的见证方。"""


@application.command("new-key")
def new_key(
    out: Annotated[Path, typer.Option(help="The file to make; it must not exist 密钥文件.")],
    name: Annotated[str, typer.Option(help="The witness's name, such as witness.example/justice 见证方名称.")],
) -> None:
    """Make a witness's key, and print the key that verifies its cosignatures. 生成见证密钥。"""
    try:
        key = WitnessSigningKey.generate(name)
        out.touch(mode=0o600, exist_ok=False)
        out.write_text(key.encode() + "\n", encoding="utf-8")
    except (LogError, OSError) as error:
        _fail(f"无法生成密钥：{error}\nNo key was made: {error}.")
    typer.echo(str(key.verifier))


@application.command()
def run(
    data: Data,
    key: Annotated[Path, typer.Option(help="The witness's key file 密钥文件.")],
    log: Annotated[list[str], typer.Option(help="The verifier key of a log to watch; again for more 日志验证公钥.")],
    host: Annotated[str, typer.Option(help="Address to listen on 监听地址.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any 端口.")] = 8650,
) -> None:
    """Cosign checkpoints of logs that only grow, until Ctrl-C; needs nothing but its folder. 见证日志只增不改。

    Examples:

      doorstep witness new-key --out justice.key --name witness.example/justice

      doorstep witness run --data justice --key justice.key --log doorstep.example/log+c74f20a3+AR... --port 8651
    """
    try:
        signing_key = WitnessSigningKey.parse(key.read_text(encoding="utf-8"))
        watched = [VerifierKey.parse(one) for one in log]
        store = WitnessStore(data)
        store.belong_to(signing_key.verifier)
        asyncio.run(_serve(WitnessServer(store, signing_key, watched).application(), host, port))
        store.close()
    except KeyChanged:
        _fail("该目录属于另一把见证密钥。\nThe folder is another witness key's.")
    except (LogError, OSError, UnicodeDecodeError, sqlite3.Error) as error:
        _fail(f"无法启动：{error}\nThe witness does not start: {error}.")


@application.command()
def evidence(
    data: Data,
    number: Annotated[int | None, typer.Argument(help="Show this piece whole 证据编号.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line 输出 JSON.")] = False,
) -> None:
    """List what was kept against logs, or show one piece: two notes that anybody can check. 查看分叉证据。

    A `fork` proves that the log signed two histories. `unproved` is a later checkpoint whose proof failed: no proof.

    Examples:

      doorstep witness evidence --data justice

      doorstep witness evidence --data justice 1
    """
    if not (data / FILE).is_file():
        _fail(f"{data} 不是见证方的目录。\n{data} is not a witness's folder.")
    try:
        store = WitnessStore(data)
        kept = store.evidence()
        store.close()
    except (OSError, sqlite3.Error) as error:
        _fail(f"无法读取：{error}\nIt cannot be read: {error}.")
    chosen = [one for one in kept if number in (None, one.number)]
    if number is not None and not chosen:
        _fail(f"没有第 {number} 号证据。\nThere is no evidence {number}.")
    for one in chosen:
        _show(one, whole=number is not None, as_json=as_json)
    if not kept and not as_json:
        typer.echo("没有证据：各日志至今只增不改。\nNo evidence: so far the logs have only grown.")


def _show(one: Evidence, *, whole: bool, as_json: bool) -> None:
    held, offered = one.held.decode(), one.offered.decode()
    size = int(offered.split("\n")[1])
    if as_json:
        told = {"number": one.number, "kind": one.kind, "origin": one.origin, "size": size, "kept_at": one.kept_at}
        typer.echo(json.dumps({**told, "held": held, "offered": offered, "request": one.proof}, ensure_ascii=False))
        return
    what = "分叉 two roots for one size" if one.kind is Kind.FORK else "无法证明增长 its proof failed"
    typer.echo(f"{one.number}  {one.kind}  {one.origin}  {size}  {what}")
    if whole:
        for title, text in (
            ("已见证 cosigned", held),
            ("后来收到 offered later", offered),
            ("请求 its request", one.proof),
        ):
            typer.echo(f"\n{title}:\n\n{text}")


async def _serve(application: web.Application, host: str, port: int) -> None:
    said = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stdout, format=said, level=logging.INFO, force=True)
    logging.getLogger("aiohttp.access").disabled = True
    logging.getLogger("aiohttp.server").addFilter(is_worth_a_line)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address, chosen = runner.addresses[0][:2]
        typer.echo(f"见证方已就绪 witness ready: http://{address}:{chosen}")
        sys.stdout.flush()
        await stopping.wait()
    finally:
        await runner.cleanup()


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(WRONG_REQUEST)
