"""Notices through the front door: issued once, read by whose they are, checked by everybody, gone with the subject."""

import hashlib
import io
from datetime import timedelta
from typing import Any

import pytest
from pypdf import PdfReader
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Outcome, Reason, SafeChannel, TaskState
from doorstep.contracts.intake import SafeContact
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.domain.deadlines import SHANGHAI
from doorstep.referral.domain.notice_pdf import draw_notice
from doorstep.referral.operations import numbered_notices
from doorstep.referral.operations.erasing import erase_subject

SERVICE = {"doorstep_purpose": "service"}
CHECK = "/api/notices/check"


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture
async def desk(front, desk_over):
    return desk_over(front.database, front.vault)


@pytest.fixture
def addresses(monkeypatch) -> list[str]:
    """What the QR codes of the notices hold that are issued meanwhile."""
    found: list[str] = []

    def drawn(notice: Any, address: str, **how: Any) -> bytes:
        found.append(address)
        return draw_notice(notice, address, **how)

    monkeypatch.setattr(numbered_notices, "draw_notice", drawn)
    return found


def door(task: Any, tail: str = "") -> str:
    return f"/api/departments/{task.department}/requests/{task.ref}/notices{tail}"


async def issue(front, who: str, task: Any, kind: str) -> Any:
    return await front.call("POST", door(task), who, {"id": str(uuid7()), "kind": kind})


async def genuine(front, number: str, digest: str) -> bool:
    answer = await front.call("POST", CHECK, None, {"number": number, "hash": digest})
    assert (answer.status, list(answer.body)) == (200, ["genuine"])
    return bool(answer.body["genuine"])


async def test_a_notice_is_issued_once_read_again_and_checked_by_everybody(front, desk, addresses) -> None:
    task = await desk.opened("wage-help")
    refused = await issue(front, "labour", task, "acceptance")
    assert (refused.status, refused.body["type"]) == (409, "urn:doorstep:problem:nothing-to-notify")
    case = {"doorstep_case": str(task.ref)}
    assert (await front.call("GET", door(task, "/acceptance"), "labour", **SERVICE, **case)).status == 404
    await desk.step(task, TaskState.ACCEPTED)
    issued = [await issue(front, "labour", task, "acceptance") for _ in range(2)]
    assert [one.status for one in issued] == [200, 200]
    assert issued[0].body == issued[1].body
    [address] = addresses
    number, _, code = address.removeprefix("/notices#").partition(".")
    read = await front.call("GET", door(task, "/acceptance"), "labour", **SERVICE, doorstep_case=str(task.ref))
    assert (read.status, read.headers["content-type"]) == (200, "application/pdf")
    text = "".join(PdfReader(io.BytesIO(read.raw)).pages[0].extract_text().split())
    assert number in text
    assert "13800138000" not in text
    assert "和平里" not in text
    file = hashlib.sha256(read.raw).hexdigest()
    assert [await genuine(front, number, one) for one in (code, file, file.upper())] == [True] * 3
    assert await genuine(front, number.replace("-", " ").lower(), code)
    assert not await genuine(front, number, hashlib.sha256(b"").hexdigest())
    assert not await genuine(front, front.vault.new_code(), code)
    for wrong in ({"number": number}, {"number": number, "hash": "7"}, {"number": "7", "hash": code}):
        assert (await front.call("POST", CHECK, None, wrong)).status == 422
    logged = [(one["action"], one["outcome"]) for one in await front.logged(task.subject_id)]
    assert logged.count(("issue-notice", "acceptance")) == 1
    assert ("read-request", "done") in logged


async def test_what_is_kept_of_a_notice_is_sealed_and_goes_with_its_subject(front, desk, addresses) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    assert (await issue(front, "labour", task, "refusal")).status == 200
    [row] = await desk.rows("SELECT * FROM numbered_notice WHERE task_id = :id", id=task.task_id)
    number, _, code = addresses[0].removeprefix("/notices#").partition(".")
    assert b"%PDF" not in bytes(row.file)
    assert number.encode() not in b"".join(bytes(one) for one in row if isinstance(one, bytes | memoryview))
    await front.vault.destroy(task.subject_id)
    async with front.database.transaction() as session:
        await erase_subject(session, vault=front.vault, subject_id=task.subject_id, now=desk.now)
    assert await desk.rows("SELECT 1 FROM numbered_notice WHERE task_id = :id", id=task.task_id) == []
    assert not await genuine(front, number, code)


async def test_another_department_a_station_or_nobody_issues_and_reads_none(front, desk) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.ACCEPTED)
    for who, status in (("health", 403), ("reviewer", 403), ("police", 403), (None, 401)):
        assert (await issue(front, who, task, "acceptance")).status == status
        read = await front.call("GET", door(task, "/acceptance"), who, **SERVICE, doorstep_case=str(task.ref))
        assert read.status == status
    assert (await issue(front, "labour", task, "hand-on")).status == 422
    assert (await front.call("GET", door(task, "/hand-on"), "labour", **SERVICE)).status == 404


async def test_of_what_is_confidential_no_letter_goes_home_unless_there_is_a_safe_way(front, desk) -> None:
    safe = SafeContact(channel=SafeChannel.AT_STATION, hours_from="09:00", hours_to="17:00", cover="社区")
    for contact, status in ((None, 409), (safe, 200)):
        task = await desk.opened("legal-aid", safe_contact=contact)
        await desk.step(task, TaskState.ACCEPTED)
        await desk.step(task, TaskState.COMPLETED, outcome=Outcome.ADVICE_GIVEN)
        answer = await issue(front, "justice", task, "completion")
        assert answer.status == status, answer.body


async def test_the_station_tells_to_whom_a_request_was_handed_on(front, desk, addresses) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    path, body = f"/api/requests/{task.request_id}/notices", {"id": str(uuid7())}
    assert (await front.call("POST", path, "reviewer", body)).status == 409  # it is with nobody yet
    await desk.hand_on(task, "civil-affairs")
    answer = await front.call("POST", path, "reviewer", {"id": str(uuid7())})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/pdf")
    assert "民政" in PdfReader(io.BytesIO(answer.raw)).pages[0].extract_text()
    for who, status in (("reviewer-elsewhere", 404), ("labour", 403), ("supervisor", 403)):
        assert (await front.call("POST", path, who, {"id": str(uuid7())})).status == status


async def test_what_rules_routed_was_not_handed_on_and_what_waited_for_the_station_was(front, desk) -> None:
    safe = SafeContact(channel=SafeChannel.AT_STATION, hours_from="09:00", hours_to="17:00", cover="社区")
    routed, waiting = await desk.opened("wage-help"), await desk.opened("a-need-of-tomorrow", safe_contact=safe)
    for state in (None, TaskState.ACCEPTED):
        if state is not None:
            await desk.step(routed, state)
        refused = await hand_on_notice(front, routed)
        assert (refused.status, refused.body["type"]) == (409, "urn:doorstep:problem:nothing-to-notify")
    assert (await hand_on_notice(front, waiting)).status == 404  # nobody has it
    await desk.hand_on(waiting, "labour")
    assert (await hand_on_notice(front, waiting)).status == 200


async def test_the_notice_of_a_hand_on_has_the_day_of_the_hand_on_and_not_of_what_came_later(front, desk) -> None:
    task = await desk.opened("wage-help")
    await desk.step(task, TaskState.REJECTED, reason=Reason.NOT_OURS)
    handed_on = desk.now
    await desk.hand_on(task, "civil-affairs")
    desk.now += timedelta(days=2)
    await desk.step(await desk.task(task.need_id), TaskState.ACCEPTED)
    answer = await hand_on_notice(front, task)
    words = PdfReader(io.BytesIO(answer.raw)).pages[0].extract_text()
    assert f"已于{handed_on.astimezone(SHANGHAI).date()}转" in words


async def hand_on_notice(front, task):
    """The answer to a reviewer who issues the notice that a request was handed on."""
    return await front.call("POST", f"/api/requests/{task.request_id}/notices", "reviewer", {"id": str(uuid7())})


async def test_numbers_tell_neither_how_many_there_are_nor_in_which_order(front, desk, addresses) -> None:
    for _ in range(6):
        task = await desk.opened("wage-help")
        await desk.step(task, TaskState.ACCEPTED)
        await issue(front, "labour", task, "acceptance")
    numbers = [one.removeprefix("/notices#").partition(".")[0] for one in addresses]
    assert len({one[at : at + 4] for one in numbers for at in (0, 5, 10, 15)}) == 24
