"""The code by which a resident follows their own requests."""

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32: none is taken for another
_GROUP = 4
_LENGTH = 16


def follow_code(secret: bytes) -> str:
    """A code of 80 bits in four groups, like `7Q2M-…`; `secret` has 16 bytes that nobody can guess."""
    number = int.from_bytes(secret[:10])
    letters = "".join(_LETTERS[number >> shift & 31] for shift in range(75, -5, -5))
    return "-".join(letters[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))
