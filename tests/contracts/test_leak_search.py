"""The search for personal data finds a planted value in whatever way it is written, and nothing where there is none."""

import base64
import binascii
import hashlib
import json
import random
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

NAME = "欧阳测漏"
RARE = "𠮷田测漏"
PAPER = "11010519481120309X"
PHONE = "13900571482"
ADDRESS = "测漏街9号楼3单元 702室"
MARKERS = (NAME, RARE, PAPER, PHONE, ADDRESS)
Write = Callable[[str], bytes]


def inside(marker: str, charset: str = "utf-8", *, before: int = 0) -> bytes:
    """A document with the value somewhere in it, so that it may begin at any place of an encoding's group."""
    return (f'{"x" * before}{{"name":"{marker}","more":1}}').encode(charset)


WAYS: dict[str, Write] = {
    "plain": lambda marker: inside(marker),
    "GB18030": lambda marker: inside(marker, "gb18030"),
    "UTF-16": lambda marker: inside(marker, "utf-16"),
    "UTF-16 big-endian": lambda marker: inside(marker, "utf-16-be"),
    "JSON with escapes": lambda marker: json.dumps({"name": marker}).encode(),
    "JSON with escapes in upper case": lambda marker: json.dumps(marker).upper().replace("\\U", "\\u").encode(),
    "JSON in a JSON string": lambda marker: json.dumps(json.dumps({"name": marker}, ensure_ascii=False)).encode(),
    "each letter escaped": lambda marker: "".join(f"\\u{ord(one):04x}" for one in utf16(marker)).encode(),
    "URL": lambda marker: f"/find?name={quote(marker)}&x=1".encode(),
    "form": lambda marker: f"name={quote_plus(marker)}".encode(),
    "URL in lower case": lambda marker: f"/find?name={lower(quote(marker, safe=''))}".encode(),
    "URL with every byte escaped": lambda marker: "".join(f"%{one:02x}" for one in marker.encode()).encode(),
    "URL of GB18030": lambda marker: quote(marker.encode("gb18030"), safe="").encode(),
    "hex": lambda marker: inside(marker).hex().encode(),
    "hex in upper case": lambda marker: binascii.hexlify(inside(marker)).upper(),
    "hex of GB18030": lambda marker: inside(marker, "gb18030").hex().encode(),
    "hex of UTF-16": lambda marker: inside(marker, "utf-16-le").hex().encode(),
    "a bytea as PostgreSQL shows it": lambda marker: b"\\x" + inside(marker).hex().encode(),
    "bytes as Python shows them": lambda marker: repr(inside(marker)).encode(),
    "HTML": lambda marker: marker.encode("ascii", "xmlcharrefreplace"),
    "base64 for URLs": lambda marker: base64.urlsafe_b64encode(inside(marker)),
    "base64 of a URL": lambda marker: base64.b64encode(quote(marker, safe="").encode()),
    "base64 of JSON with escapes": lambda marker: base64.b64encode(json.dumps({"name": marker}).encode()),
    "base64 in a URL": lambda marker: quote(base64.b64encode(inside(marker)), safe="").encode(),
    "base64 of hex": lambda marker: base64.b64encode(inside(marker).hex().encode()),
    "base64 of base64": lambda marker: base64.b64encode(base64.b64encode(inside(marker))),
    "base64 of GB18030 in base64": lambda marker: base64.b64encode(base64.b64encode(inside(marker, "gb18030"))),
    "hex of base64": lambda marker: base64.b64encode(inside(marker)).hex().encode(),
    "a token's middle": lambda marker: b"eyJhbGciOiJub25lIn0." + base64.urlsafe_b64encode(inside(marker)) + b".",
    **{
        f"base64 of {charset}, {before} before": lambda marker, c=charset, n=before: base64.b64encode(
            inside(marker, c, before=n)
        )
        for charset in ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
        for before in range(3)
    },
}  # fmt: skip


def utf16(marker: str) -> list[str]:
    data = marker.encode("utf-16-be")
    return [chr(int.from_bytes(data[i : i + 2])) for i in range(0, len(data), 2)]


def lower(escaped: str) -> str:
    return "%".join(part if i == 0 else part[:2].lower() + part[2:] for i, part in enumerate(escaped.split("%")))


@pytest.fixture(scope="module")
def search(leak_search):
    return leak_search(MARKERS)


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("way", WAYS)
def test_a_planted_value_is_found(search, way: str, marker: str) -> None:
    noise = hashlib.sha512(way.encode()).digest() * 8
    hits = search.look("planted", noise + WAYS[way](marker) + noise)
    assert marker in {hit.marker for hit in hits}


def test_what_is_found_is_told_with_its_place_and_way(search) -> None:
    hits = search.look_through({"a.log": b"nothing", "b.log": base64.b64encode(NAME.encode("gb18030"))})
    assert {(hit.where, hit.marker) for hit in hits} == {("b.log", NAME)}
    assert any("gb18030" in hit.written_as and "base64" in hit.written_as for hit in hits)


def test_nothing_is_found_where_nothing_is(search) -> None:
    noise = random.Random(7).randbytes(500_000)
    heap = {"noise": noise, "base64": base64.b64encode(noise), "hex": noise.hex().encode(), "empty": b""}
    assert search.look_through(heap) == []


def test_a_value_of_somebody_else_is_not_taken_for_a_marked_one(search) -> None:
    for other in ("欧司马漏", "11010529341020309X", "13908671482", "13900571"):
        for write in WAYS.values():
            assert search.look("other", write(other)) == []


def test_the_search_is_quick_enough_to_go_through_everything(search) -> None:
    began = time.monotonic()
    search.look("much", b'{"event":"published","topic":"intake.visits"}\n' * 20_000)
    assert time.monotonic() - began < 120
