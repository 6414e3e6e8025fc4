"""Words that nothing here may be named by, because of what the product must never know of anybody.

A word counts in every spelling: `riskScore`, `risk_scores` and `RISK-SCORE` are one. What cannot be meant otherwise
counts inside a longer word too (`petitioner`, `geolocation`), what can (`face`, `track`) only by itself.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

RIGHTS = (
    "appeal speech faith nation nationality tribe sect church mosque politics political assembly"
    " dissident trade-union union-member in-court court-case"
)
SURVEILLANCE = (
    "trail track gps geo traffic purchase travel hotel camera cctv imei imsi"
    " face facial iris retina gait voiceprint dna"
)
JUDGEMENT = "score credit rank rating tendency crime detention prison drug threat danger-level black-list watch-list"
NOTHING_SAID = frozenset({"other", "misc", "unknown"})
_WORDS = frozenset(" ".join((RIGHTS, SURVEILLANCE, JUDGEMENT)).split())
_INSIDE = re.compile(
    r"(?<!re)(?<!com)petition|complain|litigat|lawsuit|religi|ethnic|(?<!a)politic"
    r"|(?<!al)(?<!re)(?<!col)(?<!dis)location|geo(?:loc|fenc|hash|tag|track)|(?<!p)latitude|longitude|surveil"
    r"|biometr|fingerprint|face(?:scan|id|print|match|recog|templat|vector)"
    r"|suspic|suspect|loyal|predict|blacklist|watchlist|(?<!dis)criminal"
)
_IN_CHINESE = re.compile(
    "信访|上访|涉访|缠访|闹访|请愿|投诉|申诉|诉讼|涉诉|宗教|信仰|教派|信徒|民族|种族|政治|党派|党员|言论|舆情|维稳"
    "|轨迹|定位|位置|行踪|人脸|面部|指纹|虹膜|声纹|掌纹|步态|生物特征|生物识别|摄像|监控"
    "|评分|积分|信用|排名|嫌疑|前科|犯罪|违法|刑满|吸毒|涉毒|黑名单|重点人"
)
_OTHERWISE = re.compile("其他")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LETTERS = re.compile(r"[a-z]+")

OF_ANSWERS = frozenset({"rating", "ratings"})
"""What residents think of how they were answered. No rule reads it, and no fact or need is called so."""


class NeverNamed(ValueError):
    """Something is named by a word for what the product must never know."""


def forbidden_in(text: str) -> Iterator[str]:
    """The words in `text` that nothing may be named by, as they stand in it, lower case; Chinese ones too."""
    words = _LETTERS.findall(_CAMEL.sub(" ", text).lower())
    yield from (word for word in words if not _WORDS.isdisjoint(_singulars(word)) or _INSIDE.search(word))
    pairs = ("-".join(pair) for pair in pairwise(words))
    yield from (pair for pair in pairs if not _WORDS.isdisjoint(_singulars(pair)))
    yield from _IN_CHINESE.findall(text)


def refuse_forbidden(code: str, zh: str, en: str, choices: Iterable[str] = ()) -> None:
    """Raise NeverNamed if the fact or need `code`, a name or a choice of it holds a forbidden word, or says nothing."""
    for name in (code, *choices, en, zh):
        for word in forbidden_in(name):
            raise NeverNamed(f"{code}: {word} must never be known")
        for word in (*NOTHING_SAID.intersection(_LETTERS.findall(name.lower())), *_OTHERWISE.findall(name)):
            raise NeverNamed(f"{code}: {word} says nothing")


def refuse_names(place: str, names: Iterable[str]) -> None:
    """Raise NeverNamed if one of the `names` that `place` has (a model its fields, a topic its own) is forbidden."""
    for name in names:
        for word in forbidden_in(name):
            if word not in OF_ANSWERS:
                raise NeverNamed(f"{place}: {name}: {word} must never be known")


def _singulars(word: str) -> tuple[str, ...]:
    """What `word` may be the plural of, and itself."""
    return word, word.removesuffix("s"), word.removesuffix("es"), re.sub("ies$", "y", word)
