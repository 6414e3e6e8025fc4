"""The words in which a department tells an outcome or a reason: what may stand in them, and how they are filled in.

Invariant: a template names no person. It holds no number by which somebody could be known or reached, and of the
request it takes what everybody knows who sees its outcome: need, department and day.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

from doorstep.contracts.codes import DEPARTMENT_NAMES, Department, Outcome, Reason
from doorstep.contracts.needs import NEED_TYPES

CODE = r"^[a-z0-9][a-z0-9-]{0,39}$"
NAME = r"^[a-z0-9][a-z0-9-]{0,39}@[1-9][0-9]{0,3}$"
LONGEST = 300

PLACEHOLDERS = ("{need}", "{department}", "{day}")

_DIGITS = 6
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\W_]+(?=\d)")
_CHINESE_DIGITS = str.maketrans("零〇一二三四五六七八九壹贰叁肆伍陆柒捌玖幺", "00123456789" + "123456789" + "1")
_TOO_MANY_DIGITS = re.compile(rf"\d{{{_DIGITS},}}")
_KNOWN = re.compile("|".join(re.escape(one) for one in PLACEHOLDERS))


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Template:
    """One version of a template: for which need type and outcome, or reason, it is, and what it says."""

    code: str
    version: int
    need_type: str
    outcome: Outcome | None
    reason: Reason | None
    words: Words

    @property
    def name(self) -> str:
        """By what a step names it."""
        return f"{self.code}@{self.version}"

    def fits(self, need_type: str, outcome: str | None, reason: str | None) -> bool:
        """Whether it tells this outcome, or this reason, of such a need."""
        told = (self.need_type, self.outcome) if self.outcome else (self.need_type, self.reason)
        return told == (need_type, outcome if self.outcome else reason)


def flaw_of(text: str) -> tuple[str, str] | None:
    """What in the words of a template may not stand there, in both languages; None if nothing."""
    if not text.strip() or any(unicodedata.category(sign) == "Cc" for sign in text):
        return "须有文字，不含控制字符", "must be text without control characters"
    if _TOO_MANY_DIGITS.search(_BETWEEN_DIGITS.sub("", text.translate(_CHINESE_DIGITS))):
        return f"不得含 {_DIGITS} 位及以上的数字", f"must hold no run of {_DIGITS} digits or more"
    if set(_KNOWN.sub("", text)) & set("{}"):
        known = "、".join(PLACEHOLDERS)
        return f"只能使用占位符 {known}", f"only these placeholders are filled in: {', '.join(PLACEHOLDERS)}"
    return None


def fill_in(words: Words, need_type: str, department: Department, day: date) -> Words:
    """The words with their placeholders filled in."""
    need = NEED_TYPES.get(need_type)
    needs = (need.zh, need.en) if need else (need_type, need_type)
    names = DEPARTMENT_NAMES[department]
    return Words(_filled(words.zh, needs[0], names[0], day), _filled(words.en, needs[1], names[1], day))


def _filled(text: str, need: str, department: str, day: date) -> str:
    values = dict(zip(PLACEHOLDERS, (need, department, str(day)), strict=True))
    return _KNOWN.sub(lambda found: values[found[0]], text)
