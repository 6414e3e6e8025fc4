"""Residents sign in: by a code that serves once, or by the account that one linked; and what ends that."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Channel, LegalBasis, Role, SaidBy
from doorstep.contracts.envelope import Envelope, Event
from doorstep.contracts.facts import Fact, SubjectKind
from doorstep.contracts.intake import Card, StatedFacts, VisitRecorded
from doorstep.contracts.registry import AssertedSubject, ExclusionsNamed, FactsAsserted, SubjectErased
from doorstep.gateway import queries
from doorstep.gateway.consumers import HANDLERS
from doorstep.gateway.operations import residents
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.consumer import Received

OURS = {"origin": "http://127.0.0.1:8600", "sec_fetch_site": "same-origin"}
STAFF = {
    "collector": Principal("collector-1", Role.COLLECTOR, "station", "station-7"),
    "colleague": Principal("collector-2", Role.COLLECTOR, "station", "station-7"),
    "elsewhere": Principal("collector-1", Role.COLLECTOR, "station", "station-9"),
    "community": Principal("collector-1", Role.COLLECTOR, "community-office", "station-7"),
    "reviewer": Principal("collector-1", Role.REVIEWER, "station", "station-7"),
    "supervisor": Principal("supervisor-1", Role.SUPERVISOR, "station", "station-7"),
    "resident": Principal("collector-1", Role.RESIDENT, "resident"),
}
CODE = "/api/resident/session"
ACCOUNT = "/api/resident/account"


@pytest.fixture(scope="module")
async def station(door: Any) -> Any:
    """The front door with staff of a station, who are called by name."""
    issued = door.service.authenticator

    async def verify(token: str) -> Principal:
        if "." in token:
            return await issued.verify(token)
        if token not in STAFF:
            raise NotAuthenticated
        return STAFF[token]

    door.service.authenticator = SimpleNamespace(verify=verify, signed=issued.signed)
    return door


class Visit:
    """A record of one person, taken by collector-1, and told to the gateway."""

    def __init__(self, door: Any, card: Card | None = None, *, person_id: UUID | None = None) -> None:
        self.door, self.card, self.person_id = door, card or Card(name="王秀英"), person_id or uuid4()
        self.record_id, self.file_id, self.person = uuid7(), uuid4(), uuid4()

    async def told(self, *, year: int | None = None, sealed: bool | None = None, at: datetime | None = None) -> "Visit":
        """What the gateway is told of it."""
        ring, now = await self.door.vault.ring([self.person], create=True), at or datetime.now(UTC)
        by = self.door.vault.pairwise("staff", "collector-1")
        common = {"record_id": self.record_id, "file_id": self.file_id, "station": "station-7", "recorded_by": by}
        said = {"said_by": SaidBy.PERSON, "legal_basis": LegalBasis.CONSENT, "since": now}
        facts = () if year is None else (Fact(fact_id=uuid4(), code="identity.birth-year", value=year, **said),)
        await self.take(
            VisitRecorded(**common, channel=Channel.VISIT, visited_at=now, recorded_at=now, subjects=()),
            FactsAsserted(
                **common, file_version=1, asserted_at=now, address_sealed=sealed,
                subjects=(
                    AssertedSubject(
                        subject_id=self.person, kind=SubjectKind.PERSON, person_id=self.person_id,
                        card=ring.seal(self.person, self.card), facts=ring.seal(self.person, StatedFacts(facts=facts)),
                    ),
                ),
            ),
        )  # fmt: skip
        return self

    async def take(self, *events: Event) -> None:
        """Let the gateway's consumer take events."""
        async with self.door.database.transaction() as session:
            for event in events:
                now = datetime.now(UTC)
                envelope = Envelope(id=uuid7(), source="test", type=event.event_type, time=now, key=self.file_id)
                await HANDLERS[type(event)](session, Received(envelope, event))

    async def erased(self) -> None:
        """The person is erased."""
        await self.take(SubjectErased(subject_id=self.person, erasure_id=uuid4(), erased_at=datetime.now(UTC)))

    async def ask(self, who: str | None = "collector", body: Any = None, **headers: str) -> Any:
        """What somebody is answered who asks for a code."""
        body = {"id": str(uuid7()), "alone": True} if body is None else body
        path = f"/api/sign-in-codes/{self.record_id}/subjects/{self.person}"
        return await self.door.call("POST", path, who, body, **{"doorstep_purpose": "resident-request"} | headers)

    async def code(self) -> str:
        """A code of the person."""
        answer = await self.ask()
        assert answer.status == 201, answer.body
        return str(answer.body["code"])


@pytest.fixture
async def visit(station: Any) -> Visit:
    """A visit of just now; nobody is signed in, no account linked."""
    async with station.database.transaction() as session:
        await (await session.connection()).exec_driver_sql("DELETE FROM browser_session")
        await (await session.connection()).exec_driver_sql("DELETE FROM linked_account")
    return await Visit(station).told()


@pytest.fixture
def browser(station: Any, new_browser: Any) -> Any:
    """A browser that was nowhere yet, at an address of its own."""
    return new_browser(station, peer=f"198.51.{uuid4().int % 256}.{uuid4().int % 256}")


@pytest.fixture
def another(station: Any, new_browser: Any) -> Any:
    """Another browser, elsewhere."""
    return new_browser(station, peer=f"203.0.{uuid4().int % 256}.{uuid4().int % 256}")


async def sign_in(browser: Any, code: str) -> int:
    return int((await browser.ask("POST", CODE, {"code": code}, **OURS))[0])


async def who(browser: Any) -> Any:
    status, _, body = await browser.ask("GET", "/api/session", sec_fetch_site="same-origin")
    return json.loads(body) if status == 200 else status


async def send(browser: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    headers = OURS | {"doorstep_request_token": await browser.request_token()}
    status, _, answer = await browser.ask(method, path, body, **headers)
    return status, json.loads(answer or b"null")


def known(*, account: bool) -> dict[str, Any]:
    return {"role": "resident", "agency": "resident", "station": None, "known": True, "account": account}


async def change(door: Any, statement: str) -> None:
    async with door.database.transaction() as session:
        await (await session.connection()).exec_driver_sql(statement)


async def test_a_code_of_the_visit_signs_its_person_in_once(station, visit, browser, another) -> None:
    drawn = (await visit.ask()).body
    assert timedelta(minutes=14) < datetime.fromisoformat(drawn["valid_until"]) - datetime.now(UTC)
    assert await sign_in(browser, drawn["code"].lower().replace("-", " ")) == 201
    assert await who(browser) == known(account=False)
    assert await sign_in(another, drawn["code"]) == 403
    assert await who(another) == 401
    cookie = browser.set["doorstep_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "strict", "")
    [row] = await station.rows(
        "SELECT subject_id, tokens, ends_at < now() + interval '31 minutes' FROM browser_session"
    )
    assert tuple(row) == (visit.person, None, True)


async def test_the_database_has_no_code_and_the_log_has_who_drew_it_and_that_it_was_used(
    station, visit, browser
) -> None:
    code = await visit.code()
    tables = [name for name, count in (await station.counts()).items() if count]
    stored = "".join([str(await station.rows(f"SELECT CAST(t AS text) FROM {name} t")) for name in tables])  # noqa: S608
    assert code not in stored
    assert code.replace("-", "") not in stored
    assert str(visit.person) in stored
    await sign_in(browser, code)
    logged = [(one["action"], one["actor"], one["role"], one.get("case")) for one in await station.logged(visit.person)]
    assert logged == [
        ("draw-sign-in-code", "collector-1", "collector", str(visit.record_id)),
        ("sign-in", "resident", "resident", None),
    ]


async def test_sent_again_it_is_answered_with_the_same_code_and_a_new_one_takes_its_place(visit, browser) -> None:
    body = {"id": str(uuid7()), "alone": True}
    first, again = await visit.ask(body=body), await visit.ask(body=body)
    assert first.raw == again.raw
    second = await visit.code()
    assert second != first.body["code"]
    assert await sign_in(browser, first.body["code"]) == 403
    assert await sign_in(browser, second) == 201
    assert (await visit.ask(body=body)).raw == first.raw
    other = await Visit(visit.door).told()
    assert (await other.ask(body=body)).status == 409
    assert (await other.ask("colleague", body)).status == 409


async def test_of_two_who_use_a_code_at_once_one_is_signed_in(station, visit, new_browser) -> None:
    code = await visit.code()
    browsers = [new_browser(station, peer=f"192.0.2.{place}") for place in range(4)]
    assert sorted(await asyncio.gather(*(sign_in(one, code) for one in browsers))) == [201, 403, 403, 403]
    assert await station.value("SELECT count(*) FROM browser_session") == 1


async def test_a_code_that_is_unknown_used_over_or_of_somebody_erased_is_answered_alike(
    station, visit, browser
) -> None:
    codes = {"unknown": "0000-0000"}
    for why in ("used", "over", "erased", "without a key"):
        one = await Visit(station).told()
        codes[why] = await one.code()
        if why == "used":
            assert await sign_in(browser, codes[why]) == 201
            await send(browser, "POST", "/sign-out")
        elif why == "over":
            await change(station, f"UPDATE sign_in_code SET valid_until = now() WHERE subject_id = '{one.person}'")  # noqa: S608
        elif why == "erased":
            await one.erased()
        else:
            await station.vault.destroy(one.person)
    answers = {}
    for why, code in codes.items():
        status, headers, body = await browser.ask("POST", CODE, {"code": code}, **OURS)
        answers[why] = status, sorted(name for name in headers), body
    assert len({str(one) for one in answers.values()}) == 1
    assert answers["unknown"][0] == 403


@pytest.mark.parametrize(
    ("name", "status"),
    [("colleague", 404), ("elsewhere", 403), ("community", 403), ("reviewer", 403), ("supervisor", 403),
     ("resident", 403), ("nobody", 401), (None, 401)],
)  # fmt: skip
async def test_the_collector_of_the_record_alone_draws_a_code(station, visit, name, status) -> None:
    status = 404 if name == "elsewhere" else status
    assert (await visit.ask(name)).status == status
    assert await station.value(f"SELECT count(*) FROM sign_in_code WHERE subject_id = '{visit.person}'") == 0  # noqa: S608
    if status in (403, 404):
        [entry] = await station.refusals(visit.person)
        assert entry["action"] == "draw-sign-in-code"


async def test_it_is_drawn_alone_with_the_person_for_their_request_at_the_visit(station, visit) -> None:
    for body in ({"id": str(uuid7())}, {"id": str(uuid7()), "alone": False}, {"id": str(uuid4()), "alone": True}):
        assert (await visit.ask(body=body)).status == 422, body
    assert (await visit.ask(doorstep_purpose="intake")).status == 403
    home = Visit(station)
    home.record_id = visit.record_id  # somebody who is not in the record
    assert (await home.ask()).status == 404
    old = await Visit(station).told(at=datetime.now(UTC) - timedelta(hours=25))
    answer = await old.ask()
    assert (answer.status, answer.body["type"]) == (409, "urn:doorstep:problem:visit-over")
    await Visit(station).told()
    assert await station.value(f"SELECT card IS NULL FROM mention WHERE subject_id = '{old.person}'")  # noqa: S608


async def test_whom_the_person_excludes_draws_no_code(station, visit) -> None:
    staff = station.vault.pairwise("staff", "collector-1")
    await visit.take(
        ExclusionsNamed(file_id=visit.file_id, subject_ids=(visit.person,), staff=(staff,), named_at=datetime.now(UTC))
    )
    answer = await visit.ask()
    unknown = Visit(station)
    assert (answer.status, answer.raw) == (404, (await unknown.ask()).raw)


@pytest.mark.parametrize("by", ["paper", "year"])
@pytest.mark.parametrize(("age", "status"), [(13, 409), (16, 201)])
async def test_somebody_under_fourteen_has_no_code_of_their_own(station, by, age, status) -> None:
    born = date(datetime.now(UTC).year - age, 1, 1)
    number = f"110101{born:%Y%m%d}0018" if by == "paper" else None
    card = Card(name="小明", document_kind="resident-id" if number else None, document_number=number)
    child = await Visit(station, card).told(year=None if number else born.year)
    answer = await child.ask()
    assert answer.status == status
    assert status == 201 or answer.body["type"] == "urn:doorstep:problem:too-young"


async def test_tries_are_bounded_by_address_and_by_code(station, visit, browser, new_browser) -> None:
    code = await visit.code()
    tries = [await sign_in(new_browser(station, peer=f"192.0.2.{place}"), "0000-0001") for place in range(7)]
    assert tries == [403] * 5 + [429] * 2
    guesses = [await sign_in(browser, f"0000-{place:04}") for place in range(2, 24)]
    assert guesses == [403] * 20 + [429] * 2
    status, headers, _ = await browser.ask("POST", CODE, {"code": code}, **OURS)
    assert (status, 0 < int(headers["retry-after"]) <= 60) == (429, True)
    assert await sign_in(new_browser(station, peer="192.0.2.99"), code) == 201


async def test_nobody_is_signed_in_from_a_page_of_another_site(visit, browser) -> None:
    code = await visit.code()
    for headers in ({}, {"origin": "https://elsewhere.example"}, {"sec_fetch_site": "cross-site"}):
        assert (await browser.ask("POST", CODE, {"code": code}, **headers))[0] == 403
    assert await sign_in(browser, code) == 201
    for path, body in (("/api/resident/usage", {}), (ACCOUNT, {"code": code})):
        status, _, _ = await browser.ask("POST" if "usage" in path else "PUT", path, body, **OURS)
        assert status == 403  # without the session's request token


@pytest.mark.parametrize("column", ["used_at = now() - interval '11 minutes'", "ends_at = now()"])
async def test_a_residents_session_ends_sooner_than_one_of_staff(station, visit, browser, column) -> None:
    await sign_in(browser, await visit.code())
    await change(station, "UPDATE browser_session SET used_at = now() - interval '9 minutes'")
    assert await who(browser) == known(account=False)
    await change(station, f"UPDATE browser_session SET {column}")  # noqa: S608
    assert await who(browser) == 401


async def test_a_residents_session_opens_nothing_of_staff(visit, browser) -> None:
    await sign_in(browser, await visit.code())
    record = visit.record_id
    status, _, body = await browser.ask("GET", f"/api/journeys/{record}?purpose=triage&case={record}")
    assert (status, json.loads(body)["type"]) == (401, "urn:doorstep:problem:not-authenticated")
    draw = f"/api/sign-in-codes/{record}/subjects/{visit.person}"
    assert (await send(browser, "POST", draw, {"id": str(uuid7()), "alone": True}))[0] == 401


async def test_whoever_dies_on_the_way_uses_no_code_up(station, visit, browser, monkeypatch) -> None:
    code = await visit.code()

    async def dies(*_: Any, **__: Any) -> str:
        raise ConnectionError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(residents, "open_session", dies)
        with pytest.raises(ConnectionError):
            await sign_in(browser, code)
    assert await station.value("SELECT count(*) FROM browser_session") == 0
    assert [one["action"] for one in await station.logged(visit.person)] == ["draw-sign-in-code"]
    assert await sign_in(browser, code) == 201


async def test_an_account_is_linked_once_by_a_code_and_is_then_enough(station, visit, browser, another) -> None:
    await browser.sign_in("resident", "/usage")
    assert await who(browser) == known(account=True) | {"known": False}
    assert (await send(browser, "POST", "/api/resident/usage", {}))[1]["type"] == "urn:doorstep:problem:not-linked"
    assert (await send(browser, "PUT", ACCOUNT, {"code": "0000-0000"}))[0] == 403
    before = browser.cookies["doorstep_session"]
    assert (await send(browser, "PUT", ACCOUNT, {"code": await visit.code()}))[0] == 201
    assert browser.cookies["doorstep_session"] != before
    assert await who(browser) == known(account=True)
    await another.sign_in("resident", "/usage")
    assert await who(another) == known(account=True)
    assert {one["action"] for one in await station.logged(visit.person)} >= {"link-account", "sign-in"}
    [row] = await station.rows("SELECT CAST(l AS text) FROM linked_account l")
    assert another.set["doorstep_session"].value not in str(row)
    other = await Visit(station).told()
    code = await other.code()
    assert (await send(browser, "PUT", ACCOUNT, {"code": code}))[1]["type"] == "urn:doorstep:problem:nothing-to-link"
    assert await sign_in(browser, code) != 201  # with a session its pages say the request token
    assert (await send(browser, "POST", CODE, {"code": code}))[0] == 201  # and the code was not used up


async def test_a_person_has_one_account_and_a_code_said_anew_puts_another_out(station, visit, browser, another) -> None:
    """Whoever had linked theirs to her is nobody again; it holds for all records of the person."""
    await browser.sign_in("resident-2", "/usage")
    assert (await send(browser, "PUT", ACCOUNT, {"code": await visit.code()}))[0] == 201
    again = await Visit(station, person_id=visit.person_id).told()
    await another.sign_in("resident", "/usage")
    assert (await send(another, "PUT", ACCOUNT, {"code": await again.code()}))[0] == 201
    assert await who(browser) == 401
    await browser.sign_in("resident-2", "/usage")
    assert not (await who(browser))["known"]


async def test_unlinking_ends_all_sessions_of_the_person(station, visit, browser, another) -> None:
    await browser.sign_in("resident", "/usage")
    await send(browser, "PUT", ACCOUNT, {"code": await visit.code()})
    assert await sign_in(another, await visit.code()) == 201
    assert (await send(another, "DELETE", ACCOUNT))[0] == 204
    assert (await who(browser), await who(another)) == (401, 401)
    assert await station.value("SELECT count(*) FROM linked_account") == 0
    await browser.sign_in("resident", "/usage")
    assert not (await who(browser))["known"]
    assert (await station.logged(visit.person))[-1]["action"] == "unlink-account"


async def test_an_account_that_somebody_linked_meanwhile_uses_no_code_up(station, visit, browser) -> None:
    await browser.sign_in("resident", "/usage")
    index = await station.value("SELECT account FROM browser_session")
    await change(station, f"INSERT INTO linked_account VALUES ('\\x{bytes(index).hex()}', '{uuid4()}')")  # noqa: S608
    code = await visit.code()
    assert (await send(browser, "PUT", ACCOUNT, {"code": code}))[0] == 409
    assert (await send(browser, "POST", CODE, {"code": code}))[0] == 201


async def test_erasure_takes_code_link_sessions_and_mention_and_nothing_comes_late(station, visit, browser) -> None:
    body = {"id": str(uuid7()), "alone": True}
    await browser.sign_in("resident", "/usage")
    await send(browser, "PUT", ACCOUNT, {"code": (await visit.ask(body=body)).body["code"]})
    await visit.code()
    await visit.erased()
    assert await who(browser) == 401
    for table in ("mention", "sign_in_code", "linked_account", "browser_session"):
        query = f"SELECT count(*) FROM {table} WHERE subject_id = '{visit.person}'"  # noqa: S608
        assert await station.value(query) == 0, table
    await visit.told()
    assert (await visit.ask()).status == 404
    assert (await visit.ask(body=body)).status == 410
    await browser.sign_in("resident", "/usage")
    assert not (await who(browser))["known"]


async def test_signing_out_ends_it_and_tells_the_issuer_where_there_was_an_account(visit, browser) -> None:
    await sign_in(browser, await visit.code())
    assert await send(browser, "POST", "/sign-out") == (200, {"continue": None})
    assert await who(browser) == 401
    await browser.sign_in("resident", "/usage")
    assert (await send(browser, "POST", "/sign-out"))[1]["continue"] is not None


async def test_a_session_shows_one_person_and_of_a_sealed_file_nobody_from_elsewhere(station) -> None:
    person = uuid4()
    first, second = [await Visit(station, person_id=person).told() for _ in range(2)]
    hidden = await Visit(station, person_id=person).told()
    await Visit(station).told()
    again = Visit(station, person_id=person)
    again.file_id = hidden.file_id

    async def shown(one: Visit) -> set[UUID]:
        async with station.database.transaction() as session:
            found = await queries.one_person(session, one.person)
        assert found[0] == one.person
        return set(found)

    assert await shown(first) == {first.person, second.person, hidden.person}
    await again.told(sealed=True)
    assert await shown(first) == await shown(second) == {first.person, second.person}
    assert await shown(hidden) == {hidden.person, again.person}
