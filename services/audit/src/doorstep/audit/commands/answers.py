"""What all commands of the log share: what they answer, and how they end."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer

from doorstep.audit.domain.errors import LogError, NotWitnessed
from doorstep.audit.domain.verify import VerificationFailed

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Result = TypeVar("Result")

FAILED = 1
WRONG_REQUEST = 2


class LogUnreachable(Exception):
    """The log gave no answer, or one that is neither a part of a log nor its absence."""


class NotDone(Exception):
    """The log's service did not do what was asked; the message says why."""


@application.callback()
def root() -> None:
    """Check the audit log from outside, mirror it, and ask it. 从外部验证、镜像、查询审计日志。"""


def done(work: Callable[[], Coroutine[Any, Any, Result]], as_json: bool = False) -> Result:
    """What `work` with a log gave; ends the program where the log does not verify, or cannot be read."""
    try:
        return asyncio.run(work())
    except (VerificationFailed, NotWitnessed) as error:
        fail(as_json, error, f"日志未通过验证：{error}\nThe log does not verify: {error}.", FAILED)
    except LogUnreachable as error:
        fail(as_json, error, f"无法读取日志：{error}\nThe log cannot be read: {error}.", FAILED)
    except NotDone as error:
        fail(as_json, error, f"未完成：{error}\nNot done: {error}.", FAILED)
    except (LogError, OSError) as error:
        fail(as_json, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)


def read(file: Path, as_json: bool = False) -> bytes:
    """What is in a file that an option names; ends the program if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        fail(as_json, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)


def write(file: Path, data: bytes, as_json: bool = False) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        fail(as_json, error, f"参数有误：{error}\nWrong request: {error}.", WRONG_REQUEST)


def fail(as_json: bool, error: Exception, message: str, exit_code: int) -> NoReturn:
    if as_json:
        where = {
            name: getattr(error, name)
            for name in ("index", "indexes", "line", "path", "tile", "offset", "saved", "size")
            if hasattr(error, name)
        }
        print_json({"verified": False, "error": type(error).__name__, "detail": str(error), **where})
    else:
        typer.echo(message, err=True)
    raise typer.Exit(exit_code)


def print_json(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, ensure_ascii=False))
