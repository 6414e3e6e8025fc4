"""A one-time code, said at a visit: how it is written and read, and how long it holds.

Short, for it is read aloud and typed once; its letters are Crockford's, of which none is taken for another.
"""

from datetime import timedelta

AT_THE_VISIT = timedelta(days=1)
"""For so long after its record a visit can still have a code asked for."""

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("OIL", "011")
_GROUP, _GROUPS, _BITS = 4, 2, 5


def written(drawn: bytes) -> str:
    """The code that these bytes, five at least, make: 40 bits in two groups, like `7Q2M-1XKD`."""
    number = int.from_bytes(drawn[:5])
    letters = "".join(_LETTERS[number >> shift & 31] for shift in range(_GROUP * _GROUPS * _BITS - _BITS, -1, -_BITS))
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))


def read(typed: str) -> str:
    """A code as it is indexed, however it was typed: without signs between, O for 0, I and L for 1."""
    return "".join(sign for sign in typed if sign.isalnum()).upper().translate(_READ_AS)
