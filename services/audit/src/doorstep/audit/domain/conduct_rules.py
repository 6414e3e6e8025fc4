"""The rules of conduct as they are published: YAML, read and compiled so that no wrong rule ever runs.

Refused, as ConductInvalid that names the rule:
- an unknown field or a key that stands twice, a threshold below one, an unknown time zone, hours that end before they
  begin, two rules of one id;
- an expression that does not parse or does not say yes or no, that names what a rule may not know, that compares with
  what is no code, that has no answer for some entries, or that fires always, or never;
- a threshold that the expression does not name, words that name a number which the rule does not have.
"""

import json
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from itertools import product
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import yaml
from cel_expr_python import cel
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from doorstep.audit.errors import ConductInvalid
from doorstep.contracts.codes import Action, Department, Purpose, Role

CURRENT = "2026-1"

CODES: Final = ("action", "role", "agency", "purpose")
FLAGS: Final = ("read", "refused", "has_case", "case_closed", "other_station", "declared_tie", "working_time")
HOURS: Final = "hours_since_closed"
KNOWN: Final = {
    **dict.fromkeys(CODES, cel.Type.STRING),
    **dict.fromkeys(FLAGS, cel.Type.BOOL),
    HOURS: cel.Type.INT,
}
"""What an expression may name beside its rule's thresholds."""
Value = str | bool | int

_CHOICES = {"", "station", *Action, *Role, *Purpose, *Department}
_LITERAL = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_NAME = re.compile(r"[A-Za-z_]\w*")
_BRACES = re.compile(r"\{(\w+)\}")
_LONG_AGO = 1_000_000

Code = Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=64)]
Clock = Annotated[str, Field(strict=True, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Threshold = Annotated[int, Field(strict=True, ge=1, le=_LONG_AGO)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Words(_Row):
    """A text for people, in Chinese and English."""

    zh: Annotated[str, Field(strict=True, min_length=1)]
    en: Annotated[str, Field(strict=True, min_length=1)]


class WorkingTime(_Row):
    """On which weekdays (Monday is 1), from when until when on the clock of `zone`, there is work.

    With `published_calendar` the days are those of the calendar, where it is published for the year.
    """

    zone: str
    weekdays: Annotated[tuple[Annotated[int, Field(strict=True, ge=1, le=7)], ...], Field(min_length=1)]
    published_calendar: Annotated[bool, Field(strict=True)] = False
    begins: Clock
    ends: Clock

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, LookupError) as error:
            raise ValueError(f"no time zone of this name: {zone!r}") from error
        return zone

    @model_validator(mode="after")
    def _some_time(self) -> "WorkingTime":
        if self.begins >= self.ends:
            raise ValueError("it ends before it begins")
        return self


class Within(_Row):
    """So many different subjects, or so many entries, of one actor within so many minutes."""

    minutes: Annotated[int, Field(strict=True, ge=1, le=1440)]
    subjects: Threshold | None = None
    entries: Threshold | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Within":
        if (self.subjects is None) == (self.entries is None):
            raise ValueError("either subjects or entries are counted")
        return self


class ConductRule(_Row):
    """One rule: when it fires, and in words what it looks at."""

    id: Code
    title: Words
    looks_at: Words
    when: Annotated[str, Field(strict=True, min_length=1, max_length=500)]
    thresholds: dict[Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")], Threshold] = {}
    within: Within | None = None


class ConductRules(_Row):
    """All rules in force together."""

    id: Code
    title: Words
    valid_from: date
    working_time: WorkingTime
    rules: Annotated[tuple[ConductRule, ...], Field(min_length=1)]

    @property
    def name(self) -> str:
        """The id, and the hex SHA-256 of the rules as canonical JSON: keys sorted, no spaces, UTF-8."""
        canonical = json.dumps(self.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return f"{self.id}@{sha256(canonical.encode()).hexdigest()}"


@dataclass(frozen=True)
class CompiledRule:
    """A rule that passed every check; what it `looks_at` is told with its numbers."""

    rule: ConductRule
    looks_at: Words
    names: tuple[str, ...]
    expression: cel.Expression

    def holds(self, known: Mapping[str, Value]) -> bool:
        """Whether the rule's expression holds; `known` has a value for each of KNOWN. Raises ConductInvalid.

        An error is a value of its own in CEL, and its text is truthy: the result counts by its type alone.
        """
        result = self.expression.eval(data={name: known[name] for name in self.names} | self.rule.thresholds)
        if result.type() != cel.Type.BOOL:
            raise ConductInvalid(f"{self.rule.id}: the expression has no answer for some entries")
        return result.value() is True


@dataclass(frozen=True)
class CompiledConduct:
    """Rules that passed every check; `name` is what findings cite."""

    published: ConductRules
    rules: tuple[CompiledRule, ...]

    @cached_property
    def name(self) -> str:
        """The id of the rules and their digest."""
        return self.published.name

    @property
    def longest(self) -> int:
        """Over how many minutes at most a rule counts."""
        return max((rule.within.minutes for rule in self.published.rules if rule.within is not None), default=0)

    @cached_property
    def zone(self) -> ZoneInfo:
        """By whose clock days and working hours are told."""
        return ZoneInfo(self.published.working_time.zone)


def published_conduct(rules_id: str = CURRENT) -> CompiledConduct:
    """The rules that this package carries. Raises ConductInvalid."""
    return compile_conduct((files("doorstep.audit") / "conduct" / f"{rules_id}.yaml").read_text("utf-8"))


def compile_conduct(text: str) -> CompiledConduct:
    """Read rules from YAML and check every one. Raises ConductInvalid."""
    try:
        published = ConductRules.model_validate(yaml.load(text, _UniqueKeys))  # noqa: S506 - derived from SafeLoader
    except ValidationError as error:
        raise ConductInvalid("; ".join(_faults(error))) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConductInvalid(" ".join(str(error).split())) from error
    ids = [rule.id for rule in published.rules]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise ConductInvalid(f"two rules have the id {', '.join(twice)}")
    return CompiledConduct(published, tuple(_compile(rule, published.working_time) for rule in published.rules))


def _faults(error: ValidationError) -> Iterator[str]:
    for one in error.errors():
        yield f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}"


def _compile(rule: ConductRule, working_time: WorkingTime) -> CompiledRule:
    literals = [found[1] if found[1] is not None else found[2] for found in _LITERAL.finditer(rule.when)]
    if strange := [literal for literal in literals if literal not in _CHOICES]:
        raise ConductInvalid(f"{rule.id}: {strange[0]!r} is no code of an action, a role, an agency or a purpose")
    named = set(_NAME.findall(_LITERAL.sub("''", rule.when)))
    if clashing := sorted(KNOWN.keys() & rule.thresholds.keys()):
        raise ConductInvalid(f"{rule.id}: {clashing[0]} is no name for a threshold")
    if unused := sorted(rule.thresholds.keys() - named):
        raise ConductInvalid(f"{rule.id}: the expression does not name the threshold {unused[0]}")
    names = tuple(name for name in KNOWN if name in named)
    looks_at = Words(zh=_told(rule, rule.looks_at.zh, working_time), en=_told(rule, rule.looks_at.en, working_time))
    compiled = CompiledRule(rule, looks_at, names, _expression(rule, names))
    _check_fires_sometimes(compiled, literals)
    return compiled


def _told(rule: ConductRule, words: str, working_time: WorkingTime) -> str:
    """`words` with the numbers that they name in braces."""
    numbers = working_time.model_dump() | {"weekdays": " ".join(map(str, working_time.weekdays))} | rule.thresholds
    numbers |= {} if rule.within is None else rule.within.model_dump(exclude_none=True)
    if strange := [name for name in _BRACES.findall(words) if name not in numbers]:
        raise ConductInvalid(f"{rule.id}: its words name {{{strange[0]}}}, which it does not have")
    return _BRACES.sub(lambda found: str(numbers[found[1]]), words)


def _expression(rule: ConductRule, names: tuple[str, ...]) -> cel.Expression:
    variables = {name: KNOWN[name] for name in names} | dict.fromkeys(rule.thresholds, cel.Type.INT)
    try:
        expression = cel.NewEnv(variables=variables).compile(rule.when)
    except RuntimeError as error:  # the only class that the runtime raises for a faulty expression
        raise ConductInvalid(f"{rule.id}: {' '.join(str(error).split())}") from error
    if expression.return_type() != cel.Type.BOOL:
        raise ConductInvalid(f"{rule.id}: the expression does not say yes or no")
    return expression


def _check_fires_sometimes(compiled: CompiledRule, literals: list[str]) -> None:
    texts = tuple(dict.fromkeys((*literals, "-")))
    hours = tuple(sorted({0, 1, _LONG_AGO, *compiled.rule.thresholds.values()}))
    values = {**dict.fromkeys(CODES, texts), **dict.fromkeys(FLAGS, (True, False)), HOURS: hours}
    every = product(*(values[name] for name in compiled.names))
    answers = {compiled.holds(dict(zip(compiled.names, one, strict=True))) for one in every}
    if len(answers) == 1:
        raise ConductInvalid(f"{compiled.rule.id}: {'fires on every entry' if True in answers else 'never fires'}")


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets the last of two equal keys win, silently; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)
