"""The station's desk in a browser, over a running stack: what waits for whom, and what is done about it when asked."""

import asyncio
import base64
import json
import os
import runpy
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from doorstep.contracts.codes import SaidBy
from doorstep.kit.testing import eventually
from doorstep.local.front_door import fresh_id
from doorstep.local.records import Statement, dwelling, record

_PAGES = runpy.run_path(str(Path(__file__).with_name("test_audit_page.py")))
new_page, reads = _PAGES["new_page"], _PAGES["reads"]
show = runpy.run_path(str(Path(__file__).with_name("test_office_page.py")))["show"]
pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None and shutil.which("google-chrome") is None, reason="no Chromium on this machine"
)

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
ROW = "[...document.querySelectorAll('{} > {}')].find((one) => one.innerText.includes({!r}))"


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Any]:
    """An empty page."""
    async with new_page(tmp_path / "chromium") as page:
        yield page


async def kept(page: Any, name: str) -> None:
    """Keep how the page looks, where a folder for that is named."""
    if folder := os.environ.get("SCREENSHOTS"):
        height = await page.value("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": await page.value("innerWidth"), "height": min(height, 2400), "scale": 1}
        shot = await page.command("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        await asyncio.to_thread(Path(folder, f"{name}.png").write_bytes, base64.b64decode(shot["data"]))


async def sign_in(house: Any, page: Any, person: str, path: str = "/desk") -> None:
    await page.open(f"{house.stack.front_door}/sign-in?page={path}")
    await reads(page, "以谁的身份登录")
    await page.click(f"[value={person}]")
    await reads(page, "退出", "#who")


async def press(page: Any, words: str, within: str = "document") -> None:
    """Press the button that says these words, once it is there."""
    found = f"[...({within})?.querySelectorAll('button') ?? []].find((one) => one.innerText === {words!r})"

    async def pressed() -> bool:
        return bool(await page.value(f"(() => {{ const one = {found}; one?.click(); return Boolean(one); }})()"))

    await eventually(pressed, within=20)


async def fill(page: Any, **values: str) -> None:
    """Choose and type in the dialog that is open; what depends on a choice follows it."""
    for name, value in values.items():
        await page.value(
            f"(() => {{ const one = document.querySelector('dialog form').elements[{name!r}];"
            f" one.value = {value!r}; one.dispatchEvent(new Event('change')); }})()"
        )


async def agree(page: Any, told: str) -> None:
    """Say yes to what the dialog asks, and read that it was done."""
    await press(page, "确认", "document.querySelector('dialog')")
    await reads(page, told, "#notice")


def row_of(request_id: str) -> str:
    return ROW.format("#requests", "tr", request_id[:8])


def item_of(place: str, request_id: str) -> str:
    return ROW.format(place, "li", request_id[:8])


async def row_says(page: Any, request_id: str, words: str) -> None:
    """What the row of a request says, on whatever page of the list it is."""

    async def said() -> bool:
        found = await page.value(f"{row_of(request_id)}?.innerText")
        if found is None and await page.value("next"):
            await page.click("#more")
        return words in str(found)

    await eventually(said, within=20)


async def asked_for(house: Any, need_type: str) -> dict[str, Any]:
    """A request of a new record, as the station sees it."""
    body = house.record()
    await house.hand_in(body)
    found = await house.requests(body["record_id"], 2)
    return next(one for one in found if one["need_type"] == need_type)


async def offered(house: Any, department: str, subject: str) -> tuple[str, str]:
    """The newest request of a department with a need type: its ref and version."""
    found = [one for one in await house.offers(department) if one["offer"]["need_type"] == subject]
    return found[-1]["ref"], f'"{found[-1]["version"]}"'


async def test_a_reviewer_reminds_hands_on_what_came_back_and_is_told_when_somebody_was_faster(house, browser) -> None:
    request = await asked_for(house, "minimum-living-allowance")
    request_id = request["request_id"]
    await sign_in(house, browser, "reviewer")
    await row_says(browser, request_id, "部门首次答复")
    await row_says(browser, request_id, "民政")
    await press(browser, "催办", row_of(request_id))
    await reads(browser, "每天只能催办一次", "dialog")
    await press(browser, "不做", "document.querySelector('dialog')")
    query = "SELECT count(*) FROM reminder JOIN task USING (task_id) WHERE request_id = $1"
    assert (await house.rows("referral", query, request_id))[0][0] == 0
    await press(browser, "催办", row_of(request_id))
    await agree(browser, "已催办 民政：首次答复")
    await row_says(browser, request_id, "已催办")
    await press(browser, "催办", row_of(request_id))
    await press(browser, "确认", "document.querySelector('dialog')")
    await reads(browser, "今天已催办过", "dialog .told")
    await press(browser, "不做", "document.querySelector('dialog')")
    ref, version = await offered(house, "civil-affairs", "minimum-living-allowance")
    async with house.door("officer", "civil-affairs") as officer:
        await officer.move("civil-affairs", ref, version, "rejected", reason="not-ours")
    await press(browser, "代居民撤回", row_of(request_id))
    await press(browser, "确认", "document.querySelector('dialog')")
    await reads(browser, "刚才有人作了变动", "dialog .told")
    await press(browser, "重新读取", "document.querySelector('dialog')")
    await row_says(browser, request_id, "被退回，由服务站转办")
    await press(browser, "转办", row_of(request_id))
    assert "民政" not in await browser.text("dialog select")
    await fill(browser, department="housing", note="请住建核实")
    await agree(browser, "已转给 住建。")
    await row_says(browser, request_id, "住建")
    assert "收回改派" not in str(await browser.value(f"{row_of(request_id)}.innerText"))
    silent = """
        UPDATE task SET opened_at = now() - interval '27 hours', respond_by = now() - interval '3 hours'
        WHERE request_id = $1 RETURNING task_id
    """
    await house.rows("referral", silent, request_id)
    await press(browser, "重新读取")
    await row_says(browser, request_id, "已逾期 3 小时")
    await browser.click("#counts .late")
    await row_says(browser, request_id, "收回改派")
    await kept(browser, "desk-late")
    await press(browser, "收回改派", row_of(request_id))
    assert "住建 未按期答复" in await browser.text("dialog")
    await fill(browser, department="labour")
    await agree(browser, "已转给 人社。")
    await browser.click("#counts .all")
    await row_says(browser, request_id, "人社")
    await press(browser, "代居民撤回", row_of(request_id))
    await agree(browser, "已代居民撤回。")
    assert await browser.value(row_of(request_id)) is None
    found = {one["request_id"]: one for one in await house.requests(request["record_id"])}
    assert found[request_id]["tasks"][-1]["state"] == "cancelled"


async def test_a_request_that_goes_on_against_a_promise_says_until_when_papers_are_promised(house, browser) -> None:
    request = await asked_for(house, "minimum-living-allowance")
    request_id = request["request_id"]
    ref, version = await offered(house, "civil-affairs", "minimum-living-allowance")
    path = f"/api/departments/civil-affairs/requests/{ref}"
    until = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    listed = {"id": str(fresh_id()), "papers": ["lease-contract"]}
    async with house.door("officer", "civil-affairs") as officer:
        version = await officer.move("civil-affairs", ref, version, "accepted")
        version = await officer.move("civil-affairs", ref, version, "on-hold", reason="waiting-for-resident")
        await officer.call("POST", f"{path}/missing-papers", listed, headers={"If-Match": version})
        await sign_in(house, browser, "reviewer")
        await row_says(browser, request_id, "所缺材料: 租赁合同")
        promised = {"id": str(fresh_id()), "papers": ["lease-contract"], "until": until}
        await officer.call("POST", f"{path}/promise", promised, headers={"If-Match": version})
    await press(browser, "重新读取")
    await row_says(browser, request_id, f"容缺受理，承诺最迟 {until} 补齐")
    await row_says(browser, request_id, "部门办结")
    await kept(browser, "desk-promised")


async def test_parts_are_added_and_a_conference_is_held_with_the_department_on_its_own_page(house, browser) -> None:
    request_id = (await asked_for(house, "minimum-living-allowance"))["request_id"]
    await sign_in(house, browser, "reviewer")
    await press(browser, "查看", row_of(request_id))
    details = "document.querySelector('#requests .details')"
    await reads(browser, "最低生活保障", "#requests .details")
    await press(browser, "增加联办部门", details)
    await fill(browser, department="labour", need_type="wage-help")
    await press(browser, "确认", "document.querySelector('dialog')")
    await reads(browser, "须经居民同意", "dialog .told")
    await browser.value("document.querySelector('dialog [name=consented]').click()")
    await agree(browser, "已增加第 2 部分：人社。")
    assert "讨薪帮助" in await reads(browser, "还没有会商", "#requests .details")
    await press(browser, "召集会商", details)
    await browser.value("[...document.querySelectorAll('dialog fieldset input')].at(-1).click()")
    await fill(browser, day=TOMORROW, **{"from": "10:00", "until": "11:30"})
    await kept(browser, "desk-dialog")
    await agree(browser, f"已召集会商：{TOMORROW} 10:00 – 11:30。")
    await press(browser, "写入纪要", details)
    await fill(browser, text="请人社先核实工资情况")
    await agree(browser, "已写入纪要。")
    assert "服务站" in await reads(browser, "请人社先核实工资情况", "#requests .conferences")
    await kept(browser, "desk-details")
    await press(browser, "退出")
    await reads(browser, "已经退出")
    await sign_in(house, browser, "officer-labour", "/office")
    [part] = await house.rows("referral", "SELECT ref FROM task WHERE request_id = $1 AND part = 2", request_id)
    await show(browser, str(part["ref"]), "")
    await reads(browser, "讨薪帮助", "#requests")
    await press(browser, "查看会商", "document.querySelector('#requests .details')")
    assert "民政 (牵头)" in await reads(browser, "请人社先核实工资情况", "#requests .conferences")
    await press(browser, "写入纪要", "document.querySelector('#requests .conferences')")
    assert await browser.value("document.querySelector('dialog [name=closes]')") is None
    await fill(browser, text="单位已承诺月底前付清")
    await agree(browser, "已写入纪要。")
    assert "人社" in await reads(browser, "单位已承诺月底前付清", "#requests .conferences")
    await kept(browser, "office-conference")


async def test_a_call_is_acknowledged_and_a_look_answered_by_whoever_had_no_part(house, browser) -> None:
    smell = dwelling("清溪市幸福街道值班5号", [Statement("dwelling.gas-smell", True, SaidBy.COLLECTOR_SAW)])
    urgent = record(Random(97), (smell,), now=datetime.now(UTC))
    await house.hand_in(urgent)
    await house.confirmed(urgent["record_id"])
    [call] = await house.requests(urgent["record_id"])
    body = house.record()
    receipts = (await house.hand_in(body))["receipts"]
    code = next(one["follow_code"] for one in receipts if one["subject_id"] == body["subjects"][0]["subject_id"])
    await house.requests(body["record_id"], 2)
    [one, *_] = (await house.ask("GET", f"/api/follow/{code}")).body["requests"]
    asked = {"id": str(fresh_id()), "ref": one["ref"]}
    assert (await house.ask("POST", f"/api/follow/{code}/looks", asked)).status == 201
    await browser.wide(390)
    await sign_in(house, browser, "reviewer")

    async def called() -> bool:
        await browser.click("#again")
        return call["request_id"][:8] in await browser.text("#calls")

    await eventually(called, within=40)
    await kept(browser, "desk-narrow")
    assert await browser.value("document.documentElement.scrollWidth") == 390
    await press(browser, "我已知悉", item_of("#calls", call["request_id"]))
    await kept(browser, "desk-narrow-dialog")
    await agree(browser, "不再呼叫")
    assert call["request_id"][:8] not in await browser.text("#calls")
    await browser.wide(1280)
    query = "SELECT request_id FROM request WHERE follow_ref = $1"
    [looked] = await house.rows("referral", query, one["ref"])
    await press(browser, "答复", item_of("#looks", str(looked["request_id"])))
    await fill(browser, finding="opened-anew")
    await press(browser, "确认", "document.querySelector('dialog')")
    assert "不能重新开立" in await reads(browser, "不能重新开立", "dialog .told")
    await fill(browser, finding="stands")
    await agree(browser, "已答复：维持原处理。")
    [look] = (await house.ask("GET", f"/api/follow/{code}/looks")).body["looks"]
    assert look["finding"] == "stands"
    await browser.click("#language")
    await kept(browser, "desk-en")
    assert "Open requests that the station answers for" in await browser.text()


async def test_a_supervisor_sees_what_climbed_and_nobody_else_anything(house, browser) -> None:
    await sign_in(house, browser, "supervisor")
    await reads(browser, "读取于", "#read")
    shown = await browser.text("main")
    assert "报到监督员的超期请求" in shown
    assert "本站负责的在办请求" not in shown
    await browser.value(f"byId('called').value = {str(fresh_id())!r}")
    await press(browser, "我已知悉", "document.querySelector('#known')")
    await press(browser, "确认", "document.querySelector('dialog')")
    assert "没有" in await reads(browser, "没有", "dialog .told")
    await browser.click("dialog button")
    await press(browser, "退出")
    await reads(browser, "已经退出")
    await sign_in(house, browser, "auditor")
    await reads(browser, "此页面供服务站审核员和监督员使用", "#notice")
    assert await browser.value("document.querySelector('main').hidden")


async def rejected_twice(house: Any) -> str:
    """A request that civil affairs rejected, and then labour; its id."""
    request_id = str((await asked_for(house, "minimum-living-allowance"))["request_id"])
    for department, reason in (("civil-affairs", "not-ours"), ("labour", "not-eligible")):
        ref, version = await offered(house, department, "minimum-living-allowance")
        async with house.door("officer", department) as officer:
            version = await officer.move(department, ref, version, "rejected", reason=reason)
        if department == "civil-affairs":
            await hand_on(house, "reviewer", request_id, "labour", version)
    return request_id


async def hand_on(house: Any, role: str, request_id: str, department: str, version: str) -> None:
    body = {"id": str(fresh_id()), "to": "requested", "department": department}
    async with house.door(role) as somebody:
        await somebody.call("POST", f"/api/requests/{request_id}/transitions", body, headers={"If-Match": version})


async def test_a_supervisor_assigns_what_two_departments_rejected_and_is_told_when_another_was_faster(
    house, browser
) -> None:
    request_id, other = await rejected_twice(house), await rejected_twice(house)
    await sign_in(house, browser, "reviewer")
    await row_says(browser, request_id, "等待裁决人（监督员）指定")
    assert "转办" not in str(await browser.value(f"{row_of(request_id)}.querySelector('.acts').innerText"))
    await press(browser, "退出")
    await reads(browser, "已经退出")
    await sign_in(house, browser, "supervisor")
    await reads(browser, "最低生活保障", "#disputed")
    told = str(await browser.value(f"{item_of('#disputed', request_id)}.innerText"))
    assert "民政 不予受理：不属于本部门职责" in told
    assert "人社 不予受理：不符合办理条件" in told
    await kept(browser, "desk-arbiter")
    await browser.wide(390)
    await kept(browser, "desk-arbiter-narrow")
    assert await browser.value("document.documentElement.scrollWidth") == 390
    await browser.wide(1280)
    await press(browser, "指定部门", item_of("#disputed", request_id))
    choices = await browser.text("dialog select")
    assert "住建" in choices
    assert "民政" not in choices
    assert "人社" not in choices
    await fill(browser, department="housing", note="请住建办理")
    await kept(browser, "desk-arbiter-dialog")
    await agree(browser, "已指定 住建 办理。")
    assert await browser.value(item_of("#disputed", request_id)) is None
    _, version = await offered(house, "housing", "minimum-living-allowance")
    assert version == '"5"'
    await press(browser, "指定部门", item_of("#disputed", other))
    await hand_on(house, "supervisor", other, "fire", '"4"')
    await press(browser, "确认", "document.querySelector('dialog')")
    await reads(browser, "刚才有人作了变动", "dialog .told")
    await press(browser, "重新读取", "document.querySelector('dialog')")
    await browser.click("#language")
    await reads(browser, "For the arbiter", "#arbiter-part")

    async def gone() -> bool:
        return await browser.value(item_of("#disputed", other)) is None

    await eventually(gone, within=20)


async def test_what_was_sent_and_not_answered_is_sent_again_under_the_same_id(house, browser) -> None:
    request_id = (await asked_for(house, "minimum-living-allowance"))["request_id"]
    await sign_in(house, browser, "reviewer")
    await row_says(browser, request_id, "部门首次答复")
    await browser.value("""
        window.bodies = [];
        window.reached = window.fetch;
        window.fetch = async (address, options) => {
            const answer = await window.reached(address, options);
            if (options?.method !== "POST") return answer;
            window.bodies.push(options.body);
            if (window.bodies.length === 1) throw new TypeError("lost");
            return answer;
        };
    """)
    await press(browser, "催办", row_of(request_id))
    await press(browser, "确认", "document.querySelector('dialog')")
    await reads(browser, "再按一次“确认”不会重复办理", "dialog .told")
    await agree(browser, "已催办 民政")
    first, second = [json.loads(one) for one in await browser.value("window.bodies")]
    assert first == second
    query = "SELECT count(*) FROM reminder JOIN task USING (task_id) WHERE request_id = $1"
    assert (await house.rows("referral", query, request_id))[0][0] == 1
