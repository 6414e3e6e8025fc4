"""How often one asks: no minute lets more through than it should, and who waits as told may ask again."""

from hypothesis import given
from hypothesis import strategies as st

from doorstep.gateway.domain.pace import WINDOW, Pace

GAPS = st.lists(st.floats(min_value=0, max_value=90), min_size=1, max_size=80)


@given(GAPS, st.integers(1, 8))
def test_in_no_window_more_is_let_through_than_was_set(gaps: list[float], most: int) -> None:
    pace, at, passed = Pace(most), 0.0, []
    for gap in gaps:
        at += gap
        if pace.wait("one", at) == 0:
            passed.append(int(at // WINDOW))
    assert all(passed.count(window) <= most for window in passed)


@given(GAPS, st.integers(1, 8))
def test_who_waits_as_long_as_was_said_may_ask(gaps: list[float], most: int) -> None:
    pace, at = Pace(most), 0.0
    for gap in gaps:
        at += gap
        seconds = pace.wait("one", at)
        assert 0 <= seconds <= WINDOW + 1
        if seconds:
            at += seconds
            assert pace.wait("one", at) == 0


def test_what_was_asked_in_the_minute_before_counts_by_as_much_as_is_left_of_it() -> None:
    pace = Pace(60)
    assert [pace.wait("one", 59.0) for _ in range(60)] == [0] * 60
    assert pace.wait("one", 60.0) > 0  # a fixed window would begin anew
    let = sum(pace.wait("one", 90.0) == 0 for _ in range(60))
    assert let == 30


def test_one_does_not_wait_for_another_and_nobody_is_remembered_for_ever() -> None:
    pace = Pace(1)
    assert [pace.wait(f"{one}", 1.0) for one in range(1000)] == [0] * 1000
    assert pace.wait("7", 2.5) == 58
    assert pace.wait("new", 1.0 + 2 * WINDOW) == 0
    assert len(pace._now) + len(pace._before) == 1


def test_a_try_that_has_to_wait_is_not_counted() -> None:
    pace = Pace(2)
    assert [pace.wait("one", 0.0) for _ in range(500)][:3] == [0, 0, 61]
    assert pace.wait("one", 2 * WINDOW) == 0


def test_what_is_counted_afterwards_closes_and_a_look_counts_nothing() -> None:
    pace = Pace(2)
    assert [pace.closed("one", 0.0) for _ in range(9)] == [0] * 9
    for _ in range(5):  # all were let through before the first was answered
        pace.count("one", 1.0)
    assert (pace.closed("one", 1.0), pace.closed("other", 1.0)) == (60, 0)
    assert pace.closed("one", 61.0) == 0  # as who is told to wait so long may rely on
