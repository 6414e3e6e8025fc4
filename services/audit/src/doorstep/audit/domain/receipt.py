"""Receipts: that an entry is in the log, in one text that is checked without the log (C2SP tlog-proof).

The entry itself travels as `extra`: an id, an hour and commitments, which tell nothing to whoever lacks the detail.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from doorstep.audit.domain.checkpoint import Checkpoint, open_checkpoint
from doorstep.audit.domain.entry import Entry, parse_entry
from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.merkle import check_inclusion, leaf_hash, require_hash
from doorstep.audit.domain.note import NOTE_LIMIT, VerifierKey, decode_base64, encode_base64

HEADER = "c2sp.org/tlog-proof@v1"
HASHES_LIMIT = 64
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)
_EXTRA = "extra "


@dataclass(frozen=True, slots=True)
class Receipt:
    """A proof for entry `index` (from 0): hashes from the leaf's sibling up, and the signed checkpoint as it is.

    `extra` is whatever its maker put there, here the entry; nothing vouches for it but what is computed from it. Raises
    Malformed for hashes that are not 32 bytes, and for more of them than any tree has levels.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __post_init__(self) -> None:
        if len(self.hashes) > HASHES_LIMIT:
            raise Malformed("receipt: more hashes than a tree has levels")
        for one in self.hashes:
            require_hash(one, "receipt")

    def encode(self) -> bytes:
        """Return the text, UTF-8."""
        extra = [] if self.extra is None else [f"{_EXTRA}{encode_base64(self.extra)}"]
        lines = [HEADER, *extra, f"index {self.index}", *map(encode_base64, self.hashes), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt; raise Malformed unless `data` is exactly what `Receipt.encode` writes."""
    if len(data) > 2 * NOTE_LIMIT:
        raise Malformed("receipt: too long")
    head, gap, checkpoint = data.partition(b"\n\n")
    try:
        header, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise Malformed("receipt: not a tlog-proof") from error
    if header != HEADER or not gap:
        raise Malformed("receipt: not a tlog-proof")
    extra = decode_base64(lines.pop(0)[len(_EXTRA) :], "receipt") if lines and lines[0].startswith(_EXTRA) else None
    found = _INDEX.fullmatch(lines[0]) if lines else None
    if found is None:
        raise Malformed("receipt: no index in its shortest form")
    return Receipt(int(found[1]), tuple(decode_base64(line, "receipt") for line in lines[1:]), checkpoint, extra)


def check_receipt(receipt: Receipt, origin: str, keys: Collection[VerifierKey]) -> tuple[Entry, Checkpoint]:
    """The entry of `receipt`, which is in the log `origin`, and the checkpoint that one of `keys` signed over it.

    Raises Malformed, SignatureRejected, or ProofRejected.
    """
    if receipt.extra is None:
        raise Malformed("receipt: it does not hold the entry")
    checkpoint = open_checkpoint(receipt.checkpoint, origin, keys)
    check_inclusion(leaf_hash(receipt.extra), receipt.index, checkpoint.size, receipt.hashes, checkpoint.root)
    return parse_entry(receipt.extra), checkpoint
