"""How an auditor's commands ask the log's service: with their token, for the purpose of an audit."""

import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import aiohttp
import typer
from pydantic import BaseModel, ValidationError

from doorstep.audit.commands.answers import LogUnreachable, NotDone, Result, done, read
from doorstep.audit.domain.errors import Malformed

WAIT = 60.0
Shape = TypeVar("Shape", bound=BaseModel)
_PROBLEM_LIMIT = 65_536

UrlOption = Annotated[str, typer.Option(help="Where the log is, such as http://127.0.0.1:8600/api/log 日志地址.")]
TokenOption = Annotated[str | None, typer.Option(envvar="DOORSTEP_TOKEN", help="An auditor's token 令牌.")]
TokenFileOption = Annotated[Path | None, typer.Option(help="A file with the token, instead 令牌文件.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object 输出 JSON.")]


_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Desk:
    """The log's service at `url`, as an auditor asks it."""

    client: aiohttp.ClientSession
    url: str

    async def ask(self, method: str, path: str, *, body: Any = None, **query: str) -> dict[str, Any]:
        """What is answered, a JSON object; raises NotDone, LogUnreachable, Malformed."""
        async with self.asked(method, path, body=body, **query) as answer:
            told = await answer.json(content_type=None)
        if not isinstance(told, dict):
            raise LogUnreachable("what it answered is nothing of a log")
        return told

    async def told(self, shape: type[Shape], path: str, **query: str) -> Shape:
        """What is answered to a GET, in its shape; raises NotDone, LogUnreachable, Malformed."""
        try:
            return shape.model_validate(await self.ask("GET", path, **query))
        except ValidationError as error:
            raise LogUnreachable(f"what it answered is no {shape.__name__.lower()}") from error

    @asynccontextmanager
    async def asked(self, method: str, path: str, *, body: Any = None, **query: str) -> AsyncIterator[Any]:
        """The answer itself, of which nothing is read yet; raises NotDone, LogUnreachable, Malformed."""
        ids = _ID.findall(path)
        why = {"Doorstep-Case": ids[-1]} if ids else {}  # one record or inquiry is the case; a search is its own
        async with self.client.request(method, f"{self.url}/{path}", json=body, params=query, headers=why) as answer:
            if answer.status >= 400:
                said = _said(await answer.content.read(_PROBLEM_LIMIT))
                raise Malformed(said) if answer.status == 422 else NotDone(f"{answer.status} {said}")
            yield answer

    async def everything(
        self, path: str, query: dict[str, str], progress: Callable[[dict[str, Any]], None]
    ) -> list[dict[str, Any]]:
        """All entries that `path` finds, portion after portion, in the order of their time; raises as `ask` does."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            told = await self.ask("GET", path, **query, **cursor)
            try:
                found += told["entries"]
                progress(told)
                if told["cursor"] is None:
                    return sorted(found, key=lambda entry: str(entry["at"]))
                cursor = {"cursor": str(told["cursor"])}
            except (KeyError, TypeError) as error:
                raise LogUnreachable("what it answered are no entries") from error


def at_desk(
    url: str,
    token: str | None,
    token_file: Path | None,
    as_json: bool,
    work: Callable[[Desk], Coroutine[Any, Any, Result]],
) -> Result:
    """What `work` gave; ends the program where it is not done."""

    known = token if token_file is None else read(token_file, as_json).decode("latin-1").strip()

    async def ask() -> Result:
        if not known or not known.isascii() or not known.isprintable():
            raise Malformed("no token: give --token-file, or DOORSTEP_TOKEN")
        headers = {"Authorization": f"Bearer {known}", "Doorstep-Purpose": "audit", "Accept-Language": "en"}
        waits = aiohttp.ClientTimeout(total=None, sock_connect=WAIT, sock_read=WAIT)
        async with aiohttp.ClientSession(headers=headers, timeout=waits) as client:
            try:
                return await work(Desk(client, url.rstrip("/")))
            except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError) as error:
                raise LogUnreachable(f"{url} does not answer ({type(error).__name__})") from error

    return done(ask, as_json)


class Progress:
    """A bar on the standard error of how much of the time that is asked for was gone through."""

    def __init__(self, what: str) -> None:
        self._bar = typer.progressbar(length=1000, label=what, file=sys.stderr)

    def __enter__(self) -> "Progress":
        self._bar.__enter__()
        return self

    def __exit__(self, *what: Any) -> None:
        self._bar.__exit__(*what)

    def told(self, answer: dict[str, Any]) -> None:
        """Show how far an answer with `since`, `until` and `reached` came."""
        self.reached(*(datetime.fromisoformat(answer[name]) for name in ("since", "until", "reached")))

    def reached(self, since: datetime, until: datetime, now: datetime) -> None:
        """Show that all up to `now` was gone through."""
        share = min(1.0, max(0.0, (now - since) / (until - since)))
        self._bar.update(max(0, round(share * 1000) - self._bar.pos))


def _said(body: bytes) -> str:
    """What a problem says, with the places that are wrong."""
    try:
        problem = json.loads(body)
        faults = "; ".join(f"{fault['pointer']} {fault['detail']}" for fault in problem.get("errors", ()))
        return f"{problem['detail']} {faults}".strip().rstrip(".")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "without a reason"
