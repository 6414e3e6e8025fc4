"""Say what the policies permit, and why. 说明权限策略及其理由。"""

import json
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from doorstep.contracts.codes import Department, Purpose, Role
from doorstep.contracts.facts import FactKind
from doorstep.kit.auth import Principal
from doorstep.kit.policy import (
    AgencyKind,
    CaseKind,
    Context,
    Forbidden,
    Policy,
    Resource,
    Said,
    Why,
    agency_kind,
    kind_name,
)

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

WRONG_REQUEST = 2
REFUSED = 1

Word = TypeVar("Word", bound=StrEnum)
FactName = StrEnum("FactName", [(kind.name, kind_name(kind)) for kind in FactKind])  # type: ignore[misc]
_NO_AGENCIES = frozenset({AgencyKind.DEPARTMENT, AgencyKind.UNKNOWN})


class InPlan(StrEnum):
    """What holds of the caller and a care plan."""

    TEAM = "team"
    PANEL = "panel"
    PART = "had-a-part"
    NO_PART = "had-no-part"
    CONTESTED = "contested"


_IN_PLAN = {
    InPlan.TEAM: {"team": True},
    InPlan.PANEL: {"panel": True},
    InPlan.PART: {"decider": True},
    InPlan.NO_PART: {"decider": False},
    InPlan.CONTESTED: {"contested": True},
}

Case = Annotated[
    str | None, typer.Option(help="What the case is to it: record, file, request, inquiry, break-glass, plan 事项.")
]
Proposer = Annotated[
    bool | None, typer.Option("--proposer/--not-proposer", help="Whether the caller proposed it 本人提出.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON 输出 JSON.")]


@application.callback()
def root() -> None:
    """Say what the policies permit, and why. 说明权限策略及其理由。"""


@application.command("list")
def list_policies(as_json: AsJson = False) -> None:
    """List all policies by id and title. 列出全部策略。

    Examples:

      doorstep policy list
    """
    said = Policy().said()
    if as_json:
        typer.echo(json.dumps([_shown(one) for one in said], ensure_ascii=False))
        return
    for one in said:
        typer.echo(f"{_effect(one)}  {one.name}\n    {one.title}")


@application.command()
def explain(
    caller: Annotated[str, typer.Option("--as", metavar="ROLE@AGENCY", help="Such as reviewer@station 身份.")],
    read: Annotated[str | None, typer.Option(help="What is read, such as record or request 读取对象.")] = None,
    do: Annotated[str | None, typer.Option(help="Or what is done, such as decide-need 操作.")] = None,
    purpose: Annotated[str | None, typer.Option(help="Why, such as triage 用途.")] = None,
    department: Annotated[str | None, typer.Option(help="Whose the request is, such as fire 承办部门.")] = None,
    own_record: Annotated[
        bool | None, typer.Option("--own-record/--others-record", help="Whether the caller took the record 本人采集.")
    ] = None,
    case: Case = None,
    fact: Annotated[str | None, typer.Option(help="Of which kind the fact is, such as health 数据类别.")] = None,
    duty: Annotated[
        str | None, typer.Option(help="What the caller was on the record before, such as reviewer 原有职责.")
    ] = None,
    proposer: Proposer = None,
    plan: Annotated[list[InPlan] | None, typer.Option(help="What holds of a care plan, each once 照护计划.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether somebody may do something, by which policy, or what of each does not hold. 说明为何允许或拒绝。

    Exit 0 if it is permitted, 1 if not, 2 for a wrong request.

    Examples:

      doorstep policy explain --as reviewer@station --read record --purpose triage --case record

      doorstep policy explain --as officer@fire --read request --purpose service --case request --department justice

      doorstep policy explain --as supervisor@station --read file --purpose emergency --case break-glass

      doorstep policy explain --as reviewer@police --do break-glass

      doorstep policy explain --as officer@health --read plan --purpose service --case plan --plan team
    """
    policy = Policy()
    action, principal, why = _action(policy, read, do), _principal(caller), _why(purpose, case)
    thing = Resource(
        read or action.partition("-")[2] or action,
        department,
        own_record,
        fact_kind=_one_of(FactName, fact, "fact"),
        duty=_one_of(Role, duty, "duty"),
        proposer=proposer,
        **_in_plan(plan or ()),
    )
    said = policy.explain(principal, action, thing, **vars(why))
    permitted = _permitted(policy, principal, action, thing, why)
    _answer(permitted, said, as_json)
    if not permitted:
        raise typer.Exit(REFUSED)


def _answer(permitted: bool, said: list[Said], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"permitted": permitted, "policies": [_shown(one) for one in said]}, ensure_ascii=False))
    else:
        typer.echo("允许 Permitted." if permitted else "拒绝 Refused.")
        for one in said:
            _tell(one)
        if not permitted and not any(one.forbids and one.applies for one in said):
            typer.echo("没有任何策略允许：未明确允许的一律拒绝。\nNo policy permits it; what none permits is refused.")


def _action(policy: Policy, read: str | None, do: str | None) -> str:
    if (read is None) == (do is None):
        raise _wrong("--read 与 --do 只能选一个。", "Give either --read or --do.")
    known = policy.actions()
    wanted = [do] if do is not None else [f"read-{read}", f"list-{read}", f"list-{read}s"]
    for action in wanted:
        if action in known:
            return action
    told = ", ".join(sorted(known))
    raise _wrong(f"没有这种操作；可选：{told}。", f"There is no such action; known are: {told}.")


def _principal(caller: str) -> Principal:
    role, _, agency = caller.partition("@")
    if role not in set(Role) or not agency:
        told = ", ".join(Role)
        raise _wrong(f"--as 须为 角色@单位，角色可选：{told}。", f"--as is ROLE@AGENCY, with a role of: {told}.")
    if agency_kind(agency) is AgencyKind.UNKNOWN:
        told = ", ".join(sorted({*map(str, Department), *map(str, set(AgencyKind) - _NO_AGENCIES)}))
        raise _wrong(f"没有这个单位；可选：{told}。", f"There is no such agency; known are: {told}.")
    return Principal("somebody", Role(role), agency)


def _one_of(words: type[Word], given: str | None, option: str) -> Word | None:
    if given is not None and given not in set(words):
        told = ", ".join(words)
        raise _wrong(f"--{option} 可选：{told}。", f"--{option} is one of: {told}.")
    return None if given is None else words(given)


def _in_plan(words: Iterable[InPlan]) -> dict[str, Any]:
    """What the policies are told of a care plan."""
    return {name: said for word in words for name, said in _IN_PLAN[word].items()}


def _why(purpose: str | None, case: str | None) -> Context:
    """The context as services say it: with purpose and case goes the station's legal basis."""
    why = Context(_one_of(Purpose, purpose, "purpose"), _one_of(CaseKind, case, "case"))
    if why.purpose is None or why.case is None:
        return why
    return replace(why, legal_basis=Why(why.purpose, UUID(int=0)).legal_basis)


def _permitted(policy: Policy, principal: Principal, action: str, thing: Resource, why: Context) -> bool:
    try:
        return policy.authorize(principal, action, thing, **vars(why)).permitted
    except Forbidden:
        return False


def _tell(one: Said) -> None:
    state = "适用 applies" if one.applies else "不适用 does not apply"
    typer.echo(f"{_effect(one)}  {one.name}  [{state}]\n    {one.title}")
    for clause in one.clauses:
        typer.echo(f"    {'✓' if clause.holds else '✗'} {clause.text}")


def _effect(one: Said) -> str:
    return "禁止 forbid" if one.forbids else "允许 permit"


def _shown(one: Said) -> dict[str, object]:
    clauses = [{"clause": clause.text, "holds": clause.holds} for clause in one.clauses]
    shown = {"id": one.name, "title": one.title, "effect": "forbid" if one.forbids else "permit"}
    return {**shown, "applies": one.applies, "clauses": clauses} if clauses else dict(shown)


def _wrong(chinese: str, english: str) -> typer.Exit:
    typer.echo(f"{chinese}\n{english}", err=True)
    return typer.Exit(WRONG_REQUEST)
