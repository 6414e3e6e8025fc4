"""Development tokens are checked by the services' own authenticator, and say who one is."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from doorstep.kit.auth import Authenticator, NotAuthenticated
from doorstep.local.failures import PortTaken
from doorstep.local.issuer import AUDIENCE, KEY_ID_PREFIX, Issuer, UnknownClaim
from doorstep.local.ports import free_ports


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
