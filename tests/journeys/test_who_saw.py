"""A resident sees who used their data: by the code on the receipt, and by the number of a paper through a portal."""

from uuid_utils.compat import uuid7

from doorstep.audit.domain.note import VerifierKey
from doorstep.audit.domain.receipt import check_receipt, parse_receipt
from doorstep.kit.testing import eventually


async def test_a_resident_sees_by_code_and_through_a_portal_who_used_their_data(house) -> None:
    record = house.record()
    person = next(one for one in record["subjects"] if one["kind"] == "person")
    taken = await house.hand_in(record)
    [receipt] = [one for one in taken["receipts"] if one["subject_id"] == person["subject_id"]]
    await house.assessed(record["record_id"])

    async def by_code() -> list:
        answer = await house.ask("POST", "/api/usage", {"code": receipt["follow_code"]})
        assert answer.status == 200
        return answer.body["usages"]

    async def told() -> bool:
        reasons = {one["reason"]["en"].partition(";")[0].rstrip(".") for one in await by_code()}
        return {"Took down the record of a visit to you", "Read what triage found for you"} <= reasons

    await eventually(told, within=60)
    shown = await by_code()
    assert {one["agency"]["zh"] for one in shown} == {"社区服务站"}
    entry = shown[-1]["entry_id"]

    async def signed() -> bool:
        return (await house.ask("GET", f"/api/log/proof/receipt?entry_id={entry}")).status == 200

    await eventually(signed, within=30)
    proof = await house.ask("GET", f"/api/log/proof/receipt?entry_id={entry}")
    key = VerifierKey.parse((await house.ask("GET", "/api/log/vkey")).raw.decode().strip())
    assert str(check_receipt(parse_receipt(proof.raw), key.name, [key])[0].id) == entry
    picture = await house.ask("GET", f"/api/log/proof/receipt.svg?entry_id={entry}")
    assert (picture.status, picture.headers["content-type"]) == (200, "image/svg+xml")

    portal, code = house.token("portal", "national-portal"), f"CN{person['document_number']}"
    found = await house.ask(
        "GET", f"/api/dumonitor/v2/findUsage?userCode={code}", token=portal, **{"X-Road-UserId": code}
    )
    assert found.status == 200
    assert found.body["totalUsages"] >= len(shown)
    assert {one["logtime"] for one in found.body["usages"]} >= {one["at"] for one in shown}
    beat = await house.ask("GET", "/api/dumonitor/v2/heartbeat")
    assert (beat.status, beat.body["status"]) == (200, "OK")


async def test_the_page_holds_no_code_and_takes_nothing_from_elsewhere(house) -> None:
    page = await house.ask("GET", "/usage")
    assert (page.status, page.headers["content-type"].split(";")[0]) == (200, "text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert 'autocomplete="off"' in page.raw.decode()
    for name in ("usage.js", "usage.css"):
        assert (await house.ask("GET", f"/pages/{name}")).status == 200


async def test_a_resident_signs_in_with_the_code_of_the_visit_and_sees_and_does_what_the_receipt_allows(house) -> None:
    """First by a code alone; then an account is linked by another, and is enough by itself."""
    record = house.record()
    person = next(one["subject_id"] for one in record["subjects"] if one["kind"] == "person")
    receipts = (await house.hand_in(record))["receipts"]
    [by_receipt] = [{"code": one["follow_code"]} for one in receipts if one["subject_id"] == person]
    await house.assessed(record["record_id"])
    ours, collector = {"sec_fetch_site": "same-origin"}, house.token("collector")

    async def code() -> str:
        path = f"/api/sign-in-codes/{record['record_id']}/subjects/{person}"
        drawn: list[str] = []

        async def here() -> bool:
            body = {"id": str(uuid7()), "alone": True}
            answer = await house.ask("POST", path, body, token=collector, doorstep_purpose="resident-request")
            drawn.extend([answer.body["code"]] if answer.status == 201 else [])
            return bool(drawn)

        await eventually(here, within=30)
        return drawn[0]

    async def browser(cookie: str) -> dict[str, str]:
        told = await house.ask("GET", "/api/session", cookie=cookie, **ours)
        assert told.body["role"] == "resident"
        return ours | {"cookie": cookie, "doorstep_request_token": told.headers["doorstep-request-token"]}

    async def sees(more: dict[str, str]) -> bool:
        own = await house.ask("POST", "/api/resident/usage", {}, **more)
        return bool(own.body["usages"]) and own.raw == (await house.ask("POST", "/api/usage", by_receipt)).raw

    opened = await house.ask("POST", "/api/resident/session", {"code": await code()}, **ours)
    assert opened.status == 201
    by_code = await browser(opened.headers["set-cookie"].partition(";")[0])
    await eventually(lambda: sees(by_code), within=60)
    named = await house.ask("PUT", "/api/resident/exclusions", {"staff": ["nobody-1"]}, **by_code)
    assert (named.status, named.body) == (200, {"excluded": 1})
    assert (await house.ask("GET", f"/api/requests?record_id={record['record_id']}", **by_code)).status == 401

    account = await browser(await house.signed_in("resident", "/usage"))
    linked = await house.ask("PUT", "/api/resident/account", {"code": await code()}, **account)
    assert linked.status == 201
    assert (await house.ask("GET", "/api/session", **by_code)).status == 401  # linking ends the sessions before
    alone = await browser(await house.signed_in("resident", "/usage"))
    await eventually(lambda: sees(alone), within=60)
    assert (await house.ask("DELETE", "/api/resident/account", **alone)).status == 204
    assert (await house.ask("POST", "/api/resident/usage", {}, **alone)).status == 401
