"""The front door of feeds: keys, messages, endpoint and acknowledged erasures, each for its own department alone."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from doorstep.contracts.codes import TaskState
from doorstep.contracts.feeds import ACKNOWLEDGE_DAYS
from doorstep.kit.delivery import new_private_key, open_with
from doorstep.kit.telemetry import OWED_ERASURES, WEBHOOKS_STOPPED
from doorstep.kit.testing import KIT_TABLES
from doorstep.referral.app import new_app
from doorstep.referral.operations.erasing import erase_subject
from doorstep.referral.operations.watching import Watch

FIRE = "/api/departments/fire"
KEYS = f"{FIRE}/keys"
ENDPOINT = f"{FIRE}/endpoint"
SERVICE = {"doorstep_purpose": "service"}
P = 2**255 - 19
SMALL = [0, 1, P - 1, P, P + 1, 325606250916557431795983626356110631294008115727848805560023387167927233504,
         39382357235489614581723060781553021112529911719440698176882885853963445705823]  # fmt: skip
"""The u-coordinates of small order on Curve25519, also those that are not reduced."""


@pytest.fixture(scope="module")
async def front(new_desk):
    """The service's edge over a database of its own."""
    return await new_desk("referral", new_app, None, KIT_TABLES, "doorstep.referral:migrations")


@pytest.fixture(scope="module")
def call(front):
    """Speaks to the edge."""
    return front.call


@pytest.fixture
async def desk(front, desk_over):
    """A desk whose department has published nothing yet."""
    async with front.database.transaction() as session:
        await session.execute(text("TRUNCATE department_key, outbox, feed, feed_message, feed_endpoint, owed_erasure"))
    return desk_over(front.database, front.vault)


def public(kid: str, **more) -> dict:
    """A fresh public key as it is sent."""
    return new_private_key(kid).as_dict(private=False) | more


def code(answer) -> str:
    """The last part of a problem's type."""
    return answer.body["type"].rpartition(":")[2]


async def states(call) -> dict[str, str]:
    """The department's keys by what they are used for."""
    answer = await call("GET", KEYS, "officer")
    return {one["kid"]: one["state"] for one in answer.body["keys"]}


async def test_keys_rotate_with_overlap(call, desk) -> None:
    assert await states(call) == {}
    assert (await call("PUT", f"{KEYS}/one", "officer", public("one"))).status == 200
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    await call("PUT", f"{KEYS}/two", "officer", public("two", use_from=tomorrow))
    assert await states(call) == {"one": "current", "two": "next"}
    await call("PUT", f"{KEYS}/three", "officer", public("three"))
    assert await states(call) == {"one": "previous", "three": "current", "two": "next"}
    retired = await call("POST", f"{KEYS}/one/withdrawal", "officer", {"reason": "retired"})
    assert {one["kid"]: one["state"] for one in retired.body["keys"]}["one"] == "withdrawn"
    needed = await call("POST", f"{KEYS}/three/withdrawal", "officer", {"reason": "retired"})
    assert (needed.status, code(needed)) == (409, "key-needed")
    gone = await call("POST", f"{KEYS}/three/withdrawal", "officer", {"reason": "compromised"})
    assert gone.status == 200
    assert (await call("POST", f"{KEYS}/three/withdrawal", "officer", {"reason": "retired"})).status == 200
    [three] = [one for one in gone.body["keys"] if one["kid"] == "three"]
    assert three["withdrawn_for"] == "compromised"
    for kid in ("three", "four"):
        again = await call("PUT", f"{KEYS}/{kid}", "officer", {"kty": "OKP", "crv": "X25519", "x": three["x"]})
        assert (again.status, code(again)) == (409, "key-withdrawn")
    unknown = await call("POST", f"{KEYS}/nine/withdrawal", "officer", {"reason": "retired"})
    assert (unknown.status, code(unknown)) == (404, "key-unknown")


@pytest.mark.parametrize(
    "change",
    [
        {"d": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, {"crv": "X448"}, {"crv": "Ed25519"}, {"kty": "EC"},
        {"use": "sig"}, {"alg": "RSA-OAEP"}, {"x": "AAAA"}, {"kid": "other"}, {"use_from": "2026-01-01T00:00:00"},
        {"use_from": (datetime.now(UTC) + timedelta(days=200)).isoformat()},
        *({"x": base64.urlsafe_b64encode(u.to_bytes(32, "little")).decode().rstrip("=")} for u in SMALL),
    ],
)  # fmt: skip
async def test_a_wrong_key_is_refused_with_the_place_of_its_fault(call, desk, change) -> None:
    answer = await call("PUT", f"{KEYS}/one", "officer", public("one") | change)
    assert (answer.status, code(answer)) == (422, "invalid")
    assert answer.body["errors"]
    assert await states(call) == {}


async def test_a_feed_is_pulled_by_its_department_for_its_purpose(call, desk) -> None:
    missing = await call("GET", f"{FIRE}/feed", "officer", **SERVICE)
    assert (missing.status, code(missing)) == (409, "key-missing")
    key = new_private_key("one")
    await call("PUT", f"{KEYS}/one", "officer", key.as_dict(private=False))
    tasks = [await desk.opened("gas-leak") for _ in range(3)]
    page = (await call("GET", f"{FIRE}/feed?limit=2", "officer", **SERVICE)).body
    rest = (await call("GET", f"{FIRE}/feed?after={page['next']}", "officer", **SERVICE)).body
    assert (page["more"], rest["more"]) == (True, False)
    messages = page["messages"] + rest["messages"]
    assert [one["partitionkey"] for one in messages] == [str(task.ref) for task in tasks]
    for one in messages:
        assert open_with({"one": key}, base64.b64decode(one["data_base64"]))
    for query, status, problem in (
        ("after=x", 422, "invalid"), ("limit=0", 422, "invalid"), (f"after={uuid4()}", 410, "cursor-expired"),
    ):  # fmt: skip
        answer = await call("GET", f"{FIRE}/feed?{query}", "officer", **SERVICE)
        assert (answer.status, code(answer)) == (status, problem)
    for who, purpose in (("officer", "triage"), ("reviewer", "service"), ("police", "service")):
        assert (await call("GET", f"{FIRE}/feed", who, doorstep_purpose=purpose)).status == 403
    assert (await call("GET", "/api/departments/health/feed", "officer", **SERVICE)).status == 403


async def test_an_endpoint_shows_its_secret_once(call, desk) -> None:
    assert (await call("GET", ENDPOINT, "officer")).status == 404
    made = await call("PUT", ENDPOINT, "officer", {"url": "https://example.com/feed"})
    assert made.body["secret"].startswith("whsec_")
    shown = await call("GET", ENDPOINT, "officer")
    assert (shown.body["url"], shown.body["state"], shown.body["dead_letters"]) == (
        "https://example.com/feed", "active", [],
    )  # fmt: skip
    assert made.body["secret"][6:] not in shown.raw.decode()
    since = {"since": datetime.now(UTC).isoformat()}
    assert (await call("POST", f"{ENDPOINT}/replays", "officer", since)).status == 200
    for url in ("http://example.com/", "https://169.254.169.254/latest", "https://u:p@example.com/", "x"):
        refused = await call("PUT", ENDPOINT, "officer", {"url": url})
        assert (refused.status, code(refused)) == (422, "address-refused")
    assert (await call("POST", f"{ENDPOINT}/removal", "officer")).status == 200
    for method, path, body in (("POST", f"{ENDPOINT}/removal", None), ("POST", f"{ENDPOINT}/replays", since)):
        assert (await call(method, path, "officer", body)).status == 404


async def test_an_erasure_is_acknowledged_and_what_is_not_is_told_to_its_station(call, front, desk) -> None:
    desk.now = datetime.now(UTC)
    withdrawn, erased, kept = [await desk.opened("gas-leak") for _ in range(3)]
    await desk.station_step(withdrawn, TaskState.CANCELLED)
    async with front.database.transaction() as session:
        await erase_subject(session, vault=front.vault, subject_id=erased.subject_id, now=datetime.now(UTC))
    early = await call("POST", f"{FIRE}/requests/{kept.ref}/erased", "officer")
    assert (early.status, code(early)) == (409, "nothing-to-erase")
    assert (await call("POST", f"{FIRE}/requests/{uuid4()}/erased", "officer")).status == 404
    assert (await call("GET", "/api/requests/unerased", "supervisor")).body == {"counts": {}, "requests": []}
    async with front.database.transaction() as session:
        await session.execute(
            text("UPDATE owed_erasure SET withdrawn_at = now() - make_interval(days => :days)"),
            {"days": ACKNOWLEDGE_DAYS + 1},
        )
    owed = (await call("GET", "/api/requests/unerased", "supervisor")).body
    assert owed["counts"] == {"fire": 2}
    assert {UUID(one["ref"]) for one in owed["requests"]} == {withdrawn.ref, erased.ref}
    assert set(owed["requests"][0]) == {"department", "ref", "withdrawn_at", "delete_by"}
    assert (await call("GET", "/api/requests/unerased", "reviewer-elsewhere")).body["counts"] == {}
    assert (await call("GET", "/api/requests/unerased", "officer")).status == 403
    await Watch(front.database).look()
    assert OWED_ERASURES.labels("fire")._value.get() == 2
    assert WEBHOOKS_STOPPED.labels("fire")._value.get() == 0
    first = await call("POST", f"{FIRE}/requests/{withdrawn.ref}/erased", "officer")
    again = await call("POST", f"{FIRE}/requests/{withdrawn.ref}/erased", "officer")
    assert (first.status, first.body) == (200, again.body)
    await call("POST", f"{FIRE}/requests/{erased.ref}/erased", "officer")
    assert (await call("GET", "/api/requests/unerased", "supervisor")).body["counts"] == {}
    logged = [one for one in await front.logged(withdrawn.subject_id) if one["action"] == "acknowledge-erasure"]
    assert [(one["case"], one["agency"]) for one in logged] == [(str(withdrawn.ref), "fire")]
    other = await call("POST", f"/api/departments/health/requests/{erased.ref}/erased", "officer")
    assert other.status == 403
