"""The station's months on paper: a page a month, its distributions as bars above the table, in both languages."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from doorstep.referral.domain.monthly import STATION, Of, cells
from doorstep.referral.domain.monthly_words import (
    CLASSES,
    COUNTS,
    LEGEND,
    TITLE,
    WAYS,
    WITHHELD,
    line_words,
    rate_words,
)
from doorstep.referral.operations.months import MonthTold

MEDIA_TYPE = "application/pdf"

_FONT = "STSong-Light"
_WIDTH = 780.0
_LABEL = 160.0
_CELL = (_WIDTH - _LABEL) / len(cells())
_BAR = 9.0
_BARS_HEIGHT = 92.0
_INK, _QUIET, _FILL, _RULE = HexColor("#1a1a1a"), HexColor("#6b6b6b"), HexColor("#2f6f9f"), HexColor("#c8c8c8")
_TINT = HexColor("#eef3f7")
_HEADING = ParagraphStyle("heading", fontName=_FONT, fontSize=14, leading=19, textColor=_INK)
_TEXT = ParagraphStyle("text", fontName=_FONT, fontSize=7.5, leading=10.5, textColor=_QUIET)

registerFont(UnicodeCIDFont(_FONT))


def document(station: str, found: Sequence[MonthTold]) -> bytes:
    """The file."""
    held = BytesIO()
    pages = SimpleDocTemplate(
        held, pagesize=landscape(A4), leftMargin=30, rightMargin=30, topMargin=22, bottomMargin=18,
        title=" ".join(TITLE), invariant=1,
    )  # fmt: skip
    story: list[Any] = []
    for month in found:
        story += [*_page(station, month), PageBreak()]
    pages.build(story[:-1])
    return held.getvalue()


def _page(station: str, month: MonthTold) -> list[Any]:
    rates = [rate_words(name, percent) for name, percent in month.at_least.items()]
    told = dict(month.lines)[STATION]
    return [
        Paragraph(escape(f"{TITLE[0]} {TITLE[1]} · {station} · {month.month}"), _HEADING),
        Paragraph(escape(" · ".join(zh for zh, _ in rates)), _TEXT),
        Paragraph(escape(" · ".join(en for _, en in rates)), _TEXT),
        Spacer(0, 4),
        _bars(told),
        _table(month),
        Spacer(0, 3),
        *(Paragraph(escape(words), _TEXT) for words in LEGEND),
    ]


def _bars(told: Mapping[str, int | None]) -> Drawing:
    """How the station's requests are divided up: a group of bars for each way; what is withheld has none."""
    drawing = Drawing(_WIDTH, _BARS_HEIGHT)
    for at, way in enumerate(WAYS):
        left, wide = at * _WIDTH / len(WAYS), _WIDTH / len(WAYS) - 12
        zh, en = WAYS[way]
        drawing.add(_string(left, _BARS_HEIGHT - 9, f"{zh} {en}", 8, _INK))
        most = max((told[f"{way}.{one}"] or 0 for one in CLASSES[way]), default=0) or 1
        for row, (one, (short, _)) in enumerate(CLASSES[way].items()):
            base, count = _BARS_HEIGHT - 24 - row * (_BAR + 3), told[f"{way}.{one}"]
            drawing.add(_string(left, base + 1.5, short, 7, _QUIET))
            drawing.add(Line(left + 42, base, left + 42, base + _BAR, strokeColor=_RULE, strokeWidth=0.5))
            long = 0.0 if count is None else (wide - 70) * count / most
            drawing.add(Rect(left + 42, base, long, _BAR, fillColor=_FILL, strokeColor=None))
            drawing.add(_string(left + 46 + long, base + 1.5, WITHHELD if count is None else str(count), 7, _INK))
    return drawing


def _string(x: float, y: float, text: str, size: float, colour: Any) -> String:
    return String(x, y, text, fontName=_FONT, fontSize=size, fillColor=colour)


def _table(month: MonthTold) -> Table:
    groups, heads, english = [""], [""], [""]
    for name in cells():
        way, _, one = name.partition(".")
        words = COUNTS[name] if name in COUNTS else CLASSES[way][one]
        first = bool(one) and one == next(iter(CLASSES[way]))
        groups.append(WAYS[way][0] if first else "")
        heads.append(words[0])
        english.append(words[1])
    rows = [groups, heads, english]
    for line, told in month.lines:
        indent = "" if line.of in (Of.STATION, Of.DEPARTMENT, Of.UNROUTED) else "　"
        label = indent + " ".join(line_words(line))
        rows.append([label, *(WITHHELD if count is None else str(count) for count in told.values())])
    strong = [3 + at for at, (line, _) in enumerate(month.lines) if line.of in (Of.STATION, Of.DEPARTMENT)]
    style = [
        ("FONT", (0, 0), (-1, -1), _FONT, 6.4, 7.6),
        ("FONT", (0, 2), (-1, 2), _FONT, 5.4),
        ("TEXTCOLOR", (0, 0), (-1, 2), _QUIET),
        ("ALIGN", (1, 1), (-1, -1), "RIGHT"),
        ("LINEBELOW", (0, 2), (-1, 2), 0.6, _INK),
        ("TOPPADDING", (0, 0), (-1, -1), 0.6),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ("LEFTPADDING", (0, 0), (-1, -1), 1),
        ("RIGHTPADDING", (0, 0), (-1, -1), 2),
        *(("BACKGROUND", (0, row), (-1, row), _TINT) for row in strong),
    ]
    return Table(rows, colWidths=[_LABEL, *[_CELL] * len(cells())], style=TableStyle(style), repeatRows=3)
