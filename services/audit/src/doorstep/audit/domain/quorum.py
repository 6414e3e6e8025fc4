"""Which witnesses somebody trusts, and how many of them must have cosigned, and when.

A witness counts once, by its public key: one key under two names is one witness. A wrong cosignature of a trusted
witness rejects the checkpoint, as every wrong signature of a known key does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from doorstep.audit.domain.cosignature import WitnessKey
from doorstep.audit.domain.errors import LogError, Malformed, NotWitnessed
from doorstep.audit.domain.note import Note

DAY = 86_400
NEEDED = 2
"""So many witnesses make a checkpoint a witnessed one unless it is said otherwise."""
AHEAD = 300
"""A witness's clock may be so many seconds ahead of the reader's."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness and the address below which it answers."""

    key: WitnessKey
    url: str


@dataclass(frozen=True, slots=True)
class Quorum:
    """`needed` of the witnesses `keys` must have cosigned, no longer than `max_age` seconds ago (None: ever).

    Raises Malformed if so many cannot, or a witness is named twice.
    """

    keys: tuple[WitnessKey, ...]
    needed: int
    max_age: int | None = DAY

    def __post_init__(self) -> None:
        if len({key.public_key for key in self.keys}) < len(self.keys):
            raise Malformed("witnesses: one is named twice")
        if not 1 <= self.needed <= len(self.keys):
            raise Malformed(f"witnesses: {self.needed} of {len(self.keys)} is no quorum")

    @classmethod
    def of(cls, keys: Iterable[str], needed: int | None, max_age: int | None) -> "Quorum":
        """Read verifier keys; `needed` of them, more than half if it is None. Raises Malformed."""
        read = tuple(WitnessKey.parse(key) for key in keys)
        return cls(read, len(read) // 2 + 1 if needed is None else needed, max_age)


@dataclass(frozen=True, slots=True)
class Cosigners:
    """Who cosigned a checkpoint, by name, and since when so many as are needed had (seconds)."""

    names: tuple[str, ...]
    time: int


def check_witnessed(note: bytes, quorum: Quorum, now: float) -> Cosigners:
    """Check that a quorum cosigned the checkpoint `note`, in time; the log's own signature is not checked here.

    Raises Malformed, and NotWitnessed, which names each witness that does not count and why.
    """
    parsed = Note.parse(note)
    times: dict[str, int] = {}
    reasons: list[str] = []
    for key in quorum.keys:
        try:
            found = [key.verify(parsed.text, one) for one in parsed.signatures if key.made(one)]
        except LogError as error:
            raise NotWitnessed(f"it carries a cosignature that is none ({error})") from error
        reason = _reason(max(found), quorum, now) if found else "did not cosign"
        if reason is None:
            times[key.name] = max(found)
        else:
            reasons.append(f"{key.name} {reason}")
    if len(times) < quorum.needed:
        told = "; ".join(reasons)
        raise NotWitnessed(f"{len(times)} of {len(quorum.keys)} witnesses count, {quorum.needed} are needed: {told}")
    return Cosigners(tuple(times), sorted(times.values(), reverse=True)[quorum.needed - 1])


def _reason(time: int, quorum: Quorum, now: float) -> str | None:
    """Why a valid cosignature of this time does not count; None if it does."""
    if time > now + AHEAD:
        return f"cosigned {int(time - now)} seconds in the future"
    if quorum.max_age is not None and time < now - quorum.max_age:
        return f"cosigned {int(now - time)} seconds ago, longer than {quorum.max_age}: stale"
    return None


def attach(note: bytes, lines: Iterable[str]) -> bytes:
    """The note with these cosignature lines under it."""
    return note + "".join(f"{line}\n" for line in lines).encode()


def parse_witnesses(text: str) -> tuple[Witness, ...]:
    """Read lines `<verifier key> <base url>`, comment lines and empty ones apart; raise Malformed, naming the line."""
    witnesses: list[Witness] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2:
            raise Malformed(f"line {number}: not a verifier key and an address")
        try:
            key, url = WitnessKey.parse(words[0]), urlsplit(words[1])
            usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError as error:
            raise Malformed(f"line {number}: {error}") from error
        if not usable or url.query or url.fragment:
            raise Malformed(f"line {number}: not an address")
        witnesses.append(Witness(key, words[1].rstrip("/")))
    return tuple(witnesses)


def late(hours: Sequence[str], size: int, time: int) -> list[int]:
    """The numbers of the entries from `size` on whose hour (UTC) was over at `time`; `hours` are those of all entries.

    If a tree of `size` was cosigned at `time`, they were not in the log then: they came late, or are back-dated.
    """
    begun = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H")
    return [index for index, hour in enumerate(hours[size:], size) if hour < begun]
