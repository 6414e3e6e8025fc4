"""Look after dead letters of a service. 处理各服务的死信。"""

import asyncio
import json
from typing import Annotated, Any, NoReturn
from uuid import UUID

import aiohttp
import typer

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

FAILED = 1
WRONG_REQUEST = 2
WAIT = 30.0
_PURPOSE = {"Doorstep-Purpose": "repair"}

Url = Annotated[str, typer.Option(envvar="DOORSTEP_URL", help="The gateway 网关地址.")]
ServiceName = Annotated[str, typer.Option("--service", help="Whose dead letters, such as registry 服务名.")]
Token = Annotated[str, typer.Option(envvar="DOORSTEP_TOKEN", help="An operator's access token 运维人员令牌.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON 输出 JSON.")]
LetterId = Annotated[UUID, typer.Argument(help="The id that `list` shows 死信编号.")]

_GATEWAY = "http://127.0.0.1:8600"


class NotDone(Exception):
    """The service did not do what was asked; the message says why."""


@application.callback()
def root() -> None:
    """Look after dead letters of a service. 处理各服务的死信。"""


@application.command("list")
def list_letters(service: ServiceName, token: Token, url: Url = _GATEWAY, as_json: AsJson = False) -> None:
    """List where dead letters lie and why, and the numbers that keys wait for. 列出死信与缺号。

    Examples:

      doorstep dead-letters list --service registry
    """
    listing = _ask("GET", url, service, token)
    if as_json:
        _print(listing)
        return
    for letter in listing["dead_letters"]:
        state = "replayed" if letter["replayed_at"] else letter["replay_error"] or "waiting"
        typer.echo(f"{letter['id']}  {letter['died_at']}  {letter['topic']}  {letter['error']}  [{state}]")
    for hole in listing["holes"]:
        missing = f"{hole['missing_from']}-{hole['missing_to']}"
        typer.echo(f"{hole['topic']} {hole['key']} {missing}: {hole['waiting']} wait since {hole['since']}")
    typer.echo(f"{len(listing['dead_letters'])} dead letters 死信, {len(listing['holes'])} keys with holes 缺号.")


@application.command()
def show(letter: LetterId, service: ServiceName, token: Token, url: Url = _GATEWAY) -> None:
    """Show one dead letter whole; sealed parts stay sealed, and the log has who read it. 查看死信（记入日志）。"""
    _print(_ask("GET", url, service, token, f"/{letter}"))


@application.command()
def replay(letter: LetterId, service: ServiceName, token: Token, url: Url = _GATEWAY) -> None:
    """Have the service try a dead letter again. 重新处理一条死信。"""
    _print(_ask("POST", url, service, token, f"/{letter}/replay"))


@application.command("pass-over")
def pass_over(
    topic: Annotated[str, typer.Argument(help="The topic that `list` shows 主题.")],
    key: Annotated[UUID, typer.Argument(help="The key that waits 键.")],
    missing_to: Annotated[int, typer.Argument(help="The last of the missing numbers 最后一个缺号.")],
    service: ServiceName,
    token: Token,
    url: Url = _GATEWAY,
) -> None:
    """Give up numbers that never come, so that what waits behind them goes on. 放弃缺号，让后面的消息继续。"""
    body = {"topic": topic, "key": str(key), "missing_to": missing_to}
    _print(_ask("POST", url, service, token, "/pass-over", body))


def _ask(method: str, url: str, service: str, token: str, path: str = "", body: Any = None) -> Any:
    if not service.replace("-", "").isalpha():
        _fail(f"没有这个服务。\nThere is no service {service!r}.", WRONG_REQUEST)
    address = f"{url.rstrip('/')}/api/dead-letters/{service}{path}"
    try:
        return asyncio.run(_send(method, address, token, body))
    except NotDone as error:
        _fail(f"未完成：{error}\nNot done: {error}", FAILED)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        _fail(f"无法连接 {url}：{type(error).__name__}\nNo answer from {url}: {type(error).__name__}", FAILED)


async def _send(method: str, address: str, token: str, body: Any) -> Any:
    headers = {**_PURPOSE, "Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=WAIT)
    async with (
        aiohttp.ClientSession(timeout=timeout) as client,
        client.request(method, address, headers=headers, json=body) as answer,
    ):
        document = json.loads(await answer.read())
        if answer.status >= 400:
            raise NotDone(f"{answer.status} {document.get('detail', '')}")
        return document


def _print(document: Any) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))


def _fail(sentences: str, exit_code: int) -> NoReturn:
    typer.echo(sentences, err=True)
    raise typer.Exit(exit_code)
