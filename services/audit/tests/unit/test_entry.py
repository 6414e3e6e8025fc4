"""What an entry says, and that its commitments tell nothing without the nonce."""

import json
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from doorstep.audit.domain.entry import COMMITMENT_LIMIT, Entry, commit, opens, parse_entry
from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.tiles import ENTRY_LIMIT

ID = UUID("0b9c6a52-6a1f-4e4a-9d34-1f2a3b4c5d6e")
HASH = bytes(range(32))
ENTRY = Entry(ID, "2026-11-21T10", (HASH,))
BYTES = (
    b'{"commitments":["'
    + HASH.hex().encode()
    + b'"],"hour":"2026-11-21T10","id":"0b9c6a52-6a1f-4e4a-9d34-1f2a3b4c5d6e"}'
)
DETAIL = {"action": "read-file", "at_us": 1795000000000000, "purpose": "triage", "case": None}


def test_an_entry_is_canonical_json():
    assert ENTRY.encode() == BYTES
    assert parse_entry(BYTES) == ENTRY


@given(
    st.uuids(),
    st.datetimes().map(lambda time: time.strftime("%Y-%m-%dT%H").zfill(13)),
    st.lists(st.binary(min_size=32, max_size=32), max_size=5),
    st.sampled_from([None, "unreadable"]),
)
def test_entries_survive_their_bytes(id_, hour, commitments, kind):
    entry = Entry(id_, hour, tuple(commitments), kind)
    assert parse_entry(entry.encode()) == entry
    assert entry.encode() == rfc8785.dumps(json.loads(entry.encode()))


def test_the_largest_entry_fits_a_bundle():
    entry = Entry(ID, "2026-11-21T10", (HASH,) * COMMITMENT_LIMIT, "unreadable")
    assert len(entry.encode()) <= ENTRY_LIMIT
    with pytest.raises(Malformed):
        Entry(ID, "2026-11-21T10", (HASH,) * (COMMITMENT_LIMIT + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"[]", b"null", b"NaN", BYTES + b"\n", b" " + BYTES, b"\xef\xbb\xbf" + BYTES, b"\xff" + BYTES,
        BYTES.replace(b":", b": "), BYTES.replace(b'"hour"', b'"Hour"'), BYTES[:-1] + b',"more":1}',
        BYTES[:-1] + b',"kind":null}', BYTES[:-1] + b',"kind":"secret"}', BYTES[:-1] + b',"kind":["unreadable"]}',
        BYTES[:-1] + b',"kind":"\\ud800"}', BYTES[:-1] + b',"id":"' + str(ID).encode() + b'"}',
        BYTES.replace(b"T10", b"T24"), BYTES.replace(b"-11-21", b"-02-30"), BYTES.replace(b"T10", b"T10:00"),
        BYTES.replace(b"T10", b" 10"), BYTES.replace(b"T10", "T١0".encode()),
        BYTES.replace(b"0b9c", b"0B9C"), BYTES.replace(b"0b9c", b"zzzz"), BYTES.replace(b"1d1e1f", b"1D1E1F"),
        BYTES.replace(b"1d1e1f", b"1d1e"), BYTES.replace(b"1d1e1f", b"1d1e1f20"),
        BYTES.replace(b'["', b'"').replace(b'"]', b'"'),
        b'{"commitments":{},"hour":"2026-11-21T10","id":"0b9c6a52-6a1f-4e4a-9d34-1f2a3b4c5d6e"}',
        b'{"commitments":[],"hour":10,"id":"0b9c6a52-6a1f-4e4a-9d34-1f2a3b4c5d6e"}',
        b'{"commitments":[],"hour":"2026-11-21T10","id":7}', b"[" * 100_000, b"x" * 65_536,
    ],
)  # fmt: skip
def test_what_is_no_entry_is_malformed(data):
    with pytest.raises(Malformed):
        parse_entry(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_malformed(data):
    with pytest.raises(Malformed):
        parse_entry(data)


def test_a_commitment_opens_with_its_nonce_and_detail_only():
    nonce = bytes(32)
    commitment = commit(nonce, DETAIL)
    assert len(commitment) == 32
    assert opens(commitment, nonce, dict(reversed(DETAIL.items())))
    assert not opens(commitment, b"\1" + nonce[1:], DETAIL)
    assert not opens(commitment, nonce, {**DETAIL, "purpose": "other"})


def test_a_commitment_needs_a_whole_nonce_and_plain_json():
    with pytest.raises(Malformed):
        commit(b"short", DETAIL)
    for detail in ({"time": 1 << 60}, {"value": float("nan")}, {1: "key"}):
        with pytest.raises(Malformed):
            commit(bytes(32), detail)
