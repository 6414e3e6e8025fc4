"""Leaving a household: who goes has a new file, which nobody of the old one, and no two departments, can join to it.

A woman and her husband live together; she asks for help, names a proxy, links an account, and leaves. What each of the
old household holds is tried before and after.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import orjson
import pytest
from uuid_utils.compat import uuid7

from doorstep.audit.queries import Trusted
from doorstep.local.neighbourhood import Town
from doorstep.local.records import Statement, dwelling, person, record
from doorstep.registry.schemas import PLACE

IDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WAGES, LEGAL, DOCTOR = (Statement(f"wish.{one}", True) for one in ("wage-help", "legal-aid", "health-advice"))
ALONE = Statement("living.alone", True)
WHY = "resident-request"


class Home:
    """A woman and a man at one address, the records taken there, and the codes on their receipts."""

    def __init__(self, estate: Any, seed: int) -> None:
        self.estate, self.rng, self.now = estate, Random(seed), datetime.now(UTC)  # noqa: S311
        town = Town(self.rng, self.now.date())
        self.woman, self.man = (town.resident(age=40, sex=sex, relation="head") for sex in ("female", "male"))
        self.address = f"清溪市幸福街道离{seed}号"
        self.bodies: list[dict[str, Any]] = []
        self.codes: list[dict[str, str]] = []

    async def visited(self, woman: Iterable[Statement] | None, man: Iterable[Statement] = ()) -> None:
        """Another record of both, or of him alone."""
        people = [person(self.man, man)] + ([] if woman is None else [person(self.woman, woman)])
        body = record(self.rng, (*people, dwelling(self.address, ())), now=self.now)
        if self.bodies:
            body |= {"file_id": self.bodies[0]["file_id"], "household": "known"}
            body["subjects"][-1]["subject_id"] = self.bodies[0]["subjects"][-1]["subject_id"]
        self.bodies.append(body)
        self.codes.append(await self.estate.hand_in(body))

    @property
    def file_id(self) -> str:
        """The file of the household."""
        return str(self.bodies[0]["file_id"])

    def mention(self, who: int, of: int = 0) -> str:
        """The id of the man, 0, or of the woman, 1, in a record."""
        return str(self.bodies[of]["subjects"][who]["subject_id"])

    def code(self, who: int, of: int = 0) -> str:
        """The code on a receipt."""
        return self.codes[of][self.mention(who, of)]

    async def leave(self, command: UUID | None = None, *, who: str = "reviewer", **body: Any) -> Any:
        """Have it noted that she left."""
        path = f"/api/files/{self.file_id}/subjects/{self.mention(1)}/departure"
        answer = await self.estate.ask("POST", path, who, {"id": str(command or uuid7())} | body, doorstep_purpose=WHY)
        await self.estate.flow()
        return answer

    async def file(self, file_id: str, who: str = "reviewer") -> Any:
        """A file as a reviewer is answered."""
        return await self.estate.ask("GET", f"/api/files/{file_id}", who, doorstep_purpose="triage")

    async def listed(self, department: str) -> list[Any]:
        """What a department has of her."""
        path = f"/api/departments/{department}/requests"
        found = (await self.estate.ask("GET", path, department, doorstep_purpose="service")).body["requests"]
        return [one for one in found if one["offer"].get("name") == self.woman.name]

    async def moved(self, department: str, ref: str, version: int, to: str) -> Any:
        """A department's next step."""
        path = f"/api/departments/{department}/requests/{ref}"
        await self.estate.ask("GET", path, department, doorstep_purpose="service")
        body = {"id": str(uuid7()), "to": to}
        answer = await self.estate.ask("POST", f"{path}/transitions", department, body, if_match=f'"{version}"')
        await self.estate.flow()
        return answer

    async def shown(self, code: str) -> tuple[Any, Any]:
        """What a code shows: requests, and who looked."""
        followed = await self.estate.ask("GET", f"/api/follow/{code}")
        return followed.body, (await self.estate.ask("POST", "/api/usage", None, {"code": code})).body


@pytest.fixture(scope="module", autouse=True)
async def open_log(estate: Any) -> None:
    """The log answers who looked."""
    state = estate.desks["audit"].call.app.state
    state.verifier_keys, state.trusted = ("key",), Trusted()


@pytest.fixture(scope="module")
async def left(estate: Any) -> tuple[Home, dict[str, Any]]:
    """She asked labour for help, named a proxy, and left; then the station took a record of her at the new place."""
    home = Home(estate, 71)
    await home.visited([WAGES, ALONE], [WAGES])
    await home.visited([])
    [labour] = await home.listed("labour")
    await home.moved("labour", labour["ref"], 1, "accepted")
    until = (datetime.now(PLACE) + timedelta(days=30)).date().isoformat()
    grant = {"scopes": ["follow-requests", "see-usage"], "until": until, "alone": True}
    named = await estate.ask("PUT", "/api/proxies", None, {"code": home.code(1), "proxy": grant})
    await estate.flow()
    proxy = named.body["proxy_code"]
    assert len((await home.shown(proxy))[0]["requests"]) == 1
    before = {"man": await home.shown(home.code(0)), "labour": labour, "proxy": proxy}
    before["positions"] = {name: await desk.value("SELECT coalesce(max(position), 0) FROM outbox")
                           for name, desk in estate.desks.items()}  # fmt: skip
    answer = await home.leave()
    assert answer.status == 201, answer.body
    body = record(home.rng, (person(home.woman, [DOCTOR, LEGAL]), dwelling("清溪市新家路9号", ())), now=home.now)
    body |= {"file_id": answer.body["file_id"], "household": "known"}
    codes = await estate.hand_in(body)
    after = {"man later": await home.shown(home.code(0))}
    return home, before | after | {"noted": answer.body, "new": body, "codes": codes}


async def test_the_new_file_has_what_was_hers_and_the_old_one_nothing_of_her(left: Any) -> None:
    home, told = left
    old, new = (await home.file(home.file_id)).body, (await home.file(told["noted"]["file_id"])).body
    assert [one.get("name") for one in old["subjects"] if one["kind"] == "person"] == [home.man.name] * 2
    hers = [one for one in new["subjects"] if one["kind"] == "person"]
    assert [one["name"] for one in hers] == [home.woman.name] * 3
    assert len({one["person_id"] for one in hers}) == 1
    assert "living.alone" in str(new)
    assert home.address in str(old)
    assert home.address not in str(new)


async def test_no_answer_about_one_file_names_anything_of_the_other(left: Any) -> None:
    """No id of a record, a person or a file that a reviewer reads of the one is in the other."""
    home, told = left
    old, new = [
        set(IDS.findall((await home.file(one)).raw.decode())) for one in (home.file_id, told["noted"]["file_id"])
    ]
    assert old & new == set()
    records = {body["record_id"] for body in home.bodies}
    assert not records & new


async def test_whoever_stayed_is_shown_what_they_were_shown_before(estate: Any, left: Any) -> None:
    """By their own code nothing changes; the codes on her receipts, which lie at home, open nothing any more."""
    home, told = left
    assert told["man later"] == told["man"]
    nobody = await home.shown("0000-0000-0000-0000")
    for of in (0, 1):
        assert await home.shown(home.code(1, of)) == nobody
    assert await home.shown(told["proxy"]) == nobody
    rating = {"id": str(uuid7()), "ref": told["labour"]["ref"], "solved": True, "stars": 5}
    assert (await estate.ask("POST", f"/api/follow/{home.code(1)}/ratings", None, rating)).status == 404
    grant = {"scopes": ["see-usage"], "until": str(datetime.now(PLACE).date()), "alone": True}
    named = await estate.ask("PUT", "/api/proxies", None, {"code": home.code(1), "proxy": grant})
    await estate.flow()
    assert await home.shown(named.body["proxy_code"]) == nobody


async def test_what_is_owed_to_her_goes_on_under_the_new_file(estate: Any, left: Any) -> None:
    """Same department, deadlines and ids; she follows it by the new code; events have the new key."""
    home, told = left
    [labour] = await home.listed("labour")
    for name in ("ref", "due"):
        assert labour["offer"].get(name) == told["labour"]["offer"].get(name)
    assert labour["ref"] == told["labour"]["ref"]
    assert {name: labour["offer"][name] for name in ("respond_by", "complete_by")} == {
        name: told["labour"]["offer"][name] for name in ("respond_by", "complete_by")
    }
    assert (await home.moved("labour", labour["ref"], 2, "in-progress")).status == 200
    codes = {one["subject_id"]: one["follow_code"] for one in told["noted"]["codes"]}
    followed, usages = await home.shown(codes[home.mention(1)])
    assert [one["state"] for one in followed["requests"]] == ["in-progress"]
    assert usages["usages"]
    query = "SELECT key, body FROM outbox WHERE type = 'referral.task-transitioned.v1' ORDER BY position DESC LIMIT 1"
    [row] = await estate.desks["referral"].rows(query)
    assert (str(row.key), orjson.loads(bytes(row.body))["file_id"]) == (told["noted"]["file_id"],) * 2


async def test_where_she_lived_is_in_no_request_any_more_and_her_old_code_asks_for_nothing(
    estate: Any, left: Any
) -> None:
    """What she still owes an answer for says neither the address nor the phone that he has."""
    home, told = left
    before = told["labour"]["offer"]
    assert before.get("phone") or before.get("address")
    [labour] = await home.listed("labour")
    assert labour["ref"] == told["labour"]["ref"]
    assert (labour["offer"].get("phone"), labour["offer"].get("address")) == (None, None)
    spoken = await estate.told("referral", told["positions"]["referral"])
    assert home.address not in spoken
    body = {"id": str(uuid7()), "code": home.code(1), "service": "wage-help"}
    assert (await estate.ask("POST", "/api/own-requests", None, body)).status == 404


async def test_two_departments_cannot_join_what_they_received_before_and_after(estate: Any, left: Any) -> None:
    """One was told before she left, another after: no id is in both; nor is the file in either."""
    home, told = left
    before = orjson.dumps([told["labour"], *await home.listed("labour")]).decode()
    after = [orjson.dumps(await home.listed(one)).decode() for one in ("health", "justice")]
    assert all(len(one) > 100 for one in after)
    seen = [set(IDS.findall(one)) for one in (before, *after)]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
    files = {home.file_id, told["noted"]["file_id"]}
    pairwise = {str(estate.desks["referral"].vault.pairwise(name, one))
                for name in ("labour", "health", "justice") for one in files}  # fmt: skip
    assert not set().union(*seen) & (files | pairwise)


async def test_no_event_and_no_row_anywhere_names_both_files(estate: Any, left: Any) -> None:
    """What the registry alone keeps of it lies under her key."""
    home, told = left
    both = [home.file_id, told["noted"]["file_id"]]
    words = {f"w{place}{form}": f"%{one if form else UUID(one).hex}%"
             for place, one in enumerate(both) for form in (0, 1)}  # fmt: skip
    for name, desk in estate.desks.items():
        tables = {row.relname for row in await desk.rows("SELECT relname FROM pg_stat_user_tables")}
        for table in tables:
            query = (
                f'SELECT count(*) FROM "{table}" t WHERE (t::text LIKE :w00 OR t::text LIKE :w01)'  # noqa: S608
                " AND (t::text LIKE :w10 OR t::text LIKE :w11)"
            )
            assert await desk.value(query, **words) == 0, (name, table)
        spoken = (await estate.told(name, told["positions"][name])).splitlines()
        assert [line for line in spoken if all(one in line for one in both)] == [], name
    [kept] = await estate.desks["registry"].rows(
        "SELECT subject_id, content FROM departure WHERE subject_id = :id", id=home.mention(1)
    )
    ring = await estate.desks["registry"].vault.ring([kept.subject_id])
    opened = orjson.loads(ring.decrypt(kept.subject_id, f"departure.content:{kept.subject_id}", bytes(kept.content)))
    assert opened["former_file"] == home.file_id


async def test_whom_the_old_household_names_is_nobody_of_the_new_file(estate: Any, left: Any) -> None:
    """A later record at the old address that has her paper: another person, and its code touches nothing of hers."""
    home, told = left
    await home.visited([WAGES])
    theirs = (await home.file(home.file_id)).body["subjects"]
    hers = (await home.file(told["noted"]["file_id"])).body["subjects"]
    persons = [
        {one.get("person_id") for one in found if one.get("name") == home.woman.name} for found in (theirs, hers)
    ]
    assert len(persons[0]) == len(persons[1]) == 1
    assert persons[0] != persons[1]
    await estate.ask("PUT", "/api/exclusions", None, {"code": home.code(1, 2), "staff": ["reviewer-1"]})
    await estate.flow()
    assert (await home.file(home.file_id)).status == 404
    assert (await home.file(told["noted"]["file_id"])).status == 200
    await estate.ask("PUT", "/api/exclusions", None, {"code": home.code(1, 2), "staff": []})
    await estate.flow()
