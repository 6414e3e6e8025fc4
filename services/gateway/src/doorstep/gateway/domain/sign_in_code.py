"""A one-time code, said at a visit: how it is written and read, how long it holds, and who has none of their own.

Short, for it is read aloud and typed once; its letters are Crockford's, of which none is taken for another.
"""

from datetime import date, timedelta

OWN_AGE = 14
"""From this age on somebody signs in for themselves (PIPL, article 31)."""
AT_THE_VISIT = timedelta(days=1)
"""For so long after its record a visit can still have a code asked for."""

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("OIL", "011")
_GROUP, _GROUPS, _BITS = 4, 2, 5
_NUMBER = 18
_DATE = slice(6, 14)
_DATED = frozenset({"resident-id", "residence-permit", "permanent-residence"})


def written(drawn: bytes) -> str:
    """The code that these bytes, five at least, make: 40 bits in two groups, like `7Q2M-1XKD`."""
    number = int.from_bytes(drawn[:5])
    letters = "".join(_LETTERS[number >> shift & 31] for shift in range(_GROUP * _GROUPS * _BITS - _BITS, -1, -_BITS))
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))


def read(typed: str) -> str:
    """A code as it is indexed, however it was typed: without signs between, O for 0, I and L for 1."""
    return "".join(sign for sign in typed if sign.isalnum()).upper().translate(_READ_AS)


def own_age_on(document_kind: str | None, number: str | None, birth_year: int | None) -> date | None:
    """The day from which on somebody is of `OWN_AGE`, by their paper, else by the year; None if neither is known.

    Of a year its last day counts: nobody is taken for older than they are.
    """
    if document_kind in _DATED and number is not None and len(number) == _NUMBER:
        try:
            born = date.fromisoformat(number[_DATE])
        except ValueError:
            born = None
        if born is not None:
            return _birthday(born)
    try:
        return None if birth_year is None else date(birth_year + OWN_AGE, 12, 31)
    except ValueError:
        return None


def _birthday(born: date) -> date:
    try:
        return born.replace(year=born.year + OWN_AGE)
    except ValueError:  # on a 29 February
        return date(born.year + OWN_AGE, 3, 1)
