"""The departments' page in a browser, over a running stack: a document is attached and saved, a request completed."""

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

from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit.testing import eventually

_PAGES = runpy.run_path(str(Path(__file__).with_name("test_audit_page.py")))
new_page, reads = _PAGES["new_page"], _PAGES["reads"]
pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None and shutil.which("google-chrome") is None, reason="no Chromium on this machine"
)
DEPARTMENT, NEED = "civil-affairs", "minimum-living-allowance"
SHOW = """
    (async () => {
        if (page === null) return false;
        byId("state").value = STATE;
        await load();
        while (!rows.some((row) => row.ref === REF) && page.next) await load(page.next);
        const row = rows.find((row) => row.ref === REF);
        if (row && !shown.has(REF)) await open(row);
        return Boolean(row);
    })()
"""
LETTER = b"%PDF-1.7\n" + b"x" * 1_500_000  # more than any other body may have
CHOOSE = """
    (async () => {
        const file = new File([`%PDF-1.7\\n${"x".repeat(1500000)}`], "of a person.pdf", { type: "application/pdf" });
        const chosen = new DataTransfer();
        chosen.items.add(file);
        document.querySelector(".papers [type=file]").files = chosen.files;
        document.querySelector(".papers form button").click();
    })()
"""


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


async def show(page: Any, ref: str, state: str) -> None:
    """Open a request in a state, on whatever page of the inbox it is."""
    asked = SHOW.replace("STATE", repr(state)).replace("REF", repr(ref))

    async def shown() -> bool:
        return bool(await page.value(asked))

    await eventually(shown, within=40)


async def publish(house: Any) -> None:
    """The head of the office publishes a template."""
    head = house.stack.issuer.token("officer", agency=DEPARTMENT, heads=True)
    body = {"need_type": NEED, "outcome": "service-provided", "zh": "已办理“{need}”。", "en": "{need}: done."}
    path = f"/api/departments/{DEPARTMENT}/templates/provided/1"
    assert (await house.ask("PUT", path, body, token=head)).status == 200


async def take(page: Any, ref: str, state: str, name: str, **values: Any) -> None:
    """Open a request, press what is to be done, fill the dialog, and say yes; the dialog is gone when it was done."""
    found = f"[...document.querySelectorAll('.details .acts button')].find((one) => one.innerText === {name!r})"

    async def pressed() -> bool:  # what was done just now may be read anew still, and closes what is shown
        await show(page, ref, state)
        return bool(await page.value(f"(() => {{ const one = {found}; one?.click(); return Boolean(one); }})()"))

    await eventually(pressed, within=20)
    for field, value in values.items():
        if isinstance(value, list):
            ticks = f"[...document.querySelectorAll('dialog fieldset[name={field}] .tick')]"
            for one in value:
                await page.value(f"{ticks}.find((one) => one.innerText === {one!r}).querySelector('input').click()")
        else:
            await page.value(f"document.querySelector('dialog form').elements[{field!r}].value = {value!r}")
    await kept(page, f"office-{name}")
    await page.click("dialog .main")

    async def gone() -> bool:
        return bool(await page.value("document.querySelector('dialog') === null"))

    await eventually(gone, within=20)


async def test_an_officer_takes_every_step_on_the_page(house, browser, tmp_path) -> None:
    body = house.record()
    await house.hand_in(body)
    found = await house.requests(body["record_id"], 2)
    request_id = next(one["request_id"] for one in found if one["need_type"] == NEED)
    [task] = await house.rows("referral", "SELECT ref FROM task WHERE request_id = $1", request_id)
    ref, day = str(task["ref"]), (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    folder = tmp_path / "saved"
    await browser.wide(1000)
    await browser.open(f"{house.stack.front_door}/sign-in?page=/office")
    await reads(browser, "以谁的身份登录")
    await browser.click(f"[value=officer-{DEPARTMENT}]")
    await reads(browser, "退出", "#who")
    await browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    await take(browser, ref, "requested", "受理")
    await take(browser, ref, "accepted", "开始办理")
    window = {"day": day, "from": "10:00", "until": "11:00", "place": "office"}
    await take(browser, ref, "in-progress", "预约", **window)
    await take(browser, ref, "in-progress", "进展", progress="papers-checked", note="已核原件")
    await take(browser, ref, "in-progress", "暂停", reason="waiting-for-resident")
    await take(browser, ref, "on-hold", "一次性告知", papers=["租赁合同", "收款账户"])
    await take(browser, ref, "on-hold", "容缺受理", papers=["收款账户"], until=day)
    await take(browser, ref, "in-progress", "通知书", kind="acceptance")

    async def saved() -> bool:
        return [one.read_bytes()[:4] for one in folder.glob("acceptance*.pdf")] == [b"%PDF"]

    await eventually(saved, within=20)
    await take(browser, ref, "in-progress", "未能办成", reason="not-solvable", note="已无此房源")
    async with house.door("officer", DEPARTMENT) as officer:
        shown, _ = await officer.look_up(DEPARTMENT, ref)
    steps = [(one["to_state"], one.get("reason")) for one in shown["history"]]
    assert steps[1:] == [
        ("accepted", None), ("in-progress", None), ("in-progress", None), ("in-progress", None),
        ("on-hold", "waiting-for-resident"), ("in-progress", None), ("failed", "not-solvable"),
    ]  # fmt: skip
    assert shown["history"][-2]["promised"] == {"papers": ["account-for-payment"], "until": day}


async def test_an_officer_attaches_a_document_saves_it_and_completes_with_the_departments_words(
    house, browser, tmp_path
) -> None:
    await publish(house)
    body = house.record()
    await house.hand_in(body)
    await house.requests(body["record_id"], 2)
    offer = [one for one in await house.offers(DEPARTMENT, state="requested") if one["offer"]["need_type"] == NEED][-1]
    async with house.door("officer", DEPARTMENT) as officer:
        _, etag = await officer.look_up(DEPARTMENT, offer["ref"])
        await officer.move(DEPARTMENT, offer["ref"], etag, "accepted")
    await browser.wide(1000)
    await browser.open(f"{house.stack.front_door}/sign-in?page=/office")
    await reads(browser, "以谁的身份登录")
    await browser.click(f"[value=officer-{DEPARTMENT}]")
    await reads(browser, "退出", "#who")
    await show(browser, offer["ref"], "accepted")
    await reads(browser, "办结用语", ".details")
    await browser.click(".papers button")
    await reads(browser, "没有文书", ".papers")
    await browser.value(CHOOSE)
    assert "批准文书" in await reads(browser, "1465 KiB", ".papers")
    assert "of a person" not in await browser.text()
    await kept(browser, "office-zh")
    folder = tmp_path / "saved"
    await browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    await browser.click(".papers li button")

    async def saved() -> bool:
        return [one.stat().st_size for one in folder.glob("*.pdf")] == [len(LETTER)]

    await eventually(saved, within=20)
    await browser.value("document.querySelector('.complete select').value = 'provided@1';"
                        " document.querySelector('.complete select').dispatchEvent(new Event('change'))")  # fmt: skip
    assert await browser.value("document.querySelectorAll('.complete select')[1].value") == "service-provided"
    await browser.click("#language")
    await reads(browser, "Letter of approval", ".papers")
    await kept(browser, "office-en")
    await browser.wide(390)
    await kept(browser, "office-narrow")
    assert await browser.value("document.documentElement.scrollWidth") == 390
    await browser.click("#language")
    await browser.value("document.querySelector('.complete select').value = 'provided@1';"
                        " document.querySelector('.complete select').dispatchEvent(new Event('change'))")  # fmt: skip
    await browser.click(".complete button")
    await show(browser, offer["ref"], "completed")
    await reads(browser, "已办结", "#requests")
    async with house.door("officer", DEPARTMENT) as officer:
        shown, _ = await officer.look_up(DEPARTMENT, offer["ref"])
    assert shown["history"][-1]["template"] == "provided@1"
    assert shown["history"][-1]["wording"]["zh"] == f"已办理“{NEED_TYPES[NEED].zh}”。"
