"""Publish and try service directories, ask where needs go, get figures. 服务目录、分派理由、办件统计。"""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import aiohttp
import typer

from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.api.directory_answers import route_answer
from doorstep.referral.domain.choosing import SPOKEN, Asked, choose
from doorstep.referral.domain.directory import Directory
from doorstep.referral.domain.hsds import Thing
from doorstep.referral.domain.offices import read_directory
from doorstep.referral.errors import DirectoryInvalid

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

FAILED = 1
WRONG_REQUEST = 2
WAIT = 30.0
BIGGEST = 1_048_576
_GATEWAY = "http://127.0.0.1:8600"

File = Annotated[Path, typer.Argument(metavar="FILE", help="A directory: HSDS 3 as JSON 服务目录文件.")]
Url = Annotated[str, typer.Option(envvar="DOORSTEP_URL", help="The gateway 网关地址.")]
Token = Annotated[str, typer.Option(envvar="DOORSTEP_TOKEN", help="A supervisor's access token 监督员令牌.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON 输出 JSON.")]


class Form(StrEnum):
    """In which form figures are written."""

    XLSX = "xlsx"
    PDF = "pdf"
    JSON = "json"


class NotDone(Exception):
    """The service did not do what was asked; the message says why, one line for each fault."""


@application.callback()
def root() -> None:
    """Publish and try service directories, and ask where needs go. 发布、试算服务目录，查看分派理由。"""


@application.command()
def check(file: File) -> None:
    """Say what is wrong in a directory, a line for each fault, and send nothing. 仅检查，不发送。"""
    _, directory = _read(file)
    typer.echo(f"{directory.version}: {len(directory.offices)} offices 办事处，没有问题 nothing is wrong.")


@application.command("import")
def import_directory(file: File, token: Token, url: Url = _GATEWAY) -> None:
    """Publish a directory; it does nothing until somebody else activates it. 发布服务目录，他人启用后生效。

    Examples:

      doorstep route import offices.json
    """
    document, directory = _read(file)
    told = _ask("PUT", url, token, f"/directories/{directory.version}", document)
    typer.echo(f"{told['version']} sha256:{told['digest']}: {told['offices']} offices 办事处，已发布 published.")


@application.command()
def export(
    version: Annotated[str, typer.Option(help="Which version 版本.")] = "current",
    out: Annotated[Path | None, typer.Option(help="Into this file 写入文件.")] = None,
    url: Url = _GATEWAY,
) -> None:
    """Give a published directory back as it was imported; everybody may read it. 导出服务目录。"""
    text = json.dumps(_ask("GET", url, None, f"/directories/{_named(version)}"), ensure_ascii=False, indent=2)
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        _fail(f"无法写入 {out}：{error.strerror}\n{out} cannot be written: {error.strerror}", FAILED)


@application.command("try")
def try_directory(file: File, token: Token, url: Url = _GATEWAY, as_json: AsJson = False) -> None:
    """Count which of the station's open requests would go elsewhere by a directory. 试算对在办请求的影响。

    Nothing is changed. A number below 10 is not told, and others in steps of 5.
    """
    document, _ = _read(file)
    told = _ask("POST", url, token, "/directories/trials", document, purpose="follow-up")
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    typer.echo("在办 here  转入 coming  转出 leaving")
    for line in told["lines"]:
        cells = "  ".join(f"{line.get(name, '<' + str(told['fewest'])):>5}" for name in ("here", "coming", "leaving"))
        place = line.get("name") or ("部门自定 finds one" if "department" in line else "人工分派 unrouted")
        typer.echo(f"{cells}  {line.get('department', '')} {place}")


@application.command()
def activate(
    version: Annotated[str, typer.Argument(help="A published version 已发布的版本.")], token: Token, url: Url = _GATEWAY
) -> None:
    """Bring a directory into force that somebody else published. 启用他人发布的服务目录。"""
    told = _ask("POST", url, token, f"/directories/{_named(version)}/activation")
    typer.echo(f"{told['version']} sha256:{told['digest']}: 已启用 in force.")


@application.command()
def explain(
    need: Annotated[str, typer.Option(help="A need type, such as legal-aid 需求类型.")],
    station: Annotated[str, typer.Option(help="The station that took it in 站点.")],
    file: Annotated[Path | None, typer.Option(help="By this directory, without any load 按此文件.")] = None,
    language: Annotated[str, typer.Option(help=f"Of somebody who speaks {', '.join(SPOKEN)} 语言.")] = "",
    token: Annotated[str, typer.Option(envvar="DOORSTEP_TOKEN", help="A reviewer's access token 审核员令牌.")] = "",
    url: Url = _GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Say which office takes a need, and why not the others. 说明由谁受理及理由。

    Examples:

      doorstep route explain --need legal-aid --station station-7

      doorstep route explain --need legal-aid --station station-7 --file offices.json --language sign
    """
    if language and language not in SPOKEN:
        known = ", ".join(SPOKEN)
        _fail(f"没有这种语言代码；可选：{known}。\nThere is no such language; known are: {known}.", WRONG_REQUEST)
    if need not in NEED_TYPES:
        known = ", ".join(NEED_TYPES)
        _fail(f"没有这种需求类型；可选：{known}。\nThere is no such need type; known are: {known}.", WRONG_REQUEST)
    if file is None:
        asking: dict[str, Any] = {"need_type": need, "station": station} | ({"language": language} if language else {})
        told = _ask("GET", url, token, "/directories/current/route", purpose="triage", **asking)
    else:
        _, directory = _read(file)
        urgent = NEED_TYPES[need].respond_hours == 1
        asked = Asked(need, station, datetime.now(UTC), urgent, language=language or None)
        found = route_answer(asked, (directory, choose(directory, asked, {})))
        told = found.model_dump(mode="json", exclude_none=True)
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    typer.echo(f"{told['zh']}\n{told['en']}")
    for office in told.get("offices", ()):
        mark = "✗" if "why_not" in office else "✓"
        typer.echo(f"  {mark} {office['name']}（{office['department']}）  {office['zh']}  {office['en']}")


def figures(
    first: Annotated[str, typer.Option("--from", help="The first month, as 2026-01 起始月份.")],
    last: Annotated[str, typer.Option("--to", help="The last month, as 2026-09 结束月份.")],
    out: Annotated[Path, typer.Option(help="Into this file 写入文件.")],
    token: Token,
    form: Annotated[Form, typer.Option("--as", help="Which form 格式.")] = Form.XLSX,
    url: Url = _GATEWAY,
) -> None:
    """Get what the station answers for, month by month, as a file. 导出办件统计。

    Small numbers are withheld; a month can be asked for eight days after its end.

    Examples:

      doorstep figures --from 2026-01 --to 2026-09 --as pdf --out figures.pdf
    """
    path = "/figures" if form is Form.JSON else f"/figures.{form}"
    content = _ask("GET", url, token, path, purpose="follow-up", take=bytes, **{"from": first, "to": last})
    try:
        out.write_bytes(content)
    except OSError as error:
        _fail(f"无法写入 {out}：{error.strerror}\n{out} cannot be written: {error.strerror}", FAILED)
    typer.echo(f"{out}: {len(content)} bytes 字节，已写入 written.")


def _read(file: Path) -> tuple[Thing, Directory]:
    """The document and the directory in a file; ends the program where there is none."""
    try:
        text = file.read_bytes()
    except OSError as error:
        _fail(f"无法读取 {file}：{error.strerror}\n{file} cannot be read: {error.strerror}", WRONG_REQUEST)
    if len(text) > BIGGEST:
        _fail(f"{file} 超过 1 MiB。\n{file} is over 1 MiB.", WRONG_REQUEST)
    try:
        return read_directory(text)
    except DirectoryInvalid as error:
        _fail("\n".join(f"{flaw.where}  {flaw.zh}  {flaw.en}" for flaw in error.flaws), FAILED)


def _named(version: str) -> str:
    if not version.isascii() or not version.replace("-", "").replace(".", "").isalnum():
        _fail("没有这个版本。\nThere is no such version.", WRONG_REQUEST)
    return version


def _ask(
    method: str,
    url: str,
    token: str | None,
    path: str,
    body: Any = None,
    *,
    purpose: str | None = None,
    take: Callable[[bytes], Any] = json.loads,
    **query: str,
) -> Any:
    headers = {"Doorstep-Purpose": purpose} if purpose else {}
    if token is not None:
        if not token or not token.isascii() or not token.isprintable():
            _fail("需要令牌：--token 或 DOORSTEP_TOKEN。\nGive --token, or DOORSTEP_TOKEN.", WRONG_REQUEST)
        headers["Authorization"] = f"Bearer {token}"
    try:
        return asyncio.run(_send(method, f"{url.rstrip('/')}/api{path}", headers, body, query, take))
    except NotDone as error:
        _fail(f"未完成 Not done: {error}", FAILED)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        _fail(f"无法连接 {url}：{type(error).__name__}\nNo answer from {url}: {type(error).__name__}", FAILED)


async def _send(
    method: str,
    address: str,
    headers: dict[str, str],
    body: Any,
    query: dict[str, str],
    take: Callable[[bytes], Any],
) -> Any:
    timeout = aiohttp.ClientTimeout(total=WAIT)
    async with (
        aiohttp.ClientSession(timeout=timeout) as client,
        client.request(method, address, headers=headers, json=body, params=query) as answer,
    ):
        content = await answer.read()
        if answer.status >= 400:
            document = json.loads(content)
            faults = [f"{one['pointer']}  {one['detail']}" for one in document.get("errors", ())]
            raise NotDone("\n".join([f"{answer.status} {document.get('detail', '')}", *faults]))
        return take(content)


def _fail(sentences: str, exit_code: int) -> NoReturn:
    typer.echo(sentences, err=True)
    raise typer.Exit(exit_code)
