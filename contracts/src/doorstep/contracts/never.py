"""Words that no fact and no need may be named by, because of what the product must never know of anybody."""

import re

RIGHTS = "petition complaint appeal lawsuit litigation speech religion faith ethnic ethnicity nation politics political"
SURVEILLANCE = "location trail track gps traffic purchase travel hotel camera face facial fingerprint iris biometric"
JUDGEMENT = (
    "score credit rank rating loyalty tendency suspicion suspect prediction blacklist criminal crime detention drug"
)
NOTHING_SAID = frozenset({"other", "misc", "unknown"})
IN_ENGLISH = frozenset(" ".join((RIGHTS, SURVEILLANCE, JUDGEMENT)).split())
IN_CHINESE = re.compile(
    "信访|上访|投诉|申诉|诉讼|宗教|信仰|民族|政治|党派|言论|轨迹|定位|行踪|人脸|指纹|虹膜|摄像|监控"
    "|评分|积分|信用|排名|嫌疑|前科|犯罪|违法|刑满|吸毒|涉毒|黑名单|重点人|其他"
)


class NeverNamed(ValueError):
    """A fact or a need is named by a word that the product must never know."""


def refuse_forbidden(code: str, zh: str, en: str, choices: tuple[str, ...] = ()) -> None:
    """Raise NeverNamed if one of the names holds a forbidden word, also in the plural."""
    for word in re.split(r"[^a-z]+", " ".join((code, *choices, en)).lower()):
        if word in IN_ENGLISH or word.removesuffix("s") in IN_ENGLISH or word in NOTHING_SAID:
            raise NeverNamed(f"{code}: {word} must never be known")
    if found := IN_CHINESE.search(zh):
        raise NeverNamed(f"{code}: {found[0]} must never be known")
