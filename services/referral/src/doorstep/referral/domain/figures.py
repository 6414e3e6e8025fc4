"""Figures of the requests that a station answers for, in a table of fixed shape: how many, and nothing of anybody.

Invariants: every cell is there whatever is counted, and nothing can be asked for in part, so that no two tables can be
taken from one another; there are no totals, so that no cell follows from others; rows of what is delicate (legal aid,
mediation, health, whatever is confidential, and what came from elsewhere, which may be any of these) tell no number
below FEWEST, and above it only steps of STEP.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta

from doorstep.contracts.codes import Department
from doorstep.contracts.needs import NEED_TYPES, NeedType

FEWEST = 10
STEP = 5
CLOSED_FOR = timedelta(days=30)
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
    """A line of the table. Without a need type: what was handed on to the department; without either: to nobody yet."""

    department: Department | None
    need_type: str | None
    guarded: bool
    cells: Mapping[str, int | None]


def guarded(need: NeedType) -> bool:
    """Whether even a small number of these needs could tell of somebody."""
    return need.confidential or need.department in _DELICATE


def table(counted: Iterable[tuple[Department | None, str | None, Counts]]) -> tuple[Row, ...]:
    """The table of what was counted by department and need type; None for a type that is not known."""
    sums: dict[tuple[Department | None, str | None], Counts] = {}
    for department, need_type, counts in counted:
        owed = need_type in NEED_TYPES and NEED_TYPES[need_type].department is department
        line = (department, need_type if owed else None)
        sums[line] = sums.get(line, Counts()) + counts
    return tuple(_row(line, sums.get(line, Counts())) for line in _lines())


def _lines() -> Iterable[tuple[Department | None, str | None]]:
    for department in Department:
        yield from ((department, need.code) for need in NEED_TYPES.values() if need.department is department)
        yield department, None
    yield None, None


def _row(line: tuple[Department | None, str | None], counts: Counts) -> Row:
    department, need_type = line
    hidden = need_type is None or guarded(NEED_TYPES[need_type])
    exact: dict[str, int] = {one.name: getattr(counts, one.name) for one in fields(counts)}
    cells = {name: told(count) if hidden else count for name, count in exact.items()}
    return Row(department, need_type, hidden, cells)


def told(count: int) -> int | None:
    """What is told of a guarded count: steps of STEP from FEWEST on, and None below."""
    return None if count < FEWEST else count - count % STEP
