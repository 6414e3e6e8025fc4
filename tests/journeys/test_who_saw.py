"""A resident sees who used their data: by the code on the receipt, and by the number of a paper through a portal."""

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
