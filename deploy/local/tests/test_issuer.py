"""Development tokens are checked by the services' own authenticator, and say who one is."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from doorstep.kit.auth import Authenticator, NotAuthenticated
from doorstep.local.clients import client_id
from doorstep.local.failures import PortTaken
from doorstep.local.issuer import AUDIENCE, KEY_ID_PREFIX, Issuer, UnknownClaim
from doorstep.local.ports import free_ports
from doorstep.local.sign_in import CLIENT, PEOPLE

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
BACK = "http://127.0.0.1:9/sign-in/callback"
ASKED = {
    "client_id": CLIENT, "response_type": "code", "redirect_uri": BACK, "state": "s", "nonce": "n",
    "code_challenge": CHALLENGE, "code_challenge_method": "S256",
}  # fmt: skip


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Issuer]:
    issuer = Issuer(tmp_path / "issuer.json", free_ports(1)[0])
    await issuer.start()
    yield issuer
    await issuer.stop()


def authenticator(issuer: Issuer, *, audience: str = AUDIENCE) -> Authenticator:
    return Authenticator(issuer=issuer.url, jwks_url=issuer.key_set_url, audience=audience, development=True)


async def ask(issuer: Issuer, **form: str) -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as client, client.post(f"{issuer.url}/token", data=form) as answer:
        return answer.status, await answer.json()


async def test_a_token_that_was_asked_for_is_accepted(issuer: Issuer) -> None:
    status, answer = await ask(issuer, role="officer", agency="fire", sub="0199-officer")
    principal = await authenticator(issuer).verify(str(answer["access_token"]))
    assert status == 200
    assert (principal.subject, principal.role, principal.agency, principal.station) == (
        "0199-officer",
        "officer",
        "fire",
        None,
    )


async def test_a_token_for_another_audience_or_issuer_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    token = issuer.token("collector", station="station-1")
    with pytest.raises(NotAuthenticated):
        await authenticator(issuer, audience="elsewhere").verify(token)
    stranger = Issuer(tmp_path / "stranger.json", 1).token("collector")
    with pytest.raises(NotAuthenticated):
        await authenticator(issuer).verify(stranger)


@pytest.mark.parametrize("form", [{}, {"role": "king"}, {"role": "officer", "agency": "police"}])
async def test_an_unknown_role_or_agency_is_a_problem(issuer: Issuer, form: dict[str, str]) -> None:
    status, problem = await ask(issuer, **form)
    assert status == 400
    assert str(problem["detail"]).startswith(("role: one of collector", "agency: one of civil-affairs"))


async def test_a_service_gets_a_short_lived_token_by_its_own_secret_and_by_nothing_else(issuer: Issuer) -> None:
    issuer.clients.make(["risk", "audit"])
    risk, audit = ((issuer.clients.folder / name).read_text() for name in ("risk", "audit"))
    issuer.clients.make(["risk", "intake"])
    assert (issuer.clients.folder / "risk").read_text() == risk
    right = {"grant_type": "client_credentials", "client_id": client_id("risk"), "client_secret": risk}
    wrong: list[dict[str, str]] = [
        {}, {"client_secret": audit}, {"client_secret": ""}, {"client_secret": "口令"}, {"client_id": "risk"},
        {"client_id": client_id(".risk.new")}, {"grant_type": "password"},
    ]  # fmt: skip
    async with aiohttp.ClientSession() as client:
        for change in wrong:
            form = {**right, **change} if change else {}
            async with client.post(issuer.service_token_url, data=form) as answer:
                assert answer.status in (400, 401), change
        async with client.post(issuer.service_token_url, data=right) as answer:
            given = await answer.json()
    principal = await authenticator(issuer).verify(given["access_token"])
    assert (principal.role, principal.agency, principal.subject) == ("service", "station", "risk")
    assert given["expires_in"] == 300
    assert (await ask(issuer, role="service"))[0] == 400


async def test_the_key_is_kept_and_marked_and_ours_alone(issuer: Issuer, tmp_path: Path) -> None:
    token = issuer.token("auditor")
    await issuer.stop()
    again = Issuer(tmp_path / "issuer.json", int(issuer.url.rpartition(":")[2]))
    await again.start()
    assert (await authenticator(again).verify(token)).role == "auditor"
    async with aiohttp.ClientSession() as client, client.get(again.key_set_url) as answer:
        (key,) = (await answer.json())["keys"]
    assert key["kid"].startswith(KEY_ID_PREFIX)
    assert "d" not in key
    assert (tmp_path / "issuer.json").stat().st_mode & 0o077 == 0
    await again.stop()


async def test_a_taken_port_is_one_sentence(issuer: Issuer, tmp_path: Path) -> None:
    port = int(issuer.url.rpartition(":")[2])
    with pytest.raises(PortTaken, match=f"Port {port} is taken"):
        await Issuer(tmp_path / "second.json", port).start()


def test_a_role_that_does_not_exist_gets_no_token(tmp_path: Path) -> None:
    with pytest.raises(UnknownClaim):
        Issuer(tmp_path / "issuer.json", 1).token("king")


async def chosen(issuer: Issuer, **more: str) -> tuple[int, dict[str, str]]:
    """What a browser is answered that chose a person on the page."""
    form = ASKED | {"person": "reviewer"} | more
    address = f"{issuer.url}/authorize"
    async with aiohttp.ClientSession() as client, client.post(address, data=form, allow_redirects=False) as answer:
        query = parse_qs(urlsplit(answer.headers.get("Location", "")).query)
        return answer.status, {name: value for name, [value] in query.items()}


async def given(issuer: Issuer, code: str, **more: str) -> tuple[int, dict[str, Any]]:
    """What a client is given for a code."""
    form = {"client_id": CLIENT, "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER} | more
    return await ask(issuer, **{"grant_type": "authorization_code"} | form)


async def test_one_chooses_who_to_be_and_is_that_person_each_time(issuer: Issuer) -> None:
    async with aiohttp.ClientSession() as client, client.get(f"{issuer.url}/authorize", params=ASKED) as page:
        text = await page.text()
    assert all(f'value="{name}"' in text for name in PEOPLE)
    assert {person.role for person in PEOPLE.values()} >= {"collector", "reviewer", "supervisor", "officer", "auditor"}
    subjects = set()
    for _ in range(2):
        status, back = await chosen(issuer, person="officer-fire")
        assert (status, back["state"], back["iss"]) == (303, "s", issuer.url)
        status, told = await given(issuer, back["code"])
        principal = await authenticator(issuer).verify(told["access_token"])
        assert (status, principal.role, principal.agency) == (200, "officer", "fire")
        subjects.add(principal.subject)
        claims = (await authenticator(issuer).signed(told["id_token"])).claims
        assert (claims["aud"], claims["nonce"], claims["sub"]) == (CLIENT, "n", principal.subject)
        with pytest.raises(NotAuthenticated):
            await authenticator(issuer).verify(told["id_token"])
    assert len(subjects) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"code_verifier": "w" * 43}, {"code_verifier": ""}, {"redirect_uri": BACK + "x"}, {"client_id": "other"},
     {"grant_type": "password"}],
)  # fmt: skip
async def test_a_code_is_given_for_with_its_proof_alone(issuer: Issuer, wrong: dict[str, str]) -> None:
    _, back = await chosen(issuer)
    status, told = await given(issuer, back["code"], **wrong)
    assert (status, set(told)) == (400, {"error"})


async def test_a_code_serves_once(issuer: Issuer) -> None:
    _, back = await chosen(issuer)
    assert (await given(issuer, back["code"]))[0] == 200
    assert (await given(issuer, back["code"]))[0] == 400


@pytest.mark.parametrize(
    "wrong",
    [{"redirect_uri": "https://elsewhere.example/sign-in/callback"}, {"redirect_uri": "http://127.0.0.1:9/elsewhere"},
     {"client_id": "other"}, {"code_challenge_method": "plain"}, {"code_challenge": ""}, {"response_type": "token"},
     {"person": "king"}],
)  # fmt: skip
async def test_a_browser_is_sent_back_to_this_machine_alone(issuer: Issuer, wrong: dict[str, str]) -> None:
    assert (await chosen(issuer, **wrong))[0] == 400


async def test_a_refresh_token_serves_once_and_one_that_comes_again_ends_the_sign_in(issuer: Issuer) -> None:
    _, back = await chosen(issuer)
    first = (await given(issuer, back["code"]))[1]["refresh_token"]
    form = {"grant_type": "refresh_token", "client_id": CLIENT}
    status, told = await ask(issuer, **form, refresh_token=first)
    assert status == 200
    assert (await ask(issuer, **form, refresh_token=first))[0] == 400
    assert (await ask(issuer, **form, refresh_token=str(told["refresh_token"])))[0] == 400


async def test_who_signs_out_is_given_nothing_more(issuer: Issuer) -> None:
    _, back = await chosen(issuer)
    _, told = await given(issuer, back["code"])
    address = f"{issuer.url}/sign-out"
    for onward, status in (("http://127.0.0.1:9/", 303), ("https://elsewhere.example/", 200)):
        query = {"id_token_hint": told["id_token"], "post_logout_redirect_uri": onward}
        async with (
            aiohttp.ClientSession() as client,
            client.get(address, params=query, allow_redirects=False) as answer,
        ):
            assert answer.status == status
    form = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": told["refresh_token"]}
    assert (await ask(issuer, **form))[0] == 400


async def test_the_metadata_name_what_answers(issuer: Issuer) -> None:
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{issuer.url}/.well-known/openid-configuration") as answer:
            told = json.loads(await answer.text())
        assert told["issuer"] == issuer.url
        for name in ("authorization_endpoint", "end_session_endpoint", "jwks_uri"):
            async with client.get(told[name]) as answer:
                assert answer.status in (200, 400), name
