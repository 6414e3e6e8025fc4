"""Digests do not depend on order, and tell every difference."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.matching import MODULUS, GapKind, Promise, difference, minute_of, parse_digest, share

VALUES = st.lists(st.binary(max_size=20), max_size=12)
AT = datetime(2026, 11, 21, 10, 7, tzinfo=UTC)


def digest(values) -> int:
    return sum(share(value) for value in values) % MODULUS


@given(VALUES, st.randoms())
def test_the_same_entries_in_any_order_are_what_was_promised(values, chance):
    stored = list(values)
    chance.shuffle(stored)
    assert difference(len(values), digest(values), len(stored), sum(map(share, stored))) is None


@given(VALUES, VALUES)
def test_any_other_entries_are_not(promised, stored):
    kind = difference(len(promised), digest(promised), len(stored), sum(map(share, stored)))
    expected = {-1: GapKind.MISSING, 1: GapKind.UNPROMISED, 0: GapKind.DIFFERENT}
    order = (len(stored) > len(promised)) - (len(stored) < len(promised))
    assert kind == (None if sorted(stored) == sorted(promised) else expected[order])


def test_the_digest_of_one_entry_is_its_sha256():
    assert f"{digest([b'one']):064x}" == hashlib.sha256(b"one").hexdigest()
    assert parse_digest("0" * 63 + "a") == 10


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, " " + "0" * 63, "0" * 63 + "\n"])
def test_what_is_no_digest_is_malformed(text):
    with pytest.raises(Malformed):
        parse_digest(text)


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0},
        {"number": 1 << 63},
        {"count": -1},
        {"count": 1 << 63},
        {"digest": -1},
        {"digest": MODULUS},
        {"ends": AT},
        {"ends": AT - timedelta(minutes=1)},
        {"begins": AT + timedelta(seconds=1)},
        {"ends": AT + timedelta(microseconds=60_000_001)},
    ],
)
def test_what_no_service_can_have_promised_is_malformed(change):
    right = {"service": "intake", "number": 1, "begins": AT, "ends": minute_of(AT + timedelta(seconds=61))}
    right |= {"count": 0, "digest": 0}
    assert Promise(**right).ends == AT + timedelta(minutes=1)
    with pytest.raises(Malformed):
        Promise(**right | change)
