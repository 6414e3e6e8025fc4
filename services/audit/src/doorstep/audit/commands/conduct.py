"""Commands for auditors: check a file with rules of conduct, read what the rules in force find. 工作人员行为规则。"""

import json
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import aiohttp
import typer

from doorstep.audit.commands.answers import WRONG_REQUEST, LogUnreachable, application, done, fail, print_json, read
from doorstep.audit.domain.conduct_rules import compile_conduct
from doorstep.audit.domain.errors import Malformed
from doorstep.audit.errors import ConductInvalid
from doorstep.audit.schemas import Conduct, ConductFinding

_WAIT = 120.0
_SHANGHAI = ZoneInfo("Asia/Shanghai")
_SHOWN = 10


@application.command("conduct-rules")
def conduct_rules(
    file: Annotated[Path, typer.Argument(help="The file with the rules 规则文件.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object 输出 JSON.")] = False,
) -> None:
    """Check a file with rules of conduct, before a log is started with it. 检查行为规则文件。

    Exit 0 if a log would take it, 2 if not: then it says which rule is wrong, and how.

    Examples:

      doorstep audit conduct-rules conduct.yaml
    """
    try:
        conduct = compile_conduct(read(file, as_json).decode("utf-8"))
    except (ConductInvalid, UnicodeDecodeError) as error:
        why = str(error) if isinstance(error, ConductInvalid) else "not UTF-8"
        fail(as_json, ConductInvalid(why), f"规则文件有误：{why}\nThe rules are wrong: {why}", WRONG_REQUEST)
    if as_json:
        print_json({"valid": True, "name": conduct.name, "rules": [one.rule.id for one in conduct.rules]})
        return
    for one in conduct.rules:
        typer.echo(
            f"{one.rule.id}\n  {one.rule.title.zh} {one.rule.title.en}\n  {one.looks_at.zh}\n  {one.looks_at.en}"
        )
    typer.echo(f"规则有效：{len(conduct.rules)} 条。\nValid: {len(conduct.rules)} rules, {conduct.name}.")


@application.command()
def conduct(
    url: Annotated[str, typer.Option(help="Where the log is, such as http://127.0.0.1:8600/api/log 日志地址.")],
    token_file: Annotated[Path, typer.Option(help="A file with an auditor's token 令牌文件.")],
    since: Annotated[
        datetime | None, typer.Option(help="From when, by the clock of Shanghai 起; seven days ago if not given.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Until before when 止; now if not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON 输出 JSON.")] = False,
) -> None:
    """Say what is to be asked about in what staff and systems did; the look is logged. 查看行为规则的提示。

    A finding is a question, no verdict: it names an actor by a random id, the entries to look at, and no resident.
    Exit 0 whatever is found, 1 if the log cannot be asked, 2 for a wrong request. At most 31 days at once.

    Examples:

      doorstep audit conduct --url http://127.0.0.1:8600/api/log --token-file auditor.token

      doorstep audit conduct --url ... --token-file auditor.token --since 2026-11-01 --until 2026-11-15 --json
    """
    token = read(token_file, as_json).decode("ascii", "replace").strip()
    span = {"since": since, "until": until}
    query = {name: moment.replace(tzinfo=_SHANGHAI).isoformat() for name, moment in span.items() if moment is not None}
    told = done(lambda: _ask(url, token, query), as_json)
    if as_json:
        print_json(told.model_dump(mode="json"))
    else:
        _tell(told)


async def _ask(url: str, token: str, query: dict[str, str]) -> Conduct:
    """What the log answers. Raises LogUnreachable, and Malformed where it says that the request is wrong."""
    headers = {"Authorization": f"Bearer {token}", "Doorstep-Purpose": "audit", "Accept-Language": "zh"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=_WAIT)) as session,
            session.get(f"{url.rstrip('/')}/conduct", params=query) as response,
        ):
            status, data = response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise LogUnreachable(f"{url} does not answer ({type(error).__name__})") from error
    try:
        if status == 200:
            return Conduct.model_validate_json(data)
        detail = str(json.loads(data)["detail"])
    except (ValueError, KeyError, TypeError) as error:
        raise LogUnreachable(f"it answered with {status}, and nothing of conduct") from error
    if status == 422:
        raise Malformed(detail)
    raise LogUnreachable(f"it answered with {status}: {detail}")


def _tell(told: Conduct) -> None:
    for rule in (one for one in told.rules if one.findings):
        typer.echo(f"{rule.title.zh} {rule.title.en}（{rule.id}）\n  {rule.looks_at.zh}\n  {rule.looks_at.en}")
        for finding in rule.findings:
            typer.echo(f"  {_line(finding, _SHANGHAI)}")
        typer.echo("")
    number = sum(len(one.findings) for one in told.rules)
    quiet = len([one for one in told.rules if not one.findings])
    typer.echo(
        f"{_day(told.since)} 至 {_day(told.until)}：{number} 条提示，另有 {quiet} 条规则无提示。提示须核实，不是结论。"
    )
    typer.echo(f"{number} findings; {quiet} rules found nothing. A finding is a question, no verdict. {told.pack}")


def _line(finding: ConductFinding, zone: tzinfo) -> str:
    first, last = (moment.astimezone(zone) for moment in (finding.first, finding.last))
    when = f"{first:%Y-%m-%d %H:%M:%S}" + ("" if first == last else f" – {last:%Y-%m-%d %H:%M:%S}")
    who = " ".join(one or "-" for one in (finding.actor, finding.role, finding.agency, finding.station))
    places = [str(one.entry_id if one.index is None else one.index) for one in finding.entries]
    shown = " ".join(places[:_SHOWN]) + (" …" if len(places) > _SHOWN else "")
    reached = "" if finding.reached is None else f"，至 {finding.reached} up to {finding.reached}"
    return f"{when}  {who}  {finding.count} 条{reached}  条目 entries {shown}"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(_SHANGHAI):%Y-%m-%d %H:%M}"
