"""Decisions a second: Cedar asked by its own library, and by the kit's policy, which remembers what it was asked."""

import json
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import count

import cedarpy

from doorstep.contracts.codes import Department, Purpose, Role
from doorstep.kit.auth import Principal
from doorstep.kit.policy import CaseKind, Policy, Resource, agency_kind

_BATCH = 50
_RESOURCE = Resource("request", department=Department.HEALTH)


def decisions(seconds: float) -> dict[str, float]:
    """Decisions a second of one question (a department reads its own request), each kind for so many seconds."""
    policy, asking = Policy(), _principals()
    known = next(asking)
    return {
        "bare_per_second": _rate(_bare(), seconds),
        "anew_per_second": _rate(lambda: _ask(policy, next(asking)), seconds),
        "remembered_per_second": _rate(lambda: _ask(policy, known), seconds),
    }


def _principals() -> Iterator[Principal]:
    """Systems of one department, each another, so that no question was asked before."""
    return (Principal(f"system-{number}", Role.DEPARTMENT_SYSTEM, Department.HEALTH) for number in count())


def _ask(policy: Policy, principal: Principal) -> None:
    policy.authorize(principal, "read-request", _RESOURCE, purpose=Purpose.SERVICE, case=CaseKind.REQUEST)


def _bare() -> Callable[[], None]:
    """The same question put to the library with nothing left to prepare."""
    folder = files("doorstep.kit") / "policies"
    policies = cedarpy.PolicySet.from_str((folder / "doorstep.cedar").read_text())
    schema = cedarpy.Schema.from_str((folder / "doorstep.cedarschema").read_text())
    user, thing = {"type": "User", "id": "system"}, {"type": "Resource", "id": "request"}
    request = {
        "principal": user,
        "action": {"type": "Action", "id": "read-request"},
        "resource": thing,
        "context": {"purpose": str(Purpose.SERVICE), "case": str(CaseKind.REQUEST)},
    }
    kind = str(agency_kind(Department.HEALTH))
    who = {"role": str(Role.DEPARTMENT_SYSTEM), "agency": str(Department.HEALTH), "agencyKind": kind, "heads": False}
    what = {"kind": "request", "department": str(Department.HEALTH)}
    entities = json.dumps([{"uid": user, "attrs": who, "parents": []}, {"uid": thing, "attrs": what, "parents": []}])

    def ask() -> None:
        if not cedarpy.is_authorized(request, policies, entities, schema).allowed:
            raise RuntimeError("the bare question of the benchmark is not the one that is permitted")

    return ask


def _rate(ask: Callable[[], None], seconds: float) -> float:
    done, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        for _ in range(_BATCH):
            ask()
        done += _BATCH
    return done / (time.monotonic() - began)
