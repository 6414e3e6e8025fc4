"""The residents' page in a browser, over a running stack: ask, follow, have a human look again, withdraw."""

import asyncio
import base64
import os
import runpy
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

_PAGES = runpy.run_path(str(Path(__file__).with_name("test_audit_page.py")))
new_page, reads = _PAGES["new_page"], _PAGES["reads"]
pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None and shutil.which("google-chrome") is None, reason="no Chromium on this machine"
)


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Any]:
    """An empty page."""
    async with new_page(tmp_path / "chromium") as page:
        yield page


async def kept(page: Any, name: str) -> None:
    """Keep how the page looks, where a folder for that is named."""
    if folder := os.environ.get("SCREENSHOTS"):
        shot = await page.command("Page.captureScreenshot", format="png")
        await asyncio.to_thread(Path(folder, f"{name}.png").write_bytes, base64.b64decode(shot["data"]))


async def pressed(page: Any, label: str, within: str = "#requests") -> None:
    """Press the first button within that has this label."""
    await page.value(
        f"[...document.querySelectorAll('{within} button')].find((one) => one.innerText === {label!r}).click()"
    )


async def test_a_resident_asks_follows_has_a_human_look_again_and_withdraws(house, browser) -> None:
    body = house.record()
    taken = await house.hand_in(body)
    person = next(one["subject_id"] for one in body["subjects"] if one["kind"] == "person")
    [code] = [one["follow_code"] for one in taken["receipts"] if one["subject_id"] == person]
    await house.requests(body["record_id"], 2)
    await browser.wide(390)
    await browser.open(f"{house.stack.front_door}/own")
    assert "反家庭暴力" not in await reads(browser, "讨薪帮助", "#menu")
    await browser.click("#menu button")
    await reads(browser, "请先输入查询码", "#notice")
    await browser.value("document.querySelector('#code').value = '0000-0000-0000-0000'")
    await browser.click("#ask [type=submit]")
    await reads(browser, "没有可以显示的事项", "#notice")
    await browser.value(f"document.querySelector('#code').value = {code!r}")
    await browser.click("#ask [type=submit]")
    shown = await reads(browser, "待受理", "#requests")
    assert "法律援助" not in shown
    await browser.click("#requests button")
    await reads(browser, "复核答复期限", "#requests")
    await kept(browser, "own-zh")
    assert await browser.value("document.documentElement.scrollWidth") == 390
    await pressed(browser, "投诉")
    await pressed(browser, "提交投诉")
    await reads(browser, "请至少选择一项", "#requests")
    await browser.value("document.querySelectorAll('.complaint [type=checkbox]').forEach((one) => one.click())")
    await browser.value("document.querySelector('.complaint textarea').value = '等了三周没有人答复'")
    await kept(browser, "own-complaint-form")
    assert await browser.value("document.documentElement.scrollWidth") == 390
    await pressed(browser, "提交投诉")
    await reads(browser, "已收到投诉。投诉码", "#notice")
    complaint = await browser.text("#notice strong")
    await kept(browser, "own-complaint")
    await browser.click("#ask [type=submit]")  # who holds the receipt alone sees nothing of it
    await reads(browser, "待受理", "#requests")
    assert complaint not in await browser.text("body")
    assert "投诉答复期限" not in await browser.text("body")
    for typed, told in ((code, "没有这件投诉"), (complaint, "")):
        await browser.value(f"document.querySelector('#complaint-code').value = {typed!r}")
        await browser.click("#kept [type=submit]")
        await reads(browser, told, "#notice" if told else "#complaint")
    assert "等了三周" not in await reads(browser, "投诉答复期限", "#complaint")
    await kept(browser, "own-complaint-seen")
    for label in ("撤回投诉", "确认撤回并删除"):
        await pressed(browser, label, "#complaint")
    await reads(browser, "投诉已撤回并删除", "#notice")
    assert "投诉答复期限" not in await browser.text("body")
    await browser.click("#requests button")
    assert "确认撤回" in await reads(browser, "确认撤回", "#requests")
    await browser.click("#requests button")
    await reads(browser, "已取消", "#requests")
    await browser.value("[...document.querySelectorAll('#menu li')].find((one) =>"
                        " one.innerText.includes('讨薪')).querySelector('button').click()")  # fmt: skip
    await reads(browser, "已收到申请，查询码", "#notice")
    own = await browser.text("#notice strong")
    await browser.click("#language")
    assert "Help with unpaid wages" in await browser.text("#menu")
    await kept(browser, "own-en")
    await browser.value(f"document.querySelector('#code').value = {own!r}")

    async def arrived() -> bool:
        await browser.click("#ask [type=submit]")
        return "sent, not accepted yet" in await browser.text("#requests")

    await _PAGES["eventually"](arrived, within=40)
    await browser.wide(1000)
    await kept(browser, "own-en-wide")
    assert await browser.value("document.cookie") == ""


async def test_who_follows_is_told_when_and_where_somebody_meets_them(house, browser) -> None:
    body = house.record()
    taken = await house.hand_in(body)
    found = await house.requests(body["record_id"], 2)
    [request] = [one for one in found if one["need_type"] == "minimum-living-allowance"]
    query = "SELECT ref, version, subject_id FROM task JOIN request USING (request_id) WHERE request_id = $1"
    [task] = await house.rows("referral", query, request["request_id"])
    [code] = [one["follow_code"] for one in taken["receipts"] if one["subject_id"] == str(task["subject_id"])]
    starts = (datetime.now(UTC) + timedelta(days=2)).replace(hour=2, minute=0)
    window = {"starts_at": starts.isoformat(), "ends_at": (starts + timedelta(hours=1)).isoformat(), "place": "office"}
    made = {"business_status": "appointment-scheduled", "appointment": window}
    async with house.door("officer", "civil-affairs") as officer:
        for version, to, said in ((1, "accepted", {}), (2, "in-progress", {}), (3, "in-progress", made)):
            await officer.move("civil-affairs", str(task["ref"]), f'"{version}"', to, **said)
    await browser.wide(390)
    await browser.open(f"{house.stack.front_door}/own")
    await reads(browser, "讨薪帮助", "#menu")
    await browser.value(f"document.querySelector('#code').value = {code!r}")
    await browser.click("#ask [type=submit]")
    assert "10:00–11:00 · 到办事处" in await reads(browser, "预约：", "#requests")
    await kept(browser, "own-appointment")
    assert await browser.value("document.documentElement.scrollWidth") == 390
