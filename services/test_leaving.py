"""Leaving a household: who goes has a new file, which nobody of the old one, and no two departments, can join to it.

A woman and her husband live together; she asks for help, names a proxy, links an account, and leaves. What each of the
old household holds is tried before and after.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from uuid_utils.compat import uuid7

from doorstep.audit.queries import Trusted
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.registry import HouseholdLeft, MentionMoved
from doorstep.kit.consumer import Received
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
