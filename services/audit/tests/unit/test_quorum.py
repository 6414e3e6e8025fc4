"""Who cosigned, how many, and how long ago: what a reader relies on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.errors import LogError, Malformed, NotWitnessed
from doorstep.audit.domain.merkle import leaf_hash
from doorstep.audit.domain.note import Signature, SigningKey
from doorstep.audit.domain.quorum import AHEAD, DAY, Quorum, attach, check_witnessed, late, parse_witnesses

ORIGIN = "doorstep.example/log"
LOG = SigningKey(ORIGIN, bytes(range(32)))
KEYS = [WitnessSigningKey(f"witness.example/{name}", bytes([at]) * 32) for at, name in enumerate("abcde", 1)]
A, B, C = KEYS[:3]
CHECKPOINT = Checkpoint(ORIGIN, 1, leaf_hash(b"one"))
NOW = 1_800_000_000


def quorum(*keys: WitnessSigningKey, needed: int | None = None, max_age: int | None = DAY) -> Quorum:
    return Quorum.of([str(key.verifier) for key in keys or KEYS[:3]], needed, max_age)


def cosigned(*by: tuple[WitnessSigningKey, int]) -> bytes:
    return attach(CHECKPOINT.sign(LOG), [key.cosign(CHECKPOINT.body(), time).line() for key, time in by])


def test_two_of_three_are_enough_and_one_is_not():
    found = check_witnessed(cosigned((A, NOW - 5), (C, NOW - 60)), quorum(), NOW)
    assert (found.names, found.time) == ((A.name, C.name), NOW - 60)
    with pytest.raises(NotWitnessed, match=r"^1 of 3 witnesses count, 2 are needed: .*/b did not cosign; .*/c did not"):
        check_witnessed(cosigned((A, NOW)), quorum(), NOW)
    with pytest.raises(NotWitnessed, match=r"^0 of 3"):
        check_witnessed(CHECKPOINT.sign(LOG), quorum(), NOW)


@pytest.mark.parametrize(("given_", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_without_a_number_more_than_half_are_needed(given_, needed):
    assert quorum(*KEYS[:given_]).needed == needed


def test_a_stale_cosignature_is_rejected_by_name():
    note = cosigned((A, NOW), (B, NOW - DAY - 1), (C, NOW + AHEAD + 1))
    with pytest.raises(
        NotWitnessed, match=r"witness.example/b cosigned 86401 seconds ago.*: stale; .*/c .*in the future"
    ):
        check_witnessed(note, quorum(), NOW)
    edges = cosigned((A, NOW - DAY), (B, NOW + AHEAD))
    assert check_witnessed(edges, quorum(), NOW).names == (A.name, B.name)
    assert check_witnessed(note, quorum(A, B, max_age=None), NOW).time == NOW - DAY - 1


def test_the_newest_cosignature_of_a_witness_counts():
    assert check_witnessed(cosigned((A, NOW - 2 * DAY), (A, NOW), (B, NOW)), quorum(), NOW).time == NOW


def test_one_witness_counts_once_whatever_it_signs_and_is_called():
    with pytest.raises(NotWitnessed):
        check_witnessed(cosigned((A, NOW), (A, NOW - 1)), quorum(), NOW)
    namesake = WitnessSigningKey("witness.example/alias", A.seed)
    with pytest.raises(Malformed, match="named twice"):
        quorum(A, namesake, B)


def test_cosignatures_of_strangers_are_ignored_and_a_wrong_one_of_a_witness_rejects_all():
    stranger = WitnessSigningKey.generate(C.name)
    assert check_witnessed(cosigned((A, NOW), (stranger, NOW), (B, NOW)), quorum(), NOW).names == (A.name, B.name)
    other = Checkpoint(ORIGIN, 2, CHECKPOINT.root)
    replayed = attach(cosigned((A, NOW), (B, NOW)), [C.cosign(other.body(), NOW).line()])
    with pytest.raises(NotWitnessed, match="cosignature that is none"):
        check_witnessed(replayed, quorum(), NOW)
    short = attach(cosigned((A, NOW), (B, NOW)), [Signature(C.name, C.verifier.key_id, bytes(64)).line()])
    with pytest.raises(NotWitnessed, match="not 72 bytes"):
        check_witnessed(short, quorum(), NOW)


@pytest.mark.parametrize(("keys", "needed"), [([], None), ([A], 2), ([A], 0), ([A, A], 1), ([A, B], -1)])
def test_what_cannot_be_a_quorum_is_malformed(keys, needed):
    with pytest.raises(Malformed):
        Quorum.of([str(key.verifier) for key in keys], needed, DAY)


@given(st.binary(max_size=300))
def test_any_bytes_are_not_witnessed(data):
    with pytest.raises(LogError):
        check_witnessed(data, quorum(), NOW)


@given(st.data())
def test_no_changed_byte_leaves_it_witnessed_by_all(data):
    note = bytearray(cosigned((A, NOW), (B, NOW), (C, NOW)))
    own = len(CHECKPOINT.sign(LOG))
    at = data.draw(st.integers(own, len(note) - 1) | st.integers(0, len(CHECKPOINT.body()) - 1))
    note[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LogError):
        check_witnessed(bytes(note), quorum(needed=3), NOW)


def test_a_file_of_witnesses_is_read():
    text = f"# ours\n\n{A.verifier} http://127.0.0.1:8651/\n  {B.verifier}   https://b.example/witness  \n"
    assert [(one.key, one.url) for one in parse_witnesses(text)] == [
        (A.verifier, "http://127.0.0.1:8651"),
        (B.verifier, "https://b.example/witness"),
    ]
    assert parse_witnesses("") == ()


@pytest.mark.parametrize(
    "line",
    [
        f"{A.verifier}", f"{A.verifier} http://a b", "key http://a", f"{A.verifier} ftp://a", f"{A.verifier} http://",
        f"{A.verifier} http://a:99999", f"{A.verifier} http://a:0", f"{A.verifier} http://a?b", f"{A.verifier} http://a#b",
        f"{A.verifier} http://[a", f"{LOG.verifier} http://a", "\0",
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(line):
    with pytest.raises(Malformed, match=r"^line 2: "):
        parse_witnesses(f"# witnesses\n{line}\n")


@given(st.text(max_size=100))
def test_any_text_is_witnesses_or_one_error(text):
    try:
        parse_witnesses(text)
    except Malformed:
        return
    assert not text.strip() or all(line.strip().startswith("#") or not line.strip() for line in text.splitlines())


def test_entries_that_claim_an_hour_from_before_they_were_there_are_named():
    hours = ["2026-11-21T10", "2026-11-21T11", "2026-11-21T09", "2026-11-21T12", "2020-01-01T00"]
    noon = 1_795_262_400 + 30  # 2026-11-21T12:00:30Z
    assert late(hours, 2, noon) == [2, 4]
    assert late(hours, 5, noon) == []
    assert late(hours, 0, noon - 3600) == [0, 2, 4]
