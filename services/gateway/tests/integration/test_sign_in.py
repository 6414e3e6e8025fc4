"""Signing in with a browser: what the code flow insists on, what a session may do, and how it ends."""

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from joserfc import jwt
from pydantic import ValidationError

from doorstep.gateway.app import new_app
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.testing import KIT_TABLES
from doorstep.local import sign_in as development
from doorstep.local.issuer import AUDIENCE

PUBLIC = "http://127.0.0.1:8600"
OURS = {"origin": PUBLIC, "sec_fetch_site": "same-origin"}
PASS_OVER = {"topic": "risk.needs", "key": str(uuid4()), "missing_to": 1}


@pytest.fixture
async def browser(door: Any, new_browser: Any) -> Any:
    """A browser that was nowhere yet, and no session of others."""
    async with door.database.transaction() as session:
        await (await session.connection()).exec_driver_sql("DELETE FROM browser_session")
    return new_browser(door)


async def change(door: Any, statement: str) -> None:
    async with door.database.transaction() as session:
        await (await session.connection()).exec_driver_sql(statement)


async def version(door: Any) -> int:
    return await door.value("SELECT version FROM browser_session")


async def who(browser: Any, **headers: str) -> tuple[int, Any]:
    status, _, body = await browser.ask("GET", "/api/session", **headers)
    return status, json.loads(body)


async def test_who_signs_in_is_who_they_are_to_every_page_and_nothing_else_is_told(door, browser) -> None:
    assert (await who(browser))[0] == 401
    await browser.sign_in("reviewer")
    assert await who(browser) == (200, {"role": "reviewer", "agency": "station", "station": "station-1"})
    record = uuid4()
    status, _, body = await browser.ask("GET", f"/api/journeys/{record}?purpose=triage&case={record}")
    assert (status, json.loads(body)["type"]) == (404, "urn:doorstep:problem:journey-unknown")


async def test_the_browser_has_an_id_that_scripts_cannot_read_and_the_database_has_neither_it_nor_the_tokens(
    door, browser
) -> None:
    await browser.sign_in()
    cookie = browser.set["doorstep_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["max-age"]) == (True, "strict", "/", "")
    assert set(browser.cookies) == {"doorstep_session"}
    [row] = await door.rows("SELECT id, tokens FROM browser_session")
    stored = bytes(row.id) + bytes(row.tokens)
    assert cookie.value.encode() not in stored
    assert b"eyJ" not in stored
    assert "eyJ" not in cookie.value


async def test_every_sign_in_has_its_own_state_nonce_and_proof(browser) -> None:
    asked = [parse_qs(urlsplit(await browser.begin()).query) for _ in range(2)]
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]
        assert len(asked[0][name][0]) >= 43
    assert asked[0]["code_challenge_method"] == ["S256"]
    assert asked[0]["redirect_uri"] == [f"{PUBLIC}/sign-in/callback"]
    cookie = browser.set["doorstep_sign_in"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "lax", "600")
    assert asked[1]["state"][0] not in cookie.value


async def test_a_code_serves_once_and_only_the_browser_that_began(door, browser, new_browser) -> None:
    back = await browser.chosen(await browser.begin(), "reviewer")
    stranger = new_browser(door)
    assert (await stranger.ask("GET", back))[0] == 400
    beginning = dict(browser.cookies)
    assert (await browser.ask("GET", back))[0] == 303
    again = new_browser(door)
    again.cookies = beginning
    assert (await again.ask("GET", back))[0] == 403
    assert "doorstep_session" not in again.cookies


async def test_a_code_of_somebody_else_is_not_taken_with_ones_own_state(door, browser, new_browser) -> None:
    other = new_browser(door)
    theirs = parse_qs((await other.chosen(await other.begin(), "supervisor")).partition("?")[2])["code"][0]
    state = parse_qs(urlsplit(await browser.begin()).query)["state"][0]
    assert (await browser.ask("GET", f"/sign-in/callback?state={state}&code={theirs}"))[0] == 403
    assert await door.value("SELECT count(*) FROM browser_session") == 0


@pytest.mark.parametrize("query", ["", "?error=access_denied", "?state=x&code=y", "?code=y", "?state=%00&code=%00"])
async def test_what_the_issuer_did_not_send_opens_nothing(door, browser, query) -> None:
    await browser.begin()
    assert (await browser.ask("GET", f"/sign-in/callback{query}"))[0] == 400
    assert await door.value("SELECT count(*) FROM browser_session") == 0


async def test_an_answer_in_the_name_of_another_issuer_is_not_taken(browser) -> None:
    back = await browser.chosen(await browser.begin(), "reviewer")
    other = back.partition("&iss=")[0] + "&iss=http%3A%2F%2F127.0.0.1%3A1"
    assert (await browser.ask("GET", other))[0] == 403


async def test_a_sign_in_that_took_too_long_begins_again(browser, monkeypatch) -> None:
    monkeypatch.setattr("doorstep.gateway.api.sign_in._LASTS", -1)
    back = await browser.chosen(await browser.begin(), "reviewer")
    browser.cookies["doorstep_sign_in"] = browser.set["doorstep_sign_in"].value
    assert (await browser.ask("GET", back))[0] == 400


@pytest.mark.parametrize("claim", ["nonce", "aud", "sub", "iss", "azp", "at_hash"])
async def test_an_id_token_for_another_sign_in_is_not_taken(browser, issuer, monkeypatch, claim) -> None:
    encode = development.jwt.encode

    def other(header: Any, claims: dict[str, Any], *more: Any, **named: Any) -> str:
        return encode(header, claims | {claim: "another"}, *more, **named)

    back = await browser.chosen(await browser.begin(), "reviewer")
    token = issuer.token
    monkeypatch.setattr(issuer._sign_in, "_token", lambda *given, **named: _unchanged(encode, token, *given, **named))
    monkeypatch.setattr(development.jwt, "encode", other)
    assert (await browser.ask("GET", back))[0] == 403


def _unchanged(encode: Any, token: Any, *given: Any, **named: Any) -> str:
    changed, development.jwt.encode = development.jwt.encode, encode
    try:
        return token(*given, **named)
    finally:
        development.jwt.encode = changed


@pytest.mark.parametrize("role", [None, "visitor"])
async def test_an_account_without_a_role_here_is_not_signed_in(door, browser, issuer, monkeypatch, role) -> None:
    def token(*_: Any, subject: str, **__: Any) -> str:
        key, now = issuer._signing_key(), int(time.time())
        claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 60, "agency": "station"}
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims | ({"role": role} if role else {}), key)

    back = await browser.chosen(await browser.begin(), "reviewer")
    monkeypatch.setattr(issuer._sign_in, "_token", token)
    assert (await browser.ask("GET", back))[0] == 403
    assert await door.value("SELECT count(*) FROM browser_session") == 0


@pytest.mark.parametrize(
    "page",
    ["", "https://elsewhere.example/", "//elsewhere.example", "/audit/../x", "/audit%0d%0aSet-Cookie:x=1", "/api/files",
     "/audit\\@elsewhere", "/journeys/7"],
)  # fmt: skip
async def test_a_sign_in_leads_back_to_a_page_of_ours_alone(browser, page) -> None:
    status, _, body = await browser.ask("GET", f"/sign-in?page={page}")
    assert (status, json.loads(body)["errors"][0]["pointer"]) == (422, "/query/page")


async def test_what_changes_something_comes_from_a_page_of_ours_and_says_its_token(door, browser) -> None:
    await browser.sign_in("operator")
    path, token = "/api/dead-letters/gateway/pass-over", await browser.request_token()
    for headers in (
        {}, OURS, {"doorstep_request_token": token}, OURS | {"doorstep_request_token": "0" * 32},
        OURS | {"doorstep_request_token": token, "origin": "https://elsewhere.example"},
        OURS | {"doorstep_request_token": token, "origin": "null"},
        OURS | {"doorstep_request_token": token, "sec_fetch_site": "cross-site"},
        OURS | {"doorstep_request_token": token, "sec_fetch_site": "same-site"},
        OURS | {"doorstep_request_token": token, "sec_fetch_site": "none"},
        OURS | {"doorstep_request_token": "é"},
    ):  # fmt: skip
        status, _, body = await browser.ask("POST", path, PASS_OVER, **headers)
        assert (status, json.loads(body)["type"]) == (403, "urn:doorstep:problem:cross-site"), headers
    ours = OURS | {"doorstep_request_token": token, "doorstep_purpose": "repair"}
    status, _, body = await browser.ask("POST", path, PASS_OVER, **ours)
    assert json.loads(body or b"{}").get("type") != "urn:doorstep:problem:cross-site"
    assert status == 409, body  # there is no such hole


async def test_another_site_reads_nothing_by_the_cookie(browser) -> None:
    await browser.sign_in()
    for headers in ({"sec_fetch_site": "cross-site"}, {"origin": "https://elsewhere.example"}):
        assert (await who(browser, **headers))[0] == 403
    assert (await who(browser, sec_fetch_site="same-origin"))[0] == 200


async def test_the_token_of_one_session_is_not_that_of_another(door, browser, new_browser) -> None:
    other = new_browser(door)
    await browser.sign_in("operator")
    await other.sign_in("operator")
    headers = OURS | {"doorstep_request_token": await other.request_token()}
    status, _, body = await browser.ask("POST", "/api/dead-letters/gateway/pass-over", PASS_OVER, **headers)
    assert (status, json.loads(body)["type"]) == (403, "urn:doorstep:problem:cross-site")


async def test_a_sent_token_counts_and_the_cookie_is_not_looked_at(browser, issuer) -> None:
    await browser.sign_in("reviewer")
    bearer = {"authorization": f"Bearer {issuer.token('auditor')}"}
    assert (await who(browser, **bearer))[1]["role"] == "auditor"
    assert (await who(browser, authorization="Bearer nonsense"))[0] == 401


@pytest.mark.parametrize("column", ["used_at = now() - interval '31 minutes'", "ends_at = now()"])
async def test_a_session_ends_when_it_was_left_alone_and_at_the_latest_at_its_end(door, browser, column) -> None:
    await browser.sign_in()
    await change(door, f"UPDATE browser_session SET {column}")  # noqa: S608
    assert (await who(browser))[0] == 401
    await browser.sign_in()  # what is over is deleted
    assert await door.value("SELECT count(*) FROM browser_session") == 1


async def test_a_session_that_is_used_does_not_lapse_and_still_ends(door, browser) -> None:
    await browser.sign_in()
    await change(door, "UPDATE browser_session SET used_at = now() - interval '29 minutes'")
    assert (await who(browser))[0] == 200
    assert await door.value("SELECT used_at > now() - interval '1 minute' FROM browser_session")
    assert await door.value("SELECT ends_at < now() + interval '601 minutes' FROM browser_session")


async def test_who_signs_in_again_gets_another_id_and_the_one_before_opens_nothing(door, browser, new_browser) -> None:
    await browser.sign_in("reviewer")
    before = dict(browser.cookies)
    await browser.sign_in("auditor")
    assert browser.cookies != before
    old = new_browser(door)
    old.cookies = before
    assert (await who(old))[0] == 401
    assert (await who(browser))[1]["role"] == "auditor"


async def test_an_id_that_somebody_else_chose_is_no_session(door, browser) -> None:
    browser.cookies["doorstep_session"] = "chosen-by-somebody-else"
    await browser.sign_in()
    assert browser.cookies["doorstep_session"] != "chosen-by-somebody-else"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Access tokens that serve, and are to be renewed at once."""
    monkeypatch.setattr(development, "ACCESS_SECONDS", 30)


@pytest.mark.usefixtures("short")
async def test_of_many_requests_one_renews_the_tokens_and_all_are_answered(door, browser, monkeypatch) -> None:
    await browser.sign_in()
    monkeypatch.setattr(development, "ACCESS_SECONDS", 300)
    answers = await asyncio.gather(*(who(browser) for _ in range(8)))
    assert {status for status, _ in answers} == {200}
    assert await version(door) == 2
    assert (await who(browser))[0] == 200
    assert await version(door) == 2


@pytest.mark.usefixtures("short")
async def test_who_died_while_renewing_holds_nobody_up(door, browser) -> None:
    await browser.sign_in()
    await change(door, "UPDATE browser_session SET renewing_until = now() + interval '10 seconds'")
    assert (await who(browser))[0] == 200  # the old token still serves
    assert await version(door) == 1
    await change(door, "UPDATE browser_session SET renewing_until = now() - interval '1 second'")
    assert (await who(browser))[0] == 200
    assert await version(door) == 2


@pytest.mark.usefixtures("short")
async def test_a_refresh_token_that_the_issuer_does_not_take_ends_the_session(door, browser, issuer) -> None:
    await browser.sign_in()
    issuer._sign_in._refresh.clear()
    assert (await who(browser))[0] == 401
    assert await door.value("SELECT count(*) FROM browser_session") == 0


@pytest.mark.usefixtures("short")
async def test_while_the_issuer_is_away_a_token_serves_until_it_expires(door, browser, issuer, monkeypatch) -> None:
    await browser.sign_in()
    await issuer.stop()
    try:
        assert (await who(browser))[0] == 200
        later = SimpleNamespace(time=lambda: time.time() + 31, monotonic=time.monotonic)
        monkeypatch.setattr("doorstep.gateway.api.front.time", later)
        await change(door, "UPDATE browser_session SET renewing_until = NULL")
        status, told = await who(browser)
        assert (status, told["type"]) == (503, "urn:doorstep:problem:issuer-away")
        monkeypatch.undo()
        await change(door, "UPDATE browser_session SET renewing_until = NULL")
    finally:
        await issuer.start()
    assert (await who(browser))[0] == 200


async def test_tokens_of_one_session_in_the_row_of_another_are_none(door, browser, new_browser) -> None:
    other = new_browser(door)
    await browser.sign_in("reviewer")
    await other.sign_in("auditor")
    first = "SELECT tokens FROM browser_session ORDER BY used_at LIMIT 1"
    await change(door, f"UPDATE browser_session SET tokens = ({first})")  # noqa: S608
    assert [(await who(browser))[0], (await who(other))[0]] == [200, 401]


async def test_who_signs_out_is_signed_out_here_and_at_the_issuer(door, browser, issuer, new_browser) -> None:
    await browser.sign_in()
    value, ours = dict(browser.cookies), OURS | {"doorstep_request_token": await browser.request_token()}
    assert (await browser.ask("POST", "/sign-out"))[0] == 403
    status, _, body = await browser.ask("POST", "/sign-out", **ours)
    assert status == 200
    assert browser.cookies == {}
    old = new_browser(door)
    old.cookies = value
    assert (await who(old))[0] == 401
    onward = urlsplit(json.loads(body)["continue"])
    assert f"{onward.scheme}://{onward.netloc}" == issuer.url
    query = {name: one for name, [one] in parse_qs(onward.query).items()}
    assert query["post_logout_redirect_uri"] == f"{PUBLIC}/"
    claims = (await door.service.authenticator.signed(query["id_token_hint"])).claims
    assert not {"role", "agency", "name"} & set(claims)
    assert (await browser.ask("GET", "/api/session", authorization=f"Bearer {query['id_token_hint']}"))[0] == 401


async def test_signing_out_twice_or_without_a_session_is_no_error(browser) -> None:
    status, _, body = await browser.ask("POST", "/sign-out")
    assert (status, json.loads(body)) == (200, {"continue": None})


async def test_where_no_address_is_set_up_nobody_signs_in(desk: Any, new_browser: Any) -> None:
    browser = new_browser(desk)
    for path in ("/sign-in?page=/audit", "/api/session"):
        status, _, body = await browser.ask("GET", path)
        assert (status, json.loads(body)["type"]) == (404, "urn:doorstep:problem:no-sign-in")


async def test_while_the_issuer_is_away_nobody_begins_to_sign_in(new_desk, settings_for, new_browser) -> None:
    away = await new_desk(
        "gateway", new_app, settings_for(public_url=PUBLIC), KIT_TABLES, "doorstep.gateway:migrations"
    )
    status, headers, body = await new_browser(away).ask("GET", "/sign-in?page=/audit")
    assert (status, json.loads(body)["type"]) == (503, "urn:doorstep:problem:issuer-away")
    assert headers["retry-after"] == "2"
    assert (await new_browser(away).ask("GET", "/api/session"))[0] == 401


def test_outside_the_embedded_profile_cookies_travel_by_tls_to_this_host_alone(settings_for) -> None:
    safe: GatewaySettings = settings_for("production", public_url="https://station.example/")
    assert safe.secure
    assert (safe.cookie("session"), safe.public_url) == ("__Host-doorstep_session", "https://station.example")
    with pytest.raises(ValidationError, match="https"):
        settings_for("production", public_url="http://station.example")


async def test_outside_the_embedded_profile_browsers_are_told_to_use_tls_alone(
    desk, in_production, new_browser
) -> None:
    _, headers, _ = await new_browser(in_production).ask("GET", "/usage")
    assert headers["strict-transport-security"] == "max-age=31536000"
    _, headers, _ = await new_browser(desk).ask("GET", "/usage")
    assert "strict-transport-security" not in headers


async def own(browser: Any, method: str = "GET", path: str = "/api/sessions", **headers: str) -> tuple[int, Any]:
    status, _, body = await browser.ask(method, path, **headers)
    return status, json.loads(body)


async def changing(browser: Any) -> dict[str, str]:
    """What a page says that changes something."""
    return OURS | {"doorstep_request_token": await browser.request_token()}


CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"


async def test_one_sees_ones_own_sessions_and_nothing_of_where_they_were(door, browser, new_browser) -> None:
    elsewhere, stranger = new_browser(door, peer="198.51.100.7"), new_browser(door)
    await browser.sign_in("auditor")
    await elsewhere.ask("GET", await elsewhere.chosen(await elsewhere.begin(), "auditor"), user_agent=CHROME)
    await stranger.sign_in("reviewer")
    status, told = await own(browser)
    assert status == 200
    assert [(one["browser"], one["current"]) for one in told["sessions"]] == [("chromium", False), ("other", True)]
    assert {*told["sessions"][0]} == {"id", "began_at", "used_at", "ends_at", "browser", "current"}
    [first, second, _] = await door.rows("SELECT * FROM browser_session ORDER BY began_at")
    assert first.owner == second.owner
    for kept in (first, second):
        assert not any(word in str(tuple(kept)) for word in ("198.51.100", "Mozilla", "Linux", "auditor"))
    assert len((await own(stranger))[1]["sessions"]) == 1
    assert (await own(new_browser(door)))[0] == 401


async def test_one_ends_one_of_ones_sessions_and_nobody_elses(door, browser, new_browser) -> None:
    lost, stranger = new_browser(door), new_browser(door)
    for one, person in ((browser, "auditor"), (lost, "auditor"), (stranger, "reviewer")):
        await one.sign_in(person)
    [mine] = [one["id"] for one in (await own(browser))[1]["sessions"] if not one["current"]]
    [theirs] = [one["id"] for one in (await own(stranger))[1]["sessions"]]
    ours = await changing(browser)
    for known in (theirs, str(uuid4())):
        status, told = await own(browser, "DELETE", f"/api/sessions/{known}", **ours)
        assert (status, told["type"]) == (404, "urn:doorstep:problem:session-unknown")
    assert (await own(browser, "DELETE", "/api/sessions/x", **ours))[0] == 422
    assert await own(browser, "DELETE", f"/api/sessions/{mine}", **ours) == (200, {"ended": 1})
    assert (await own(browser, "DELETE", f"/api/sessions/{mine}", **ours))[0] == 404
    assert [(await who(one))[0] for one in (browser, lost, stranger)] == [200, 401, 200]


async def test_one_ends_all_ones_other_sessions_also_without_a_browser(door, browser, new_browser, issuer) -> None:
    others, stranger = [new_browser(door) for _ in range(2)], new_browser(door)
    for one in (browser, *others):
        await one.sign_in("auditor")
    await stranger.sign_in("reviewer")
    assert await own(browser, "DELETE", **await changing(browser)) == (200, {"ended": 2})
    assert [(await who(one))[0] for one in (browser, *others, stranger)] == [200, 401, 401, 200]
    subject = (await door.service.authenticator.verify(issuer.token("auditor"))).subject
    own_token = {"authorization": f"Bearer {issuer.token('auditor', subject=subject)}"}
    again = await own(new_browser(door), **own_token)
    assert again[0] == 200
    assert not [one for one in again[1]["sessions"] if one["current"]]


async def test_another_site_ends_no_session(door, browser, new_browser) -> None:
    other = new_browser(door)
    await browser.sign_in("auditor")
    await other.sign_in("auditor")
    [theirs] = [one["id"] for one in (await own(browser))[1]["sessions"] if not one["current"]]
    ours = await changing(browser)
    for missing in ("doorstep_request_token", "origin", "sec_fetch_site"):
        headers = {name: value for name, value in ours.items() if name != missing}
        headers |= {"origin": "https://elsewhere.example"} if missing == "origin" else {}
        headers |= {"sec_fetch_site": "cross-site"} if missing == "sec_fetch_site" else {}
        for path in ("/api/sessions", f"/api/sessions/{theirs}"):
            status, told = await own(browser, "DELETE", path, **headers)
            assert (status, told["type"]) == (403, "urn:doorstep:problem:cross-site")
    assert (await who(other))[0] == 200


async def test_a_session_that_is_over_is_not_shown(door, browser, new_browser) -> None:
    for one in (browser, new_browser(door)):
        await one.sign_in("auditor")
    first = "SELECT id FROM browser_session ORDER BY began_at LIMIT 1"
    await change(door, f"UPDATE browser_session SET used_at = now() - interval '31 minutes' WHERE id <> ({first})")  # noqa: S608
    assert [one["current"] for one in (await own(browser))[1]["sessions"]] == [True]
