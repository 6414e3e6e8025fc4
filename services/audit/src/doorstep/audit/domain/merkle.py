"""Hashes, roots and proofs of the log's Merkle tree.

Hashing: RFC 6962, section 2.1. Checking of proofs: RFC 9162, sections 2.1.3.2 and 2.1.4.2.

- leaf = SHA-256(0x00 || entry), node = SHA-256(0x01 || left || right), empty tree = SHA-256("").
- A hash is 32 bytes, an index is below its size, a size is below 2**63; all else is malformed.
- No consistency proof starts at size 0: nothing is proved by it.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from doorstep.audit.domain.errors import Malformed, ProofRejected

HASH_BYTES = 32
SIZE_LIMIT = 1 << 63
EMPTY_ROOT = sha256(b"").digest()

Range = tuple[int, int]
"""Entries from the first number up to, not including, the second."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the 32-byte hash of one entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of two neighbouring subtrees."""
    return sha256(b"\x01" + left + right).digest()


def require_hash(value: bytes, what: str) -> bytes:
    """Return `value`; raise Malformed unless it is exactly 32 bytes."""
    if not isinstance(value, bytes) or len(value) != HASH_BYTES:
        raise Malformed(f"{what}: a hash has {HASH_BYTES} bytes")
    return value


def require_size(size: int, what: str = "size") -> int:
    """Return `size`; raise Malformed unless it is from 0 to 2**63 - 1."""
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < SIZE_LIMIT:
        raise Malformed(f"{what}: not a tree size")
    return size


def peaks(size: int) -> Iterator[Range]:
    """Yield the complete subtrees that make a tree of `size`, largest first."""
    start = 0
    for bit in range(size.bit_length() - 1, -1, -1):
        width = 1 << bit
        if size & width:
            yield start, start + width
            start += width


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over a power of two of neighbouring hashes."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of complete subtrees, largest first; the empty root for none."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over the leaf hashes."""
    return fold([complete_root(leaves[start:end]) for start, end in peaks(len(leaves))])


def split(size: int) -> int:
    """Return the largest power of two below `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the subtrees whose hashes prove that `index` is in a tree of `size`, from the leaf's sibling up.

    Raises Malformed unless index < size.
    """
    if require_size(index, "index") >= require_size(size):
        raise Malformed("index: not below the size")
    start, end = 0, size
    ranges: list[Range] = []
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old_size: int, new_size: int) -> list[Range]:
    """Return the subtrees whose hashes prove that a tree of `new_size` begins with the one of `old_size`.

    Raises Malformed unless 0 < old size <= new size.
    """
    if not 0 < require_size(old_size, "old size") <= require_size(new_size, "new size"):
        raise Malformed("old size: not between 1 and the new size")
    start, end = 0, new_size
    ranges: list[Range] = []
    while end != old_size:
        middle = start + split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:
        ranges.append((start, end))
    return ranges[::-1]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf` is number `index` of the tree of `size` with this root (RFC 9162, 2.1.3.2).

    Raises Malformed for a hash that is not 32 bytes or an index not below the size, ProofRejected otherwise.
    """
    if require_size(index, "index") >= require_size(size):
        raise Malformed("index: not below the size")
    require_hash(root, "root")
    running = require_hash(leaf, "leaf")
    first, last = index, size - 1
    for hash_ in proof:
        require_hash(hash_, "proof")
        if last == 0:
            raise ProofRejected("inclusion: the proof is too long")
        if first & 1 or first == last:
            running = node_hash(hash_, running)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            running = node_hash(running, hash_)
        first, last = first >> 1, last >> 1
    if last:
        raise ProofRejected("inclusion: the proof is too short")
    if running != root:
        raise ProofRejected("inclusion: the proof leads to another root")


def check_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `new_size` begins with the tree of `old_size` (RFC 9162, 2.1.4.2).

    Of equal sizes the roots are equal and the proof is empty. Raises Malformed for a hash that is not 32 bytes or
    sizes that are not 0 < old <= new, ProofRejected otherwise.
    """
    if not 0 < require_size(old_size, "old size") <= require_size(new_size, "new size"):
        raise Malformed("old size: not between 1 and the new size")
    for hash_ in proof:
        require_hash(hash_, "proof")
    require_hash(old_root, "old root")
    require_hash(new_root, "new root")
    if old_size == new_size:
        if proof:
            raise ProofRejected("consistency: the proof is too long")
        if old_root != new_root:
            raise ProofRejected("consistency: two roots for one size")
        return
    old_found, new_found = _climb(old_size, old_root, new_size, proof)
    if old_found != old_root:
        raise ProofRejected("consistency: the proof leads to another old root")
    if new_found != new_root:
        raise ProofRejected("consistency: the proof leads to another new root")


def _climb(old_size: int, old_root: bytes, new_size: int, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the old and the new root to which a consistency proof leads (RFC 9162, 2.1.4.2, steps 1 to 7)."""
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        raise ProofRejected("consistency: the proof is too short")
    first, last = old_size - 1, new_size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    old_found = new_found = path[0]
    for hash_ in path[1:]:
        if last == 0:
            raise ProofRejected("consistency: the proof is too long")
        if first & 1 or first == last:
            old_found = node_hash(hash_, old_found)
            new_found = node_hash(hash_, new_found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            new_found = node_hash(new_found, hash_)
        first, last = first >> 1, last >> 1
    if last:
        raise ProofRejected("consistency: the proof is too short")
    return old_found, new_found
