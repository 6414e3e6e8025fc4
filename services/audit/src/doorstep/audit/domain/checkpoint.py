"""Checkpoints: the log's origin, size and root, signed as a note (C2SP tlog-checkpoint)."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.merkle import EMPTY_ROOT, require_hash, require_size
from doorstep.audit.domain.note import Note, Signer, VerifierKey, decode_base64, encode_base64, open_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: its origin, how many entries, the root over them; extension lines are kept, not used.

    Raises Malformed for an empty origin, an impossible size, a root that is not 32 bytes or not the empty tree's.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(line and "\n" not in line for line in (self.origin, *self.extensions)):
            raise Malformed("checkpoint: an empty line")
        require_size(self.size, "checkpoint")
        require_hash(self.root, "checkpoint")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise Malformed("checkpoint: not the root of an empty tree")

    def body(self) -> str:
        """Return the text that is signed."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    def sign(self, *keys: Signer) -> bytes:
        """Return the note signed by each of `keys`."""
        body = self.body()
        return Note(body, tuple(key.sign(body) for key in keys)).encode()


def parse_body(text: str) -> Checkpoint:
    """Read a checkpoint's text without its signatures; raise Malformed."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "":
        raise Malformed("checkpoint: fewer than three lines")
    origin, size, root, *extensions = lines
    if _SIZE.fullmatch(size) is None:
        raise Malformed("checkpoint: the size is not a number in its shortest form")
    return Checkpoint(origin, int(size), decode_base64(root, "checkpoint"), tuple(extensions))


def open_checkpoint(data: bytes, origin: str, keys: Collection[VerifierKey]) -> Checkpoint:
    """Return the checkpoint of the log `origin` that at least one of `keys` signed.

    Raises Malformed, also for another log's checkpoint, and SignatureRejected.
    """
    checkpoint = parse_body(open_note(data, keys))
    if checkpoint.origin != origin:
        raise Malformed("checkpoint: of another log")
    return checkpoint
