"""A service directory: offices of departments, which needs they take, from where, for whom, when and how many."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from enum import StrEnum
from uuid import UUID

from doorstep.contracts.codes import Department
from doorstep.contracts.facts import FactValue

DIALECTS = frozenset({"cdo", "cjy", "cpx", "czh", "czo", "gan", "hak", "hsn", "mnp", "nan", "wuu", "yue"})
"""Varieties of Chinese beside Mandarin, as ISO 639-3 has them."""
_FOREIGN = re.compile(r"(?!zh|cmn|zho|chi|csl|sgn)[a-z]{2,3}")


class Comparison(StrEnum):
    """How a fact is compared, as a directory writes it."""

    IS = "is"
    AT_LEAST = ">="
    AT_MOST = "<="


@dataclass(frozen=True, slots=True)
class Condition:
    """Whom an office serves: what one fact of the catalogue has to be."""

    fact: str
    comparison: Comparison
    value: FactValue

    def holds(self, facts: Mapping[str, FactValue]) -> bool | None:
        """Whether it holds of `facts`; None where the fact is not among them, which is never a no."""
        known = facts.get(self.fact)
        if known is None:
            return None
        if self.comparison is Comparison.IS:
            return known == self.value
        return known >= self.value if self.comparison is Comparison.AT_LEAST else known <= self.value  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Hours:
    """When an office is open on some days of the week (0 is Monday), by the clock of `zone`."""

    days: frozenset[int]
    opens: time
    closes: time
    zone: timezone
    first: date | None = None
    last: date | None = None

    def hold(self, at: datetime) -> bool:
        """Whether it is open at `at`."""
        here = at.astimezone(self.zone)
        lasts = (self.first is None or self.first <= here.date()) and (self.last is None or here.date() <= self.last)
        return lasts and here.weekday() in self.days and self.opens <= here.time() < self.closes


@dataclass(frozen=True, slots=True)
class Office:
    """An office of a department.

    `stations` None is every station, `capacity` how many open requests it has at once, None as many as come. What it
    does not take because it is full or closed it may hand to the office `hands_to`.
    """

    id: UUID
    name: str
    department: Department
    need_types: frozenset[str]
    stations: frozenset[str] | None = None
    conditions: tuple[Condition, ...] = ()
    hours: tuple[Hours, ...] = ()
    languages: tuple[str, ...] = ()
    capacity: int | None = None
    takes: bool = True
    hands_to: UUID | None = None

    def speaks(self, language: str | None) -> bool:
        """Whether it names a language in which to speak with whom `language` was stated of, a value of access.language.

        Nobody has to name Mandarin.
        """
        match language:
            case "sign":
                return any(one == "csl" or one.startswith("sgn") for one in self.languages)
            case "dialect":
                return not DIALECTS.isdisjoint(self.languages)
            case "foreign":
                return any(_FOREIGN.fullmatch(one) and one not in DIALECTS for one in self.languages)
            case _:
                return True

    def is_open(self, at: datetime) -> bool:
        """Whether it is open at `at`; an office that names no hours is always."""
        return not self.hours or any(one.hold(at) for one in self.hours)


@dataclass(frozen=True, slots=True)
class Directory:
    """The offices of a version, in the order of their ids."""

    version: str
    digest: str
    offices: tuple[Office, ...]

    @property
    def name(self) -> str:
        """How the log cites it among the policies."""
        return f"directory:{self.version}@{self.digest}"

    def office(self, office_id: UUID) -> Office | None:
        """The office with this id."""
        return next((one for one in self.offices if one.id == office_id), None)


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong in a directory: a JSON pointer into it, and why; nothing of it is quoted."""

    where: str
    zh: str
    en: str
