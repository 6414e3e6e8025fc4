"""The search for personal data: marked values in every way that text may be written down, in any heap of bytes."""

import base64
import html
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

import pytest

CHARSETS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
SHORTEST = 6


@dataclass(frozen=True)
class Hit:
    """A marked value that was found: where, which, and how it was written there."""

    where: str
    marker: str
    written_as: str


@dataclass(frozen=True)
class Form:
    """One way to write a marked value."""

    name: str
    data: bytes


class LeakSearch:
    """Finds marked values in bytes: plain, in other character sets, escaped, in hex, in base64, and one in another."""

    def __init__(self, markers: Iterable[str]) -> None:
        """Look for `markers`: made-up names, numbers and texts that stand nowhere else."""
        self.markers = tuple(markers)
        self._needles = {form.data: (marker, form.name) for marker in self.markers for form in forms(marker)}

    def look(self, where: str, data: bytes) -> list[Hit]:
        """Every marked value in `data`, once for each way in which it is written there."""
        found = {self._needles[needle] for needle in self._needles if needle in data}
        return [Hit(where, marker, name) for marker, name in sorted(found)]

    def look_through(self, heap: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> list[Hit]:
        """Every marked value in a heap of named bytes."""
        pieces = heap.items() if isinstance(heap, Mapping) else heap
        return [hit for where, data in pieces for hit in self.look(where, data)]


def forms(marker: str) -> Iterator[Form]:
    """All ways to write `marker` that the search knows; those too short to mean anything are left out."""
    plain = list(_as_text(marker))
    once = [wrapped for form in plain for wrapped in _wrapped(form)]
    twice = [wrapped for form in once if form.name.startswith(("utf-8 ", "gb18030 ")) for wrapped in _wrapped(form)]
    seen: set[bytes] = set()
    for form in itertools.chain(plain, once, twice):
        if len(form.data) >= SHORTEST and form.data not in seen:
            seen.add(form.data)
            yield form


def _as_text(marker: str) -> Iterator[Form]:
    for charset in CHARSETS:
        data = marker.encode(charset)
        yield Form(charset, data)
        yield Form(f"{charset} url-encoded", quote(data, safe="").encode())
        yield Form(f"{charset} url-encoded, lower", _lower_escapes(quote(data, safe="")))
        yield Form(f"{charset} url-encoded, each byte", "".join(f"%{byte:02X}" for byte in data).encode())
        yield Form(f"{charset} url-encoded, each byte, lower", "".join(f"%{byte:02x}" for byte in data).encode())
        yield Form(f"{charset} as \\x", "".join(f"\\x{byte:02x}" for byte in data).encode())
        yield Form(f"{charset} octal", "".join(f"\\{byte:03o}" for byte in data).encode())
        yield Form(f"{charset} as Python shows bytes", repr(data)[2:-1].encode())
    yield Form("form-encoded", quote_plus(marker).encode())
    for width in ("04x", "04X"):
        yield Form("escaped as in JSON", "".join(_json_unit(unit, width) for unit in _units(marker)).encode())
    yield Form("escaped as in JSON, each letter", "".join(f"\\u{ord(unit):04x}" for unit in _units(marker)).encode())
    yield Form("as HTML", "".join(f"&#{ord(letter)};" for letter in marker).encode())
    yield Form("as HTML, hex", "".join(f"&#x{ord(letter):x};" for letter in marker).encode())
    yield Form("as HTML, only others", html.escape(marker).encode("ascii", "xmlcharrefreplace"))


def _lower_escapes(text: str) -> bytes:
    """A URL-encoded text with its escapes in lower case and its own letters as they are."""
    parts = text.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])]).encode()


def _units(marker: str) -> list[str]:
    """The UTF-16 code units of `marker`, as letters."""
    data = marker.encode("utf-16-be")
    return [chr(int.from_bytes(data[place : place + 2])) for place in range(0, len(data), 2)]


def _json_unit(unit: str, width: str) -> str:
    return unit if 32 <= ord(unit) < 127 else f"\\u{ord(unit):{width}}"


def _wrapped(form: Form) -> Iterator[Form]:
    """`form` in hex and in base64, wherever in the encoded bytes it may begin."""
    yield Form(f"{form.name} in hex", form.data.hex().encode())
    yield Form(f"{form.name} in hex, upper", form.data.hex().upper().encode())
    yield Form(f"{form.name} in hex, spaced", form.data.hex(" ").encode())
    yield Form(f"{form.name} in hex, colons", form.data.hex(":").encode())
    yield Form(f"{form.name} in base32", _whole_groups(base64.b32encode, form.data, 5, 0))
    for skip in range(3):
        core = _whole_groups(base64.b64encode, form.data, 3, skip)
        yield Form(f"{form.name} in base64", core)
        yield Form(f"{form.name} in base64 for URLs", core.translate(bytes.maketrans(b"+/", b"-_")))
        yield Form(f"{form.name} in base64, url-encoded", quote(core, safe="").encode())
        yield Form(f"{form.name} in base64 in JSON", core.replace(b"/", b"\\/"))


def _whole_groups(encode: object, data: bytes, size: int, skip: int) -> bytes:
    """The encoding of those bytes of `data` that fill whole groups, if its first `skip` bytes end another group."""
    inner = data[skip : skip + (len(data) - skip) // size * size]
    return encode(inner)  # type: ignore[operator]


@pytest.fixture(scope="session")
def leak_search() -> type[LeakSearch]:
    """The search, to be given its markers."""
    return LeakSearch
