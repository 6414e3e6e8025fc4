"""How a one-time code is written and read, and from which day on somebody has one of their own."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.ages import of_age_on
from doorstep.gateway.domain.sign_in_code import read, written


@given(st.binary(min_size=5, max_size=16))
def test_a_code_is_two_groups_of_letters_that_nobody_mistakes(drawn: bytes) -> None:
    code = written(drawn)
    assert len(code) == 9
    assert code[4] == "-"
    assert set(code) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-")
    assert int.from_bytes(drawn[:5]) == sum(
        "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter) << 5 * place for place, letter in enumerate(read(code)[::-1])
    )


@given(st.binary(min_size=5, max_size=5))
def test_a_code_is_read_however_it_is_typed(drawn: bytes) -> None:
    code = written(drawn)
    for typed in (
        code.lower(), code.replace("-", ""), f"  {code[:2]} {code[2:]} ", code.replace("0", "o").replace("1", "l"),
        code.replace("1", "I"), "－".join(code.split("-")),
    ):  # fmt: skip
        assert read(typed) == read(code)


@pytest.mark.parametrize(
    ("kind", "number", "year", "day"),
    [
        ("resident-id", "11010120121122001X", None, date(2026, 11, 22)),
        ("residence-permit", "810000201211230011", 1950, date(2026, 11, 23)),
        ("permanent-residence", "911000201202290013", None, date(2026, 3, 1)),
        ("permanent-residence", "ABC110002012022", 2012, date(2026, 12, 31)),
        ("passport", "E20121122001234567", None, None),
        ("resident-id", "110101201213990014", 2012, date(2026, 12, 31)),
        ("birth-certificate", None, 2012, date(2026, 12, 31)),
        (None, None, 1_000_000, None),
        (None, None, None, None),
    ],
)
def test_the_day_from_which_somebody_has_a_code_of_their_own(
    kind: str | None, number: str | None, year: int | None, day: date | None
) -> None:
    assert of_age_on(kind, number, year) == day
