"""Keycloak with the station's realm: whoever it signs in is who a service takes them for, and nobody else is."""

import asyncio
import base64
import hashlib
import html
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
import uvicorn
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy import text
from yarl import URL

from doorstep.contracts.codes import COMMUNITY_OFFICE, HOTLINE, STATION, Department, Role
from doorstep.contracts.topics import SERVICES
from doorstep.gateway.app import new_app
from doorstep.gateway.operations.sign_in_codes import index_of
from doorstep.gateway.settings import GatewaySettings
from doorstep.kit.auth import Authenticator, NotAuthenticated, Principal
from doorstep.kit.db import Database
from doorstep.kit.policy import Policy
from doorstep.kit.service import Service
from doorstep.kit.testing import KIT_TABLES, Databases, eventually
from doorstep.kit.vault import Vault
from doorstep.local import keycloak
from doorstep.local.clients import client_id
from doorstep.local.issuer import AUDIENCE
from doorstep.local.keycloak import Keycloak
from doorstep.local.ports import free_ports

REDIRECT = "http://127.0.0.1:9/sign-in/callback"
PASSWORD = "long enough for the realm"
PORTAL_AGENCY = "national-portal"
STAFF = {"role": "reviewer", "agency": "station", "station": "station-1"}
LOGIN, SECOND_FACTOR, SET_UP = "kc-form-login", "kc-otp-login-form", "kc-totp-settings-form"
STEP = 30
"""Seconds for which a one-time password holds."""


def form_on(page: str, name: str) -> str | None:
    """Where Keycloak's form of this name is sent to, if it is on the page."""
    found = re.search(rf'id="{name}"[^>]*action="([^"]+)"|action="([^"]+)"[^>]*id="{name}"', page)
    return html.unescape(found[1] or found[2]) if found else None


@dataclass
class Device:
    """What somebody shows one-time passwords with, each once."""

    secret: str
    shown: set[int] = field(default_factory=set)

    def password(self) -> str:
        step = int(time.time()) // STEP
        free = next(one for one in (step, step + 1, step - 1) if one not in self.shown)
        self.shown.add(free)
        return TOTP(self.secret.encode(), 6, SHA1(), STEP).generate(free * STEP).decode()  # noqa: S303 - as apps do

    def credential(self) -> dict[str, str]:
        """The device as an administrator enters it."""
        how = {"subType": "totp", "digits": 6, "counter": 0, "period": STEP, "algorithm": "HmacSHA1"}
        return {"type": "otp", "secretData": json.dumps({"value": self.secret}), "credentialData": json.dumps(how)}


@dataclass
class Realm:
    """The station's realm of a running Keycloak, as its administrator and as those who sign in."""

    keycloak: Keycloak
    http: aiohttp.ClientSession
    secrets: dict[str, str] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        return f"{self.keycloak.issuer}/protocol/openid-connect"

    def authenticator(self) -> Authenticator:
        """What a service checks tokens with."""
        return Authenticator(issuer=self.keycloak.issuer, jwks_url=f"{self.protocol}/certs", audience=AUDIENCE)

    async def master_token(self) -> str:
        """A token of the realm that administers, which is none of ours."""
        who = {"username": self.keycloak.administrator, "password": self.keycloak.password}
        return (await self.token("master", grant_type="password", client_id="admin-cli", **who))["access_token"]

    async def token(self, realm: str = "doorstep", **form: str) -> dict[str, Any]:
        address = f"{self.keycloak.url}/realms/{realm}/protocol/openid-connect/token"
        async with self.http.post(address, data=form) as answer:
            return await answer.json()

    async def administer(self, method: str, path: str, body: Any = None) -> Any:
        """What the administrator is answered; the place of what was made, if something was."""
        headers = {"Authorization": f"Bearer {await self.master_token()}"}
        address = f"{self.keycloak.url}/admin/realms/doorstep{path}"
        async with self.http.request(method, address, json=body, headers=headers) as answer:
            said = await answer.text()
            if answer.status >= 300:
                raise AssertionError(f"{method} {path}: {answer.status} {said}")
            return json.loads(said) if said else answer.headers.get("Location")

    async def client(self, name: str) -> dict[str, Any]:
        [found] = await self.administer("GET", f"/clients?clientId={name}")
        return found

    async def secret(self, name: str) -> str:
        """The secret that Keycloak made for a client of the realm."""
        if name not in self.secrets:
            told = await self.administer("POST", f"/clients/{(await self.client(name))['id']}/client-secret")
            self.secrets[name] = told["value"]
        return self.secrets[name]

    async def new_user(self, name: str, *, device: bool = True, **attributes: str) -> str:
        """A user's id; all but residents have a device for one-time passwords."""
        credentials: list[dict[str, Any]] = [{"type": "password", "value": PASSWORD, "temporary": False}]
        if device and attributes["role"] != Role.RESIDENT:
            self.devices[name] = Device(secrets.token_urlsafe(24))
            credentials.append(self.devices[name].credential())
        said = {key: [value] for key, value in attributes.items()}
        user = {"username": name, "enabled": True, "attributes": said, "credentials": credentials}
        place = await self.administer("POST", "/users", user)
        return str(place).rpartition("/")[2]

    async def sign_in(self, name: str, password: str = PASSWORD, *, proof: bool = True) -> dict[str, Any]:
        """The tokens that somebody gets who signs in on Keycloak's page, by the code flow with PKCE."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {"client_id": "doorstep-page", "response_type": "code", "scope": "openid", "redirect_uri": REDIRECT}
        if proof:
            asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(self.keycloak.url))  # as browsers do
        async with aiohttp.ClientSession(cookie_jar=jar) as browser:
            async with browser.get(f"{self.protocol}/auth", params=asked, allow_redirects=False) as answer:
                if answer.status == 302:
                    return {
                        name: value for name, [value] in parse_qs(urlsplit(answer.headers["Location"]).query).items()
                    }
                page = await answer.text()
            form = {"username": name, "password": password}
            async with browser.post(form_on(page, LOGIN), data=form, allow_redirects=False) as answer:
                where, page = answer.headers.get("Location"), await answer.text()
            if where is None and (action := form_on(page, SECOND_FACTOR)) and name in self.devices:
                form = {"otp": self.devices[name].password()}
                async with browser.post(action, data=form, allow_redirects=False) as answer:
                    where = answer.headers.get("Location")
            if where is None:
                return {"error": "not signed in"}
            code = parse_qs(urlsplit(where).query)["code"][0]
        return await self.token(
            grant_type="authorization_code", code=code, redirect_uri=REDIRECT, code_verifier=verifier,
            client_id="doorstep-page", client_secret=await self.secret("doorstep-page"),
        )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def realm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Realm]:
    """The station's realm, with the page's address for this run."""
    if reason := keycloak.missing():
        pytest.skip(reason)
    folder: Path = tmp_path_factory.mktemp("keycloak")
    async with keycloak.running_keycloak(folder, secrets.token_urlsafe(16)) as running, aiohttp.ClientSession() as http:
        made = Realm(running, http)
        page = await made.client("doorstep-page")
        await made.administer("PUT", f"/clients/{page['id']}", page | {"redirectUris": [REDIRECT]})
        yield made


@dataclass(frozen=True)
class FrontDoor:
    """A running gateway that signs people in by that Keycloak, and a browser that keeps cookies."""

    address: str
    browser: aiohttp.ClientSession
    database: Database

    async def sign_in(self, name: str, device: Device | None = None) -> tuple[int, str]:
        """Status and address where one is after signing in on Keycloak's own forms."""
        async with self.browser.get(f"{self.address}/sign-in?page=/audit") as form:
            action = form_on(await form.text(), LOGIN)
        async with self.browser.post(action, data={"username": name, "password": PASSWORD}) as answer:
            status, path, page = answer.status, answer.url.path, await answer.text()
        if device is not None:
            async with self.browser.post(form_on(page, SECOND_FACTOR), data={"otp": device.password()}) as answer:
                status, path = answer.status, answer.url.path
        return status, path

    async def session(self) -> tuple[int, dict[str, Any], str]:
        """What a page is told of its reader, and its request token."""
        async with self.browser.get(f"{self.address}/api/session") as answer:
            return answer.status, await answer.json(), answer.headers.get("doorstep-request-token", "")


@pytest_asyncio.fixture(loop_scope="session")
async def front_door(realm: Realm, databases: Databases, vault: Vault) -> AsyncIterator[FrontDoor]:
    """The gateway, known to the realm by its address."""
    port = free_ports(1)[0]
    address, away = f"http://127.0.0.1:{port}", "http://127.0.0.1:9"
    page = await realm.client("doorstep-page")
    logout = page["attributes"] | {"post.logout.redirect.uris": f"{address}/"}
    changed = page | {"redirectUris": [REDIRECT, f"{address}/sign-in/callback"], "attributes": logout}
    await realm.administer("PUT", f"/clients/{page['id']}", changed)
    settings = GatewaySettings(
        profile="embedded", database_url="", kafka="", keyset=Path(), jwks_url="",
        key_store_url=away, token_url=away, client_id="gateway", client_secret=Path(),
        issuer=realm.keycloak.issuer, public_url=address, page_client_secret=await realm.secret("doorstep-page"),
        intake_url=away, registry_url=away, risk_url=away, referral_url=away, audit_url=away,
    )  # fmt: skip
    database = Database(await databases.new(KIT_TABLES, "doorstep.gateway:migrations"), service="gateway")
    service = Service("gateway", settings, database, vault, Policy(), realm.authenticator(), None, None)
    server = uvicorn.Server(uvicorn.Config(new_app(service), port=port, log_config=None))
    serving = asyncio.create_task(server._serve())
    await eventually(lambda: asyncio.sleep(0, server.started))
    jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(realm.keycloak.url))
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        yield FrontDoor(address, browser, database)
    server.should_exit = True
    await serving
    for close in service.closers:
        await close()
    await database.close()


@pytest.mark.keycloak
async def test_the_front_door_signs_people_in_by_keycloaks_own_form_and_out_again(
    realm: Realm, front_door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await realm.new_user("qian.reviewer", **STAFF)
    device = realm.devices["qian.reviewer"]
    assert await front_door.sign_in("qian.reviewer", device) == (200, "/audit")
    status, told, token = await front_door.session()
    assert (status, told) == (200, STAFF)
    monkeypatch.setattr("doorstep.gateway.api.front._RENEWED_BEFORE", 400.0)  # as if the tokens were about to expire
    for _ in range(2):
        assert (await front_door.session())[0] == 200
    async with front_door.database.transaction() as session:
        [row] = await session.execute(text("SELECT version FROM browser_session"))
    assert row.version == 3  # each refresh token was taken once, and the next one kept
    said = {"Doorstep-Request-Token": token, "Origin": front_door.address}
    async with front_door.browser.post(f"{front_door.address}/sign-out", headers=said) as answer:
        onward = (await answer.json())["continue"]
    async with front_door.browser.get(onward) as answer:
        assert (answer.status, str(answer.url)) == (200, f"{front_door.address}/")
    assert (await front_door.session())[0] == 401
    assert await front_door.sign_in("qian.reviewer", device) == (
        200,
        "/audit",
    )  # it asks for the password again


@pytest.mark.keycloak
async def test_a_resident_links_their_account_by_a_code_of_the_visit_and_signs_in_by_it_alone_from_then_on(
    realm: Realm, front_door: FrontDoor, vault: Vault
) -> None:
    await realm.new_user("wu.resident", role="resident", agency="resident")
    person, code = uuid4(), "ABCD-EFGH"
    await vault.ring([person], create=True)
    assert await front_door.sign_in("wu.resident") == (200, "/audit")
    status, told, token = await front_door.session()
    assert (status, told["role"], told["known"], told["account"]) == (200, "resident", False, True)
    async with front_door.database.transaction() as session:
        keep = "INSERT INTO sign_in_code VALUES (:person, :code, now() + interval '1 minute')"
        await session.execute(text(keep), {"person": person, "code": index_of(vault, code)})
    said = {"Doorstep-Request-Token": token, "Origin": front_door.address}
    linking = front_door.browser.put(f"{front_door.address}/api/resident/account", headers=said, json={"code": code})
    async with linking as answer:
        assert answer.status == 201, await answer.text()
    _, told, token = await front_door.session()
    assert told["known"]
    said = {"Doorstep-Request-Token": token, "Origin": front_door.address}
    async with front_door.browser.post(f"{front_door.address}/sign-out", headers=said) as answer:
        onward = (await answer.json())["continue"]
    async with front_door.browser.get(onward) as answer:
        assert answer.status == 200
    assert (await front_door.session())[0] == 401
    assert await front_door.sign_in("wu.resident") == (200, "/audit")
    assert (await front_door.session())[1]["known"]


@pytest.mark.keycloak
async def test_whoever_signs_in_has_their_role_agency_and_station_and_nothing_more(realm: Realm) -> None:
    user = await realm.new_user("wang.reviewer", **STAFF)
    tokens = await realm.sign_in("wang.reviewer")
    principal = await realm.authenticator().verify(tokens["access_token"])
    assert principal == Principal(user, Role.REVIEWER, "station", "station-1")
    claims = json.loads(base64.urlsafe_b64decode(tokens["access_token"].split(".")[1] + "=="))
    assert not {"name", "email", "preferred_username", "given_name", "realm_access"} & set(claims)
    assert claims["exp"] - claims["iat"] == 300


@pytest.mark.keycloak
async def test_whoever_is_no_resident_sets_up_a_second_factor_and_needs_it_from_then_on(realm: Realm) -> None:
    await realm.new_user("feng.supervisor", device=False, **STAFF | {"role": "supervisor"})
    asked = {
        "client_id": "doorstep-page", "response_type": "code", "scope": "openid", "redirect_uri": REDIRECT,
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(b"a proof").digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }  # fmt: skip
    jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(realm.keycloak.url))
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        async with browser.get(f"{realm.protocol}/auth", params=asked) as answer:
            form = form_on(await answer.text(), LOGIN)
        async with browser.post(form, data={"username": "feng.supervisor", "password": PASSWORD}) as answer:
            page = await answer.text()
        secret = re.search(r'name="totpSecret"[^>]*value="([^"]+)"', page)[1]
        wrong = {"totp": "000000", "totpSecret": secret, "userLabel": ""}
        async with browser.post(form_on(page, SET_UP), data=wrong, allow_redirects=False) as answer:
            assert answer.status == 200
            page = await answer.text()
        device = Device(secret)
        said = {"totp": device.password(), "totpSecret": secret, "userLabel": "phone"}
        async with browser.post(form_on(page, SET_UP), data=said, allow_redirects=False) as answer:
            assert answer.headers["Location"].startswith(REDIRECT)
    assert (await realm.sign_in("feng.supervisor"))["error"] == "not signed in"  # by the password alone
    realm.devices["feng.supervisor"] = Device("a device of somebody else's")
    assert (await realm.sign_in("feng.supervisor"))["error"] == "not signed in"
    realm.devices["feng.supervisor"] = device
    tokens = await realm.sign_in("feng.supervisor")
    assert (await realm.authenticator().verify(tokens["access_token"])).role is Role.SUPERVISOR
    device.shown -= {max(device.shown)}
    assert (await realm.sign_in("feng.supervisor"))["error"] == "not signed in"  # a one-time password is taken once


@pytest.mark.keycloak
async def test_a_community_officer_signs_in_as_one(realm: Realm) -> None:
    said = {"role": "collector", "agency": COMMUNITY_OFFICE, "station": "station-1"}
    user = await realm.new_user("zhou.collector", **said)
    tokens = await realm.sign_in("zhou.collector")
    principal = await realm.authenticator().verify(tokens["access_token"])
    assert principal == Principal(user, Role.COLLECTOR, COMMUNITY_OFFICE, "station-1")


@pytest.mark.keycloak
async def test_a_token_for_something_else_opens_nothing(realm: Realm) -> None:
    await realm.new_user("li.reviewer", **STAFF)
    tokens = await realm.sign_in("li.reviewer")
    checker = realm.authenticator()
    for other in (tokens["id_token"], tokens["refresh_token"], await realm.master_token()):
        with pytest.raises(NotAuthenticated):
            await checker.verify(other)
    assert (await checker.verify(tokens["access_token"])).role is Role.REVIEWER


@pytest.mark.keycloak
@pytest.mark.parametrize("department", Department)
async def test_a_department_is_itself_by_its_own_secret(realm: Realm, department: Department) -> None:
    name = f"department-{department}"
    asked = {"grant_type": "client_credentials", "client_id": name}
    told = await realm.token(client_secret=await realm.secret(name), **asked)
    principal = await realm.authenticator().verify(told["access_token"])
    assert (principal.role, principal.agency, principal.station) == (Role.DEPARTMENT_SYSTEM, department, None)
    assert (await realm.token(client_secret="guessed", **asked))["error"] == "unauthorized_client"


@pytest.mark.keycloak
async def test_the_national_portal_is_itself_by_its_own_secret(realm: Realm) -> None:
    asked = {"grant_type": "client_credentials", "client_id": PORTAL_AGENCY}
    told = await realm.token(client_secret=await realm.secret(PORTAL_AGENCY), **asked)
    principal = await realm.authenticator().verify(told["access_token"])
    assert (principal.role, principal.agency) == (Role.PORTAL, PORTAL_AGENCY)


@pytest.mark.keycloak
async def test_nobody_signs_in_without_proof_or_with_a_wrong_word_or_guesses_on(realm: Realm) -> None:
    await realm.new_user("zhao.reviewer", **STAFF)
    assert (await realm.sign_in("zhao.reviewer", proof=False))["error"] == "invalid_request"
    for _ in range(6):
        assert (await realm.sign_in("zhao.reviewer", "guessed again"))["error"] == "not signed in"
    assert (await realm.sign_in("zhao.reviewer"))["error"] == "not signed in"  # locked for a while
    asked = {"grant_type": "password", "client_id": "doorstep-page", "username": "zhao.reviewer", "password": PASSWORD}
    told = await realm.token(client_secret=await realm.secret("doorstep-page"), **asked)
    assert told["error"] == "unauthorized_client"


@pytest.mark.keycloak
async def test_who_somebody_is_says_an_administrator_alone_and_in_the_words_of_the_contracts(realm: Realm) -> None:
    profile = await realm.administer("GET", "/users/profile")
    editors = {one["name"]: one["permissions"]["edit"] for one in profile["attributes"]}
    assert {name: editors[name] for name in STAFF} == {name: ["admin"] for name in STAFF}
    for wrong in ({"role": "mayor"}, {"agency": "police"}, {"agency": "petitions"}):
        with pytest.raises(AssertionError, match="400"):
            await realm.new_user("somebody", **STAFF | wrong)


@pytest.mark.keycloak
async def test_a_new_signing_key_is_taken_and_an_old_one_serves_no_more_once_it_is_gone(realm: Realm) -> None:
    await realm.new_user("sun.reviewer", **STAFF)
    checker, old = realm.authenticator(), (await realm.sign_in("sun.reviewer"))["access_token"]
    await checker.verify(old)
    [first] = [one for one in await realm.administer("GET", "/components?type=org.keycloak.keys.KeyProvider")
               if one["providerId"] == "rsa-generated"]  # fmt: skip
    key = {"name": "newer", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider"}
    await realm.administer("POST", "/components", key | {"config": {"priority": ["500"], "algorithm": ["RS256"]}})
    await realm.administer("DELETE", f"/components/{first['id']}")
    new = (await realm.sign_in("sun.reviewer"))["access_token"]

    async def taken() -> bool:
        try:
            return (await checker.verify(new)).role is Role.REVIEWER
        except NotAuthenticated:
            return False

    await eventually(taken, within=30)  # keys are asked for at most once in ten seconds
    with pytest.raises(NotAuthenticated):
        await checker.verify(old)


def test_the_realm_knows_the_roles_and_departments_of_the_contracts() -> None:
    realm = json.loads(keycloak.REALM.read_text(encoding="utf-8"))
    names = {client["clientId"] for client in realm["clients"]}
    departments = {f"department-{department}" for department in Department}
    assert names == {
        "doorstep-page",
        PORTAL_AGENCY,
        HOTLINE,
        *departments,
        *(client_id(service) for service in SERVICES),
    }
    [provider] = realm["components"]["org.keycloak.userprofile.UserProfileProvider"]
    [profile] = provider["config"]["kc.user.profile.config"]
    options = {
        one["name"]: set(one["validations"]["options"]["options"])
        for one in json.loads(profile)["attributes"]
        if "options" in one["validations"]
    }
    assert options["role"] == set(Role) - {Role.DEPARTMENT_SYSTEM, Role.PORTAL, Role.SERVICE, Role.HOTLINE}
    assert options["agency"] == {STATION, COMMUNITY_OFFICE, "resident", *Department}
    assert not [client["clientId"] for client in realm["clients"] if client["directAccessGrantsEnabled"]]


def test_the_realm_says_of_a_service_s_account_that_it_is_a_service_of_the_station() -> None:
    realm = json.loads(keycloak.REALM.read_text(encoding="utf-8"))
    accounts = {client["clientId"]: client for client in realm["clients"]}
    for service in SERVICES:
        account = accounts[client_id(service)]
        claims = {
            one["config"].get("claim.name"): one["config"].get("claim.value") for one in account["protocolMappers"]
        }
        assert (claims["role"], claims["agency"]) == (Role.SERVICE, "station")
        assert account["serviceAccountsEnabled"] is True


def test_the_realm_holds_no_secret_and_no_user() -> None:
    realm = json.loads(keycloak.REALM.read_text(encoding="utf-8"))
    assert "users" not in realm
    assert not [client["clientId"] for client in realm["clients"] if "secret" in client]
