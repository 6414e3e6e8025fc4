"""Notices: what they say, that they are read back, and that nothing can be changed in one."""

import io
from dataclasses import replace
from typing import Any

import pytest
from pypdf import PdfReader
from reportlab.pdfgen.canvas import Canvas

from doorstep.contracts.codes import Department, Outcome, Reason, TaskState
from doorstep.referral.domain.notice_pdf import WetSeal, draw_notice
from doorstep.referral.domain.numbered_notices import OUTCOMES, REASONS, STATES, TITLES, Kind, Notice

NOTICE = Notice(
    number="7Q2M-0000-AAAA-1111", kind=Kind.ACCEPTANCE, department=Department.CIVIL_AFFAIRS, station="station-7",
    need_type="temporary-relief", day="2026-11-22", name="王秀英", complete_by="2026-12-04",
)  # fmt: skip
ADDRESS = "https://station.example/notices#7Q2M-0000-AAAA-1111.hash"


def read(file: bytes) -> str:
    """What stands on the one page, without spaces."""
    (page,) = PdfReader(io.BytesIO(file)).pages
    return "".join(page.extract_text().split())


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_is_read_back_from_its_file(kind: Kind) -> None:
    notice = replace(NOTICE, kind=kind, reason=Reason.NOT_ELIGIBLE, outcome=None)
    text = read(draw_notice(notice, ADDRESS, seal=WetSeal()))
    title_zh, title_en = TITLES[kind]
    told = [title_zh, title_en, notice.number, notice.day, "王秀英", "临时救助", "民政", "盖章处"]
    told += ["原因：不符合办理条件"] if kind in (Kind.REFUSAL, Kind.COMPLETION) else []
    told += ["2026-12-04"] if kind is Kind.ACCEPTANCE else []
    assert [one for one in told if "".join(one.split()) not in text] == []


def test_the_same_notice_is_the_same_file_and_every_word_of_it_counts() -> None:
    assert draw_notice(NOTICE, ADDRESS, seal=WetSeal()) == draw_notice(NOTICE, ADDRESS, seal=WetSeal())
    changed: list[dict[str, Any]] = [
        {"number": "7Q2M-0000-AAAA-1112"}, {"kind": Kind.COMPLETION}, {"department": Department.HEALTH},
        {"station": "station-8"}, {"need_type": "legal-aid"}, {"day": "2026-11-23"}, {"name": None},
        {"complete_by": "2026-12-05"}, {"reason": Reason.NOT_OURS}, {"outcome": Outcome.GRANTED},
    ]  # fmt: skip
    digests = {replace(NOTICE, **one).digest for one in changed} | {NOTICE.digest}
    assert len(digests) == len(changed) + 1


def test_every_reason_outcome_and_kind_has_its_words_and_a_state() -> None:
    assert (set(REASONS), set(OUTCOMES)) == (set(Reason), set(Outcome))
    assert set(TITLES) == set(STATES) == set(Kind)
    assert not any({TaskState.CANCELLED, TaskState.ENTERED_IN_ERROR, TaskState.DRAFT} & one for one in STATES.values())


def test_an_electronic_seal_draws_itself_and_signs_the_whole_file() -> None:
    class Electronic:
        def draw(self, canvas: Canvas, x: float, y: float) -> None:
            canvas.drawCentredString(x, y, "SEALED")

        def signed(self, file: bytes) -> bytes:
            return file + b"%signature"

    file = draw_notice(NOTICE, ADDRESS, seal=Electronic())
    assert file.endswith(b"%%EOF\n%signature")
    assert "SEALED" in read(file)
    assert "盖章处" not in read(file)
