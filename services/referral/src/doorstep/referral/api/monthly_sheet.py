"""The station's months as a workbook: every cell of every line, and the station's distributions as charts.

Invariant: what is written is a number or a text, never a formula, whatever a station or a department is called.
"""

from collections.abc import Sequence
from io import BytesIO

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from doorstep.referral.domain.monthly import SHARES, STATION, cells
from doorstep.referral.domain.monthly_words import (
    CLASSES,
    LEGEND,
    TITLE,
    WAYS,
    WITHHELD,
    Words,
    cell_words,
    line_words,
    rate_words,
)
from doorstep.referral.operations.months import MonthTold

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_PLAIN = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
_HEAD = 3
_BEFORE = 3
_CHART_ROWS = 16


def workbook(station: str, found: Sequence[MonthTold]) -> bytes:
    """The file."""
    held = BytesIO()
    with Workbook(held, _PLAIN) as book:
        book.set_properties({"title": " ".join(TITLE), "created": found[-1].counted_at})
        head = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
        _table(book.add_worksheet("统计 Figures"), station, found, head, book.add_format({"align": "right"}))
        _charts(book, book.add_worksheet("分布 Distributions"), found, head)
    return held.getvalue()


def _both(words: Words) -> str:
    return "\n".join(words)


def _table(sheet: Worksheet, station: str, found: Sequence[MonthTold], head: Format, withheld: Format) -> None:
    sheet.write_string(0, 0, f"{TITLE[0]} {TITLE[1]} · {station}", head)
    sheet.write_string(1, 0, " ".join(LEGEND))
    for column, words in enumerate((("月份", "Month"), ("部门", "Department"), ("项目", "Line"))):
        sheet.write_string(_HEAD - 1, column, _both(words), head)
    for column, name in enumerate(cells(), _BEFORE):
        sheet.write_string(_HEAD - 1, column, _both(cell_words(name)), head)
    row = _HEAD
    for month in found:
        for line, told in month.lines:
            for column, written in enumerate((str(month.month), line.department or "", " ".join(line_words(line)))):
                sheet.write_string(row, column, written)
            for column, count in enumerate(told.values(), _BEFORE):
                if count is None:
                    sheet.write_string(row, column, WITHHELD, withheld)
                else:
                    sheet.write_number(row, column, count)
            row += 1
    sheet.freeze_panes(_HEAD, _BEFORE)
    sheet.autofilter(_HEAD - 1, 0, row - 1, _BEFORE - 1 + len(cells()))
    sheet.set_column(0, 1, 12)
    sheet.set_column(2, 2, 40)


def _charts(book: Workbook, sheet: Worksheet, found: Sequence[MonthTold], head: Format) -> None:
    """The station's line of each month, divided up, with a chart of bars beside; what is withheld has no bar."""
    sheet.write_string(0, 0, " ".join(LEGEND))
    top = 2
    for way in (way for ways in SHARES.values() for way in ways):
        classes = CLASSES[way]
        sheet.write_string(top, 0, _both(WAYS[way]), head)
        chart = book.add_chart({"type": "column", "subtype": "stacked"})
        for at, (one, words) in enumerate(classes.items(), 1):
            sheet.write_string(top, at, _both(words), head)
            for row, month in enumerate(found, top + 1):
                count = dict(month.lines)[STATION][f"{way}.{one}"]
                if count is None:
                    sheet.write_string(row, at, WITHHELD)
                else:
                    sheet.write_number(row, at, count)
            end = top + len(found)
            series = {"name": [sheet.name, top, at], "values": [sheet.name, top + 1, at, end, at]}
            chart.add_series(series | {"categories": [sheet.name, top + 1, 0, end, 0]})
        for row, month in enumerate(found, top + 1):
            sheet.write_string(row, 0, str(month.month))
        chart.set_title({"name": " ".join(WAYS[way])})
        sheet.insert_chart(top, len(classes) + 2, chart)
        top += max(len(found) + 3, _CHART_ROWS)
    for row, month in enumerate(found, top):
        rates = [" ".join(rate_words(name, percent)) for name, percent in month.at_least.items()]
        sheet.write_string(row, 0, f"{month.month}  " + " · ".join(rates))
    sheet.set_column(0, 0, 14)
