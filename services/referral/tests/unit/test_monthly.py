"""Figures by month: of fixed shape, without violence, and what is withheld cannot be computed from what is told."""

from collections import Counter
from fractions import Fraction
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from doorstep.contracts.codes import Department
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.monthly import (
    SHARES,
    STATION,
    VIOLENCE,
    Group,
    Of,
    _below,
    _ways_up,
    at_least,
    cells,
    lines,
    month_told,
)
from doorstep.referral.domain.suppression import FEWEST, ROOM, withheld_cells, withheld_parts

PLACES = [(need.department, code) for code, need in NEED_TYPES.items()]
PLACES += [*((one, None) for one in Department), (None, None), (Department.FIRE, "legal-aid"), (None, "gas-leak")]


def drawn(seed, most, density):
    """Groups of one made-up month, some large, many small, many none."""
    rng = Random(seed)
    found = {}
    for what, ways in SHARES.items():
        found[what] = [
            Group(*place, {way: rng.choice(list(classes)) for way, classes in ways.items()}, rng.randint(1, most))
            for place in PLACES
            for _ in range(rng.randint(0, 6))
            if rng.random() < density
        ]
    return found


@pytest.fixture(scope="module", params=[(0, 3), (1, 60), (2, 12), (3, 60), (4, 12), (5, 60)], ids=str)
def month(request):
    """A made-up month and what is told of it."""
    seed, most = request.param
    counted = drawn(seed, most, 0.2 + 0.15 * seed)
    return counted, month_told(counted)


class Attack:
    """What somebody computes who has the table and knows which lines and classes make which sums."""

    def __init__(self, counted, told, what):
        """On one of the two countings."""
        self.true, self.sums = Counter(), []
        for group in counted[what]:
            if group.need_type not in VIOLENCE:
                for line in _ways_up(group):
                    self.true[line, what] += group.count
                    for way, one in group.classes.items():
                        self.true[line, f"{way}.{one}"] += group.count
        names = [name for name in cells() if name == what or name.split(".")[0] in SHARES[what]]
        self.cells = [(line, name) for line in lines() for name in names]
        for line in lines():
            if below := _below(line):
                self.sums += [((line, name), *((one, name) for one in below)) for name in names]
            for way, classes in SHARES[what].items():
                self.sums.append(((line, what), *((line, f"{way}.{one}") for one in classes)))
        self.hidden = [cell for cell in self.cells if told[cell[0]][cell[1]] is None]

    def solved(self):
        """The withheld cells that follow from the sums alone: Gauss and Jordan, exactly."""
        place = {cell: at for at, cell in enumerate(self.hidden)}
        pivots = {}
        for total, *parts in self.sums:
            signs = [(total, Fraction(1)), *((one, Fraction(-1)) for one in parts)]
            row = {place[cell]: sign for cell, sign in signs if cell in place}
            for lead in [one for one in row if one in pivots]:
                row = less(row, pivots[lead], row.get(lead, 0))
            if row:
                lead = min(row)
                row = {at: value / row[lead] for at, value in row.items()}
                for other, kept in pivots.items():
                    if lead in kept:
                        pivots[other] = less(kept, row, kept[lead])
                pivots[lead] = row
        return [self.hidden[lead] for lead, row in pivots.items() if len(row) == 1]

    def bounds(self):
        """Between what each withheld cell is known to lie, from the sums and from no count being negative."""
        low = {cell: 0 if cell in set(self.hidden) else self.true[cell] for cell in self.cells}
        high = {cell: 10**9 if cell in set(self.hidden) else self.true[cell] for cell in self.cells}
        waiting, of = set(self.sums), {}
        for one in self.sums:
            for cell in one:
                of.setdefault(cell, []).append(one)
        while waiting:
            total, *parts = equation = waiting.pop()
            lows, highs = sum(low[one] for one in parts), sum(high[one] for one in parts)
            now = {total: (max(low[total], lows), min(high[total], highs))}
            for one in parts:
                least, most = low[total] - (highs - high[one]), high[total] - (lows - low[one])
                now[one] = max(low[one], least), min(high[one], most)
            for cell, (least, most) in now.items():
                if (least, most) != (low[cell], high[cell]):
                    low[cell], high[cell] = least, most
                    waiting |= {one for one in of[cell] if one != equation}
        return {cell: (low[cell], high[cell]) for cell in self.hidden}


def less(row, other, factor):
    """`row` less a multiple of another."""
    found = {at: row.get(at, 0) - factor * other.get(at, 0) for at in {*row, *other}}
    return {at: value for at, value in found.items() if value}


def test_nothing_that_is_withheld_follows_from_what_is_told(month):
    counted, told = month
    for what in SHARES:
        attack = Attack(counted, told, what)
        assert all(told[line][name] in (None, attack.true[line, name]) for line, name in attack.cells)
        assert all(attack.true[cell] >= FEWEST for cell in set(attack.cells) - set(attack.hidden))
        assert attack.solved() == []
        assert {cell: (least, most) for cell, (least, most) in attack.bounds().items() if most - least < FEWEST} == {}


def test_the_attack_would_find_what_is_withheld_for_being_small_alone():
    counted = drawn(1, 60, 0.9)
    small = {
        line: {name: None if name is None or count < FEWEST else count for name, count in told.items()}
        for line, told in true_cells(counted).items()
    }
    attack = Attack(counted, small, "closed")
    assert len(attack.solved()) > 5
    assert any(least == most for least, most in attack.bounds().values())


def true_cells(counted):
    """The table as it would be if nothing were withheld."""
    true = Counter()
    for what in SHARES:
        true |= Attack(counted, month_told(counted), what).true
    return {line: {name: true[line, name] for name in cells()} for line in lines()}


def test_a_large_month_is_told_down_to_need_types():
    """Else a table of nothing would pass."""
    told = month_told(drawn(1, 400, 0.9))
    parts = [line for line in lines() if line.of is Of.NEED_TYPE]
    assert sum(told[line]["opened"] is not None for line in parts) > len(parts) // 2
    assert sum(told[line]["took.within-3-days"] is not None for line in parts) > 2
    assert all(told[STATION][name] is not None for name in cells())


@given(st.integers(0, 10**6), st.sampled_from([2, 30, 400]))
@settings(max_examples=15, deadline=None)
def test_the_table_has_the_same_lines_and_cells_whatever_is_counted(seed, most):
    told = month_told(drawn(seed, most, 0.5))
    assert list(told) == list(lines()) == list(month_told({}))
    assert all(list(one) == list(cells()) for one in told.values())
    assert {value for one in month_told({}).values() for value in one.values()} == {None}


def test_violence_is_in_no_cell_and_no_sum():
    counted = drawn(2, 60, 0.8)
    more = [Group(department, "protection-from-violence", {"answered": "later"}, 500)
            for department in (Department.JUSTICE, Department.HEALTH, None)]  # fmt: skip
    assert month_told({**counted, "opened": [*counted["opened"], *more]}) == month_told(counted)
    assert not any(line.need_type == "protection-from-violence" for line in lines())


@pytest.mark.parametrize(
    ("late", "whole", "told"), [(0, 100, 91), (9, 100, 91), (10, 100, None), (0, 20, 55), (0, 19, None), (0, 0, None)]
)
def test_a_rate_says_no_more_than_that_fewer_than_ten_missed_it(late, whole, told):
    """Whether it was nobody or nine is not to be seen."""
    place = (Department.FIRE, "gas-leak")
    shares = [(late, "late"), (whole - late, "in-time")]
    violence = Group(Department.JUSTICE, "protection-from-violence", {"due": "late"}, 9)
    groups = [Group(*place, {"due": due}, count) for count, due in shares]
    assert at_least({"closed": [*groups, violence]})["closed_in_time"] == told
    assert at_least({})["answered_within_24_hours"] is None


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 60), min_size=2))
def test_under_one_sum_two_are_withheld_with_room_or_all_or_none(parts):
    hidden = withheld_parts(parts)
    assert {part for part, count in parts.items() if count < FEWEST} <= hidden
    room = len(hidden) > 1 and sum(parts[part] for part in hidden) >= ROOM
    assert not hidden or room or hidden == set(parts)


@given(st.lists(st.integers(0, 24), min_size=6, max_size=6))
@settings(deadline=None)
def test_what_is_withheld_of_a_small_table_is_found_by_no_trying(counts):
    """All tables of two lines and three columns with the same sums and the same told cells are written down."""
    table = {line: dict(enumerate(counts[3 * line : 3 * line + 3])) for line in (0, 1)}
    columns = [table[0][part] + table[1][part] for part in range(3)]
    assume(min(*(sum(one.values()) for one in table.values()), *columns) >= FEWEST)  # smaller sums are not told
    hidden = withheld_cells(table, range(3))
    whole = sum(table[0].values())
    first_lines = [
        (a, b, whole - a - b)
        for a in range(columns[0] + 1)
        for b in range(columns[1] + 1)
        if 0 <= whole - a - b <= columns[2]
    ]
    same = [
        line
        for line in first_lines
        if all(line[part] == table[0][part] for part in range(3) if (0, part) not in hidden)
    ]
    for part in {part for _, part in hidden}:
        assert max(line[part] for line in same) - min(line[part] for line in same) >= FEWEST
