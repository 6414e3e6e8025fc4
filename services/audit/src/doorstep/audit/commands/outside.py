"""Commands for everybody else: check the log from outside, mirror it, prove an entry. 从外部验证、镜像审计日志。"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import aiohttp
import typer

from doorstep.audit.commands.answers import (
    FAILED,
    WRONG_REQUEST,
    LogUnreachable,
    Result,
    application,
    done,
    fail,
    print_json,
    read,
    write,
)
from doorstep.audit.commands.asking import JsonOption, TokenFileOption, TokenOption, UrlOption, at_desk
from doorstep.audit.domain import qr as codes
from doorstep.audit.domain.checkpoint import parse_body
from doorstep.audit.domain.errors import LogError, Malformed, NotWitnessed, TooLong
from doorstep.audit.domain.note import Note, VerifierKey, encode_base64
from doorstep.audit.domain.quorum import DAY, Quorum, check_witnessed, late
from doorstep.audit.domain.receipt import check_receipt, parse_receipt
from doorstep.audit.domain.sm2 import SM2VerifierKey
from doorstep.audit.domain.verify import Fetch, VerifiedLog, check_saved, check_sm2, verify_log, verify_witnessed
from doorstep.audit.operations.mirroring import mirror_log
from doorstep.audit.schemas import Promises

PART_LIMIT = 64 * 1024 * 1024
WAIT = 30.0
_QR: dict[str, Callable[[bytes], bytes]] = {".svg": codes.svg, ".png": codes.png}

WitnessOption = Annotated[
    list[str] | None, typer.Option(help="A witness's verifier key that counts; again for more 见证方验证公钥.")
]
QuorumOption = Annotated[
    int | None, typer.Option(help="How many of them must have cosigned 所需见证数; else more than half.")
]


@application.command()
def verify(
    url: UrlOption,
    vkey: Annotated[
        str | None, typer.Option(help="The log's verifier key, got on another way 验证密钥; else the log is asked.")
    ] = None,
    sm2_vkey: Annotated[
        str | None, typer.Option(help="The log's SM2 verifier key, if it must have signed too SM2 验证密钥.")
    ] = None,
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
    max_age: Annotated[int, typer.Option(min=0, help="How old a cosignature may be, in seconds 联署时限（秒）.")] = DAY,
    saved: Annotated[
        Path | None, typer.Option(help="A checkpoint kept from before, which the log must still begin with 旧检查点.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Keep the checkpoint in this file 保存检查点.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read the whole log, compute everything anew, and compare with what was signed. 通读并重算整个日志。

    With --witness the log is read up to its newest witnessed checkpoint: too few cosignatures, or stale ones, are 1,
    and with --sm2-vkey an SM2 signature that is wrong or missing.
    Exit 0 if the log is what was signed, 1 if it is not or cannot be read, 2 for a wrong request.

    Examples:

      doorstep audit verify --url http://127.0.0.1:8600/api/log

      doorstep audit verify --url http://127.0.0.1:8600/api/log --vkey doorstep.example/log+c74f20a3+AR... --json
    """
    trusted, now = quorum_of(witness, quorum, max_age, as_json), time.time()
    kept = None if saved is None else read(saved, as_json)  # once: --save may name the same file
    log = done(lambda: _verify(url, vkey, sm2_vkey, kept, trusted, now), as_json)
    if save is not None:
        write(save, log.checkpoint, as_json)
    told: dict[str, Any] = {"verified": True, "entries": log.size, "root": encode_base64(log.root)}
    if sm2_vkey is not None:
        told["sm2"] = True
    if trusted is not None:
        cosigners = check_witnessed(log.checkpoint, trusted, now)
        told |= {"witnesses": list(cosigners.names), "witnessed_at": cosigners.time}
        if kept is not None:
            told["late"] = _late(log, kept, trusted)
    if as_json:
        print_json(told)
    else:
        _tell_verified(told, vkey)


@application.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where the files go, or an earlier export that is to grow 目录.")],
    url: UrlOption,
    vkey: Annotated[
        str | None, typer.Option(help="The log's verifier key, got on another way 验证密钥; else the log is asked.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the verified log as files, which any file server serves as a complete mirror. 导出为静态镜像。

    Called again it fetches what is new. An export that the log contradicts stays as it is, and the exit is 1.

    Examples:

      doorstep audit export /srv/mirror --url http://127.0.0.1:8600/api/log

      python -m http.server --directory /srv/mirror 8700

      doorstep audit verify --url http://127.0.0.1:8700
    """
    log = done(lambda: _export(url, vkey, folder), as_json)
    if as_json:
        print_json({"exported": True, "entries": log.size, "root": encode_base64(log.root), "folder": str(folder)})
    else:
        typer.echo(f"已导出：{log.size} 条，位于 {folder}。\nExported: {log.size} entries, in {folder}.")


@application.command()
def receipt(
    entry_id: Annotated[UUID, typer.Argument(help="The entry's id 条目编号.")],
    url: UrlOption,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; the ending .tlog-proof is usual 凭证文件.")
    ] = None,
    qr: Annotated[Path | None, typer.Option(help="A .svg or .png to write it into as a QR code 二维码文件.")] = None,
) -> None:
    """Fetch the receipt of an entry, a proof that is checked without the log. 取得一条日志的凭证。

    The text that a QR code holds is the receipt: save what a reader decodes, and check it as any other.

    Examples:

      doorstep audit receipt 6f9c... --url http://127.0.0.1:8600/api/log --out mine.tlog-proof

      doorstep audit receipt 6f9c... --url http://127.0.0.1:8600/api/log --qr mine.svg
    """
    draw = None if qr is None else _QR.get(qr.suffix.lower())
    if (out is None and qr is None) or (qr is not None and draw is None):
        error = Malformed("name a file with --out, or one that ends in .svg or .png with --qr")
        fail(False, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)
    data = done(lambda: _receive(url, entry_id))
    if qr is not None and draw is not None:
        try:
            write(qr, draw(data))
        except TooLong as error:
            fail(
                False,
                error,
                "凭证超出一个二维码的容量，请用 --out。\nIt is too long for one QR code; use --out.",
                FAILED,
            )
    if out is not None:
        write(out, data)
    for file in (one for one in (out, qr) if one is not None):
        typer.echo(f"凭证已存入 {file}。\nThe receipt is in {file}.")


@application.command("check-receipt")
def check(
    file: Annotated[Path, typer.Argument(help="The receipt 凭证文件.")],
    vkey: Annotated[str, typer.Option(help="The log's verifier key, got on another way 验证密钥.")],
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
    max_age: Annotated[
        int | None, typer.Option(min=0, help="How old a cosignature may be, in seconds 联署时限（秒）; else any age.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a receipt, without asking the log or anybody. 离线验证凭证。

    With --witness its checkpoint must have been cosigned by enough of them. A receipt does not grow old by itself.
    Exit 0 if the entry is in the log that the key signed, 1 if the receipt does not prove it.

    Examples:

      doorstep audit check-receipt mine.tlog-proof --vkey doorstep.example/log+c74f20a3+AR...
    """
    try:
        key = VerifierKey.parse(vkey)
        data = file.read_bytes()
    except (LogError, OSError) as error:
        fail(as_json, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)
    trusted = quorum_of(witness, quorum, max_age, as_json)
    try:
        made = parse_receipt(data)
        entry, checkpoint = check_receipt(made, key.name, [key])
        cosigners = None if trusted is None else check_witnessed(made.checkpoint, trusted, time.time())
    except LogError as error:
        fail(as_json, error, f"凭证无效：{error}\nThe receipt proves nothing: {error}.", FAILED)
    if as_json:
        told = {"entry_id": str(entry.id), "hour": entry.hour, "index": made.index, "size": checkpoint.size}
        seen = {} if cosigners is None else {"witnesses": list(cosigners.names), "witnessed_at": cosigners.time}
        print_json({"verified": True, **told, **seen})
    else:
        typer.echo(
            f"有效：第 {made.index} 条（UTC {entry.hour} 时）在 {checkpoint.size} 条的日志之中。\n"
            f"Valid: entry {made.index}, of the hour {entry.hour} UTC, is in the log of {checkpoint.size} entries."
        )
        if cosigners is not None:
            typer.echo(cosigned_by(cosigners.names, cosigners.time))


@application.command()
def gaps(
    url: UrlOption,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether the log holds what services promised in their manifests. 核对各服务的登记清单与日志。

    For auditors and operators. Exit 0 if it does, 1 if a gap is open or the log cannot be asked, 2 for a wrong request.

    Examples:

      doorstep audit gaps --url http://127.0.0.1:8600/api/log
    """
    told = at_desk(url, token, token_file, as_json, lambda desk: desk.told(Promises, "manifests", limit="1000"))
    open_ = [gap for gap in told.gaps if gap.closed_at is None]
    if as_json:
        print_json(told.model_dump(mode="json"))
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


def quorum_of(witness: list[str] | None, needed: int | None, max_age: int | None, as_json: bool) -> Quorum | None:
    """What the options ask of witnesses; None if nothing, and the end of the program if what cannot be."""
    if not witness and needed is None:
        return None
    try:
        return Quorum.of(witness or [], needed, max_age)
    except Malformed as error:
        fail(as_json, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)


def _late(log: VerifiedLog, saved: bytes, trusted: Quorum) -> list[int]:
    """Entries that say an hour from before the saved checkpoint was cosigned, and were not under it."""
    try:
        time_ = check_witnessed(saved, replace(trusted, max_age=None), time.time()).time
    except NotWitnessed:
        return []
    return late([entry.hour for entry in log.entries], parse_body(Note.parse(saved).text).size, time_)


def _tell_verified(told: dict[str, Any], vkey: str | None) -> None:
    size = told["entries"]
    typer.echo(f"验证通过：{size} 条，与签名的树根一致。\nVerified: {size} entries have the signed root.")
    if "sm2" in told:
        typer.echo("国密 SM2 签名正确。\nThe SM2 signature is right.")
    if "witnesses" in told:
        typer.echo(cosigned_by(told["witnesses"], told["witnessed_at"]))
    if late_ := told.get("late"):
        typer.echo(
            f"迟到或倒填的条目：{late_}，所称时间早于上次见证，当时并不在日志中。\n"
            f"Late or back-dated: {late_} say an hour before the saved checkpoint was cosigned, and were not in it."
        )
    if vkey is None:
        typer.echo("The key was the log's own word; give --vkey to rely on nobody.", err=True)


def cosigned_by(names: Sequence[str], at: int) -> str:
    when = datetime.fromtimestamp(at, UTC).isoformat()
    return f"见证方联署：{'、'.join(names)}。\nCosigned by {', '.join(names)}, since {when} by as many as are needed."


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


async def _verify(
    url: str, vkey: str | None, sm2_vkey: str | None, saved: bytes | None, trusted: Quorum | None, now: float
) -> VerifiedLog:
    sm2 = None if sm2_vkey is None else SM2VerifierKey.parse(sm2_vkey)

    async def work(fetch: Fetch) -> VerifiedLog:
        key = VerifierKey.parse(vkey or await _own_key(fetch))
        if trusted is None:
            log = await verify_log(fetch, key)
        else:
            log = await verify_witnessed(fetch, key, trusted, now)
        if saved is not None:
            await check_saved(fetch, key, saved)
        if sm2 is not None:
            check_sm2(log.checkpoint, sm2)
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
