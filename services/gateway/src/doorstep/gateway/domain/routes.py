"""Which service answers which path of the front door."""

BEHIND = ("intake", "registry", "risk", "referral", "audit")

_SERVICE_OF: dict[str, str] = {
    "records": "intake",
    "files": "registry",
    "assessments": "risk",
    "needs": "risk",
    "rule-packs": "risk",
    "requests": "referral",
    "departments": "referral",
    "follow": "referral",
    "log": "audit",
}
_DEAD_LETTERS = "dead-letters"


def route(path: str) -> tuple[str, str] | None:
    """The service that answers `path` (below /api/) and the path that it knows; None if there is none.

    `dead-letters/<service>/...` leads to the dead letters of that service.
    """
    first, _, rest = path.partition("/")
    if first == _DEAD_LETTERS:
        service, _, rest = rest.partition("/")
        inner = f"/api/{_DEAD_LETTERS}" + (f"/{rest}" if rest else "")
        return (service, inner) if service in BEHIND else None
    service = _SERVICE_OF.get(first, "")
    return (service, f"/api/{path}") if service else None
