"""The tree's hashes and proofs, against the definition of RFC 6962 and an independent implementation."""

import itertools
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales.tlog import ConsistencyProof, InclusionProof

from doorstep.audit.domain.edge import RightEdge
from doorstep.audit.domain.errors import LogError, Malformed, ProofRejected
from doorstep.audit.domain.merkle import (
    EMPTY_ROOT,
    check_consistency,
    check_inclusion,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    root_of,
)

PAIRS_BELOW = 101
LEAVES = [leaf_hash(str(number).encode()) for number in range(1200)]
CACHE: dict[tuple[int, int], bytes] = {}


def mth(start: int, end: int) -> bytes:
    """The Merkle tree hash, as RFC 6962, section 2.1, defines it."""
    if end - start == 0:
        return sha256(b"").digest()
    if end - start == 1:
        return LEAVES[start]
    if (start, end) not in CACHE:
        half = 1
        while half * 2 < end - start:
            half *= 2
        CACHE[start, end] = sha256(b"\x01" + mth(start, start + half) + mth(start + half, end)).digest()
    return CACHE[start, end]


def inclusion(index: int, size: int) -> list[bytes]:
    return [mth(*span) for span in inclusion_ranges(index, size)]


def consistency(old: int, new: int) -> list[bytes]:
    return [mth(*span) for span in consistency_ranges(old, new)]


def test_hashes_are_those_of_the_published_examples():
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    published = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [leaf_hash(bytes.fromhex(text)) for text in published]
    assert root_of(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_roots_are_those_of_the_definition():
    for size in range(1200):
        assert root_of(LEAVES[:size]) == mth(0, size)


def test_every_inclusion_proof_up_to_100_holds_here_and_elsewhere():
    for size in range(1, PAIRS_BELOW):
        for index in range(size):
            proof = inclusion(index, size)
            check_inclusion(LEAVES[index], index, size, proof, mth(0, size))
            InclusionProof(index, size, proof).check(LEAVES[index], mth(0, size))


def test_every_consistency_proof_up_to_100_holds_here_and_elsewhere():
    for old, new in itertools.combinations(range(1, PAIRS_BELOW), 2):
        proof = consistency(old, new)
        check_consistency(old, mth(0, old), new, mth(0, new), proof)
        ConsistencyProof(old, new, proof).check(mth(0, old), mth(0, new))


@given(st.data())
def test_larger_trees_prove_too(data):
    size = data.draw(st.integers(1, 1200))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    check_inclusion(LEAVES[index], index, size, inclusion(index, size), mth(0, size))
    check_consistency(old, mth(0, old), size, mth(0, size), consistency(old, size))


def _damaged(proof: list[bytes], data) -> list[bytes]:
    """The proof with one hash dropped, doubled, put in, changed or swapped."""
    damaged = list(proof)
    at = data.draw(st.integers(0, max(0, len(proof) - 1)))
    kind = data.draw(st.sampled_from(["drop", "double", "insert", "flip", "swap"]))
    if kind == "insert" or not proof:
        damaged.insert(data.draw(st.integers(0, len(proof))), data.draw(st.binary(min_size=32, max_size=32)))
    elif kind == "drop":
        del damaged[at]
    elif kind == "double":
        damaged.insert(at, damaged[at])
    elif kind == "flip":
        damaged[at] = bytes([damaged[at][0] ^ 1]) + damaged[at][1:]
    else:
        damaged[at], damaged[-1] = damaged[-1], damaged[at]
    return damaged


@given(st.data())
def test_a_damaged_proof_proves_nothing(data):
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    proof = inclusion(index, size)
    damaged = _damaged(proof, data)
    if damaged != proof:
        with pytest.raises(ProofRejected):
            check_inclusion(LEAVES[index], index, size, damaged, mth(0, size))
    proof = consistency(old, size)
    damaged = _damaged(proof, data)
    if damaged != proof:
        with pytest.raises(ProofRejected):
            check_consistency(old, mth(0, old), size, mth(0, size), damaged)


@given(st.data())
def test_a_proof_holds_for_no_other_index_size_leaf_or_root(data):
    """Except where two sizes have the same path: RFC 9162 binds the size by the signed checkpoint."""
    size = data.draw(st.integers(2, 200))
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != index))
    proof = inclusion(index, size)
    with pytest.raises(ProofRejected):
        check_inclusion(LEAVES[index], other, size, proof, mth(0, size))
    with pytest.raises(ProofRejected):
        check_inclusion(LEAVES[other], index, size, proof, mth(0, size))
    with pytest.raises(ProofRejected):
        check_inclusion(LEAVES[index], index, size, proof, mth(0, size + 1))


def test_one_changed_leaf_breaks_consistency_of_every_older_size():
    size = 77
    forged = list(LEAVES[:size])
    forged[20] = leaf_hash(b"edited")
    for old in range(21, size):
        with pytest.raises(ProofRejected):
            check_consistency(old, mth(0, old), size, root_of(forged), consistency(old, size))


ROOT = mth(0, 4)
PROOF = inclusion(2, 4)


@pytest.mark.parametrize(
    ("leaf", "index", "size", "proof", "root"),
    [
        (LEAVES[2], 4, 4, PROOF, ROOT),
        (LEAVES[2], -1, 4, PROOF, ROOT),
        (LEAVES[2], 0, 0, [], EMPTY_ROOT),
        (LEAVES[2], 0, 1 << 63, PROOF, ROOT),
        (LEAVES[2], True, 4, PROOF, ROOT),
        (LEAVES[2][:31], 2, 4, PROOF, ROOT),
        (b"", 2, 4, PROOF, ROOT),
        (LEAVES[2], 2, 4, [b"", *PROOF], ROOT),
        (LEAVES[2], 2, 4, [PROOF[0] + b"\0", PROOF[1]], ROOT),
        (LEAVES[2], 2, 4, PROOF, b""),
        (LEAVES[2], 2, 4, PROOF, ROOT.hex()),
    ],
)
def test_malformed_inclusion_is_one_error(leaf, index, size, proof, root):
    with pytest.raises(Malformed):
        check_inclusion(leaf, index, size, proof, root)


@pytest.mark.parametrize(
    ("old", "old_root", "new", "new_root", "proof"),
    [
        (0, EMPTY_ROOT, 4, ROOT, []),
        (0, EMPTY_ROOT, 0, EMPTY_ROOT, []),
        (5, ROOT, 4, ROOT, []),
        (4, b"", 4, b"", []),
        (2, mth(0, 2), 4, b"", [mth(2, 4)]),
        (2, mth(0, 2)[:20], 4, ROOT, [mth(2, 4)]),
        (2, mth(0, 2), 4, ROOT, [mth(2, 4) + b"\0"]),
        (2, mth(0, 2), 1 << 63, ROOT, [mth(2, 4)]),
    ],
)
def test_malformed_consistency_is_one_error(old, old_root, new, new_root, proof):
    with pytest.raises(Malformed):
        check_consistency(old, old_root, new, new_root, proof)


def test_one_size_has_one_root():
    check_consistency(4, ROOT, 4, ROOT, [])
    with pytest.raises(ProofRejected):
        check_consistency(4, ROOT, 4, mth(0, 3), [])
    with pytest.raises(ProofRejected):
        check_consistency(4, ROOT, 4, ROOT, [ROOT])


@given(st.lists(st.integers(0, 700), max_size=6))
def test_a_right_edge_that_grows_in_batches_has_the_root_of_the_whole(batches):
    edge = RightEdge()
    for batch in batches:
        edge.append(LEAVES[number % 1200] for number in range(edge.size, edge.size + batch))
        edge = RightEdge(edge.size, edge.levels)
        assert edge.root() == root_of([LEAVES[number % 1200] for number in range(edge.size)])


def test_a_right_edge_gives_each_full_tile_once():
    edge = RightEdge()
    filled = [tile for start in range(0, 1200, 100) for tile in edge.append(LEAVES[start : start + 100])]
    assert [(tile.level, tile.index) for tile in filled] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert [tile.root for tile in filled] == [mth(at, at + 256) for at in range(0, 1024, 256)]
    assert edge.levels[1] == [tile.root for tile in filled]


@pytest.mark.parametrize(
    ("size", "levels"), [(1, []), (0, [[LEAVES[0]]]), (256, [LEAVES[:256]]), (1, [[b"short"]]), (2, [[LEAVES[0]]])]
)
def test_a_right_edge_that_cannot_be_is_refused(size, levels):
    with pytest.raises(LogError):
        RightEdge(size, levels)


def test_an_edge_across_65536_entries_fills_a_tile_of_level_1():
    edge = RightEdge(65535, [LEAVES[:255], LEAVES[:255]])
    filled = edge.append([LEAVES[255]])
    assert [(tile.level, tile.index) for tile in filled] == [(0, 255), (1, 0)]
    assert edge.levels == [[], [], [filled[1].root]]
    assert edge.root() == filled[1].root
