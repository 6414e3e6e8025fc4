"""When an epoch is due: at three in the night in Shanghai, and once a day."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.keystore.domain.night import due


@pytest.mark.parametrize(
    ("made_at", "expected"),
    [
        (datetime(2026, 11, 22, 8, 0, tzinfo=UTC), datetime(2026, 11, 22, 19, 0, tzinfo=UTC)),
        (datetime(2026, 11, 22, 18, 59, 59, tzinfo=UTC), datetime(2026, 11, 22, 19, 0, tzinfo=UTC)),
        (datetime(2026, 11, 22, 19, 0, tzinfo=UTC), datetime(2026, 11, 23, 19, 0, tzinfo=UTC)),
        (datetime(2026, 12, 31, 20, 0, tzinfo=UTC), datetime(2027, 1, 1, 19, 0, tzinfo=UTC)),
    ],
)
def test_it_is_the_next_three_o_clock_in_the_night(made_at: datetime, expected: datetime) -> None:
    assert due(made_at) == expected


@given(st.integers(0, 2**30))
def test_it_comes_within_a_day_and_never_at_once(seconds: int) -> None:
    made_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert timedelta(0) < due(made_at) - made_at <= timedelta(days=1)
