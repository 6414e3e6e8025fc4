"""Exports of entries: JSON Lines that are checked without the log, all under one checkpoint.

- A line holds the entry's exact bytes as text, its index, those of its details that could be opened, each with its
  nonce and the position of its commitment, and the receipt (C2SP tlog-proof).
- The last line says how many there are. It is what tells a file that was cut off; nobody signed it, so it does not
  prove that none was taken out.
- A line is written in one way: names in order, no spaces.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.entry import Entry, opens, parse_entry
from doorstep.audit.domain.errors import LineRejected, LogError, Malformed, ProofRejected
from doorstep.audit.domain.merkle import check_inclusion, leaf_hash
from doorstep.audit.domain.note import VerifierKey
from doorstep.audit.domain.receipt import Receipt, check_receipt, parse_receipt

LINE_LIMIT = 4 * 1024 * 1024
_END = "end"


@dataclass(frozen=True, slots=True)
class Ending:
    """The last line: what was asked for, how many lines stand before it, how many entries had no proof yet."""

    asked: str
    lines: int
    waiting: int

    def encode(self) -> bytes:
        """Return the line."""
        return _encode({_END: {"asked": self.asked, "lines": self.lines, "waiting": self.waiting}})


@dataclass(frozen=True, slots=True)
class CheckedExport:
    """An export whose every line holds: its end, and the checkpoint that they are under, None if there are none."""

    ending: Ending
    checkpoint: Checkpoint | None
    note: bytes | None


def encode_line(receipt: Receipt, details: Sequence[tuple[int, dict[str, Any]]]) -> bytes:
    """The line of the entry in `receipt`, with the details of these positions; raises Malformed without an entry."""
    if receipt.extra is None:
        raise Malformed("receipt: it does not hold the entry")
    return _encode(
        {
            "details": [{"detail": detail, "position": position} for position, detail in details],
            "entry": receipt.extra.decode(),
            "index": receipt.index,
            "receipt": receipt.encode().decode(),
        }
    )


def check_export(lines: Iterable[bytes], key: VerifierKey) -> CheckedExport:
    """Check each line (bytes with their newline) against the checkpoint that `key` signed, and that the end is there.

    Raises LineRejected, which names the first line that is wrong.
    """
    checking, ending, number = _Checking(key), None, 0
    for number, line in enumerate(lines, 1):
        try:
            if ending is not None:
                raise Malformed("something stands behind the end")
            ending = checking.take(_decode(line))
        except LogError as error:
            raise LineRejected(number, str(error)) from error
    if ending is None:
        raise LineRejected(number + 1, "the end is missing: the file was cut off")
    return CheckedExport(ending, checking.checkpoint, checking.note)


class _Checking:
    """What the lines so far have in common."""

    def __init__(self, key: VerifierKey) -> None:
        self._key = key
        self._seen: set[int] = set()
        self.checkpoint: Checkpoint | None = None
        self.note: bytes | None = None

    def take(self, line: dict[str, Any]) -> Ending | None:
        """Check a line; the ending if it is that."""
        if set(line) == {_END}:
            return self._end(line[_END])
        if set(line) != {"details", "entry", "index", "receipt"} or not isinstance(line["details"], list):
            raise Malformed("not the fields of an export")
        entry, index = self._prove(line)
        if index in self._seen:
            raise Malformed(f"entry {index} stands twice")
        self._seen.add(index)
        positions = [_open(entry, detail) for detail in line["details"]]
        if not positions or len(set(positions)) < len(positions):
            raise Malformed("no detail, or one twice")
        return None

    def _prove(self, line: dict[str, Any]) -> tuple[Entry, int]:
        """The entry of a line and its index, proved to be under the checkpoint."""
        receipt = parse_receipt(_text(line["receipt"]))
        if receipt.extra != _text(line["entry"]) or receipt.index != line["index"]:
            raise Malformed("the receipt is of another entry")
        if self.checkpoint is None:
            entry, self.checkpoint = check_receipt(receipt, self._key.name, [self._key])
            self.note = receipt.checkpoint
            return entry, receipt.index
        if receipt.checkpoint != self.note:
            raise ProofRejected("the checkpoint is not the one of the first line")
        signed = self.checkpoint
        check_inclusion(leaf_hash(receipt.extra), receipt.index, signed.size, receipt.hashes, signed.root)
        return parse_entry(receipt.extra), receipt.index

    def _end(self, end: Any) -> Ending:
        try:
            ending = Ending(str(end["asked"]), int(end["lines"]), int(end["waiting"]))
        except (TypeError, ValueError, KeyError) as error:
            raise Malformed("not the end of an export") from error
        if ending.lines != len(self._seen):
            raise Malformed(f"{len(self._seen)} lines where the end says {ending.lines}")
        return ending


def _open(entry: Entry, opened: Any) -> int:
    """The position of a detail that opens its commitment; raises Malformed, ProofRejected."""
    try:
        position, detail = opened["position"], dict(opened["detail"])
        nonce = base64.b64decode(detail.pop("nonce"), validate=True)
        commitment = entry.commitments[position] if position >= 0 else None
    except (TypeError, ValueError, KeyError, IndexError, binascii.Error) as error:
        raise Malformed("not a detail with its nonce and position") from error
    if commitment is None or not opens(commitment, nonce, detail):
        raise ProofRejected(f"detail {position} does not open its commitment")
    return int(position)


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise Malformed("not text where text is due")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise Malformed("not text where text is due") from error


def _encode(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def _decode(data: bytes) -> dict[str, Any]:
    """Read a line; raises Malformed unless it is exactly what `_encode` writes."""
    if len(data) > LINE_LIMIT:
        raise Malformed("longer than any line")
    try:
        line = json.loads(data.decode())
        whole = isinstance(line, dict) and _encode(line) == data
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON, or cut off") from error
    if not whole:
        raise Malformed("not in the one form of a line, or cut off")
    return dict(line)
