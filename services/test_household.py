"""Safe inside the household: nothing that one member is answered, whatever they hold, tells of another's matters.

Two households are alike but for one thing: in the first an adult asked for protection from violence, legal aid and a
doctor, and was served. Each other member walks every operation of the OpenAPI documents with all that a resident can
hold; to be answered otherwise in the first household than in the second would tell.
"""

import json
import re
import runpy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.audit.queries import Trusted
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.registry import ExclusionsNamed, SubjectErased
from doorstep.contracts.topics import SERVICES
from doorstep.gateway.domain.routes import outside
from doorstep.kit.consumer import Received
from doorstep.local.neighbourhood import Town
from doorstep.local.records import Statement, dwelling, person, record

BODY_FOR = runpy.run_path(str(Path(__file__).with_name("test_refusals.py")))["body_for"]
AGES = {"head": 52, "adult": 47, "child": 16, "small": 9, "former": 22}
BY_CODE = (
    "/api/usage", "/api/exclusions", "/api/proxies", "/api/plans/contests", "/api/plans/withdrawals",
    "/api/own-requests",
)  # fmt: skip
WITH_THE_CODE: dict[str, dict[str, Any]] = {
    "/api/exclusions": {"staff": ["nobody-9"]},
    "/api/proxies": {"proxy": None},
    "/api/own-requests": {"service": "fire-check"},
}
OTHERS = tuple(name for name in AGES if name != "adult")
LONG = {"{record_id}/events"}  # would be open for as long as it is read
_CHANGING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\b[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}\b"), "<code>"),
    (re.compile(r"(?<=doorstep_session=)[\w-]{43}"), "<cookie>"),
    (re.compile(r"(?<=expires=)[^;]+"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)"), "<time>"),
)


@dataclass
class World:
    """A household as its members know it: everybody's subject id and code, their papers, the ids of its records."""

    people: dict[str, Any]
    codes: dict[str, str] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)
    known: list[str] = field(default_factory=list)
    refs: dict[str, list[str]] = field(default_factory=dict)


def paper(world: World, who: str) -> str:
    return str(world.people[who].resident_id)


async def settle(estate: Any, seed: int, *wishes: str) -> World:
    """A household that is visited twice; the second time one has left, and the adult wishes something."""
    rng, now = Random(seed), datetime.now(UTC)  # noqa: S311
    town = Town(rng, now.date())
    world = World({who: town.resident(age=age, sex="female", relation="head") for who, age in AGES.items()})
    flat = dwelling(f"清溪市幸福街道{seed}号", [Statement("dwelling.wiring", "unsafe")])
    first = record(rng, [*(person(one, [Statement("wish.wage-help", True)]) for one in world.people.values()), flat],
                   now=now)  # fmt: skip
    here = {who: one for who, one in world.people.items() if who != "former"}
    alone = [Statement("contact.asked-alone", True)] if wishes else []
    stated = [*(Statement(f"wish.{wish}", True) for wish in wishes), *alone]
    wished = {who: stated if who == "adult" else [] for who in here}
    again = record(rng, [*(person(one, wished[who]) for who, one in here.items()), flat], now=now)
    again |= {"file_id": first["file_id"], "household": "known"}
    again["subjects"][-1]["subject_id"] = first["subjects"][-1]["subject_id"]
    for body, members in ((first, list(world.people)), (again, list(here))):
        codes = await estate.hand_in(body)
        ids = [one["subject_id"] for one in body["subjects"]]
        world.codes |= {f"{who} {body['record_id'] == again['record_id']}": codes[one]
                        for who, one in zip(members, ids[:-1], strict=True)}  # fmt: skip
        world.subjects |= dict(zip(members, ids[:-1], strict=True))
        world.known += [body["record_id"], *ids]
    world.known.append(first["file_id"])
    return world


async def serve(estate: Any, world: World, *departments: str) -> None:
    """The station looks at the household, and departments answer the adult, who looks too and rates."""
    newest = world.known[len(AGES) + 2]
    looks = ("records/{}", "assessments/{}", "journeys/{}", "requests?record_id={}")
    for path in (*(f"/api/{look}".format(newest) for look in looks), f"/api/files/{world.known[-1]}"):
        assert (await estate.ask("GET", path, "reviewer", doorstep_purpose="triage")).status == 200, path
    for department in departments:
        requests = f"/api/departments/{department}/requests"
        listed = (await estate.ask("GET", requests, department, doorstep_purpose="service")).body["requests"]
        for one in listed:
            if one["offer"]["name"] == world.people["adult"].name:
                path = f"{requests}/{one['ref']}"
                await estate.ask("GET", path, department, doorstep_purpose="service")
                for version, to in enumerate(("accepted", "completed"), start=1):
                    said = {"outcome": "advice-given"} if to == "completed" else {}
                    step = {"id": str(uuid7()), "to": to, **said}
                    moved = await estate.ask("POST", f"{path}/transitions", department, step, if_match=f'"{version}"')
                    assert moved.status == 200, moved.body
    await estate.flow()


async def follow(estate: Any, world: World, code: str) -> list[dict[str, str]]:
    return list((await estate.ask("GET", f"/api/follow/{world.codes[code]}")).body["requests"])


@pytest.fixture(scope="module")
async def worlds(estate: Any) -> tuple[World, World]:
    """The household of which one asked for protection, legal aid and a doctor, and the one of which nobody did."""
    state = estate.desks["audit"].call.app.state
    state.verifier_keys, state.trusted = ("key",), Trusted()
    told = await settle(estate, 1, "legal-aid", "health-advice", "protection-from-violence")
    quiet = await settle(estate, 2)
    await serve(estate, told, "justice", "health")
    await serve(estate, quiet)
    for one in await follow(estate, told, "adult True"):
        rating = {"id": str(uuid7()), "ref": one["ref"], "solved": True, "stars": 5}
        path = f"/api/follow/{told.codes['adult True']}/ratings"
        assert (await estate.ask("POST", path, None, rating)).status == 200
    await estate.flow()
    return told, quiet


def operations(estate: Any, *services: str) -> list[tuple[str, str, str | None]]:
    """Method and path, at the front door, of every operation that a service publishes, and the token that it needs."""
    return [
        (method.upper(), outside(name, path), "resident" if "'authorization'" in str(operation) else None)
        for name in services or SERVICES
        for path, methods in estate.desks[name].call.app.openapi()["paths"].items()
        for method, operation in methods.items()
        if not any(path.endswith(one) for one in LONG)
    ]


def bodies(method: str, path: str, code: str, thing: str) -> Any:
    """What a resident sends: their own code where one is asked for, things that they know by their id elsewhere."""
    if path in BY_CODE:
        return {"code": code, **WITH_THE_CODE.get(path, {})} | ({"id": str(uuid7())} if "own" in path else {})
    if path in ("/api/resident/session", "/api/resident/account") and method != "DELETE":
        return {"code": str(uuid4())[:9]}
    if path.endswith("/withdrawals") or (path.endswith("/{code}/looks") and method == "POST"):
        return {"id": str(uuid7()), "ref": thing}
    if path.endswith("/ratings"):
        return {"id": str(uuid7()), "ref": thing, "solved": False, "stars": 1}
    return BODY_FOR(method.lower(), path)


def what(answer: Any) -> tuple[int, tuple[tuple[str, str], ...], str]:
    """All of an answer but what differs from one answer to the next."""
    text, cookie = answer.raw.decode(), answer.headers.get("set-cookie", "")
    for pattern, name in _CHANGING:
        text, cookie = pattern.sub(name, text), pattern.sub(name, cookie)
    kept = {name: value for name, value in answer.headers.items() if name not in ("date", "traceparent")}
    return answer.status, tuple(sorted((kept | {"set-cookie": cookie}).items())), text


async def session_of(estate: Any, world: World, who: str) -> dict[str, str]:
    """The headers of a browser in which somebody signed in with a one-time code; of one too young to have a code."""
    record = world.known[0 if who == "former" else len(AGES) + 2]
    path = f"/api/sign-in-codes/{record}/subjects/{world.subjects[who]}"
    body = {"id": str(uuid7()), "alone": True}
    drawn = await estate.ask("POST", path, "collector", body, doorstep_purpose="resident-request")
    ours = {"sec_fetch_site": "same-origin"}
    if who == "small":
        assert drawn.body["type"].endswith("too-young")
        return ours
    opened = await estate.ask("POST", "/api/resident/session", None, {"code": drawn.body["code"]}, **ours)
    assert opened.status == 201
    ours["cookie"] = opened.headers["set-cookie"].partition(";")[0]
    answer = await estate.ask("GET", "/api/session", **ours)
    return ours | {"doorstep_request_token": answer.headers["doorstep-request-token"]}


async def walk_signed_in(estate: Any, world: World, who: str) -> list[Any]:
    """What somebody is answered by what the front door answers itself, each time in a session of their own."""
    found: list[Any] = []
    more = await session_of(estate, world, who)
    for method, path, _ in operations(estate, "gateway"):
        for thing in known(world) if "{" in path else [""]:
            asked = re.sub(r"{\w+}", thing, path)
            if path.startswith("/api/resident/"):  # some end the session
                more = await session_of(estate, world, who)
            body = bodies(method, path, "", thing)
            answer = await estate.ask(method, asked, None, body, **more, doorstep_purpose="resident-request")
            found.append((method, path, what(answer)))
    return found


def known(world: World) -> list[str]:
    """Ids that everybody at home may have seen: of the record, the adult, the dwelling and the file."""
    return [world.known[len(AGES) + 2], world.subjects["adult"], *world.known[-2:]]


async def walk(estate: Any, world: World, who: str) -> list[Any]:
    """What somebody of a household is answered by every operation, with every thing that they know."""
    found: list[Any] = []
    own = [code for name, code in world.codes.items() if name.split()[0] == who]
    for code in own:
        answer = await estate.ask("GET", f"/api/follow/{code}")
        world.refs.setdefault(who, []).extend(one["ref"] for one in answer.body["requests"])
    for method, path, token in operations(estate):
        by_code = path in BY_CODE or "{code}" in path
        things = [*known(world), *world.refs[who][:1], str(uuid4())] if "{" in path or "entry_id" in path else [""]
        for place, thing in enumerate(things):
            for code in own if by_code else [own[0]]:
                asked = path.replace("{code}", code).replace("{department}", "justice").replace("{kid}", "key-1")
                asked = re.sub(r"{\w+}", thing, asked)
                body = bodies(method, path, code, thing)
                more = {"if_match": '"1"', "doorstep_purpose": "resident-request"}
                found.append((method, path, place, what(await estate.ask(method, asked, token, body, **more))))
    number = f"CN{paper(world, who)}"
    for page in ("", "&offset=1", "&limit=1"):
        asked = f"/api/dumonitor/v2/findUsage?userCode={number}{page}"
        found.append(("portal", page, what(await estate.ask("GET", asked, "portal", x_road_userid=number))))
    return found


@pytest.mark.parametrize("who", OTHERS)
async def test_no_answer_to_a_member_differs_by_what_concerns_another(
    estate: Any, worlds: tuple[World, World], who: str
) -> None:
    told, quiet = [await walk(estate, world, who) for world in worlds]
    assert len(told) > 120
    assert [(one, other) for one, other in zip(told, quiet, strict=True) if one != other] == []
    spoken = "".join(str(one[-1]) for one in told)
    assert worlds[0].people["adult"].name not in spoken


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("who", AGES)
async def test_no_answer_to_a_signed_in_member_differs_by_what_concerns_another(
    estate: Any, worlds: tuple[World, World], who: str
) -> None:
    """Also to the adult: a session shows what a code shows, for whoever sits beside looks at the same page."""
    told, quiet = [await walk_signed_in(estate, world, who) for world in worlds]
    assert [(one, other) for one, other in zip(told, quiet, strict=True) if one != other] == []
    answered = {path: answer for method, path, answer in told}
    usages = json.loads(answered["/api/resident/usage"][-1])
    assert (
        answered["/api/resident/usage"][0]
        == answered["/api/resident/exclusions"][0]
        == (401 if who == "small" else 200)
    )
    assert {answer[0] for path, answer in answered.items() if not path.startswith("/api/resident/")} == {401}
    if who == "small":
        return
    by_code = await estate.ask("POST", "/api/usage", None, {"code": worlds[0].codes[f"{who} {who != 'former'}"]})
    assert len(usages["usages"]) >= len(by_code.body["usages"]) > 0
    assert who == "former" or len(usages["usages"]) > len(by_code.body["usages"])  # those of two records


async def test_the_member_whose_matters_they_are_is_answered_otherwise(
    estate: Any, worlds: tuple[World, World]
) -> None:
    """The walk finds a difference where there is one: what the adult holds shows the adult's own."""
    told, quiet = worlds
    assert len(await follow(estate, told, "adult True")) == len(await follow(estate, quiet, "adult True")) + 1
    seen = []
    for world in worlds:
        number = f"CN{paper(world, 'adult')}"
        answer = await estate.ask(
            "GET", f"/api/dumonitor/v2/findUsage?userCode={number}", "portal", x_road_userid=number
        )
        seen.append(len(answer.raw))
    assert seen[0] > seen[1] > 0


async def test_ids_that_residents_and_departments_see_tell_no_order(estate: Any, worlds: tuple[World, World]) -> None:
    """Each is drawn or keyed by itself (UUID versions 4 and 8): no counter, no time, and so no gap."""
    told, _ = worlds
    shown = []
    for code in told.codes.values():
        shown.append(await estate.ask("GET", f"/api/follow/{code}"))
        shown.append(await estate.ask("POST", "/api/usage", None, {"code": code}))
    for department in ("justice", "health", "labour"):
        path = f"/api/departments/{department}/requests"
        shown.append(await estate.ask("GET", path, department, doorstep_purpose="service"))
    text = "".join(answer.raw.decode() for answer in shown if answer.status == 200)
    ids = [UUID(found[0]) for found in _CHANGING[0][0].finditer(text)]
    assert len(set(ids)) > 20
    assert {one.version for one in ids} <= {4, 8}


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
        assert what(found[0]) == what(found[1])
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
