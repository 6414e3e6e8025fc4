"""Commands for auditors: check a file with rules of conduct, read what the rules in force find. 工作人员行为规则。"""

from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from doorstep.audit.commands.answers import WRONG_REQUEST, application, fail, print_json, read
from doorstep.audit.commands.asking import JsonOption, TokenFileOption, TokenOption, UrlOption, at_desk
from doorstep.audit.domain.conduct_rules import compile_conduct
from doorstep.audit.errors import ConductInvalid
from doorstep.audit.schemas import Conduct, ConductFinding

_SHANGHAI = ZoneInfo("Asia/Shanghai")
_SHOWN = 10


@application.command("conduct-rules")
def conduct_rules(
    file: Annotated[Path, typer.Argument(help="The file with the rules 规则文件.")],
    as_json: JsonOption = False,
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
    url: UrlOption,
    since: Annotated[
        datetime | None, typer.Option(help="From when, by the clock of Shanghai 起; seven days ago if not given.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Until before when 止; now if not given.")] = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is to be asked about in what staff and systems did; the look is logged. 查看行为规则的提示。

    A finding is a question, no verdict: it names an actor by a random id, the entries to look at, and no resident.
    Exit 0 whatever is found, 1 if the log cannot be asked, 2 for a wrong request. At most 31 days at once.

    Examples:

      doorstep audit conduct --url http://127.0.0.1:8600/api/log --token-file auditor.token

      doorstep audit conduct --url ... --token-file auditor.token --since 2026-11-01 --until 2026-11-15 --json
    """
    span = {"since": since, "until": until}
    query = {name: moment.replace(tzinfo=_SHANGHAI).isoformat() for name, moment in span.items() if moment is not None}
    told = at_desk(url, token, token_file, as_json, lambda desk: desk.told(Conduct, "conduct", **query))
    if as_json:
        print_json(told.model_dump(mode="json"))
    else:
        _tell(told)


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
