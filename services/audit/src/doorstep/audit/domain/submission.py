"""What a log asks of a witness, what the witness answers, and when it may cosign (C2SP tlog-witness).

- A request is `old <size>`, consistency proof lines, an empty line, and the checkpoint's note.
- Cosigned is only what begins with what was cosigned before: from the very size that the witness has.
- A second root for a size is a fork, whatever the request says of old sizes: both signed notes prove it to anybody. A
  proof that fails proves nothing yet: whoever has a checkpoint can send it with a wrong proof.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.cosignature import WitnessKey
from doorstep.audit.domain.errors import Malformed, ProofRejected
from doorstep.audit.domain.merkle import check_consistency, require_hash
from doorstep.audit.domain.note import Signature, decode_base64, encode_base64, parse_line

REQUEST_LIMIT = 65_536
"""A request is at most so many bytes."""
ANSWER_LIMIT = 16_384
PROOF_LIMIT = 63
SIZE_TYPE = "text/x.tlog.size"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\n", re.ASCII)


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request to cosign `note`, with the proof that it grew from the tree of `old_size`."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes

    def encode(self) -> bytes:
        """Return the body of the request."""
        lines = (f"old {self.old_size}", *map(encode_base64, self.proof), "")
        return "".join(f"{line}\n" for line in lines).encode() + self.note

    @classmethod
    def parse(cls, data: bytes) -> "AddCheckpoint":
        """Read a request, its note not yet; raise Malformed."""
        if len(data) > REQUEST_LIMIT:
            raise Malformed("request: too long")
        head, gap, note = data.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise Malformed("request: not an old size and a proof") from error
        found = _OLD.fullmatch(first)
        if found is None or not gap:
            raise Malformed("request: not an old size, a proof, an empty line and a checkpoint")
        if len(lines) > PROOF_LIMIT:
            raise Malformed("request: more than 63 hashes")
        proof = tuple(require_hash(decode_base64(line, "proof"), "proof") for line in lines)
        return cls(int(found[1]), proof, note)


class OldSizeWrong(Exception):
    """The proof begins at another size than the one that the witness has; `size` is what it has."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness has cosigned {size} entries")
        self.size = size


def forked(held: Checkpoint | None, offered: Checkpoint) -> bool:
    """Whether two checkpoints that a log signed cannot both be true: one size, two roots."""
    return held is not None and held.size == offered.size and held.root != offered.root


def check_growth(held: Checkpoint | None, offered: Checkpoint, old_size: int, proof: Sequence[bytes]) -> None:
    """Check that `offered` begins with `held`, the newest one that was cosigned, as the request says and proves.

    Raises Malformed if the old size is above the offered one, OldSizeWrong if it is not the size held, ProofRejected.
    """
    if old_size > offered.size:
        raise Malformed("request: the old size is larger than the checkpoint's")
    size = 0 if held is None else held.size
    if old_size != size:
        raise OldSizeWrong(size)
    if held is None or size == 0:
        if proof:
            raise ProofRejected("consistency: nothing is proved from an empty tree")
        return
    check_consistency(size, held.root, offered.size, offered.root, proof)


def parse_size(data: bytes) -> int:
    """The size that a witness answered it has; raises Malformed."""
    found = _SIZE.fullmatch(data.decode("latin-1"))
    if found is None:
        raise Malformed("answer: not a size")
    return int(found[1])


def parse_cosignature(data: bytes, key: WitnessKey, body: str) -> tuple[Signature, int]:
    """The cosignature of `key` on the checkpoint's text among the lines that a witness answered, and its time.

    Lines of other keys are ignored. Raises Malformed, also if there is none of this key, and SignatureRejected.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("answer: not UTF-8") from error
    if len(data) > ANSWER_LIMIT or not text.endswith("\n"):
        raise Malformed("answer: not signature lines")
    for signature in [parse_line(line) for line in text[:-1].split("\n")]:
        if key.made(signature):
            return signature, key.verify(body, signature)
    raise Malformed("answer: no cosignature of this witness")
