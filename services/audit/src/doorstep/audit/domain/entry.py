"""What an entry of the log says, and the commitments in it.

An entry is canonical JSON (RFC 8785): commitments, hour, id. A commitment is HMAC-SHA256(32-byte nonce, canonical
detail), so that entries look alike whatever they are about, and nobody finds a detail by guessing. A `kind` is there
only for what the log says about itself: `unreadable` stands for a submission that could not be read, `erased` says that
the details of a subject were deleted, whose is in no entry.
"""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import rfc8785

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.merkle import HASH_BYTES
from doorstep.audit.domain.tiles import ENTRY_LIMIT

NONCE_BYTES: Final = 32
UNREADABLE: Final = "unreadable"
ERASED: Final = "erased"
KINDS: Final = frozenset({UNREADABLE, ERASED})
COMMITMENT_LIMIT: Final = 900
"""At most so many commitments in an entry: it stays under 65,535 bytes."""
_HOUR = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: a random id, the hour (UTC, such as 2026-11-21T10), 32-byte commitments in order, perhaps a kind.

    Raises Malformed for an impossible hour, a commitment that is not 32 bytes, too many of them, an unknown kind.
    """

    id: UUID
    hour: str
    commitments: tuple[bytes, ...]
    kind: str | None = None

    def __post_init__(self) -> None:
        require_hour(self.hour)
        if len(self.commitments) > COMMITMENT_LIMIT:
            raise Malformed("entry: too many commitments")
        if any(len(commitment) != HASH_BYTES for commitment in self.commitments):
            raise Malformed("entry: a commitment has 32 bytes")
        if self.kind is not None and self.kind not in KINDS:
            raise Malformed("entry: unknown kind")

    def encode(self) -> bytes:
        """Return the canonical bytes that the log keeps and hashes.

        All of it is plain ASCII, of which JSON in the order of the names, without spaces, is the form of RFC 8785.
        """
        document: dict[str, Any] = {
            "commitments": [commitment.hex() for commitment in self.commitments],
            "hour": self.hour,
            "id": str(self.id),
        }
        if self.kind is not None:
            document["kind"] = self.kind
        return json.dumps(document, separators=(",", ":")).encode()


def parse_entry(data: bytes) -> Entry:
    """Read an entry; raise Malformed unless `data` is exactly what `Entry.encode` writes."""
    if len(data) > ENTRY_LIMIT:
        raise Malformed("entry: longer than 65,535 bytes")
    try:
        document = json.loads(data.decode("utf-8"))
        entry = Entry(
            UUID(document["id"]),
            document["hour"],
            tuple(bytes.fromhex(commitment) for commitment in document["commitments"]),
            document.get("kind"),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Malformed("entry: not the fields of an entry") from error
    if entry.encode() != data:
        raise Malformed("entry: not in canonical form")
    return entry


def require_hour(hour: str) -> str:
    """Return `hour`; raise Malformed unless it is an hour of the calendar such as 2026-11-21T10."""
    if _HOUR.fullmatch(hour) is None:
        raise Malformed("hour: not of the form 2026-11-21T10")
    try:
        datetime.fromisoformat(f"{hour}:00:00+00:00")
    except ValueError as error:
        raise Malformed("hour: not in the calendar") from error
    return hour


def commit(nonce: bytes, detail: Mapping[str, Any]) -> bytes:
    """Return the 32-byte commitment to a detail; raise Malformed for a nonce that is not 32 bytes or no plain JSON."""
    if len(nonce) != NONCE_BYTES:
        raise Malformed("nonce: not 32 bytes")
    try:
        canonical = rfc8785.dumps(dict(detail))
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise Malformed("detail: not plain JSON") from error
    return hmac.digest(nonce, canonical, "sha256")


def opens(commitment: bytes, nonce: bytes, detail: Mapping[str, Any]) -> bool:
    """Say whether nonce and detail are those that were committed to; raise Malformed as `commit` does."""
    return hmac.compare_digest(commitment, commit(nonce, detail))
