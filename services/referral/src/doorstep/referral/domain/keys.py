"""What a department's key is used for, and why one is taken back."""

from enum import StrEnum


class KeyState(StrEnum):
    """What a key is used for: `next` not yet, `previous` no more, though the department may still hold messages."""

    CURRENT = "current"
    NEXT = "next"
    PREVIOUS = "previous"
    WITHDRAWN = "withdrawn"


class WithdrawnFor(StrEnum):
    """Why a key was taken back."""

    RETIRED = "retired"
    COMPROMISED = "compromised"
