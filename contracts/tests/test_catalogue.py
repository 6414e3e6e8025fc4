"""The tables of the contracts agree with each other, and refuse what must never be known."""

import re
from collections import Counter
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from uuid import UUID

import pytest

from doorstep.contracts.audit import AuditEntrySubmitted
from doorstep.contracts.codes import DEPARTMENT_NAMES, Department, SaidBy
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.facts import ATTESTS, CATALOGUE, KIND_BUDGET, FactKind, Value
from doorstep.contracts.feeds import FEED_DAYS, FEEDS, Offer
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.never import NeverNamed
from doorstep.contracts.topics import EVENTS, SERVICES, TOPIC_OF, TOPICS, audit_topic, feed_topic, produced_by

CHINESE = re.compile(r"[\u4e00-\u9fff]{2,}")
ENGLISH = re.compile(r"[A-Z][A-Za-z -]+")
CODE = re.compile(r"[a-z]+(-[a-z0-9]+)*")


def over_budget(kinds: type[IntEnum], used: set[int]) -> bool:
    return len(kinds) > KIND_BUDGET or not used <= {int(kind) for kind in kinds}


def test_the_catalogue_stays_within_its_budget_of_kinds() -> None:
    used = {int(fact.kind) for fact in CATALOGUE.values()}
    assert KIND_BUDGET == 12
    assert not over_budget(FactKind, used)
    assert used == {int(kind) for kind in FactKind}


def test_who_may_attest_what_is_listed() -> None:
    assert set(ATTESTS) == set(Department)
    codes = [code for some in ATTESTS.values() for code in some]
    assert len(codes) == len(set(codes))
    assert all(SaidBy.DEPARTMENT in CATALOGUE[code].said_by for code in codes)
    page = (Path(__file__).parents[2] / "docs" / "partners.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([a-z-]+) \| (none|`.+`) \|$", page, re.MULTILINE))
    assert {name: set(re.findall("`([^`]+)`", row)) for name, row in rows.items()} == ATTESTS


def test_a_thirteenth_kind_would_be_seen() -> None:
    more = IntEnum("FactKind", {**{kind.name: int(kind) for kind in FactKind}, "SHOPPING": 13})
    assert over_budget(more, {1})


@pytest.mark.parametrize(
    "code",
    [
        "petition.count", "rights.appeals", "identity.religion", "identity.ethnicity", "belief.political-party",
        "movement.location-trail", "identity.face", "identity.fingerprint", "person.score", "place.cameras",
        "wish.other",
    ],
)  # fmt: skip
def test_a_fact_or_need_named_by_what_must_never_be_known_is_refused(code: str) -> None:
    with pytest.raises(NeverNamed, match=re.escape(code)):
        replace(CATALOGUE["living.alone"], code=code)
    with pytest.raises(NeverNamed, match=re.escape(code)):
        replace(NEED_TYPES["legal-aid"], code=code)


@pytest.mark.parametrize("zh", ["信访次数", "宗教信仰", "民族", "活动轨迹", "人脸", "指纹", "居民积分", "犯罪记录"])
def test_such_a_name_is_refused_in_chinese_too(zh: str) -> None:
    with pytest.raises(NeverNamed):
        replace(CATALOGUE["living.alone"], zh=zh)


def test_a_choice_named_so_is_refused() -> None:
    with pytest.raises(NeverNamed):
        replace(CATALOGUE["dwelling.gas-hose"], choices=("sound", "religion"))


def test_facts_have_a_code_in_two_parts_and_choices_exactly_where_they_are_coded() -> None:
    for code, fact in CATALOGUE.items():
        assert code == fact.code
        assert [CODE.fullmatch(part) is not None for part in code.split(".")] == [True, True], code
        assert bool(fact.choices) is (fact.value is Value.CODE), code
        assert all(CODE.fullmatch(choice) for choice in fact.choices), code
        assert fact.said_by, code


def test_a_fact_takes_values_of_its_type_alone() -> None:
    alone, hose, income = (CATALOGUE[code] for code in ("living.alone", "dwelling.gas-hose", "income.monthly-per-head"))
    assert [alone.accepts(value) for value in (True, False, 1, "yes")] == [True, True, False, False]
    assert [hose.accepts(value) for value in ("expired", "lost", True, 1)] == [True, False, False, False]
    assert [income.accepts(value) for value in (0, 1_000_000, 1_000_001, -1, True, "0")] == [True, True] + [False] * 4


def test_whatever_is_shown_has_a_chinese_and_an_english_name() -> None:
    shown = [(fact.zh, fact.en) for fact in CATALOGUE.values()]
    shown += [(need.zh, need.en) for need in NEED_TYPES.values()]
    shown += list(DEPARTMENT_NAMES.values())
    assert set(DEPARTMENT_NAMES) == set(Department)
    assert [pair for pair in shown if not (CHINESE.fullmatch(pair[0]) and ENGLISH.fullmatch(pair[1]))] == []


def test_no_two_entries_of_a_table_have_one_name() -> None:
    for table in (CATALOGUE.values(), NEED_TYPES.values()):
        assert [zh for zh, times in Counter(entry.zh for entry in table).items() if times > 1] == []


def test_the_department_of_every_need_has_a_feed() -> None:
    for need in NEED_TYPES.values():
        assert need.department in FEEDS
        assert feed_topic(need.department) in TOPICS
        assert need.complete_days > 0
        assert need.respond_hours in (1, 24)


def test_every_wish_of_the_catalogue_is_a_need_that_somebody_answers_for() -> None:
    wishes = {code.removeprefix("wish.") for code in CATALOGUE if code.startswith("wish.")}
    assert wishes <= set(NEED_TYPES)


def test_feeds_show_fields_that_an_offer_has() -> None:
    optional = {name for name, field in Offer.model_fields.items() if not field.is_required()} - {"facts", "office"}
    for department, feed in FEEDS.items():
        assert feed.department is department
        assert feed.fields <= optional
        assert TOPICS[feed_topic(department)].retention_days == FEED_DAYS
    assert optional == frozenset().union(*(feed.fields for feed in FEEDS.values()))


def test_every_topic_has_one_producer_and_known_consumers() -> None:
    assert sorted(topic.name for service in SERVICES for topic in produced_by(service)) == sorted(TOPICS)
    for topic in TOPICS.values():
        assert topic.producer in SERVICES
        assert set(topic.groups) <= set(SERVICES) - {topic.producer}
        assert topic.events


def test_every_event_belongs_to_one_topic_and_says_so_in_its_name() -> None:
    homes = Counter(event for topic in TOPICS.values() for event in set(topic.events))
    families = {event: {name.partition(".")[0] for name, t in TOPICS.items() if event in t.events} for event in homes}
    assert all(len(family) == 1 for family in families.values())
    assert {event: times for event, times in homes.items() if times > 1 and event not in TOPIC_OF}.keys() == {
        event for event in EVENTS.values() if families[event] & {"feed", "audit"}
    }
    for name, event in EVENTS.items():
        assert re.fullmatch(r"[a-z]+\.[a-z-]+\.v[1-9]\d*", name)
        assert {name.partition(".")[0]} == families[event]


def test_every_other_service_submits_to_the_log_on_a_topic_of_its_own() -> None:
    entries = {name: topic for name, topic in TOPICS.items() if AuditEntrySubmitted in topic.events}
    assert set(entries) == {audit_topic(service) for service in SERVICES if service != "audit"}
    assert all(not topic.ordered and topic.groups == ("audit",) for topic in entries.values())


def test_feeds_are_read_by_departments_and_by_no_service() -> None:
    assert [name for name, topic in TOPICS.items() if name.startswith("feed.") and topic.groups] == []


def test_the_envelope_has_ids_and_times_and_nothing_personal() -> None:
    text = {name for name, field in Envelope.model_fields.items() if field.annotation in (str, str | None)}
    assert text == {"source", "type", "traceparent", "content_type"}
    assert Envelope.model_fields["key"].annotation is UUID
    assert Envelope.model_fields["subject"].annotation == UUID | None


def test_hunger_gas_no_heating_and_violence_are_answered_within_the_hour() -> None:
    of_an_hour = {code for code, need in NEED_TYPES.items() if need.respond_hours == 1}
    assert of_an_hour == {"emergency-food", "gas-leak", "no-heating", "protection-from-violence"}


def test_violence_legal_aid_and_mental_health_are_confidential() -> None:
    assert {code for code, need in NEED_TYPES.items() if need.confidential} == {
        "protection-from-violence", "legal-aid", "counselling",
    }  # fmt: skip
