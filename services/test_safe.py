"""Safe when asking for protection: who asks, alone, is on no page until they say how they are reached without danger.

And whom a person lets follow their matters: what a proxy's code opens, until when, and that nobody else can tell.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.audit.queries import Trusted
from doorstep.contracts.codes import ProxyScope
from doorstep.contracts.envelope import Envelope
from doorstep.contracts.registry import ProxyGrant, ProxyNamed, SubjectErased
from doorstep.kit.consumer import Received
from doorstep.local.neighbourhood import Town
from doorstep.local.records import Statement, dwelling, person, record
from doorstep.registry.schemas import PLACE

ALONE = Statement("contact.asked-alone", True)
PROTECTION = Statement("wish.protection-from-violence", True)
SAFE = {
    "channel": "message", "number": "16900009876", "hours_from": "22:00", "hours_to": "06:30", "cover": "图书馆还书",
}  # fmt: skip
WORDS = ("violence", "暴力", "asked-alone")


class Visit:
    """A woman, her dwelling, and what she stated when nobody else was there."""

    def __init__(self, estate: Any, seed: int) -> None:
        self.estate, self.rng, self.now = estate, Random(seed), datetime.now(UTC)  # noqa: S311
        self.woman = Town(self.rng, self.now.date()).resident(age=40, sex="female", relation="head")
        self.body: dict[str, Any] = {}
        self.code = ""

    async def taken(self, *stated: Statement, **card: Any) -> "Visit":
        """The record, as the collector handed it in; `card` is what else was said of her."""
        subjects = (person(self.woman, stated), dwelling("清溪市幸福街道一号", ()))
        self.body = record(self.rng, subjects, now=self.now)
        self.body["subjects"][0] |= card
        self.code = (await self.estate.hand_in(self.body))[self.subject]
        return self

    @property
    def subject(self) -> str:
        """Her id in the record."""
        return str(self.body["subjects"][0]["subject_id"])

    async def look(self, path: str) -> Any:
        """What a reviewer of the station reads of it."""
        path = path.format(record=self.body["record_id"], file=self.body["file_id"])
        answer = await self.estate.ask("GET", path, "reviewer", doorstep_purpose="triage")
        assert answer.status == 200, answer.body
        return answer.body

    async def journey(self) -> list[Any]:
        """The steps that a page shows."""
        return list((await self.look("/api/journeys/{record}"))["steps"])

    async def followed(self, code: str | None = None) -> list[Any]:
        """The requests that a code shows; hers if none is given."""
        return list((await self.estate.ask("GET", f"/api/follow/{code or self.code}")).body["requests"])

    async def offered(self, department: str = "justice") -> list[Any]:
        """What a department has of her."""
        path = f"/api/departments/{department}/requests"
        listed = (await self.estate.ask("GET", path, department, doorstep_purpose="service")).body["requests"]
        return [one for one in listed if one["offer"].get("name") == self.woman.name]

    async def serve(self, department: str, *steps: str) -> None:
        """The department reads what it has of her and moves it."""
        for one in await self.offered(department):
            path = f"/api/departments/{department}/requests/{one['ref']}"
            await self.estate.ask("GET", path, department, doorstep_purpose="service")
            for version, to in enumerate(steps, start=1):
                said = {"outcome": "service-provided"} if to == "completed" else {}
                body = {"id": str(uuid7()), "to": to, **said}
                moved = await self.estate.ask("POST", f"{path}/transitions", department, body, if_match=f'"{version}"')
                assert moved.status == 200, moved.body
        await self.estate.flow()

    async def name_proxy(self, scopes: Iterable[str] = ("follow-requests", "see-usage"), **change: Any) -> Any:
        """Name a proxy by her code; the answer."""
        until = (datetime.now(PLACE) + timedelta(days=30)).date().isoformat()
        proxy = {"scopes": list(scopes), "until": until, "alone": True} | change
        return await self.put({"code": self.code, "proxy": proxy})

    async def put(self, body: Any) -> Any:
        """Say by a code who is the proxy, and let everybody know."""
        answer = await self.estate.ask("PUT", "/api/proxies", None, body)
        await self.estate.flow()
        return answer


@pytest.fixture(scope="module", autouse=True)
async def open_log(estate: Any) -> None:
    """The log answers who looked."""
    state = estate.desks["audit"].call.app.state
    state.verifier_keys, state.trusted = ("key",), Trusted()


@pytest.fixture(scope="module")
async def silent(estate: Any) -> Visit:
    """She asked for protection and for help with wages, and named no safe contact; justice and labour served her."""
    visit = await Visit(estate, 51).taken(PROTECTION, Statement("wish.wage-help", True), ALONE)
    await visit.serve("justice", "accepted", "completed")
    await visit.serve("labour", "accepted")
    return visit


@pytest.fixture(scope="module")
async def reached(estate: Any) -> Visit:
    """She asked for protection, a doctor and help with wages, and said how she is reached."""
    wishes = (Statement("wish.health-advice", True), Statement("wish.wage-help", True))
    visit = await Visit(estate, 52).taken(PROTECTION, *wishes, ALONE, safe_contact=SAFE, asks_for=["home-visit"])
    await visit.serve("justice", "accepted", "completed")
    return visit


async def test_asked_in_company_it_is_refused_and_nothing_is_kept(estate: Any) -> None:
    visit = Visit(estate, 53)
    with pytest.raises(ValueError, match="facts/0/code") as refused:
        await visit.taken(PROTECTION, safe_contact=SAFE)
    assert [one["pointer"] for one in refused.value.args[0]["errors"]] == [
        "/subjects/0/safe_contact", "/subjects/0/facts/0/code",
    ]  # fmt: skip
    asked = await estate.ask("GET", f"/api/records/{visit.body['record_id']}", "reviewer", doorstep_purpose="triage")
    assert asked.status == 404


async def test_it_goes_to_justice_at_once_with_what_is_barred_and_without_the_phone_at_home(silent: Visit) -> None:
    (request,) = await silent.offered()
    offer = request["offer"]
    assert (offer["need_type"], offer["urgency"]) == ("protection-from-violence", "one-hour")
    due = datetime.fromisoformat(offer["respond_by"]) - silent.now
    assert timedelta(minutes=58) < due < timedelta(minutes=65)
    assert offer["barred"] == ["mediation", "joint-conference", "home-visit"]
    assert not {"phone", "safe_contact", "address"} & offer.keys()
    for department in ("health", "labour"):
        assert not {one["offer"]["need_type"] for one in await silent.offered(department)} - {"wage-help"}


async def test_without_a_safe_contact_it_is_on_no_page(silent: Visit) -> None:
    """Neither by her code nor on the page of the record's journey, and nothing there is missing in a row."""
    assert [one["state"] for one in await silent.followed()] == ["accepted"]
    steps = await silent.journey()
    assert [word for word in WORDS if word in str(steps)] == []
    kinds = ["recorded", "facts-asserted", "facts-asserted", "need-handed-on", "request-opened", "task-transitioned"]
    assert [step["kind"] for step in steps] == kinds
    assert {step["need"]["code"] for step in steps if "need" in step} == {"wage-help"}
    assert {step["department"]["code"] for step in steps if "department" in step} == {"labour"}


async def test_the_reviewer_who_reads_the_record_learns_of_it(silent: Visit) -> None:
    for path in ("/api/records/{record}", "/api/assessments/{record}", "/api/files/{file}"):
        assert "protection-from-violence" in str(await silent.look(path)), path


async def test_with_a_safe_contact_the_page_and_the_code_show_it_and_say_how_she_is_reached(reached: Visit) -> None:
    contact = {name: SAFE[name] for name in ("channel", "hours_from", "hours_to")}
    followed = await reached.followed()
    assert [(one["state"], one["reached_by"]) for one in followed if "reached_by" in one] == [("completed", contact)]
    shown = str(followed)
    assert SAFE["number"] not in shown
    assert SAFE["cover"] not in shown
    codes = [step["need"]["code"] for step in await reached.journey() if "need" in step]
    assert codes.count("protection-from-violence") == 2
    assert "asked-alone" not in str(await reached.journey())


async def test_the_department_that_helps_gets_the_safe_contact_and_no_other_does(reached: Visit) -> None:
    (request,) = await reached.offered()
    assert request["offer"]["safe_contact"] == SAFE
    assert request["offer"]["barred"] == ["mediation", "joint-conference"]
    for department in ("health", "labour"):
        (request,) = await reached.offered(department)
        assert not {"safe_contact", "barred"} & request["offer"].keys()
        assert request["offer"]["phone"] == reached.woman.phone


async def test_a_reviewer_sees_the_safe_contact_in_record_and_file(reached: Visit) -> None:
    for path in ("/api/records/{record}", "/api/files/{file}"):
        (woman,) = [one for one in (await reached.look(path))["subjects"] if one["subject_id"] == reached.subject]
        assert (woman["safe_contact"], woman["asks_for"]) == (SAFE, ["home-visit"]), path


async def test_a_safe_contact_is_open_nowhere(estate: Any, reached: Visit) -> None:
    """Not in an outbox, nor in a table: it lies under her key."""
    for name, desk in estate.desks.items():
        tables = await desk.rows("SELECT relname FROM pg_stat_user_tables")
        for table in {row.relname for row in tables}:
            query = f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE ANY(:words)'  # noqa: S608
            texts = (SAFE["number"], SAFE["cover"])
            words = [f"%{one}%" for text in texts for one in (text, text.encode().hex())]  # bytes are written in hex
            assert await desk.value(query, words=words) == 0, (name, table)


async def test_ids_and_times_on_a_page_tell_no_order(silent: Visit) -> None:
    """A step has a random id and a time of whole minutes; a request has a random id."""
    steps = await silent.journey()
    assert {UUID(step["step_id"]).version for step in steps} == {4}
    assert [step["at"][16:] for step in steps] == [":00.000000Z"] * len(steps)
    requests = (await silent.look("/api/requests?record_id={record}"))["requests"]
    assert {UUID(one["request_id"]).version for one in requests} == {4}
    assert not {"position"} & set().union(*steps)


async def test_a_proxy_follows_what_is_open_and_nothing_confidential(estate: Any, reached: Visit) -> None:
    """Of violence, legal aid and health a proxy sees nothing, although her own code shows it."""
    named = await reached.name_proxy()
    assert named.status == 200
    code = named.body["proxy_code"]
    assert len(await reached.followed()) == 3
    (labour,) = await reached.followed(code)
    assert labour["state"] == "requested"
    rating = {"id": str(uuid7()), "ref": labour["ref"], "solved": True, "stars": 5}
    rated = await estate.ask("POST", f"/api/follow/{code}/ratings", None, rating)
    assert rated.status == 404
    told = [one for one in await estate.desks["referral"].logged(reached.subject) if one["action"] == "follow-request"]
    assert told[-1]["outcome"] == "by-proxy"


async def test_a_proxy_sees_who_looked_as_a_paper_on_the_table_tells_it(estate: Any, reached: Visit) -> None:
    code = (await reached.name_proxy(["see-usage"])).body["proxy_code"]
    assert await reached.followed(code) == []
    own, theirs, nobodys = [
        (await estate.ask("POST", "/api/usage", None, {"code": one})).body["usages"]
        for one in (reached.code, code, "0000-0000-0000-0000")
    ]
    assert own == theirs
    assert len(own) > 2
    assert nobodys == []


async def test_who_is_proxy_is_told_to_nobody(estate: Any, reached: Visit) -> None:
    """Neither by an answer nor by what a code shows, and an unknown code is answered likewise."""
    await reached.put({"code": reached.code, "proxy": None})
    before = [(await reached.followed()), await estate.ask("POST", "/api/usage", None, {"code": reached.code})]
    named = await reached.name_proxy()
    after = [(await reached.followed()), await estate.ask("POST", "/api/usage", None, {"code": reached.code})]
    assert (before[0], before[1].body) == (after[0], after[1].body)
    grant = {"scopes": ["see-usage"], "until": str(datetime.now(PLACE).date()), "alone": True}
    unknown = await reached.put({"code": "0000-0000-0000-0000", "proxy": grant})
    assert unknown.status == named.status
    assert unknown.body.keys() == named.body.keys()
    assert await reached.followed(unknown.body["proxy_code"]) == []
    by_proxy = await reached.put({"code": named.body["proxy_code"], "proxy": None})
    assert by_proxy.body == {"proxy_code": None, "until": None}
    assert len(await reached.followed(named.body["proxy_code"])) == 1  # a proxy names nobody, and takes nothing back
    (entry, *_) = [one for one in await estate.desks["registry"].logged(reached.subject)
                   if one["action"] == "name-proxy"]  # fmt: skip
    assert (entry["purpose"], entry.get("actor")) == ("resident-request", None)


async def test_a_new_proxy_takes_the_place_of_the_old_and_a_revoked_one_opens_nothing(
    estate: Any, reached: Visit
) -> None:
    first, second = [(await reached.name_proxy()).body["proxy_code"] for _ in range(2)]
    assert [len(await reached.followed(one)) for one in (first, second)] == [0, 1]
    await reached.put({"code": reached.code, "proxy": None})
    assert await reached.followed(second) == []
    usage = await estate.ask("POST", "/api/usage", None, {"code": second})
    assert usage.body["usages"] == []


async def test_a_proxy_ends(estate: Any, reached: Visit) -> None:
    """At the end of its last day, in both services that show something by it."""
    named = (await reached.name_proxy()).body
    last = datetime.fromisoformat(named["until"]) - datetime.now(UTC)
    assert timedelta(days=30) < last <= timedelta(days=31)
    for name in ("referral", "audit"):
        assert await estate.desks[name].value("UPDATE proxy SET until = now() RETURNING 1") == 1
    assert await reached.followed(named["proxy_code"]) == []
    usage = await estate.ask("POST", "/api/usage", None, {"code": named["proxy_code"]})
    assert usage.body["usages"] == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"alone": False}, "alone"),
        ({"until": "2020-01-01"}, "until"),
        ({"until": "2099-01-01"}, "until"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes/0"),
    ],
    ids=["not-alone", "past", "longer-than-a-year", "no-scope", "unknown-scope"],
)
async def test_a_proxy_that_cannot_be_is_one_clear_error(reached: Visit, change: dict[str, Any], place: str) -> None:
    answer = await reached.name_proxy(**change)
    assert answer.status == 422
    assert [one["pointer"] for one in answer.body["errors"]] == [f"/proxy/{place}"]


async def test_a_proxy_goes_with_an_erased_subject_and_does_not_come_late(estate: Any) -> None:
    visit = await Visit(estate, 54).taken(Statement("wish.wage-help", True))
    await visit.name_proxy()
    subject = UUID(visit.subject)
    ring = await estate.desks["registry"].vault.ring([subject])
    grant = ProxyGrant(code="late", scopes=tuple(ProxyScope), until=datetime.now(UTC) + timedelta(days=1))
    late = ProxyNamed(file_id=uuid4(), subject_id=subject, grant=ring.seal(subject, grant), named_at=datetime.now(UTC))
    erased = SubjectErased(subject_id=subject, erasure_id=uuid4(), erased_at=datetime.now(UTC))
    before = {name: await estate.desks[name].value("SELECT count(*) FROM proxy") for name in ("referral", "audit")}
    for one in (erased, late):
        envelope = Envelope(id=uuid7(), source="test", type=one.event_type, time=datetime.now(UTC), key=uuid4())
        for name in before:
            await estate.take(name, [Received(envelope, one)])
    for name, count in before.items():
        assert await estate.desks[name].value("SELECT count(*) FROM proxy") == count - 1, name
