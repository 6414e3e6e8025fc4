"""Which counts of a table are withheld, so that no small one can be computed from those that are told.

A count below FEWEST is withheld, none at all included. Sums are told, so more has to be withheld beside it. Invariants,
for whoever knows every number that is told and that no count is negative: what is withheld under one sum are two counts
or more that make ROOM together, or all of them; in a table with both kinds of sums each withheld count could be at
least FEWEST more or less than it is. In such a table that is not guessed but computed, by maximum flow: a withheld
count can grow as far as others of its line and its column can shrink in turn.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

FEWEST = 10
ROOM = 2 * FEWEST
"""More than one small count and the least that is not small: so who knows the rule learns no more by it."""

_ANYTHING = 1 << 60

Part = TypeVar("Part", bound=Hashable)
Line = TypeVar("Line", bound=Hashable)
_Node = tuple[bool, Hashable]
_Flow = dict[_Node, dict[_Node, int]]


def withheld_parts(parts: Mapping[Part, int]) -> frozenset[Part]:
    """What is withheld of counts whose sum is told."""
    hidden = {part for part, count in parts.items() if count < FEWEST}
    while hidden and not _roomy([parts[part] for part in hidden]):
        shown = {part: count for part, count in parts.items() if part not in hidden}
        if not shown:
            break
        hidden.add(min(shown, key=lambda part: shown[part]))
    return frozenset(hidden)


def withheld_cells(table: Mapping[Line, Mapping[Part, int]], told: Iterable[Part]) -> frozenset[tuple[Line, Part]]:
    """What is withheld of a table whose lines have known sums, and whose columns have where they are in `told`.

    The other columns are withheld whole.
    """
    known = frozenset(told)
    counts = {(line, part): count for line, cells in table.items() for part, count in cells.items()}
    hidden = {cell for cell, count in counts.items() if cell[1] not in known or count < FEWEST}
    while True:
        more = _unroomy(counts, hidden, known) or _tight(counts, hidden, known)
        if more is None:
            return frozenset(hidden)
        hidden.add(more)


def _roomy(counts: list[int]) -> bool:
    return not counts or (len(counts) > 1 and sum(counts) >= ROOM)


def _smallest(counts: Mapping[Part, int]) -> Part | None:
    return min(counts, key=lambda part: counts[part], default=None)


def _unroomy(
    counts: Mapping[tuple[Line, Part], int], hidden: set[tuple[Line, Part]], known: frozenset[Part]
) -> tuple[Line, Part] | None:
    """A cell to withhold because its line, or its column, withholds too little; None where all do enough."""
    lines = {line for line, _ in counts}
    groups = [[cell for cell in counts if cell[0] == line] for line in sorted(lines, key=str)]
    groups += [[cell for cell in counts if cell[1] == part] for part in sorted(known, key=str)]
    for group in groups:
        if not _roomy([counts[cell] for cell in group if cell in hidden]):
            more = _smallest({cell: counts[cell] for cell in group if cell not in hidden})
            if more is not None:
                return more
    return None


def _tight(
    counts: Mapping[tuple[Line, Part], int], hidden: set[tuple[Line, Part]], known: frozenset[Part]
) -> tuple[Line, Part] | None:
    """A cell to withhold because one that is withheld could be told too closely; None where none could."""
    values: dict[tuple[Line, Part | None], int] = {}
    for at in hidden:
        cell = (at[0], at[1] if at[1] in known else None)  # columns without a sum are as good as one
        values[cell] = values.get(cell, 0) + counts[at]
    for (line, part), _ in sorted(values.items(), key=str):
        if _room(values, line, part) < FEWEST:
            shown = {cell: count for cell, count in counts.items() if cell not in hidden}
            near = {cell: count for cell, count in shown.items() if cell[0] == line or cell[1] == part}
            more = _smallest(near or shown)
            if more is not None:
                return more
    return None


def _room(values: Mapping[tuple[Line, Part | None], int], line: Line, part: Part | None) -> int:
    """By how much a withheld count could differ from what it is, up and down together."""
    grow: _Flow = {}
    shrink: _Flow = {}
    for (other_line, other_part), count in values.items():
        if (other_line, other_part) == (line, part):
            continue
        at, of = (True, other_line), (False, other_part)
        grow.setdefault(at, {})[of], grow.setdefault(of, {})[at] = count, _ANYTHING
        shrink.setdefault(at, {})[of], shrink.setdefault(of, {})[at] = _ANYTHING, count
    source, sink = (True, line), (False, part)
    down = min(values[line, part], _flow(shrink, source, sink))
    return down if down >= FEWEST else down + _flow(grow, source, sink)


def _flow(capacity: _Flow, source: _Node, sink: _Node) -> int:
    """The maximum flow, as far as FEWEST."""
    found = 0
    while found < FEWEST:
        before = _path(capacity, source, sink)
        if before is None:
            break
        steps, node = [], sink
        while node != source:
            steps.append((before[node], node))
            node = before[node]
        amount = min(FEWEST - found, *(capacity[one][other] for one, other in steps))
        for one, other in steps:
            capacity[one][other] -= amount
            capacity[other][one] = capacity[other].get(one, 0) + amount
        found += amount
    return found


def _path(capacity: _Flow, source: _Node, sink: _Node) -> dict[_Node, _Node] | None:
    """From where each node is reached on a shortest way on which something can flow; None without a way."""
    before: dict[_Node, _Node] = {}
    waiting = deque([source])
    while waiting:
        node = waiting.popleft()
        for other, left in capacity.get(node, {}).items():
            if left > 0 and other != source and other not in before:
                before[other] = node
                if other == sink:
                    return before
                waiting.append(other)
    return None
