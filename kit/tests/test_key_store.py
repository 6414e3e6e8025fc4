"""How keys are asked for and given in one body: what was packed is read again, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.kit.key_store import DataKey, packed_keys, packed_wanted, unpacked_keys, unpacked_wanted

KEYS = st.builds(
    DataKey,
    version=st.integers(1, 2**32 - 1),
    algorithm=st.sampled_from(("aes-256-gcm", "sm4-gcm", "")),
    key=st.binary(min_size=1, max_size=255),
)


@given(st.lists(st.uuids(), max_size=40), st.booleans())
def test_whose_keys_are_wanted_is_read_as_it_was_packed(subjects, create):
    assert unpacked_wanted(packed_wanted(subjects, create=create)) == (subjects, create)


@given(st.lists(st.none() | KEYS, max_size=40))
def test_keys_are_read_as_they_were_packed_also_those_that_are_not_there(keys):
    assert unpacked_keys(packed_keys(keys)) == keys


@given(st.lists(KEYS, min_size=1, max_size=3), st.data())
def test_keys_that_were_cut_off_are_not_read_as_fewer_or_shorter(keys, data):
    whole = packed_keys(keys)
    ends, borders = data.draw(st.integers(1, len(whole) - 1)), {len(packed_keys(keys[:at])) for at in range(len(keys))}
    if ends not in borders:
        with pytest.raises(ValueError):
            unpacked_keys(whole[:ends])


@pytest.mark.parametrize("body", [b"", b"\x02", b"\x00" * 16, b"\x00" * 18], ids=["empty", "flag", "short", "long"])
def test_what_is_no_question_is_not_read_as_one(body):
    with pytest.raises(ValueError):
        unpacked_wanted(body)
