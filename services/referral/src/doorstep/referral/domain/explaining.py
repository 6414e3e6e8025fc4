"""Why an office was chosen, and why not the others, in words."""

from doorstep.contracts.facts import CATALOGUE
from doorstep.referral.domain.choosing import Choice, Considered, WhyNot

WORDS: dict[WhyNot, tuple[str, str]] = {
    WhyNot.NEED_TYPE: ("不受理此类需求", "does not take this need type"),
    WhyNot.AREA: ("不服务此站点", "does not serve this station"),
    WhyNot.CONDITION: ("不符合服务条件：{zh}", "serves others: {en}"),
    WhyNot.NOT_NOW: ("暂停受理", "takes nothing at present"),
    WhyNot.FULL: ("在办已满", "is full"),
    WhyNot.CLOSED: ("此时未开放，另有开放的办事处", "is closed now, and another is open"),
    WhyNot.LANGUAGE: ("可受理，另有办事处通晓该语言", "could take it, and another speaks the language"),
    WhyNot.MORE_LOAD: ("可受理，但在办较多", "could take it, and has more open requests"),
    WhyNot.LATER_IN_ORDER: ("可受理，在办相同，按编号在后", "could take it, and comes later in the order of ids"),
}
_CHOSEN = ("受理", "takes it")
_INSTEAD = ("受理（由 {name} 移交）", "takes it, handed over by {name}")
NO_DIRECTORY = (
    "没有启用的服务目录：按需求类型转给部门。",
    "No directory is in force: the need type names its department.",
)
NOBODY_KNOWS = ("没有这种需求类型：由站点人工分派。", "There is no such need type: somebody at the station routes it.")
UNROUTED = ("没有办事处受理：由站点人工分派。", "No office takes it: somebody at the station routes it.")


def why(one: Considered, names: dict[str, str]) -> tuple[str, str]:
    """Why this office is chosen or not, in Chinese and English; `names` are those of the offices by id."""
    if one.why_not is not None:
        zh, en = WORDS[one.why_not]
        fact = CATALOGUE.get(one.fact or "")
        return (zh.format(zh=fact.zh), en.format(en=fact.en)) if fact else (zh, en)
    zh, en = _CHOSEN if one.instead_of is None else _INSTEAD
    name = names.get(str(one.instead_of), "")
    return zh.format(name=name), en.format(name=name)


def verdict(choice: Choice) -> tuple[str, str]:
    """What became of it, in one sentence."""
    if choice.office is None:
        return UNROUTED
    return f"由 {choice.office.name} 受理。", f"{choice.office.name} takes it."
