"""Who may do what to what, and why: Cedar policies in files of their own, checked against their schema when loaded."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import cedarpy

from doorstep.contracts.codes import Purpose
from doorstep.kit.auth import Principal

_REMEMBERED = 4096


class Forbidden(Exception):
    """No policy permits this, or one forbids it: `policies` are those that do."""

    def __init__(self, action: str, policies: tuple[str, ...] = ()) -> None:
        """What is forbidden, and by which policies; by none where none permits it."""
        super().__init__(action)
        self.policies = policies


class PoliciesInvalid(Exception):
    """The policies do not fit their schema."""


@dataclass(frozen=True)
class Resource:
    """What is to be done something to. `own_record` says that the caller took the record at hand."""

    kind: str
    department: str | None = None
    own_record: bool | None = None


@dataclass(frozen=True)
class Decision:
    """A permission, with the ids of the policies that gave it; or a refusal, with those that forbid it."""

    policies: tuple[str, ...]
    permitted: bool = True


class Policy:
    """The policies in force; `digest` is the hex SHA-256 of their text. Whatever no policy permits is refused."""

    def __init__(self) -> None:
        """Read the policies. Raises PoliciesInvalid."""
        folder = files("doorstep.kit") / "policies"
        source = (folder / "doorstep.cedar").read_text()
        schema = (folder / "doorstep.cedarschema").read_text()
        result = cedarpy.validate_policies(source, schema)
        if not result.validation_passed:
            raise PoliciesInvalid("; ".join(str(error.error) for error in result.errors))
        self.digest = hashlib.sha256(source.encode()).hexdigest()
        self._policies = cedarpy.PolicySet.from_str(source)
        self._schema = cedarpy.Schema.from_str(schema)
        self._decide = lru_cache(_REMEMBERED)(self._ask)

    def authorize(
        self, principal: Principal, action: str, resource: Resource, *, purpose: Purpose | None = None
    ) -> Decision:
        """The decision to let `principal` do `action`. Raises Forbidden, also where the question makes no sense.

        Policies know neither a clock nor a network: the same question has the same answer, which is remembered.
        """
        decision = self._decide(principal, action, resource, purpose)
        if not decision.permitted:
            raise Forbidden(action, decision.policies)
        return decision

    def _ask(self, principal: Principal, action: str, resource: Resource, purpose: Purpose | None) -> Decision:
        who = {"role": str(principal.role), "agency": principal.agency}
        if principal.station is not None:
            who["station"] = principal.station
        what: dict[str, str | bool] = {"kind": resource.kind}
        if resource.department is not None:
            what["department"] = resource.department
        if resource.own_record is not None:
            what["ownRecord"] = resource.own_record
        user, thing = {"type": "User", "id": principal.subject}, {"type": "Resource", "id": resource.kind}
        request = {
            "principal": user,
            "action": {"type": "Action", "id": action},
            "resource": thing,
            "context": {} if purpose is None else {"purpose": str(purpose)},
        }
        entities = json.dumps(
            [{"uid": user, "attrs": who, "parents": []}, {"uid": thing, "attrs": what, "parents": []}]
        )
        result = cedarpy.is_authorized(request, self._policies, entities, self._schema)
        names = result.diagnostics.id_annotations_by_reason
        reasons = sorted(names.get(reason) or reason for reason in result.diagnostics.reasons)
        return Decision(tuple(reasons), permitted=result.allowed)
