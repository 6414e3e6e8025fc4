"""The published rule pack, and every way in which a wrong one is refused at load."""

import re
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from doorstep.contracts.codes import LegalBasis, SaidBy, Urgency
from doorstep.contracts.facts import CATALOGUE, Fact, FactKind
from doorstep.contracts.needs import NEED_TYPES
from doorstep.risk.domain.assessment import assess
from doorstep.risk.domain.compiler import CompiledPack, compile_pack
from doorstep.risk.domain.pack import parse_pack, published_pack
from doorstep.risk.errors import InvalidPack, RuleFailed

ROW = """
id: test-1
title: {zh: 试, en: Test}
valid_from: 2026-01-01
rules:
  - id: only
    title: {zh: 试, en: Test}
    subject: dwelling
    reads: [dwelling.gas-hose]
    when: dwelling.gas_hose == 'cracked'
    need: gas-hose-replacement
    urgency: day
"""


def compiled(text: str) -> CompiledPack:
    return compile_pack(parse_pack(text), CATALOGUE, NEED_TYPES)


def test_the_published_pack_compiles() -> None:
    pack = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)
    assert re.fullmatch(r"2026-1@[0-9a-f]{64}", pack.name)


def test_every_need_type_and_every_wish_has_a_rule() -> None:
    rules = published_pack().rules
    assert {rule.need for rule in rules} == set(NEED_TYPES)
    wishes = {code for code, fact in CATALOGUE.items() if fact.kind is FactKind.WISHES}
    assert wishes <= {code for rule in rules for code in rule.reads}


def test_only_wishes_are_wanted_and_each_leads_to_the_service_of_its_name() -> None:
    for rule in compile_pack(published_pack(), CATALOGUE, NEED_TYPES).rules:
        assert rule.wanted == rule.rule.reads[0].startswith("wish.")
        if rule.wanted:
            assert rule.rule.reads == (f"wish.{rule.rule.need}",)


def test_every_published_rule_reads_one_fact_and_is_as_urgent_as_its_need() -> None:
    for rule in published_pack().rules:
        assert len(rule.reads) == 1
        assert rule.urgency is NEED_TYPES[rule.need].urgency


def test_the_digest_names_the_content_and_not_the_layout() -> None:
    pack = parse_pack(ROW)
    assert parse_pack("# a comment\n" + ROW).digest() == pack.digest()
    assert parse_pack(ROW.replace("cracked", "expired")).digest() != pack.digest()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("dwelling.gas_hose ==", "dwelling.gas_hse =="), "undeclared reference"),
        (("== 'cracked'", "== 3"), "no matching overload"),
        (("== 'cracked'", "== 'craked'"), "'craked' is no value of"),
        (("== 'cracked'", "in ['cracked', \"old\"]"), "'old' is no value of"),
        (("== 'cracked'", "=="), "Syntax error"),
        (("dwelling.gas_hose == 'cracked'", "dwelling.gas_hose"), "does not say yes or no"),
        (("dwelling.gas_hose == 'cracked'", "dwelling.gas_hose != ''"), "is no value of"),
        (("dwelling.gas_hose == 'cracked'", "size(dwelling.gas_hose) > 0"), "fires whatever"),
        (("dwelling.gas_hose == 'cracked'", "size(dwelling.gas_hose) > 99"), "never fires"),
        (("[dwelling.gas-hose]", "[dwelling.gas-hose, dwelling.wiring]"), "reads dwelling.wiring for nothing"),
        (("[dwelling.gas-hose]", "[dwelling.gas-hoses]"), "not in the fact catalogue"),
        (("[dwelling.gas-hose]", "[living.alone]"), "not a fact about a dwelling"),
        (("[dwelling.gas-hose]", "[]"), "too_short"),
        (("need: gas-hose-replacement", "need: petition"), "not a need type"),
        (("need: gas-hose-replacement", "need: legal-aid"), "owed to a person"),
        (("need: gas-hose-replacement", "need: gas-leak"), "within one hour"),
        (("urgency: day", "urgency: soon"), "urgency"),
        (("urgency: day", "urgency: day\n    score: 3"), "score"),
        (("urgency: day", "urgency: day\n    urgency: day"), "stands twice"),
        (("urgency: day", ""), "urgency"),
        (("id: only", "id: Only"), "id"),
        (("rules:", "rules: ["), "parsing"),
    ],
)
def test_a_wrong_pack_is_refused_at_load(wrong: tuple[str, str], said: str) -> None:
    before, after = wrong
    assert before in ROW
    with pytest.raises(InvalidPack, match=re.escape(said)):
        compiled(ROW.replace(before, after))


def test_two_rules_of_one_id_are_refused() -> None:
    row = ROW[ROW.index("  - id: only") :]
    with pytest.raises(InvalidPack, match="same id"):
        compiled(ROW + row)


def test_a_pack_that_is_not_there_or_has_another_name_is_refused() -> None:
    with pytest.raises(InvalidPack, match="no rule pack"):
        published_pack("1999-1")


def test_a_value_outside_the_catalogue_is_a_failure_and_never_an_answer() -> None:
    rule = compiled(ROW).rules[0]
    for value in ("melted", True, 1):
        with pytest.raises(RuleFailed, match=r"dwelling\.gas-hose"):
            rule.holds({"dwelling.gas-hose": value})


def test_an_expression_without_an_answer_is_a_failure_although_its_text_is_truthy() -> None:
    count = ROW.replace("dwelling.gas-hose", "income.monthly-per-head").replace("subject: dwelling", "subject: person")
    count = count.replace("dwelling.gas_hose == 'cracked'", "10000 / income.monthly_per_head > 20")
    count = count.replace("gas-hose-replacement", "temporary-relief")
    pack = compiled(count)
    assert pack.rules[0].holds({"income.monthly-per-head": 100})
    fact = Fact(
        fact_id=uuid4(),
        code="income.monthly-per-head",
        value=0,
        said_by=SaidBy.PERSON,
        legal_basis=LegalBasis.CONSENT,
        since=datetime(2026, 1, 1, tzinfo=UTC),
    )
    with pytest.raises(RuleFailed, match="no answer"):
        assess(pack, pack.rules[0].rule.subject, [fact], at=datetime(2026, 2, 1, tzinfo=UTC))


def test_a_more_urgent_answer_than_the_contracts_ask_for_is_allowed() -> None:
    assert compiled(ROW.replace("urgency: day", "urgency: one-hour")).rules[0].rule.urgency is Urgency.ONE_HOUR
