"""Which service answers which path of the front door."""

import re
from urllib.parse import quote, unquote

BEHIND = ("intake", "registry", "risk", "referral", "audit")

_SERVICE_OF: dict[str, str] = {
    "records": "intake",
    "menu": "intake",
    "own-requests": "intake",
    "orders": "intake",
    "files": "registry",
    "erasures": "registry",
    "exclusions": "registry",
    "proxies": "registry",
    "break-glass": "registry",
    "plans": "registry",
    "plan-proposals": "registry",
    "assessments": "risk",
    "needs": "risk",
    "rule-packs": "risk",
    "requests": "referral",
    "departments": "referral",
    "directories": "referral",
    "follow": "referral",
    "board": "referral",
    "figures": "referral",
    "figures.xlsx": "referral",
    "figures.pdf": "referral",
    "notices": "referral",
    "log": "audit",
    "usage": "audit",
    "usage-deferrals": "audit",
    "dumonitor": "audit",
}
_BELOW: dict[str, str] = {"orders": "referral"}
"""Where what lies below a path is another service's: intake takes an order, referral answers for it."""
_DEAD_LETTERS = "dead-letters"
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]")


def outside(service: str, path: str) -> str:
    """The path at the front door of what `service` knows as `path`."""
    inner = f"/api/{_DEAD_LETTERS}"
    named = f"{inner}/{service}"
    return path.replace(inner, named, 1) if path.startswith(inner) and not path.startswith(named) else path


def route(raw_path: str) -> tuple[str, str] | None:
    """The service that answers `raw_path` (below /api/, as it was sent) and the path that it knows, encoded anew.

    None if there is none, and for a path with dot segments, an encoded slash, an empty segment but the last, or
    control characters: they would lead elsewhere, or be read differently there.
    `dead-letters/<service>/...` leads to the dead letters of that service.
    """
    segments = [unquote(segment) for segment in raw_path.split("/")]
    if any(segment in (".", "..") or _UNSAFE.search(segment) for segment in segments) or "" in segments[:-1]:
        return None
    path = "/".join(quote(segment, safe="") for segment in segments)
    first, _, rest = path.partition("/")
    if first == _DEAD_LETTERS:
        service, _, rest = rest.partition("/")
        inner = f"/api/{_DEAD_LETTERS}" + (f"/{rest}" if rest else "")
        return (service, inner) if service in BEHIND else None
    service = (_BELOW.get(first, "") if rest else "") or _SERVICE_OF.get(first, "")
    return (service, f"/api/{path}") if service else None
