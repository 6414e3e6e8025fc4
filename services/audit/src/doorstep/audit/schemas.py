"""Bodies of answers."""

from uuid import UUID

from pydantic import BaseModel


class Inclusion(BaseModel):
    """That an entry is in the log. Hashes are base64, the proof goes from the leaf's sibling up (RFC 9162, 2.1.3.1).

    `checkpoint` is the signed note over `size` entries whose root the proof leads to.
    """

    entry_id: UUID
    index: int
    size: int
    leaf_hash: str
    proof: list[str]
    checkpoint: str
