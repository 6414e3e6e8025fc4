"""The station's months as files: every cell of the table and no other, no formula, the same months the same bytes."""

import re
import zipfile
from datetime import UTC, datetime
from io import BytesIO
from xml.etree import ElementTree

import pytest

from doorstep.contracts.codes import Department
from doorstep.referral.api.monthly_print import document
from doorstep.referral.api.monthly_sheet import workbook
from doorstep.referral.domain.monthly import CLOSED, OPENED, Group, at_least, cells, lines, month_told
from doorstep.referral.domain.monthly_words import CLASSES, RATES, WITHHELD, cell_words, line_words
from doorstep.referral.domain.months import Month
from doorstep.referral.operations.months import MonthTold

STATION = '=HYPERLINK("http://example.com","<和平里> & 站")'
NAMESPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture(scope="module")
def found():
    """Two months of a station that calls itself a formula."""
    groups = [
        Group(
            department,
            need,
            {"answered": "within-1-hour", "due": "in-time", "took": "within-1-day", "rated": rated},
            33,
        )
        for department, need in ((Department.FIRE, "gas-leak"), (Department.LABOUR, "wage-help"))
        for rated in ("satisfied", "less", "not-solved", "unrated")
    ]
    told = []
    for month, part in ((Month(2026, 3), groups), (Month(2026, 4), [])):
        counted = {"opened": part, "closed": part}
        lines_told = tuple(month_told(counted).items())
        told.append(MonthTold(month, datetime(2026, 11, 1, tzinfo=UTC), lines_told, at_least(counted)))
    return tuple(told)


def tree_of(part):
    return ElementTree.fromstring(part)  # noqa: S314 — written a moment ago, by ourselves


def sheets(content):
    """The cells of each sheet by their place, as text or number, and how many formulas there are."""
    with zipfile.ZipFile(BytesIO(content)) as file:
        texts = ["".join(one.itertext()) for one in tree_of(file.read("xl/sharedStrings.xml"))]
        names = sorted(name for name in file.namelist() if re.fullmatch(r"xl/worksheets/sheet\d\.xml", name))
        trees = [tree_of(file.read(name)) for name in names]
        charts = [name for name in file.namelist() if name.startswith("xl/charts/chart")]
    found = []
    for tree in trees:
        values = {}
        for cell in tree.iter(f"{NAMESPACE}c"):
            value = cell.findtext(f"{NAMESPACE}v")
            if value is not None:
                values[cell.get("r")] = texts[int(value)] if cell.get("t") == "s" else int(value)
        found.append(values)
    return found, sum(len(list(tree.iter(f"{NAMESPACE}f"))) for tree in trees), charts


def test_the_workbook_holds_every_cell_of_the_table_and_no_formula(found):
    (table, distributions), formulas, charts = sheets(workbook(STATION, found))
    assert formulas == 0
    assert len(charts) == 4
    assert STATION in table["A1"]
    rows = {}
    for place, value in table.items():
        rows.setdefault(int(re.search(r"\d+", place)[0]), []).append(value)
    written = [row[-len(cells()) :] for number, row in sorted(rows.items()) if number > 3]
    expected = [
        [WITHHELD if count is None else count for count in told.values()] for month in found for _, told in month.lines
    ]
    assert written == expected
    assert [row[0] for number, row in sorted(rows.items()) if number > 3][:: len(lines())] == ["2026-03", "2026-04"]
    assert 264 in table.values()
    assert 66 in distributions.values()
    assert any("不低于 96%" in str(value) for value in distributions.values())


def test_the_same_months_are_the_same_bytes(found):
    assert workbook(STATION, found) == workbook(STATION, found)
    assert document(STATION, found) == document(STATION, found)


def test_the_print_has_a_page_a_month_whatever_the_station_is_called(found):
    printed = document(STATION, found)
    assert printed.startswith(b"%PDF-1.")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == len(found)
    assert b"STSong-Light" in printed
    assert b"/URI" not in printed


def test_every_line_cell_and_rate_has_its_words_in_both_languages():
    words = [line_words(line) for line in lines()] + [cell_words(name) for name in cells()] + list(RATES.values())
    assert all(re.search(r"[\u4e00-\u9fff]", zh) and re.search(r"[a-z0-9]", en) for zh, en in words)
    assert {way: set(one) for way, one in CLASSES.items()} == {
        way: {str(one) for one in classes} for way, classes in {**OPENED, **CLOSED}.items()
    }
