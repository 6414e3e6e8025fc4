"""The check that no request is lost. 办件核对。"""

import asyncio
import json
from typing import Annotated

import typer
from sqlalchemy.exc import ArgumentError

from doorstep.kit.db import DATABASE_ERRORS, Database
from doorstep.kit.telemetry import describe
from doorstep.referral.domain.losses import REMEDIES
from doorstep.referral.operations.checking import Lost, find_lost

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

FAILED = 1
WRONG_REQUEST = 2


@application.callback()
def root() -> None:
    """Look after the requests that the station answers for. 核对服务站负责的请求。"""


@application.command()
def check(
    database: Annotated[
        str, typer.Option(envvar="DOORSTEP_DATABASE_URL", help="Referral's database 转办服务的数据库地址.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON 输出 JSON.")] = False,
) -> None:
    """Find needs without a request, requests without an owner, tasks without a deadline. 查找遗失的需求与请求。

    Nothing is changed, and nothing of anybody is shown but random ids. Ends with 1 if anything is lost.

    Examples:

      doorstep requests check

      doorstep requests check --database postgresql+asyncpg://referral@db/referral --json
    """
    try:
        found = asyncio.run(_check(database))
    except (ArgumentError, OSError, *DATABASE_ERRORS) as error:
        why = describe(error)
        typer.echo(f"无法读取数据库：{why}\nThe database cannot be read: {why}", err=True)
        raise typer.Exit(WRONG_REQUEST) from None
    if as_json:
        lost = {one.loss: {"count": one.count, "ids": [str(each) for each in one.ids]} for one in found}
        typer.echo(json.dumps(lost, ensure_ascii=False, indent=2))
    for one in found:
        if one.count and not as_json:
            zh, en = REMEDIES[one.loss]
            typer.echo(f"{one.loss}: {one.count}\n{zh}\n{en}")
            typer.echo("".join(f"  {each}\n" for each in one.ids), nl=False)
    if any(one.count for one in found):
        raise typer.Exit(FAILED)
    if not as_json:
        typer.echo("没有遗失 Nothing is lost.")


async def _check(url: str) -> tuple[Lost, ...]:
    database = Database(url, service="referral", pool_size=1)
    try:
        async with database.transaction() as session:
            return await find_lost(session)
    finally:
        await database.close()
