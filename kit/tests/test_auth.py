"""Tokens that are refused, and how often the issuer is asked."""

import base64
import hmac
import json
import time
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import RSAKey

from doorstep.kit import auth
from doorstep.kit.auth import Authenticator, NotAuthenticated
from doorstep.local.ports import free_ports

ISSUER = "https://issuer.example"


class KeySetServer:
    """Publishes a key, counts who asks, and can be away."""

    def __init__(self) -> None:
        self.keys = [RSAKey.generate_key(2048, {"kid": "one"})]
        self.asked = 0
        self.away = False

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        if self.away:
            raise web.HTTPServiceUnavailable
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})


@pytest_asyncio.fixture(loop_scope="session")
async def server():
    served = KeySetServer()
    application = web.Application()
    application.router.add_get("/jwks", served.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_ports(1)[0]
    await web.TCPSite(runner, "127.0.0.1", port).start()
    served.url = f"http://127.0.0.1:{port}/jwks"
    yield served
    await runner.cleanup()


@pytest.fixture
def authenticator(server) -> Authenticator:
    return Authenticator(issuer=ISSUER, jwks_url=server.url, audience="doorstep")


def token(key, *, algorithm: str = "RS256", header=None, **changes) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": "doorstep",
        "sub": "s-1",
        "exp": now + 600,
        "iat": now,
        "role": "reviewer",
        "agency": "station",
        "station": "7",
    }
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    named = {"alg": algorithm, "kid": key.kid, **(header or {})}
    return jwt.encode(named, claims, key, algorithms=[algorithm])


async def test_a_token_of_the_issuer_names_its_principal(server, authenticator):
    principal = await authenticator.verify(token(server.keys[0]))
    assert (principal.subject, principal.role, principal.agency, principal.station) == (
        "s-1",
        "reviewer",
        "station",
        "7",
    )
    for _ in range(20):
        await authenticator.verify(token(server.keys[0]))
    assert server.asked == 1


REFUSED = {
    "expired": {"exp": int(time.time()) - 3600},
    "not yet valid": {"nbf": int(time.time()) + 3600},
    "no expiry": {"exp": None},
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "elsewhere"},
    "no subject": {"sub": None},
    "a subject of another type": {"sub": 7},
    "no role": {"role": None},
    "an unknown role": {"role": "emperor"},
    "a list of roles": {"role": ["operator"]},
    "no agency": {"agency": None},
    "an agency of another type": {"agency": {"a": 1}},
}


@pytest.mark.parametrize("name", REFUSED)
async def test_claims_that_are_not_right_are_refused(server, authenticator, name):
    with pytest.raises(NotAuthenticated):
        await authenticator.verify(token(server.keys[0], **REFUSED[name]))


async def test_another_algorithm_than_the_pinned_one_is_refused(server, authenticator):
    """None at all; the public key as if it were a shared secret; other ones of the same key."""
    good = token(server.keys[0])
    _, payload, _ = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').rstrip(b"=").decode()
    shared = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=").decode() + f".{payload}"
    mac = hmac.new(server.keys[0].as_pem(private=False), shared.encode(), "sha256").digest()
    await authenticator.verify(good)
    for forged in (
        f"{none}.{payload}.",
        f"{none}.{payload}.{good.split('.')[2]}",
        f"{shared}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        token(server.keys[0], algorithm="RS512"),
        token(server.keys[0], algorithm="PS256"),
    ):
        with pytest.raises(NotAuthenticated):
            await authenticator.verify(forged)


async def test_another_key_under_the_same_name_is_refused(server, authenticator):
    forged = token(RSAKey.generate_key(2048, {"kid": "one"}))
    await authenticator.verify(token(server.keys[0]))
    with pytest.raises(NotAuthenticated):
        await authenticator.verify(forged)
    embedded = RSAKey.generate_key(2048, {"kid": "one"})
    with pytest.raises(NotAuthenticated):
        await authenticator.verify(token(embedded, header={"jwk": embedded.as_dict(private=False)}))


async def test_an_unknown_key_is_asked_for_once_and_then_not_again_for_a_while(server, authenticator):
    await authenticator.verify(token(server.keys[0]))
    authenticator._asked -= 60
    for number in range(30):
        stranger = token(server.keys[0], header={"kid": f"unknown-{number}"})
        with pytest.raises(NotAuthenticated):
            await authenticator.verify(stranger)
    assert server.asked == 2


async def test_a_token_that_is_wrong_otherwise_asks_nobody(server, authenticator):
    await authenticator.verify(token(server.keys[0]))
    authenticator._asked -= 60
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            await authenticator.verify(token(server.keys[0], exp=1))
    assert server.asked == 1


async def test_a_new_key_of_the_issuer_is_accepted_at_once(server, authenticator):
    await authenticator.verify(token(server.keys[0]))
    server.keys.append(RSAKey.generate_key(2048, {"kid": "two"}))
    authenticator._asked -= 60
    assert (await authenticator.verify(token(server.keys[1]))).subject == "s-1"


async def test_the_issuer_may_be_away_for_an_hour_and_no_longer(server, authenticator):
    await authenticator.verify(token(server.keys[0]))
    server.away = True
    authenticator._answered -= auth._KEYS_SERVE - 60
    authenticator._asked -= 60
    await authenticator.verify(token(server.keys[0]))
    assert authenticator._renewing is not None  # asked beside the request, in vain
    assert not await authenticator._renewing
    authenticator._answered -= 120
    with pytest.raises(NotAuthenticated):
        await authenticator.verify(token(server.keys[0]))


async def test_a_withdrawn_key_serves_no_longer_once_the_keys_were_asked_for_again(server, authenticator):
    old = token(server.keys[0])
    await authenticator.verify(old)
    server.keys = [RSAKey.generate_key(2048, {"kid": "two"})]
    authenticator._answered -= auth._SOON + 1
    authenticator._asked -= 60
    await authenticator.verify(old)
    await authenticator._renewing
    with pytest.raises(NotAuthenticated):
        await authenticator.verify(old)


async def test_what_has_to_be_understood_and_is_not_is_refused(server, authenticator):
    key = server.keys[0]
    _, payload, _ = token(key).split(".")
    header = json.dumps({"alg": "RS256", "kid": "one", "crit": ["unknown"], "unknown": 1}).encode()
    signing_input = f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{payload}"
    signature = key.private_key.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(NotAuthenticated):
        await authenticator.verify(f"{signing_input}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


async def test_keys_that_sign_for_whoever_asks_count_in_development_alone(server):
    server.keys = [RSAKey.generate_key(2048, {"kid": f"{auth.DEVELOPMENT_KEYS}1"})]
    given = {"issuer": ISSUER, "jwks_url": server.url, "audience": "doorstep"}
    with pytest.raises(NotAuthenticated):
        await Authenticator(**given).verify(token(server.keys[0]))
    assert (await Authenticator(**given, development=True).verify(token(server.keys[0]))).subject == "s-1"


async def test_what_the_issuer_signed_for_somebody_else_is_told_apart_from_what_it_did_not_sign(server, authenticator):
    other = token(server.keys[0], aud="a-client", role=None)
    assert (await authenticator.signed(other)).claims["aud"] == "a-client"
    with pytest.raises(NotAuthenticated):
        await authenticator.verify(other)
    with pytest.raises(NotAuthenticated):
        await authenticator.signed(token(RSAKey.generate_key(2048, {"kid": "one"}), aud="a-client"))


async def test_a_token_of_16_kib_is_refused_unread(server, authenticator):
    with pytest.raises(NotAuthenticated):
        await authenticator.verify(token(server.keys[0], extra="x" * 16_384))
    assert server.asked == 0


WEIRD = ["", ".", "..", "a.b.c", "a.b.c.d", "\x00", "é.é.é", base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.x"]
WEIRD += [
    base64.urlsafe_b64encode(json.dumps(one).encode()).decode() + ".e30.x" for one in (1, [], "x", None, {"kid": []})
]


@pytest.mark.parametrize("text", WEIRD)
async def test_what_is_no_token_is_refused_and_breaks_nothing(authenticator, text):
    with pytest.raises(NotAuthenticated):
        await authenticator.verify(text)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.binary(max_size=60), payload=st.binary(max_size=60), tail=st.text(max_size=20))
def test_whatever_stands_in_a_token_is_refused_or_accepted(header, payload, tail):
    checked = Authenticator(issuer=ISSUER, jwks_url="", audience="doorstep")
    checked._answered = time.monotonic()
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, payload)]
    assert checked._checked(".".join([*parts, tail]), checked._decode) is None
    checked._needs_keys(".".join([*parts, tail]))


def test_ids_of_principals_are_not_shared():
    assert auth.Principal(str(uuid4()), auth.Role.AUDITOR, "station") != auth.Principal(
        str(uuid4()), auth.Role.AUDITOR, "station"
    )
