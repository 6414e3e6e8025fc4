"""Documents by their first bytes, and the words of templates: what may stand in them and how they are filled in."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts.codes import Department, Outcome, Reason
from doorstep.contracts.documents import DOCUMENT_NAMES, DocumentForm, DocumentKind
from doorstep.referral.domain.documents import SUFFIXES, form_of
from doorstep.referral.domain.templates import PLACEHOLDERS, Template, Words, fill_in, flaw_of

PDF, PNG, JPEG = b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0\0\x10JFIF"
FEE = Template("fee", 2, "wage-help", Outcome.ADVICE_GIVEN, None, Words("已办", "done"))


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (PDF, DocumentForm.PDF), (PNG, DocumentForm.PNG), (JPEG, DocumentForm.JPEG), (b"", None), (b"%PD", None),
        (b"\n" + PDF, None), (b"PK\x03\x04" + PDF, None), (b"GIF89a" + PDF, None), (b"<svg/>", None), (PNG[1:], None),
    ],
)  # fmt: skip
def test_a_document_is_known_by_its_first_bytes_and_by_nothing_further_down(data, form) -> None:
    assert form_of(data) is form
    assert form_of(data + b"\0" * 9) is form


def test_every_form_has_a_suffix_and_every_kind_its_words() -> None:
    assert set(SUFFIXES) == set(DocumentForm)
    assert set(DOCUMENT_NAMES) == set(DocumentKind)


@pytest.mark.parametrize(
    "text",
    [
        "请拨打 13800138000", "请拨打 138 0013 8000", "010-8888-1234", "１３８００１", "第 123456 号", "(123) 456",
        "138/0013/8000", "138、0013、8000", "一三八零零一三八", "幺三八 00 138",
        "{name} 您好", "{need", "need}", "{{need}}", "{}", "{ need }", "", "  ", "第一行\n第二行", "a\0b",
    ],
)  # fmt: skip
def test_what_could_name_or_reach_somebody_does_not_stand_in_a_template(text) -> None:
    assert flaw_of(text) is not None


@pytest.mark.parametrize("text", ["{department}已于{day}办结“{need}”。", "请拨打 12345", "2026 年 3 月 2 日前领取"])
def test_what_everybody_knows_may_stand_there(text) -> None:
    assert flaw_of(text) is None


@given(st.text(max_size=40).filter(lambda text: flaw_of(text) is None))
def test_what_may_stand_there_is_filled_in_and_leaves_no_placeholder(text) -> None:
    said = fill_in(Words(text, text), "wage-help", Department.LABOUR, date(2026, 3, 2))
    assert not any(one in words for words in (said.zh, said.en) for one in PLACEHOLDERS)


def test_placeholders_are_filled_in_in_the_language_that_they_stand_in() -> None:
    words = Words("{department}：{need}，{day}", "{department}: {need}, {day}")
    said = fill_in(words, "wiring-repair", Department.FIRE, date(2026, 3, 2))
    assert said.zh.startswith("消防：")
    assert said.zh.endswith("，2026-03-02")
    assert said.en != said.zh
    assert (
        fill_in(Words("{need}", "{need}"), "not-known-here", Department.FIRE, date(2026, 3, 2)).zh == "not-known-here"
    )


def test_a_template_fits_its_need_and_what_it_tells_alone() -> None:
    assert FEE.name == "fee@2"
    assert FEE.fits("wage-help", Outcome.ADVICE_GIVEN, None)
    for wrong in (("work-training", Outcome.ADVICE_GIVEN, None), ("wage-help", Outcome.GRANTED, None)):
        assert not FEE.fits(*wrong)
    assert not FEE.fits("wage-help", None, None)
    refusal = Template("no", 1, "wage-help", None, Reason.NOT_OURS, Words("不", "no"))
    assert refusal.fits("wage-help", None, Reason.NOT_OURS)
    assert not refusal.fits("wage-help", Outcome.GRANTED, None)
