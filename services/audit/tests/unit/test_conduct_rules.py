"""The published rules of conduct, and every way in which wrong ones are refused before they run."""

import re
from itertools import product

import pytest

from doorstep.audit.domain.conduct_rules import CODES, FLAGS, HOURS, compile_conduct, published_conduct
from doorstep.audit.errors import ConductInvalid

RULES = """
id: test-1
title: {zh: 试, en: Test}
valid_from: 2026-01-01
working_time: {zone: Asia/Shanghai, weekdays: [1, 2], begins: "08:00", ends: "18:00"}
rules:
  - id: only
    title: {zh: 试, en: Test}
    looks_at: {zh: "满 {hours} 小时", en: "{hours} h, {subjects} in {minutes}"}
    when: read && role == 'reviewer' && hours_since_closed >= hours
    thresholds: {hours: 3}
    within: {minutes: 60, subjects: 5}
"""
NOTHING = {**dict.fromkeys(CODES, ""), **dict.fromkeys(FLAGS, False), HOURS: 0}


def test_the_published_rules_compile_and_say_what_they_look_at() -> None:
    conduct = published_conduct()
    assert re.fullmatch(r"2026-1@[0-9a-f]{64}", conduct.name)
    for one in conduct.rules:
        for words in (one.rule.title, one.looks_at):
            assert re.search(r"[\u4e00-\u9fff]", words.zh), one.rule.id
            assert "{" not in words.zh + words.en
            assert not re.search(r"[\u4e00-\u9fff]", words.en), one.rule.id


def test_the_published_rules_are_those_that_were_asked_for() -> None:
    assert [one.rule.id for one in published_conduct().rules] == [
        "read-without-a-case", "read-of-a-closed-case", "read-outside-working-hours", "read-outside-jurisdiction",
        "many-subjects", "many-in-lists", "refused-tries", "read-of-a-declared-tie",
    ]  # fmt: skip


def test_no_published_rule_fires_on_what_neither_reads_nor_was_refused() -> None:
    for compiled in published_conduct().rules:
        flags = [name for name in FLAGS if name not in ("read", "refused")]
        for values in product((True, False), repeat=len(flags)):
            known = NOTHING | dict(zip(flags, values, strict=True)) | {HOURS: 1000, "role": "reviewer"}
            assert not compiled.holds(known), compiled.rule.id


def test_words_are_told_with_their_numbers() -> None:
    [one] = compile_conduct(RULES).rules
    assert (one.looks_at.zh, one.looks_at.en) == ("满 3 小时", "3 h, 5 in 60")


def test_an_expression_knows_thresholds_and_what_it_names() -> None:
    [one] = compile_conduct(RULES).rules
    known = NOTHING | {"read": True, "role": "reviewer"}
    assert [one.holds(known | {HOURS: hours}) for hours in (2, 3)] == [False, True]
    assert not one.holds(known | {HOURS: 3, "role": "officer"})


def test_the_digest_names_the_content_and_not_the_layout() -> None:
    conduct = compile_conduct(RULES)
    assert compile_conduct("# a comment\n" + RULES).name == conduct.name
    assert compile_conduct(RULES.replace("hours: 3", "hours: 4")).name != conduct.name


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("thresholds:", "treshholds:"), "rules.0.treshholds: Extra inputs are not permitted"),
        (("hours: 3", "hours: -3"), "rules.0.thresholds.hours: Input should be greater than or equal to 1"),
        (("hours: 3", "hours: 0"), "greater than or equal to 1"),
        (("hours: 3", "hours: three"), "valid integer"),
        (("hours: 3", "hours: true"), "valid integer"),
        (("hours: 3", "hours: 3, days: 2"), "does not name the threshold days"),
        (("hours: 3", "hours: 3, read: 2"), "read is no name for a threshold"),
        (("Asia/Shanghai", "Asia/Nowhere"), "working_time.zone: Value error, no time zone of this name"),
        (("Asia/Shanghai", "../../etc/passwd"), "no time zone of this name"),
        (("Asia/Shanghai", "''"), "no time zone of this name"),
        (('begins: "08:00"', 'begins: "19:00"'), "it ends before it begins"),
        (
            ("weekdays: [1, 2]", "weekdays: [1], published_calendar: 1"),
            "published_calendar: Input should be a valid bool",
        ),
        (('ends: "18:00"', 'ends: "25:00"'), "working_time.ends: String should match pattern"),
        (('ends: "18:00"', "ends: 18:00"), "working_time.ends: Input should be a valid string"),
        (("[1, 2]", "[1, 8]"), "less than or equal to 7"),
        (("[1, 2]", "[]"), "at least 1 item"),
        (("minutes: 60", "minutes: -5"), "rules.0.within.minutes: Input should be greater than or equal to 1"),
        (("subjects: 5", "subjects: -5"), "rules.0.within.subjects: Input should be greater than or equal to 1"),
        (("subjects: 5", "subjects: 5, entries: 5"), "either subjects or entries are counted"),
        ((", subjects: 5", ""), "either subjects or entries are counted"),
        (("when: read", "when: raed"), "only: .*undeclared reference to 'raed'"),
        (("role == 'reviewer'", "role == 3"), "no matching overload"),
        (("== 'reviewer'", "=="), "Syntax error"),
        (("== 'reviewer'", "== 'reviwer'"), "'reviwer' is no code"),
        (("read && role == 'reviewer' && hours_since_closed >= hours", "hours_since_closed + hours"), "yes or no"),
        (("read && role == 'reviewer' && hours_since_closed >= hours", "read || !read || hours > 1"), "fires on every"),
        (("read && role == 'reviewer' &&", "read && !read &&"), "never fires"),
        (("hours_since_closed >= hours", "hours / hours_since_closed > 1"), "no answer for some entries"),
        (("满 {hours} 小时", "满 {days} 小时"), r"its words name \{days\}, which it does not have"),
        (("id: only", "id: Only one"), "rules.0.id: String should match pattern"),
        (("id: test-1", "id: test-1\nid: test-2"), "the key 'id' stands twice"),
        (("rules:", "rules: ["), "expected"),
        (("rules:", "rules: []\nold:"), "rules: Tuple should have at least 1 item"),
        ((RULES, ""), "the file: Input should be a valid dictionary"),
        ((RULES, "[" * 2000), "."),
        ((RULES, "\x00"), "special characters are not allowed"),
    ],
)
def test_wrong_rules_are_one_error_that_says_where(wrong: tuple[str, str], said: str) -> None:
    text = RULES.replace(*wrong)
    assert text != RULES
    with pytest.raises(ConductInvalid, match=said) as refused:
        compile_conduct(text)
    assert "\n" not in str(refused.value)


def test_two_rules_of_one_id_are_refused() -> None:
    row = RULES.partition("rules:\n")[2]
    with pytest.raises(ConductInvalid, match="two rules have the id only"):
        compile_conduct(RULES + row)
