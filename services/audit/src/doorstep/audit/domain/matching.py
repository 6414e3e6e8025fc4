"""Whether the log holds what a service promised in a manifest.

The digest of some entries is the sum, modulo 2^256, of the SHA-256 of each one's message value: it does not depend on
their order, and can be added to.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from doorstep.audit.domain.errors import Malformed

MODULUS = 1 << 256
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LARGEST = (1 << 63) - 1


class GapKind(StrEnum):
    """What is wrong between a service's promises and the log."""

    MISSING = "entries-missing"
    UNPROMISED = "entries-unpromised"
    DIFFERENT = "entries-different"
    NO_MANIFEST = "manifest-missing"
    CONTRADICTED = "manifest-contradicted"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Promise:
    """The manifest number `number` of `service`: so many entries, of this digest, from `begins` up to `ends`.

    Raises Malformed for what no service can have promised.
    """

    service: str
    number: int
    begins: datetime
    ends: datetime
    count: int
    digest: int

    def __post_init__(self) -> None:
        if not (0 < self.number <= _LARGEST and 0 <= self.count <= _LARGEST and 0 <= self.digest < MODULUS):
            raise Malformed("manifest: a number out of range")
        if self.begins >= self.ends or minute_of(self.begins) != self.begins or minute_of(self.ends) != self.ends:
            raise Malformed("manifest: not from one minute to a later one")


def minute_of(time: datetime) -> datetime:
    """The minute in which `time` lies, by its beginning."""
    return time.replace(second=0, microsecond=0)


def share(value: bytes) -> int:
    """What one entry, which came as `value`, adds to a digest."""
    return int.from_bytes(hashlib.sha256(value).digest())


def parse_digest(text: str) -> int:
    """The digest that 64 hex digits name; raises Malformed."""
    if _DIGEST.fullmatch(text) is None:
        raise Malformed("digest: not 64 hex digits")
    return int(text, 16)


def difference(count: int, digest: int, stored: int, total: int) -> GapKind | None:
    """How `stored` entries with shares of `total` in all differ from `count` promised ones of `digest`."""
    if stored != count:
        return GapKind.MISSING if stored < count else GapKind.UNPROMISED
    return None if (total - digest) % MODULUS == 0 else GapKind.DIFFERENT
