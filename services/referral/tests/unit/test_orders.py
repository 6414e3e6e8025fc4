"""What a hotline is told, what binds beside its clock, when an order is returned and when it may take longer."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import TaskState
from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.orders import ORDERED, OrderNews, is_withheld
from doorstep.kit import calendar
from doorstep.referral.domain.deadlines import DueTimes
from doorstep.referral.domain.order_errors import (
    ExtensionPending,
    NoMoreExtensions,
    OrderAccepted,
    OrderOverdue,
    OrderRefused,
    ReturnTooLate,
    TermRefused,
)
from doorstep.referral.domain.orders import (
    ACCEPTED,
    CLOSED,
    CLOSING,
    bound,
    check_extension,
    check_return,
    news,
    standing,
)

FRIDAY = datetime(2026, 3, 6, 6, 0, tzinfo=UTC)
STATES = st.lists(st.sampled_from(TaskState), max_size=4)
DAY = timedelta(days=1)


@given(STATES)
def test_an_order_is_closed_when_all_that_answers_it_is_and_never_before(states) -> None:
    assert (standing(states) in CLOSING) == (bool(states) and all(state in CLOSED for state in states))


@given(STATES)
def test_nothing_is_accepted_that_no_department_accepted(states) -> None:
    if standing(states) is OrderNews.ACCEPTED:
        assert ACCEPTED.intersection(states)


@given(st.lists(st.tuples(STATES, st.booleans()), max_size=8))
def test_whatever_is_seen_between_looks_no_step_is_told_twice_or_left_out(seen) -> None:
    told = [OrderNews.RECEIVED]
    for states, accepted in seen:
        told += news(told[-1], standing(states), accepted=accepted)
    after = {
        OrderNews.RECEIVED: {OrderNews.ACCEPTED, OrderNews.ENDED},
        OrderNews.REOPENED: {OrderNews.ACCEPTED, OrderNews.ENDED},
        OrderNews.ACCEPTED: {OrderNews.DONE, OrderNews.ENDED},
        OrderNews.DONE: {OrderNews.REOPENED},
        OrderNews.ENDED: {OrderNews.REOPENED},
    }
    assert all(later in after[sooner] for sooner, later in pairwise(told))


@given(st.timedeltas(-DAY * 9, DAY * 9))
def test_the_earlier_time_binds_and_none_is_later_than_our_own(shift) -> None:
    due = DueTimes(FRIDAY + DAY, FRIDAY + 5 * DAY, provisional=False)
    seen = bound(due, FRIDAY + shift)
    assert seen.response == min(due.response, FRIDAY + shift)
    assert seen.completion == min(due.completion, FRIDAY + shift)
    assert bound(due, None) == due


@pytest.mark.parametrize(
    ("state", "later", "refusal"),
    [
        (TaskState.REQUESTED, timedelta(), None),
        (TaskState.REJECTED, timedelta(days=3, hours=9, minutes=59), None),  # a weekend lies between
        (TaskState.DRAFT, timedelta(days=3, hours=10, minutes=1), ReturnTooLate),
        (TaskState.ACCEPTED, timedelta(), OrderAccepted),
        (TaskState.COMPLETED, timedelta(), OrderAccepted),
    ],
)
def test_an_order_is_returned_within_a_working_day_and_before_it_is_accepted(state, later, refusal) -> None:
    if refusal is None:
        check_return([state], FRIDAY, FRIDAY + later, calendar.worked)
    else:
        with pytest.raises(refusal):
            check_return([TaskState.REQUESTED, state], FRIDAY, FRIDAY + later, calendar.worked)


@pytest.mark.parametrize(
    ("now", "until", "asked", "refusal"),
    [
        (FRIDAY - DAY, FRIDAY + DAY, [], None),
        (FRIDAY - DAY, FRIDAY + DAY, [False], None),
        (FRIDAY, FRIDAY + DAY, [], OrderOverdue),
        (FRIDAY - DAY, FRIDAY, [], TermRefused),
        (FRIDAY - DAY, FRIDAY + 367 * DAY, [], TermRefused),
        (FRIDAY - DAY, FRIDAY + DAY, [None], ExtensionPending),
        (FRIDAY - DAY, FRIDAY + DAY, [True, False], NoMoreExtensions),
    ],
)
def test_more_time_is_asked_for_in_time_once_at_a_time_and_twice(now, until, asked, refusal) -> None:
    if refusal is None:
        check_extension(FRIDAY, until, asked, now)
    else:
        with pytest.raises(refusal) as caught:
            check_extension(FRIDAY, until, asked, now)
        assert isinstance(caught.value, OrderRefused)


def test_what_is_confidential_or_of_health_or_justice_is_withheld_and_the_unknown_too() -> None:
    withheld = {code for code in NEED_TYPES if is_withheld(code)}
    assert {"legal-aid", "protection-from-violence", "health-advice", "mediation"} <= withheld
    assert not {"wage-help", "no-heating", "housing-repair"} & withheld
    assert is_withheld("a-need-of-tomorrow")


def test_what_an_order_names_is_a_need_with_a_fact_and_nothing_that_is_asked_alone() -> None:
    for need_type, (code, value) in ORDERED.items():
        assert CATALOGUE[code].accepts(value)
        assert CATALOGUE[code].subject is NEED_TYPES[need_type].subject
        assert not CATALOGUE[code].alone
    assert "protection-from-violence" not in ORDERED
