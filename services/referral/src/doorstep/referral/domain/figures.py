"""Figures of the requests that a station answers for, in a table of fixed shape: how many, and nothing of anybody.

Invariants: violence is in no count and has no row; every cell is there whatever is counted, and nothing can be asked
for in part, so that no two tables can be taken from one another; there are no totals, so that no cell follows from
others; no cell tells a number below FEWEST, and above it only steps of STEP; what was closed is counted over a week, so
that no table covers a month, of which numbers are withheld that are large enough here (monthly.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta

from doorstep.contracts.codes import Department
from doorstep.contracts.needs import NEED_TYPES, NeedType
from doorstep.referral.domain.monthly import VIOLENCE

FEWEST = 10
STEP = 5
CLOSED_FOR = timedelta(days=7)
SOON = timedelta(days=1)

_DELICATE = frozenset({Department.HEALTH, Department.JUSTICE})


@dataclass(frozen=True, slots=True)
class Counts:
    """How many requests are open, and of these due within a day, or late; came back to the station; were closed."""

    open: int = 0
    due_within_day: int = 0
    late_response: int = 0
    late_completion: int = 0
    returned: int = 0
    closed: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table, None in a cell for fewer than FEWEST.

    Without a need type: what was handed on to the department; without either: what nobody has yet.
    """

    department: Department | None
    need_type: str | None
    cells: Mapping[str, int | None]


def guarded(need: NeedType) -> bool:
    """Whether that one of these needs is late, without any name, could tell of somebody."""
    return need.confidential or need.department in _DELICATE


def table(counted: Iterable[tuple[Department | None, str | None, Counts]]) -> tuple[Row, ...]:
    """The table of what was counted by department and need type (None: not known), without violence."""
    sums: dict[tuple[Department | None, str | None], Counts] = {}
    for department, need_type, counts in counted:
        if need_type in VIOLENCE:
            continue
        owed = need_type in NEED_TYPES and NEED_TYPES[need_type].department is department
        line = (department, need_type if owed else None)
        sums[line] = sums.get(line, Counts()) + counts
    return tuple(_row(line, sums.get(line, Counts())) for line in _lines())


def _lines() -> Iterable[tuple[Department | None, str | None]]:
    for department in Department:
        own = [need.code for need in NEED_TYPES.values() if need.department is department]
        yield from ((department, code) for code in own if code not in VIOLENCE)
        yield department, None
    yield None, None


def _row(line: tuple[Department | None, str | None], counts: Counts) -> Row:
    department, need_type = line
    return Row(department, need_type, {one.name: told(getattr(counts, one.name)) for one in fields(counts)})


def told(count: int) -> int | None:
    """What is told of a count: steps of STEP from FEWEST on, and None below."""
    return None if count < FEWEST else count - count % STEP
