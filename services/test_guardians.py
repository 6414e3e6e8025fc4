"""Guardians of children: what they see by a code and through a portal, what they do not, and how it ends.

A mother, a father who heads the household, and children; the mother is recorded as guardian.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.audit.queries import Trusted
from doorstep.contracts.codes import SaidBy
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.registry import GuardianGrant, GuardianRecorded
from doorstep.kit.consumer import Received
from doorstep.local.neighbourhood import Town
from doorstep.local.records import Statement, dwelling, person, record
from doorstep.registry.schemas import PLACE

WHY = "resident-request"
GUARDIAN = SaidBy.GUARDIAN
TRAINING, LEGAL, DOCTOR = (
    Statement(f"wish.{one}", True, GUARDIAN) for one in ("work-training", "legal-aid", "health-advice")
)
NOBODY = "0000-0000-0000-0000"


class Family:
    """Mother, father and a child, by number 0, 1, 2, and the records taken of them."""

    def __init__(self, estate: Any, seed: int, age: int = 9) -> None:
        self.estate, self.rng, self.now = estate, Random(seed), datetime.now(UTC)  # noqa: S311
        town = Town(self.rng, self.now.date())
        ages = (("female", 38), ("male", 40), ("female", age))
        self.people = [town.resident(age=years, sex=sex, relation="head") for sex, years in ages]
        self.seed = seed
        self.bodies: list[dict[str, Any]] = []
        self.codes: list[dict[str, str]] = []

    async def visited(self, *stated: Statement, without: tuple[str, ...] = ()) -> None:
        """Another record; `stated` is what was stated of the child, `without` what the child's card lacks."""
        subjects = [person(one, stated if place == 2 else ()) for place, one in enumerate(self.people)]
        body = record(self.rng, (*subjects, dwelling(f"清溪市幸福街道童{self.seed}号", ())), now=self.now)
        for name in without:
            del body["subjects"][2][name]
        if self.bodies:
            body |= {"file_id": self.file_id, "household": "known"}
            body["subjects"][-1]["subject_id"] = self.bodies[0]["subjects"][-1]["subject_id"]
        self.bodies.append(body)
        self.codes.append(await self.estate.hand_in(body))

    @property
    def file_id(self) -> str:
        """The file of the household."""
        return str(self.bodies[0]["file_id"])

    def mention(self, who: int, of: int = 0) -> str:
        """The id of one of them in a record."""
        return str(self.bodies[of]["subjects"][who]["subject_id"])

    def code(self, who: int = 2, of: int = 0) -> str:
        """The code on a receipt, the child's if not said otherwise."""
        return self.codes[of][self.mention(who, of)]

    async def said(self, method: str, tail: str, body: Any, why: str, who: str = "reviewer", of: int = 2) -> Any:
        """What the station is answered that says something about the guardian."""
        path = f"/api/files/{self.file_id}/subjects/{self.mention(of)}/guardian{tail}"
        answer = await self.estate.ask(method, path, who, {"id": str(uuid7())} | body, doorstep_purpose=why)
        await self.estate.flow()
        return answer

    async def guarded(self, by: int = 0, of: int = 2, *, who: str = "reviewer", **more: Any) -> Any:
        """Have one of them recorded as the guardian."""
        return await self.said("PUT", "", {"guardian": self.mention(by), "basis": "parent"} | more, WHY, who, of)

    async def suspended(self, *, who: str = "reviewer", **more: Any) -> Any:
        """Have the guardian suspended."""
        return await self.said("POST", "/suspension", {"reason": "danger-of-violence"} | more, "follow-up", who)

    async def shown(self, code: str) -> tuple[Any, Any]:
        """What a code shows: requests, and who looked."""
        followed = await self.estate.ask("GET", f"/api/follow/{code}")
        return followed.body, (await self.estate.ask("POST", "/api/usage", None, {"code": code})).body

    async def portal(self, by: int = 0, of: int = 2) -> Any:
        """What a portal is answered that identified one of them and asks for another."""
        asking, asked = (f"CN{self.people[one].resident_id}" for one in (by, of))
        path = f"/api/dumonitor/v2/findUsage?userCode={asked}"
        return await self.estate.ask("GET", path, "portal", x_road_userid=asking)

    async def look(self) -> None:
        """The station reads the file."""
        answer = await self.estate.ask("GET", f"/api/files/{self.file_id}", "reviewer", doorstep_purpose="triage")
        assert answer.status == 200


@pytest.fixture(scope="module", autouse=True)
async def open_log(estate: Any) -> None:
    """The log answers who looked."""
    state = estate.desks["audit"].call.app.state
    state.verifier_keys, state.trusted = ("key",), Trusted()


@pytest.fixture(scope="module")
async def family(estate: Any) -> tuple[Family, str]:
    """A child for whom training, legal aid and a doctor were asked; the mother is recorded, then visited again."""
    family = Family(estate, 81)
    await family.visited(TRAINING, LEGAL, DOCTOR)
    await family.look()
    answer = await family.guarded()
    assert answer.status == 200, answer.body
    await family.visited(TRAINING)
    await family.look()
    return family, str(answer.body["guardian_code"])


async def test_a_guardian_follows_what_is_open_and_nothing_confidential(estate: Any, family: Any) -> None:
    """Of two records the two requests for training; not legal aid and the doctor, which the child's code shows."""
    made, code = family
    followed, _ = await made.shown(code)
    assert [one["state"] for one in followed["requests"]] == ["requested"] * 2
    own = (await made.shown(made.code()))[0]["requests"]
    assert len(own) == 2  # training and the doctor
    rating = {"id": str(uuid7()), "ref": followed["requests"][0]["ref"], "solved": True, "stars": 5}
    assert (await estate.ask("POST", f"/api/follow/{code}/ratings", None, rating)).status == 404
    logged = await estate.desks["referral"].logged(made.mention(2))
    assert [one["outcome"] for one in logged if one["action"] == "follow-request"][:1] == ["by-guardian"]


async def test_a_guardian_sees_who_looked_by_code_and_through_a_portal(family: Any) -> None:
    """What a follow code tells, of all mentions of the child; nothing that departments with a telling name did."""
    made, code = family
    _, usages = await made.shown(code)
    assert len(usages["usages"]) > len((await made.shown(made.code()))[1]["usages"]) > 0
    through = await made.portal()
    assert (through.status, through.body["totalUsages"]) == (200, len(usages["usages"]))
    assert "法律" not in through.raw.decode()


async def test_whoever_heads_the_household_or_is_anybody_is_no_guardian(family: Any) -> None:
    """The father is answered for the child like for a number that nobody has, and so is the mother for the father."""
    made, _ = family
    answers = [await made.portal(*pair) for pair in ((1, 2), (0, 1), (2, 0))]
    assert {one.status for one in answers} == {400}
    assert len({one.raw for one in answers}) == 1
    assert answers[0].body["type"].endswith("not-oneself")


async def test_who_is_the_guardian_lies_under_the_childs_key_and_is_logged_under_the_child(
    estate: Any, family: Any
) -> None:
    """No column anywhere has the guardian's paper, the basis, the code or the birthday in the clear."""
    made, code = family
    logged = [
        one for one in await estate.desks["registry"].logged(made.mention(2)) if one["action"] == "record-guardian"
    ]
    assert [(one["outcome"], one["actor"], one["purpose"]) for one in logged] == [("parent", "reviewer-1", WHY)]
    born = made.people[2].born
    until = f"{born.year + 14}-{born:%m-%d}"
    for name, desk in estate.desks.items():
        for table in {row.relname for row in await desk.rows("SELECT relname FROM pg_stat_user_tables")}:
            query = f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE ANY(:words)'  # noqa: S608
            texts = (code, made.people[0].resident_id, until)
            words = [f"%{one}%" for text in texts for one in (text, text.encode().hex())]
            assert await desk.value(query, words=words) == 0, (name, table)


@pytest.mark.parametrize(
    ("by", "of", "who", "problem"),
    [
        (0, 1, "reviewer", "old-enough"),
        (2, 2, "reviewer", "guardian-too-young"),
        (3, 2, "reviewer", "subject-unknown"),
        (0, 3, "reviewer", "subject-unknown"),
        (0, 2, "reviewer-elsewhere", "file-unknown"),
        (0, 2, "supervisor", "forbidden"),
        (0, 2, "collector", "forbidden"),
    ],
    ids=["of-an-adult", "by-the-child", "by-a-dwelling", "of-a-dwelling", "elsewhere", "supervisor", "collector"],
)
async def test_who_is_no_child_or_no_guardian_is_refused(family: Any, by: int, of: int, who: str, problem: str) -> None:
    made, code = family
    answer = await made.guarded(by, of, who=who)
    assert answer.body["type"].endswith(problem), answer.body
    assert len((await made.shown(code))[0]["requests"]) == 2


async def test_the_age_is_that_of_the_paper_else_of_the_year_else_unknown(estate: Any) -> None:
    """Without paper and year nobody is taken for a child; with a year, up to the end of the year."""
    made = Family(estate, 82)
    await made.visited(without=("document_kind", "document_number"))
    assert (await made.guarded()).body["type"].endswith("age-unknown")
    of_year = Family(estate, 83)
    year = Statement("identity.birth-year", datetime.now(PLACE).year - 14, GUARDIAN)
    await of_year.visited(TRAINING, year, without=("document_kind", "document_number"))
    assert (await of_year.guarded()).status == (200 if datetime.now(PLACE).strftime("%m-%d") < "12-31" else 409)


async def test_sent_again_it_is_the_same_code_and_a_new_guardian_takes_the_place_of_the_old(estate: Any) -> None:
    made, command = Family(estate, 84), str(uuid7())
    await made.visited(TRAINING)
    first, again = [await made.guarded(id=command) for _ in range(2)]
    assert first.body == again.body
    assert (await made.guarded(1, id=command)).status == 409
    father = (await made.guarded(1)).body["guardian_code"]
    counts = [len((await made.shown(one))[0]["requests"]) for one in (first.body["guardian_code"], father)]
    assert counts == [0, 1]
    assert [(await made.portal(by)).status for by in (0, 1)] == [400, 200]


async def test_a_suspended_guardian_is_answered_as_if_there_were_no_child(estate: Any) -> None:
    """By their code, the codes on the child's receipts, a proxy named by one of these, and a portal; later too."""
    made = Family(estate, 85)
    await made.visited(TRAINING)
    await made.look()
    code = (await made.guarded()).body["guardian_code"]
    until = (datetime.now(PLACE) + timedelta(days=30)).date().isoformat()
    grant = {"scopes": ["follow-requests", "see-usage"], "until": until, "alone": True}
    proxy = (await estate.ask("PUT", "/api/proxies", None, {"code": made.code(), "proxy": grant})).body["proxy_code"]
    await estate.flow()
    assert [len((await made.shown(one))[0]["requests"]) for one in (code, made.code(), proxy)] == [1, 1, 1]
    before = await made.portal()
    assert before.status == 200
    answer = await made.suspended()
    assert (answer.status, list(answer.body)) == (201, ["suspended_at"])
    await made.visited(TRAINING)
    stranger, nobody = await made.portal(1), await made.shown(NOBODY)
    for one in (code, made.code(), proxy, made.code(of=1)):
        assert await made.shown(one) == nobody
        ref = str(uuid4())
        rating = {"id": str(uuid7()), "ref": ref, "solved": True, "stars": 5}
        assert (await estate.ask("POST", f"/api/follow/{one}/ratings", None, rating)).status == 404
        asked = {"id": str(uuid7()), "code": one, "service": "work-training"}
        assert (await estate.ask("POST", "/api/own-requests", None, asked)).status == 404
        choice = await estate.ask("PUT", f"/api/follow/{one}/notices", None, {"channel": "sms"})
        assert (
            choice.status == (await estate.ask("PUT", f"/api/follow/{NOBODY}/notices", None, {"channel": "sms"})).status
        )
    assert await estate.desks["referral"].rows("SELECT 1 FROM notice_choice") == []
    later = await made.portal()
    assert (later.status, later.raw, later.headers.keys()) == (stranger.status, stranger.raw, stranger.headers.keys())
    for one in (made.code(), made.code(of=1)):
        named = (await estate.ask("PUT", "/api/proxies", None, {"code": one, "proxy": grant})).body["proxy_code"]
        await estate.flow()
        assert await made.shown(named) == nobody
    own = f"CN{made.people[2].resident_id}"
    path = f"/api/dumonitor/v2/findUsage?userCode={own}"
    assert (await estate.ask("GET", path, "portal", x_road_userid=own)).body["totalUsages"] > 0
    logged = [
        one for one in await estate.desks["registry"].logged(made.mention(2)) if one["action"] == "suspend-guardian"
    ]
    assert [(one["outcome"], one["actor"]) for one in logged] == [("danger-of-violence", "reviewer-1")]


async def test_a_suspended_guardian_is_not_recorded_again_another_one_is(estate: Any) -> None:
    """And what was closed stays closed: the other sees by a code of their own, not by the child's receipts."""
    made = Family(estate, 86)
    await made.visited(TRAINING)
    assert (await made.suspended()).body["type"].endswith("guardian-unknown")
    await made.guarded()
    command = str(uuid7())
    first, again = [await made.suspended(id=command) for _ in range(2)]
    assert (first.status, first.body) == (again.status, again.body)
    assert (await made.suspended()).status == 201
    assert (await made.guarded()).body["type"].endswith("guardian-suspended")
    assert [(await made.suspended(who=who)).status for who in ("collector", "supervisor", "reviewer-elsewhere")] == [
        403, 403, 404,
    ]  # fmt: skip
    father = (await made.guarded(1)).body["guardian_code"]
    assert len((await made.shown(father))[0]["requests"]) == 1
    assert await made.shown(made.code()) == await made.shown(NOBODY)


async def test_it_ends_on_the_day_the_child_is_fourteen_and_nothing_fires_it(estate: Any) -> None:
    """The services read the day when they are asked; what is not theirs to answer is answered like an unknown code."""
    made = Family(estate, 87)
    await made.visited(TRAINING)
    code = (await made.guarded()).body["guardian_code"]
    ring = await estate.desks["registry"].vault.ring([UUID(made.mention(2))])
    for over, requests, status in ((timedelta(minutes=5), 1, 200), (timedelta(0), 0, 400)):
        now = datetime.now(UTC)
        number = str(made.people[0].resident_id)
        grant = GuardianGrant(code=code, until=now + over, document_kind="resident-id", document_number=number)
        event = GuardianRecorded(
            file_id=UUID(made.file_id),
            subject_id=UUID(made.mention(2)),
            grant=ring.seal(UUID(made.mention(2)), grant),
            recorded_at=now,
        )
        envelope = Envelope(id=uuid4(), source="registry", type=event.event_type, time=now, key=event.file_id)
        for group in ("referral", "audit"):
            await estate.take(group, [Received(envelope, event, "registry.proxies", b"{}")])
        assert len((await made.shown(code))[0]["requests"]) == requests
        assert (await made.portal()).status == status
    assert await made.shown(code) == await made.shown(NOBODY)


async def test_a_guardian_sees_nothing_any_more_of_a_child_that_left(estate: Any) -> None:
    """The mother's code, which may lie at home, opens nothing; with the child in a new file she is recorded anew."""
    made = Family(estate, 88)
    await made.visited(TRAINING)
    code = (await made.guarded()).body["guardian_code"]
    path, body = f"/api/files/{made.file_id}/subjects/{made.mention(2)}/departure", {"id": str(uuid7())}
    body |= {"together": [made.mention(0)]}
    left = (await estate.ask("POST", path, "reviewer", body, doorstep_purpose=WHY)).body
    await estate.flow()
    assert await made.shown(code) == await made.shown(NOBODY)
    assert (await made.portal()).status == 400
    path = f"/api/files/{left['file_id']}/subjects/{made.mention(2)}/guardian"
    body = {"id": str(uuid7()), "guardian": made.mention(0), "basis": "parent"}
    again = await estate.ask("PUT", path, "reviewer", body, doorstep_purpose=WHY)
    await estate.flow()
    assert len((await made.shown(again.body["guardian_code"]))[0]["requests"]) == 1


async def test_with_an_address_that_is_sealed_or_a_mention_that_is_erased_a_guardian_can_be_suspended_all_the_same(
    estate: Any,
) -> None:
    """What is kept of the guardian goes along to the person, and the key, that are left."""
    made = Family(estate, 89)
    await made.visited(TRAINING)
    code = (await made.guarded()).body["guardian_code"]
    await made.visited(TRAINING, Statement("contact.sealed-address", True, GUARDIAN))
    assert len((await made.shown(code))[0]["requests"]) == 2
    erasure, path = str(uuid7()), f"/api/files/{made.file_id}/subjects/{made.mention(2)}/erasure"
    await estate.ask("POST", path, "reviewer", {"id": erasure}, doorstep_purpose=WHY)
    path, body = f"/api/erasures/{erasure}/confirmation", {"id": str(uuid7())}
    assert (await estate.ask("POST", path, "supervisor", body, doorstep_purpose=WHY)).status == 202
    await estate.flow()
    assert len((await made.shown(code))[0]["requests"]) == 1
    for name in ("referral", "audit"):
        assert await estate.desks[name].value("SELECT count(*) FROM guardian WHERE recorded_at < now()") > 0
    path = f"/api/files/{made.file_id}/subjects/{made.mention(2, 1)}/guardian/suspension"
    body = {"id": str(uuid7()), "reason": "neglect"}
    assert (await estate.ask("POST", path, "reviewer", body, doorstep_purpose="follow-up")).status == 201
    await estate.flow()
    assert await made.shown(code) == await made.shown(NOBODY)
