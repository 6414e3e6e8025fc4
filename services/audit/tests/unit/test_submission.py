"""What a witness is asked and when it may cosign (C2SP tlog-witness)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.errors import LogError, Malformed, ProofRejected
from doorstep.audit.domain.merkle import EMPTY_ROOT, consistency_ranges, leaf_hash, root_of
from doorstep.audit.domain.note import encode_base64
from doorstep.audit.domain.submission import AddCheckpoint, OldSizeWrong, check_growth, forked, parse_size

ORIGIN = "doorstep.example/log"
LEAVES = [leaf_hash(bytes([number])) for number in range(70)]
HASH = encode_base64(LEAVES[0])
EMPTY = Checkpoint(ORIGIN, 0, EMPTY_ROOT)

PUBLISHED = b"""old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

"""


def tree(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, root_of(LEAVES[:size]))


def proof(old: int, new: int) -> list[bytes]:
    return [root_of(LEAVES[start:end]) for start, end in consistency_ranges(old, new)]


def test_the_published_request_is_read_and_written():
    read = AddCheckpoint.parse(PUBLISHED)
    assert (read.old_size, len(read.proof)) == (20852014, 4)
    assert read.note.startswith(b"example.com/behind-the-sofa\n")
    assert read.encode() == PUBLISHED


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_request_is_cosigned_if_the_tree_has_only_grown(old, new):
    old, new = sorted((old, new))
    request = AddCheckpoint(old, tuple(proof(old, new)) if old else (), b"note\n\n")
    assert AddCheckpoint.parse(request.encode()) == request
    check_growth(tree(old), tree(new), old, request.proof)
    if old == 0:
        check_growth(None, tree(new), 0, ())


@given(st.integers(1, 69), st.data())
def test_no_other_tree_is_cosigned(old, data):
    new = data.draw(st.integers(old + 1, 70))
    edited = list(LEAVES)
    edited[data.draw(st.integers(0, old - 1))] = leaf_hash(b"edited")
    other = Checkpoint(ORIGIN, new, root_of(edited[:new]))
    hashes = [root_of(edited[start:end]) for start, end in consistency_ranges(old, new)]
    with pytest.raises(ProofRejected):
        check_growth(tree(old), other, old, hashes)
    with pytest.raises(ProofRejected):
        check_growth(tree(old), other, old, proof(old, new))


def test_another_old_size_is_told_the_one_that_is_held():
    for held, size in ((None, 0), (EMPTY, 0), (tree(7), 7)):
        for old in {0, 5, 7, 9} - {size}:
            with pytest.raises(OldSizeWrong) as caught:
                check_growth(held, tree(9), old, ())
            assert caught.value.size == size


def test_an_old_size_above_the_checkpoint_is_malformed():
    with pytest.raises(Malformed):
        check_growth(tree(7), tree(6), 7, ())


def test_from_nothing_nothing_is_proved():
    for held in (None, EMPTY):
        with pytest.raises(ProofRejected):
            check_growth(held, tree(2), 0, [LEAVES[0]])


def test_one_size_and_two_roots_are_a_fork():
    other = Checkpoint(ORIGIN, 7, leaf_hash(b"other"))
    assert forked(tree(7), other)
    assert not forked(tree(7), tree(7))
    assert not forked(tree(6), other)
    assert not forked(None, other)
    with pytest.raises(ProofRejected):
        check_growth(tree(7), other, 7, ())


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\n\n", b"old 1", b"old 1\n", b"old 01\n\nx", b"old -1\n\nx", b"old  1\n\nx", b"Old 1\n\nx",
        b"old 1 \n\nx",
        b"old 9223372036854775808000\n\nx", b"old 1\r\n\r\nx", b"old \xd9\xa1\n\nx", b"old 1\nAAAA\n\nx",
        f"old 1\n{HASH} \n\nx".encode(), f"old 1\n{HASH[:-1]}\n\nx".encode(), 
        b"old 1\n" + b"%s\n" % HASH.encode() * 64 + b"\nx",
        b"\nold 1\n\nx", b"old 1\n\n" + b"x" * 65_536,
    ],
)  # fmt: skip
def test_what_is_no_request_is_malformed(body):
    with pytest.raises(Malformed):
        AddCheckpoint.parse(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_one_error_or_a_request(data):
    try:
        assert AddCheckpoint.parse(data).encode() == data
    except LogError:
        return


@pytest.mark.parametrize("data", [b"", b"7", b"7\n\n", b"07\n", b"+7\n", b"seven\n", b"\xff\n", b"7" * 20 + b"\n"])
def test_what_is_no_size_is_malformed(data):
    with pytest.raises(Malformed):
        parse_size(data)
    assert parse_size(b"0\n") == 0
