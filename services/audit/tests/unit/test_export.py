"""Exports: each line is checked without the log, and the first wrong one is named, wherever it was edited."""

import base64
import json
from uuid import UUID, uuid4

import pytest

from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.entry import Entry, commit
from doorstep.audit.domain.errors import LineRejected, Malformed
from doorstep.audit.domain.export import Ending, check_export, encode_line
from doorstep.audit.domain.merkle import inclusion_ranges, leaf_hash, root_of
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.receipt import Receipt

KEY = SigningKey("doorstep.example/log", bytes(range(32)))
SIZE = 13
NONCES = [bytes([at]) * 32 for at in range(2 * SIZE)]


def detail(number: int) -> dict:
    return {"nonce": base64.b64encode(NONCES[number]).decode(), "action": "read-file", "at_us": number, "case": "户"}


def plain(number: int) -> dict:
    return {name: value for name, value in detail(number).items() if name != "nonce"}


ENTRIES = [
    Entry(
        UUID(int=at), "2026-11-21T10", tuple(commit(NONCES[number], plain(number)) for number in (2 * at, 2 * at + 1))
    ).encode()
    for at in range(SIZE)
]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def note(size: int = SIZE, key: SigningKey = KEY) -> bytes:
    return Checkpoint(KEY.name, size, root_of(LEAVES[:size])).sign(key)


def receipt(index: int, size: int = SIZE, key: SigningKey = KEY) -> Receipt:
    hashes = tuple(root_of(LEAVES[start:end]) for start, end in inclusion_ranges(index, size))
    return Receipt(index, hashes, note(size, key), ENTRIES[index])


def line(index: int, positions: tuple[int, ...] = (0, 1), size: int = SIZE, key: SigningKey = KEY) -> bytes:
    return encode_line(receipt(index, size, key), [(at, detail(2 * index + at)) for at in positions])


@pytest.fixture
def lines() -> list[bytes]:
    some = [line(4), line(2, (1,)), line(12)]
    return [*some, Ending("all", len(some), 7).encode()]


def rejected(lines: list[bytes]) -> tuple[int, str]:
    with pytest.raises(LineRejected) as caught:
        check_export(lines, KEY.verifier)
    return caught.value.line, str(caught.value)


def test_every_line_of_a_whole_export_holds(lines):
    checked = check_export(lines, KEY.verifier)
    assert (checked.ending, checked.checkpoint.size, checked.note) == (Ending("all", 3, 7), SIZE, note())
    assert check_export([Ending("none", 0, 0).encode()], KEY.verifier).checkpoint is None


def edited(data: bytes, change) -> bytes:
    document = json.loads(data)
    change(document)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def put(*path, value):
    """A change that puts `value`, or what it makes of the old one, at `path`."""

    def change(document):
        *way, last = path
        for step in way:
            document = document[step]
        document[last] = value(document[last]) if callable(value) else value

    return change


def in_receipt(place: int, value: str):
    """A change that puts `value` in the place of a line of the receipt; those of the note are counted from its end."""

    def change(document):
        lines = document["receipt"].split("\n")
        assert lines[place] != value
        lines[place] = value
        document["receipt"] = "\n".join(lines)

    return change


OTHER = base64.b64encode(bytes(32)).decode()
EDITS = {
    "the entry": (put("entry", value=lambda text: text.replace("2026", "2020")), "the receipt is of another entry"),
    "the index": (put("index", value=3), "the receipt is of another entry"),
    "what a detail says": (put("details", 1, "detail", "action", value="x"), "detail 1 does not open its commitment"),
    "a time": (put("details", 0, "detail", "at_us", value=99), "detail 0 does not open its commitment"),
    "a nonce": (put("details", 0, "detail", "nonce", value=OTHER), "detail 0 does not open its commitment"),
    "a nonce cut": (put("details", 0, "detail", "nonce", value="AAAA"), "nonce: not 32 bytes"),
    "a nonce gone": (lambda document: document["details"][0]["detail"].pop("nonce"), "not a detail with its nonce"),
    "a position": (put("details", 0, "position", value=1), "detail 1 does not open its commitment"),
    "a position beyond": (put("details", 0, "position", value=2), "not a detail with its nonce and position"),
    "a position before": (put("details", 0, "position", value=-2), "detail -2 does not open its commitment"),
    "the details": (put("details", value=[]), "no detail, or one twice"),
    "a detail twice": (lambda document: document["details"].append(document["details"][0]), "no detail, or one twice"),
    "the proof": (in_receipt(3, OTHER), "the proof leads to another root"),
    "the proof's index": (in_receipt(2, "index 5"), "the receipt is of another entry"),
    "the checkpoint's size": (in_receipt(-5, str(SIZE + 1)), ""),
    "the checkpoint's root": (in_receipt(-4, OTHER), ""),
    "the signature": (in_receipt(-2, f"— {KEY.name} {base64.b64encode(bytes(68)).decode()}"), ""),
    "a field more": (put("colour", value="red"), "not the fields of an export"),
    "a field gone": (lambda document: document.pop("entry"), "not the fields of an export"),
    "text that is none": (put("receipt", value=7), "not text where text is due"),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("place", [0, 2])
def test_an_edited_line_is_named(lines, name, place):
    change, reason = EDITS[name]
    lines[place] = edited(lines[place], change)
    number, said = rejected(lines)
    assert number == place + 1
    assert reason in said


def test_two_edits_that_fit_each_other_do_not_fit_the_tree(lines):
    """Entry, receipt and detail made anew together: the proof leads elsewhere."""
    forged = Entry(UUID(int=4), "2020-01-01T00", (commit(NONCES[8], plain(8)),)).encode()
    old = receipt(4)
    lines[0] = encode_line(Receipt(4, old.hashes, old.checkpoint, forged), [(0, detail(8))])
    assert rejected(lines) == (1, "line 1: inclusion: the proof leads to another root")


def test_all_lines_are_under_one_checkpoint_that_the_key_signed(lines):
    assert rejected([lines[0], line(2, size=11), lines[3]])[0] == 2
    stranger = SigningKey("doorstep.example/log", bytes(32))
    assert rejected([line(4, key=stranger), lines[3]]) == (1, "line 1: note: no signature of a trusted key")


def test_a_line_that_stands_twice_is_named(lines):
    assert rejected([lines[0], lines[0], lines[3]]) == (2, "line 2: entry 4 stands twice")


@pytest.mark.parametrize("kept", [0, 1, 50, -1, -2])
def test_a_line_that_was_cut_off_is_named(lines, kept):
    number, _ = rejected([lines[0], lines[1][:kept]])
    assert number == 2


def test_a_file_that_was_cut_off_between_lines_misses_its_end(lines):
    assert rejected(lines[:2]) == (3, "line 3: the end is missing: the file was cut off")
    assert rejected([]) == (1, "line 1: the end is missing: the file was cut off")
    assert rejected([*lines, lines[0]]) == (5, "line 5: something stands behind the end")


def test_a_line_taken_out_is_told_by_the_end_alone_which_nobody_signed(lines):
    assert rejected([lines[0], *lines[2:]]) == (3, "line 3: 2 lines where the end says 3")
    assert check_export([lines[0], lines[2], Ending("all", 2, 7).encode()], KEY.verifier).ending.lines == 2


@pytest.mark.parametrize(
    "line", [b"\n", b"null\n", b"[]\n", b"7\n", b"{}\n", b"\xff\n", b"[" * 100_000, b'{"end":7}\n', b'{"end":{}}\n',
             b'{"a":"\\ud800"}\n', b'{"a": 1}\n', b" " * (4 * 1024 * 1024 + 1)],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_line_is_named(lines, line):
    assert rejected([lines[0], line])[0] == 2


def test_a_receipt_without_its_entry_makes_no_line():
    with pytest.raises(Malformed):
        encode_line(Receipt(0, (), note()), [(0, {"nonce": str(uuid4())})])
