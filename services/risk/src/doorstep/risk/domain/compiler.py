"""Compiles a rule pack against the fact catalogue and the need types, so that no wrong pack ever runs.

Refused at load, as InvalidPack that names the rule:
- an expression that does not parse, has a wrong type, or names what the rule does not read;
- a fact outside the catalogue, about another kind of subject, or read for nothing;
- a literal that is no choice of the facts read; a rule that fires always, or never;
- a need type outside the contracts, about another kind of subject, or answered more slowly than the contracts say.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from cel_expr_python import cel

from doorstep.contracts.codes import Urgency
from doorstep.contracts.facts import FactKind, FactType, FactValue, Value
from doorstep.contracts.needs import NeedType
from doorstep.risk.domain.pack import Rule, RulePack
from doorstep.risk.errors import InvalidPack, RuleFailed

CEL_TYPE: Final = {Value.YES_NO: cel.Type.BOOL, Value.CODE: cel.Type.STRING, Value.COUNT: cel.Type.INT}
LITERAL: Final = re.compile(r"""'([^']*)'|"([^"]*)\"""")


@dataclass(frozen=True)
class CompiledRule:
    """A rule that passed every check, ready to be evaluated."""

    rule: Rule
    reads: tuple[FactType, ...]
    expression: cel.Expression

    @property
    def wanted(self) -> bool:
        """Whether the rule reads wishes alone, so that what it finds was asked for."""
        return all(fact.kind is FactKind.WISHES for fact in self.reads)

    def holds(self, values: Mapping[str, FactValue]) -> bool:
        """Whether the rule fires on these values, one for each code that it reads; raises RuleFailed.

        An error is a value of its own in CEL, and its text is truthy: the result counts by its type alone.
        """
        for fact in self.reads:
            if not fact.accepts(values[fact.code]):
                raise RuleFailed(f"{self.rule.id}: the value of {fact.code} is outside the catalogue")
        result = self.expression.eval(data={identifier(code): value for code, value in values.items()})
        if result.type() != cel.Type.BOOL:
            raise RuleFailed(f"{self.rule.id}: the expression has no answer")
        return result.value() is True


@dataclass(frozen=True)
class CompiledPack:
    """A pack whose every rule is compiled; `name` is what an assessment cites."""

    pack: RulePack
    name: str
    rules: tuple[CompiledRule, ...]


def compile_pack(pack: RulePack, catalogue: Mapping[str, FactType], need_types: Mapping[str, NeedType]) -> CompiledPack:
    """Check and compile every rule; raises InvalidPack."""
    ids = [rule.id for rule in pack.rules]
    if len(set(ids)) < len(ids):
        raise InvalidPack("two rules have the same id")
    rules = tuple(_compile(rule, catalogue, need_types) for rule in pack.rules)
    return CompiledPack(pack, pack.name(), rules)


def identifier(code: str) -> str:
    """A fact's code as CEL can name it."""
    return code.replace("-", "_")


def _compile(rule: Rule, catalogue: Mapping[str, FactType], need_types: Mapping[str, NeedType]) -> CompiledRule:
    reads = _facts_read(rule, catalogue)
    _check_need(rule, need_types)
    compiled = CompiledRule(rule, reads, _expression(rule, reads))
    _check_nothing_read_in_vain(rule, reads)
    _check_literals(rule, reads)
    _check_fires_sometimes(compiled)
    return compiled


def _facts_read(rule: Rule, catalogue: Mapping[str, FactType]) -> tuple[FactType, ...]:
    unknown = [code for code in rule.reads if code not in catalogue]
    if unknown:
        raise InvalidPack(f"{rule.id}: not in the fact catalogue: {', '.join(unknown)}")
    facts = tuple(catalogue[code] for code in rule.reads)
    strangers = [fact.code for fact in facts if fact.subject is not rule.subject]
    if strangers:
        raise InvalidPack(f"{rule.id}: not a fact about a {rule.subject}: {', '.join(strangers)}")
    return facts


def _check_need(rule: Rule, need_types: Mapping[str, NeedType]) -> None:
    need_type = need_types.get(rule.need)
    if need_type is None:
        raise InvalidPack(f"{rule.id}: not a need type: {rule.need}")
    if need_type.subject is not rule.subject:
        raise InvalidPack(f"{rule.id}: {rule.need} is owed to a {need_type.subject}, not to a {rule.subject}")
    if need_type.urgency is Urgency.ONE_HOUR and rule.urgency is not Urgency.ONE_HOUR:
        raise InvalidPack(f"{rule.id}: {rule.need} is answered within one hour")


def _expression(rule: Rule, reads: tuple[FactType, ...]) -> cel.Expression:
    environment = cel.NewEnv(variables={identifier(fact.code): CEL_TYPE[fact.value] for fact in reads})
    try:
        expression = environment.compile(rule.when)
    except RuntimeError as error:  # the only class that the runtime raises for a faulty expression
        raise InvalidPack(f"{rule.id}: {error}") from error
    if expression.return_type() != cel.Type.BOOL:
        raise InvalidPack(f"{rule.id}: the expression does not say yes or no")
    return expression


def _check_nothing_read_in_vain(rule: Rule, reads: tuple[FactType, ...]) -> None:
    for fact in reads:
        try:
            _expression(rule, tuple(other for other in reads if other is not fact))
        except InvalidPack:
            continue
        raise InvalidPack(f"{rule.id}: reads {fact.code} for nothing")


def _check_literals(rule: Rule, reads: tuple[FactType, ...]) -> None:
    choices = {choice for fact in reads for choice in fact.choices}
    for match in LITERAL.finditer(rule.when):
        literal = match[1] if match[1] is not None else match[2]
        if literal not in choices:
            raise InvalidPack(f"{rule.id}: {literal!r} is no value of {', '.join(rule.reads)}")


def _check_fires_sometimes(compiled: CompiledRule) -> None:
    answers = {compiled.holds(values) for values in _possible_values(compiled.reads)}
    if answers == {True}:
        raise InvalidPack(f"{compiled.rule.id}: fires whatever the facts say")
    if answers == {False}:
        raise InvalidPack(f"{compiled.rule.id}: never fires")


def _possible_values(reads: tuple[FactType, ...]) -> Iterator[dict[str, FactValue]]:
    """Every combination of finite values; none at all if one of the facts is a count."""
    if any(fact.value is Value.COUNT for fact in reads):
        return
    domains: list[tuple[FactValue, ...]] = [
        fact.choices if fact.value is Value.CODE else (True, False) for fact in reads
    ]
    for values in product(*domains):
        yield dict(zip((fact.code for fact in reads), values, strict=True))
