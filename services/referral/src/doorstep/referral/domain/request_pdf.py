"""Draws a request, as its department is told it, as one page of PDF for an office that works on paper."""

import io
from collections.abc import Iterator

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm

from doorstep.contracts.codes import Department
from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.feeds import RequestOffered
from doorstep.contracts.needs import NEED_TYPES
from doorstep.referral.domain.deadlines import SHANGHAI
from doorstep.referral.domain.notice_pdf import FONT, LATIN, LEFT, new_canvas, wrapped

_BARRED = {"mediation": "不得调解", "joint-conference": "不得联合会商", "home-visit": "不得上门"}
_YES, _NO = "是", "否"


def draw_request(department: Department, offered: RequestOffered) -> bytes:
    """The request as PDF; the same request is the same file."""
    file = io.BytesIO()
    canvas = new_canvas(file)
    canvas.setTitle("服务请求 Service request")
    canvas.setFont(FONT, 20)
    canvas.drawString(LEFT, A4[1] - 34 * mm, "服务请求")
    canvas.setFont(LATIN, 9)
    canvas.drawString(LEFT, A4[1] - 40 * mm, f"Service request  {offered.offer.ref}")
    y = A4[1] - 54 * mm
    for line in _lines(offered):
        y = wrapped(canvas, line, FONT, 12, y) - 1 * mm
    canvas.setFont(FONT, 9)
    delete_by = offered.delete_by.astimezone(SHANGHAI).date()
    canvas.drawString(LEFT, 24 * mm, f"仅供 {department} 办理此请求使用，{delete_by} 前销毁。Delete by {delete_by}.")
    canvas.showPage()
    canvas.save()
    return file.getvalue()


def _lines(offered: RequestOffered) -> Iterator[str]:
    offer = offered.offer
    known = NEED_TYPES.get(offer.need_type)
    yield f"需求：{known.zh if known else offer.need_type}"
    yield f"首次响应期限：{offer.respond_by.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
    yield f"办结期限：{offer.complete_by.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
    told = (("姓名", offer.name), ("证件号码", offer.document_number), ("电话", offer.phone), ("住址", offer.address))
    for label, value in (*told, ("地点", offer.place)):
        if value is not None:
            yield f"{label}：{value}"
    if offer.safe_contact is not None:
        safe = offer.safe_contact
        yield f"只能以此方式联系：{safe.channel} {safe.number or ''} {safe.hours_from}-{safe.hours_to}"
        yield f"只可说：{safe.cover}"
    for one in offer.barred or ():
        yield _BARRED.get(one, str(one))
    for fact in offer.facts:
        entry = CATALOGUE.get(fact.code)
        said = (_YES if fact.value else _NO) if isinstance(fact.value, bool) else fact.value
        yield f"{entry.zh if entry else fact.code}：{said}"
