"""Reads the facts of one subject by the rules of a pack: which needs there are, and which rules could not tell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product

from doorstep.contracts.envelope import Contract
from doorstep.contracts.facts import Fact, SubjectKind
from doorstep.contracts.needs import FactUsed, Need
from doorstep.risk.domain.compiler import CompiledPack, CompiledRule

_LANGUAGE = "access.language"


class Finding(Contract):
    """A need, with the facts that the rule read and no others."""

    need: Need
    facts: tuple[Fact, ...]


class NotEvaluated(Contract):
    """A rule that could not tell, because these facts are not known. It says nothing about the need."""

    rule: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Assessment:
    """What the rules found on one subject."""

    findings: tuple[Finding, ...]
    not_evaluated: tuple[NotEvaluated, ...]


def assess(pack: CompiledPack, kind: SubjectKind, facts: Iterable[Fact], *, at: datetime) -> Assessment:
    """Evaluate every rule for this kind of subject on the facts in force at `at`; raises RuleFailed.

    Of one need type a subject has one need: what was asked for goes before what is suggested, then the order of the
    pack decides.
    """
    known = _in_force(facts, at)
    findings: list[Finding] = []
    not_evaluated: list[NotEvaluated] = []
    for compiled in pack.rules:
        if compiled.rule.subject is not kind:
            continue
        missing = tuple(code for code in compiled.rule.reads if code not in known)
        if missing:
            not_evaluated.append(NotEvaluated(rule=compiled.rule.id, missing=missing))
        elif used := _facts_that_fire(compiled, known):
            findings.append(_finding(compiled, used))
    return Assessment(_one_of_a_type(findings), tuple(not_evaluated))


def spoken(facts: Iterable[Fact], *, at: datetime) -> str | None:
    """In which language somebody is to be spoken to, as was stated last; None where nothing was."""
    stated = _in_force(facts, at).get(_LANGUAGE, [])
    return str(max(stated, key=lambda fact: fact.since).value) if stated else None


def _in_force(facts: Iterable[Fact], at: datetime) -> dict[str, list[Fact]]:
    known: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.until is None or fact.until > at:
            known.setdefault(fact.code, []).append(fact)
    return known


def _facts_that_fire(compiled: CompiledRule, known: Mapping[str, list[Fact]]) -> tuple[Fact, ...]:
    """The facts on which the rule fires, without repetition; a code stated twice is tried with either statement."""
    used: dict[str, Fact] = {}
    for facts in product(*(known[code] for code in compiled.rule.reads)):
        if compiled.holds({fact.code: fact.value for fact in facts}):
            used.update((str(fact.fact_id), fact) for fact in facts)
    return tuple(used.values())


def _finding(compiled: CompiledRule, facts: tuple[Fact, ...]) -> Finding:
    rule = compiled.rule
    need = Need(
        need_type=rule.need,
        urgency=rule.urgency,
        wanted=compiled.wanted,
        rule=rule.id,
        facts=tuple(FactUsed(fact_id=fact.fact_id, code=fact.code) for fact in facts),
    )
    return Finding(need=need, facts=facts)


def _one_of_a_type(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    chosen: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda found: not found.need.wanted):
        chosen.setdefault(finding.need.need_type, finding)
    return tuple(chosen.values())
