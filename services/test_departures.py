"""A departure as it is noted: once and whole, for persons of the file; what comes later, or comes first, follows it."""

import runpy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.audit.queries import Trusted
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.registry import HouseholdLeft, MentionMoved
from doorstep.kit.consumer import Received
from doorstep.local.records import Statement, person, record

_HOUSEHOLD = runpy.run_path(str(Path(__file__).with_name("test_leaving.py")))
Home, WAGES, DOCTOR, WHY = (_HOUSEHOLD[name] for name in ("Home", "WAGES", "DOCTOR", "WHY"))


@pytest.fixture(scope="module", autouse=True)
async def open_log(estate: Any) -> None:
    """The log answers who looked."""
    state = estate.desks["audit"].call.app.state
    state.verifier_keys, state.trusted = ("key",), Trusted()


async def test_what_is_attested_after_she_left_names_no_record_of_the_household(estate: Any) -> None:
    other = Home(estate, 79)
    await other.visited([WAGES, DOCTOR])
    [one, *_] = (await estate.ask("GET", f"/api/follow/{other.code(1)}")).body["requests"]
    looks, asked = f"/api/follow/{other.code(1)}/looks", {"id": str(uuid7()), "ref": one["ref"]}
    assert (await estate.ask("POST", looks, None, asked)).status == 201
    noted = (await other.leave()).body
    assert (await estate.ask("POST", looks, None, asked)).status == 404  # also where it was answered before
    [labour] = await other.listed("labour")
    await other.moved("labour", labour["ref"], 1, "accepted")
    path = f"/api/departments/labour/requests/{labour['ref']}/transitions"
    fact = {"code": "work.wages-unpaid", "value": False, "since": datetime.now(UTC).isoformat()}
    said = {"id": str(uuid7()), "to": "completed", "outcome": "service-provided", "attests": [fact]}
    assert (await estate.ask("POST", path, "labour", said, if_match='"2"')).status == 200
    await estate.flow()
    new, old = [(await other.file(one)).raw.decode() for one in (noted["file_id"], other.file_id)]
    assert "attested_by" in new
    assert "attested_by" not in old
    assert str(other.bodies[0]["record_id"]) not in new


async def test_the_same_command_is_answered_again_and_done_once(estate: Any) -> None:
    home, command = Home(estate, 72), uuid7()
    await home.visited([WAGES])
    first, again = [await home.leave(command) for _ in range(2)]
    assert (first.status, first.body) == (again.status, again.body)
    assert (await home.leave(command, together=[str(uuid4())])).status == 409
    query = "SELECT count(DISTINCT file_id) FROM departure WHERE subject_id = :id"
    assert await estate.desks["registry"].value(query, id=home.mention(1)) == 1
    rows = await estate.desks["registry"].rows(
        "SELECT DISTINCT CAST(xmin AS text) FROM departure WHERE subject_id = :id UNION"
        " SELECT CAST(xmin AS text) FROM outbox WHERE topic = 'registry.departures' AND key = :file UNION"
        " SELECT CAST(xmin AS text) FROM file WHERE file_id = :file",
        id=home.mention(1), file=UUID(first.body["file_id"]),
    )  # fmt: skip
    assert len(rows) == 1


async def test_who_goes_together_stays_together_and_what_is_no_person_of_the_file_is_refused(estate: Any) -> None:
    home = Home(estate, 73)
    await home.visited([WAGES])
    place = str(home.bodies[0]["subjects"][2]["subject_id"])
    for together, who, status in (
        ([str(uuid4())], "reviewer", 404),
        ([place], "reviewer", 404),
        ([], "reviewer-elsewhere", 404),
        ([], "collector", 403),
    ):
        assert (await home.leave(who=who, together=together)).status == status
    assert home.woman.name in str((await home.file(home.file_id)).body)
    both = await home.leave(together=[home.mention(0)])
    assert {one["subject_id"] for one in both.body["codes"]} == {home.mention(0), home.mention(1)}
    names = {one.get("name") for one in (await home.file(both.body["file_id"])).body["subjects"]}
    assert names == {home.woman.name, home.man.name}
    assert (await home.leave()).status == 404  # nobody of them is there any more


async def test_whom_she_excludes_stays_excluded_and_an_erasure_that_waits_goes_along(estate: Any) -> None:
    home = Home(estate, 74)
    await home.visited([WAGES])
    await estate.ask("PUT", "/api/exclusions", None, {"code": home.code(1), "staff": ["collector-2", "reviewer-2"]})
    erasure = str(uuid7())
    path = f"/api/files/{home.file_id}/subjects/{home.mention(1)}/erasure"
    asked = await estate.ask("POST", path, "reviewer", {"id": erasure}, doorstep_purpose=WHY)
    assert asked.status == 202
    await estate.flow()
    file_id = (await home.leave()).body["file_id"]
    assert (await home.file(file_id, "another-reviewer")).status == 404
    body = record(home.rng, (person(home.woman, ()),), now=home.now) | {"file_id": file_id, "household": "known"}
    with pytest.raises(ValueError, match="file_id"):
        await estate.hand_in(body, "another-collector")
    confirm = {"id": str(uuid7())}
    path = f"/api/erasures/{erasure}/confirmation"
    assert (await estate.ask("POST", path, "supervisor", confirm, doorstep_purpose=WHY)).status == 202
    await estate.flow()
    for name, desk in estate.desks.items():
        for table in ("departure", "moved_mention"):
            if name == "registry" or table == "moved_mention":
                query = f"SELECT count(*) FROM {table} WHERE subject_id = :id"  # noqa: S608
                assert await desk.value(query, id=home.mention(1)) == 0, (name, table)


async def test_what_is_decided_and_opened_later_goes_out_under_the_new_file(estate: Any) -> None:
    """A need suggested before she left and confirmed after; and a departure that is heard of before the record."""
    home = Home(estate, 75)
    late = Statement("work.seeking", True)
    await home.visited([WAGES, late])
    path = f"/api/assessments/{home.bodies[0]['record_id']}"
    needs = (await estate.ask("GET", path, "reviewer", doorstep_purpose="triage")).body["needs"]
    suggested = [one for one in needs if one["state"] == "suggested" and one["subject_id"] == home.mention(1)]
    assert suggested
    noted = (await home.leave()).body
    decision = {"id": str(uuid7()), "decision": "confirmed", "reason": "核实"}
    path = f"/api/needs/{suggested[0]['need_id']}/decision"
    assert (await estate.ask("POST", path, "reviewer", decision)).status == 200
    await estate.flow()
    code = {one["subject_id"]: one["follow_code"] for one in noted["codes"]}[home.mention(1)]
    assert len((await home.shown(code))[0]["requests"]) == 2
    assert (await home.shown(home.code(1)))[0]["requests"] == []
    for service, kind in (("risk", "risk.need-decided.v1"), ("referral", "referral.request-opened.v1")):
        query = "SELECT key FROM outbox WHERE type = :type ORDER BY position DESC LIMIT 1"
        assert str(await estate.desks[service].value(query, type=kind)) == noted["file_id"]


async def test_a_departure_that_is_heard_of_before_the_record_counts_all_the_same(estate: Any) -> None:
    """Whatever comes when: topics are not ordered among each other, and a departure may come twice."""
    home = Home(estate, 76)
    people = (person(home.woman, [WAGES]),)
    body = record(home.rng, people, now=home.now)
    subject = body["subjects"][0]["subject_id"]
    event = HouseholdLeft(
        file_id=uuid4(),
        station="station-7",
        mentions=(MentionMoved(subject_id=UUID(subject), person_id=uuid4()),),
        left_at=datetime.now(UTC),
    )
    envelope = Envelope(id=uuid4(), source="registry", type=event.event_type, time=event.left_at, key=event.file_id)
    received = Received(envelope, event, "registry.departures", b"{}")
    for group in ("risk", "referral", "gateway", "audit"):
        await estate.take(group, [received])
        await estate.take(group, [received])
    code = (await estate.hand_in(body))[subject]
    assert (await home.shown(code))[0]["requests"] == []
    renewed = estate.desks["referral"].vault.follow_code(UUID(subject), event.file_id)
    followed, usages = await home.shown(renewed)
    assert len(followed["requests"]) == 1
    assert usages["usages"]
    row = "SELECT file_id FROM {} WHERE subject_id = :id"
    for service, table in (("referral", "request"), ("gateway", "mention")):
        assert await estate.desks[service].value(row.format(table), id=subject) == event.file_id


@pytest.mark.usefixtures("front")
async def test_who_was_signed_in_in_her_name_is_out_and_she_signs_in_anew(estate: Any) -> None:
    """Whoever had a session by a code of before; of the new file her session shows what her codes show."""
    home = Home(estate, 77)
    await home.visited([WAGES])
    ours = {"sec_fetch_site": "same-origin"}

    async def sign_in(record_id: str, subject: str) -> dict[str, str]:
        path, body = f"/api/sign-in-codes/{record_id}/subjects/{subject}", {"id": str(uuid7()), "alone": True}
        drawn = await estate.ask("POST", path, "collector", body, doorstep_purpose=WHY)
        opened = await estate.ask("POST", "/api/resident/session", None, {"code": drawn.body["code"]}, **ours)
        cookie = {"cookie": opened.headers["set-cookie"].partition(";")[0]}
        answer = await estate.ask("GET", "/api/session", **ours, **cookie)
        return ours | cookie | {"doorstep_request_token": answer.headers["doorstep-request-token"]}

    async def usages(more: dict[str, str]) -> Any:
        return await estate.ask("POST", "/api/resident/usage", None, {}, **more)

    session = await sign_in(home.bodies[0]["record_id"], home.mention(1))
    assert (await usages(session)).status == 200
    file_id = (await home.leave()).body["file_id"]
    assert (await usages(session)).status == 401
    body = record(home.rng, (person(home.woman, [DOCTOR]),), now=home.now) | {"file_id": file_id, "household": "known"}
    code = (await estate.hand_in(body))[body["subjects"][0]["subject_id"]]
    shown = (await usages(await sign_in(body["record_id"], body["subjects"][0]["subject_id"]))).body["usages"]
    assert len(shown) > len((await home.shown(code))[1]["usages"]) > 0
