"""The auditors' page in a browser, over a running stack: what is read there by whom, in both languages."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.quorum import attach
from doorstep.kit.testing import eventually

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

ENTRIES = """
    window.fetch = async (address, options) => {
        window.asked = [address, options.headers["Doorstep-Purpose"]];
        const line = { at: "2026-11-18T04:00:00Z", service: "intake", agency: "station", role: "reviewer",
            station: "station-1", actor: "r-1", action: "read-record", outcome: "refused:record-unknown",
            purpose: "triage" };
        return new Response(JSON.stringify(STATUS === 200 ? {
            entries: [7, null].map((index) => ({ ...line, entry_id: crypto.randomUUID(), index })),
            cursor: address.includes("cursor=") ? null : "more/of it", gone_through: 4711,
        } : { detail: "没有", errors: [{ pointer: "/query/case", detail: "不是有效的编号" }] }), {
            status: STATUS, headers: { "Content-Type": "application/json" } });
    };
"""


_LISTENS = re.compile(rb"DevTools listening on ws://127\.0\.0\.1:(\d+)/")
_STARTS_WITHIN = 60.0


@dataclass
class Page:
    """One page, as a reader sees it."""

    socket: aiohttp.ClientWebSocketResponse
    asked: int = 0

    async def command(self, method: str, **parameters: Any) -> Any:
        """What the browser answers to a command of the protocol."""
        self.asked += 1
        await self.socket.send_json({"id": self.asked, "method": method, "params": parameters})
        while True:
            said = await self.socket.receive_json()
            if said.get("id") == self.asked:
                return said["result"]

    async def open(self, address: str) -> None:
        """Go to an address."""
        await self.command("Page.navigate", url=address)

    async def wide(self, width: int) -> None:
        """Be as wide as that."""
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )

    async def value(self, expression: str) -> Any:
        """What a script in the page gives."""
        answer = await self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def text(self, selector: str = "body") -> str:
        """What is to be read in an element; nothing if it is not there."""
        return str(await self.value(f"document.querySelector({selector!r})?.innerText ?? ''"))

    async def click(self, selector: str) -> None:
        """Press what a selector finds first."""
        await self.value(f"document.querySelector({selector!r}).click()")


@asynccontextmanager
async def new_page(folder: Path) -> AsyncIterator[Page]:
    """An empty page of a browser that has never been anywhere."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}",
               "--remote-debugging-port=0", "about:blank"]  # fmt: skip
    browser = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    reading = None
    try:
        async with asyncio.timeout(_STARTS_WITHIN):
            port = await _port(browser.stderr)
        reading = asyncio.create_task(_drained(browser.stderr))
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/json") as answer:
                target = next(one for one in await answer.json() if one["type"] == "page")
            async with client.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        browser.terminate()
        await browser.wait()
        if reading is not None:
            await reading


async def _port(stream: asyncio.StreamReader | None) -> int:
    assert stream is not None
    while line := await stream.readline():
        if found := _LISTENS.search(line):
            return int(found[1])
    raise EOFError("the browser ended")


async def _drained(stream: asyncio.StreamReader | None) -> None:
    assert stream is not None
    while await stream.readline():
        pass


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Page]:
    """An empty page."""
    async with new_page(tmp_path / "chromium") as page:
        yield page


async def reads(page: Page, words: str, selector: str = "body") -> str:
    """What the page says, once these words are among it."""

    async def said() -> bool:
        return words in await page.text(selector)

    await eventually(said, within=40)
    return await page.text(selector)


@pytest.fixture(scope="module")
async def reviewer(house: Any) -> str:
    """A reviewer who was refused again and again."""
    token = house.token("reviewer", who="probes")
    for _ in range(12):
        answer = await house.ask("GET", f"/api/records/{uuid4()}", token=token, doorstep_purpose="triage")
        assert answer.status == 404
    probes = str(house.subjects["probes"])

    async def in_the_log() -> bool:
        told = await house.ask("GET", "/api/log/conduct", token=house.token("auditor"), doorstep_purpose="audit")
        return any(one["actor"] == probes for rule in told.body["rules"] for one in rule["findings"])

    await eventually(in_the_log, within=60)
    return probes


async def sign_in(house: Any, page: Page) -> None:
    """Come to the auditors' page as an auditor."""
    await page.open(f"{house.stack.front_door}/sign-in?page=/audit")
    await reads(page, "以谁的身份登录")
    await page.click("[value=auditor]")


async def test_an_auditor_signs_in_and_reads_the_state_of_the_log_and_what_is_to_be_asked_about(
    house, browser, reviewer
) -> None:
    door = house.stack.front_door
    await browser.open(f"{door}/audit")
    assert "登录后显示" in await reads(browser, "请先以审计员身份登录")
    assert "条" in await reads(browser, "签名于", "#newest")
    await browser.click("#notice a")
    await reads(browser, "以谁的身份登录")
    await browser.click("[value=auditor]")
    found = await reads(browser, "多次被拒", "#conduct")
    assert "审计员 · 服务站 · station-1" in await browser.text("#who")
    assert reviewer in found
    assert "不排名" in await browser.text()
    assert await browser.text("#notice") == ""
    assert "采集" in await reads(browser, "登记至", "#promises")
    await browser.click("#language")
    assert "Refused again and again" in await browser.text("#conduct")
    assert "To be asked about" in await browser.text()
    assert "auditor · station" in await browser.text("#who")
    assert await browser.value("document.documentElement.lang") == "en"
    assert await browser.value("document.cookie") == ""
    await browser.click("#who button")
    await reads(browser, "已经退出")
    await browser.open(f"{door}/audit")
    assert "Sign in" in await reads(browser, "Please sign in as an auditor", "#notice")
    assert await browser.text("#who") == ""


async def test_a_witnessed_checkpoint_says_when_it_was_cosigned_and_by_whom(house, browser) -> None:
    log, names = SigningKey.generate("doorstep.example/log"), ("witness.example/justice", "witness.example/fire")
    signed = Checkpoint(log.name, 4711, bytes(32))
    made = [WitnessSigningKey.generate(name).cosign(signed.body(), 1795000000 + at) for at, name in enumerate(names)]
    note = attach(signed.sign(log), [one.line() for one in made]).decode()
    await browser.open(f"{house.stack.front_door}/audit")
    await reads(browser, "签名于", "#newest")
    await browser.value(f"seen.witnessed = {{ status: 200, body: {json.dumps(note)} }}; draw()")
    shown = await browser.text("#witnessed")
    assert "4,711" in shown
    assert "见证方 witness.example/justice、witness.example/fire" in shown
    assert await browser.value("parsed(seen.witnessed.body).cosignatures.map((one) => one.at / 1000)") == [
        1795000000, 1795000001,
    ]  # fmt: skip


async def test_a_reviewer_is_told_in_words_that_this_is_not_shown_to_them(house, browser) -> None:
    body = house.record()
    await house.hand_in(body)
    await house.assessed(body["record_id"])
    await browser.open(f"{house.stack.front_door}/journeys/{body['record_id']}")
    await reads(browser, "请先登录")
    await browser.click("#notice a")
    await reads(browser, "以谁的身份登录")
    await browser.click("[value=reviewer]")
    await reads(browser, "已登记")
    assert "审核员 · 服务站 · station-1" in await browser.text("#who")
    await browser.open(f"{house.stack.front_door}/audit")
    await reads(browser, "您现在的身份不是审计员", "#notice")
    assert await browser.text("#conduct") == await browser.text("#promises") == "无权查看。"


async def test_a_search_finds_what_was_refused_and_says_what_is_wrong_with_another(house, browser, reviewer) -> None:
    await sign_in(house, browser)
    await reads(browser, "规则版本", "#conduct")
    await browser.value("document.querySelector('[name=action]').value = 'read-record'")
    await browser.value("document.querySelector('[name=outcome]').value = 'refused'")
    await browser.click("form .main")
    shown = await reads(browser, "条符合", "#entries")
    for words in ("查看记录", "审核员 · 服务站", "被拒 · record-unknown", reviewer):
        assert words in shown
    await browser.value("document.querySelector('[name=case]').value = 'gas'")
    await browser.click("form .main")
    assert "case" in await reads(browser, "条件有误", "#entries")


async def test_a_search_is_asked_for_and_shown_on_a_narrow_screen(house, browser) -> None:
    await browser.wide(390)
    await sign_in(house, browser)
    await reads(browser, "规则版本", "#conduct")
    await browser.value(ENTRIES.replace("STATUS", "200"))
    await browser.value("document.querySelector('[name=since]').value = '2026-11-18T08:00'")
    await browser.value("document.querySelector('[name=action]').value = 'read-record'")
    await browser.click("form .main")
    shown = await reads(browser, "2 条符合 · 已查阅 4,711", "#entries")
    for words in ("2026/11/18 12:00:00", "查看记录", "审核员 · 服务站 · station-1", "被拒 · record-unknown", "待排序"):
        assert words in shown
    assert await browser.value("window.asked") == [
        "/api/log/entries?limit=50&since=2026-11-18T08%3A00%2B08%3A00&action=read-record", "audit",
    ]  # fmt: skip
    await browser.click("#entries button")
    await reads(browser, "4 条符合", "#entries")
    assert "cursor=more%2Fof+it" in (await browser.value("window.asked"))[0]
    assert await browser.value("document.documentElement.scrollWidth") == 390
    for status, words in ((422, "条件有误：case 不是有效的编号"), (503, "没有")):
        await browser.value(ENTRIES.replace("STATUS", str(status)))
        await browser.click("form .main")
        await reads(browser, words, "#entries")
    await browser.value("window.fetch = async () => { throw new TypeError(); }")
    await browser.click("form .main")
    await reads(browser, "连接中断", "#entries")
