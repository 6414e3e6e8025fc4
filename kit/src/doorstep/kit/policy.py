"""Who may do what to what, and why: Cedar policies in files of their own, checked against their schema when loaded."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import cedarpy

from doorstep.contracts.codes import Purpose
from doorstep.kit.auth import Principal

_REMEMBERED = 4096
_BRACKETED = re.compile(r"\((\w+\.\w+)\)")


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


@dataclass(frozen=True)
class Clause:
    """One condition of a policy, as it is written, and whether it holds for what was asked."""

    text: str
    holds: bool


@dataclass(frozen=True)
class Said:
    """What one policy says of an action: it applies if all its clauses hold."""

    name: str
    title: str
    forbids: bool
    clauses: tuple[Clause, ...]

    @property
    def applies(self) -> bool:
        """Whether it permits, or forbids, what was asked."""
        return all(clause.holds for clause in self.clauses)


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
        self._written: list[dict[str, Any]] = list(
            json.loads(cedarpy.policies_to_json_str(source))["staticPolicies"].values()
        )
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

    def said(self) -> list[Said]:
        """All policies by id and title, without what they ask for."""
        return [_said(one, ()) for one in self._written]

    def actions(self) -> set[str]:
        """Every action that a policy names."""
        scopes = [one["action"] for one in self._written]
        named = [entity for scope in scopes for entity in [*scope.get("entities", ()), scope.get("entity")] if entity]
        return {entity["id"] for entity in named}

    def explain(
        self, principal: Principal, action: str, resource: Resource, *, purpose: Purpose | None = None
    ) -> list[Said]:
        """What each policy that speaks of `action` says, clause by clause; nothing is permitted that none permits."""
        question = _question(principal, action, resource, purpose)
        found = []
        for one in self._written:
            if self._holds(one, (), question):
                clauses = tuple(
                    Clause(_text(one, clause), self._holds(one, (clause,), question)) for clause in _clauses(one)
                )
                found.append(_said(one, clauses))
        return found

    def _holds(
        self, one: dict[str, Any], clauses: tuple[dict[str, Any], ...], question: tuple[dict[str, Any], str]
    ) -> bool:
        """Whether policy `one` would permit what is asked, with these clauses alone; one that fails does not hold."""
        alone = cedarpy.PolicySet.from_json_str(_alone(one, clauses))
        return cedarpy.is_authorized(question[0], alone, question[1], self._schema).allowed

    def _ask(self, principal: Principal, action: str, resource: Resource, purpose: Purpose | None) -> Decision:
        request, entities = _question(principal, action, resource, purpose)
        result = cedarpy.is_authorized(request, self._policies, entities, self._schema)
        names = result.diagnostics.id_annotations_by_reason
        reasons = sorted(names.get(reason) or reason for reason in result.diagnostics.reasons)
        return Decision(tuple(reasons), permitted=result.allowed)


def _question(
    principal: Principal, action: str, resource: Resource, purpose: Purpose | None
) -> tuple[dict[str, Any], str]:
    """The request and the entities that Cedar is asked about."""
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
    entities = [{"uid": user, "attrs": who, "parents": []}, {"uid": thing, "attrs": what, "parents": []}]
    return request, json.dumps(entities)


def _said(one: dict[str, Any], clauses: tuple[Clause, ...]) -> Said:
    named = one.get("annotations", {})
    return Said(named.get("id", ""), named.get("title", ""), one["effect"] == "forbid", clauses)


def _clauses(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The conditions of a policy, those that are joined by `&&` each by itself."""
    for condition in one["conditions"]:
        bodies = list(_joined(condition["body"])) if condition["kind"] == "when" else [condition["body"]]
        yield from ({"kind": condition["kind"], "body": body} for body in bodies)


def _joined(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    both = body.get("&&")
    if both is None:
        yield body
    else:
        yield from _joined(both["left"])
        yield from _joined(both["right"])


def _alone(one: dict[str, Any], clauses: tuple[dict[str, Any], ...]) -> str:
    policy = {**one, "effect": "permit", "conditions": list(clauses)}
    return json.dumps({"staticPolicies": {"alone": policy}, "templates": {}, "templateLinks": []})


def _text(one: dict[str, Any], clause: dict[str, Any]) -> str:
    """A clause as Cedar writes it."""
    written = str(cedarpy.policies_from_json_str(_alone(one, (clause,))))
    return _BRACKETED.sub(r"\1", written.rpartition(f"{clause['kind']} {{")[2].rpartition("}")[0].strip())
