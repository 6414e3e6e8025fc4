"""What the station answers for, month by month: a table of fixed shape in which nothing small can be found.

Invariants: violence is in no count, so that no sum, share or withheld cell tells of it; every line and every cell is
there whatever was counted; a line of which the number is withheld tells nothing else, and its lines below neither; what
is withheld cannot be computed from what is told (suppression.py), from the top down, each sum with what makes it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from doorstep.contracts.codes import Department
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.suppression import FEWEST, ROOM, withheld_cells, withheld_parts

_SATISFIED_STARS = 4
_REST = ""

VIOLENCE = frozenset(code for code, need in NEED_TYPES.items() if need.guarded)
COUNTED = tuple(need for code, need in NEED_TYPES.items() if code not in VIOLENCE)


class Of(StrEnum):
    """Of what a line tells: `handed-on` are needs that are owed by another department, `unrouted` nobody had yet."""

    STATION = "station"
    DEPARTMENT = "department"
    NEED_TYPE = "need-type"
    HANDED_ON = "handed-on"
    UNROUTED = "unrouted"


class Answered(StrEnum):
    """How long after the opening any department answered first, in clock hours; or it was taken back before."""

    WITHIN_1_HOUR = "within-1-hour"
    WITHIN_12_HOURS = "within-12-hours"
    WITHIN_24_HOURS = "within-24-hours"
    WITHIN_7_DAYS = "within-7-days"
    LATER = "later"
    WITHDRAWN = "withdrawn"


class Due(StrEnum):
    """Whether a request was closed when its completion was due."""

    IN_TIME = "in-time"
    LATE = "late"


class Took(StrEnum):
    """How long a request was open, in days of 24 hours."""

    WITHIN_1_DAY = "within-1-day"
    WITHIN_3_DAYS = "within-3-days"
    WITHIN_7_DAYS = "within-7-days"
    WITHIN_15_DAYS = "within-15-days"
    WITHIN_30_DAYS = "within-30-days"
    LONGER = "longer"


class Rated(StrEnum):
    """What its resident said within seven days: solved with four or five stars, solved with fewer, not solved.

    Of one whose lead was done, and another part open when the month ended, nothing could be said yet.
    """

    SATISFIED = "satisfied"
    LESS = "less"
    NOT_SOLVED = "not-solved"
    UNRATED = "unrated"
    OPEN_PARTS = "open-parts"


OPENED: Mapping[str, type[StrEnum]] = {"answered": Answered}
CLOSED: Mapping[str, type[StrEnum]] = {"due": Due, "took": Took, "rated": Rated}
SHARES: Mapping[str, Mapping[str, type[StrEnum]]] = {"opened": OPENED, "closed": CLOSED}
"""What is counted, and in which ways each of them is divided up."""


_AFTER_24_HOURS = frozenset({Answered.WITHIN_7_DAYS, Answered.LATER, Answered.WITHDRAWN})
AT_LEAST: Mapping[str, tuple[str, str, frozenset[str]]] = {
    "answered_within_12_hours": ("opened", "answered", _AFTER_24_HOURS | {Answered.WITHIN_24_HOURS}),
    "answered_within_24_hours": ("opened", "answered", _AFTER_24_HOURS),
    "closed_in_time": ("closed", "due", frozenset({Due.LATE})),
}
"""Rates of the station, and the classes that missed them."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table."""

    of: Of
    department: Department | None = None
    need_type: str | None = None

    @property
    def name(self) -> str:
        """By which it is kept."""
        return " ".join(part for part in (self.of, self.department, self.need_type) if part)


STATION = Line(Of.STATION)
UNROUTED = Line(Of.UNROUTED)


@dataclass(frozen=True, slots=True)
class Group:
    """So many requests of one kind: with this department, of this need type (None if it is not known)."""

    department: Department | None
    need_type: str | None
    classes: Mapping[str, str]
    count: int


Told = Mapping[str, int | None]
"""Cells by name: `opened`, `answered.within-1-hour` and so on; None is withheld."""


def lines() -> tuple[Line, ...]:
    """All lines, always in this order: the station, then each department with what it is made of."""
    found = [STATION]
    for department in Department:
        found += [Line(Of.DEPARTMENT, department), *_below(Line(Of.DEPARTMENT, department))]
    return (*found, UNROUTED)


def cells() -> tuple[str, ...]:
    """The names of all cells of a line, always in this order."""
    return tuple(
        name
        for what, ways in SHARES.items()
        for name in (what, *(f"{way}.{one}" for way, classes in ways.items() for one in classes))
    )


def month_told(counted: Mapping[str, Iterable[Group]]) -> Mapping[Line, Told]:
    """Every cell of every line of a month, from what was counted as `opened` and as `closed`."""
    told: dict[Line, dict[str, int | None]] = {line: dict.fromkeys(cells()) for line in lines()}
    for what, ways in SHARES.items():
        groups = [group for group in counted.get(what, ()) if group.need_type not in VIOLENCE]
        numbers = _numbers(groups)
        if numbers[STATION] < FEWEST:
            continue
        told[STATION][what] = numbers[STATION]
        shown = _tell_numbers(told, what, numbers)
        for way, classes in ways.items():
            _tell_shares(told, way, _shares(groups, way, classes), shown)
    return told


def at_least(counted: Mapping[str, Iterable[Group]]) -> dict[str, int | None]:
    """Of the whole station, per hundred: at least so many were answered or closed in time; None where nothing is told.

    Where fewer than FEWEST were not, that is all that is said, and it is said as if they had been all but one of it.
    """
    return {name: _floor(counted, what, way, missed) for name, (what, way, missed) in AT_LEAST.items()}


def _floor(counted: Mapping[str, Iterable[Group]], what: str, way: str, missed: frozenset[str]) -> int | None:
    groups = [group for group in counted.get(what, ()) if group.need_type not in VIOLENCE]
    whole = sum(group.count for group in groups)
    failed = sum(group.count for group in groups if group.classes[way] in missed)
    return None if whole < ROOM or failed >= FEWEST else 100 * (whole - FEWEST + 1) // whole


def rated_as(solved: bool, stars: int) -> Rated:
    """In which class a rating is counted."""
    if not solved:
        return Rated.NOT_SOLVED
    return Rated.SATISFIED if stars >= _SATISFIED_STARS else Rated.LESS


def _below(line: Line) -> tuple[Line, ...]:
    """The lines whose sum a line is."""
    if line.of is Of.STATION:
        return (*(Line(Of.DEPARTMENT, department) for department in Department), UNROUTED)
    if line.of is not Of.DEPARTMENT:
        return ()
    own = [Line(Of.NEED_TYPE, line.department, need.code) for need in COUNTED if need.department is line.department]
    return (*own, Line(Of.HANDED_ON, line.department))


def _ways_up(group: Group) -> tuple[Line, ...]:
    """The lines that a group is counted in, from below."""
    if group.department is None:
        return UNROUTED, STATION
    need = NEED_TYPES.get(group.need_type or "")
    owed = need is not None and need.department is group.department
    own = Line(Of.NEED_TYPE, group.department, group.need_type) if owed else Line(Of.HANDED_ON, group.department)
    return own, Line(Of.DEPARTMENT, group.department), STATION


def _numbers(groups: Iterable[Group]) -> Counter[Line]:
    found: Counter[Line] = Counter()
    for group in groups:
        for line in _ways_up(group):
            found[line] += group.count
    return found


def _shares(groups: Iterable[Group], way: str, classes: type[StrEnum]) -> dict[Line, Counter[str]]:
    found: dict[Line, Counter[str]] = {line: Counter(dict.fromkeys(classes, 0)) for line in lines()}
    for group in groups:
        for line in _ways_up(group):
            found[line][group.classes[way]] += group.count
    return found


def _tell_numbers(told: dict[Line, dict[str, int | None]], what: str, numbers: Counter[Line]) -> dict[Line, list[Line]]:
    """Write down the numbers that are told; gives the lines that are, by the line whose part they are."""
    shown: dict[Line, list[Line]] = {}
    waiting = [STATION]
    while waiting:
        line = waiting.pop()
        parts = {part: numbers[part] for part in _below(line)}
        withheld = withheld_parts(parts)
        shown[line] = [part for part in parts if part not in withheld]
        for part in shown[line]:
            told[part][what] = parts[part]
        waiting += shown[line]
    return shown


def _tell_shares(
    told: dict[Line, dict[str, int | None]],
    way: str,
    shares: Mapping[Line, Counter[str]],
    shown: Mapping[Line, list[Line]],
) -> None:
    """Write down how the lines that are told are divided up, each within what is told of the line above it."""
    withheld = withheld_parts(shares[STATION])
    _write(told[STATION], way, shares[STATION], set(withheld))
    waiting = [STATION]
    while waiting:
        above = waiting.pop()
        known = [one for one in shares[above] if told[above][f"{way}.{one}"] is not None]
        table = {line.name: dict(shares[line]) for line in shown[above]}
        rest = [shares[line] for line in _below(above) if line.name not in table]
        if rest and table:  # what is not told apart is told by what is left: a line more
            table[_REST] = {one: sum(counts[one] for counts in rest) for one in shares[above]}
        hidden = withheld_cells(table, known)
        for line in shown[above]:
            _write(told[line], way, shares[line], {one for at, one in hidden if at == line.name})
        waiting += shown[above]


def _write(cells: dict[str, int | None], way: str, counts: Counter[str], withheld: set[str]) -> None:
    for one, count in counts.items():
        cells[f"{way}.{one}"] = None if one in withheld else count
