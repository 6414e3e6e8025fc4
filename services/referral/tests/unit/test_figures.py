"""Figures: a table of fixed shape in which small numbers of what is delicate are not told."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import Department
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.figures import FEWEST, STEP, Counts, guarded, table

COLUMNS = [one.name for one in fields(Counts)]
COUNTS = st.builds(Counts, *[st.integers(0, 60)] * len(COLUMNS))
KEYS = st.tuples(st.none() | st.sampled_from(Department), st.none() | st.sampled_from([*NEED_TYPES, "of-tomorrow"]))


def cell(counted, department, need_type, column="open"):
    (row,) = [one for one in table(counted) if (one.department, one.need_type) == (department, need_type)]
    return row.cells[column]


@given(st.lists(st.tuples(KEYS, COUNTS)))
def test_the_table_has_the_same_lines_and_cells_whatever_is_counted(counted):
    rows = table([(*key, counts) for key, counts in counted])
    assert [(row.department, row.need_type) for row in rows] == [(r.department, r.need_type) for r in table([])]
    assert len(rows) == len(NEED_TYPES) + len(Department) + 1
    assert all(list(row.cells) == COLUMNS for row in rows)


@given(st.lists(st.tuples(KEYS, COUNTS)))
def test_a_guarded_cell_tells_no_small_number_and_only_steps(counted):
    for row in table([(*key, counts) for key, counts in counted]):
        for count in row.cells.values():
            assert not row.guarded or count is None or (count >= FEWEST and count % STEP == 0)
            assert row.guarded or count is not None


def test_what_tells_of_somebody_is_guarded():
    assert {code for code, need in NEED_TYPES.items() if guarded(need)} == {
        "legal-aid", "mediation", "chronic-illness-follow-up", "health-advice", "counselling",
        "protection-from-violence",
    }  # fmt: skip
    assert all(row.guarded for row in table([]) if row.need_type is None)


@pytest.mark.parametrize(("count", "told"), [(0, None), (1, None), (4, None), (9, None), (10, 10), (14, 10), (15, 15)])
def test_so_much_is_told_of_a_guarded_count(count, told):
    assert cell([(Department.JUSTICE, "legal-aid", Counts(count))], Department.JUSTICE, "legal-aid") == told


def test_what_another_department_has_of_a_need_is_counted_there_and_its_type_is_not_told():
    """Else one legal aid that was handed on would stand in a line of its own."""
    counted = [(Department.FIRE, code, Counts(6)) for code in ("legal-aid", "wage-help", "of-tomorrow")]
    assert cell(counted, Department.FIRE, None) == 15
    assert cell(counted, Department.JUSTICE, "legal-aid") is None
    assert cell(counted, Department.LABOUR, "wage-help") == 0


def test_an_open_line_tells_every_number():
    counted = [(Department.FIRE, "gas-leak", Counts(1, 0, 1)), (Department.FIRE, "gas-leak", Counts(2))]
    assert [cell(counted, Department.FIRE, "gas-leak", name) for name in COLUMNS] == [3, 0, 1, 0, 0, 0]
