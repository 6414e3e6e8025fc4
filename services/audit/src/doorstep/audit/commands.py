"""Check the audit log from outside, and mirror it. 从外部验证、镜像审计日志。"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from uuid import UUID

import aiohttp
import typer

from doorstep.audit.domain.errors import LogError, Malformed
from doorstep.audit.domain.note import SigningKey, VerifierKey, encode_base64
from doorstep.audit.domain.receipt import check_receipt, parse_receipt
from doorstep.audit.domain.verify import Fetch, VerificationFailed, VerifiedLog, check_saved, verify_log
from doorstep.audit.operations.mirroring import mirror_log
from doorstep.audit.schemas import Promises

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
    """Check the audit log from outside, and mirror it. 从外部验证、镜像审计日志。"""


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

      doorstep audit verify --url http://127.0.0.1:8600/api/log

      doorstep audit verify --url http://127.0.0.1:8600/api/log --vkey doorstep.example/log+c74f20a3+AR... --json
    """
    log = _done(lambda: _verify(url, vkey, None if saved is None else saved.read_bytes()), as_json)
    if save is not None:
        _write(save, log.checkpoint, as_json)
    if as_json:
        _print_json({"verified": True, "entries": log.size, "root": encode_base64(log.root)})
    else:
        typer.echo(f"验证通过：{log.size} 条，与签名的树根一致。\nVerified: {log.size} entries have the signed root.")
        if vkey is None:
            typer.echo("The key was the log's own word; give --vkey to rely on nobody.", err=True)


@application.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where the files go, or an earlier export that is to grow 目录.")],
    url: Annotated[str, typer.Option(help="Where the log is, such as http://127.0.0.1:8600/api/log 日志地址.")],
    vkey: Annotated[
        str | None, typer.Option(help="The log's verifier key, got on another way 验证密钥; else the log is asked.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object 输出 JSON.")] = False,
) -> None:
    """Write the verified log as files, which any file server serves as a complete mirror. 导出为静态镜像。

    Called again it fetches what is new. An export that the log contradicts stays as it is, and the exit is 1.

    Examples:

      doorstep audit export /srv/mirror --url http://127.0.0.1:8600/api/log

      python -m http.server --directory /srv/mirror 8700

      doorstep audit verify --url http://127.0.0.1:8700
    """
    log = _done(lambda: _export(url, vkey, folder), as_json)
    if as_json:
        _print_json({"exported": True, "entries": log.size, "root": encode_base64(log.root), "folder": str(folder)})
    else:
        typer.echo(f"已导出：{log.size} 条，位于 {folder}。\nExported: {log.size} entries, in {folder}.")


@application.command()
def receipt(
    entry_id: Annotated[UUID, typer.Argument(help="The entry's id 条目编号.")],
    url: Annotated[str, typer.Option(help="Where the log is, such as http://127.0.0.1:8600/api/log 日志地址.")],
    out: Annotated[Path, typer.Option(help="The file to write; the ending .tlog-proof is usual 凭证文件.")],
) -> None:
    """Fetch the receipt of an entry, a proof that is checked without the log. 取得一条日志的凭证。

    Examples:

      doorstep audit receipt 6f9c... --url http://127.0.0.1:8600/api/log --out mine.tlog-proof
    """
    data = _done(lambda: _receive(url, entry_id))
    _write(out, data)
    typer.echo(f"凭证已存入 {out}。\nThe receipt is in {out}.")


@application.command("check-receipt")
def check(
    file: Annotated[Path, typer.Argument(help="The receipt 凭证文件.")],
    vkey: Annotated[str, typer.Option(help="The log's verifier key, got on another way 验证密钥.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object 输出 JSON.")] = False,
) -> None:
    """Check a receipt, without asking the log or anybody. 离线验证凭证。

    Exit 0 if the entry is in the log that the key signed, 1 if the receipt does not prove it.

    Examples:

      doorstep audit check-receipt mine.tlog-proof --vkey doorstep.example/log+c74f20a3+AR...
    """
    try:
        key = VerifierKey.parse(vkey)
        data = file.read_bytes()
    except (LogError, OSError) as error:
        _fail(as_json, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)
    try:
        made = parse_receipt(data)
        entry, checkpoint = check_receipt(made, key.name, [key])
    except LogError as error:
        _fail(as_json, error, f"凭证无效：{error}\nThe receipt proves nothing: {error}.", FAILED)
    if as_json:
        told = {"entry_id": str(entry.id), "hour": entry.hour, "index": made.index, "size": checkpoint.size}
        _print_json({"verified": True, **told})
    else:
        typer.echo(
            f"有效：第 {made.index} 条（UTC {entry.hour} 时）在 {checkpoint.size} 条的日志之中。\n"
            f"Valid: entry {made.index}, of the hour {entry.hour} UTC, is in the log of {checkpoint.size} entries."
        )


@application.command()
def gaps(
    url: Annotated[str, typer.Option(help="Where the log is, such as http://127.0.0.1:8600/api/log 日志地址.")],
    token: Annotated[str, typer.Option(envvar="DOORSTEP_TOKEN", help="An auditor's or operator's token 令牌.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object 输出 JSON.")] = False,
) -> None:
    """Say whether the log holds what services promised in their manifests. 核对各服务的登记清单与日志。

    Exit 0 if it does, 1 if a gap is open or the log cannot be asked, 2 for a wrong request.

    Examples:

      doorstep audit gaps --url http://127.0.0.1:8600/api/log
    """
    told = _done(lambda: _ask_promises(url, token), as_json)
    open_ = [gap for gap in told.gaps if gap.closed_at is None]
    if as_json:
        _print_json(told.model_dump(mode="json"))
    else:
        for one in told.services:
            until = "-" if one.promised_until is None else f"{one.promised_until:%Y-%m-%dT%H:%MZ}"
            typer.echo(f"{one.service}  {one.last_number or 0}  {until}  {one.waiting} waiting, {one.gaps} gaps")
        for gap in open_:
            begins = "-" if gap.begins is None else f"{gap.begins:%Y-%m-%dT%H:%MZ}"
            counts = "" if gap.promised is None else f"  {gap.stored or 0}/{gap.promised}"
            typer.echo(f"{gap.service}  {gap.kind}  {gap.number}  {begins}{counts}")
        typer.echo(f"{len(open_)} 处缺漏。\n{len(open_)} gaps are open.")
    if open_:
        raise typer.Exit(FAILED)


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


def _done(work: Callable[[], Coroutine[Any, Any, Result]], as_json: bool = False) -> Result:
    """What `work` with a log gave; ends the program where the log does not verify, or cannot be read."""
    try:
        return asyncio.run(work())
    except VerificationFailed as error:
        _fail(as_json, error, f"日志未通过验证：{error}\nThe log does not verify: {error}.", FAILED)
    except LogUnreachable as error:
        _fail(as_json, error, f"无法读取日志：{error}\nThe log cannot be read: {error}.", FAILED)
    except (LogError, OSError) as error:
        _fail(as_json, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)


async def _receive(url: str, entry_id: UUID) -> bytes:
    async def work(fetch: Fetch) -> bytes:
        data = await fetch(f"proof/receipt?entry_id={entry_id}")
        if data is None:
            raise LogUnreachable("it has no such entry, or has not signed it yet")
        try:
            return parse_receipt(data).encode()
        except Malformed as error:
            raise LogUnreachable(f"what it answered is no receipt ({error})") from error

    return await _with_log(url, work)


async def _export(url: str, vkey: str | None, folder: Path) -> VerifiedLog:
    async def work(fetch: Fetch) -> VerifiedLog:
        return await mirror_log(fetch, VerifierKey.parse(vkey or await _own_key(fetch)), folder)

    return await _with_log(url, work)


async def _ask_promises(url: str, token: str) -> Promises:
    async def work(fetch: Fetch) -> Promises:
        data = await fetch("manifests?limit=1000")
        if data is None:
            raise LogUnreachable("it tells nothing of manifests")
        return Promises.model_validate_json(data)

    return await _with_log(url, work, {"Authorization": f"Bearer {token}"})


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


async def _with_log(
    url: str, work: Callable[[Fetch], Awaitable[Result]], headers: dict[str, str] | None = None
) -> Result:
    """Do `work` with the log at `url`; raises LogUnreachable."""
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=WAIT)) as session:

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


def _write(file: Path, data: bytes, as_json: bool = False) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        _fail(as_json, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)


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
