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
from doorstep.contracts.topics import SERVICES
from doorstep.gateway.domain.routes import outside
from doorstep.kit.edge import Refusals
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
    for desk in estate.desks.values():  # who tries everything is refused too often
        desk.call.app.state.refusals = Refusals(desk.service, a_minute=10_000)
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
    if path.endswith("/{code}/complaints") and method == "POST":
        return BODY_FOR("post", path) | {"ref": thing}
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
