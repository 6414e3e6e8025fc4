"""Safe inside the household: a sealed address stays at its station, and whom a person excludes handles nothing."""

import runpy
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.envelope import Envelope
from doorstep.contracts.registry import ExclusionsNamed, SubjectErased
from doorstep.kit.consumer import Received
from doorstep.local.neighbourhood import Town
from doorstep.local.records import Statement, dwelling, person, record

WHAT = runpy.run_path(str(Path(__file__).with_name("test_household.py")))["what"]


class Flat:
    """A woman and her dwelling, of which the station knows one thing after the other."""

    def __init__(self, estate: Any, seed: int) -> None:
        self.estate, self.rng, self.now = estate, Random(seed), datetime.now(UTC)  # noqa: S311
        self.woman = Town(self.rng, self.now.date()).resident(age=40, sex="female", relation="head")
        self.address = f"清溪市幸福街道密{seed}号"
        self.bodies: list[dict[str, Any]] = []
        self.codes: list[str] = []

    async def visited(self, *stated: Statement, at_home: tuple[Statement, ...] = (), who: str = "collector") -> None:
        """Another record of her, and of the dwelling."""
        subjects = (person(self.woman, stated), dwelling(self.address, at_home))
        body = record(self.rng, subjects, now=self.now)
        if self.bodies:
            body |= {"file_id": self.bodies[0]["file_id"], "household": "known"}
            body["subjects"][1]["subject_id"] = self.bodies[0]["subjects"][1]["subject_id"]
        self.bodies.append(body)
        self.codes += (await self.estate.hand_in(body, who)).values()

    async def confirm(self, need_type: str) -> None:
        """The reviewer confirms the needs of one type that triage suggests for any of the records."""
        for body in self.bodies:
            path = f"/api/assessments/{body['record_id']}"
            found = (await self.estate.ask("GET", path, "reviewer", doorstep_purpose="triage")).body["needs"]
            for need in found:
                if need["need_type"] == need_type and need["state"] == "suggested":
                    decision = {"id": str(uuid7()), "decision": "confirmed", "reason": "核实"}
                    await self.estate.ask("POST", f"/api/needs/{need['need_id']}/decision", "reviewer", decision)
        await self.estate.flow()

    async def positions(self) -> dict[str, int]:
        """How far every service has published."""
        query = "SELECT coalesce(max(position), 0) FROM outbox"
        return {name: await desk.value(query) for name, desk in self.estate.desks.items()}


HAZARDS = (Statement("dwelling.gas-hose", "expired"), Statement("dwelling.wiring", "unsafe"))
SEALED = Statement("contact.sealed-address", True)


@pytest.fixture(scope="module")
async def sealed(estate: Any) -> tuple[Flat, dict[str, int]]:
    """A dwelling with an address that departments were told, until the woman had it sealed; and when that was."""
    flat = Flat(estate, 31)
    await flat.visited(at_home=HAZARDS)
    await flat.confirm("gas-hose-replacement")
    assert flat.address in await estate.told("referral")
    before = await flat.positions()
    await flat.visited(SEALED)
    await flat.confirm("wiring-repair")
    await flat.visited(at_home=(Statement("dwelling.heating", "none"),))
    await flat.confirm("no-heating")
    return flat, before


async def test_a_sealed_address_is_in_no_event_not_even_encrypted(estate: Any, sealed: Any) -> None:
    flat, before = sealed
    for name, position in before.items():
        spoken = await estate.told(name, position)
        assert (len(spoken) > 100) == (name in ("intake", "registry", "risk", "referral"))
        assert flat.address not in spoken, name
    assert flat.address in await estate.told("intake")


async def test_a_sealed_address_is_in_no_offer_nor_in_one_that_was_made_before(estate: Any, sealed: Any) -> None:
    """Also what waits in the outbox, or is published again when the broker lost it, has none."""
    flat, _ = sealed
    spoken = await estate.told("referral")
    assert flat.address not in spoken
    for need_type in ("gas-hose-replacement", "wiring-repair", "no-heating"):
        assert need_type in spoken
    for department, who in (("fire", "officer"), ("health", "health")):
        path = f"/api/departments/{department}/requests"
        listed = await estate.ask("GET", path, who, doorstep_purpose="service")
        assert (listed.status, flat.address in listed.raw.decode()) == (200, False)
        for one in listed.body["requests"]:
            shown = await estate.ask("GET", f"{path}/{one['ref']}", who, doorstep_purpose="service")
            assert flat.address not in shown.raw.decode()
            assert shown.body["offer"].get("address") is None


async def test_a_sealed_address_stays_in_its_stations_own_record_and_in_no_other_answer(
    estate: Any, sealed: Any
) -> None:
    flat, _ = sealed
    first = flat.bodies[0]
    paths = [f"/api/{what}/{first['record_id']}" for what in ("records", "assessments", "journeys")]
    paths += [f"/api/files/{first['file_id']}", f"/api/requests?record_id={first['record_id']}"]
    shown = {path: await estate.ask("GET", path, "reviewer", doorstep_purpose="triage") for path in paths}
    assert {answer.status for answer in shown.values()} == {200}
    assert [path for path, answer in shown.items() if flat.address in answer.raw.decode()] == paths[:1]
    elsewhere = await estate.ask("GET", paths[0], "reviewer-elsewhere", doorstep_purpose="triage")
    assert (elsewhere.status, flat.address in elsewhere.raw.decode()) == (404, False)


async def test_who_has_a_sealed_address_is_nobody_elsewhere(estate: Any) -> None:
    """Before and after: another station's file of the same woman has another person, and no hint of this one."""
    here, there = Flat(estate, 32), Flat(estate, 33)
    there.woman = here.woman
    await here.visited()
    await there.visited(who="collector-elsewhere")
    persons = "SELECT DISTINCT person_id FROM subject WHERE file_id = :file_id AND kind = 'person'"
    registry = estate.desks["registry"]
    files = [flat.bodies[0]["file_id"] for flat in (here, there)]
    assert await registry.rows(persons, file_id=files[0]) == await registry.rows(persons, file_id=files[1])
    await here.visited(SEALED)
    await here.visited()
    await there.visited(who="collector-elsewhere")
    (mine,), (theirs,) = [await registry.rows(persons, file_id=one) for one in files]
    assert mine != theirs
    nobody = "SELECT count(*) FROM person p WHERE NOT EXISTS (SELECT FROM subject s WHERE s.person_id = p.person_id)"
    assert await registry.value(nobody) == 0


async def test_a_seal_is_not_lifted_by_what_somebody_else_at_home_says(estate: Any) -> None:
    flat = Flat(estate, 34)
    await flat.visited(Statement("contact.sealed-address", False), at_home=HAZARDS)
    await flat.visited(at_home=(Statement("dwelling.sealed-address", True),))
    before = await flat.positions()
    await flat.visited(Statement("contact.sealed-address", False))
    for name, position in before.items():
        assert flat.address not in await estate.told(name, position), name


LOOKS = ("/api/records/{record}", "/api/assessments/{record}", "/api/journeys/{record}", "/api/files/{file}")


async def seen(estate: Any, flat: Flat, who: str) -> dict[str, int]:
    """What somebody of the staff is answered about the newest record, and how many requests they are shown."""
    ids = {"record": flat.bodies[-1]["record_id"], "file": flat.bodies[-1]["file_id"]}
    found = {}
    for path in LOOKS:
        found[path] = (await estate.ask("GET", path.format(**ids), who, doorstep_purpose="triage")).status
    path = f"/api/requests?record_id={ids['record']}"
    listed = await estate.ask("GET", path, who, doorstep_purpose="triage")
    return found | {"requests": len(listed.body["requests"])}


async def test_whom_a_person_excludes_handles_nothing_of_theirs(estate: Any) -> None:
    """By their code alone, in every service, also in records to come, until they say otherwise; others go on."""
    flat = Flat(estate, 41)
    await flat.visited(Statement("wish.wage-help", True))
    everything = dict.fromkeys(LOOKS, 200) | {"requests": 1}
    nothing = dict.fromkeys(LOOKS, 404) | {"requests": 0}
    assert await seen(estate, flat, "reviewer") == everything
    path, named = "/api/exclusions", {"code": flat.codes[0], "staff": ["reviewer-1", "collector-2", "reviewer-1"]}
    for _ in range(2):  # sent twice
        answer = await estate.ask("PUT", path, None, named)
        assert (answer.status, answer.body) == (200, {"excluded": 2})
    await estate.flow()
    assert await seen(estate, flat, "reviewer") == nothing
    assert await seen(estate, flat, "another-reviewer") == everything
    await flat.visited(Statement("wish.wage-help", True))
    assert await seen(estate, flat, "reviewer") == nothing
    assert await seen(estate, flat, "another-reviewer") == everything
    with pytest.raises(ValueError, match="file_id"):
        await flat.visited(who="another-collector")
    flat.bodies.pop()
    await estate.ask("PUT", path, None, {"code": flat.codes[-1], "staff": []})
    await estate.flow()
    assert await seen(estate, flat, "reviewer") == everything


async def test_who_is_excluded_is_answered_like_for_nothing_and_the_try_is_logged(estate: Any) -> None:
    flat = Flat(estate, 42)
    await flat.visited(Statement("wish.wage-help", True), at_home=HAZARDS)
    requests = "/api/departments/labour/requests"
    listed = (await estate.ask("GET", requests, "labour", doorstep_purpose="service")).body["requests"]
    (ref,) = [one["ref"] for one in listed if one["offer"]["name"] == flat.woman.name]
    record_id, woman = flat.bodies[0]["record_id"], flat.bodies[0]["subjects"][0]["subject_id"]
    asked = f"/api/requests?record_id={record_id}"
    (request,) = (await estate.ask("GET", asked, "reviewer", doorstep_purpose="triage")).body["requests"]
    await estate.ask("PUT", "/api/exclusions", None, {"code": flat.codes[0], "staff": ["reviewer-1", "officer-4"]})
    await estate.flow()
    step, taken_back = {"to": "accepted"}, {"to": "cancelled", "reason": "duplicate"}
    file_id, emergency = flat.bodies[0]["file_id"], {"reason": "danger-to-life", "second": "supervisor-1"}
    tries = [
        ("GET", "/api/records/{}", record_id, "reviewer", None),
        ("GET", "/api/assessments/{}", record_id, "reviewer", None),
        ("GET", "/api/journeys/{}", record_id, "reviewer", None),
        ("GET", "/api/files/{}", file_id, "reviewer", None),
        ("POST", "/api/files/{}/break-glass", file_id, "reviewer", emergency),
        ("POST", "/api/requests/{}/transitions", request["request_id"], "reviewer", taken_back),
        ("GET", requests + "/{}", ref, "labour", None), ("POST", requests + "/{}/transitions", ref, "labour", step),
    ]  # fmt: skip
    for method, path, thing, who, body in tries:
        purpose = "service" if who == "labour" else "triage"
        found = []
        for one in (thing, uuid4()):
            sent = None if body is None else {"id": str(uuid7()), **body}
            found.append(
                await estate.ask(method, path.format(one), who, sent, if_match='"1"', doorstep_purpose=purpose)
            )
        assert found[0].status == 404, path
        assert WHAT(found[0]) == WHAT(found[1])
    left = (await estate.ask("GET", requests, "labour", doorstep_purpose="service")).body["requests"]
    assert ref not in {one["ref"] for one in left}
    for name in ("intake", "registry", "risk", "gateway", "referral"):
        assert [one["actor"] for one in await estate.desks[name].refusals(woman)], name


async def test_a_reviewer_notes_exclusions_for_a_resident_and_nobody_unasked(estate: Any) -> None:
    flat = Flat(estate, 43)
    await flat.visited(Statement("wish.wage-help", True))
    file_id, woman, home = flat.bodies[0]["file_id"], *(one["subject_id"] for one in flat.bodies[0]["subjects"])
    path, body = "/api/files/{}/subjects/{}/exclusions", {"staff": ["reviewer-2"]}
    told = {"doorstep_purpose": "resident-request"}
    for who, expected, file, subject in (
        ("collector", 403, file_id, woman), ("supervisor", 403, file_id, woman), ("police", 403, file_id, woman),
        ("reviewer-elsewhere", 404, file_id, woman), ("reviewer", 404, uuid4(), woman),
        ("reviewer", 404, file_id, home), ("reviewer", 200, file_id, woman), ("another-reviewer", 404, file_id, woman),
    ):  # fmt: skip
        assert (await estate.ask("PUT", path.format(file, subject), who, body, **told)).status == expected, who
        await estate.flow()
    (entry, *_) = [one for one in await estate.desks["registry"].logged(woman) if one["outcome"] == "done"
                   and one["action"] == "name-exclusions"]  # fmt: skip
    assert (entry["actor"], entry["purpose"]) == ("reviewer-1", "resident-request")
    assert (await seen(estate, flat, "another-reviewer"))["requests"] == 0
    unknown = await estate.ask("PUT", "/api/exclusions", None, {"code": "0000-0000-0000-0000", "staff": ["a"]})
    assert (unknown.status, unknown.body) == (200, {"excluded": 1})


async def test_exclusions_go_with_an_erased_subject_and_do_not_come_late(estate: Any) -> None:
    flat = Flat(estate, 44)
    await flat.visited()
    woman = flat.bodies[0]["subjects"][0]["subject_id"]
    await estate.ask("PUT", "/api/exclusions", None, {"code": flat.codes[0], "staff": ["reviewer-2"]})
    await estate.flow()
    others = ("intake", "risk", "referral", "gateway")
    count = "SELECT count(*) FROM exclusion WHERE subject_id = :woman"
    assert [await estate.desks[name].value(count, woman=woman) for name in others] == [1] * 4
    event = ExclusionsNamed(file_id=uuid4(), subject_ids=(UUID(woman),), staff=(uuid4(),), named_at=datetime.now(UTC))
    erased = SubjectErased(subject_id=UUID(woman), erasure_id=uuid4(), erased_at=datetime.now(UTC))
    for one in (erased, event):
        envelope = Envelope(id=uuid7(), source="test", type=one.event_type, time=datetime.now(UTC), key=event.file_id)
        for name in others:
            await estate.take(name, [Received(envelope, one)])
    assert [await estate.desks[name].value(count, woman=woman) for name in others] == [0] * 4
