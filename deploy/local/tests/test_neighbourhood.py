"""The made-up neighbourhood: the same from the same seed, and well formed throughout."""

import re
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.cn import ric

from doorstep.local.neighbourhood import Resident, age_on, family_name, make_neighbourhood, resident_id

TODAY = date(2026, 11, 21)
HOUSEHOLDS = make_neighbourhood(7, today=TODAY)
EVERYBODY = [resident for household in HOUSEHOLDS for resident in household.residents]


def test_two_hundred_households_come_out_of_a_seed_and_always_the_same() -> None:
    assert len(HOUSEHOLDS) == 200
    assert make_neighbourhood(7, today=TODAY) == HOUSEHOLDS
    assert make_neighbourhood(8, today=TODAY) != HOUSEHOLDS


def test_more_households_than_doors_are_refused() -> None:
    with pytest.raises(ValueError, match="288 doors"):
        make_neighbourhood(1, households=289, today=TODAY)


def test_no_two_share_an_address_a_resident_id_or_a_telephone() -> None:
    assert len({household.address for household in HOUSEHOLDS}) == len(HOUSEHOLDS)
    assert len({resident.resident_id for resident in EVERYBODY}) == len(EVERYBODY)
    phones = [resident.phone for resident in EVERYBODY if resident.phone]
    assert len(set(phones)) == len(phones)


@pytest.mark.parametrize("seed", range(5))
def test_every_resident_id_is_valid_and_tells_birth_and_sex(seed: int) -> None:
    for household in make_neighbourhood(seed, today=TODAY):
        for resident in household.residents:
            assert ric.validate(resident.resident_id) == resident.resident_id
            assert ric.get_birth_date(resident.resident_id) == resident.born <= TODAY
            assert (int(resident.resident_id[16]) % 2 == 1) == (resident.sex == "male")


@settings(deadline=None)
@given(st.dates(date(1900, 1, 1), TODAY), st.integers(1, 999))
def test_the_check_character_agrees_with_another_implementation(born: date, order: int) -> None:
    number = resident_id(born, order)
    assert number[-1] == ric.calc_check_digit(number)


def test_telephones_are_well_formed_and_unallotted() -> None:
    for resident in EVERYBODY:
        if resident.phone is not None:
            assert re.fullmatch(r"1[3-9]\d{9}", resident.phone)
            assert resident.phone.startswith("1690000")


def test_names_are_chinese_and_children_bear_the_name_of_the_head() -> None:
    for household in HOUSEHOLDS:
        head = household.residents[0]
        assert head.relation == "head"
        for resident in household.residents:
            assert re.fullmatch(r"[\u4e00-\u9fff]{2,4}", resident.name)
            if resident.relation == "child":
                assert family_name(resident.name) == family_name(head.name)


def ages(kind: str, relation: str) -> list[int]:
    chosen: list[Resident] = [
        resident
        for household in HOUSEHOLDS
        if household.kind == kind
        for resident in household.residents
        if resident.relation == relation
    ]
    return [age_on(TODAY, resident.born) for resident in chosen]


def test_ages_are_plausible() -> None:
    assert min(ages("older-alone", "head")) >= 66
    assert max(ages("tenants", "housemate")) <= 35
    for household in HOUSEHOLDS:
        head = household.residents[0]
        for resident in household.residents:
            years = age_on(TODAY, resident.born) - age_on(TODAY, head.born)
            if resident.relation == "child":
                assert years <= -22
            if resident.relation == "parent":
                assert years >= 22


@settings(deadline=None)
@given(st.dates(date(2020, 1, 1), date(2030, 12, 31)))
def test_any_day_can_be_today(today: date) -> None:
    for household in make_neighbourhood(1, households=3, today=today):
        for resident in household.residents:
            assert 0 <= age_on(today, resident.born) <= 92
