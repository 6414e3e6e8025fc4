"""Check the audit log from outside. 从外部验证审计日志。"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import aiohttp
import typer

from doorstep.audit.domain.errors import LogError, Malformed
from doorstep.audit.domain.note import SigningKey, VerifierKey, encode_base64
from doorstep.audit.domain.verify import Fetch, VerificationFailed, VerifiedLog, check_saved, verify_log

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Result = TypeVar("Result")

FAILED = 1
WRONG_REQUEST = 2
PART_LIMIT = 64 * 1024 * 1024
WAIT = 30.0


class LogUnreachable(Exception):
    """The log gave no answer, or one that is neither a part of a log nor its absence."""


@application.callback()
def root() -> None:
    """Check the audit log from outside. 从外部验证审计日志。"""


@application.command()
def verify(
    url: Annotated[str, typer.Option(help="Where the log is, such as http://127.0.0.1:8600/api/log 日志地址.")],
    vkey: Annotated[
        str | None, typer.Option(help="The log's verifier key, got on another way 验证密钥; else the log is asked.")
    ] = None,
    saved: Annotated[
        Path | None, typer.Option(help="A checkpoint kept from before, which the log must still begin with 旧检查点.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Keep the checkpoint in this file 保存检查点.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object 输出 JSON.")] = False,
) -> None:
    """Read the whole log, compute everything anew, and compare with what was signed. 通读并重算整个日志。

    Exit 0 if the log is what was signed, 1 if it is not or cannot be read, 2 for a wrong request.

    Examples:

      doorstep log verify --url http://127.0.0.1:8600/api/log

      doorstep log verify --url http://127.0.0.1:8600/api/log --vkey doorstep.example/log+c74f20a3+AR... --json
    """
    try:
        log = asyncio.run(_verify(url, vkey, None if saved is None else saved.read_bytes()))
    except VerificationFailed as error:
        _fail(as_json, error, f"日志未通过验证：{error}\nThe log does not verify: {error}.", FAILED)
    except LogUnreachable as error:
        _fail(as_json, error, f"无法读取日志：{error}\nThe log cannot be read: {error}.", FAILED)
    except (LogError, OSError) as error:
        _fail(as_json, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)
    if save is not None:
        save.write_bytes(log.checkpoint)
    if as_json:
        _print_json({"verified": True, "entries": log.size, "root": encode_base64(log.root)})
    else:
        typer.echo(f"验证通过：{log.size} 条，与签名的树根一致。\nVerified: {log.size} entries have the signed root.")
        if vkey is None:
            typer.echo("The key was the log's own word; give --vkey to rely on nobody.", err=True)


@application.command("new-key")
def new_key(
    out: Annotated[Path, typer.Option(help="The file to make; it must not exist 密钥文件.")],
    origin: Annotated[str, typer.Option(help="The log's name, such as doorstep.example/log 日志名称.")],
) -> None:
    """Make a signing key for a log, and print the key that verifies it. 生成日志签名密钥。"""
    try:
        key = SigningKey.generate(origin)
        out.touch(mode=0o600, exist_ok=False)
        out.write_text(key.encode() + "\n", encoding="utf-8")
    except (Malformed, OSError) as error:
        _fail(False, error, f"无法生成密钥：{error}\nNo key was made: {error}.", WRONG_REQUEST)
    typer.echo(str(key.verifier))


async def _verify(url: str, vkey: str | None, saved: bytes | None) -> VerifiedLog:
    async def work(fetch: Fetch) -> VerifiedLog:
        key = VerifierKey.parse(vkey or await _own_key(fetch))
        log = await verify_log(fetch, key)
        if saved is not None:
            await check_saved(fetch, key, saved)
        return log

    return await _with_log(url, work)


async def _own_key(fetch: Fetch) -> str:
    told = await fetch("vkey")
    if told is None:
        raise LogUnreachable("there is no log here")
    try:
        return str(VerifierKey.parse(told.decode("utf-8").strip()))
    except ValueError as error:
        raise LogUnreachable("it has no verifier key") from error


async def _with_log(url: str, work: Callable[[Fetch], Awaitable[Result]]) -> Result:
    """Do `work` with the log at `url`; raises LogUnreachable."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT)) as session:

        async def fetch(path: str) -> bytes | None:
            async with session.get(f"{url.rstrip('/')}/{path}") as response:
                if response.status == 404:
                    return None
                if response.status != 200:
                    raise LogUnreachable(f"{path} was answered with {response.status}")
                data = bytearray()
                async for chunk in response.content.iter_any():
                    data += chunk
                    if len(data) > PART_LIMIT:
                        raise LogUnreachable(f"{path} is too long")
                return bytes(data)

        try:
            return await work(fetch)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            if isinstance(error, LogError):
                raise
            raise LogUnreachable(f"{url} does not answer ({type(error).__name__})") from error


def _fail(as_json: bool, error: Exception, message: str, exit_code: int) -> NoReturn:
    if as_json:
        where = {
            name: getattr(error, name)
            for name in ("index", "indexes", "path", "tile", "offset", "saved", "size")
            if hasattr(error, name)
        }
        _print_json({"verified": False, "error": type(error).__name__, "detail": str(error), **where})
    else:
        typer.echo(message, err=True)
    raise typer.Exit(exit_code)


def _print_json(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, ensure_ascii=False))
