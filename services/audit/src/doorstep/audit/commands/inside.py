"""Commands for those who keep the log: check it in its database, make a key. 检查日志数据库、生成密钥。"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from doorstep.audit.commands.answers import FAILED, WRONG_REQUEST, LogUnreachable, application, done, fail, print_json
from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.note import SigningKey, VerifierKey
from doorstep.audit.domain.sm2 import SM2SigningKey
from doorstep.audit.operations.anchoring import Anchor
from doorstep.audit.operations.checking import Report, check_log
from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.telemetry import describe


@application.command()
def fsck(
    database: Annotated[
        str, typer.Option(envvar="DOORSTEP_DATABASE_URL", help="The log's database, postgresql://... 日志数据库.")
    ],
    vkey: Annotated[
        list[str] | None, typer.Option(help="A verifier key of the log, old ones too; may be repeated 验证密钥.")
    ] = None,
    anchor: Annotated[
        str | None, typer.Option(envvar="DOORSTEP_LOG_ANCHOR_URL", help="The database with the anchor 锚点数据库.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object 输出 JSON.")] = False,
) -> None:
    """Check every row of the log in its database, and say what is wrong and where. 逐行检查日志数据库。

    Without --vkey no signature is checked, without --anchor no anchor. Exit 0 if all is well, 1 if not, 2 for a wrong
    request. It only reads, and the log may go on meanwhile.

    Examples:

      doorstep audit fsck --database postgresql://doorstep@db.example/audit --vkey doorstep.example/log+c74f20a3+AR...

      doorstep audit fsck --database ... --anchor postgresql://doorstep@other.example/keys --vkey ... --json
    """
    report = done(lambda: _check(database, vkey or [], anchor), as_json)
    if as_json:
        counts = {name: getattr(report, name) for name in ("size", "signed", "checkpoints", "pending")}
        found = [{"fault": finding.fault, "place": finding.place} for finding in report.findings]
        print_json({"sound": not found, **counts, "findings": found})
    else:
        for chinese, english in (finding.told() for finding in report.findings):
            typer.echo(f"{chinese}\n{english}", err=True)
        _tell_counts(report)
    if report.findings:
        raise typer.Exit(FAILED)


@application.command("new-key")
def new_key(
    out: Annotated[Path, typer.Option(help="The file to make; it must not exist 密钥文件.")],
    origin: Annotated[str, typer.Option(help="The log's name, such as doorstep.example/log 日志名称.")],
    sm2: Annotated[bool, typer.Option("--sm2", help="A key of SM2, to sign beside the other 国密 SM2 密钥.")] = False,
) -> None:
    """Make a signing key for a log, and print the key that verifies it. 生成日志签名密钥。"""
    try:
        key = SM2SigningKey.generate(origin) if sm2 else SigningKey.generate(origin)
        out.touch(mode=0o600, exist_ok=False)
        out.write_text(key.encode() + "\n", encoding="utf-8")
    except (Malformed, OSError) as error:
        fail(False, error, f"无法生成密钥：{error}\nNo key was made: {error}.", WRONG_REQUEST)
    typer.echo(str(key.verifier))


async def _check(url: str, vkeys: list[str], anchor_url: str | None) -> Report:
    keys = [VerifierKey.parse(key) for key in vkeys]
    database, second = _connected(url), None if anchor_url is None else _connected(anchor_url)
    try:
        anchor = None
        if second is not None:
            if not keys:
                raise Malformed("the anchor is found by the log's name: give --vkey")
            anchor = Anchor(second, origin=keys[0].name)
        with typer.progressbar(length=100, label="检查 checking", file=sys.stderr) as bar:
            return await check_log(
                database, keys, anchor=anchor, progress=lambda done, size: bar.update(done * 100 // size - bar.pos)
            )
    except DATABASE_ERRORS as error:
        raise LogUnreachable(f"the database does not answer ({describe(error)})") from error
    finally:
        for one in (database, second):
            if one is not None:
                await one.close()


def _connected(url: str) -> Database:
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres") or not rest:
        raise Malformed("a database is named as postgresql://USER@HOST/DATABASE")
    return Database(f"postgresql+asyncpg://{rest}", service="audit", pool_size=1)


def _tell_counts(report: Report) -> None:
    if report.findings:
        typer.echo(f"发现 {len(report.findings)} 处问题。\nNot sound: {len(report.findings)} findings.")
    else:
        typer.echo(
            f"日志完好：{report.size} 条，{report.checkpoints} 个检查点；待排序 {report.pending} 条。\n"
            f"Sound: {report.size} entries, {report.checkpoints} checkpoints; {report.pending} wait for their place."
        )
