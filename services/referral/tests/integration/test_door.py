"""The front door of referral, over its real HTTP edge."""

import asyncio
import base64
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import uuid4

import orjson
import pytest
from uuid_utils.compat import uuid7

from doorstep.contracts.codes import Role
from doorstep.kit.auth import NotAuthenticated, Principal
from doorstep.kit.delivery import new_private_key
from doorstep.kit.policy import Policy
from doorstep.kit.service import Service
from doorstep.referral.app import new_app
from doorstep.referral.operations.duties import note_duty

STATION = "station-7"

IDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Answer:
    """What the service answered."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The last part of the problem's type."""
        return self.body["type"].rpartition(":")[2]


@dataclass
class Caller:
    """Speaks to the service as whoever is named by the token."""

    people: ClassVar = {
        "justice": Principal("justice-1", Role.OFFICER, "justice"),
        "system": Principal("justice-2", Role.DEPARTMENT_SYSTEM, "justice"),
        "health": Principal("health-1", Role.OFFICER, "health"),
        "reviewer": Principal("reviewer-1", Role.REVIEWER, "station", STATION),
        "elsewhere": Principal("reviewer-9", Role.REVIEWER, "station", "station-9"),
        "homeless": Principal("reviewer-0", Role.REVIEWER, "station"),
        "arbiter": Principal("supervisor-1", Role.SUPERVISOR, "station", STATION),
        "collector": Principal("collector-1", Role.COLLECTOR, "station", STATION),
        "police": Principal("police-1", Role.OFFICER, "police"),
    }
    app: Any = field(default=None)

    async def verify(self, token: str) -> Principal:
        """Stand in for the authenticator."""
        if token not in self.people:
            raise NotAuthenticated
        return self.people[token]

    async def __call__(self, method: str, path: str, who: str | None = None, body: Any = None, **more: str) -> Answer:
        """Send one request straight into the application; `more` are headers."""
        named = {name.replace("_", "-"): value for name, value in more.items()}
        if "doorstep-purpose" in named and (ids := IDS.findall(path)):
            named = {"doorstep-case": ids[-1]} | named  # by itself a thing is read for itself
        named |= {"authorization": f"Bearer {who}"} if who else {}
        named |= {"content-type": "application/json"} if body is not None else {}
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in ({"accept-language": "en"} | named).items()],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
            return {"type": "http.request", "body": raw}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, orjson.loads(b"".join(part.get("body", b"") for part in sent[1:])))


@pytest.fixture
def call(database, vault) -> Caller:
    """The service's edge over the desk's database."""
    caller = Caller()
    service = Service("referral", None, database, vault, Policy(), caller, None, None)
    caller.app = new_app(service)
    return caller


def step(to: str, **more: Any) -> dict[str, Any]:
    """The body of a transition."""
    return {"id": str(uuid7()), "to": to, **more}


def door(task: Any, tail: str = "") -> str:
    """The address of a task at its department."""
    return f"/api/departments/{task.department}/requests/{task.ref}{tail}"


async def tries(desk: Any, task: Any) -> list[tuple[str, str]]:
    """Action and problem of the refused tries at a task's subject, as logged."""
    logged = [(one["action"], one["outcome"].partition(":")) for one in await desk.logged(task.subject_id)]
    return [(action, code) for action, (word, _, code) in logged if word == "refused"]


async def test_a_department_accepts_works_and_completes_by_the_versions_it_saw(call, desk) -> None:
    task = await desk.opened("legal-aid")
    seen = await call("GET", door(task), "justice", doorstep_purpose="service")
    assert (seen.status, seen.headers["etag"], seen.body["state"]) == (200, '"1"', "requested")
    for to, more in (("accepted", {}), ("in-progress", {}), ("completed", {"outcome": "advice-given"})):
        seen = await call(
            "POST", door(task, "/transitions"), "justice", step(to, **more), if_match=seen.headers["etag"]
        )
        assert (seen.status, seen.body["state"]) == (200, to)
    assert seen.headers["etag"] == '"4"'
    read = await call("GET", door(task), "system", doorstep_purpose="service")
    assert [entry["to_state"] for entry in read.body["history"]] == [
        "requested",
        "accepted",
        "in-progress",
        "completed",
    ]


async def test_what_a_department_is_shown_holds_nothing_but_its_projection(call, desk) -> None:
    task = await desk.opened("legal-aid", follow_code="FOLLOW-ME")
    read = await call("GET", door(task), "justice", doorstep_purpose="service")
    listed = await call(
        "GET", "/api/departments/justice/requests?state=requested", "justice", doorstep_purpose="service"
    )
    assert set(read.body["offer"]) >= {"ref", "subject_ref", "name", "phone", "facts"}
    assert "address" not in read.body["offer"]
    text = str(read.body) + str(listed.body)
    hidden = (task.request_id, task.task_id, task.need_id, task.record_id, task.file_id, task.subject_id)
    for secret in (*map(str, hidden), "FOLLOW-ME", "110101194803070028", "和平里", "health.chronic-illness"):
        assert secret not in text
    assert str(task.ref) in {entry["ref"] for entry in listed.body["requests"]}


async def test_another_departments_task_is_answered_like_none_at_all(call, desk) -> None:
    task = await desk.opened("legal-aid")
    for ref in (task.ref, uuid4()):
        address = f"/api/departments/health/requests/{ref}"
        read = await call("GET", address, "health", doorstep_purpose="service")
        moved = await call("POST", f"{address}/transitions", "health", step("accepted"), if_match='"1"')
        assert (read.status, read.code) == (moved.status, moved.code) == (404, "request-unknown")
        assert read.body == moved.body
    assert await tries(desk, task) == [("read-request", "request-unknown"), ("transition-task", "request-unknown")]


@pytest.mark.parametrize("who", ["health", "reviewer", "collector", "police", "arbiter"])
async def test_nobody_else_reads_or_moves_a_departments_requests(call, desk, who) -> None:
    task = await desk.opened("legal-aid")
    assert (await call("GET", door(task), who, doorstep_purpose="service")).status == 403
    assert (await call("POST", door(task, "/transitions"), who, step("accepted"), if_match='"1"')).status == 403
    assert (await desk.task(task.need_id)).version == 1
    assert await tries(desk, task) == [("read-request", "forbidden"), ("transition-task", "forbidden")]


async def test_without_token_or_purpose_nothing_is_read(call, desk) -> None:
    task = await desk.opened("legal-aid")
    assert (await call("GET", door(task), doorstep_purpose="service")).status == 401
    assert (await call("GET", door(task), "justice")).code == "purpose-missing"
    assert (await call("GET", door(task), "justice", doorstep_purpose="audit")).status == 403
    assert await tries(desk, task) == [("read-request", "purpose-missing"), ("read-request", "forbidden")]
    assert len(await desk.logged(task.subject_id)) == 3


async def test_a_transition_names_the_version_it_saw(call, desk) -> None:
    task = await desk.opened("legal-aid")
    address = door(task, "/transitions")
    assert (await call("POST", address, "justice", step("accepted"))).status == 428
    for stale in ('"2"', "*", 'W/"1"', '"x"', "1"):
        assert (await call("POST", address, "justice", step("accepted"), if_match=stale)).status == 412
    answers = await asyncio.gather(
        *(call("POST", address, "justice", step("accepted"), if_match='"1"') for _ in range(4))
    )
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412]


async def test_the_same_command_is_answered_again_whatever_happened_since(call, desk) -> None:
    task = await desk.opened("legal-aid")
    address, body = door(task, "/transitions"), step("accepted")
    first = await call("POST", address, "justice", body, if_match='"1"')
    await call("POST", address, "justice", step("in-progress"), if_match='"2"')
    for version in ({"if_match": '"1"'}, {"if_match": '"9"'}, {}):
        again = await call("POST", address, "justice", body, **version)
        assert (again.status, again.body, again.headers["etag"]) == (200, first.body, '"2"')
    assert (await desk.task(task.need_id)).version == 3


async def test_an_id_with_another_body_or_of_somebody_else_is_refused(call, desk) -> None:
    task = await desk.opened("legal-aid")
    other = await desk.opened("legal-aid")
    body = step("accepted")
    await call("POST", door(task, "/transitions"), "justice", body, if_match='"1"')
    changed = {**body, "to": "in-progress"}
    for address, who, sent in (
        (door(task, "/transitions"), "justice", changed),
        (door(other, "/transitions"), "justice", body),
        (door(task, "/transitions"), "system", body),
    ):
        answer = await call("POST", address, who, sent, if_match='"2"')
        assert (answer.status, answer.code) == (409, "id-reused")


async def test_two_senders_of_one_command_change_one_thing(call, desk) -> None:
    task = await desk.opened("legal-aid")
    body = step("accepted")
    answers = await asyncio.gather(
        *(call("POST", door(task, "/transitions"), "justice", body, if_match='"1"') for _ in range(4))
    )
    assert [answer.status for answer in answers] == [200] * 4
    assert (await desk.task(task.need_id)).version == 2


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (step("completed"), 409, None),
        (step("rejected"), 422, "/reason"),
        (step("accepted", business_status="attended"), 409, None),
        (step("done"), 422, "/to"),
        (step("accepted", mood="good"), 422, "/mood"),
        (step("rejected", reason="do-not-like"), 422, "/reason"),
        ({**step("accepted"), "id": str(uuid4())}, 422, "/id"),
        (step("accepted", note="a\0b"), 422, "/note"),
        (step("accepted", note="x" * 2001), 422, "/note"),
        (b'{"id": "\\ud800", "to": "accepted"}', 422, "/id"),
        (b"{", 400, None),
    ],
)
async def test_bad_input_is_named_and_changes_nothing(call, desk, body, status, pointer) -> None:
    task = await desk.opened("legal-aid")
    answer = await call("POST", door(task, "/transitions"), "justice", body, if_match='"1"')
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    if pointer:
        assert [fault["pointer"] for fault in answer.body["errors"]] == [pointer]
    assert (await desk.task(task.need_id)).version == 1


async def test_the_station_cancels_hands_on_and_corrects(call, desk) -> None:
    task = await desk.opened("legal-aid")
    station = f"/api/requests/{task.request_id}/transitions"
    rejected = step("rejected", reason="not-ours")
    await call("POST", door(task, "/transitions"), "justice", rejected, if_match='"1"')
    waiting = await call("GET", "/api/requests?queue=rejected", "reviewer", doorstep_purpose="follow-up")
    assert str(task.request_id) in {entry["request_id"] for entry in waiting.body["requests"]}
    handed = await call("POST", station, "reviewer", step("requested", department="health"), if_match='"2"')
    assert (handed.status, handed.body["version"]) == (200, 3)
    shown = await call("GET", f"/api/requests?record_id={task.record_id}", "reviewer", doorstep_purpose="follow-up")
    [request] = [entry for entry in shown.body["requests"] if entry["request_id"] == str(task.request_id)]
    assert [entry["department"] for entry in request["tasks"]] == ["justice", "health"]
    assert request["confidential"]
    cancelled = await call("POST", station, "reviewer", step("cancelled", reason="duplicate"), if_match='"3"')
    assert cancelled.body["state"] == "cancelled"
    for body in (step("requested"), step("cancelled", reason="duplicate", department="fire"), step("accepted")):
        assert (await call("POST", station, "reviewer", body, if_match='"4"')).status == 422


async def test_only_the_arbiter_assigns_after_two_rejections(call, desk) -> None:
    task = await desk.opened("legal-aid")
    station = f"/api/requests/{task.request_id}/transitions"
    for department in ("health", "labour"):
        live = await desk.task(task.need_id)
        body = step("rejected", reason="not-ours")
        people = dict(call.people, labour=Principal("labour-1", Role.OFFICER, "labour"))
        call.people = people
        await call("POST", door(live, "/transitions"), live.department, body, if_match=f'"{live.version}"')
        if department == "health":
            await call(
                "POST", station, "reviewer", step("requested", department="labour"), if_match=f'"{live.version + 1}"'
            )
    refused = await call("POST", station, "reviewer", step("requested", department="fire"), if_match='"4"')
    assert (refused.status, refused.code) == (409, "arbiter-must-assign")
    assert (await call("POST", station, "arbiter", step("cancelled", reason="duplicate"), if_match='"4"')).status == 403
    assert (
        await call("POST", station, "arbiter", step("requested", department="justice"), if_match='"4"')
    ).status == 200
    live = await desk.task(task.need_id)
    body = step("rejected", reason="not-ours")
    bound = await call("POST", door(live, "/transitions"), "justice", body, if_match='"5"')
    assert (bound.status, bound.code) == (409, "assignment-binds")
    refused = ["arbiter-must-assign", "forbidden", "assignment-binds"]
    assert await tries(desk, task) == [("transition-task", code) for code in refused]


@pytest.mark.parametrize(
    ("who", "status"), [("elsewhere", 404), ("homeless", 403), ("justice", 403), ("collector", 403)]
)
async def test_a_strangers_hands_stay_off_the_stations_requests(call, desk, who, status) -> None:
    task = await desk.opened("legal-aid")
    station = f"/api/requests/{task.request_id}/transitions"
    body = step("cancelled", reason="duplicate")
    answer = await call("POST", station, who, body, if_match='"1"')
    assert answer.status == status
    assert await tries(desk, task) == [("transition-task", answer.code)]


async def test_who_proposes_does_not_confirm_and_that_is_logged_while_a_stale_version_is_not(call, desk) -> None:
    task = await desk.opened("legal-aid")
    await call("POST", door(task, "/transitions"), "justice", step("accepted"), if_match='"1"')
    body = step("cancelled", reason="duplicate")
    assert (await call("POST", door(task, "/transitions"), "justice", body, if_match='"2"')).status == 200
    for version, code in (('"3"', "other-side-must-confirm"), ('"2"', "version-stale")):
        again = step("cancelled", reason="duplicate")
        answer = await call("POST", door(task, "/transitions"), "justice", again, if_match=version)
        assert answer.code == code
    assert await tries(desk, task) == [("transition-task", "other-side-must-confirm")]


async def test_a_list_that_shows_nothing_is_logged_alike_for_another_stations_record_and_for_none(call, desk) -> None:
    task = await desk.opened("legal-aid")
    answers = []
    for record in (task.record_id, uuid4()):
        before = (await desk.rows("SELECT count(*) FROM outbox"))[0][0]
        path = f"/api/requests?record_id={record}"
        answers.append(await call("GET", path, "elsewhere", doorstep_purpose="triage"))
        assert (await desk.rows("SELECT count(*) FROM outbox"))[0][0] == before + 1
    assert answers[0] == answers[1]
    assert answers[0].body == {"requests": []}
    entry = (await desk.logged(task.subject_id))[-1]
    assert (entry["action"], entry["outcome"], entry["actor"]) == ("list-requests", "nothing-shown", "reviewer-9")


async def test_a_follow_code_shows_states_and_takes_a_rating(call, desk) -> None:
    code = uuid4().hex
    task = await desk.opened("health-advice", follow_code=code)
    await desk.opened("legal-aid", follow_code=code)
    shown = await call("GET", f"/api/follow/{code}")
    assert shown.body == {"requests": [{"ref": str(task.follow_ref), "state": "requested"}]}
    body = {"id": str(uuid7()), "ref": str(task.follow_ref), "solved": False, "stars": 2}
    early = await call("POST", f"/api/follow/{code}/ratings", None, body)
    assert (early.status, early.code) == (409, "not-ratable")
    await call("POST", door(task, "/transitions"), "health", step("accepted"), if_match='"1"')
    done = step("completed", outcome="advice-given")
    await call("POST", door(task, "/transitions"), "health", done, if_match='"2"')
    first = await call("POST", f"/api/follow/{code}/ratings", None, body)
    again = await call("POST", f"/api/follow/{code}/ratings", None, body)
    assert (
        (first.status, first.body)
        == (again.status, again.body)
        == (200, {"ref": str(task.follow_ref), "reopened": True})
    )
    twice = await call("POST", f"/api/follow/{code}/ratings", None, {**body, "id": str(uuid7())})
    assert (twice.status, twice.code) == (409, "rated-already")
    assert len((await call("GET", f"/api/follow/{code}")).body["requests"]) == 2


async def test_an_unknown_code_is_answered_like_one_without_requests(call, desk) -> None:
    code = uuid4().hex
    await desk.opened("legal-aid", follow_code=code)
    confidential = await call("GET", f"/api/follow/{code}")
    for unknown in (uuid4().hex, "x", "未知", "x" * 5000):
        answer = await call("GET", f"/api/follow/{unknown}")
        assert (answer.status, answer.body) == (confidential.status, confidential.body) == (200, {"requests": []})
    body = {"id": str(uuid7()), "ref": str(uuid4()), "solved": True, "stars": 5}
    assert (await call("POST", f"/api/follow/{code}/ratings", None, body)).status == 404


@pytest.mark.parametrize(("stars", "solved"), [(0, True), (6, True), ("5", True), (3, "yes"), (True, True)])
async def test_a_rating_outside_its_scale_is_refused(call, stars, solved) -> None:
    body = {"id": str(uuid7()), "ref": str(uuid4()), "solved": solved, "stars": stars}
    assert (await call("POST", "/api/follow/abc/ratings", None, body)).status == 422


def jwk(kid: str) -> dict[str, Any]:
    """A fresh public key."""
    return new_private_key(kid).as_dict(private=False)


async def test_a_department_publishes_its_own_public_key(call) -> None:
    kid = uuid4().hex
    address, key = f"/api/departments/justice/keys/{kid}", jwk(kid)
    assert (await call("PUT", address, "system", key)).body == {"department": "justice", "kid": kid, "registered": True}
    assert not (await call("PUT", address, "system", key)).body["registered"]
    assert (await call("PUT", address, "system", jwk(kid))).status == 409
    for who, status in (("health", 403), ("reviewer", 403), (None, 401)):
        assert (await call("PUT", address, who, key)).status == status


async def test_a_key_that_nothing_can_be_encrypted_for_is_refused(call) -> None:
    kid = uuid4().hex
    address, key = f"/api/departments/justice/keys/{kid}", jwk(kid)
    private = new_private_key(kid).as_dict(private=True)
    weak = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    for sent in (
        private,
        {**key, "x": weak},
        {**key, "x": "abc"},
        {**key, "crv": "Ed25519"},
        {**key, "kid": "other"},
        {},
    ):
        assert (await call("PUT", address, "system", sent)).status == 422


async def test_collector_reviewer_and_supervisor_of_a_record_are_three_people(call, desk) -> None:
    """Whoever took the record directs nothing; who directed as reviewer does not assign, nor the other way round."""
    task = await desk.opened("legal-aid")
    staff = {name: desk.vault.pairwise("staff", f"{name}-1") for name in ("collector", "reviewer", "supervisor")}
    call.people = dict(
        call.people,
        collecting=Principal("collector-1", Role.REVIEWER, "station", STATION),
        assigning=Principal("collector-1", Role.SUPERVISOR, "station", STATION),
        reviewing=Principal("reviewer-1", Role.SUPERVISOR, "station", STATION),
        supervising=Principal("supervisor-1", Role.REVIEWER, "station", STATION),
    )
    async with desk.database.transaction() as session:
        await note_duty(session, task.record_id, staff["collector"], Role.COLLECTOR)
        await note_duty(session, task.record_id, staff["reviewer"], Role.REVIEWER)
        await note_duty(session, task.record_id, staff["reviewer"], Role.COLLECTOR)  # an event that came late
        await note_duty(session, task.record_id, None, Role.COLLECTOR)
    station, body = f"/api/requests/{task.request_id}/transitions", step("requested", department="health")
    for who in ("collecting", "assigning", "reviewing"):
        answer = await call("POST", station, who, body | {"id": str(uuid7())}, if_match='"1"')
        assert (answer.status, answer.code) == (403, "forbidden"), who
    await call("POST", station, "arbiter", body, if_match='"9"')  # a stale version: nothing was done, no duty taken
    cancelled = await call("POST", station, "supervising", step("cancelled", reason="duplicate"), if_match='"1"')
    assert cancelled.status == 200
    assert (await call("POST", station, "arbiter", step("requested", department="fire"), if_match='"2"')).status == 403
