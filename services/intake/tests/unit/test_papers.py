"""Papers: the form and the check digit of each kind, and the old number brought into the new form."""

from datetime import UTC, date, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

from doorstep.intake.domain.papers import PaperInvalid, PaperKind, check_digit, normalised
from doorstep.local.neighbourhood import make_neighbourhood

TODAY = date(2026, 11, 21)
PUBLISHED = "11010519491231002X"  # the example of GB 11643-1999
SPECIMEN_CARD = "911124198108030024"  # the specimen of the permanent residence card of 2023

birthdays = st.dates(date(1900, 1, 1), TODAY)
districts = st.integers(110000, 659999)
orders = st.integers(0, 999)


def numbered(district: int, born: date, order: int) -> str:
    first17 = f"{district}{born:%Y%m%d}{order:03}"
    return first17 + check_digit(first17)


def test_the_published_example_is_genuine_also_in_small_letters_and_with_space_around_it() -> None:
    assert normalised(PaperKind.RESIDENT_ID, f" {PUBLISHED.lower()}\t", today=TODAY) == PUBLISHED


@given(districts, birthdays, orders)
def test_every_number_with_a_date_and_its_check_digit_is_kept_as_it_is(district: int, born: date, order: int) -> None:
    number = numbered(district, born, order)
    assert normalised(PaperKind.RESIDENT_ID, number, today=TODAY) == number
    assert ric.calc_check_digit(number) == number[17]


@given(districts, birthdays, orders, st.integers(0, 17), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(district: int, born: date, order: int, place: int, by: int) -> None:
    number = numbered(district, born, order)
    digits = "0123456789" if place < 17 else "0123456789X"
    wrong = number[:place] + digits[(digits.index(number[place]) + by) % len(digits)] + number[place + 1 :]
    with pytest.raises(PaperInvalid):
        normalised(PaperKind.RESIDENT_ID, wrong, today=TODAY)


@given(districts, birthdays, orders, st.integers(0, 15))
def test_two_neighbours_that_changed_places_are_found(district: int, born: date, order: int, place: int) -> None:
    number = numbered(district, born, order)
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    if swapped != number:
        with pytest.raises(PaperInvalid):
            normalised(PaperKind.RESIDENT_ID, swapped, today=TODAY)


@given(districts, st.dates(date(1900, 1, 1), date(1999, 12, 31)), orders)
def test_a_number_of_15_digits_is_brought_to_18(district: int, born: date, order: int) -> None:
    old = f"{district}{born:%y%m%d}{order:03}"
    assert normalised(PaperKind.RESIDENT_ID, old, today=TODAY) == numbered(district, born, order)


def test_the_made_up_neighbourhood_has_genuine_numbers() -> None:
    for household in make_neighbourhood(3, households=30, today=TODAY):
        for resident in household.residents:
            assert normalised(PaperKind.RESIDENT_ID, resident.resident_id, today=TODAY) == resident.resident_id


@pytest.mark.parametrize(
    ("born", "english"),
    [
        ("19490231", "the date of birth does not exist"),
        ("19491301", "the date of birth does not exist"),
        ("00000000", "the date of birth does not exist"),
        ("20261122", "the date of birth cannot be"),
        ("18600101", "the date of birth cannot be"),
    ],
)
def test_a_date_of_birth_that_cannot_be_is_said_so(born: str, english: str) -> None:
    first17 = f"110105{born}002"
    with pytest.raises(PaperInvalid) as refused:
        normalised(PaperKind.RESIDENT_ID, first17 + check_digit(first17), today=TODAY)
    assert refused.value.args[1] == english


def test_who_was_born_today_has_a_number() -> None:
    number = numbered(110105, TODAY, 2)
    assert normalised(PaperKind.RESIDENT_ID, number, today=TODAY) == number


@pytest.mark.parametrize("district", [810000, 820000, 830000])
def test_permits_for_hong_kong_macau_and_taiwan_are_built_like_the_resident_id(district: int) -> None:
    number = numbered(district, date(1980, 5, 6), 7)
    assert normalised(PaperKind.RESIDENCE_PERMIT, number, today=TODAY) == number
    with pytest.raises(PaperInvalid):
        normalised(PaperKind.RESIDENCE_PERMIT, number[:17] + ("0" if number[17] != "0" else "1"), today=TODAY)


@pytest.mark.parametrize("district", [840000, 710000, 110105, 810001])
def test_a_permit_begins_with_one_of_three_districts(district: int) -> None:
    with pytest.raises(PaperInvalid):
        normalised(PaperKind.RESIDENCE_PERMIT, numbered(district, date(1980, 5, 6), 7), today=TODAY)


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (PaperKind.PERMANENT_RESIDENCE, SPECIMEN_CARD),
        (PaperKind.PERMANENT_RESIDENCE, "CAN110081080310"),
        (PaperKind.PASSPORT, "E12345678"),
        (PaperKind.BIRTH_CERTIFICATE, "U110123456"),
        (PaperKind.HOUSEHOLD_BOOK, "00712345"),
    ],
)
def test_other_papers_have_their_own_form(kind: PaperKind, number: str) -> None:
    assert normalised(kind, number.lower(), today=TODAY) == number


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (PaperKind.PERMANENT_RESIDENCE, SPECIMEN_CARD[:17] + "5"),
        (PaperKind.PERMANENT_RESIDENCE, "911124198113030024"),
        (PaperKind.PERMANENT_RESIDENCE, "CA1110081080310"),
        (PaperKind.PERMANENT_RESIDENCE, PUBLISHED),
        (PaperKind.PASSPORT, "E1"),
        (PaperKind.PASSPORT, "E1234 5678"),
        (PaperKind.BIRTH_CERTIFICATE, "1234567890"),
        (PaperKind.HOUSEHOLD_BOOK, "1/2"),
        (PaperKind.NONE, "1"),
        (PaperKind.RESIDENT_ID, ""),
        (PaperKind.RESIDENT_ID, "1" * 17),
        (PaperKind.RESIDENT_ID, "X" * 18),
        (PaperKind.RESIDENT_ID, "１１０１０５１９４９１２３１００２X"),
        (PaperKind.RESIDENT_ID, "١١٠١٠٥١٩٤٩١٢٣١٠٠٢X"),
        (PaperKind.RESIDENT_ID, PUBLISHED + "\n0"),
    ],
)
def test_what_has_not_the_form_is_refused(kind: PaperKind, number: str) -> None:
    with pytest.raises(PaperInvalid):
        normalised(kind, number, today=TODAY)


@given(st.sampled_from(PaperKind), st.text(max_size=40))
def test_whatever_is_written_is_kept_in_ascii_or_refused(kind: PaperKind, number: str) -> None:
    try:
        kept = normalised(kind, number, today=TODAY)
    except PaperInvalid as refused:
        zh, en = refused.args
        assert zh
        assert en
        assert len(number.strip()) < 8 or number.strip() not in zh + en
    else:
        assert kept.isascii()
        assert normalised(kind, kept, today=TODAY) == kept


def test_the_rules_read_no_clock() -> None:
    number = numbered(110105, date(2025, 1, 1), Random(1).randrange(1000))
    with pytest.raises(PaperInvalid):
        normalised(PaperKind.RESIDENT_ID, number, today=datetime(2024, 1, 1, tzinfo=UTC).date())
