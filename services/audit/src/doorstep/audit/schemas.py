"""Bodies of answers."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict


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


class PromisesOf(BaseModel):
    """How far the log has what one service promised.

    `last_number` and `promised_until` are those of its last manifest, None before the first; `waiting` counts manifests
    that are not matched yet, `gaps` what is open in the list of gaps.
    """

    model_config = ConfigDict(from_attributes=True)

    service: str
    last_number: int | None
    promised_until: datetime | None
    waiting: int
    gaps: int


class GapShown(BaseModel):
    """Something that was promised and the log does not hold, or holds unpromised; `closed_at` is None while it is open.

    `kind` is one of entries-missing, entries-unpromised, entries-different, manifest-missing, manifest-contradicted,
    silent. `promised` and `stored` are numbers of entries; `number` is the manifest's.
    """

    model_config = ConfigDict(from_attributes=True)

    service: str
    kind: str
    number: int
    begins: datetime | None
    ends: datetime | None
    promised: int | None
    stored: int | None
    opened_at: datetime
    closed_at: datetime | None


class Promises(BaseModel):
    """What every service promised, and the gaps, open ones first and then the latest."""

    services: list[PromisesOf]
    gaps: list[GapShown]
