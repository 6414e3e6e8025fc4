"""Which answers count as a code that was guessed: what shows nothing, and what is answered alike."""

import json
from pathlib import Path
from typing import Any

import pytest

from doorstep.gateway.domain.guessing import is_by_code, shows_nothing

FOLLOW = "/api/follow/7Q2M-7Q2M-7Q2M-7Q2M"
SCHEMAS = Path(__file__).parents[4] / "contracts" / "schemas" / "openapi"


def described(service: str) -> dict[str, Any]:
    """What a service publishes of itself."""
    found: dict[str, Any] = json.loads((SCHEMAS / f"{service}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("path", "status", "content"),
    [
        (FOLLOW, 200, b'{"requests":[]}'), (f"{FOLLOW}/looks", 200, b'{"looks":[]}'),
        ("/api/usage", 200, b'{"usages":[],"next":null}'), (f"{FOLLOW}/ratings", 404, b'{"type":"x"}'),
        ("/api/own-requests", 404, b"{}"), (f"{FOLLOW}/notices", 200, b'{"channel":"sms"}'),
        (f"{FOLLOW}/complaints/x/withdrawal", 204, b""), ("/api/exclusions", 200, b'{"excluded":1}'),
        ("/api/proxies", 200, b'{"proxy_code":"7Q2M","until":null}'), ("/api/plans/contests", 202, b'{"heard":true}'),
        ("/api/plans/withdrawals", 202, b'{"heard":true}'),
    ],
)  # fmt: skip
def test_what_an_unknown_code_gets_shows_nothing(path: str, status: int, content: bytes) -> None:
    assert shows_nothing(path, status, content)


@pytest.mark.parametrize(
    ("path", "status", "content"),
    [
        (FOLLOW, 200, b'{"requests":[{"ref":"x","state":"requested"}]}'), (f"{FOLLOW}/ratings", 409, b"{}"),
        ("/api/usage", 200, b'{"usages":[{}],"next":null}'), ("/api/usage", 429, b"{}"), (FOLLOW, 503, b"{}"),
        (f"{FOLLOW}/withdrawals", 422, b"{}"), ("/api/own-requests", 201, b'{"record_id":"x"}'),
        (f"{FOLLOW}/looks", 201, b'{"ref":"x"}'), ("/api/exclusions", 422, b"{}"), (FOLLOW, 200, b"{"),
        (FOLLOW, 307, b""),
    ],
)  # fmt: skip
def test_what_shows_something_or_was_not_looked_for_is_not_counted(path: str, status: int, content: bytes) -> None:
    assert not shows_nothing(path, status, content)


def test_every_path_that_a_code_alone_opens_is_known() -> None:
    unknown = []
    for service in ("intake", "registry", "risk", "referral", "audit"):
        for path, methods in described(service)["paths"].items():
            for method, one in methods.items():
                by_token = path.startswith("/api/dumonitor/")  # a portal signs in
                if one.get("x-doorstep-visibility") == "subject" and not by_token:
                    unknown += [] if is_by_code(method.upper(), path) else [(method, path)]
    assert unknown == []


def test_what_is_listed_by_a_code_has_nothing_beside_its_list() -> None:
    lists = [("referral", "FollowedRequests", {"requests"}), ("referral", "LookViews", {"looks"}),
             ("audit", "UsagesShown", {"usages", "next"})]  # fmt: skip
    for service, name, fields in lists:
        assert set(described(service)["components"]["schemas"][name]["properties"]) == fields


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/requests"), ("GET", "/api/plans/contests"), ("PUT", "/api/files/1/subjects/2/exclusions"),
     ("GET", "/api/menu"), ("GET", "/api/follow"), ("POST", "/api/usage-deferrals")],
)  # fmt: skip
def test_what_staff_ask_for_is_by_no_code(method: str, path: str) -> None:
    assert not is_by_code(method, path)
