"""Draws a notice as one page of PDF (ISO 32000), with its QR code and the place of its seal.

Chinese is set in STSong-Light, one of Adobe's named Asian fonts: the file carries no font, and a reader has its own.
"""

import io
from typing import Final, Protocol

import segno
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from doorstep.referral.domain.numbered_notices import TITLES, Notice

_WIDTH, _HEIGHT = A4
LEFT: Final = 28 * mm
FONT, LATIN = "STSong-Light", "Helvetica"
_SEAL: Final = 21 * mm
_QR: Final = 34 * mm
_MOST_WIDE = _WIDTH - 2 * LEFT


class Seal(Protocol):
    """How notices are sealed: an electronic seal (电子印章) draws itself and signs the file."""

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draw the seal, or its place, around this point."""

    def signed(self, file: bytes) -> bytes:
        """The file with its signature."""


class WetSeal:
    """No electronic seal: the place for a wet one is drawn, and the file is left as it is."""

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """A dashed circle."""
        canvas.saveState()
        canvas.setDash(2, 3)
        canvas.setStrokeGray(0.55)
        canvas.circle(x, y, _SEAL, stroke=1, fill=0)
        canvas.setFillGray(0.55)
        canvas.setFont(FONT, 10)
        canvas.drawCentredString(x, y + 2, "（盖章处）")
        canvas.setFont(LATIN, 8)
        canvas.drawCentredString(x, y - 11, "place of the seal")
        canvas.restoreState()

    def signed(self, file: bytes) -> bytes:
        """The same."""
        return file


def new_canvas(file: io.BytesIO) -> Canvas:
    """An empty page of A4 in Chinese; the same drawn on it is the same file."""
    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    return Canvas(file, pagesize=A4, invariant=1, lang="zh-CN")


def draw_notice(notice: Notice, address: str, *, seal: Seal) -> bytes:
    """The notice as PDF; its QR code holds `address`, where it is checked. The same notice is the same file."""
    file = io.BytesIO()
    canvas = new_canvas(file)
    title_zh, title_en = TITLES[notice.kind]
    canvas.setTitle(f"{title_zh} {title_en}")
    canvas.setAuthor("Doorstep")
    canvas.setFont(FONT, 24)
    canvas.drawCentredString(_WIDTH / 2, _HEIGHT - 42 * mm, title_zh)
    canvas.setFont(LATIN, 11)
    canvas.drawCentredString(_WIDTH / 2, _HEIGHT - 50 * mm, title_en)
    canvas.setFont(FONT, 11)
    canvas.drawRightString(_WIDTH - LEFT, _HEIGHT - 64 * mm, f"编号 No. {notice.number}")
    _lines(canvas, notice, _HEIGHT - 82 * mm)
    x, y = _WIDTH - LEFT - 30 * mm, 92 * mm
    seal.draw(canvas, x, y)
    canvas.setFont(FONT, 12)
    canvas.setFillGray(0)
    canvas.drawCentredString(x, y - 32 * mm, notice.day)
    _code(canvas, address, LEFT, 52 * mm)
    canvas.setFont(FONT, 9)
    canvas.drawString(LEFT, 46 * mm, "扫码，或在服务站公开页面输入编号并选择电子文件，验证真伪。")
    canvas.setFont(LATIN, 8)
    canvas.drawString(
        LEFT, 41 * mm, "Scan it, or check number and file on the station's page, to see if it is genuine."
    )
    canvas.showPage()
    canvas.save()
    return seal.signed(file.getvalue())


def _lines(canvas: Canvas, notice: Notice, y: float) -> None:
    for zh, en in notice.lines():
        y = wrapped(canvas, zh, FONT, 14, y)
        y = wrapped(canvas, en, FONT, 10, y + 1 * mm) - 4 * mm


def wrapped(canvas: Canvas, text: str, font: str, size: int, y: float) -> float:
    """Draw a line in as many as it needs, broken anywhere as Chinese is; gives where the next begins."""
    canvas.setFont(font, size)
    canvas.setFillGray(0 if size > 10 else 0.35)
    line = ""
    for sign in text:
        if pdfmetrics.stringWidth(line + sign, font, size) > _MOST_WIDE:
            canvas.drawString(LEFT, y, line)
            y, line = y - size * 1.6, ""
        line += sign
    canvas.drawString(LEFT, y, line)
    canvas.setFillGray(0)
    return float(y - size * 1.6)


def _code(canvas: Canvas, address: str, x: float, y: float) -> None:
    """The QR code, drawn of squares."""
    rows = [list(row) for row in segno.make_qr(address, error="m").matrix_iter(scale=1, border=4)]
    dot = _QR / len(rows)
    for down, row in enumerate(rows):
        for across, dark in enumerate(row):
            if dark:
                canvas.rect(x + across * dot, y + _QR - (down + 1) * dot, dot, dot, stroke=0, fill=1)
