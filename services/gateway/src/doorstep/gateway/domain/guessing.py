"""Which answers show nothing of anybody, so that codes that are guessed are counted, and those that are somebody's not.

Invariant: what is counted follows from the answer that the caller sees, and from nothing else, so that being counted
tells no more than it: where an unknown code and a known one are answered alike, both are counted.
"""

import json
import re

_BY_CODE = frozenset(
    {
        ("POST", "/api/own-requests"),
        ("POST", "/api/usage"),
        ("PUT", "/api/exclusions"),
        ("PUT", "/api/proxies"),
        ("POST", "/api/plans/contests"),
        ("POST", "/api/plans/withdrawals"),
    }
)
_FOLLOWED = "/api/follow/"
_ALIKE = re.compile(
    r"/api/(exclusions|proxies|plans/(contests|withdrawals)|follow/[^/]+/(notices|[^/]+/[^/]+/withdrawal))"
)
"""Where nobody is told whether the code is anybody's."""


def is_by_code(method: str, path: str) -> bool:
    """Whether whoever asks for `path` is known by nothing but the code that they send."""
    return path.startswith(_FOLLOWED) or (method, path) in _BY_CODE


def shows_nothing(path: str, status: int, content: bytes) -> bool:
    """Whether an answer to what was asked by a code is one that a code which nobody has gets too.

    That is 404, a body without anything in it, and all that is done where nobody is told whether it was. What was
    refused for its form, or was not answered, is none: no code was looked for.
    """
    if status == 404:
        return True
    if not 200 <= status < 300:
        return False
    if _ALIKE.fullmatch(path):
        return True
    try:
        told = json.loads(content)
    except ValueError:
        return False
    return isinstance(told, dict) and not any(told.values())
