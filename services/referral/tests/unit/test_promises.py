"""Promises: of papers that were listed, until a day from today on, at most sixty days ahead."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.papers import Paper
from doorstep.referral.domain.deadline_errors import DayRefused, NothingListed, PaperNotListed
from doorstep.referral.domain.promises import promise

LATE = datetime(2026, 3, 2, 16, 30, tzinfo=UTC)
"""Half past midnight of the third, in Shanghai."""
TODAY = datetime(2026, 3, 3, tzinfo=UTC).date()
some_papers = st.sets(st.sampled_from(Paper), min_size=1)


@given(listed=some_papers, papers=some_papers, ahead=st.integers(-400, 400))
def test_what_is_promised_was_listed_and_its_day_is_near(listed, papers, ahead) -> None:
    day = TODAY + timedelta(days=ahead)
    if not papers <= listed:
        with pytest.raises(PaperNotListed):
            promise(papers, day, listed=listed, now=LATE)
    elif not 0 <= ahead <= 60:
        with pytest.raises(DayRefused):
            promise(papers, day, listed=listed, now=LATE)
    else:
        made = promise([*papers, *papers], day, listed=listed, now=LATE)
        assert (made.papers, made.until) == (tuple(sorted(papers)), day)


def test_where_nothing_was_listed_nothing_is_promised() -> None:
    with pytest.raises(NothingListed):
        promise([Paper.LEASE_CONTRACT], TODAY, listed=(), now=LATE)
