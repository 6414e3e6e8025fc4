"""What lines and cells of the station's months are called, in Chinese and English."""

from doorstep.contracts.codes import DEPARTMENT_NAMES
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.monthly import Answered, Due, Line, Of, Rated, Took

Words = tuple[str, str]

TITLE: Words = ("办件统计", "Figures of requests")
COUNTS: dict[str, Words] = {"opened": ("受理", "Opened"), "closed": ("办结", "Closed")}
WAYS: dict[str, Words] = {
    "answered": ("首次响应", "First response"),
    "due": ("按期办结", "Closed when due"),
    "took": ("办理用时", "Time to completion"),
    "rated": ("评价", "Rating"),
}
CLASSES: dict[str, dict[str, Words]] = {
    "answered": {
        Answered.WITHIN_1_HOUR: ("1小时内", "≤ 1 h"),
        Answered.WITHIN_12_HOURS: ("12小时内", "≤ 12 h"),
        Answered.WITHIN_24_HOURS: ("24小时内", "≤ 24 h"),
        Answered.WITHIN_7_DAYS: ("7天内", "≤ 7 d"),
        Answered.LATER: ("更晚或无", "later"),
        Answered.WITHDRAWN: ("先已撤回", "withdrawn"),
    },
    "due": {Due.IN_TIME: ("按期", "in time"), Due.LATE: ("逾期", "late")},
    "took": {
        Took.WITHIN_1_DAY: ("1天内", "≤ 1 d"),
        Took.WITHIN_3_DAYS: ("3天内", "≤ 3 d"),
        Took.WITHIN_7_DAYS: ("7天内", "≤ 7 d"),
        Took.WITHIN_15_DAYS: ("15天内", "≤ 15 d"),
        Took.WITHIN_30_DAYS: ("30天内", "≤ 30 d"),
        Took.LONGER: ("更久", "longer"),
    },
    "rated": {
        Rated.SATISFIED: ("满意", "4-5 stars"),
        Rated.LESS: ("不够满意", "1-3 stars"),
        Rated.NOT_SOLVED: ("未解决", "not solved"),
        Rated.UNRATED: ("未评价", "no rating"),
        Rated.OPEN_PARTS: ("部分未结", "parts open"),
    },
}
RATES: dict[str, Words] = {
    "answered_within_12_hours": ("12小时内首次响应", "first response within 12 h"),
    "answered_within_24_hours": ("24小时内首次响应", "first response within 24 h"),
    "closed_in_time": ("按期办结", "closed in time"),
}
WITHHELD = "—"
LEGEND: Words = (
    "“—”为不公布：少于10件，或会使少于10件者被推算。涉及暴力的不计入任何数字。每月只统计一次。",
    "— is withheld: fewer than 10, or giving fewer than 10 away. Violence is in no number. A month is counted once.",
)
_LINES: dict[Of, Words] = {
    Of.STATION: ("全站", "The station"),
    Of.DEPARTMENT: ("部门", "Department"),
    Of.HANDED_ON: ("由其他部门转来", "Handed on from elsewhere"),
    Of.UNROUTED: ("待分派", "With nobody yet"),
}


def line_words(line: Line) -> Words:
    """What a line is called."""
    if line.of is Of.NEED_TYPE:
        need = NEED_TYPES[line.need_type or ""]
        return need.zh, need.en
    if line.of is Of.DEPARTMENT and line.department is not None:
        return DEPARTMENT_NAMES[line.department]
    return _LINES[line.of]


def cell_words(name: str) -> Words:
    """What a cell is called: of a class, what is divided up and the class."""
    if name in COUNTS:
        return COUNTS[name]
    way, _, one = name.partition(".")
    (zh, en), (of_zh, of_en) = CLASSES[way][one], WAYS[way]
    return f"{of_zh} {zh}", f"{of_en} {en}"


def rate_words(name: str, percent: int | None) -> Words:
    """A rate in words."""
    zh, en = RATES[name]
    if percent is None:
        return f"{zh}：见表", f"{en}: see the table"
    return f"{zh}：不低于 {percent}%", f"{en}: at least {percent} %"
