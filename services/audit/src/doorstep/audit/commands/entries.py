"""An auditor's commands: search the log, export what is found, check that, a record's life. 检索、导出审计日志。"""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from doorstep.audit.commands.answers import FAILED, WRONG_REQUEST, LogUnreachable, application, fail, print_json
from doorstep.audit.commands.asking import (
    Desk,
    JsonOption,
    Progress,
    TokenFileOption,
    TokenOption,
    UrlOption,
    at_desk,
)
from doorstep.audit.commands.outside import QuorumOption, WitnessOption, cosigned_by, quorum_of
from doorstep.audit.commands.table import show_entries
from doorstep.audit.domain.errors import LogError, Malformed
from doorstep.audit.domain.export import LINE_LIMIT, check_export
from doorstep.audit.domain.note import VerifierKey
from doorstep.audit.domain.quorum import check_witnessed

SinceOption = Annotated[str | None, typer.Option(help="From when, such as 2026-11-15T00:00:00+08:00 起始时间.")]
UntilOption = Annotated[str | None, typer.Option(help="Until when, now if left out 截止时间.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE, again for more: service, agency, action, outcome, record, actor ... 条件."),
]
_USUAL = timedelta(days=7)
_PORTION = "1000"


@application.command()
def search(
    url: UrlOption,
    where: WhereOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search the log by what its entries say; nothing shows whom they are about. 按条件检索审计日志。

    The last seven days unless --since says otherwise. The search is logged. Exit 0 also if nothing is found.

    Examples:

      doorstep audit search --url http://127.0.0.1:8600/api/log --where outcome=refused --token-file auditor.token

      doorstep audit search --url ... --where action=read-file --where station=station-7 --json
    """

    async def work(desk: Desk) -> list[dict[str, Any]]:
        query = _query(since, until, where) | {"limit": _PORTION}
        with Progress("检索 searching") as bar:
            return await desk.everything("entries", query, bar.told)

    _show(at_desk(url, token, token_file, as_json, work), as_json)


@application.command()
def life(
    record: Annotated[UUID, typer.Argument(help="The record's id 记录编号.")],
    url: UrlOption,
    since: SinceOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the life of a record: what happened, and who read it, in order. 查看一份记录的全程。

    Since a day before it was made, as its id says, unless --since says otherwise. The look is logged under the people
    it is about. A file is a case of its own: who read the household's file is shown under the file's id.

    Examples:

      doorstep audit life 01981f6e-... --url http://127.0.0.1:8600/api/log --token-file auditor.token
    """

    async def work(desk: Desk) -> list[dict[str, Any]]:
        query = {"limit": _PORTION} | ({} if since is None else {"since": since})
        with Progress("查看 reading") as bar:
            return await desk.everything(f"life/{record}", query, bar.told)

    _show(at_desk(url, token, token_file, as_json, work), as_json)
    if not as_json:
        typer.echo("户档另有编号：谁看过户档，请按户档编号查看。")
        typer.echo("A file is a case of its own: ask for its id to see who read it.")


@application.command("export-entries")
def export_entries(
    file: Annotated[Path, typer.Argument(help="The file to write, JSON Lines 导出文件.")],
    url: UrlOption,
    where: WhereOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export what a search finds, with details and proofs that are checked without the log. 导出条目及证明。

    FILE is written whole or not at all. To be under a witnessed checkpoint, end some minutes ago (--until). Exit 0 if
    it is written, 1 if the log cannot be read to the end, 2 for a wrong request.

    Examples:

      doorstep audit export-entries week.jsonl --url http://127.0.0.1:8600/api/log --token-file auditor.token

      doorstep audit export-entries refused.jsonl --url ... --where outcome=refused --since 2026-11-01T00:00:00+08:00
    """

    async def work(desk: Desk) -> dict[str, Any]:
        ends = datetime.now(UTC) if until is None else _time(until)
        begins = ends - _USUAL if since is None else _time(since)
        query = _query(begins.isoformat(), ends.isoformat(), where)
        async with desk.asked("GET", "entries.jsonl", **query) as answer:
            with Progress("导出 exporting") as bar:
                return await _write(file, answer, lambda hour: bar.reached(begins, ends, hour))

    end = at_desk(url, token, token_file, as_json, work)
    if as_json:
        print_json({"exported": True, "file": str(file), **end})
        return
    typer.echo(f"已导出 {end['lines']} 条，位于 {file}；尚待签名 {end['waiting']} 条。")
    typer.echo(f"Exported: {end['lines']} entries, in {file}; {end['waiting']} were not signed yet.")


@application.command("check-entries")
def check_entries(
    file: Annotated[Path, typer.Argument(help="What export-entries wrote 导出文件.")],
    vkey: Annotated[str, typer.Option(help="The log's verifier key, got on another way 验证密钥.")],
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
    max_age: Annotated[
        int | None, typer.Option(min=0, help="How old a cosignature may be, in seconds 联署时限（秒）; else any age.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check an export line by line, without asking the log or anybody. 离线逐行验证导出的条目。

    Each detail opens its commitment, each entry is in the log that the key signed, all under one checkpoint. That no
    line was taken out is not proved: the last line counts them, and nobody signed it.
    Exit 0 if every line holds, 1 with the number of the first that does not, 2 for a wrong request.

    Examples:

      doorstep audit check-entries week.jsonl --vkey doorstep.example/log+c74f20a3+AR...
    """
    trusted = quorum_of(witness, quorum, max_age, as_json)
    cosigners = None
    try:
        key = VerifierKey.parse(vkey)
        with file.open("rb") as lines:
            checked = check_export(iter(lambda: lines.readline(LINE_LIMIT + 1), b""), key)
        if trusted is not None and checked.note is not None:
            cosigners = check_witnessed(checked.note, trusted, time.time())
    except (Malformed, OSError) as error:
        fail(as_json, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)
    except LogError as error:
        fail(as_json, error, f"导出文件未通过验证：{error}\nThe export does not hold: {error}.", FAILED)
    size = None if checked.checkpoint is None else checked.checkpoint.size
    if as_json:
        told = {"lines": checked.ending.lines, "waiting": checked.ending.waiting, "size": size}
        seen = {} if cosigners is None else {"witnesses": list(cosigners.names), "witnessed_at": cosigners.time}
        print_json({"verified": True, **told, "asked": checked.ending.asked, **seen})
        return
    typer.echo(f"验证通过：{checked.ending.lines} 条，均在 {size or 0} 条的日志之中。")
    typer.echo(f"Verified: {checked.ending.lines} entries, all in the log of {size or 0} entries.")
    if cosigners is not None:
        typer.echo(cosigned_by(cosigners.names, cosigners.time))


async def _write(file: Path, answer: Any, reached: Any) -> dict[str, Any]:
    """Write the lines of an export to `file`, whole or not at all; gives what its end says."""
    fresh, lines, last = file.with_name(f".{file.name}.fresh"), 0, b""
    try:
        with fresh.open("wb") as writing:
            rest = b""
            async for chunk in answer.content.iter_any():
                *whole, rest = (rest + chunk).split(b"\n")
                for last in whole:
                    writing.write(last + b"\n")
                    lines += 1
                if whole:
                    reached(_hour(last))
                if len(rest) > LINE_LIMIT:
                    raise LogUnreachable("what it answered is no export")
            writing.flush()
            os.fsync(writing.fileno())
        end = json.loads(last or b"{}").get("end")
        if rest or end is None or end["lines"] != lines - 1:
            raise LogUnreachable("the export was cut off; nothing was kept of it")
        fresh.replace(file)
        return dict(end)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LogUnreachable("what it answered is no export") from error
    finally:
        fresh.unlink(missing_ok=True)


def _hour(line: bytes) -> datetime:
    """The hour of a line's entry; of the end, the end of time."""
    told = json.loads(line)
    if "end" in told:
        return datetime.max.replace(tzinfo=UTC)
    return datetime.fromisoformat(f"{json.loads(told['entry'])['hour']}:00:00+00:00")


def _query(since: str | None, until: str | None, where: list[str] | None) -> dict[str, str]:
    """What is asked of the log's service, which alone knows the criteria; raises Malformed."""
    times = {name: value for name, value in (("since", since), ("until", until)) if value is not None}
    for one in where or ():
        name, equals, value = one.partition("=")
        if not equals or not name or name in ("since", "until", "limit", "cursor"):
            raise Malformed("--where takes NAME=VALUE, such as action=read-file")
        times[name] = value
    return times


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed("a time is written as 2026-11-15T00:00:00+08:00") from error
    if found.tzinfo is None:
        raise Malformed("a time has its offset from UTC, such as +08:00")
    return found


def _show(entries: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"entries": entries})
        return
    show_entries(entries)
    typer.echo(f"{len(entries)} 条。\n{len(entries)} entries.")
