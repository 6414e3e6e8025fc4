"""Figures: a table of fixed shape in which small numbers are not told, and violence is in none."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import Department
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.figures import FEWEST, STEP, Counts, guarded, table
from doorstep.referral.domain.monthly import VIOLENCE

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
    assert len(rows) == len(NEED_TYPES) - len(VIOLENCE) + len(Department) + 1
    assert all(list(row.cells) == COLUMNS for row in rows)


@given(st.lists(st.tuples(KEYS, COUNTS)))
def test_no_cell_tells_a_small_number_and_all_go_in_steps(counted):
    for row in table([(*key, counts) for key, counts in counted]):
        assert all(count is None or (count >= FEWEST and count % STEP == 0) for count in row.cells.values())


@given(st.lists(st.tuples(KEYS, COUNTS)), st.none() | st.sampled_from(Department), COUNTS)
def test_violence_has_no_line_and_is_in_no_other_wherever_it_is(counted, department, counts):
    plain = [(*key, one) for key, one in counted if key[1] not in VIOLENCE]
    assert table([*plain, *((department, code, counts) for code in VIOLENCE)]) == table(plain)
    assert {"protection-from-violence"} == VIOLENCE
    assert not {row.need_type for row in table([])} & VIOLENCE


def test_what_tells_of_somebody_is_guarded():
    assert {code for code, need in NEED_TYPES.items() if guarded(need)} == {
        "legal-aid", "mediation", "chronic-illness-follow-up", "health-advice", "counselling",
        "protection-from-violence",
    }  # fmt: skip


@pytest.mark.parametrize(("count", "told"), [(0, None), (1, None), (4, None), (9, None), (10, 10), (14, 10), (15, 15)])
def test_so_much_is_told_of_a_count_in_whatever_line(count, told):
    for department, need_type in ((Department.JUSTICE, "legal-aid"), (Department.FIRE, "gas-leak"), (None, None)):
        assert cell([(department, need_type, Counts(count))], department, need_type) == told


def test_what_another_department_has_of_a_need_is_counted_there_and_its_type_is_not_told():
    """Else one legal aid that was handed on would stand in a line of its own."""
    counted = [(Department.FIRE, code, Counts(6)) for code in ("legal-aid", "wage-help", "of-tomorrow")]
    assert cell(counted, Department.FIRE, None) == 15
    assert cell(counted, Department.JUSTICE, "legal-aid") is None
    assert cell(counted, Department.LABOUR, "wage-help") is None


def test_what_is_counted_in_one_line_is_told_together():
    counted = [(Department.FIRE, "gas-leak", Counts(11, 0, 9)), (Department.FIRE, "gas-leak", Counts(7, 0, 1))]
    assert [cell(counted, Department.FIRE, "gas-leak", name) for name in COLUMNS] == [15, None, 10, None, None, None]
