"""Which fields somebody sees is written once, in docs/fields.md, and what services answer is that and nothing else."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Department, Purpose, SaidBy
from doorstep.contracts.facts import CATALOGUE, SEALING, FactKind, SubjectKind, Value
from doorstep.contracts.feeds import FEEDS
from doorstep.contracts.topics import SERVICES
from doorstep.kit.policy import CARD_FIELDS, kind_name
from doorstep.local.neighbourhood import Town
from doorstep.local.records import Statement, dwelling, person, place, record

PAGE = Path(__file__).parents[1] / "docs/fields.md"
PEOPLE = (
    "another-collector", "collector-as-reviewer", "community-officer", "reviewer", "reviewer-elsewhere", "supervisor",
    "officer", "health", "resident", "police", "portal",
)  # fmt: skip
ROLES = {"another-collector": "collector", "collector-as-reviewer": "reviewer of a record of their own"}
OFFICERS = {"fire": "officer", "health": "health", "justice": "justice", "labour": "labour"}
UNTOLD = {"work.wages-unpaid"}  # that a rule could not tell is a field too
LEAST = ("subject_id", "kind", "name", "address", "description")
STATED = ("code", "value", "said_by", "legal_basis", "since")
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).replace(second=0, microsecond=0)
MEETING = {
    "starts_at": TOMORROW.isoformat(), "ends_at": (TOMORROW + timedelta(hours=1)).isoformat(), "place": "office",
}  # fmt: skip
STEPS: tuple[dict[str, Any], ...] = (
    {"to": "accepted", "progress": "papers-checked"},
    {"to": "accepted", "business_status": "appointment-scheduled", "appointment": MEETING},
    {"to": "on-hold", "reason": "papers-missing", "business_status": "waiting-for-resident", "note": "缺工资条"},
    {"to": "completed", "outcome": "advice-given"},
)
ATTESTED = {"labour": {"code": "work.wages-unpaid", "value": False}}
KINDS = {kind_name(kind): kind for kind in FactKind}


@dataclass(frozen=True)
class Thing:
    """What can be read: its path, its fields, those that are null at first, and the kinds of fact by who and why."""

    path: str
    fields: frozenset[str]
    unset: frozenset[str]
    rows: dict[tuple[str, str], frozenset[FactKind]]


def things() -> dict[str, Thing]:
    """The page, by the path of each thing."""
    found = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        path = re.findall(r"`GET (\S+)`", section)[0]
        fields, unset = set(), set()
        for paragraph in section.split("\n\n")[1:]:
            named = set(re.findall(r"`([A-Za-z_.]+)`", paragraph))
            if paragraph.startswith("`"):
                fields |= named
            elif "until it happens" in " ".join(paragraph.split()):
                unset |= named
        rows = {}
        for line in re.findall(r"^\| (?!who|---)(.+) \|$", section, flags=re.MULTILINE):
            who, purposes, kinds = line.split(" | ")
            rows |= {(one, why): seen(kinds) for one in who.split(", ") for why in purposes.split(", ")}
        found[path] = Thing(path, frozenset(fields - {"offer"}), frozenset(unset), rows)
    return found


def seen(kinds: str) -> frozenset[FactKind]:
    """The kinds of fact that a row of the page names."""
    if kinds in ("none", "as its feed"):
        return frozenset()
    if kinds.startswith("all"):
        return frozenset(FactKind) - {
            KINDS[one] for one in kinds.removeprefix("all").removeprefix(" but ").split() if one
        }
    return frozenset(KINDS[one] for one in kinds.split(", "))


def paths(value: Any, before: str = "") -> set[str]:
    """The names of all fields of an answer."""
    if isinstance(value, list):
        return {one for item in value for one in paths(item, before)} if value else set()
    if isinstance(value, dict):
        return {one for name, item in value.items() for one in paths(item, f"{before}.{name}".lstrip("."))}
    return {before}


def nulls(value: Any, before: str = "") -> set[str]:
    """The names of those fields that are null."""
    if isinstance(value, list):
        return {one for item in value for one in nulls(item, before)}
    if isinstance(value, dict):
        return {one for name, item in value.items() for one in nulls(item, f"{before}.{name}".lstrip("."))}
    return {before} if value is None else set()


def told(value: Any) -> set[FactKind]:
    """The kinds of all facts that an answer names by their code, wherever it does."""
    if isinstance(value, list):
        return {kind for one in value for kind in told(one)}
    if isinstance(value, dict):
        return {kind for one in value.values() for kind in told(one)}
    return {CATALOGUE[value].kind} if isinstance(value, str) and value in CATALOGUE else set()


def stated(kind: SubjectKind) -> list[Statement]:
    """Every fact of the catalogue about this kind of subject that can be told at the door, but for two."""
    made = []
    for entry in CATALOGUE.values():
        if entry.subject is kind and entry.code not in SEALING | UNTOLD:
            value = {Value.YES_NO: True, Value.COUNT: 3}.get(entry.value) or entry.choices[-1]
            by = SaidBy.PERSON if SaidBy.PERSON in entry.said_by else SaidBy.COLLECTOR_SAW
            made.append(Statement(entry.code, 1950 if entry.code == "identity.birth-year" else value, by))
    return made


@dataclass
class House:
    """A household of which everything is known, and the emergency accesses to its file."""

    estate: Any
    body: dict[str, Any]
    openings: dict[str, str]

    async def read(self, thing: Thing, who: str, purpose: str) -> Any:
        """What somebody is answered who reads a thing of it."""
        path = thing.path.format(record_id=self.body["record_id"], file_id=self.body["file_id"])
        case = {"doorstep_case": self.openings[who]} if purpose == "emergency" and who in self.openings else {}
        return await self.estate.ask("GET", path, who, doorstep_purpose=purpose, **case)


@pytest.fixture(scope="module")
async def house(estate: Any) -> House:
    """Recorded, decided, served and rated, so that every field of every answer has something to say."""
    rng, now = Random(5), datetime.now(UTC)  # noqa: S311
    woman = Town(rng, now.date()).resident(age=75, sex="female", relation="head")
    home = dwelling("清溪市幸福街道8号", stated(SubjectKind.DWELLING))
    stairs = place("8号楼道", stated(SubjectKind.PLACE))
    body = record(rng, (person(woman, stated(SubjectKind.PERSON)), home, stairs), now=now)
    codes = await estate.hand_in(body)
    path = f"/api/assessments/{body['record_id']}"
    needs = (await estate.ask("GET", path, "reviewer", doorstep_purpose="triage")).body["needs"]
    suggested = [one for one in needs if one["state"] == "suggested"]
    for one, word in zip(suggested, ("confirmed", "rejected"), strict=False):
        decision = {"id": str(uuid7()), "decision": word, "reason": "核实"}
        await estate.ask("POST", f"/api/needs/{one['need_id']}/decision", "reviewer", decision)
    await estate.flow()
    await share(estate, body["record_id"])
    for department, who in OFFICERS.items():
        await serve(estate, department, who)
    await estate.flow()
    (code,) = codes.values()
    for one in (await estate.ask("GET", f"/api/follow/{code}")).body["requests"]:
        rating = {"id": str(uuid7()), "ref": one["ref"], "solved": True, "stars": 5}
        await estate.ask("POST", f"/api/follow/{code}/ratings", None, rating)
    openings = {}
    for who, second in (
        ("another-collector", "reviewer-1"),
        ("reviewer", "supervisor-1"),
        ("supervisor", "reviewer-1"),
    ):
        for name in ("reviewer", "supervisor"):
            await estate.ask("GET", "/api/break-glass", name)
        opening = {"id": str(uuid7()), "reason": "danger-to-life", "second": second}
        assert (await estate.ask("POST", f"/api/files/{body['file_id']}/break-glass", who, opening)).status == 201
        openings[who] = opening["id"]
    await estate.flow()
    return House(estate, body, openings)


async def share(estate: Any, record_id: str) -> None:
    """The station adds a part for labour to what fire leads."""
    path = f"/api/requests?record_id={record_id}"
    listed = (await estate.ask("GET", path, "reviewer", doorstep_purpose="triage")).body["requests"]
    (lead, *_) = [one for one in listed if one["need_type"] == "fire-check"]
    part = {"id": str(uuid7()), "department": "labour", "need_type": "work-training", "consented": True}
    path = f"/api/requests/{lead['request_id']}/parts"
    assert (await estate.ask("POST", path, "reviewer", part, if_match='"1"')).status == 201


async def serve(estate: Any, department: str, who: str) -> None:
    """A department answers all that it was sent."""
    path = f"/api/departments/{department}/requests"
    for one in (await estate.ask("GET", path, who, doorstep_purpose="service")).body["requests"]:
        for version, said in enumerate(STEPS, start=1):
            step, match = {"id": str(uuid7()), **said}, f'"{version}"'
            if department in ATTESTED and said["to"] == "completed":
                step["attests"] = [{**ATTESTED[department], "since": datetime.now(UTC).isoformat()}]  # type: ignore[assignment]
            answer = await estate.ask("POST", f"{path}/{one['ref']}/transitions", who, step, if_match=match)
            assert answer.status == 200, answer.body


OF_THE_STATION = [path for path in things() if "{department}" not in path]


@pytest.mark.parametrize("path", OF_THE_STATION)
async def test_everybody_sees_the_fields_of_the_page_for_every_purpose_and_no_other(house: House, path: str) -> None:
    thing, answered = things()[path], 0
    for who in PEOPLE:
        for purpose in map(str, Purpose):
            answer = await house.read(thing, who, purpose)
            row = thing.rows.get((ROLES.get(who, who), purpose))
            if row is None:
                assert answer.status in (403, 404) or answer.body == {"requests": []}, (who, purpose)
                assert not paths(answer.body) & thing.fields
                continue
            answered += 1
            assert answer.status == 200, (who, purpose, answer.body)
            assert told(answer.body) == row, (who, purpose)
            assert paths(answer.body) == thing.fields, (who, purpose, paths(answer.body) ^ thing.fields)
            assert nulls(answer.body) <= thing.unset, (who, purpose)
    assert answered == len(thing.rows)


@pytest.mark.parametrize("department", sorted(OFFICERS))
async def test_a_department_sees_the_fields_of_its_feed_for_service_and_no_other(house: House, department: str) -> None:
    thing, feed = things()["/api/departments/{department}/requests/{ref}"], FEEDS[Department(department)]
    requests, asked = f"/api/departments/{department}/requests", set()
    listed = await house.estate.ask("GET", requests, OFFICERS[department], doorstep_purpose="service")
    assert nulls(listed.body) == set()
    for one in listed.body["requests"]:
        shown = await house.estate.ask(
            "GET", f"{requests}/{one['ref']}", OFFICERS[department], doorstep_purpose="service"
        )
        own = {path for path in paths(shown.body) if path.startswith("offer.")} - thing.fields
        facts = {"offer.facts.code", "offer.facts.value"}
        assert paths(shown.body) - own <= thing.fields | thing.unset
        assert own <= {f"offer.{name}" for name in feed.fields} | facts
        assert told(shown.body) <= feed.fact_kinds
        assert nulls(shown.body) == set()
        asked |= paths(shown.body)
    assert thing.fields <= asked
    for who, purpose in ((name, why) for name in (*PEOPLE, *OFFICERS.values()) for why in ("service", "triage")):
        if (who, purpose) != (OFFICERS[department], "service"):
            path = f"{requests}/{listed.body['requests'][0]['ref']}"
            answer = await house.estate.ask("GET", path, who, doorstep_purpose=purpose)
            assert answer.status in (403, 404), (who, purpose)


@pytest.mark.parametrize("department", sorted(OFFICERS))
async def test_a_department_is_told_in_fhir_the_elements_of_the_page_and_no_fact(house: House, department: str) -> None:
    thing = things()["/api/departments/{department}/requests/{ref}/fhir"]
    path, who = f"/api/departments/{department}/requests", OFFICERS[department]
    listed = (await house.estate.ask("GET", path, who, doorstep_purpose="service")).body["requests"]
    assert listed
    for one in listed:
        address = f"{path}/{one['ref']}/fhir"
        answer = await house.estate.ask("GET", address, who, doorstep_purpose="service")
        resources = {entry["resource"]["resourceType"]: entry["resource"] for entry in answer.body["entry"]}
        assert thing.fields <= paths(resources) <= thing.fields | thing.unset
        assert (told(resources), nulls(resources)) == (set(), set())
        held = {str(value) for name, value in one["offer"].items() if name in CARD_FIELDS}
        assert not [value for value in held if value in answer.raw.decode()]
        for other, purpose in ((name, why) for name in (*PEOPLE, *OFFICERS.values()) for why in ("service", "triage")):
            if (other, purpose) != (who, "service"):
                refused = await house.estate.ask("GET", address, other, doorstep_purpose=purpose)
                assert refused.status in (403, 404), (other, purpose)


async def test_that_a_fact_is_not_known_is_told_to_whom_alone_would_see_it(estate: Any) -> None:
    rng, now = Random(6), datetime.now(UTC)  # noqa: S311
    woman = Town(rng, now.date()).resident(age=75, sex="female", relation="head")
    body = record(rng, (person(woman, [Statement("living.alone", True)]),), now=now)
    await estate.hand_in(body)
    found = {}
    for purpose in ("triage", "follow-up"):
        path = f"/api/assessments/{body['record_id']}"
        (subject,) = (await estate.ask("GET", path, "reviewer", doorstep_purpose=purpose)).body["subjects"]
        found[purpose] = {code for gap in subject["not_evaluated"] for code in gap["missing"]}
    assert found["triage"] - found["follow-up"] == {"health.chronic-illness"}
    assert "work.wages-unpaid" in found["follow-up"]


async def test_what_was_read_and_comes_back_wipes_nothing_that_was_not_seen(house: House) -> None:
    """A reviewer sees no health fact, who sends a record sees nothing: the file keeps what they leave out."""
    file = things()["/api/files/{file_id}"]
    before = (await house.read(file, "supervisor", "emergency")).body["subjects"]
    shown = (await house.read(file, "reviewer", "triage")).body["subjects"]
    subjects = []
    for one in shown:
        facts = [
            {**{name: fact[name] for name in STATED}, "fact_id": str(uuid4())}
            for fact in one["facts"]
            if "attested_by" not in fact
        ]
        subjects.append({**{name: one[name] for name in LEAST if name in one}, "facts": facts})
    (her,) = [one for one in subjects if one["kind"] == "person"]
    others = [one for one in subjects if one is not her]
    silent = [{**one, "facts": []} for one in others]
    anew = [{**her, "subject_id": str(uuid4())}, *others]
    for sent, status in ((subjects, 422), (silent, 201), (anew, 201)):  # a person is a mention of its own
        body = {**house.body, "record_id": str(uuid7()), "household": "known", "subjects": sent}
        assert (await house.estate.ask("POST", "/api/records", "collector", body)).status == status
        await house.estate.flow()
    after = (await house.read(file, "supervisor", "emergency")).body["subjects"]
    assert {name: card for name, card in cards(after).items() if name in cards(before)} == cards(before)
    assert {fact["fact_id"] for one in before for fact in one["facts"]} <= {
        fact["fact_id"] for one in after for fact in one["facts"]
    }


def cards(subjects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """How each subject is named and reached."""
    return {one["subject_id"]: {name: one[name] for name in CARD_FIELDS if name in one} for one in subjects}


def test_no_call_replaces_what_was_read(estate: Any) -> None:
    """What is put is one's own keys, ties, exclusions, directory, templates, guardian, or a document: no record."""
    replacing = {
        path
        for name in SERVICES
        for path, methods in estate.desks[name].call.app.openapi()["paths"].items()
        if {"put", "patch", "delete"} & set(methods)
    }
    assert replacing == {
        "/api/departments/{department}/keys/{kid}", "/api/departments/{department}/endpoint", "/api/log/ties",
        "/api/exclusions", "/api/files/{file_id}/subjects/{subject_id}/exclusions", "/api/proxies",
        "/api/resident/account", "/api/resident/exclusions", "/api/directories/{version}",
        "/api/follow/{code}/notices", "/api/files/{file_id}/subjects/{subject_id}/guardian",
        "/api/departments/{department}/requests/{ref}/documents/{document_id}",
        "/api/departments/{department}/templates/{template}/{version}",
    }  # fmt: skip
