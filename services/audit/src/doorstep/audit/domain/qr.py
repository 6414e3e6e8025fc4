"""A receipt as one QR code: its text as it is, so that whoever reads the code checks it as any receipt.

A QR code holds 2,953 bytes at most (ISO/IEC 18004, version 40, level L). Beyond that there is none.
"""

import io
from typing import Final

import segno

from doorstep.audit.domain.errors import TooLong

QR_BYTES: Final = 2953
_QUIET = 4  # modules of margin that readers need
_DOTS = 4  # a module of a PNG


def svg(text: bytes) -> bytes:
    """The QR code of a text as SVG, one unit a module; raises TooLong."""
    return _saved(text, "svg", 1)


def png(text: bytes) -> bytes:
    """The QR code of a text as PNG; raises TooLong."""
    return _saved(text, "png", _DOTS)


def _saved(text: bytes, kind: str, scale: int) -> bytes:
    if len(text) > QR_BYTES:
        raise TooLong
    made = segno.make_qr(text, error="l", mode="byte", boost_error=False)
    out = io.BytesIO()
    made.save(out, kind=kind, scale=scale, border=_QUIET)
    return out.getvalue()
