"""Who may do what to what, and why: Cedar policies in files of their own, checked against their schema when loaded."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any
from uuid import UUID

import cedarpy

from doorstep.contracts.codes import STATION, Department, LegalBasis, Purpose
from doorstep.contracts.facts import CATALOGUE, FactKind
from doorstep.kit.auth import Principal

_REMEMBERED = 4096
_BRACKETED = re.compile(r"(?<!\w)\((\w+\.\w+)\)")


class Forbidden(Exception):
    """No policy permits this, or one forbids it: `policies` are those that do."""

    def __init__(self, action: str, policies: tuple[str, ...] = ()) -> None:
        """What is forbidden, and by which policies; by none where none permits it."""
        super().__init__(action)
        self.policies = policies


class PoliciesInvalid(Exception):
    """The policies do not fit their schema."""


class AgencyKind(StrEnum):
    """What kind of agency a token speaks for, in the words of the policies."""

    STATION = "station"
    COMMUNITY_OFFICE = "community-office"
    DEPARTMENT = "department"
    AUDIT_OFFICE = "audit-office"
    PORTAL = "national-portal"
    HOTLINE = "hotline-12345"
    RESIDENT = "resident"
    POLICE = "police"
    POLITICAL_LEGAL = "political-legal"
    PETITIONS = "petitions"
    UNKNOWN = "unknown"


NEVER = frozenset({AgencyKind.POLICE, AgencyKind.POLITICAL_LEGAL, AgencyKind.PETITIONS})
"""The kinds of agency that do nothing here, whatever their role."""

_KINDS: dict[str, AgencyKind] = {
    **{str(kind): kind for kind in AgencyKind if kind is not AgencyKind.UNKNOWN},
    **{str(department): AgencyKind.DEPARTMENT for department in Department},
    STATION: AgencyKind.STATION,
}
del _KINDS[AgencyKind.DEPARTMENT]


def agency_kind(agency: str) -> AgencyKind:
    """The kind of an agency; one that is not known is of a kind that is refused everything."""
    return _KINDS.get(agency, AgencyKind.UNKNOWN)


class CaseKind(StrEnum):
    """What the case that a caller named is to the thing that they read."""

    RECORD = "record"
    FILE = "file"
    REQUEST = "request"
    INQUIRY = "inquiry"
    BREAK_GLASS = "break-glass"
    PLAN = "plan"


@dataclass(frozen=True)
class Why:
    """Why personal data is read: the purpose, and the case for which it is."""

    purpose: Purpose
    case: UUID

    @property
    def legal_basis(self) -> LegalBasis:
        """On what the station reads."""
        return LegalBasis.VITAL_INTEREST if self.purpose is Purpose.EMERGENCY else LegalBasis.STATUTORY_DUTY

    def expected(self, kind: CaseKind) -> CaseKind:
        """What the case would have to be, before the thing is looked at whose own case is of `kind`."""
        return CaseKind.BREAK_GLASS if self.purpose is Purpose.EMERGENCY else kind


@dataclass(frozen=True)
class Resource:
    """What is to be done something to. `own_record`: the caller took the record, `duty`: which of the three they had on
    it before, `proposer`: they proposed it. Of a care plan `team`, `panel`: they are named there, `decider`: they had a
    part, `contested`: the person's word waits."""

    kind: str
    department: str | None = None
    own_record: bool | None = None
    station: str | None = None
    fact_kind: str | None = None
    sensitive: bool | None = None
    duty: str | None = None
    proposer: bool | None = None
    team: bool | None = None
    panel: bool | None = None
    decider: bool | None = None
    contested: bool | None = None


@dataclass(frozen=True)
class Sight:
    """Which kinds of fact somebody sees; what they do not see is absent from answers."""

    kinds: frozenset[FactKind]

    def fact(self, code: str) -> bool:
        """Whether facts of this code are seen; one that the catalogue does not hold is not."""
        return code in CATALOGUE and CATALOGUE[code].kind in self.kinds

    @property
    def hidden(self) -> frozenset[str]:
        """The fields of a card that are not seen."""
        return frozenset(field for field, kind in CARD_FIELDS.items() if kind not in self.kinds)


NOTHING = Sight(frozenset())
"""No kind of fact."""

CARD_FIELDS = {
    "name": FactKind.IDENTITY,
    "document_kind": FactKind.IDENTITY,
    "document_number": FactKind.IDENTITY,
    "phone": FactKind.CONTACT,
    "safe_contact": FactKind.CONTACT,
    "asks_for": FactKind.WISHES,
    "address": FactKind.DWELLING,
    "description": FactKind.DWELLING,
}
"""Of which kind of fact each field of a card is."""


def kind_name(kind: FactKind) -> str:
    """How policies name a kind of fact."""
    return kind.name.lower().replace("_", "-")


_SENSITIVE = frozenset(entry.kind for entry in CATALOGUE.values() if entry.sensitive)


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
        source, schema = ((folder / f"doorstep.{kind}").read_text() for kind in ("cedar", "cedarschema"))
        result = cedarpy.validate_policies(source, schema)
        if not result.validation_passed:
            raise PoliciesInvalid("; ".join(str(error.error) for error in result.errors))
        self.digest = hashlib.sha256(source.encode()).hexdigest()
        self._policies = cedarpy.PolicySet.from_str(source)
        self._written = list(json.loads(cedarpy.policies_to_json_str(source))["staticPolicies"].values())
        self._schema = cedarpy.Schema.from_str(schema)
        self._decide = lru_cache(_REMEMBERED)(self._ask)

    def authorize(
        self,
        principal: Principal,
        action: str,
        resource: Resource,
        *,
        purpose: Purpose | None = None,
        case: CaseKind | None = None,
        legal_basis: LegalBasis | None = None,
    ) -> Decision:
        """The decision to let `principal` do `action`. Raises Forbidden, also where the question makes no sense.

        Policies know neither a clock nor a network: the same question has the same answer, which is remembered. They
        are told what the case is to the thing, and not which it is.
        """
        decision = self._decide(principal, action, resource, Context(purpose, case, legal_basis))
        if not decision.permitted:
            raise Forbidden(action, decision.policies)
        return decision

    def permits(self, principal: Principal, action: str, resource: Resource) -> bool:
        """Whether `principal` may do `action`, where what they may not is left out and not refused."""
        return self._decide(principal, action, resource, Context()).permitted

    def read(self, principal: Principal, action: str, resource: Resource, why: Why, case: CaseKind) -> Decision:
        """The decision to let the station's `principal` read, whose case is of the kind `case`. Raises Forbidden."""
        basis = why.legal_basis
        return self.authorize(principal, action, resource, purpose=why.purpose, case=case, legal_basis=basis)

    def sight(
        self,
        principal: Principal,
        thing: str,
        *,
        purpose: Purpose,
        case: CaseKind | None = None,
        department: str | None = None,
    ) -> Sight:
        """Which kinds of fact `principal` sees in a `thing`, such as a file: the one place that says so."""
        context = Context(purpose, case)
        return Sight(
            frozenset(
                kind
                for kind in FactKind
                if self._decide(principal, "see-fact", _fact(thing, kind, department), context).permitted
            )
        )

    def said(self) -> list[Said]:
        """All policies by id and title, without what they ask for."""
        return [_said(one, ()) for one in self._written]

    def actions(self) -> set[str]:
        """Every action that a policy names."""
        scopes = [one["action"] for one in self._written]
        named = [entity for scope in scopes for entity in [*scope.get("entities", ()), scope.get("entity")] if entity]
        return {entity["id"] for entity in named}

    def explain(
        self,
        principal: Principal,
        action: str,
        resource: Resource,
        *,
        purpose: Purpose | None = None,
        case: CaseKind | None = None,
        legal_basis: LegalBasis | None = None,
    ) -> list[Said]:
        """What each policy that speaks of `action` says, clause by clause; nothing is permitted that none permits."""
        question = _question(principal, action, resource, Context(purpose, case, legal_basis))
        found = []
        for one in self._written:
            if _speaks_of(one, action) and self._holds(one, (), question):
                clauses = tuple(
                    Clause(_text(one, clause), self._holds(one, (clause,), question)) for clause in _clauses(one)
                )
                found.append(_said(one, clauses))
        return found

    def _holds(
        self, one: dict[str, Any], clauses: tuple[dict[str, Any], ...], question: tuple[dict[str, Any], str]
    ) -> bool:
        """Whether policy `one` would permit what is asked, with these clauses alone; one that fails does not hold."""
        alone = _parsed(_alone(one, clauses))
        return cedarpy.is_authorized(question[0], alone, question[1], self._schema).allowed

    def _ask(self, principal: Principal, action: str, resource: Resource, context: "Context") -> Decision:
        request, entities = _question(principal, action, resource, context)
        result = cedarpy.is_authorized(request, self._policies, entities, self._schema)
        names = result.diagnostics.id_annotations_by_reason
        reasons = sorted(names.get(reason) or reason for reason in result.diagnostics.reasons)
        return Decision(tuple(reasons), permitted=result.allowed)


@dataclass(frozen=True)
class Context:
    """For what and on which basis something is asked, as far as it was said."""

    purpose: Purpose | None = None
    case: CaseKind | None = None
    legal_basis: LegalBasis | None = None


def _fact(thing: str, kind: FactKind, department: str | None) -> Resource:
    return Resource(thing, department, fact_kind=kind_name(kind), sensitive=kind in _SENSITIVE)


def _question(principal: Principal, action: str, resource: Resource, context: Context) -> tuple[dict[str, Any], str]:
    """The request and the entities that Cedar is asked about."""
    who = {
        "role": str(principal.role),
        "agency": principal.agency,
        "agencyKind": agency_kind(principal.agency),
        "station": principal.station,
        "account": principal.account,
        "office": principal.office,
        "heads": principal.heads,
    }
    what = {
        "kind": resource.kind,
        "department": resource.department,
        "station": resource.station,
        "factKind": resource.fact_kind,
        "sensitive": resource.sensitive,
        "ownRecord": resource.own_record,
        "duty": resource.duty,
        "proposer": resource.proposer,
        "team": resource.team,
        "panel": resource.panel,
        "decider": resource.decider,
        "contested": resource.contested,
    }
    why = {"purpose": context.purpose, "case": context.case, "legalBasis": context.legal_basis}
    user, thing = {"type": "User", "id": principal.subject}, {"type": "Resource", "id": resource.kind}
    request = {
        "principal": user,
        "action": {"type": "Action", "id": action},
        "resource": thing,
        "context": {name: str(value) for name, value in why.items() if value is not None},
    }
    entities = [
        {"uid": user, "attrs": _known(who), "parents": []},
        {"uid": thing, "attrs": _known(what), "parents": []},
    ]
    return request, json.dumps(entities)


def _known(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _said(one: dict[str, Any], clauses: tuple[Clause, ...]) -> Said:
    named = one.get("annotations", {})
    return Said(named.get("id", ""), named.get("title", ""), one["effect"] == "forbid", clauses)


def _speaks_of(one: dict[str, Any], action: str) -> bool:
    scope = one["action"]
    named = [*scope.get("entities", ()), scope.get("entity")]
    return scope["op"] == "All" or any(entity and entity["id"] == action for entity in named)


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


@lru_cache(_REMEMBERED)
def _parsed(alone: str) -> cedarpy.PolicySet:
    return cedarpy.PolicySet.from_json_str(alone)


def _text(one: dict[str, Any], clause: dict[str, Any]) -> str:
    """A clause as Cedar writes it."""
    return _written(_alone(one, (clause,)), clause["kind"])


@lru_cache(_REMEMBERED)
def _written(alone: str, kind: str) -> str:
    written = str(cedarpy.policies_from_json_str(alone))
    return _BRACKETED.sub(r"\1", written.rpartition(f"{kind} {{")[2].rpartition("}")[0].strip())
