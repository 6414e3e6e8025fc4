"""Choosing: one office for a need, the same each time, and a reason for each of the others."""

from datetime import UTC, datetime, time, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import Department
from doorstep.referral.domain.choosing import Asked, WhyNot, choose
from doorstep.referral.domain.directory import Comparison, Condition, Directory, Hours, Office
from doorstep.referral.domain.explaining import WORDS, verdict, why

NIGHT = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
BEIJING = timezone(timedelta(hours=8))
BY_DAY = (Hours(frozenset(range(5)), time(9), time(17), BEIJING),)
NEED = "wiring-repair"


def office(number, **more):
    return Office(UUID(int=number), f"办事处 {number}", Department.FIRE, frozenset({NEED}), **more)


def chosen(*offices, load=None, need=NEED, station="station-7", urgent=False, language=None, **facts):
    """The number of the office that is chosen, and why not the others."""
    directory = Directory("1", "", tuple(sorted(offices, key=lambda one: one.id)))
    known = {code.replace("_", "."): value for code, value in facts.items()}
    asked = Asked(need, station, NIGHT, urgent, known, language)
    choice = choose(directory, asked, {UUID(int=number): count for number, count in (load or {}).items()})
    others = {one.office.id.int: one.why_not for one in choice.considered if one.why_not is not None}
    return choice.office.id.int if choice.office else None, others


def test_each_reason_to_be_left_out_is_told() -> None:
    unsafe = Condition("dwelling.wiring", Comparison.IS, "unsafe")
    assert chosen(
        office(1, stations=frozenset({"station-9"})),
        office(2, conditions=(unsafe,)),
        office(3, takes=False),
        office(4, capacity=2),
        Office(UUID(int=5), "x", Department.FIRE, frozenset({"gas-leak"})),
        office(6, stations=frozenset({"station-7"})),
        load={4: 2},
        dwelling_wiring="sound",
    ) == (6, {1: WhyNot.AREA, 2: WhyNot.CONDITION, 3: WhyNot.NOT_NOW, 4: WhyNot.FULL, 5: WhyNot.NEED_TYPE})


@pytest.mark.parametrize(
    ("comparison", "value", "held"),
    [(Comparison.AT_LEAST, 3, True), (Comparison.AT_LEAST, 4, False), (Comparison.AT_MOST, 3, True),
     (Comparison.AT_MOST, 2, False), (Comparison.IS, 3, True), (Comparison.IS, 2, False)],
)  # fmt: skip
def test_a_fact_is_compared_and_one_that_is_not_there_is_no_no(comparison, value, held) -> None:
    family = Condition("together.family", comparison, value)
    assert family.holds({"together.family": 3}) is held
    assert family.holds({}) is None
    assert chosen(office(1, conditions=(family,))) == (1, {})


def test_the_least_load_takes_it_then_the_order_of_ids() -> None:
    assert chosen(office(1), office(2), office(3), load={1: 3, 2: 1, 3: 1}) == (
        2, {1: WhyNot.MORE_LOAD, 3: WhyNot.LATER_IN_ORDER},
    )  # fmt: skip


def test_where_an_hour_is_all_there_is_who_is_open_goes_first() -> None:
    by_day, always = office(1, hours=BY_DAY), office(2)
    assert chosen(by_day, always, load={2: 9}) == (1, {2: WhyNot.MORE_LOAD})
    assert chosen(by_day, always, load={2: 9}, urgent=True) == (2, {1: WhyNot.CLOSED})
    assert chosen(by_day, urgent=True) == (1, {})


@pytest.mark.parametrize(
    ("language", "number"), [("sign", 2), ("dialect", 3), ("foreign", 4), ("mandarin", 1), (None, 1)]
)
def test_who_speaks_the_persons_language_goes_first_and_nobody_is_refused_for_it(language, number) -> None:
    offices = office(1), office(2, languages=("zh", "csl")), office(3, languages=("yue",)), office(4, languages=("en",))
    taker, others = chosen(*offices, load={number: 9} if number > 1 else {}, language=language)
    assert taker == number
    reason = WhyNot.LATER_IN_ORDER if number == 1 else WhyNot.LANGUAGE
    assert set(others.values()) == {reason}
    assert chosen(office(1), office(2), load={1: 1}, language=language) == (2, {1: WhyNot.MORE_LOAD})
    night = chosen(office(1, hours=BY_DAY, languages=("csl",)), office(2), urgent=True, language="sign")
    assert night == (2, {1: WhyNot.CLOSED})


def test_who_is_full_or_takes_nothing_hands_over_also_beyond_its_area() -> None:
    far = office(3, stations=frozenset({"station-9"}))
    line = office(1, takes=False, hands_to=UUID(int=2)), office(2, capacity=0, hands_to=UUID(int=3)), far
    assert chosen(*line) == (3, {1: WhyNot.NOT_NOW, 2: WhyNot.FULL})
    assert chosen(far) == (None, {3: WhyNot.AREA})
    other = Office(UUID(int=4), "x", Department.FIRE, frozenset({"gas-leak"}))
    assert chosen(office(1, takes=False, hands_to=UUID(int=4)), other)[0] is None


def test_what_no_office_takes_is_nobodys_and_says_so() -> None:
    directory = Directory("1", "", (office(1, takes=False),))
    choice = choose(directory, Asked(NEED, "station-7", NIGHT), {})
    assert choice.office is None
    assert "人工" in verdict(choice)[0]


def test_every_reason_has_its_words() -> None:
    assert set(WORDS) == set(WhyNot)
    shifted = office(1, takes=False, hands_to=UUID(int=2)), office(2, stations=frozenset())
    choice = choose(Directory("1", "", shifted), Asked(NEED, "station-7", NIGHT), {})
    names = {str(one.id): one.name for one in shifted}
    assert [why(one, names)[0] for one in choice.considered] == ["暂停受理", "受理（由 办事处 1 移交）"]


OFFICES = st.lists(
    st.builds(
        office,
        st.integers(1, 40),
        stations=st.sampled_from([None, frozenset({"station-7"}), frozenset({"station-9"})]),
        capacity=st.sampled_from([None, 0, 2, 5]),
        takes=st.booleans(),
        hands_to=st.none() | st.integers(1, 40).map(lambda number: UUID(int=number)),
        hours=st.sampled_from([(), BY_DAY]),
    ),
    max_size=6,
    unique_by=lambda one: one.id,
)


@given(OFFICES, st.dictionaries(st.integers(1, 40), st.integers(0, 6)), st.booleans())
def test_whatever_the_directory_one_takes_it_or_nobody_can(offices, load, urgent) -> None:
    """Also where offices hand over in circles, which no directory that was read has."""
    taker, others = chosen(*offices, load=load, urgent=urgent)
    assert set(others) == {one.id.int for one in offices} - {taker}
    if taker is None:
        assert set(others.values()) <= {WhyNot.AREA, WhyNot.NOT_NOW, WhyNot.FULL}
    else:
        [one] = [one for one in offices if one.id.int == taker]
        assert one.takes
        assert one.capacity is None or load.get(taker, 0) < one.capacity
    assert chosen(*reversed(offices), load=load, urgent=urgent) == (taker, others)
