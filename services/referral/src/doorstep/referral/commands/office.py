"""Requests and answers as files, for an office without Kafka. 以文件收发请求，供没有 Kafka 的办事处使用。"""

import asyncio
import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn
from uuid import UUID

import aiohttp
import typer
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from doorstep.contracts.codes import Department
from doorstep.contracts.feeds import RequestOffered, RequestWithdrawn
from doorstep.kit.delivery import NotForUs, open_with
from doorstep.referral.commands.dropping import BadAnswer, Drop, InUse, Step, now, read_answer

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

FAILED = 1
WRONG_REQUEST = 2
WAIT = 30.0
_PAGE = 50
_GATEWAY = "http://127.0.0.1:8600"
_LATER = (401, 408, 425, 429)
"""Answers that say nothing of the step itself: it is tried again the next time."""


class Away(Exception):
    """The station does not answer, or not to us; the message says why. What was not done is done the next time."""


@dataclass
class Told:
    """What was done, in numbers."""

    counts: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """One line, with nothing of anybody."""
        names = {"offered": "收到 offered", "withdrawn": "撤回 withdrawn", "aside": "无法打开 set aside",
                 "over": "到期删除 over", "done": "已办 done", "refused": "未办 refused"}  # fmt: skip
        return "  ".join(f"{name} {self.counts[code]}" for code, name in names.items())


@application.callback()
def root() -> None:
    """Requests and answers as files, for an office without Kafka. 以文件收发请求，供没有 Kafka 的办事处使用。"""


@application.command()
def drop(
    department: Annotated[Department, typer.Argument(help="Whose requests 部门.")],
    to: Annotated[Path, typer.Option(help="The folder 文件夹.")],
    keys: Annotated[Path, typer.Option(envvar="FEED_KEYS", help="A JWK Set with the private keys 私钥文件.")],
    token: Annotated[str, typer.Option(envvar="FEED_TOKEN", help="The system's access token 系统令牌.")],
    url: Annotated[str, typer.Option(envvar=["DOORSTEP_URL", "FEED_DOOR"], help="The gateway 网关地址.")] = _GATEWAY,
    every: Annotated[int, typer.Option(min=0, help="Again after so many seconds, until Ctrl-C 每隔几秒.")] = 0,
) -> None:
    """Write the department's requests into a folder, and send the answers that lie there. 收取请求、送出答复。

    Requests come as requests/<ref>.json and .pdf. Answers are put into answers/ and move to done/ or refused/. It can
    be ended at any moment, and goes on where it was. Exit 0 if all went well, 1 if something is left for the next time
    or was refused.

    Examples:

      doorstep office drop fire --to /srv/doorstep --keys keys.json
    """
    if not token.strip() or not token.isascii() or not token.isprintable():
        _fail("需要令牌：--token 或 FEED_TOKEN。\nGive --token, or FEED_TOKEN.", WRONG_REQUEST)
    opened = _keys(keys)
    place = Drop(to, department)
    try:
        with place.held():
            clean = asyncio.run(_rounds(place, opened, url.rstrip("/"), token, every))
    except InUse:
        _fail("另一个程序正在使用此文件夹。\nAnother program works in this folder.", FAILED)
    except OSError as error:
        _fail(f"无法使用文件夹：{error.strerror}\nThe folder cannot be used: {error.strerror}", FAILED)
    except KeyboardInterrupt:
        clean = True
    raise typer.Exit(0 if clean else FAILED)


def _keys(file: Path) -> dict[str, OKPKey]:
    try:
        found = [OKPKey.import_key(one) for one in json.loads(file.read_bytes())["keys"]]
    except OSError as error:
        _fail(f"无法读取密钥文件：{error.strerror}\nThe keys cannot be read: {error.strerror}", WRONG_REQUEST)
    except (JoseError, ValueError, KeyError, TypeError):
        _fail("密钥文件须为含私钥的 JWK Set。\nThe keys are to be a JWK Set with private keys.", WRONG_REQUEST)
    return {str(key.kid): key for key in found}


async def _rounds(place: Drop, keys: dict[str, OKPKey], url: str, token: str, every: int) -> bool:
    """Round after round; whether the last one left nothing undone."""
    headers = {"Authorization": f"Bearer {token}", "Doorstep-Purpose": "service"}
    timeout = aiohttp.ClientTimeout(total=WAIT)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:
        desk = Desk(place, keys, client, f"{url}/api/departments/{place.department}")
        while True:
            told, away = Told(), None
            try:
                await desk.pull(told)
                await desk.answer(told)
            except (Away, aiohttp.ClientError, TimeoutError, ValueError) as error:
                away = error
                why = str(error) if isinstance(error, Away) else type(error).__name__
                typer.echo(f"未完成，下次继续 Not finished, it goes on the next time: {why}", err=True)
            typer.echo(told.line())
            if not every:
                return away is None and not told.counts["refused"] and not told.counts["aside"]
            await asyncio.sleep(every)


@dataclass(frozen=True)
class Desk:
    """The folder on one side, the station on the other."""

    place: Drop
    keys: dict[str, OKPKey]
    client: aiohttp.ClientSession
    address: str

    async def pull(self, told: Told) -> None:
        """Everything that is new in the feed, page by page. Raises Away."""
        told.counts["over"] += self.place.sweep(now())
        while True:
            cursor = self.place.cursor()
            query = {"limit": str(_PAGE)} | ({} if cursor is None else {"after": str(cursor)})
            status, page = await self._ask("GET", "/feed", query=query)
            if status == 410 and cursor is not None:
                self.place.keep_cursor(None)
                continue
            if status >= 400:
                raise Away(f"{status} {page.get('detail', '')}")
            for message in page["messages"]:
                await self._take(message, told)
            if page.get("next") is not None:
                self.place.keep_cursor(UUID(page["next"]))
            if not page.get("more"):
                return

    async def _take(self, message: dict[str, Any], told: Told) -> None:
        value = base64.b64decode(message["data_base64"])
        try:
            data = open_with(self.keys, value)
        except NotForUs:
            self.place.set_aside(UUID(message["id"]), value)
            told.counts["aside"] += 1
            return
        if message["type"] == RequestOffered.event_type:
            offered = RequestOffered.model_validate_json(data)
            if offered.delete_by > now():
                self.place.put(offered)
                told.counts["offered"] += 1
        elif message["type"] == RequestWithdrawn.event_type:
            withdrawn = RequestWithdrawn.model_validate_json(data)
            self.place.take_away(withdrawn.ref)
            status, said = await self._ask("POST", f"/requests/{withdrawn.ref}/erased")
            if status >= 500 or status in _LATER:
                raise Away(f"{status} {said.get('detail', '')}")
            told.counts["withdrawn"] += 1

    async def answer(self, told: Told) -> None:
        """Send what lies there; each file is moved to where it belongs. Raises Away."""
        for file in self.place.answers():
            try:
                await self._send(read_answer(file))
            except BadAnswer as error:
                self.place.refused(file, str(error))
                told.counts["refused"] += 1
            else:
                self.place.done(file)
                told.counts["done"] += 1

    async def _send(self, steps: list[Step]) -> None:
        """One step after the other, until one is refused. Raises BadAnswer, Away."""
        for number, step in enumerate(steps):
            headers = {"If-Match": f'"{step.version}"'}
            body = {"id": str(step.id), **step.said}
            status, said = await self._ask("POST", f"/requests/{step.ref}/transitions", body=body, headers=headers)
            if status >= 500 or status in _LATER:
                raise Away(f"{status} {said.get('detail', '')}")
            if status >= 400:
                faults = [f"{one.get('pointer')}  {one.get('detail')}" for one in said.get("errors", ())]
                why = "\n".join([f"{status} {said.get('type', '')} {said.get('detail', '')}", *faults])
                raise BadAnswer(f"第 {number + 1} 步 step {number + 1}: {why}")

    async def _ask(
        self, method: str, path: str, *, body: Any = None, query: dict[str, str] | None = None, headers: Any = None
    ) -> tuple[int, dict[str, Any]]:
        async with self.client.request(
            method, f"{self.address}{path}", json=body, params=query, headers=headers
        ) as answer:
            found = json.loads(await answer.read() or b"{}")
            return answer.status, found if isinstance(found, dict) else {}


def _fail(sentences: str, exit_code: int) -> NoReturn:
    typer.echo(sentences, err=True)
    raise typer.Exit(exit_code)
