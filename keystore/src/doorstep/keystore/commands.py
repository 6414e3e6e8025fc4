"""The command `doorstep keys`: what wraps the station's data keys, and having them wrapped anew."""

import asyncio
import json
import time
from typing import Annotated, Any, NoReturn

import aiohttp
import typer

from doorstep.keystore.places import Place

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

FAILED = 1
_WAIT = 30.0
_LOOK = 0.5

Url = Annotated[str, typer.Option(envvar="DOORSTEP_KEY_STORE_URL", help="The key store 密钥库地址.")]
Token = Annotated[str, typer.Option(envvar="DOORSTEP_TOKEN", help="An operator's access token 运维人员令牌.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON 输出 JSON.")]
To = Annotated[Place, typer.Option("--to", help="Where to: file or vault 迁往何处.")]
Seconds = Annotated[float, typer.Option("--wait", help="Wait so many seconds until it is done 最多等待秒数.")]

_NEAR = "http://127.0.0.1:8700"


class NotDone(Exception):
    """The key store did not do what was asked; the message says why."""


@application.callback()
def root() -> None:
    """See to what wraps the station's data keys. 管理密钥加密密钥。"""


@application.command()
def status(token: Token, url: Url = _NEAR, as_json: AsJson = False) -> None:
    """Show the epochs, how many keys are wrapped in each, and when the next is due. 查看密钥周期。

    Examples:

      doorstep keys status --url http://127.0.0.1:8700
    """
    _show(_ask("GET", url, token), as_json=as_json)


@application.command()
def rewrap(token: Token, url: Url = _NEAR, wait: Seconds = 60.0, as_json: AsJson = False) -> None:
    """Begin an epoch now: wrap every data key anew and destroy the old wrapping key. 立即更换密钥加密密钥。

    Examples:

      doorstep keys rewrap --wait 600
    """
    _finish(_ask("POST", url, token), url, token, wait=wait, as_json=as_json)


@application.command()
def move(token: Token, to: To, url: Url = _NEAR, wait: Seconds = 60.0, as_json: AsJson = False) -> None:
    """Move what wraps the data keys, file to Vault or back, while all works on. 迁移密钥加密密钥的存放处。

    The place it is to leave stays configured until `status` names it no more. Asked again, it moves nothing twice.

    Examples:

      doorstep keys move --to vault --wait 600

      doorstep keys move --to file --wait 600
    """
    document = _ask("GET", url, token)
    if not document["epochs"] or document["epochs"][0]["place"] != to:
        document = _ask("POST", url, token, {"to": to})
    _finish(document, url, token, wait=wait, as_json=as_json)


def _finish(document: dict[str, Any], url: str, token: str, *, wait: float, as_json: bool) -> None:
    """Wait until one epoch is left, and show it."""
    ends = time.monotonic() + wait
    while len(document["epochs"]) > 1 and time.monotonic() < ends:
        time.sleep(_LOOK)
        document = _ask("GET", url, token)
    _show(document, as_json=as_json)
    if len(document["epochs"]) > 1:
        _fail("尚未完成，密钥库会继续。\nNot done yet; the key store goes on by itself.")


def _show(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    for one in document["epochs"]:
        typer.echo(f"{one['name']}  {one['place']}  {one['made_at']}  {one['keys']} keys 数据密钥")
    typer.echo(f"next due 下次更换: {document['due_at'] or '-'}")


def _ask(method: str, url: str, token: str, body: dict[str, Any] | None = None) -> Any:
    try:
        return asyncio.run(_send(method, f"{url.rstrip('/')}/v1/epochs", token, body))
    except NotDone as error:
        _fail(f"未完成：{error}\nNot done: {error}")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        _fail(f"无法连接 {url}：{type(error).__name__}\nNo answer from {url}: {type(error).__name__}")


async def _send(method: str, address: str, token: str, body: dict[str, Any] | None) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=_WAIT)
    async with (
        aiohttp.ClientSession(timeout=timeout) as client,
        client.request(method, address, headers=headers, json=body) as answer,
    ):
        document = json.loads(await answer.read())
        if answer.status >= 400:
            raise NotDone(f"{answer.status} {document.get('detail', '')}")
        return document


def _fail(sentences: str) -> NoReturn:
    typer.echo(sentences, err=True)
    raise typer.Exit(FAILED)
