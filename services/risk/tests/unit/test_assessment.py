"""What the rules find on one subject."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from doorstep.contracts.codes import LegalBasis, SaidBy
from doorstep.contracts.facts import CATALOGUE, Fact, FactType, FactValue, SubjectKind, Value
from doorstep.contracts.needs import NEED_TYPES
from doorstep.risk.domain.assessment import Assessment, assess, spoken
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import parse_pack, published_pack

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
PACK = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)
BOTH = """
id: both
title: {zh: 试, en: Test}
valid_from: 2026-01-01
rules:
  - id: low-income
    title: {zh: 试, en: Test}
    subject: person
    reads: [income.monthly-per-head, benefits.minimum-living]
    when: income.monthly_per_head < 600 && !benefits.minimum_living
    need: minimum-living-allowance
    urgency: day
  - id: either
    title: {zh: 试, en: Test}
    subject: person
    reads: [work.seeking, work.wages-unpaid]
    when: work.seeking || work.wages_unpaid
    need: work-training
    urgency: day
"""


def fact(code: str, value: FactValue = True, **rest: object) -> Fact:
    shape = {"said_by": SaidBy.PERSON, "legal_basis": LegalBasis.CONSENT, "since": NOW - timedelta(days=1)}
    return Fact(fact_id=uuid4(), code=code, value=value, **{**shape, **rest})


def found(assessment: Assessment) -> dict[str, bool]:
    return {finding.need.need_type: finding.need.wanted for finding in assessment.findings}


def on_person(*facts: Fact) -> Assessment:
    return assess(PACK, SubjectKind.PERSON, facts, at=NOW)


def test_a_wish_is_wanted_and_an_illness_is_suggested() -> None:
    assessment = on_person(fact("wish.legal-aid"), fact("health.chronic-illness"))
    assert found(assessment) == {"legal-aid": True, "chronic-illness-follow-up": False}


def test_the_language_is_what_was_stated_last_and_is_in_force() -> None:
    before, after = timedelta(days=2), timedelta(hours=1)
    stated = [fact("access.language", "sign"), fact("access.language", "dialect", since=NOW - before)]
    assert spoken(stated, at=NOW) == "sign"
    assert spoken([fact("access.language", "foreign", until=NOW - after)], at=NOW) is None
    assert spoken([fact("living.alone")], at=NOW) is None


def test_a_need_names_its_rule_and_carries_the_facts_read_and_no_others() -> None:
    read, unread = fact("wish.legal-aid"), fact("living.alone")
    (finding,) = on_person(read, unread).findings
    assert finding.need.rule == "wish-legal-aid"
    assert [used.fact_id for used in finding.need.facts] == [read.fact_id]
    assert finding.facts == (read,)


def test_a_fact_that_says_no_gives_no_need_and_counts_as_known() -> None:
    assessment = on_person(fact("wish.legal-aid", False))
    assert not assessment.findings
    assert "wish-legal-aid" not in {rule.rule for rule in assessment.not_evaluated}


def test_a_missing_fact_is_named_and_is_not_taken_for_no() -> None:
    assessment = on_person()
    assert not assessment.findings
    missing = {rule.rule: rule.missing for rule in assessment.not_evaluated}
    assert missing["chronic-illness-follow-up"] == ("health.chronic-illness",)
    assert set(missing) == {rule.rule.id for rule in PACK.rules if rule.rule.subject is SubjectKind.PERSON}


def test_rules_of_another_kind_of_subject_are_not_asked() -> None:
    assessment = assess(PACK, SubjectKind.PLACE, [fact("place.e-bike-charging")], at=NOW)
    assert found(assessment) == {"stairwell-charging": False}
    assert [rule.rule for rule in assessment.not_evaluated] == ["exit-blocked"]


def test_a_fact_that_has_run_out_is_missing() -> None:
    assessment = on_person(fact("wish.legal-aid", until=NOW))
    assert not assessment.findings
    assert ("wish.legal-aid",) in {rule.missing for rule in assessment.not_evaluated}


def test_a_code_stated_twice_fires_on_the_statement_that_says_so() -> None:
    sound, cracked = fact("dwelling.gas-hose", "sound"), fact("dwelling.gas-hose", "cracked")
    (finding,) = assess(PACK, SubjectKind.DWELLING, [sound, cracked], at=NOW).findings
    assert finding.facts == (cracked,)


def test_what_is_wanted_goes_before_what_is_suggested_of_the_same_type() -> None:
    assessment = on_person(fact("work.wages-unpaid"), fact("wish.wage-help"))
    assert found(assessment) == {"wage-help": True}
    assert assessment.findings[0].need.rule == "wish-wage-help"


def test_a_rule_of_two_facts_needs_both_even_where_one_would_decide() -> None:
    pack = compile_pack(parse_pack(BOTH), CATALOGUE, NEED_TYPES)
    income, benefit = fact("income.monthly-per-head", 300), fact("benefits.minimum-living", False)
    assert found(assess(pack, SubjectKind.PERSON, [income, benefit], at=NOW)) == {"minimum-living-allowance": False}
    for facts, missing in (([income], "benefits.minimum-living"), ([benefit], "income.monthly-per-head")):
        assessment = assess(pack, SubjectKind.PERSON, facts, at=NOW)
        assert not assessment.findings
        assert assessment.not_evaluated[0].missing == (missing,)
    either = assess(pack, SubjectKind.PERSON, [fact("work.seeking")], at=NOW)
    assert not either.findings
    assert either.not_evaluated[1].missing == ("work.wages-unpaid",)


def values(entry: FactType) -> st.SearchStrategy[FactValue]:
    if entry.value is Value.YES_NO:
        return st.booleans()
    return st.sampled_from(entry.choices) if entry.value is Value.CODE else st.integers(0, 10_000)


def facts_about(kind: SubjectKind) -> st.SearchStrategy[list[Fact]]:
    entries = [entry for entry in CATALOGUE.values() if entry.subject is kind]
    stated = st.sampled_from(entries).flatmap(lambda entry: st.builds(fact, st.just(entry.code), values(entry)))
    return st.lists(stated, max_size=12, unique_by=lambda one: one.code)


@settings(deadline=None)
@given(st.sampled_from(list(SubjectKind)).flatmap(lambda kind: st.tuples(st.just(kind), facts_about(kind))), st.data())
def test_taking_a_fact_away_takes_away_its_need_and_no_other(
    drawn: tuple[SubjectKind, list[Fact]], data: st.DataObject
) -> None:
    kind, facts = drawn
    before = {finding.need.need_type: finding for finding in assess(PACK, kind, facts, at=NOW).findings}
    if not facts:
        assert not before
        return
    gone = data.draw(st.sampled_from(facts))
    rest = [one for one in facts if one is not gone]
    after = {finding.need.need_type for finding in assess(PACK, kind, rest, at=NOW).findings}
    resting_on_it = {need for need, finding in before.items() if gone in finding.facts}
    assert after <= set(before)
    assert set(before) - after <= resting_on_it
    assert all(rests_on_another(before[need].need.need_type, rest) for need in resting_on_it & after)


def rests_on_another(need: str, facts: list[Fact]) -> bool:
    """Whether another fact of those left asks for the same need."""
    other = {"wage-help": "work.wages-unpaid", "work-training": "work.seeking"}
    return any(one.code == other.get(need) and one.value is True for one in facts)


@settings(deadline=None)
@given(st.sampled_from(list(SubjectKind)).flatmap(lambda kind: st.tuples(st.just(kind), facts_about(kind))))
def test_every_rule_of_the_kind_is_accounted_for(drawn: tuple[SubjectKind, list[Fact]]) -> None:
    kind, facts = drawn
    assessment = assess(PACK, kind, facts, at=NOW)
    known = {one.code for one in facts}
    for rule in (one.rule for one in PACK.rules if one.rule.subject is kind):
        missing = set(rule.reads) - known
        assert (rule.id in {one.rule for one in assessment.not_evaluated}) == bool(missing)
    ids: list[UUID] = [used.fact_id for finding in assessment.findings for used in finding.need.facts]
    assert set(ids) <= {one.fact_id for one in facts}
